"""Finds the selectors of a PromQL expression.

Owns the small part of PromQL's grammar that tells a metric name from a function, a label or a
keyword. It must not judge: whether an expression is valid is promtool's affair.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
  | (?P<variable>\$\{[^}]+\}|\$\w+)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+(?:ms|[smhdwy]))+|\d*\.?\d+(?:[eE][+-]?\d+)?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){}\[\],@:])
    """,
    re.VERBOSE,
)
# Words that a list of labels in parentheses follows.
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}


class PromqlError(Exception):
    """The text cannot be cut into tokens, or a bracket is missing."""


@dataclass
class Selector:
    """One vector selector. `range` is the text in brackets, without a subquery's step."""

    name: str
    matchers: list = field(default_factory=list)  # (label, operator, value)
    range: str | None = None
    function: str | None = None  # the call that stands directly around it


def _tokens(expr):
    at = 0
    while at < len(expr):
        match = TOKEN.match(expr, at)
        if not match:
            raise PromqlError(f"unreadable at {expr[at:at + 20]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield match.lastgroup, match.group()
    yield "end", ""


def _unquote(text):
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", r"\1", text[1:-1])


class _Reader:
    def __init__(self, expr):
        self.tokens = list(_tokens(expr))
        self.at = 0

    def peek(self):
        return self.tokens[self.at]

    def take(self):
        token = self.tokens[self.at]
        if token[0] == "end":
            raise PromqlError("ends too early")
        self.at += 1
        return token

    def until(self, sign):
        """Takes everything up to the sign, which is dropped, and returns the texts."""
        texts = []
        while (text := self.take()[1]) != sign:
            texts.append(text)
        return texts

    def matchers(self):
        found = []
        while self.peek()[1] != "}":
            label, operator, value = self.take()[1], self.take()[1], self.take()
            if value[0] != "string":
                raise PromqlError(f"the matcher of {label} has no string")
            found.append((label, operator, _unquote(value[1])))
            if self.peek()[1] == ",":
                self.take()
        self.take()
        return found

    def selector(self, name, function):
        found = Selector(name, function=function)
        if self.peek()[1] == "{":
            self.take()
            found.matchers = self.matchers()
            for label, operator, value in found.matchers:
                if label == "__name__" and operator == "=":
                    found.name = value
        if self.peek()[1] == "[":
            self.take()
            found.range = "".join(self.until("]")).split(":")[0]
        return found


def selectors(expr):
    """Returns every selector of the expression, in order. Raises PromqlError."""
    reader = _Reader(expr)
    found = []
    calls = []  # one entry for each open parenthesis: the function before it, or None
    pending = None
    while reader.peek()[0] != "end":
        kind, text = reader.take()
        if kind == "name" and text in GROUPING:
            if reader.peek()[1] == "(":
                reader.until(")")
        elif kind == "name" and text.lower() in WORDS:
            pass
        elif kind == "name" and (reader.peek()[1] == "(" or reader.peek()[1] in GROUPING - {"on", "ignoring"}):
            pending = text
        elif text == "(":
            calls.append(pending)
            pending = None
        elif text == ")":
            if not calls:
                raise PromqlError("closes a parenthesis that is not open")
            calls.pop()
        elif text == "[":
            reader.until("]")  # a subquery's range
        elif text == "{":
            reader.at -= 1
            found.append(reader.selector("", calls[-1] if calls else None))
        elif kind == "name":
            found.append(reader.selector(text, calls[-1] if calls else None))
    if calls:
        raise PromqlError("leaves a parenthesis open")
    return found
