"""The image, as far as it can be shown without building it: a root with the program that the tests have built, and the
Dockerfile's user, variables, health check and entry point. scripts/release-checks.sh builds the real one."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import image_checks

ROOT = Path(__file__).resolve().parents[2]


def configuration():
    """What `buildah inspect` shows of the Dockerfile's last stage."""
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("FROM scratch", 1)[1]
    find = {name: re.search(rf"^{name} .*?(\[.*\]|\S+)$", stage, re.MULTILINE)[1] for name in ("USER", "HEALTHCHECK", "ENTRYPOINT")}
    return {
        "User": find["USER"],
        "Env": re.findall(r"^ENV (\S+)$", stage, re.MULTILINE),
        "Healthcheck": {"Test": ["CMD", *json.loads(find["HEALTHCHECK"])]},
        "Entrypoint": json.loads(find["ENTRYPOINT"]),
    }


class Image(unittest.TestCase):
    def test_program_runs_as_the_image_runs_it(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            for name in ("dev", "proc", "etc/ssl/certs", "secrets"):
                (root / name).mkdir(parents=True)
            (root / "etc/hosts").touch()
            shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs")
            shutil.copy(os.environ["EXPORTER"], root / "tradernet-exporter")
            # This program is not static, unlike that of the image.
            libraries = subprocess.run(["ldd", root / "tradernet-exporter"], capture_output=True, text=True, check=True).stdout
            for library in re.findall(r"(/\S+) \(0x", libraries):
                (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, root / library[1:])
            inspected = Path(folder, "inspected.json")
            inspected.write_text(json.dumps({"Docker": {"config": configuration()}}), encoding="utf-8")
            command = [sys.executable, image_checks.__file__, root, inspected]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    unittest.main()
