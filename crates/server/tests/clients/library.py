"""What every Python client does once it has a token: upload, list, delete, each with `requests`."""

import json
import os

import requests

BASE = os.environ["BASE_URL"]
CA = os.environ.get("CA_FILE", True)
SCOPE = "https://api.securitycenter.microsoft.com/.default"


def tour(token, name):
    """Uploads, lists and deletes one file; prints the three answers as JSON."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    session.verify = CA
    upload = session.post(
        f"{BASE}/api/libraryfiles",
        files={"file": (name, b"Write-Output 'hello'\n")},
        data={"Description": "from a public client", "OverrideIfExists": "false"},
    )
    listed = session.get(f"{BASE}/api/libraryfiles")
    deleted = session.delete(f"{BASE}/api/libraryfiles/{name}")
    print(json.dumps({"upload": told(upload), "list": told(listed), "delete": told(deleted)}))


def told(response):
    """An answer as a test wants to see it."""
    try:
        body = response.json()
    except ValueError:
        body = response.text
    return {"status": response.status_code, "headers": dict(response.headers), "body": body}
