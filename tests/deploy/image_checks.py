#!/usr/bin/env python3
"""Runs an image's root without a container engine: as its user, without privileges, on a read-only root.

    image_checks.py ROOT INSPECTED

ROOT holds the image's files and the empty folders that a runtime adds; INSPECTED is the output of `buildah inspect --type image`. Needs
bubblewrap, nsenter and openssl. Ends with exit status 1 at the first failure.
"""

import contextlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ANSWER = Path(__file__).resolve().parents[1] / "fixtures" / "answers" / "open-0.an-empty-list.json"
# Nested, so that everything in it has one network of its own.
NETWORK_OF_ITS_OWN = "bwrap --dev-bind / / --unshare-user --uid 0 --gid 0 --unshare-net --die-with-parent --cap-add ALL".split()
TIMEOUT_SECONDS = 20


class Image:
    def __init__(self, root, inspected):
        config = json.loads(Path(inspected).read_text(encoding="utf-8"))["Docker"]["config"]
        self.root, self.entrypoint = root, config["Entrypoint"]
        self.environment = dict(variable.split("=", 1) for variable in config["Env"])
        self.user, self.group = config["User"].split(":")
        # ["CMD", program, argument…]
        self.health = config["Healthcheck"]["Test"][1:]
        assert config["Healthcheck"]["Test"][0] == "CMD", "an empty image has no shell"

    def start(self, *arguments, variables=None, binds=()):
        environment = self.environment | (variables or {})
        command = [
            "bwrap", "--ro-bind", self.root, "/", "--dev", "/dev", "--proc", "/proc", *binds,
            "--unshare-user", "--uid", self.user, "--gid", self.group, "--cap-drop", "ALL", "--unshare-pid", "--as-pid-1", "--unshare-ipc",
            "--clearenv", *(part for name, value in environment.items() for part in ("--setenv", name, value)),
            "--die-with-parent", *self.entrypoint, *arguments,
        ]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def exec(self, started, command):
        """Runs the command in the namespaces of what was started, as `docker exec` does; returns its exit status."""
        enter = ["nsenter", f"--target={child(started)}", "--user", "--mount", "--pid", "--preserve-credentials"]
        return subprocess.run([*enter, *command], env=self.environment, capture_output=True, check=False).returncode


def child(started):
    """The process that bubblewrap has started."""
    return int(wait("bubblewrap has a child", lambda: Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text(encoding="ascii")))


def wait(what, look):
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"not within {TIMEOUT_SECONDS} s: {what}")


def serves_and_ends(image, *flags):
    demo = image.start("demo", *flags)
    try:
        wait(f"demo {flags} is healthy", lambda: image.exec(demo, image.health) == 0)
        status = Path(f"/proc/{child(demo)}/status").read_text(encoding="ascii")
        assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status, status
        os.kill(child(demo), 15)
        code = demo.wait(timeout=TIMEOUT_SECONDS)
        assert code == 0, f"exit status {code}: {demo.stderr.read()}"
    finally:
        demo.kill()


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = ANSWER.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Logs nothing."""


@contextlib.contextmanager
def private_api(folder):
    """An API with a certificate of a private CA, which is ca.pem in the folder."""
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split()
    for command in (
        [*request, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"],
        [*request, "-subj", "/CN=api", "-addext", "subjectAltName=DNS:api.example", "-addext", "basicConstraints=critical,CA:FALSE",
         "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"],
    ):  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    Path(folder, "hosts").write_text("127.0.0.1 api.example\n", encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder, "cert.pem"), Path(folder, "key.pem"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Api)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()


def trusts_a_private_ca(image):
    with tempfile.TemporaryDirectory() as folder, private_api(folder):
        binds = ["--ro-bind", f"{folder}/hosts", "/etc/hosts", "--ro-bind", folder, "/secrets"]
        account = {"TRADERNET_URL": "https://api.example", "TRADERNET_SID": "0123456789abcdef"}
        for variables, expected in ((account | {"SSL_CERT_FILE": "/secrets/ca.pem"}, 0), (account, 1)):
            check = image.start("check", variables=variables, binds=binds)
            output, error = check.communicate(timeout=TIMEOUT_SECONDS)
            assert check.returncode == expected, f"exit status {check.returncode} with {sorted(variables)}: {output}{error}"


def main(root, inspected, *nested):
    if not nested:
        return subprocess.run([*NETWORK_OF_ITS_OWN, sys.executable, *sys.argv, "nested"], check=False).returncode
    image = Image(root, inspected)
    assert (image.user, image.group) == ("65532", "65532"), image.user
    for flags in ((), ("--web.listen-address", "127.0.0.1:9999")):
        serves_and_ends(image, *flags)
    trusts_a_private_ca(image)
    print("image: the demo answers and ends, also with a listen flag; a private CA is trusted")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
