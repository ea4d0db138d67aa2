#!/usr/bin/env python3
"""Simulates an outage of the API and counts the notifications, with real Prometheus and Alertmanager.

    scripts/simulate-outage.py [--accounts 200] [--minutes 10] [--speed 1] [--programs target/release]

Starts the simulator, the exporter, Prometheus and Alertmanager with the shipped configurations, lets the
simulator hang for the given minutes, and waits until all alerts have ended. With --speed every
duration in the configurations is divided. --programs is the folder with `tradernet-exporter` and
`examples/simulator`; Prometheus and Alertmanager are found by PATH. Needs Python 3.

Prints one JSON object: notifications by receiver, and the seconds from the end of the outage to the
first successful poll, from there to the last account's, and to the end of the alerts. Exit status 0
if all accounts recovered and all alerts ended, else 1.
"""

import argparse
import http.server
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DURATION = re.compile(r"\b(\d+)(ms|s|m|h|d|w)\b")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def faster(text, speed):
    """Divides every duration in the text."""
    return DURATION.sub(lambda m: f"{max(1, round(1000 * int(m[1]) * SECONDS[m[2]] / speed))}ms", text)


def milliseconds(seconds, speed):
    return f"{round(1000 * seconds / speed)}ms"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Receives Alertmanager's webhooks; the path is the receiver's name."""

    notifications = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = sorted({alert["labels"]["alertname"] for alert in body["alerts"]})
        note = {"receiver": self.path[1:], "status": body["status"], "alerts": names, "count": len(body["alerts"])}
        self.notifications.append(note)
        print(f"{time.strftime('%X')} {json.dumps(note)}", file=sys.stderr, flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Logs nothing."""


class Programs:
    """The running programs; all are killed at the end."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, command):
        log = open(self.folder / f"{name}.log", "w", encoding="utf-8")  # noqa: SIM115
        process = subprocess.Popen([str(part) for part in command], cwd=self.folder, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def log_of(self, name):
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    def stop(self):
        for process in self.running:
            process.kill()
            process.wait()


def wait(what, seconds, look):
    """Calls `look` until it returns something true; fails after the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except (OSError, ValueError, LookupError):
            pass
        time.sleep(0.1)
    raise TimeoutError(f"not within {seconds:.0f} s: {what}")


def listening(process):
    """Returns the address on which a process listens on loopback, from the kernel's table."""
    sockets = set()
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        if match := re.match(r"socket:\[(\d+)\]", str(entry.readlink())):
            sockets.add(match[1])
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        columns = line.split()
        if columns[3] == "0A" and columns[9] in sockets:
            return f"127.0.0.1:{int(columns[1].split(':')[1], 16)}"
    return None


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
        return answer.read().decode()


def samples(address, name):
    """Returns the values of a metric on the exporter, by its labels."""
    return {m[1]: float(m[2]) for m in re.finditer(rf"^{name}\{{(.*)\}} (\S+)$", get(address, "/metrics"), re.MULTILINE)}


def firing(prometheus):
    query = urllib.parse.quote('ALERTS{alertstate="firing"}')
    return json.loads(get(prometheus, f"/api/v1/query?query={query}"))["data"]["result"]


def simulate(options, folder, programs):
    speed = options.speed
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    webhook = f"http://127.0.0.1:{receiver.server_port}"

    simulator = programs.start("simulator", [options.programs / "examples/simulator", "127.0.0.1:0", options.accounts, "accounts.yml"])
    wait("the simulator listens", 30, lambda: "listening" in programs.log_of("simulator"))
    accounts = folder / "accounts.yml"
    timing = f"poll_interval: {milliseconds(30, speed)}\n  timeout: {milliseconds(10, speed)}\n  max_age: {milliseconds(90, speed)}"
    accounts.write_text(re.sub(r"poll_interval: \S+", timing, accounts.read_text(encoding="utf-8")), encoding="utf-8")
    exporter = programs.start(
        "exporter", [options.programs / "tradernet-exporter", "--config.file", accounts, "--web.listen-address", "127.0.0.1:0"]
    )
    exporter_address = wait("the exporter listens", 30, lambda: listening(exporter))

    text = faster((ROOT / "examples/alertmanager.yml").read_text(encoding="utf-8"), speed)
    for name in ("office", "pager"):
        hook = f"- name: {name}\n    webhook_configs: [{{url: {webhook}/{name}, send_resolved: true}}]"
        text = text.replace(f"- name: {name}", hook)
    (folder / "alertmanager.yml").write_text(text, encoding="utf-8")
    alertmanager = programs.start(
        "alertmanager",
        ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address=",
         "--web.listen-address=127.0.0.1:0"],
    )  # fmt: skip
    alertmanager_address = wait("Alertmanager listens", 30, lambda: listening(alertmanager))

    (folder / "dashboards").mkdir()
    (folder / "examples").mkdir()
    rules = (ROOT / "dashboards/alerts.yaml").read_text(encoding="utf-8")
    (folder / "dashboards/alerts.yaml").write_text(faster(rules, speed), encoding="utf-8")
    text = faster((ROOT / "examples/prometheus.yml").read_text(encoding="utf-8"), speed)
    text = text.replace("127.0.0.1:10460", exporter_address).replace("127.0.0.1:9093", alertmanager_address)
    (folder / "examples/prometheus.yml").write_text(text, encoding="utf-8")
    prometheus = programs.start(
        "prometheus",
        ["prometheus", "--config.file=examples/prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0",
         f"--query.lookback-delta={milliseconds(300, speed)}"],
    )  # fmt: skip
    prometheus_address = wait("Prometheus listens", 30, lambda: listening(prometheus))

    def all_up():
        return sum(samples(exporter_address, "tradernet_up").values()) == options.accounts

    wait("every account was polled", 60 + 60 / speed, all_up)
    time.sleep(300 / speed)
    before = len(Receiver.notifications)

    simulator.send_signal(signal.SIGSTOP)
    time.sleep(60 * options.minutes / speed)
    simulator.send_signal(signal.SIGCONT)
    ended = time.time()

    # An account's first success after the outage, by the exporter's own clock. A request that hung during the outage
    # may be answered at its end: the success counts all the same.
    successes = {}

    def all_recovered():
        for account, at in samples(exporter_address, "tradernet_last_successful_poll_timestamp_seconds").items():
            if at >= ended:
                successes.setdefault(account, at)
        return len(successes) == options.accounts

    wait("every account recovers", 1800 / speed + 120, all_recovered)
    first, last = min(successes.values()), max(successes.values())
    wait("no alert fires", 2400 / speed + 120, lambda: not firing(prometheus_address))
    quiet = time.time()
    time.sleep(420 / speed)
    counts = {name: [n for n in Receiver.notifications if n["receiver"] == name] for name in ("pager", "office")}
    return {
        "accounts": options.accounts,
        "outage_minutes": options.minutes,
        "speed": speed,
        "notifications_before": before,
        "notifications": {name: len(notes) for name, notes in counts.items()},
        "alerts": {name: sorted({alert for n in notes for alert in n["alerts"]}) for name, notes in counts.items()},
        "first_success_seconds": round((first - ended) * speed, 1),
        "recovery_seconds": round((last - first) * speed, 1),
        "alerts_ended_seconds": round((quiet - ended) * speed, 1),
    }


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--speed", type=float, default=1)
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release")
    options = parser.parse_args(arguments)
    options.programs = options.programs.resolve()
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(Path(folder))
        try:
            print(json.dumps(simulate(options, Path(folder), programs)))
        except TimeoutError as error:
            print(error, json.dumps(Receiver.notifications), file=sys.stderr)
            for name in ("simulator", "exporter", "alertmanager", "prometheus"):
                log = Path(folder) / f"{name}.log"
                if log.exists():
                    print(f"--- {name}", *log.read_text(encoding="utf-8").splitlines()[-15:], sep="\n", file=sys.stderr)
            return 1
        finally:
            programs.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
