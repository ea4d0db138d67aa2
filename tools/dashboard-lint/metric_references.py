"""Which metrics the dashboard and the rules refer to, and whether an exposition has them.

Owns the exceptions: names that an exposition may lack, each with the reason. Does not judge style.
"""

import re

import dashboard as boards
import promql

# Made by Prometheus, not by the exporter.
PROMETHEUS = {"up", "ALERTS"}
PROMETHEUS_LABELS = {"job", "instance", "__name__"}
# Labels of `tradernet_account_info` that a user configures.
CONFIGURED_LABELS = {"desk", "owner", "team", "alerts"}
# Exposed in some modes only. A name that no query refers to must leave this list.
OPTIONAL = {
    "tradernet_security_sessions_limit": "only where a limit is configured",
    "tradernet_security_sessions_required": "only where a minimum is configured",
    "tradernet_security_session_required_max_expiry_timestamp_seconds": "only where a minimum is configured",
    "tradernet_security_session_info": "only with session details on",
    "tradernet_security_session_expiry_timestamp_seconds": "only with session details on",
    "tradernet_security_session_violating": "only with session details on",
    "tradernet_stream_connected": "only for accounts with a stream",
    "tradernet_stream_reconnects_total": "only for accounts with a stream",
}

# A query inside an annotation: `query "EXPR"` or `printf "EXPR" … | query`.
QUERY = re.compile(r'(?:printf|query)\s+"((?:[^"\\]|\\.)*)"')


def dashboard_queries(dashboard):
    """Yields (place, expression)."""
    for panel in boards.panels(dashboard):
        for target in panel.get("targets", []):
            yield f'panel "{panel.get("title", "")}"', target.get("expr", "")
    for annotation in dashboard.get("annotations", {}).get("list", []):
        if "expr" in annotation:
            yield f"annotation {annotation.get('name')}", annotation["expr"]
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


def check(queries, exposition):
    """Yields findings.

    `queries` are (place, expression, names known besides the exposition), `exposition` is what
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
            if selector.name in known | PROMETHEUS or (selector.name in OPTIONAL and selector.name not in exposition):
                continue
            if selector.name not in exposition:
                yield f"{place}: [metric-exists] {selector.name or expr!r} is not exposed"
                continue
            labels = exposition[selector.name] | PROMETHEUS_LABELS
            if selector.name == "tradernet_account_info":
                labels = labels | CONFIGURED_LABELS
            for label, _, _ in selector.matchers:
                if label not in labels:
                    yield f"{place}: [label-exists] {selector.name} has no label {label}"
    for name in sorted(set(OPTIONAL) - used):
        yield f"metric_references.py: [metric-optional] no query refers to {name}"
