"""python-requests sending 20 MiB that are refused before they are read; prints the answers.

usage: requests_refused.py BYTES TIMES
"""

import json
import sys

import requests

import library

size, times = map(int, sys.argv[1:])
content = bytes(size)


def pieces():
    """The same bytes without a length: a chunked body."""
    for start in range(0, size, 65536):
        yield content[start : start + 65536]


def attempt(**body):
    try:
        return library.told(requests.post(f"{library.BASE}/api/libraryfiles", verify=library.CA, **body))
    except requests.RequestException as error:
        return {"failed": repr(error)}


answers = []
for _ in range(times):
    answers.append(attempt(files={"file": ("big.bin", content)}))
    answers.append(attempt(data=pieces(), headers={"Content-Type": "multipart/form-data; boundary=b"}))
print(json.dumps(answers))
