"""mixtool's lint rules for alerts, and: a runbook section and a promtool test for each alert.

Checks names, labels, annotations and tests. Does not know which metrics exist.
"""

import re

CAMEL = re.compile(r"([A-Z]+[a-z0-9]+)+")
TEMPLATE = re.compile(r"\{\{.+\}")
SENTENCE = re.compile(r"[A-Z].+\.")
RUNBOOKS = "https://github.com/tradernet-exporter/tradernet-exporter/blob/main/docs/runbooks.md"
PARTS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "False alarms"]
MINUTES = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}


def _minutes(duration):
    return sum(int(n) * MINUTES[unit] for n, unit in re.findall(r"(\d+)([smhd])", duration))


def sections(text):
    """Returns the runbook's sections about alerts: heading to the names of its parts."""
    found = re.split(r"^## (Tradernet\w+)$", text, flags=re.MULTILINE)[1:]
    return {name: re.findall(r"^- \*\*(.+)\.\*\*", body, re.MULTILINE) for name, body in zip(found[::2], found[1::2], strict=True)}


def repeated(text):
    """Returns the sentences of more than three words that a text has twice, except those with a link."""
    sentences = [s.strip() for line in text.splitlines() for s in re.split(r"(?<=[.?]) +|\*\*.*?\*\*", line)]
    return sorted({s for s in sentences if sentences.count(s) > 1 and len(s.split()) > 3 and "](" not in s and "|" not in s})


def _alert(rule, runbooks):
    name = rule["alert"]
    notes = rule.get("annotations", {})
    if not CAMEL.fullmatch(name) or len(name) > 40:
        yield "[alert-name] is not CamelCase or longer than 40 characters"
    if rule.get("labels", {}).get("severity") not in ("info", "warning", "critical"):
        yield "[alert-severity] is not info, warning or critical"
    if TEMPLATE.search(notes.get("summary", "")) or not SENTENCE.fullmatch(notes.get("summary", "")):
        yield "[alert-summary] is not one fixed sentence with a capital and a full stop"
    if not TEMPLATE.search(notes.get("description", "")):
        yield "[alert-description] has no template"
    if "First: " not in notes.get("description", ""):
        yield "[alert-description] does not say what to do first"
    if notes.get("runbook_url") != f"{RUNBOOKS}#{name.lower()}":
        yield f"[alert-runbook] runbook_url is not {RUNBOOKS}#{name.lower()}"
    if runbooks.get(name) != PARTS:
        yield f"[alert-runbook] the runbook has no section with the parts {', '.join(PARTS)}"


def _tested(tests, name, severity):
    """Whether one test sees the alert silent, then firing, then silent again."""
    for test in tests:
        checks = [c for c in test.get("alert_rule_test", []) if c["alertname"] == name]
        checks.sort(key=lambda c: _minutes(c["eval_time"]))
        course = [any(a["exp_labels"]["severity"] == severity for a in c.get("exp_alerts") or []) for c in checks]
        if True in course and not course[0] and not course[-1]:
            return True
    return False


def lint(rules, tests, runbooks):
    """Yields findings about a rule file, the tests of its suites and what `sections` returned."""
    names = set()
    for group in rules["groups"]:
        if len(group["name"]) > 40 or len(group["rules"]) > 20:
            yield f"group {group['name']}: [alert-group] a name over 40 characters or more than 20 rules"
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            names.add(rule["alert"])
            severity = rule.get("labels", {}).get("severity")
            where = f"alert {rule['alert']} ({severity})"
            for finding in _alert(rule, runbooks):
                yield f"{where}: {finding}"
            if not _tested(tests, rule["alert"], severity):
                yield f"{where}: [alert-test] no test sees it silent, then firing, then silent"
    for name in sorted(set(runbooks) - names):
        yield f"runbooks: [alert-runbook] no alert is named {name}"
