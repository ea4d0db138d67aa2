#!/usr/bin/env python3
"""Checks the dashboard and the alert rules against an exposition of the exporter.

    scripts/check-dashboards.py EXPOSITION_FILE

EXPOSITION_FILE holds a response of `/metrics`, best of the demo, which has every metric. Checks that
each metric and label in a query is exposed, the rules of grafana/dashboard-linter, mixtool's rules
for alerts, a runbook section and a promtool test for each alert, that promtool parses every query,
and that the generated series have no other name, type or label than the exporter's. Optional alerts
are included. Needs promtool and scripts/requirements.txt.

Prints one line a finding. Exit status: 0 none, 1 some, 2 the check could not run.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"
sys.path[:0] = [str(TOOLS / folder) for folder in ("dashboard-lint", "dashboard-render", "alert-rules")]
sys.dont_write_bytecode = True

import alerts  # noqa: E402
import dashboard as boards  # noqa: E402
import exposition  # noqa: E402
import generate  # noqa: E402
import generate_series  # noqa: E402
import metric_references  # noqa: E402

DASHBOARD = ROOT / "dashboards" / "tradernet-security-sessions.json"
SUITES = (ROOT / "dashboards" / "alerts.test.yaml", TOOLS / "alert-rules" / "optional.test.yaml")
RUNBOOKS = ROOT / "docs" / "runbooks.md"
OPTIONAL_ALERTS = dict.fromkeys(("off_hours", "password_only", "unusual_count"), "on")


def promtool(text, expected):
    """Yields a finding unless promtool accepts the rules and counts as many as expected."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        try:
            run = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            yield "[promql] promtool is not installed, so no query was parsed"
            return
    counted = re.search(r"(\d+) rules found", run.stdout)
    if run.returncode != 0:
        yield f"[promql] {run.stderr.strip()}"
    elif not counted or int(counted[1]) != expected:
        yield f"[promql] promtool counts {counted and counted[1]} rules, this script {expected}"


def parse_queries(dashboard):
    """Lets promtool parse the dashboard's queries, with its variables' current values."""
    values = {name: v.get("current", {}).get("value") for name, v in boards.variables(dashboard).items()}

    def value(match):
        name = match[1] or match[2]
        if name.startswith("__"):
            return "5m"
        return values[name] if isinstance(values.get(name), str) else match[0]

    rules = [
        {"record": f"query_{i}", "expr": re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expr)}
        for i, (_, expr) in enumerate(metric_references.dashboard_queries(dashboard))
    ]
    yield from promtool(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), len(rules))


def generated_series(exposed, types):
    """Yields a finding for each generated series that the exporter does not expose like this."""
    for name, kind, labels in generate_series.generate(0, "incident").shapes():
        if kind == "histogram":
            known, labels = exposed.get(f"{name}_bucket"), labels | {"le"}
        else:
            known = exposed.get(name)
        if known is None and name in metric_references.OPTIONAL:
            continue
        if name == "tradernet_account_info":
            labels = labels - metric_references.CONFIGURED_LABELS
        if known is None:
            yield f"generate_series.py: [metric-exists] {name} is not exposed"
        elif types.get(name) != kind:
            yield f"generate_series.py: [metric-type] {name} is a {kind}, exposed as {types.get(name)}"
        elif not labels <= known:
            yield f"generate_series.py: [label-exists] {name} has {sorted(labels)}, exposed {sorted(known)}"


def findings(exposed, types):
    """Yields every finding, with the file that it is about."""
    text = DASHBOARD.read_text(encoding="utf-8")
    dashboard = json.loads(text)
    settings, body = generate.template()
    rules_text = generate.rules(body, settings | OPTIONAL_ALERTS)
    rules = yaml.safe_load(rules_text)
    tests = [test for suite in SUITES for test in yaml.safe_load(suite.read_text(encoding="utf-8"))["tests"]]
    runbooks_text = RUNBOOKS.read_text(encoding="utf-8")
    runbooks = alerts.sections(runbooks_text)

    for finding in [*boards.lint(dashboard, text), *parse_queries(dashboard)]:
        yield f"{DASHBOARD.name}: {finding}"
    count = sum(len(group["rules"]) for group in rules["groups"])
    for finding in [*alerts.lint(rules, tests, runbooks), *promtool(rules_text, count)]:
        yield f"alert rules: {finding}"
    for sentence in alerts.repeated(runbooks_text):
        yield f"{RUNBOOKS.name}: [runbook-text] twice: {sentence}"

    # The dashboard must work without the rule file: recorded names are known to the rules only.
    queries = [(f"{DASHBOARD.name}: {place}", expr, set()) for place, expr in metric_references.dashboard_queries(dashboard)]
    recorded = metric_references.recorded(rules)
    queries += [(f"alert rules: {place}", expr, recorded) for place, expr in metric_references.rule_queries(rules)]
    yield from metric_references.check(queries, exposed)
    yield from generated_series(exposed, types)


def main(arguments):
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        text = Path(arguments[0]).read_text(encoding="utf-8")
        exposed = exposition.read(text)
        if not exposed:
            print(f"{arguments[0]}: has no sample", file=sys.stderr)
            return 2
        found = list(findings(exposed, exposition.types(text)))
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(error, file=sys.stderr)
        return 2
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
