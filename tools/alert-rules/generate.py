#!/usr/bin/env python3
"""Generates the alert rules from template.yaml.

    generate.py [--set NAME=VALUE]... [--format prometheus|prometheusrule|helm|helm-values|helm-schema]

Prints to standard output:
    prometheus      a rule file for `rule_files` or `vmalert -rule` (the default)
    prometheusrule  the same as a Kubernetes object for the Prometheus Operator
    helm            the template of that object in the Helm chart; the settings are `.Values.alerts.NAME`
    helm-values     the defaults for `helm`, as YAML
    helm-schema     what the values of `helm` must be, as JSON schema

The settings and their defaults are at the top of template.yaml. dashboards/alerts.yaml is the output
without arguments. Needs Python 3 only. Exit status: 0, or 2 for wrong arguments. `promtool check rules`
checks the PromQL of `working_hours`, which is inserted as it is.

Template syntax: `@NAME@` is a setting's value; the lines from `#@if NAME` to `#@end` are kept unless the
setting is `off`; `#@dashboard` is the annotation dashboard_url, if that setting is not `off`.
"""

import argparse
import json
import re
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent / "template.yaml"
SETTING = re.compile(r"^# @(\w+) = (.*?)(?:  +(.*))?$", re.MULTILINE)
DASHBOARD = (
    "#@if dashboard_url\n{0}dashboard_url: @dashboard_url@@dashboard_query@var-account={{{{ $labels.account | urlquery }}}}\n{0}#@end"
)

# What a setting must be: a pattern for all of it, and the same in words. The kind follows from the name, else the default.
NUMBER = (r"[0-9]+(\.[0-9]+)?", "a number, such as 30")
DURATION = (r"[0-9]{1,4}(s|m|h|d|w)", "a number with one unit of s, m, h, d, w, such as 90m")
SWITCH = (r"on|off", "on or off")
RATIO = (r"0?\.[0-9]*[1-9][0-9]*", "a number between 0 and 1, such as 0.5")
KINDS = {
    "new_address_window": (r"[1-9][0-9]{0,2}(h|d|w)", "a number with one unit of h, d, w, such as 14d"),
    "polls_failing_ratio": RATIO,
    "api_unreachable_ratio": RATIO,
    "api_unreachable_accounts": (r"[1-9][0-9]*", "a whole number, such as 3"),
    "working_hours": (r"[^\n]*[(<>=][^\n]*", "PromQL on one line, such as hour() >= 8 < 18"),
    "routing_labels": (r"[a-zA-Z_][a-zA-Z0-9_]*(, ?[a-zA-Z_][a-zA-Z0-9_]*)*", "label names, such as desk, team, but none of RESERVED"),
    "runbook_url": (r"https?://[^\s\"'{}?#]+", "an address such as https://example.com/runbooks, without ? and #"),
    "dashboard_url": (r"off|https?://[^\s\"'{}#]+", "off, or an address such as https://grafana.example.com/d/tradernet, without #"),
}
# Labels that the alerts already have, or that tradernet_account_info has beside those of the account.
RESERVED = ("job", "instance", "account", "alerts", "alertname", "severity", "rule", "client_ip", "transport", "credential", "__name__")
OBJECT = """apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
spec:
"""
HELM_HEAD = """{{- if .Values.prometheusRule.enabled }}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ include "tradernet-exporter.fullname" . }}
  labels:
    {{- include "tradernet-exporter.labels" . | nindent 4 }}
    {{- with .Values.prometheusRule.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
"""


def template():
    """Returns the defaults and the groups with placeholders."""
    head, body = TEMPLATE.read_text(encoding="utf-8").split("\n\n", 1)
    body = re.sub(r"^( *)#@dashboard$", lambda m: m[1] + DASHBOARD.format(m[1]), body, flags=re.MULTILINE)
    return {m[1]: m[2] for m in SETTING.finditer(head)}, body


def kind(name, default):
    """Returns the pattern and the words for a setting."""
    return KINDS.get(name) or next(one for one in (NUMBER, DURATION, SWITCH) if re.fullmatch(one[0], default))


def rules(body, settings):
    """Returns the groups with every placeholder replaced."""
    settings = settings | {"dashboard_query": "&" if "?" in settings["dashboard_url"] else "?"}
    kept, conditions = [], []
    for line in body.splitlines():
        if condition := re.fullmatch(r" *#@if (\w+)", line):
            conditions.append(settings[condition[1]] != "off")
        elif line.strip() == "#@end":
            conditions.pop()
        elif all(conditions):
            kept.append(re.sub(r"@(\w+)@", lambda m: settings[m[1]], line))
    return "\n".join(kept) + "\n"


def helm(body):
    """Returns the groups as a Helm template; Prometheus' own templates are quoted."""
    text = re.sub(r"\{\{|\}\}", lambda m: '{{ "' + m[0] + '" }}', body)
    text = re.sub(r"^ *#@if (\w+)$", r'{{- if ne (.Values.alerts.\1 | toString) "off" }}', text, flags=re.MULTILINE)
    text = re.sub(r"^ *#@end$", "{{- end }}", text, flags=re.MULTILINE)
    text = text.replace("@dashboard_query@", '{{ if contains "?" .Values.alerts.dashboard_url }}&{{ else }}?{{ end }}')
    return re.sub(r"@(\w+)@", r"{{ .Values.alerts.\1 }}", text)


def schema(defaults):
    """Returns the JSON schema of the settings as values of the chart, where a number needs no quotes."""
    properties = {}
    for name, default in defaults.items():
        pattern, _ = kind(name, default)
        properties[name] = {"type": "string", "pattern": f"^({pattern})$"}
        if re.fullmatch(NUMBER[0], default):
            least = {NUMBER: {"minimum": 0}, RATIO: {"exclusiveMinimum": 0, "exclusiveMaximum": 1}}
            properties[name] |= {"type": ["number", "string"]} | least.get(kind(name, default), {"minimum": 1, "multipleOf": 1})
    properties["routing_labels"]["not"] = {"pattern": rf"(^|[ ,])({'|'.join(RESERVED)})([ ,]|$)"}
    # A null in the values deletes a default.
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)}


def indented(text):
    return re.sub(r"^(?=.)", "  ", text, flags=re.MULTILINE)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--format", choices=("prometheus", "prometheusrule", "helm", "helm-values", "helm-schema"), default="prometheus")
    options = parser.parse_args(arguments)
    settings, body = template()
    changed = {}
    for text in options.set:
        name, equals, value = text.partition("=")
        if name not in settings or not equals:
            parser.error(f"--set {text}: must be NAME=VALUE with one of {', '.join(settings)}")
        pattern, words = kind(name, settings[name])
        reserved = name == "routing_labels" and set(re.split(", ?", value)) & set(RESERVED)
        if not re.fullmatch(pattern, value) or reserved:
            parser.error(f"--set {name}: {value!r} must be {words.replace('RESERVED', ', '.join(RESERVED))}")
        changed[name] = value
    if options.format == "helm-schema":
        print(json.dumps(schema(settings), indent=2))
        return 0
    settings.update(changed)
    if options.format == "helm-values":
        print("alerts:", *(f"  {name}: {json.dumps(value)}" for name, value in settings.items()), sep="\n")
    elif options.format == "helm":
        print(HELM_HEAD + helm(indented(body)) + "{{- end }}")
    elif options.format == "prometheusrule":
        print(OBJECT.format(name="tradernet-exporter") + indented(rules(body, settings)), end="")
    else:
        print("# Alert rules for tradernet-exporter, generated by tools/alert-rules/generate.py. Change a setting there, by --set.\n#")
        print("\n".join(f"#   {name} = {value}" for name, value in settings.items()), end="\n\n")
        print(rules(body, settings), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
