"""The rules of grafana/dashboard-linter v0.2, written in Python, and some of this project.

The names in brackets are that linter's. It ignores panel types that it does not know; here the rules
hold for every panel except rows and text. Checks the JSON's shape. Does not know which metrics exist.
"""

import promql

# The linter's units, as far as this dashboard could use them.
UNITS = {
    "none", "short", "percent", "percentunit", "bytes", "decbytes", "ms", "s", "m", "h", "d",
    "dtdurations", "dtdurationms", "dthms", "dtdhms", "ops", "reqps", "cps", "opm", "cpm",
    "suffix:h", "dateTimeAsIso", "dateTimeFromNow", "bool", "bool_yes_no", "bool_on_off",
}  # fmt: skip
DATA_SOURCE = ("$datasource", "${datasource}")


def panels(dashboard):
    """Yields every panel with data, those of collapsed rows included."""
    for panel in dashboard.get("panels", []):
        if panel.get("type") == "row":
            yield from panels(panel)
        elif panel.get("type") != "text":
            yield panel


def variables(dashboard):
    """The template variables by name."""
    return {v.get("name"): v for v in dashboard.get("templating", {}).get("list", [])}


def _uid(source):
    return source.get("uid") if isinstance(source, dict) else source


def _variables(dashboard):
    found = variables(dashboard)
    sources = [v for v in found.values() if v.get("type") == "datasource"]
    if len(sources) != 1 or sources[0].get("name") != "datasource":
        yield "[template-datasource-rule] there must be one data source variable, named datasource"
    elif sources[0].get("query") != "prometheus" or sources[0].get("label") != "Data source":
        yield "[template-datasource-rule] the data source variable must query prometheus and be labelled Data source"
    for name in ("job", "instance", "account"):
        rule = f"[template-{name}-rule]"
        variable = found.get(name)
        if variable is None:
            yield f"{rule} there is no variable {name}"
            continue
        if _uid(variable.get("datasource")) not in DATA_SOURCE:
            yield f"{rule} {name} does not use the data source variable"
        if variable.get("type") != "query":
            yield f"{rule} {name} is not a query"
        if variable.get("label") != name.title():
            yield f"{rule} {name} is not labelled {name.title()}"
        if not variable.get("multi") or not variable.get("includeAll"):
            yield f"{rule} {name} must allow several values, and all"
        if variable.get("allValue") != ".+":
            yield f"{rule} {name} has the allValue {variable.get('allValue')!r}, not '.+'"
    for name, variable in found.items():
        if variable.get("type") != "query":
            continue
        if variable.get("refresh") != 2:
            yield f"[template-on-time-change-reload-rule] {name} does not refresh when the time range changes"
        query = variable.get("query")
        query = query.get("query", "") if isinstance(query, dict) else query or ""
        if not query.startswith(("label_values(", "label_names(", "metrics(", "query_result(")):
            yield f"[template-label-promql-rule] {name} queries {query!r}"


def _units(config):
    defaults = config.get("defaults", {})
    yield defaults.get("unit")
    for override in config.get("overrides", []):
        yield from (p.get("value") for p in override.get("properties", []) if p.get("id") == "unit")


def _steps(config):
    yield from config.get("defaults", {}).get("thresholds", {}).get("steps", [])
    for override in config.get("overrides", []):
        for found in override.get("properties", []):
            if found.get("id") == "thresholds":
                yield from found.get("value", {}).get("steps", [])


def _panel(panel):
    if not panel.get("title") or not panel.get("description"):
        yield "[panel-title-description-rule] has no title or no description"
    if _uid(panel.get("datasource")) not in DATA_SOURCE:
        yield "[panel-datasource-rule] does not use the data source variable"
    config = panel.get("fieldConfig", {})
    for unit in _units(config):
        if unit not in UNITS:
            yield f"[panel-units-rule] has the unit {unit!r}"
    if not config.get("defaults", {}).get("thresholds", {}).get("steps"):
        yield "[panel-thresholds] has no thresholds"
    # Grafana does not allow a variable in a threshold. Only "more than none" is fixed; any other bound is a
    # variable that a query compares with.
    if any(step.get("value") not in (None, 1) for step in _steps(config)):
        yield "[panel-threshold-literal] has a threshold other than 1, which should be a variable"
    if not panel.get("targets"):
        yield "[panel-no-targets-rule] has no query"
    for target in panel.get("targets", []):
        if _uid(target.get("datasource")) not in DATA_SOURCE:
            yield "[panel-datasource-rule] has a query without the data source variable"
        yield from _query(target.get("expr", ""))


def _query(expr):
    if not expr.strip():
        yield "[target-promql-rule] has an empty query"
        return
    try:
        found = promql.selectors(expr)
    except promql.PromqlError as error:
        yield f"[target-promql-rule] {expr!r} {error}"
        return
    for selector in found:
        for label in ("job", "instance"):
            if (label, "=~", f"${label}") not in selector.matchers:
                yield f'[target-{label}-rule] {selector.name} is not matched by {label}=~"${label}"'
        if selector.name.endswith("_total") and (
            selector.range is None or selector.function not in ("rate", "irate", "increase")
        ):
            yield f"[target-counter-agg-rule] {selector.name} is not inside rate, irate or increase"
        # The linter checks rate and irate only; an increase over a fixed time changes with the zoom as well.
        if selector.function in ("rate", "irate", "increase") and selector.range != "$__rate_interval":
            yield f"[target-rate-interval-rule] {selector.name} is rated over {selector.range}, not $__rate_interval"


def lint(dashboard, text):
    """Yields findings. `text` is the file's content, for strings that must not occur in it."""
    if dashboard.get("editable") is not False:
        yield "[uneditable-dashboard] editable is not false"
    if not dashboard.get("uid") or not dashboard.get("title"):
        yield "[dashboard-identity] there is no uid or no title"
    if dashboard.get("id") is not None:
        yield "[dashboard-identity] id belongs to one Grafana: leave it out"
    if "__inputs" in dashboard or "${DS_" in text:
        yield "[dashboard-inputs] it must import without a question about the data source"
    yield from _variables(dashboard)
    everything = list(panels(dashboard))
    ids = [p.get("id") for p in everything] + [p.get("id") for p in dashboard.get("panels", []) if p.get("type") in ("row", "text")]
    if len(ids) != len(set(ids)):
        yield "[panel-ids] two panels share an id"
    for panel in everything:
        for finding in _panel(panel):
            yield f'panel "{panel.get("title", "")}": {finding}'
