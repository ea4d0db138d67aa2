#!/usr/bin/env python3
"""Checks the dashboard and the alert rules against a page of the exporter.

    scripts/check-dashboards.py EXPOSITION_FILE

EXPOSITION_FILE holds what `/metrics` answered, best of all from the demo, which shows every metric.
Checked are: each metric and label that a query uses is on the page; the rules of
grafana/dashboard-linter; mixtool's rules for alerts; a runbook page and a promtool test for each
alert; that promtool parses every query; and that the histories which the dashboard is drawn over
have no name, kind or label but the exporter's. Needs Python 3 and promtool, nothing else.

Prints one line a finding. Exit status: 0 none, 1 some, 2 nothing could be checked.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools" / "dashboard-lint"), str(ROOT / "tools" / "dashboard-render")]
sys.dont_write_bytecode = True

import alerts  # noqa: E402
import dashboard as boards  # noqa: E402
import exposition  # noqa: E402
import generate_series  # noqa: E402
import metric_references  # noqa: E402
import rulefile  # noqa: E402

DASHBOARD = ROOT / "dashboards" / "tradernet-security-sessions.json"
RULES = ROOT / "dashboards" / "alerts.yaml"
TESTS = ROOT / "dashboards" / "alerts.test.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"


def promtool(path, wanted):
    """Yields a finding unless promtool accepts the rule file and counts as many rules as we read."""
    try:
        run = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        yield "[promql] promtool is not installed, so no query was parsed"
        return
    counted = re.search(r"(\d+) rules found", run.stdout)
    if run.returncode != 0:
        yield f"[promql] {run.stderr.strip()}"
    elif not counted or int(counted[1]) != wanted:
        yield f"[promql] promtool counts {counted and counted[1]} rules, this script {wanted}"


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
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
        file.flush()
        yield from promtool(file.name, len(rules))


def drawn_over(page, kinds):
    """Yields a finding for what the exporter does not serve like this."""
    for name, kind, labels in generate_series.generate(0, "incident").shapes():
        if kind == "histogram":
            known, labels = page.get(f"{name}_bucket"), labels | {"le"}
        else:
            known = page.get(name)
        if known is None and name in metric_references.MODES:
            continue
        if known is None:
            yield f"generate_series.py: [metric-exists] {name} is not on the page"
        elif kinds.get(name) != kind:
            yield f"generate_series.py: [metric-kind] {name} is a {kind}, on the page a {kinds.get(name)}"
        elif labels != known:
            yield f"generate_series.py: [label-exists] {name} has {sorted(labels)}, on the page {sorted(known)}"


def findings(page, kinds):
    """Yields every finding, with the file that it is about."""
    text = DASHBOARD.read_text(encoding="utf-8")
    dashboard = json.loads(text)
    rules = rulefile.read(RULES.read_text(encoding="utf-8"))
    suite = rulefile.read(TESTS.read_text(encoding="utf-8"))

    for finding in [*boards.lint(dashboard, text), *parse_queries(dashboard)]:
        yield f"{DASHBOARD.name}: {finding}"
    count = sum(len(group["rules"]) for group in rules["groups"])
    for finding in [*alerts.lint(rules, suite, RUNBOOKS), *promtool(RULES, count)]:
        yield f"{RULES.name}: {finding}"

    # The dashboard must work without the rule file: recorded names are known to the rules alone.
    queries = [(f"{DASHBOARD.name}: {place}", expr, set()) for place, expr in metric_references.dashboard_queries(dashboard)]
    recorded = metric_references.recorded(rules)
    queries += [(f"{RULES.name}: {place}", expr, recorded) for place, expr in metric_references.rule_queries(rules)]
    yield from metric_references.check(queries, page)
    yield from drawn_over(page, kinds)


def main(arguments):
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    try:
        text = Path(arguments[0]).read_text(encoding="utf-8")
        page = exposition.read(text)
        if not page:
            print(f"{arguments[0]}: holds no sample", file=sys.stderr)
            return 2
        found = list(findings(page, exposition.kinds(text)))
    except (OSError, ValueError, rulefile.YamlError) as error:
        print(error, file=sys.stderr)
        return 2
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
