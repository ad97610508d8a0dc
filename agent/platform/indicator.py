"""What a rule measures: the metrics that carry it, recording rules followed down to raw ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tools.alerts.expression import bare
from tools.context import Labels
from tools.errors import BadArguments
from tools.prometheus import promql as pql

DEEPEST = 5  # recording rules within one another
_CONDITIONS = frozenset({"and", "unless", ">", "<", ">=", "<=", "==", "!="})  # what stands at their right only narrows


@dataclass(frozen=True, slots=True)
class Indicator:
    """The metrics that a rule measures, the one that leads first; the labels its selectors fix to one value; whether an
    aggregation may have thrown labels away."""

    metrics: tuple[str, ...] = ()
    fixed: Labels = field(default_factory=dict)
    aggregates: bool = False
    known: bool = False  # whether there was an expression that could be read


def indicator_of(expression: str, recorded: Mapping[str, str] | None = None) -> Indicator:
    """Of a rule's expression. `recorded` are the expressions of recording rules by name. What is not PromQL tells nothing."""
    return _read(expression, recorded) if recorded else _remembered(expression)


@lru_cache(maxsize=512)  # a storm is thousands of alerts of a few rules
def _remembered(expression: str) -> Indicator:
    return _read(expression, {})


def _read(expression: str, recorded: Mapping[str, str]) -> Indicator:
    try:
        tree = pql.parse(expression)
    except BadArguments:
        return Indicator()
    leading = list(_leading(tree, recorded, DEEPEST))
    fixed: dict[str, str] = {}
    for node in leading:
        for name, op, value in pql.matchers_of(node):
            if op == "=" and value:
                fixed.setdefault(name, value)
    names = tuple(dict.fromkeys(_name(node) for node in leading))
    aggregates = any(type(node).__name__ == "AggregateExpr" for node in pql.walk(tree))
    return Indicator(names, fixed, aggregates, known=True)


def _leading(node: pql.Node, recorded: Mapping[str, str], depth: int) -> Iterator[pql.Node]:
    """The selectors of what is measured, without conditions that stand beside it; a recorded one before what it records."""
    node = bare(node)
    kind = type(node).__name__
    if kind == "VectorSelector":
        yield node
        if depth and (behind := recorded.get(pql.metric_of(node))):
            try:
                yield from _leading(pql.parse(behind), recorded, depth - 1)
            except BadArguments:
                return
        return
    if kind == "BinaryExpr" and str(node.op) in _CONDITIONS and pql.selectors(node.lhs):
        yield from _leading(node.lhs, recorded, depth)
        return
    for child in pql.children(node):
        yield from _leading(child, recorded, depth)


def _name(node: pql.Node) -> str:
    """A metric's name, or the pattern of names that is asked for."""
    patterns = [one.value for one in node.matchers.matchers if one.name == "__name__"]
    return pql.metric_of(node) or (patterns[0] if patterns else "")
