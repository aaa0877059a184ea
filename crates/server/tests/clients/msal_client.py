"""msal, unmodified; then the library with its token.

usage: msal_client.py authority|oidc_authority secret|certificate

`certificate` signs an assertion with the PEM key in CLIENT_KEY_FILE, whose certificate has the SHA-1 THUMBPRINT.
"""

import os
import sys

import msal

import library

how, proof = sys.argv[1:]
authority = f"{library.BASE}/{os.environ['TENANT']}"
where = {
    "authority": {"authority": authority},
    "oidc_authority": {"oidc_authority": f"{authority}/v2.0"},
}[how]
if proof == "certificate":
    with open(os.environ["CLIENT_KEY_FILE"]) as file:
        credential = {"private_key": file.read(), "thumbprint": os.environ["THUMBPRINT"]}
else:
    credential = os.environ["CLIENT_SECRET"]

app = msal.ConfidentialClientApplication(
    os.environ["CLIENT_ID"],
    client_credential=credential,
    instance_discovery=False,
    verify=library.CA,
    **where,
)
answer = app.acquire_token_for_client(scopes=[library.SCOPE])
if "access_token" not in answer:
    sys.exit(f"no token: {answer}")
library.tour(answer["access_token"], f"from-msal-{how}-{proof}.ps1")
