#!/usr/bin/env bash
# Writes the files that are made from others, into the folder (this repository by default). Needs Helm and Python 3.
#
#   dashboards/alerts.yaml                              from tools/alert-rules
#   deploy/helm/tradernet-exporter/templates/prometheusrule.yaml   from tools/alert-rules
#   deploy/helm/tradernet-exporter/values.schema.json   the parts `alerts`, from tools/alert-rules, and `config`, from docs/accounts.schema.json
#   deploy/helm/tradernet-exporter/files/               the dashboard
#   deploy/kubernetes/tradernet-exporter.yaml           from the chart
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
to=${1:-.}
chart=deploy/helm/tradernet-exporter
dashboard=tradernet-security-sessions.json

mkdir -p "$to/dashboards" "$to/$chart/templates" "$to/$chart/files" "$to/deploy/kubernetes"
tools/alert-rules/generate.py >"$to/dashboards/alerts.yaml"
tools/alert-rules/generate.py --format helm >"$to/$chart/templates/prometheusrule.yaml"
alerts_schema=$(tools/alert-rules/generate.py --format helm-schema)
python3 - "$chart/values.schema.json" "$to/$chart/values.schema.json" "$alerts_schema" <<'PYTHON'
import json, pathlib, sys
schema = json.loads(pathlib.Path(sys.argv[1]).read_text())
schema["properties"]["alerts"] = json.loads(sys.argv[3])

def quoted(one):
    """Texts are texts only: Helm reads YAML 1.1, where 0123 is 83 and on is true, and rounds numbers of more than 15 digits."""
    if isinstance(one, list):
        return [quoted(item) for item in one]
    if not isinstance(one, dict):
        return one
    if "enum" in one:
        one = one | {"enum": [value for value in one["enum"] if value is not False]}
    types = one.get("type")
    if isinstance(types, list) and "string" in types:
        one = one | {"type": [name for name in types if name in ("string", "null")]}
    return {key: quoted(value) for key, value in one.items()}

accounts = quoted(json.loads(pathlib.Path("docs/accounts.schema.json").read_text()))
schema["properties"]["config"]["properties"] = accounts["properties"]
account = accounts["$defs"]["account"]
# A release stores its values.
for secret in ("sid", "password", "api_key", "api_secret"):
    del account["properties"][secret]
del account["allOf"], accounts["$defs"]["secret"]
schema["$defs"] |= accounts["$defs"]
schema["properties"]["config"]["properties"]["accounts"]["items"] = {"allOf": [{"$ref": "#/$defs/account"}], "required": ["account"]}
pathlib.Path(sys.argv[2]).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
PYTHON
cp "dashboards/$dashboard" "$to/$chart/files/$dashboard"
{
  echo '# The chart deploy/helm/tradernet-exporter, rendered by scripts/update-generated.sh for one account with a key pair.'
  echo '#'
  echo '#   kubectl create secret generic tradernet --from-file=api-key --from-file=api-secret'
  echo '#   kubectl apply -f tradernet-exporter.yaml'
  echo '#'
  echo '# The account is in the ConfigMap: see docs/accounts-file.md.'
  # Not an object of Helm.
  helm template tradernet-exporter "$chart" --values deploy/kubernetes/values.yaml |
    grep -vE '^# Source: |^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): '
} >"$to/deploy/kubernetes/tradernet-exporter.yaml"
