#!/usr/bin/env bash
# Makes the environment of the Python peers in .cache/peers, which git ignores: bash bench/peers/setup.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/../.."
python="${1:-python3}"
"$python" -m venv .cache/peers
.cache/peers/bin/pip install --quiet --requirement bench/peers/requirements.txt
.cache/peers/bin/python bench/peers/run.py --versions
