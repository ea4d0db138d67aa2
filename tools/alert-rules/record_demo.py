#!/usr/bin/env python3
"""Records the demo and writes it as a promtool test: demo.test.yaml in this folder.

    record_demo.py [--minutes 60] [--exporter target/release/tradernet-exporter]

Runs the demo and Prometheus with the shipped rules, and then writes the series that the rules read, one
sample each 30 s, with the alerts that fired. They must be those that docs/dashboards.md announces;
test_generate.py compares. Needs Prometheus on PATH and scripts/requirements.txt.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STEP = 30
sys.path[:0] = [str(ROOT / "tools" / "dashboard-lint")]

import metric_references  # noqa: E402
import promql  # noqa: E402


def outage_module():
    spec = importlib.util.spec_from_file_location("simulate_outage", ROOT / "scripts" / "simulate-outage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def values(samples, begin, end):
    """Returns the samples in promtool's notation; `_` is a missing one, `axN` N more of the same."""
    found = {round((at - begin) / STEP): value for at, value in samples}
    texts = [found.get(i, "_") for i in range(round((end - begin) / STEP) + 1)]
    out, i = [], 0
    while i < len(texts):
        run = next((j for j in range(i, len(texts)) if texts[j] != texts[i]), len(texts)) - i
        out.append(texts[i] if run == 1 else f"_x{run}" if texts[i] == "_" else f"{texts[i]}x{run - 1}")
        i += run
    return " ".join(out)


def selector(metric):
    labels = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric['__name__']}{{{labels}}}"


def record(options, folder, programs, tools):
    demo = programs.start("demo", [options.exporter, "demo", "--web.listen-address", "127.0.0.1:0"])
    address = tools.wait("the demo listens", 60, lambda: "listening address=" in programs.log_of("demo"))
    address = programs.log_of("demo").split("listening address=")[1].split()[0]
    (folder / "dashboards").mkdir()
    (folder / "examples").mkdir()
    rules = (ROOT / "dashboards/alerts.yaml").read_text(encoding="utf-8")
    (folder / "dashboards/alerts.yaml").write_text(rules, encoding="utf-8")
    text = (ROOT / "examples/prometheus.yml").read_text(encoding="utf-8").replace("127.0.0.1:10460", address)
    (folder / "examples/prometheus.yml").write_text(text, encoding="utf-8")
    prometheus = programs.start(
        "prometheus",
        ["prometheus", "--config.file=examples/prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0"],
    )
    server = tools.wait("Prometheus listens", 60, lambda: tools.listening(prometheus))
    begin = time.time() + STEP
    time.sleep(60 * options.minutes + STEP)
    end = begin + 60 * options.minutes
    assert demo.poll() is None, "the demo ended"

    def query(expr):
        arguments = urllib.parse.urlencode({"query": expr, "start": begin, "end": end, "step": STEP})
        return json.loads(tools.get(server, f"/api/v1/query_range?{arguments}"))["data"]["result"]

    parsed = yaml.safe_load(rules)
    names = {s.name for _, expr in metric_references.rule_queries(parsed) for s in promql.selectors(expr)}
    names -= metric_references.recorded(parsed)
    series = [
        # Points in time are shifted to promtool's clock, which begins at 0.
        (r["metric"], [(at, f"{float(v) - begin:.0f}" if "timestamp" in name or "start_time" in name else v) for at, v in r["values"]])
        for name in sorted(names)
        for r in query(name)
    ]
    fired = query('ALERTS{alertstate="firing"}')
    fired = sorted({(r["metric"]["alertname"], r["metric"].get("account", ""), r["metric"]["severity"]) for r in fired})
    return series, fired, begin, end


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--exporter", type=Path, default=ROOT / "target/release/tradernet-exporter")
    options = parser.parse_args(arguments)
    options.exporter = options.exporter.resolve()
    tools = outage_module()
    with tempfile.TemporaryDirectory() as folder:
        programs = tools.Programs(Path(folder))
        try:
            series, fired, begin, end = record(options, Path(folder), programs, tools)
        finally:
            programs.stop()
    lines = [
        "# The demo as recorded by record_demo.py: only what the demo announces fires.",
        "rule_files: [alerts.yaml]",
        "evaluation_interval: 30s",
        "group_eval_order:",
        *(f"  - {group['name']}" for group in yaml.safe_load((ROOT / "dashboards/alerts.yaml").read_text(encoding="utf-8"))["groups"]),
        "tests:",
        "  - interval: 30s",
        "    name: the demo",
        "    input_series:",
    ]
    for metric, samples in series:
        metric = {**metric, "instance": "demo"} if "instance" in metric else metric
        lines += [f"      - series: '{selector(metric)}'", f"        values: '{values(samples, begin, end)}'"]
    minutes = int((end - begin) // 60)
    lines += [
        "    promql_expr_test:",
        f"      - expr: count by (alertname, account, severity) (count_over_time(ALERTS{{alertstate=\"firing\"}}[{minutes}m]))",
        f"        eval_time: {minutes}m",
        "        exp_samples:",
    ]
    for alert, account, severity in fired:
        account = f', account="{account}"' if account else ""
        lines.append(f"          - {{labels: '{{alertname=\"{alert}\"{account}, severity=\"{severity}\"}}', value: 1}}")
    (HERE / "demo.test.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(*fired, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
