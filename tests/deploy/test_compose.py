"""deploy/compose: the schema, the services with Debian's programs, Grafana's provisioning.

    EXPORTER=target/debug/tradernet-exporter python3 -m unittest discover tests/deploy
"""

import json
import os
import subprocess
import sys
import unittest

import yaml

import compose_stack
import sandbox

FOLDER = compose_stack.FOLDER
NETWORK_OF_ITS_OWN = "bwrap --dev-bind / / --unshare-user --uid 0 --gid 0 --unshare-net --unshare-pid --proc /proc --die-with-parent --cap-add ALL".split()


class Compose(unittest.TestCase):
    def test_file_matches_the_schema_of_compose(self):
        command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yaml"]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_every_image_has_a_version_and_every_port_is_on_loopback(self):
        for name, service in compose_stack.services().items():
            self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+$", name)
            self.assertTrue(all(port.startswith("127.0.0.1:") for port in service["ports"]), name)

    def test_services_run_as_configured_and_an_alert_arrives(self):
        command = [*NETWORK_OF_ITS_OWN, sys.executable, compose_stack.__file__, os.environ["EXPORTER"]]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        seen = json.loads(run.stdout)
        targets = seen["targets"]["activeTargets"]
        self.assertEqual([(target["scrapeUrl"], target["health"]) for target in targets], [("http://exporter:10460/metrics", "up")])
        self.assertEqual([one["url"] for one in seen["alertmanagers"]["activeAlertmanagers"]], ["http://alertmanager:9093/api/v2/alerts"])
        rules = [rule for group in seen["rules"]["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 20)
        self.assertFalse([rule["lastError"] for rule in rules if rule["health"] == "err"])
        self.assertTrue(all(alert["labels"]["alertname"].startswith("Tradernet") for alert in seen["alerts"]))

    def test_example_of_real_accounts_is_a_valid_configuration(self):
        text = (FOLDER / "exporter.env.example").read_text(encoding="utf-8")
        for environment in (sandbox.variables(text), sandbox.variables(text, "TRADERNET_CONFIG_FILE")):
            code, output = sandbox.check_offline(os.environ["EXPORTER"], environment, "/run/secrets")
            self.assertEqual((code, output), (0, "the configuration is valid; accounts: 1\n"))

    def test_grafana_finds_its_data_source_and_dashboard(self):
        services = compose_stack.services()
        mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
        provisioning = FOLDER / next(source for source, target in mounts.items() if target == "/etc/grafana/provisioning")
        [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))["datasources"]
        self.assertEqual((source["type"], source["url"]), ("prometheus", "http://prometheus:9090"))
        self.assertIn("prometheus", services)
        [provider] = yaml.safe_load((provisioning / "dashboards" / "tradernet.yaml").read_text(encoding="utf-8"))["providers"]
        [(dashboard, target)] = [(source, target) for source, target in mounts.items() if target.startswith(provider["options"]["path"] + "/")]
        self.assertEqual(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"], target)
        json.loads((FOLDER / dashboard).read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
