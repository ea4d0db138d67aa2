"""The shipped rules are the generator's output, and every combination of settings is valid.

python3 -m unittest discover tools/alert-rules
"""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
SHIPPED = HERE.parents[1] / "dashboards" / "alerts.yaml"
OPTIONAL = ("off_hours", "password_only", "unusual_count")
ALL_ON = [f"--set={name}=on" for name in OPTIONAL] + ["--set=dashboard_url=https://grafana.example.com/d/tradernet"]


def generate(*arguments):
    """Runs the program and returns its completed process."""
    return subprocess.run([sys.executable, HERE / "generate.py", *arguments], capture_output=True, text=True, check=False)


def rules(text, kind):
    """Returns the rules that have the key `kind`."""
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"] if kind in rule]


class Generate(unittest.TestCase):
    def promtool(self, *arguments):
        run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_shipped_file_is_the_output(self):
        self.assertEqual(generate().stdout, SHIPPED.read_text(encoding="utf-8"))

    def test_optional_alerts_are_off_by_default_and_behave_as_tested(self):
        text = generate(*ALL_ON).stdout
        names = {rule["alert"] for rule in rules(text, "alert")}
        shipped = {rule["alert"] for rule in rules(SHIPPED.read_text(encoding="utf-8"), "alert")}
        self.assertEqual(
            names - shipped,
            {"TradernetSessionOpenedOffHours", "TradernetPasswordOnlySession", "TradernetSessionCountUnusual"},
        )
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "alerts.yaml").write_text(text, encoding="utf-8")
            shutil.copy(HERE / "optional.test.yaml", folder)
            self.promtool("check", "rules", "--lint=all", "--lint-fatal", f"{folder}/alerts.yaml")
            self.promtool("test", "rules", f"{folder}/optional.test.yaml")

    def test_only_alerts_that_the_documentation_announces_fire_in_an_hour_of_the_demo(self):
        recorded = yaml.safe_load((HERE / "demo.test.yaml").read_text(encoding="utf-8"))
        samples = recorded["tests"][0]["promql_expr_test"][0]["exp_samples"]
        fired = {(re.search('account="(.*?)"', s["labels"])[1], re.search('alertname="(.*?)"', s["labels"])[1]) for s in samples}
        page = (HERE.parents[1] / "docs" / "dashboards.md").read_text(encoding="utf-8")
        section = page.split("### Alerts of the demo\n")[1].split("\n#")[0]
        rows = re.findall(r"^\| `(.+?)` \| (Tradernet.+?) \|", section, re.MULTILINE)
        self.assertEqual(fired, {(account, alert) for account, alerts in rows for alert in alerts.split(", ")})
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(SHIPPED, folder)
            shutil.copy(HERE / "demo.test.yaml", folder)
            self.promtool("test", "rules", f"{folder}/demo.test.yaml")

    def test_settings_change_thresholds_durations_and_urls(self):
        text = generate("--set", "expiry_critical=600", "--set", "data_stale_for=9m", "--set", "runbook_url=https://x.example/r").stdout
        found = {(rule["alert"], rule["labels"]["severity"]): rule for rule in rules(text, "alert")}
        self.assertIn("time() < 600 ", found["TradernetLastSessionExpiring", "critical"]["expr"])
        self.assertEqual(found["TradernetDataStale", "critical"]["for"], "9m")
        self.assertFalse(any("dashboard_url" in rule["annotations"] for rule in found.values()))
        urls = {rule["annotations"]["runbook_url"].split("#")[0] for rule in found.values()}
        self.assertEqual(urls, {"https://x.example/r"})

    def test_unknown_setting_is_an_error_that_lists_the_known_ones(self):
        run = generate("--set", "expiry=1")
        self.assertEqual(run.returncode, 2)
        self.assertRegex(run.stderr, "expiry=1: must be NAME=VALUE with one of expiry_warning, ")

    def test_wrong_value_is_an_error_with_setting_value_and_what_is_right(self):
        for name, value, right in (
            ("off_hours", "false", "on or off"),
            ("off_hours", "ON", "on or off"),
            ("off_hours", "", "on or off"),
            ("password_only", "yes", "on or off"),
            ("expiry_warning", "foo", "a number, such as 30"),
            ("expiry_warning", "-1", "a number, such as 30"),
            ("polls_failing_ratio", "25", "a number between 0 and 1, such as 0.5"),
            ("polls_failing_ratio", "1", "a number between 0 and 1, such as 0.5"),
            ("api_unreachable_ratio", "0.0", "a number between 0 and 1, such as 0.5"),
            ("api_unreachable_accounts", "0", "a whole number, such as 3"),
            ("api_unreachable_accounts", "2.5", "a whole number, such as 3"),
            ("no_session_for", "99999d", "a number with one unit of s, m, h, d, w, such as 90m"),
            ("new_address_window", "9999w", "a number with one unit of h, d, w, such as 14d"),
            ("routing_labels", "transport", "label names, such as desk, team, but none of job, instance, "),
            ("no_session_for", "x", "a number with one unit of s, m, h, d, w, such as 90m"),
            ("polls_failing_for", "off", "a number with one unit of s, m, h, d, w, such as 90m"),
            ("new_address_window", "off", "a number with one unit of h, d, w, such as 14d"),
            ("new_address_window", "0d", "a number with one unit of h, d, w, such as 14d"),
            ("working_hours", "off", "PromQL on one line, such as hour() >= 8 < 18"),
            ("routing_labels", "desk team", "label names, such as desk, team, but none of job, instance, "),
            ("routing_labels", "desk, job", "label names, such as desk, team, but none of job, instance, "),
            ("runbook_url", "off", "an address such as https://example.com/runbooks, without ? and #"),
            ("dashboard_url", "on", "off, or an address such as https://grafana.example.com/d/tradernet, without #"),
        ):
            run = generate("--set", f"{name}={value}")
            self.assertEqual((run.returncode, run.stdout), (2, ""), (name, value))
            self.assertIn(f"--set {name}: {value!r} must be {right}", run.stderr)

    def test_every_default_is_a_right_value(self):
        head = generate().stdout.split("\n\n")[0]
        defaults = re.findall(r"^#   (\w+ = .*)$", head, re.MULTILINE)
        self.assertGreater(len(defaults), 20)
        run = generate(*(f"--set={text.replace(' = ', '=', 1)}" for text in defaults))
        self.assertEqual((run.returncode, run.stdout), (0, generate().stdout), run.stderr)

    def test_link_to_the_dashboard_keeps_its_query_and_encodes_the_account(self):
        text = generate("--set", "dashboard_url=https://g.example/d/x?orgId=1").stdout
        urls = {rule["annotations"].get("dashboard_url") for rule in rules(text, "alert")} - {None}
        self.assertEqual(urls, {"https://g.example/d/x?orgId=1&var-account={{ $labels.account | urlquery }}"})

    def test_at_most_ten_recording_rules_with_one_sentence_each(self):
        text = generate(*ALL_ON).stdout
        sentences = re.findall(r"^      # ([A-Z][^.]*\.)\n      - record:", text.replace("min_sessions.", "min_sessions"), re.MULTILINE)
        self.assertEqual(len(sentences), len(rules(text, "record")))
        self.assertLessEqual(len(sentences), 10)

    def test_prometheus_operator_object_holds_the_same_groups(self):
        spec = yaml.safe_load(generate("--format=prometheusrule").stdout)["spec"]
        self.assertEqual(spec, yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))


if __name__ == "__main__":
    unittest.main()
