"""What a page of Prometheus' text format holds: sample names and their labels.

Only lines with a sample count. A family that is announced by `# TYPE` and has no sample would leave
a panel empty, and so does not exist here.
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


def kinds(text):
    """Returns {family name: its kind}."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
