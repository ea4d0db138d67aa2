"""Lists the selectors of a PromQL expression, with Grafana's variables in it.

The parser is `promql-parser`, a port of Prometheus' own. This module only replaces the variables, which
PromQL does not have, and walks the syntax tree.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta

import promql_parser

VARIABLE = r"\$\{?\w+(?::\w+)?\}?"
STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"
# A variable in brackets becomes this duration plus its number; no query has such a range of its own.
RANGE_BASE = timedelta(days=900_000)
OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


class PromqlError(Exception):
    """The expression is not valid."""


@dataclass
class Selector:
    """A vector selector, the variable or duration of its range, and the call directly around it."""

    name: str
    matchers: list = field(default_factory=list)  # (label, operator, value)
    range: str | timedelta | None = None
    function: str | None = None


def _without_variables(expr):
    """Returns an expression without variables, and the variables of its ranges in order."""
    ranges = []

    def replaced(match):
        if match["range"]:
            ranges.append(match["range"])
            return f"[{RANGE_BASE.days + len(ranges)}d{match['step'] or ''}"
        return "1" if match["variable"] else match[0]

    pattern = rf"\[(?P<range>{VARIABLE})(?P<step>:?)|(?P<string>{STRING})|(?P<variable>{VARIABLE})"
    return re.sub(pattern, replaced, expr), ranges


def _walk(node, function, ranges):
    kind = type(node).__name__
    if kind == "VectorSelector":
        matchers = [(m.name, OPERATORS[str(m.op).split(".")[1]], m.value) for m in node.matchers.matchers]
        named = [value for label, operator, value in matchers if (label, operator) == ("__name__", "=")]
        yield Selector(node.name or "".join(named), matchers, None, function)
    elif kind == "MatrixSelector":
        length = node.range
        if length > RANGE_BASE:
            length = ranges[(length - RANGE_BASE).days - 1]
        for found in _walk(node.vector_selector, function, ranges):
            found.range = length
            yield found
    elif kind == "Call":
        for argument in node.args:
            yield from _walk(argument, node.func.name, ranges)
    elif kind == "AggregateExpr":
        for child in filter(None, (node.param, node.expr)):
            yield from _walk(child, str(node.op), ranges)
    elif kind == "BinaryExpr":
        yield from _walk(node.lhs, None, ranges)
        yield from _walk(node.rhs, None, ranges)
    elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
        yield from _walk(node.expr, function, ranges)


def selectors(expr):
    """Returns every selector of the expression, in order. Raises PromqlError."""
    text, ranges = _without_variables(expr)
    try:
        return list(_walk(promql_parser.parse(text), None, ranges))
    except ValueError as error:
        raise PromqlError(str(error)) from error
