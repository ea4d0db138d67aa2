"""deploy/helm and deploy/kubernetes: a table of values is rendered by Helm, and every object is valid."""

import functools
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

import sandbox

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "tradernet-exporter"
MANIFEST = ROOT / "deploy" / "kubernetes" / "tradernet-exporter.yaml"
# The oldest that the chart accepts and the newest that the schemas know.
KUBERNETES_VERSIONS = ("1.25", "1.37")

ACCOUNT = {"account": "desk-1", "api_key_file": "/secrets/keys/api-key", "api_secret_file": "/secrets/keys/api-secret", "min_sessions": 1}
ONE = {"config": {"accounts": [ACCOUNT]}, "secrets": ["keys"]}
MANY = {"replicas": 3, "config": {"defaults": {"poll_interval": "60s"}, "accounts": [ACCOUNT, ACCOUNT | {"account": "desk-2"}], "safety_types": {"2": "key"}}, "secrets": ["keys", "other"]}  # fmt: skip
OPERATOR = {"serviceMonitor": {"enabled": True, "labels": {"release": "kps"}}, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}
VALUES = {
    "demo": {"demo": True},
    "one": ONE,
    "many": MANY,
    "operator": ONE | OPERATOR,
    "everything": MANY | OPERATOR | {
        "image": {"digest": "sha256:" + "0" * 64}, "imagePullSecrets": [{"name": "pull"}], "fullnameOverride": "x",
        "env": {"TRADERNET_LOG_FORMAT": "json", "WEB_EXTERNAL_URL": "https://tradernet.example.com", "WEB_TELEMETRY_PATH": "/m"},
        "ca": {"configMap": "ca"}, "service": {"annotations": {"a": "b"}}, "serviceAccount": {"name": "y", "annotations": {"a": "b"}},
        "networkPolicy": {"from": [{"podSelector": {}}], "apiPorts": [443, 3128], "to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]},
        "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}}, "priorityClassName": "high",
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    },
    # Texts that YAML would read as something else.
    "digits": {
        "config": {"accounts": [{"account": "0123", "login": "0123456", "password_file": "p", "login_view_only": True, "user_id": "123456789012345678"}]},
        "secrets": ["123"], "ca": {"configMap": "88"}, "serviceAccount": {"name": "1234"}, "priorityClassName": "77",
    },
    "pages with TLS": ONE | {
        "env": {"WEB_CONFIG_FILE": "/secrets/keys/web.yml"},
        "serviceMonitor": {"enabled": True, "endpoint": {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}}},
    },
    "without the optional": ONE | {"networkPolicy": {"enabled": False}, "serviceAccount": {"create": False}, "nameOverride": "n" * 60},
}  # fmt: skip

# Values, and a part of the error.
BAD_VALUES = (
    ({}, "set config.accounts (and secrets), or demo=true"),
    ({"demo": True, "replicas": 2}, "the demo's accounts cannot be shared"),
    (ONE | {"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
    (ONE | {"replica": 2}, "additional properties 'replica' not allowed"),
    ({"config": {"accounts": [{"account": "a", "password": "hunter2"}]}}, "additional properties 'password' not allowed"),
    ({"config": {"accounts": [{"account": "a", "pol_interval": "30s"}]}}, "additional properties 'pol_interval' not allowed"),
    ({"config": {"accounts": [{"min_sessions": 1}]}}, "at '/config/accounts/0': missing property 'account'"),
    ({"config": {"accounts": [{"account": "a", "poll_interval": "soon"}]}}, "at '/config/accounts/0/poll_interval': 'soon' does not match pattern"),
    # Helm has read `login: 0123456` as 42798.
    ({"config": {"accounts": [{"account": "a", "login": 42798}]}}, "at '/config/accounts/0/login': got number, want null or string"),
    (ONE | {"image": {"tag": "1.0: x"}}, "at '/image/tag': '1.0: x' does not match pattern"),
    (ONE | {"ca": {"configMap": "My CA"}}, "at '/ca/configMap': 'My CA' does not match pattern"),
    (ONE | {"podLabels": {"app.kubernetes.io/name": "x"}}, "invalid propertyName 'app.kubernetes.io/name'"),
    (ONE | {"serviceMonitor": {"endpoint": {"port": "x"}}}, "invalid propertyName 'port'"),
    (ONE | {"env": {"TRADERNET_SID": "x"}}, "invalid propertyName 'TRADERNET_SID'"),
    (ONE | {"env": {"TRADERNET_POLL_INTERVAL": "60s"}}, "invalid propertyName 'TRADERNET_POLL_INTERVAL'"),
    (ONE | {"resources": {"limit": {"memory": "1Gi"}}}, "at '/resources': additional properties 'limit' not allowed"),
    (ONE | {"resources": {"limits": {"memory": "1GB"}}}, "at '/resources/limits/memory': '1GB' does not match pattern"),
    (ONE | {"env": {"TRADERNET_MAX_RESPONSE_BYTES": 4194304}}, "got number, want string"),
    (ONE | {"secrets": ["Keys"]}, "at '/secrets/0': 'Keys' does not match pattern"),
    (ONE | {"nameOverride": "1-" * 30, "fullnameOverride": ""}, "does not match pattern"),
    (ONE | {"alerts": {"expiry_warning": None}}, "at '/alerts': missing property 'expiry_warning'"),
    (ONE | {"fullnameOverride": "My_Exporter"}, "at '/fullnameOverride': 'My_Exporter' does not match pattern"),
    (ONE | {"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
    (ONE | {"alerts": {"off_hours": False}}, "at '/alerts/off_hours': got boolean, want string"),
    (ONE | {"alerts": {"off_hours": "false"}}, "at '/alerts/off_hours': 'false' does not match pattern '^(on|off)$'"),
    (ONE | {"alerts": {"expiry_warning": "foo"}}, "at '/alerts/expiry_warning': 'foo' does not match pattern"),
    (ONE | {"alerts": {"polls_failing_ratio": 25}}, "at '/alerts/polls_failing_ratio': exclusiveMaximum: got 25, want 1"),
    (ONE | {"alerts": {"no_session_for": 5}}, "at '/alerts/no_session_for': got number, want string"),
    (ONE | {"alerts": {"new_address_window": "off"}}, "at '/alerts/new_address_window': 'off' does not match pattern"),
    (ONE | {"alerts": {"runbook_url": "off"}}, "at '/alerts/runbook_url': 'off' does not match pattern"),
    (ONE | {"alerts": {"routing_labels": "desk, job"}}, "at '/alerts/routing_labels': 'not' failed"),
    (ONE | {"alerts": {"expiry": 1}}, "additional properties 'expiry' not allowed"),
    (ONE | {"serviceMonitor": {"interval": "soon"}}, "at '/serviceMonitor/interval': 'soon' does not match pattern"),
    (ONE | {"networkPolicy": {"apiPorts": []}}, "at '/networkPolicy/apiPorts': minItems: got 0, want 1"),
)


def helm(*arguments, values=None):
    run = subprocess.run(["helm", *arguments, "--values", "-"], input=json.dumps(values), capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


@functools.cache
def rendered(name):
    """The objects for these values, by kind; ConfigMaps by their names."""
    code, text, error = helm("template", "null", CHART, values=VALUES[name])
    assert code == 0, error
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(name, *kinds):
    return [one for one in rendered(name) if one["kind"] in kinds]


def workload(name):
    [found] = of_kind(name, "Deployment", "StatefulSet")
    return found


def container(name):
    [found] = workload(name)["spec"]["template"]["spec"]["containers"]
    return found


class Helm(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for name, values in VALUES.items():
            code, text, error = helm("lint", "--strict", CHART, values=values)
            self.assertEqual(code, 0, f"{name}: {text}{error}")
            self.assertNotIn("fail", error, name)

    def test_every_object_matches_the_schemas(self):
        operator = []
        for one in [*(one for name in VALUES for one in rendered(name)), *yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))]:
            if one["apiVersion"].startswith("monitoring.coreos.com/"):
                operator.append(one)
                continue
            for version in KUBERNETES_VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
        self.assertEqual({one["kind"] for one in operator}, {"ServiceMonitor", "PrometheusRule"})
        check = [os.environ.get("NODE", "node"), Path(__file__).with_name("operator_objects.mjs")]
        run = subprocess.run(check, input=json.dumps(operator), capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stdout), (0, ""), run.stderr)

    def test_bad_values_are_refused(self):
        for values, expected in BAD_VALUES:
            code, _, error = helm("template", "rel", CHART, values=values)
            self.assertNotEqual(code, 0, values)
            self.assertIn(expected, error)
            self.assertNotIn("hunter2", error)

    def test_pods_meet_the_restricted_standard(self):
        for name in VALUES:
            pod = workload(name)["spec"]["template"]["spec"]
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            restricted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            self.assertEqual(container(name)["securityContext"], restricted)
            self.assertFalse(pod["automountServiceAccountToken"])
            kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
            self.assertLessEqual(kinds, {"configMap", "secret"})

    def test_selectors_name_the_pods(self):
        for name in VALUES:
            labels = workload(name)["spec"]["template"]["metadata"]["labels"].items()
            selectors = [
                workload(name)["spec"]["selector"]["matchLabels"],
                *(one["spec"]["selector"] for one in of_kind(name, "Service")),
                *(one["spec"]["podSelector"]["matchLabels"] for one in of_kind(name, "NetworkPolicy")),
                *(one["spec"]["selector"]["matchLabels"] for one in of_kind(name, "PodDisruptionBudget")),
            ]
            for selector in selectors:
                self.assertLessEqual(selector.items(), labels, name)
            ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
            for probe in ("livenessProbe", "readinessProbe"):
                self.assertIn({"name": "WEB_PROBE_LISTEN_ADDRESS", "value": f"[::]:{ports[container(name)[probe]['httpGet']['port']]}"}, container(name)["env"])
            for monitor in of_kind(name, "ServiceMonitor"):
                [service] = of_kind(name, "Service")
                self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
                [endpoint] = monitor["spec"]["endpoints"]
                self.assertIn(endpoint["port"], [port["name"] for port in service["spec"]["ports"]])

    def test_one_replica_is_never_doubled_and_many_share_the_accounts(self):
        one, many = workload("one"), workload("many")
        self.assertEqual((one["kind"], one["spec"]["strategy"]), ("Deployment", {"type": "Recreate"}))
        self.assertEqual(of_kind("one", "PodDisruptionBudget"), [])
        self.assertEqual((many["kind"], many["spec"]["replicas"]), ("StatefulSet", 3))
        self.assertIn("--shard=auto/3", container("many")["args"])
        [service] = of_kind("many", "Service")
        self.assertEqual(many["spec"]["serviceName"], service["metadata"]["name"])
        self.assertEqual(len(of_kind("many", "PodDisruptionBudget")), 1)

    def test_exporter_accepts_arguments_variables_and_files(self):
        """`check --offline` as the pod would run it, with files as the kubelet lays them: links into a folder that is swapped."""
        for name in ("one", "many", "everything", "digits", "pages with TLS"):
            with tempfile.TemporaryDirectory() as folder:
                data = {"config": of_kind(name, "ConfigMap")[0]["data"], "secrets": {"api-key": "k" * 16, "api-secret": "s" * 16, "web.yml": "{}"}}
                for volume, files in data.items():
                    for file, text in files.items():
                        Path(folder, volume, "..data").mkdir(parents=True, exist_ok=True)
                        Path(folder, volume, "..data", file).write_text(text, encoding="utf-8")
                        Path(folder, volume, file).symlink_to(f"..data/{file}")
                variables = {one["name"]: one.get("value", "null-tradernet-exporter-1") for one in container(name)["env"]}
                binds = ["--ro-bind", f"{folder}/config", "/config", "--ro-bind", f"{folder}/secrets", "/secrets/keys"]
                arguments = [*container(name)["args"], "check", "--offline"]
                command = sandbox.command(os.environ["EXPORTER"], arguments, variables, binds)
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                self.assertRegex(run.stdout, "^the configuration is valid; accounts: [0-2]\n$", run.stderr)

    def test_accounts_are_those_of_the_values_and_a_change_restarts_the_pods(self):
        config = yaml.safe_load(of_kind("many", "ConfigMap")[0]["data"]["accounts.yml"])
        self.assertEqual(config, MANY["config"])

        def checksum(name):
            return workload(name)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        self.assertEqual(checksum("one"), checksum("operator"))
        self.assertNotEqual(checksum("one"), checksum("many"))

    def test_rules_are_the_shipped_ones_with_the_values_settings(self):
        [rule] = of_kind("operator", "PrometheusRule")
        shipped = yaml.safe_load((ROOT / "dashboards/alerts.yaml").read_text(encoding="utf-8"))
        self.assertEqual(rule["spec"], shipped)
        settings = {"expiry_warning": 3600, "off_hours": "on", "runbook_url": "https://x.example/r", "dashboard_url": "https://g.example/d/t?orgId=1"}
        code, text, error = helm("template", "rel", CHART, "--show-only", "templates/prometheusrule.yaml", values=VALUES["operator"] | {"alerts": settings})
        self.assertEqual(code, 0, error)
        generator = [ROOT / "tools/alert-rules/generate.py", *(f"--set={name}={value}" for name, value in settings.items())]
        generated = subprocess.run(generator, capture_output=True, text=True, check=True).stdout
        self.assertEqual(yaml.safe_load(text)["spec"], yaml.safe_load(generated))

    def test_settings_of_the_rules_are_those_of_the_generator(self):
        generator = [ROOT / "tools/alert-rules/generate.py", "--format=helm-values"]
        generated = yaml.safe_load(subprocess.run(generator, capture_output=True, text=True, check=True).stdout)["alerts"]
        self.assertEqual(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["alerts"], generated)

    def test_keys_of_an_account_are_those_of_the_accounts_file_without_secrets(self):
        accounts = json.loads((ROOT / "docs/accounts.schema.json").read_text(encoding="utf-8"))["$defs"]["account"]["properties"]
        keys = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["$defs"]["account"]["properties"]
        self.assertEqual(set(keys), set(accounts) - {"sid", "password", "api_key", "api_secret"})

    def test_variables_are_those_of_no_account_that_the_chart_does_not_set(self):
        """A variable of an account conflicts with the accounts file, and a misspelt one is an error of the exporter."""
        run = subprocess.run([os.environ["EXPORTER"], "check", "--offline"], capture_output=True, text=True, check=False, env={"TRADERNET_QQQQQQQQ": "1"})
        known = re.search(r"known variables are (.*)", run.stderr)[1].split(", ")
        accounts = json.loads((ROOT / "docs/accounts.schema.json").read_text(encoding="utf-8"))["$defs"]["account"]["properties"]
        chart = {"TRADERNET_CONFIG_FILE", "TRADERNET_SHARD", "WEB_LISTEN_ADDRESS", "WEB_PROBE_LISTEN_ADDRESS", "WEB_SYSTEMD_SOCKET"}
        allowed = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["properties"]["env"]["propertyNames"]["enum"]
        expected = set(known) - {f"TRADERNET_{key.upper()}" for key in accounts} - chart
        self.assertEqual(set(allowed), expected | {"HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})

    def test_dashboard_survives_helm(self):
        [found] = [one for one in of_kind("operator", "ConfigMap") if one["metadata"]["name"].endswith("-dashboard")]
        [text] = found["data"].values()
        self.assertEqual(json.loads(text), json.loads((ROOT / "dashboards/tradernet-security-sessions.json").read_text(encoding="utf-8")))

    def test_generated_files_are_current(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([ROOT / "scripts/update-generated.sh", folder], check=True)
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            self.assertEqual(len(files), 5)
            for path in files:
                place = path.relative_to(folder)
                self.assertEqual(path.read_text(encoding="utf-8"), (ROOT / place).read_text(encoding="utf-8"), place)


if __name__ == "__main__":
    unittest.main()
