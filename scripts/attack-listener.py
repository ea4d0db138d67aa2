#!/usr/bin/env python3
"""Attacks the exporter's listener, and measures a good client's scrapes meanwhile.

    scripts/attack-listener.py [--accounts 1000] [--seconds 15] [--programs target/release] [ATTACK…]

Starts the simulator, and for each attack an exporter of its own. --programs is the folder with `tradernet-exporter`
and `examples/simulator`. The good client has TLS and a password where the attack is on those. Attackers have a lower
priority: real ones do not use this machine's processors. Needs Python 3 and openssl.

Prints a table: what the attackers did, the scrapes' median and maximum before and during the attack, each on a new
connection and on a kept one (which is opened again if it was closed), as Prometheus makes them: compressed. Scrapes that failed, the growth of the exporter's memory, and what the system kept for its connections.
"""

import argparse
import asyncio
import base64
import itertools
import os
import re
import resource
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = b"Host: localhost\r\nUser-Agent: attack\r\n"
GET = b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n"
USER, PASSWORD = "prometheus", "correct horse"
TIMEOUT = 10
# Of the attackers: what they did, by name.
done = {}


def count(what):
    done[what] = done.get(what, 0) + 1


def basic(user, password):
    return b"Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()) + b"\r\n"


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_hello():
    """The bytes that begin a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def again(address, connection, attackers=500):
    """Runs so many connections, each again and again."""

    async def run():
        while True:
            try:
                reader, writer = await asyncio.open_connection(*address, limit=2**20)
                count("connections")
                try:
                    await connection(reader, writer)
                finally:
                    writer.transport.abort()
            except (OSError, EOFError, ssl.SSLError):
                pass
            # An attacker that is refused at once tries again, not in a busy loop.
            await asyncio.sleep(0.01)

    await asyncio.gather(*(run() for _ in range(attackers)))


async def slow_readers(address):
    """500 readers of a byte a second"""
    loop = asyncio.get_running_loop()

    async def run():
        while True:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.setblocking(False)
            try:
                await loop.sock_connect(client, address)
                await loop.sock_sendall(client, GET)
                count("connections")
                while await loop.sock_recv(client, 1):
                    await asyncio.sleep(1)
            except OSError:
                await asyncio.sleep(0.01)
            finally:
                client.close()

    await asyncio.gather(*(run() for _ in range(500)))


async def silent(address):
    """512 silent connections, opened again when closed"""
    await again(address, lambda reader, _: reader.read(1), 512)


def pipelined(request):
    async def connection(reader, writer):
        writer.write(request * 50)
        while await reader.read(2**20):
            count("reads")

    return connection


async def pipelined_scrapes(address):
    """500 connections with 50 scrapes sent ahead"""
    await again(address, pipelined(GET))


async def pipelined_pages(address):
    """500 connections with 50 status pages sent ahead"""
    await again(address, pipelined(GET.replace(b"/metrics", b"/")))


async def pipelined_probes(address):
    """500 connections with 50 probes sent ahead"""
    await again(address, pipelined(GET.replace(b"/metrics", b"/-/healthy")))


async def huge_heads(address):
    """500 heads of 1 MiB"""

    async def connection(reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 2**20)
        await reader.read()

    await again(address, connection)


async def many_headers(address):
    """500 heads with 5000 headers"""

    async def connection(reader, writer):
        writer.write(b"GET /metrics HTTP/1.1\r\n" + HEAD + b"X: y\r\n" * 5000 + b"\r\n")
        await reader.read()

    await again(address, connection)


async def slow_heads(address):
    """500 heads of a byte a second"""

    async def connection(_, writer):
        for byte in itertools.cycle(GET[:-4] + b"\r\nX: y"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)

    await again(address, connection)


async def bodies(address):
    """100 endless bodies on GET"""

    async def connection(reader, writer):
        writer.write(GET[:-2] + b"Content-Length: 1000000000000\r\n\r\n")

        async def send():
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                count("bodies of 64 KiB")

        sending = asyncio.ensure_future(send())
        try:
            while await reader.read(2**20):
                pass
        finally:
            sending.cancel()

    await again(address, connection, 100)


async def half_open(address):
    """TLS: 512 handshakes that stop after the first message"""
    hello = client_hello()

    async def connection(reader, writer):
        writer.write(hello)
        while await reader.read(2**16):
            pass

    await again(address, connection, 512)


async def large_hellos(address):
    """TLS: 512 first messages of 60 KiB that do not end"""
    record = b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xf0" + b"x" * (2**14 - 4)
    more = b"\x16\x03\x01\x40\x00" + b"x" * 2**14

    async def connection(reader, writer):
        writer.write(record + more + more + more[: 2**13])
        await reader.read()

    await again(address, connection, 512)


async def handshakes(address):
    """TLS: handshakes by 64 clients as fast as possible"""
    hello = client_hello()

    async def connection(reader, writer):
        writer.write(hello)
        await reader.read(1)

    await again(address, connection, 64)


async def plain_text(address):
    """TLS: 500 clients without TLS"""

    async def connection(reader, writer):
        writer.write(GET)
        await reader.read()

    await again(address, connection)


async def wrong_passwords(address):
    """TLS: 100 clients with wrong passwords as fast as possible"""
    context = trusting()

    async def run(number):
        user = USER if number % 2 else "unknown"
        for attempt in itertools.count():
            try:
                reader, writer = await asyncio.open_connection(*address, ssl=context)
                request = GET[:-2] + basic(user, f"{number} {attempt}") + b"\r\n"
                while True:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    count(f"answers {head.split()[1].decode()}")
                    await reader.readexactly(length(head))
            except (OSError, EOFError, ssl.SSLError):
                await asyncio.sleep(0.01)

    await asyncio.gather(*(run(number) for number in range(100)))


PLAIN = (slow_readers, silent, pipelined_scrapes, pipelined_pages, pipelined_probes, huge_heads, many_headers, slow_heads, bodies)
WITH_TLS = (half_open, large_hellos, handshakes, plain_text, wrong_passwords)
ATTACKS = {attack.__name__: attack for attack in PLAIN + WITH_TLS}


def attack(name, port):
    """In a process of its own, until it is terminated."""

    def end(*_):
        print(", ".join(f"{number} {what}" for what, number in done.items()), flush=True)
        os._exit(0)

    os.nice(10)
    signal.signal(signal.SIGTERM, end)
    asyncio.run(ATTACKS[name](("127.0.0.1", port)))


class Exporter:
    """A running exporter, all accounts of which are polled."""

    def __init__(self, programs, folder, accounts, has_tls):
        command = [programs / "tradernet-exporter", "--config.file", folder / "accounts.yml", "--web.listen-address", "127.0.0.1:0"]
        self.context = trusting() if has_tls else None
        self.headers = basic(USER, PASSWORD) if has_tls else b""
        if has_tls:
            command += ["--web.config.file", folder / "web.yml"]
        self.kept_connection = None
        self.coding = b""
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.port = next(int(found[1]) for line in self.process.stderr if (found := re.search(r"msg=listening .*:(\d+)$", line)))
        threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
        while self.scrape().count(b"\ntradernet_up{") < accounts:
            time.sleep(0.5)
        self.coding = b"Accept-Encoding: gzip\r\n"

    def connect(self):
        stream = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        return self.context.wrap_socket(stream, server_hostname="localhost") if self.context else stream

    def scrape_on(self, stream):
        stream.sendall(GET[:-2] + self.headers + self.coding + b"\r\n")
        page = bytearray()
        while (end := page.find(b"\r\n\r\n")) < 0 or len(page) < end + 4 + length(page):
            if not (part := stream.recv(2**20)):
                raise OSError(f"ends after {bytes(page[:100])}")
            page += part
        if not page.startswith(b"HTTP/1.1 200"):
            raise OSError(bytes(page[:100]))
        return bytes(page)

    def scrape(self):
        """The page, on a connection of its own."""
        with self.connect() as stream:
            return self.scrape_on(stream)

    def scrape_again(self):
        """The page, on the connection of the last time."""
        if self.kept_connection:
            try:
                return self.scrape_on(self.kept_connection)
            except OSError:
                self.kept_connection.close()
        self.kept_connection = self.connect()
        return self.scrape_on(self.kept_connection)

    def times(self, seconds):
        """Milliseconds of scrapes on new connections and on a kept one, and how many failed."""
        taken, failed, end = ([], []), 0, time.monotonic() + seconds
        for number in itertools.count():
            if time.monotonic() > end:
                return taken, failed
            start = time.monotonic()
            try:
                self.scrape_again() if number % 2 else self.scrape()
                taken[number % 2].append(1000 * (time.monotonic() - start))
            except OSError as error:
                failed += 1
                print(f"a scrape failed: {error!r}", file=sys.stderr)
            time.sleep(0.1)

    def memory(self):
        """Resident KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    def kept(self):
        """Bytes that the system keeps for the exporter's connections."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        own = [row[4].split(":") for row in rows if row[1].endswith(f":{self.port:04X}")]
        return sum(int(queue, 16) for queues in own for queue in queues)

    def measure(self, name, seconds):
        """A line of the table."""
        before, _ = self.times(3)
        base = greatest = self.memory()
        kept = 0
        attackers = subprocess.Popen([sys.executable, __file__, "--attack", name, str(self.port)], stdout=subprocess.PIPE, text=True)
        ended = threading.Event()

        def watch():
            nonlocal greatest, kept
            while not ended.wait(0.5):
                greatest, kept = max(greatest, self.memory()), max(kept, self.kept())

        watching = threading.Thread(target=watch)
        watching.start()
        time.sleep(1)
        during, failed = self.times(seconds)
        ended.set()
        watching.join()
        attackers.terminate()
        did = attackers.communicate()[0].strip()
        growth = (greatest - base) / 1024
        return f"| {ATTACKS[name].__doc__} | {did} | {figures(*before)} | {figures(*during)} | {failed} of {failed + sum(map(len, during))} | {growth:.0f} | {kept / 2**20:.0f} |"

    def stop(self):
        self.process.terminate()
        self.process.wait()


def figures(*lists):
    return ", ".join(f"{statistics.median(times):.0f} ({max(times):.0f})" if times else "none" for times in lists)


def length(page):
    return int(re.search(rb"(?i)\r\ncontent-length: (\d+)", page)[1])


def web_configuration(programs, folder):
    """TLS with an RSA key, which costs the server most, and a user."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    hashed = subprocess.run([programs / "tradernet-exporter", "hash-password"], input=PASSWORD, capture_output=True, text=True, check=True).stdout
    text = f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\nbasic_auth_users:\n  {USER}: {hashed}"
    (folder / "web.yml").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release")
    parser.add_argument("--simulator", type=Path)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    arguments = parser.parse_args()
    simulator = arguments.simulator or arguments.programs / "examples/simulator"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        web_configuration(arguments.programs, folder)
        accounts = folder / "accounts.yml"
        upstream = subprocess.Popen([simulator, "127.0.0.1:0", str(arguments.accounts), accounts], stdout=subprocess.PIPE, text=True)
        try:
            upstream.stdout.readline()
            text = accounts.read_text(encoding="utf-8")
            accounts.write_text(text.replace("poll_interval: 60s", "poll_interval: 10s"), encoding="utf-8")
            print("| attack | what the attackers did | scrape before, ms: median (greatest), new and kept connection | during, ms | failed | growth, MiB | kept by the system, MiB |")
            print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
            for name in arguments.attacks or ATTACKS:
                exporter = Exporter(arguments.programs, folder, arguments.accounts, ATTACKS[name] in WITH_TLS)
                try:
                    print(exporter.measure(name, arguments.seconds), flush=True)
                finally:
                    exporter.stop()
        finally:
            upstream.terminate()


if __name__ == "__main__":
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    if sys.argv[1:2] == ["--attack"]:
        attack(sys.argv[2], int(sys.argv[3]))
    else:
        main()
