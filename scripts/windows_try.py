"""What the tries of programs for Windows share: checks that are counted, and a server of this tree on loopback."""

import json
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 30
failed = []


def check(what, right, shown=""):
    print(("ok    " if right else "WRONG ") + what + ("" if right else f": {shown}"), flush=True)
    if not right:
        failed.append(what)


def until(what, look, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"never: {what}")


class Server:
    def __init__(self, folder):
        self.program = str(pathlib.Path("target/debug/jumpbag-server").resolve())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.options = ["--data-dir", str(folder), "--listen", self.url.removeprefix("http://")]
        self.options += ["--set", "ops_listen=", "--set", "rate_limits=false", "--set", "script_seconds=20"]
        self.log = open(folder.with_suffix(".log"), "wb")
        self.process = subprocess.Popen([self.program, *self.options], stdout=self.log, stderr=self.log)
        until("the server listens", self.listens)
        made = self.command(
            "clients", "add", "try", "--permission", "Library.Manage", "--permission", "Machine.ReadWrite.All",
            "--permission", "Machine.LiveResponse", "--permission", "Audit.Read", "--json",
        )
        self.client = client = json.loads(made)
        form = {
            "grant_type": "client_credentials", "client_id": client["client_id"], "client_secret": client["client_secret"],
            "scope": "https://api.securitycenter.microsoft.com/.default",
        }
        body = urllib.parse.urlencode(form).encode()
        path = f"/{client['tenant']}/oauth2/v2.0/token"
        self.token = None
        self.token = json.loads(self.ask("POST", path, body, "application/x-www-form-urlencoded"))["access_token"]

    def listens(self):
        host, port = self.url.removeprefix("http://").split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def command(self, *arguments):
        done = subprocess.run([self.program, *self.options, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr}")
        return done.stdout

    def ask(self, method, path, body=None, kind="application/json"):
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, body, method=method)
        if body is not None:
            request.add_header("Content-Type", kind)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read()}") from error

    def upload(self, name, content):
        edge = "x1234567890x"
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        more = f'\r\n--{edge}\r\nContent-Disposition: form-data; name="OverrideIfExists"\r\n\r\ntrue\r\n--{edge}--\r\n'
        body = head.encode() + content + more.encode()
        self.ask("POST", "/api/libraryfiles", body, f"multipart/form-data; boundary={edge}")

    def act(self, machine, *commands):
        body = json.dumps({"Comment": "try", "Commands": commands}).encode()
        return json.loads(self.ask("POST", f"/api/machines/{machine}/runliveresponse", body))["id"]

    def show(self, action):
        return json.loads(self.ask("GET", f"/api/machineactions/{action}"))

    def over(self, action):
        def look():
            shown = self.show(action)
            ended = shown["commands"][-1]["commandStatus"] in ("Completed", "Failed")
            return shown if shown["status"] not in ("Pending", "InProgress") or ended else None

        return until(f"{action} is over", look)

    def result(self, action, index=0):
        path = f"/api/machineactions/{action}/GetLiveResponseResultDownloadLink(index={index})"
        link = json.loads(self.ask("GET", path))["value"]
        with urllib.request.urlopen(link) as answer:
            return answer.read(), answer.headers.get("Content-Disposition") or ""

    def run(self, machine, name, *args):
        command = {"type": "RunScript", "params": [{"key": "ScriptName", "value": name}, {"key": "ArgsList", "value": list(args)}]}
        action = self.act(machine, command)
        done = self.over(action)
        return done, action

    def said(self, action):
        return json.loads(self.result(action)[0])["script_output"]
