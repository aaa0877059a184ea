"""Runs a Python program with a file as its standard input: piped.py PROGRAM INPUT [ARGUMENT…]."""

import subprocess
import sys

with open(sys.argv[2], "rb") as source:
    sys.exit(subprocess.run([sys.executable, sys.argv[1], *sys.argv[3:]], stdin=source).returncode)
