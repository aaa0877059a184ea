"""python-requests, in the ways its users build a multipart body. Needs TOKEN; prints one answer for each way."""

import io
import json
import os
import tempfile

import requests

import library

session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
session.verify = library.CA


def upload(files, **data):
    return library.told(session.post(f"{library.BASE}/api/libraryfiles", files=files, data=data))


answers = {
    # Without a name of its own the part is named like its field.
    "nameless": upload({"file": io.StringIO("echo nameless")}, Description="d", OverrideIfExists=True),
    # What Python prints for its own booleans.
    "python_booleans": upload({"file": ("booleans.ps1", b"1")}, HasParameters=True, OverrideIfExists=False),
    "capital_field": upload({"File": ("capital.ps1", b"2")}),
    "content_type_of_its_own": upload({"file": ("odd.ps1", b"3", "application-type/octet-stream")}),
    "beyond_ascii": upload({"file": ("skript-äöü-脚本.ps1", "Grüße".encode())}, Description="für alle"),
    # The name is in every part's header and in a field, which is ignored.
    "ignored_field": upload({"file": ("real.ps1", b"4")}, FileName="ignored.ps1"),
    "empty_texts": upload({"file": ("empty-texts.ps1", b"5")}, Description="", ParametersDescription=""),
}
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "from-disk.ps1")
    with open(path, "wb") as file:
        file.write(b"6\n" * 1000)
    with open(path, "rb") as file:
        answers["open_file"] = upload({"file": file})
answers["list"] = library.told(session.get(f"{library.BASE}/api/libraryfiles"))
print(json.dumps(answers))
