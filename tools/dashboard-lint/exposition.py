"""Sample names and labels of a page in Prometheus' text format.

Only lines with a sample count: a family with `# TYPE` and without a sample would leave a panel empty.
"""

import re

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s")
LABEL = re.compile(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"')


def read(text):
    """Returns {sample name: set of label names}."""
    found = {}
    for line in text.splitlines():
        match = SAMPLE.match(line)
        if match:
            found.setdefault(match[1], set()).update(LABEL.findall(match[2] or ""))
    return found


def types(text):
    """Returns {family name: its type}."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
