#!/usr/bin/env python3
"""Measures binaries of the exporter beside each other: size, memory, start, many accounts.

    scripts/benchmark.py BINARY...         a table with a column for each; they take turns
    scripts/benchmark.py --instructions BINARY
                                           instructions of a scrape and of a poll; fails above LIMITS

The API is an HTTP server of this script, on loopback. Needs openssl and wrk, for --instructions valgrind.
ACCOUNTS="2000 10000" are the numbers of accounts, SECONDS_MEASURED=60 how long each is measured; RATE=200 polls a
second are made of them, whatever their number, from 200 accounts on.
"""

import argparse
import asyncio
import contextlib
import gzip
import os
import pathlib
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

# Outside of the kernel; about 10 % above the last counts.
LIMITS = {"scrape": 15_000, "poll": 285_000}
SESSIONS = b"[%s]" % b",".join(
    b'{"id":%d,"owner_login":"desk@example.com","user_login":"desk@example.com","safety_type_id":%d,'
    b'"key_current":"Login, password","start_datetime":"2016-06-14T13:14:13.187",'
    b'"expire_datetime":"2016-06-15T13:14:13.187","expire":85299000,"ip":"c5u7","ip_client":"203.0.113.7"}'
    % (7_165_011 + n, 2 + n % 3)
    for n in range(10)
)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(SESSIONS),
    SESSIONS,
)
TICKS = os.sysconf("SC_CLK_TCK")


class Api:
    """Answers every request with ten sessions; counts connections and requests."""

    def __init__(self, tls=None):
        self.connections = self.requests = 0
        self.loop = asyncio.new_event_loop()
        start = asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls, backlog=4096)
        self.server = self.loop.run_until_complete(start)
        port = self.server.sockets[0].getsockname()[1]
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.requests += 1
                writer.write(ANSWER)
                await writer.drain()
        writer.close()


class Exporter:
    """A binary that is running; `command` comes before it."""

    def __init__(self, binary, variables, command=(), arguments=()):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        variables = {**variables, "WEB_LISTEN_ADDRESS": f"127.0.0.1:{self.port}"}
        if command:
            variables["PATH"] = os.environ["PATH"]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, binary, *arguments], env=variables, stderr=subprocess.DEVNULL
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def connect(self):
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    sys.exit(f"{self.process.args} ended")
                time.sleep(0.0001)

    def scrapes(self, count=1, coding=""):
        """The last of so many pages, requested on one connection."""
        accept = f"Accept-Encoding: {coding}\r\n" if coding else ""
        request = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{accept}\r\n".encode()
        with self.connect() as connection, connection.makefile("rb") as answer:
            for _ in range(count):
                connection.sendall(request)
                head = b"".join(iter(answer.readline, b"\r\n"))
                page = answer.read(int(re.search(rb"content-length: (\d+)", head)[1]))
        return (gzip.decompress(page) if coding == "gzip" else page).decode()

    def polls(self):
        found = re.findall(r"^tradernet_polls_total\S* (\d+)", self.scrapes(), re.M)
        return sum(map(int, found))

    def wait_for_polls(self, count):
        while self.polls() < count:
            time.sleep(0.2)

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / TICKS


def certificate(folder):
    """A certificate that is its own CA for loopback: its file, and the server's settings."""
    ca, leaf = folder / "ca.pem", folder / "leaf.pem"
    run = lambda *arguments: subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    run(*new, "-subj", "/CN=benchmark CA", "-keyout", str(folder / "ca.key"), "-out", str(ca))
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
    run(*new, "-subj", "/CN=127.0.0.1", *names, "-CA", str(ca), "-CAkey", str(folder / "ca.key"),
        "-keyout", str(folder / "leaf.key"), "-out", str(leaf))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf, folder / "leaf.key")
    return str(ca), tls


def one_account(api, interval="1s", **more):
    return {"TRADERNET_URL": api.origin, "TRADERNET_SID": "0" * 32, "TRADERNET_POLL_INTERVAL": interval, **more}


def accounts_file(folder, api, count, interval):
    file = folder / f"accounts-{count}.yml"
    accounts = "".join(f"  - account: account-{n:05}\n    sid: {n:032x}\n" for n in range(count))
    file.write_text(f"defaults:\n  url: {api.origin}\n  poll_interval: {interval}\naccounts:\n{accounts}")
    return str(file)


def size(binary, folder):
    stripped = folder / "stripped"
    subprocess.run(["strip", "-o", str(stripped), binary], check=True)
    return stripped.stat().st_size / 2**20


def memory(binary, api, ca):
    """One account over TLS: when idle, and what 100 000 scrapes add."""
    with Exporter(binary, one_account(api, SSL_CERT_FILE=ca)) as exporter:
        exporter.wait_for_polls(3)
        idle = exporter.resident_mib()
        url = f"http://127.0.0.1:{exporter.port}/metrics"
        scraped = 0
        while scraped < 100_000:
            wrk = subprocess.run(["wrk", "-t1", "-c8", "-d2s", url], check=True, capture_output=True, text=True)
            scraped += int(re.search(r"(\d+) requests in", wrk.stdout)[1])
        return idle, exporter.resident_mib() - idle


def start(binary, api, variables):
    """Milliseconds from the start of the process to the first whole page."""
    with Exporter(binary, one_account(api, **variables)) as exporter:
        exporter.scrapes()
        return (time.perf_counter() - exporter.started) * 1000


def many(binary, folder, api, count, seconds):
    """Memory in MiB, also after scrapes; processor time of a poll in µs, without scrapes; connections."""
    interval = max(1, round(count / int(os.environ.get("RATE", "200"))))
    arguments = ["--config.file", accounts_file(folder, api, count, f"{interval}s")]
    before, opened = api.requests, api.connections
    with Exporter(binary, getattr(api, "variables", {}), arguments=arguments) as exporter:
        while api.requests - before < count:
            time.sleep(0.1)
        polls, cpu, connections = api.requests, exporter.cpu_seconds(), api.connections
        time.sleep(seconds)
        polls, cpu = api.requests - polls, exporter.cpu_seconds() - cpu
        new, memory = api.connections - connections, exporter.resident_mib()
        for _ in range(3):
            exporter.scrapes(coding="gzip")
            # A page is kept for a second.
            time.sleep(1.1)
        return memory, exporter.resident_mib(), cpu / polls * 1e6, f"{connections - opened}; {new} for {polls}"


def row(name, values):
    print(f"| {name} | {' | '.join(values)} |", flush=True)


def table(binaries):
    sizes = [int(count) for count in os.environ.get("ACCOUNTS", "2000 10000").split()]
    seconds = float(os.environ.get("SECONDS_MEASURED", "60"))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ca, tls = certificate(folder)
        plain, secure = Api(), Api(tls)
        secure.variables = {"SSL_CERT_FILE": ca}
        row("", binaries)
        row("---", ["---:" for _ in binaries])
        row("binary, stripped, MiB", [f"{size(binary, folder):.2f}" for binary in binaries])
        memories = [memory(binary, secure, ca) for binary in binaries]
        row("resident, one account over TLS, idle, MiB", [f"{idle:.1f}" for idle, _ in memories])
        row("added by 100 000 scrapes, MiB", [f"{added:.1f}" for _, added in memories])
        for label, api, variables in (
            ("start to first scrape, plain HTTP, ms", plain, {}),
            ("start to first scrape, TLS with the system's CAs, ms", secure, {}),
        ):
            runs = [[start(binary, api, variables) for binary in binaries] for _ in range(15)]
            row(label, [f"{statistics.median(times):.1f} (least {min(times):.1f})" for times in zip(*runs)])
        idle = [many(binary, folder, plain, 1, 3)[:2] for binary in binaries]
        for api, over in ((plain, "plain HTTP"), (secure, "TLS")):
            for count in sizes:
                results = [many(binary, folder, api, count, seconds) for binary in binaries]
                for at, when in enumerate(("", ", scraped with gzip")):
                    kib = [(result[at] - least[at]) * 1024 / count for result, least in zip(results, idle)]
                    row(f"{count} accounts, {over}: memory of one{when}, KiB", [f"{each:.1f}" for each in kib])
                row(f"{count} accounts, {over}: processor time of a poll, µs", [f"{result[2]:.0f}" for result in results])
                row(f"{count} accounts, {over}: connections after the first polls; more for the next polls",
                    [result[3] for result in results])


def instructions(binary):
    """Instructions of a scrape and of a poll."""
    with tempfile.TemporaryDirectory() as name:
        folder, api = pathlib.Path(name), Api()
        control = lambda *arguments: subprocess.run(
            ["callgrind_control", *arguments], check=True, capture_output=True)

        def measure(what, variables, arguments, ready, work):
            out = folder / what
            command = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
            with Exporter(binary, variables, command, arguments) as exporter:
                ready(exporter)
                pid = str(exporter.process.pid)
                control("-i", "on", pid)
                count = work(exporter)
                control("-d", pid)
                text = pathlib.Path(f"{out}.1").read_text()
                return int(re.search(r"^(?:summary|totals): (\d+)", text, re.M)[1]) / count

        def scrape(exporter, count=3000):
            exporter.scrapes(count)
            return count

        def poll(_):
            before = api.requests
            time.sleep(10)
            return api.requests - before

        accounts = accounts_file(folder, api, 50, "1s")
        found = {
            "scrape": measure("scrape", one_account(api, "1h"), (), lambda e: e.scrapes(200), scrape),
            "poll": measure("poll", {}, ("--config.file", accounts), lambda e: e.wait_for_polls(150), poll),
        }
    for what, count in found.items():
        print(f"{what}: {count:.0f} instructions (limit: {LIMITS[what]})")
    return all(found[what] <= limit for what, limit in LIMITS.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", metavar="BINARY", help="count instructions")
    parser.add_argument("binaries", metavar="BINARY", nargs="*", help="measured beside the others")
    arguments = parser.parse_args()
    if bool(arguments.instructions) == bool(arguments.binaries):
        parser.error("either binaries, or one with --instructions")
    needed = ("valgrind",) if arguments.instructions else ("openssl", "wrk", "strip")
    for program in needed:
        if not shutil.which(program):
            sys.exit(f"{program} is required")
    for binary in arguments.binaries or [arguments.instructions]:
        if not os.access(binary, os.X_OK):
            sys.exit(f"{binary}: not an executable file")
    if arguments.instructions:
        sys.exit(0 if instructions(arguments.instructions) else 1)
    table(arguments.binaries)


if __name__ == "__main__":
    main()
