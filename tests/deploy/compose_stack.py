"""Runs the services of deploy/compose/compose.yaml with Debian's programs, without a container engine.

    bwrap … compose_stack.py PROGRAM_OF_THE_EXPORTER

Must run in a network namespace of its own, so that the published configuration works unchanged: each service's name
is loopback. Each program gets a root of its own in which the service's volumes are where its container has them. Only the
intervals are shortened to a second. Prints the targets, alerts and Alertmanagers of Prometheus as JSON.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import yaml

import sandbox

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "compose"
TIMEOUT_SECONDS = 60


def interpolated(text):
    """Replaces `${NAME-default}` and `${NAME:-default}`, with no variable set."""
    return re.sub(r"\$\{\w+:?-(.*?)\}", r"\1", text)


def services():
    return yaml.safe_load(interpolated((FOLDER / "compose.yaml").read_text(encoding="utf-8")))["services"]


def image_environment():
    """The listen address that the image sets."""
    return dict(re.findall(r"^ENV (WEB_\w+)=(\S+)$", (FOLDER.parents[1] / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))


def binds(service, temporary):
    """The arguments of bwrap for the service's volumes."""
    for volume in service["volumes"]:
        source, target, *mode = volume.split(":")
        if not source.startswith("."):
            # A named volume.
            path = temporary / source
            path.mkdir(exist_ok=True)
            yield from ("--bind", path, target)
            continue
        path = (FOLDER / source).resolve(strict=True)
        if path.name == "prometheus.yml":
            text = re.sub(r"(_interval): 30s", r"\1: 1s", path.read_text(encoding="utf-8"))
            path = temporary / path.name
            path.write_text(text, encoding="utf-8")
        assert mode == ["ro"], f"{volume} can be written"
        yield from ("--ro-bind", path, target)


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def observe():
    """What Prometheus and Alertmanager know once the exporter was scraped and an alert fires; None before."""
    api = "http://127.0.0.1:9090/api/v1"
    data = {name: get(f"{api}/{name}")["data"] for name in ("targets", "alertmanagers", "rules")}
    alerts = get("http://127.0.0.1:9093/api/v2/alerts")
    if not alerts or any(target["health"] == "unknown" for target in data["targets"]["activeTargets"]):
        return None
    return data | {"alerts": alerts}


def main(exporter):
    programs = {"exporter": exporter, "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
    children = []
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        for name, program in programs.items():
            service = services()[name]
            arguments = service["command"] if isinstance(service["command"], list) else service["command"].split()
            environment = image_environment() if name == "exporter" else {}
            hosts = temporary / "hosts"
            hosts.write_text("".join(f"127.0.0.1 {service}\n" for service in services()), encoding="utf-8")
            command = sandbox.command(program, arguments, environment, ["--ro-bind", hosts, "/etc/hosts", *binds(service, temporary)])
            with open(temporary / f"{name}.log", "w", encoding="utf-8") as log:
                children.append(subprocess.Popen(command, stdout=log, stderr=log))
        end = time.monotonic() + TIMEOUT_SECONDS
        try:
            while True:
                try:
                    if seen := observe():
                        print(json.dumps(seen))
                        return 0
                except OSError as error:
                    if time.monotonic() > end:
                        print(error, file=sys.stderr)
                if time.monotonic() > end:
                    for name in programs:
                        print(f"{name}:\n{(temporary / f'{name}.log').read_text(encoding='utf-8')[-3000:]}", file=sys.stderr)
                    return 1
                time.sleep(0.2)
        finally:
            for child in children:
                child.kill()
                child.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
