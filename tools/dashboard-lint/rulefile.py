"""Reads the block-style YAML of Prometheus rule files and promtool tests.

The standard library has no YAML reader. This one knows block mappings, block sequences, plain and
quoted scalars, `|` and `>` blocks, `[]`, and comments on lines of their own. It must not guess:
anything else is an error that names the line.
"""

import re

KEY = re.compile(r"([A-Za-z_][\w.-]*):(?:\s+(.*))?$")


class YamlError(Exception):
    """What the reader does not know, with its line."""


class _Lines:
    def __init__(self, text):
        self.all = text.split("\n")
        self.at = 0

    def fail(self, why):
        raise YamlError(f"line {self.at + 1}: {why}")

    def peek(self):
        """Indentation and text of the next line that says something, or (-1, None)."""
        while self.at < len(self.all):
            line = self.all[self.at]
            text = line.strip()
            if text and not text.startswith("#"):
                if "\t" in line[: len(line) - len(line.lstrip())]:
                    self.fail("a tab in the indentation")
                return len(line) - len(line.lstrip(" ")), text
            self.at += 1
        return -1, None


def _scalar(lines, text):
    if text == "[]":
        return []
    if text[0] == "'":
        if not re.fullmatch(r"'(?:[^']|'')*'", text):
            lines.fail("a quoted text that does not end on its line")
        return text[1:-1].replace("''", "'")
    if text[0] == '"':
        if not re.fullmatch(r'"[^"\\]*"', text):
            lines.fail("a double-quoted text with an escape or without an end")
        return text[1:-1]
    if text[0] in "[{&*!|>%@`" or " #" in text:
        lines.fail(f"not a plain scalar: {text}")
    return text


def _block(lines, style, parent):
    """A `|` or `>` block: the lines indented deeper than the key."""
    taken = []
    while lines.at < len(lines.all):
        line = lines.all[lines.at]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= parent:
            break
        taken.append(line)
        lines.at += 1
    indent = min((len(s) - len(s.lstrip(" ")) for s in taken if s.strip()), default=0)
    taken = [s[indent:] for s in taken]
    while taken and not taken[-1].strip():
        taken.pop()
    if style[0] == "|":
        return "\n".join(taken)
    folded = taken[0] if taken else ""
    for before, line in zip(taken, taken[1:]):
        # Lines indented deeper keep their line break.
        keep = line.startswith(" ") or before.startswith(" ")
        folded += ("\n" if keep else " ") + line
    return folded


def _value(lines, text, indent):
    lines.at += 1
    if text in ("|", "|-", ">", ">-"):
        return _block(lines, text, indent)
    if text:
        lines.at -= 1
        value = _scalar(lines, text)
        lines.at += 1
        return value
    deeper, next_text = lines.peek()
    if deeper > indent or (deeper == indent and next_text.startswith("- ")):
        return _node(lines, deeper)
    return None


def _node(lines, indent):
    if lines.peek()[1].startswith("- "):
        items = []
        while (at := lines.peek())[0] == indent and at[1].startswith("- "):
            # The item's first key stands behind the dash: look at it as if the dash were a space.
            line = lines.all[lines.at]
            lines.all[lines.at] = line.replace("- ", "  ", 1)
            deeper, text = lines.peek()
            if KEY.match(text):
                items.append(_node(lines, deeper))
            else:
                items.append(_scalar(lines, text))
                lines.at += 1
        return items
    mapping = {}
    while lines.peek()[0] == indent:
        match = KEY.match(lines.peek()[1])
        if not match:
            lines.fail(f"neither a key nor an item: {lines.peek()[1]}")
        if match[1] in mapping:
            lines.fail(f"the key {match[1]} stands there twice")
        mapping[match[1]] = _value(lines, match[2] or "", indent)
    return mapping


def read(text):
    """Returns dictionaries, lists and strings (numbers stay text). Raises YamlError."""
    lines = _Lines(text)
    root = _node(lines, 0)
    if lines.peek()[1] is not None:
        lines.fail("indentation that fits nothing above")
    return root
