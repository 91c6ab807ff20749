#!/usr/bin/env python3
"""Writes the node tests of the installed `onnx` package, its newest opsets' among them: python3 make_node_tests.py FOLDER

The package's own generator, which makes the other kinds; of itself it leaves the node tests out.
"""
import argparse
import sys

from onnx.backend.test import cmd_tools
from onnx.backend.test.case import node


def main():
    cmd_tools.model_test.collect_testcases = node.collect_testcases
    cmd_tools.generate_data(argparse.Namespace(output=sys.argv[1]))


if __name__ == "__main__":
    main()
