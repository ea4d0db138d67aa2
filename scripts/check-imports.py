#!/usr/bin/env python3
"""Fails where files of src/ import each other in a circle, or a folder imports one that lies above it.

Reads `use` declarations and qualified paths outside of test modules. An item counts for the file that
defines it: re-exports are followed.
"""

import re
import sys
from pathlib import Path

# The folders that a folder may import (docs/architecture.md). What is not listed puts the parts together
# (app, check, cli, main) and may import all.
LAYERS = {
    "clock": "",
    "shard": "",
    "secret": "threads",
    "text": "",
    "threads": "",
    "session": "clock",
    "tradernet": "clock secret session text threads",
    "status": "clock session tradernet",
    "config": "clock secret session shard status text tradernet",
    "logging": "clock config text",
    "metrics": "clock logging session shard status tradernet",
    "poller": "clock config secret session status tradernet",
    "web": "clock config logging metrics session shard status text threads tradernet",
    "hash_password": "secret",
    "healthcheck": "config tradernet",
    "simulator": "",
    "demo": "config secret session simulator status tradernet",
}

ROOT = Path(__file__).parent.parent / "src"
USE = re.compile(r"^\s*((?:pub(?:\([a-z ]+\))?\s+)?)use\s+([^;]+);", re.MULTILINE)
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([a-z]+\))? )?mod \w+ \{")


def expand(tree, prefix=()):
    """`a::{b, c as d}` as (path, name) pairs."""
    head, brace, rest = tree.strip().partition("{")
    if not brace:
        path, _, alias = re.sub(r"\s+as\s+", " as ", head).partition(" as ")
        path = prefix + tuple(part.strip() for part in path.split("::") if part.strip())
        yield path, alias or path[-1]
        return
    prefix += tuple(part.strip() for part in head.split("::") if part.strip())
    depth, item = 0, ""
    for character in rest[: rest.rindex("}")] + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            if item.strip():
                yield from expand(item, prefix)
            item = ""
        else:
            item += character


class Source:
    """A file: its imports, re-exports and other code."""

    def __init__(self, text):
        text = TEST_MODULE.split(text)[0]
        text = re.sub(r"//[^\n]*", "", text)
        text = re.sub(r'"(\\.|[^"\\])*"', '""', text)
        self.uses = [
            (bool(public), path, name)
            for public, tree in USE.findall(text)
            for path, name in expand(tree)
        ]
        self.code = USE.sub("", text)

    def paths(self):
        for public, path, name in self.uses:
            if not public or re.search(rf"\b{re.escape(name)}\b", self.code):
                yield path
        for path in re.findall(r"(?<![\w:])[a-z_]+(?:::\w+)+", self.code):
            yield tuple(path.split("::"))


def read():
    sources = {}
    for file in sorted(ROOT.rglob("*.rs")):
        module = file.relative_to(ROOT).with_suffix("").parts
        if {"tests", "test_support", "main"} & set(module):
            continue
        if module[-1] in ("mod", "lib"):
            module = module[:-1]
        sources[module] = Source(file.read_text())
    return sources


def absolute(sources, module, path):
    """The path from the crate's root; None for a path into another crate."""
    if path[0] == "crate":
        return path[1:]
    if path[0] == "self":
        return module + path[1:]
    if path[0] == "super":
        while path and path[0] == "super":
            module, path = module[:-1], path[1:]
        return module + path
    return module + path if module + path[:1] in sources else None


def definer(sources, path, depth=0):
    """The module that defines the item at that path."""
    path = tuple(part for part in path if part != "self")
    module = next(path[:end] for end in range(len(path), -1, -1) if path[:end] in sources)
    item = path[len(module) :][:1]
    for public, target, name in sources[module].uses:
        if public and item == (name,) and depth < 9:
            target = absolute(sources, module, target)
            if target is not None:
                return definer(sources, target, depth + 1)
    return module


def reachable(imports, start):
    found, open_ = set(), list(imports[start])
    while open_:
        module = open_.pop()
        if module not in found:
            found.add(module)
            open_.extend(imports[module])
    return found


def main():
    sources = read()
    imports = {}
    for module, source in sources.items():
        paths = (absolute(sources, module, path) for path in source.paths())
        found = {definer(sources, path) for path in paths if path is not None}
        imports[module] = found - {module}
    reach = {module: reachable(imports, module) for module in imports}
    problems = []
    for module, imported in imports.items():
        for other in sorted(imported):
            edge = f"{'::'.join(module)} imports {'::'.join(other)}"
            if module in reach[other]:
                problems.append(f"circle: {edge}")
            above = other and other[0] not in LAYERS.get(module[0] if module else "", other[0]).split()
            if module and other and above and other[0] != module[0]:
                problems.append(f"upwards: {edge}")
    print("\n".join(problems) or f"{len(imports)} files, no circle, imports run downwards")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
