"""docs/accounts.schema.json accepts what the exporter accepts, and shows an editor the usual mistakes; docs/configuration.md has every
variable."""

import itertools
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "config"
# What a schema can see; the others are errors of YAML's syntax or depend on several values.
VISIBLE = (
    "account_for_accounts", "accounts_a_mapping", "accounts_empty", "dedented", "labels", "list_items", "misplaced_key", "name_as_default",
    "no_accounts", "out_of_range", "secret_and_file", "top_is_a_list", "unknown_key", "unknown_top_level",
)  # fmt: skip


class Schema(unittest.TestCase):
    def setUp(self):
        schema = json.loads((ROOT / "docs" / "accounts.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft7Validator.check_schema(schema)
        self.validator = jsonschema.Draft7Validator(schema)

    def errors(self, path):
        # JSON's keys are texts.
        content = json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))))
        return [error.message for error in self.validator.iter_errors(content)]

    def test_keys_are_those_that_the_exporter_knows(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "accounts.yml")
            path.write_text("accounts: [{qqqqqqqq: 1}]\n", encoding="utf-8")
            command = [os.environ["EXPORTER"], "check", "--offline", "--config.file", path]
            error = subprocess.run(command, capture_output=True, text=True, check=False, env={}).stderr
        known = re.search(r"qqqqqqqq: unknown key; known keys are (.*)", error)[1].split(", ")
        self.assertEqual(sorted(self.validator.schema["$defs"]["account"]["properties"]), sorted(known))

    def test_examples_with_a_minimum_leave_out_the_exporters_own_session(self):
        """Otherwise the exporter's own session hides the loss of the one that matters."""
        found = 0
        for path in [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*"), *ROOT.glob("deploy/**/*")]:
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            for line, following in itertools.pairwise([*lines, ""]):
                if re.search(r"MIN_SESSIONS=[1-9]|min_sessions: [1-9]", line):
                    found += 1
                    self.assertRegex(following, r"MIN_SESSIONS_SAFETY_TYPES=\S|min_sessions_safety_types:", path)
        self.assertGreaterEqual(found, 7)

    def test_every_variable_is_documented(self):
        environment = {"TRADERNET_QQQQQQQQ": "1"}
        run = subprocess.run([os.environ["EXPORTER"], "check", "--offline"], capture_output=True, text=True, check=False, env=environment)
        known = re.search(r"unknown variable; known variables are (.*)", run.stderr)[1].split(", ")
        page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
        self.assertEqual([name for name in known if f"`{name}`" not in page and not name.endswith("_FILE")], [])

    def test_accepted_files_are_valid(self):
        files = [*FIXTURES.glob("*.good.yml"), ROOT / "examples" / "accounts.yml"]
        self.assertGreater(len(files), 5)
        for path in files:
            self.assertEqual(self.errors(path), [], path)

    def test_visible_mistakes_are_errors(self):
        for name in VISIBLE:
            self.assertNotEqual(self.errors(FIXTURES / f"{name}.bad.yml"), [], name)


if __name__ == "__main__":
    unittest.main()
