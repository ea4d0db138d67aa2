"""Each rule is broken once and must report it.   python3 -m unittest discover tools/dashboard-lint"""

import copy
import json
import unittest
from datetime import timedelta
from pathlib import Path

import alerts
import dashboard
import exposition
import metric_references
import promql

HERE = Path(__file__).resolve().parent
BOARD = json.loads((HERE.parents[1] / "dashboards" / "tradernet-security-sessions.json").read_text(encoding="utf-8"))
SELECTOR = '{job=~"$job",instance=~"$instance"}'


class Promql(unittest.TestCase):
    def found(self, expr):
        return [(s.name, s.range, s.function) for s in promql.selectors(expr)]

    def test_names_in_nested_expressions(self):
        expr = 'sum by (job, le) (a_total{x="b_c{}"} offset 5m) / on (up) group_left (z) avg without (q) (b) > bool 3 and c unless d'
        self.assertEqual([n for n, _, _ in self.found(expr)], ["a_total", "b", "c", "d"])

    def test_range_and_enclosing_function(self):
        self.assertEqual(self.found(f"rate(a_total{SELECTOR}[$__rate_interval])"), [("a_total", "$__rate_interval", "rate")])
        self.assertEqual(self.found("increase(a[5m])"), [("a", timedelta(minutes=5), "increase")])
        self.assertEqual(self.found("max_over_time(a[1w:1h])"), [("a", None, "max_over_time")])
        self.assertEqual(self.found("max_over_time((sum by (x) (a))[1w:1h])"), [("a", None, "sum")])
        self.assertEqual(self.found("min_over_time(a[$__range] @ end())"), [("a", "$__range", "min_over_time")])

    def test_name_as_a_matcher_comments_and_variables(self):
        self.assertEqual([n for n, _, _ in self.found('{__name__="a"} < $limit # b\n or topk(20, c or d)')], ["a", "c", "d"])
        self.assertEqual(promql.selectors(f"a{SELECTOR}")[0].matchers, [("job", "=~", "$job"), ("instance", "=~", "$instance")])

    def test_invalid_expression_is_an_error(self):
        for expr in ("a{b=c}", "sum(a", "a)", 'a{b="c}', "a ? b"):
            with self.assertRaises(promql.PromqlError, msg=expr):
                promql.selectors(expr)


class Exposition(unittest.TestCase):
    def test_only_samples_count(self):
        page = exposition.read('# TYPE a counter\n# HELP b {c="d"} 1\na_total{x="1",y="}\\" 2"} 3\ne 4 1700000000\n')
        self.assertEqual(page, {"a_total": {"x", "y"}, "e": set()})

    def test_types(self):
        self.assertEqual(exposition.types("# HELP a b\n# TYPE a gauge\na 1\n# TYPE b_total counter\n"), {"a": "gauge", "b_total": "counter"})


class Dashboard(unittest.TestCase):
    def rules(self, change):
        board = copy.deepcopy(BOARD)
        change(board)
        return {f.split("[")[1].split("]")[0] for f in dashboard.lint(board, json.dumps(board))}

    def test_the_shipped_one_has_no_finding(self):
        self.assertEqual(self.rules(lambda b: None), set())

    def test_each_rule_finds_its_fault(self):
        def panel(b):
            return next(p for p in dashboard.panels(b) if p["type"] == "timeseries")

        def expr(text):
            return lambda b: panel(b)["targets"][0].update(expr=text)

        def variable(which, **fields):
            return lambda b: dashboard.variables(b)[which].update(fields)

        for rule, change in (
            ("uneditable-dashboard", lambda b: b.update(editable=True)),
            ("dashboard-identity", lambda b: b.update(uid="")),
            ("dashboard-inputs", lambda b: b.update(__inputs=[])),
            ("template-datasource-rule", variable("datasource", label="Source")),
            ("template-job-rule", variable("job", allValue=".*")),
            ("template-instance-rule", variable("instance", multi=False)),
            ("template-account-rule", variable("account", label="account")),
            ("template-on-time-change-reload-rule", variable("job", refresh=1)),
            ("template-label-promql-rule", variable("job", query="up")),
            ("panel-title-description-rule", lambda b: panel(b).update(description="")),
            ("panel-datasource-rule", lambda b: panel(b).update(datasource={"uid": "abc"})),
            ("panel-units-rule", lambda b: panel(b)["fieldConfig"]["defaults"].update(unit="parsecs")),
            ("panel-thresholds", lambda b: panel(b)["fieldConfig"]["defaults"].update(thresholds={})),
            ("panel-threshold-literal", lambda b: panel(b)["fieldConfig"]["defaults"].update(thresholds={"steps": [{"value": 300}]})),
            ("panel-no-targets-rule", lambda b: panel(b).update(targets=[])),
            ("panel-ids", lambda b: panel(b).update(id=1)),
            ("target-promql-rule", expr("sum(a")),
            ("target-job-rule", expr('a{job="x",instance=~"$instance"}')),
            ("target-instance-rule", expr('a{job=~"$job"}')),
            ("target-counter-agg-rule", expr(f"sum(a_total{SELECTOR})")),
            ("target-rate-interval-rule", expr(f"rate(a{SELECTOR}[5m])")),
        ):
            self.assertIn(rule, self.rules(change), rule)


class MetricReferences(unittest.TestCase):
    EXPOSED = {"a": {"x"}, "tradernet_account_info": {"transport"}}

    def check(self, expr, known=frozenset()):
        optional = [("optional", name, set()) for name in metric_references.OPTIONAL]
        return list(metric_references.check([("here", expr, known), *optional], self.EXPOSED))

    def test_names_and_labels_are_exact(self):
        self.assertEqual(self.check('a{x="1",job="2"} + up + r', {"r"}), [])
        self.assertEqual(self.check('tradernet_account_info{desk="fx"}'), [])
        self.assertEqual(self.check("a_total"), ["here: [metric-exists] 'a_total' is not exposed"])
        self.assertEqual(self.check('a{y="1"}'), ["here: [label-exists] a has no label y"])

    def test_unused_exception_is_a_finding(self):
        found = list(metric_references.check([], self.EXPOSED))
        self.assertEqual(len(found), len(metric_references.OPTIONAL))

    def test_queries_inside_annotations_are_found(self):
        text = '{{ range printf "a{job=%q,rule=\\"b\\"} > 0" .x | query }}{{ end }}{{ query "c" }}'
        rules = {"groups": [{"rules": [{"alert": "X", "expr": "e", "annotations": {"description": text}}]}]}
        self.assertEqual([q for _, q in metric_references.rule_queries(rules)], ["e", 'a{job="x",rule="b"} > 0', "c"])


class Alerts(unittest.TestCase):
    RUNBOOK = "## TradernetGoodName" + "".join(f"\n- **{part}.** x" for part in alerts.PARTS)

    def rules(self, change=lambda rule: None, course=(False, True, False), runbook=RUNBOOK):
        rule = {
            "alert": "TradernetGoodName",
            "labels": {"severity": "warning"},
            "annotations": {
                "summary": "It is so.",
                "description": "{{ $value }} of it. First: look.",
                "runbook_url": alerts.RUNBOOKS + "#tradernetgoodname",
            },
        }
        change(rule)
        firing = [{"exp_labels": {"severity": "warning"}}]
        checks = [
            {"alertname": "TradernetGoodName", "eval_time": f"{i}m", "exp_alerts": firing if on else []}
            for i, on in enumerate(course)
        ]
        rules = {"groups": [{"name": "g", "rules": [rule]}]}
        found = alerts.lint(rules, [{"alert_rule_test": checks}], alerts.sections(runbook))
        return {f.split("[")[1].split("]")[0] for f in found}

    def test_a_good_one_has_no_finding(self):
        self.assertEqual(self.rules(), set())

    def test_each_rule_finds_its_fault(self):
        def note(**texts):
            return lambda rule: rule["annotations"].update(texts)

        for rule, change in (
            ("alert-name", lambda r: r.update(alert="bad_name")),
            ("alert-name", lambda r: r.update(alert="A" + "b" * 40)),
            ("alert-severity", lambda r: r["labels"].update(severity="page")),
            ("alert-summary", note(summary="It is {{ $value }}.")),
            ("alert-summary", note(summary="it is so")),
            ("alert-description", note(description="It is so. First: look.")),
            ("alert-description", note(description="{{ $value }}")),
            ("alert-runbook", note(runbook_url="https://example.com/")),
        ):
            self.assertIn(rule, self.rules(change), rule)
        for runbook in (self.RUNBOOK.replace("Impact", "Result"), self.RUNBOOK.replace("Good", "Other"), ""):
            self.assertIn("alert-runbook", self.rules(runbook=runbook), runbook)
        twice = "- **Impact.** It is very bad.\n- **Impact.** Well. It is very bad. As [in a](#b).\n- As [in a](#b)."
        self.assertEqual(alerts.repeated(twice), ["It is very bad."])
        for course in ((True, False), (False, True), (False, False), ()):
            self.assertIn("alert-test", self.rules(course=course), course)


if __name__ == "__main__":
    unittest.main()
