"""Which metrics the dashboard and the rules ask for, and whether a page has them.

Owns the exceptions: names that a page may lack, each with the reason. It must not judge style.
"""

import re

import dashboard as boards
import promql

# Made by Prometheus, not by the exporter.
PROMETHEUS = {"up"}
PROMETHEUS_LABELS = {"job", "instance", "__name__"}
# On the page in some modes only. Whatever no query uses any more must leave this list.
MODES = {
    "tradernet_security_session_info": "only with session details on",
    "tradernet_security_session_violating": "only with session details on",
    "tradernet_stream_connected": "only for accounts that are read over a stream",
    "tradernet_stream_reconnects_total": "only for accounts that are read over a stream",
}

# A query inside an annotation: `query "EXPR"` or `printf "EXPR" … | query`.
QUERY = re.compile(r'(?:printf|query)\s+"((?:[^"\\]|\\.)*)"')


def dashboard_queries(dashboard):
    """Yields (place, expression)."""
    for panel in boards.panels(dashboard):
        for target in panel.get("targets", []):
            yield f'panel "{panel.get("title", "")}"', target.get("expr", "")
    for name, variable in boards.variables(dashboard).items():
        query = variable.get("query")
        query = query.get("query", "") if isinstance(query, dict) else query or ""
        match = re.fullmatch(r"(?:label_values\((.+),\s*\w+\)|query_result\((.+)\))", query, re.DOTALL)
        if variable.get("type") == "query" and match:
            yield f"variable {name}", match[1] or match[2]


def rule_queries(rules):
    """Yields (place, expression), those inside annotations included."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            place = f"rule {rule.get('alert') or rule.get('record')}"
            yield place, rule["expr"]
            for text in rule.get("annotations", {}).values():
                for query in QUERY.findall(text):
                    yield f"{place}, annotation", query.replace("%q", '"x"').replace('\\"', '"')


def recorded(rules):
    """The names that the rule file itself records."""
    return {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}


def check(queries, page):
    """Yields findings.

    `queries` are (place, expression, names known besides the page), `page` is what
    `exposition.read` returned.
    """
    used = set()
    for place, expr, known in queries:
        try:
            found = promql.selectors(expr)
        except promql.PromqlError as error:
            yield f"{place}: [promql] {expr!r} {error}"
            continue
        for selector in found:
            used.add(selector.name)
            if selector.name in known | PROMETHEUS or (selector.name in MODES and selector.name not in page):
                continue
            if selector.name not in page:
                yield f"{place}: [metric-exists] {selector.name or expr!r} is not on the page"
                continue
            for label, _, _ in selector.matchers:
                if label not in page[selector.name] | PROMETHEUS_LABELS:
                    yield f"{place}: [label-exists] {selector.name} has no label {label} on the page"
    for name in sorted(set(MODES) - used):
        yield f"metric_references.py: [metric-modes] {name} is excepted and no query uses it"
