#!/usr/bin/env python3
"""Runs the demo of the program in $EXPORTER where the system has no more descriptors, memory or threads to give, and kills and
restarts it. Prints a line for each; fails where the exporter does not stay alive or does not recover.
"""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

EXPORTER = os.environ.get("EXPORTER", "target/debug/tradernet-exporter")
TIMEOUT = 60


class Exporter:
    """A demo with these limits, and the lines of its log."""

    def __init__(self, limits=()):
        self.lines = []
        self.process = subprocess.Popen(
            [EXPORTER, "demo", "--web.listen-address=127.0.0.1:0"],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: [resource.setrlimit(limit, (value, value)) for limit, value in limits],
        )
        threading.Thread(target=lambda: self.lines.extend(self.process.stderr), daemon=True).start()
        found = until("the exporter listens", lambda: re.search(r"msg=listening .*address=(\S+)", "".join(self.lines)))
        self.address = found[1]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as response:
                return response.read().decode()
        except (urllib.error.URLError, OSError):
            return None

    def until_ready(self):
        until("the exporter is ready", lambda: self.get("/-/ready"))
        return self.get("/metrics").count("\ntradernet_up{")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def until(what, condition):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    sys.exit(f"not within {TIMEOUT} s: {what}")


def descriptors():
    exporter = Exporter([(resource.RLIMIT_NOFILE, 64)])
    exporter.until_ready()
    host, port = exporter.address.rsplit(":", 1)
    connections = [socket.create_connection((host, int(port))) for _ in range(100)]
    time.sleep(5)
    failures = sum("accepting a connection failed" in line for line in exporter.lines)
    for connection in connections:
        connection.close()
    exporter.until_ready()
    exporter.kill()
    assert 1 <= failures <= 7, f"{failures} log lines in 5 s"
    print(f"64 descriptors and 100 connections: {failures} log lines in 5 s, ready again after they are closed")


def memory():
    limit = 96 << 20
    exporter = Exporter([(resource.RLIMIT_DATA, limit)])
    exporter.until_ready()
    for _ in range(200):
        assert exporter.get("/metrics") and exporter.get("/") and exporter.get("/api/v1/accounts")
    assert exporter.process.poll() is None
    exporter.kill()
    print(f"{limit >> 20} MiB of data: 600 pages served")


def threads():
    """As another user than root, whom the limit does not bind, and one who runs nothing else."""
    if os.geteuid() != 0:
        print("threads: skipped, since only root can become another user")
        return
    nobody = 65534
    command = [EXPORTER, "demo", "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]
    served = 0
    for limit in range(2, 20):
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            user=nobody,
            group=nobody,
            extra_groups=[],
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit)),
        )
        found = None
        for line in process.stderr:
            if found := re.search(r"msg=listening .*address=(\S+)", line):
                break
        if not found:
            assert process.wait() == 1 and "cannot start a thread" in line, (limit, process.returncode, line)
            continue
        for path in ["/metrics", "/-/reload", "/metrics", "/"]:
            request = urllib.request.Request(f"http://{found[1]}{path}", method="POST" if "reload" in path else "GET")
            with urllib.request.urlopen(request, timeout=10) as response:
                assert response.status == 200, (limit, path)
        assert process.poll() is None
        process.kill()
        process.wait()
        served += 1
    assert 0 < served < 18, served
    print(f"2 to 19 threads: {18 - served} starts refused, {served} served pages and a reload")


def restart():
    for _ in range(3):
        exporter = Exporter()
        accounts = exporter.until_ready()
        assert accounts > 5, accounts
        exporter.kill()
    print("kill -9 and restart, three times: every account is polled")


descriptors()
memory()
threads()
restart()
