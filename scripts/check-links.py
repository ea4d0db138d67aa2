#!/usr/bin/env python3
"""Fails where a Markdown file of the repository links to a file or a heading that does not exist, or where the table of
direct dependencies is not that of Cargo.toml."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """The anchors of the headings, as GitHub makes them; a repeated heading has a number."""
    seen = {}
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        yield f"{anchor}-{count}" if count else anchor


def broken(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            yield target, "no such file"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield target, "no such heading"


def dependencies():
    """Crates that only one of Cargo.toml and docs/architecture.md has."""
    used = set(tomllib.loads((ROOT / "Cargo.toml").read_text())["dependencies"])
    _, _, table = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("## Direct dependencies")
    for crate in sorted(used ^ set(re.findall(r"^\| `([\w-]+)` \| \S", table, re.MULTILINE))):
        yield f"Cargo.toml and docs/architecture.md: {crate}: only in one of them"


def main():
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [f"{name}: {target}: {why}" for name in listed.split("\0") if name for target, why in broken(ROOT / name)]
    found += dependencies()
    print("\n".join(found) or "every link of the documentation leads somewhere, every dependency has its reason")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
