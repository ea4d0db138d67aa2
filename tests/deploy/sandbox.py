"""Runs a program of this machine in a root of its own, with bubblewrap."""

import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = "--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp"


def command(program, arguments, environment, binds):
    """The command line. `binds` are further arguments of bwrap."""
    path = Path(shutil.which(program)).resolve()
    variables = (part for name, value in environment.items() for part in ("--setenv", name, value))
    binds = ["--ro-bind", path, "/program", *binds]
    return ["bwrap", *ROOT.split(), *binds, "--clearenv", *variables, "--die-with-parent", "/program", *arguments]


def variables(text, chosen=None):
    """The assignments of an environment file; with `chosen` only that one, which may be commented out."""
    lines = [line.removeprefix("#") if chosen else line for line in text.splitlines()]
    found = dict(line.split("=", 1) for line in lines if "=" in line and line[0] not in "# ")
    return {chosen: found[chosen]} if chosen else found


def check_offline(exporter, environment, secrets):
    """Exit code and output of `check --offline`, with files for an account of a key pair and an accounts file in the folder `secrets`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("api-key", "api-secret"):
            Path(folder, name).write_text("0123456789abcdef\n", encoding="utf-8")
        accounts = "accounts: [{account: a, api_key_file: api-key, api_secret_file: api-secret}]\n"
        Path(folder, "accounts.yml").write_text(accounts, encoding="utf-8")
        binds = ["--ro-bind", folder, secrets]
        run = subprocess.run(command(exporter, ["check", "--offline"], environment, binds), capture_output=True, text=True, check=False)
    return run.returncode, run.stdout + run.stderr
