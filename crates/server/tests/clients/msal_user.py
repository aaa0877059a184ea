"""msal, unmodified, signs a user in by code flow with PKCE and refreshes; the browser's part is done with requests."""

import html
import json
import os
import re
import sys
from urllib.parse import parse_qsl, urljoin, urlsplit

import msal
import requests

BASE = os.environ["BASE_URL"]
SCOPE = "https://api.securitycenter.microsoft.com/Library.Manage"

app = msal.PublicClientApplication(
    os.environ["CLIENT_ID"],
    oidc_authority=f"{BASE}/{os.environ['TENANT']}/v2.0",
    instance_discovery=False,
)
flow = app.initiate_auth_code_flow([SCOPE], redirect_uri=os.environ["REDIRECT_URI"])

browser = requests.Session()
page = browser.get(flow["auth_uri"])
fields = {
    name: html.unescape(value)
    for name, value in re.findall(r'<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"', page.text)
}
fields |= {"username": os.environ["USERNAME"], "password": os.environ["PASSWORD"]}
action = re.search(r'action="([^"]*)"', page.text)[1]
sent = browser.post(urljoin(page.url, action), data=fields, allow_redirects=False)
if sent.status_code != 303:
    sys.exit(f"{sent.status_code}: {sent.text}")
answer = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
answer.pop("from", None)
tokens = app.acquire_token_by_auth_code_flow(flow, answer)
if "access_token" not in tokens:
    sys.exit(f"no token: {tokens}")


def listed(token):
    answer = requests.get(f"{BASE}/api/libraryfiles", headers={"authorization": f"Bearer {token}"}, timeout=30)
    return answer.status_code


account = app.get_accounts()[0]
again = app.acquire_token_silent([SCOPE], account=account, force_refresh=True)
if not again or "access_token" not in again:
    sys.exit(f"no token by refresh: {again}")
print(json.dumps({
    "account": account["username"],
    "name": tokens["id_token_claims"]["name"],
    "list": listed(tokens["access_token"]),
    "list_refreshed": listed(again["access_token"]),
    "first": tokens["access_token"],
    "second": again["access_token"],
}))
