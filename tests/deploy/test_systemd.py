"""deploy/systemd: the unit is valid and restricted, and its example configures the exporter."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import sandbox

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "systemd"
UNIT = (FOLDER / "tradernet-exporter.service").read_text(encoding="utf-8")
MAX_EXPOSURE = 1.5


def setting(name):
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


class Systemd(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # `verify` requires that the program and the user exist on this machine.
        text = re.sub(r"^(Exec\w+)=tradernet-exporter", rf"\1={Path(os.environ['EXPORTER']).resolve()}", UNIT, flags=re.MULTILINE)
        self.unit = self.folder / "tradernet-exporter.service"
        self.unit.write_text(text.replace("=tradernet-exporter\n", "=daemon\n"), encoding="utf-8")

    def analyze(self, *arguments, unit=None):
        command = ["systemd-analyze", *arguments, unit or self.unit]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.folder}:"})
        return run.returncode, run.stdout + run.stderr

    def test_unit_is_valid_also_with_credentials(self):
        self.assertEqual(self.analyze("verify"), (0, ""))
        drop_in = self.folder / "tradernet-exporter.service.d" / "credentials.conf"
        drop_in.parent.mkdir()
        drop_in.write_text((FOLDER / "credentials.conf").read_text(encoding="utf-8"), encoding="utf-8")
        self.assertEqual(self.analyze("verify"), (0, ""))

    def test_socket_is_valid_also_as_a_file(self):
        text = (FOLDER / "tradernet-exporter.socket").read_text(encoding="utf-8")
        as_file = re.sub(r"^ListenStream=.*\n", "", text, flags=re.MULTILINE).replace("#ListenStream", "ListenStream").replace("#SocketGroup=www-data", "SocketGroup=daemon")
        self.assertIn("ListenStream=/run/", as_file)
        for socket in text, as_file:
            unit = self.folder / "tradernet-exporter.socket"
            unit.write_text(socket, encoding="utf-8")
            self.assertEqual(self.analyze("verify", unit=unit), (0, ""))

    def test_exposure_is_low(self):
        code, text = self.analyze("security", "--offline=true")
        self.assertEqual(code, 0, text)
        self.assertLessEqual(float(re.search(r"exposure level for \S+: ([\d.]+)", text)[1]), MAX_EXPOSURE, text)

    def test_tasks_suffice_for_the_threads(self):
        def limits(file):
            return [int(number) for number in re.findall(r"^const MAX_\w*THREADS: usize = (\d+);", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)]

        runtime, names = limits("src/main.rs"), limits("src/tradernet/resolver.rs")
        self.assertEqual((len(runtime), len(names)), (2, 1))
        # Pages and polls have a runtime each; the main thread and the log's; the check of a reload: main, workers, one for files, one for names.
        self.assertGreaterEqual(int(setting("TasksMax")[0]), 2 * sum(runtime) + sum(names) + 2 + runtime[0] + 3)

    def test_crash_loop_ends_within_the_limit_of_logins(self):
        self.assertEqual((setting("StartLimitIntervalSec"), setting("StartLimitBurst")), (["15min"], ["3"]))

    def test_example_is_a_valid_configuration(self):
        text = (FOLDER / "environment.example").read_text(encoding="utf-8")
        for environment, secrets in (
            (sandbox.variables(text), "/etc/tradernet-exporter/secrets"),
            (sandbox.variables(text, "TRADERNET_CONFIG_FILE"), "/etc/tradernet-exporter"),
        ):
            code, output = sandbox.check_offline(os.environ["EXPORTER"], environment, secrets)
            self.assertEqual((code, output), (0, "the configuration is valid; accounts: 1\n"))


if __name__ == "__main__":
    unittest.main()
