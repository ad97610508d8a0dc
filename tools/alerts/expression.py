"""An alert's expression taken apart: what it measures, against which limit, and the same measured by one more label."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import promql_parser as pp

from tools.analysis.anomaly import OPERATORS
from tools.prometheus.promql import Node, aggregate_text, label_text, matchers_of, parse, render, selectors

_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_KEEPS_SERIES = ("topk", "bottomk", "limitk", "limit_ratio")


@dataclass(frozen=True, slots=True)
class Breach:
    """`measured op limit`. Without an operator the expression fires whenever it has a value at all."""

    measured: Node
    op: str = ""
    limit: float | None = None  # None: no number to compare with; `against` is what stands there
    against: str = ""
    rest: bool = False  # further conditions (and, unless) stand beside it
    side: bool = False  # others beside it fire alone (or)

    @property
    def text(self) -> str:
        return render(self.measured)

    def holds(self, value: float) -> bool | None:
        """Whether a value breaches; None where the limit is not a number."""
        return OPERATORS[self.op](value, self.limit) if self.op and self.limit is not None else None

    @property
    def low_is_bad(self) -> bool:
        return self.op in ("<", "<=") or (self.op == "==" and self.limit == 0)


def expression_in(text: str) -> str:
    """PromQL as it is, or out of a generator URL's `g0.expr`."""
    if text.startswith(("http://", "https://", "/graph", "/query")):
        with suppress(ValueError):  # an address that is none, such as http://[::1/
            return parse_qs(urlsplit(text).query).get("g0.expr", [text])[0]
    return text


def breach_of(expression: str) -> Breach:
    """Take the comparison off. Of `a > 1 and b < 2` the first comparison counts, and `rest` says that there is more."""
    node, rest = bare(parse(expression)), False
    while type(node).__name__ == "BinaryExpr" and str(node.op) in ("and", "unless", "or"):
        node, rest = bare(node.lhs), True
    if type(node).__name__ != "BinaryExpr" or str(node.op) not in OPERATORS:
        return Breach(node, rest=rest)
    op, left, right = str(node.op), bare(node.lhs), bare(node.rhs)
    if _number(left) is not None and _number(right) is None:
        op, left, right = _FLIPPED[op], right, left
    return Breach(left, op, _number(right), render(right), rest)


def sides_of(expression: str) -> list[Breach]:
    """The comparisons of an `a > 1 or b == 0`, each of which fires alone; of anything else the one that `breach_of` takes."""
    node = bare(parse(expression))
    sides: list[Node] = []
    while type(node).__name__ == "BinaryExpr" and str(node.op) == "or":
        sides.insert(0, node.rhs)
        node = bare(node.lhs)
    found = [replace(breach_of(render(side)), side=True) for side in (node, *sides)]
    return found if len(found) > 1 and all(one.op for one in found) else [breach_of(expression)]


def bare(node: Node) -> Node:
    """A node without the brackets around it."""
    while type(node).__name__ == "ParenExpr":
        node = node.expr
    return node


def compares(node: Node) -> bool:
    """Whether a node is a comparison that leaves out what does not meet it (one with `bool` leaves out nothing)."""
    if type(node).__name__ != "BinaryExpr" or str(node.op) not in OPERATORS:
        return False
    return not (node.modifier is not None and node.modifier.return_bool)


def _number(node: Node) -> float | None:
    """The value of a constant expression such as `0.05`, `-1`, `15 * 60`."""
    node = bare(node)
    match type(node).__name__:
        case "NumberLiteral":
            return float(node.val)
        case "UnaryExpr":
            inner = _number(node.expr)
            return None if inner is None else -inner
        case "BinaryExpr" if str(node.op) in ("+", "-", "*", "/", "^"):
            left, right = _number(node.lhs), _number(node.rhs)
            return None if left is None or right is None else _calculate(str(node.op), left, right)
        case _:
            return None


def _calculate(op: str, left: float, right: float) -> float | None:
    if op == "/":
        return left / right if right else None
    if op == "^":
        with suppress(OverflowError, ZeroDivisionError):
            power = left**right
            return power if isinstance(power, float) else None
        return None
    return {"+": left + right, "-": left - right, "*": left * right}[op]


def output_labels(node: Node) -> set[str] | None:
    """Labels that the outermost aggregation leaves; None where the series keep their own."""
    node = bare(node)
    match type(node).__name__:
        case "AggregateExpr" if str(node.op) not in _KEEPS_SERIES:
            if node.modifier is None:
                return set()
            return None if _excludes(node.modifier) else set(node.modifier.labels)
        case "BinaryExpr":
            left, right = output_labels(node.lhs), output_labels(node.rhs)
            return right if _number(node.lhs) is not None else left
        case "Call" if node.args:
            vectors = [a for a in node.args if type(bare(a)).__name__ not in ("NumberLiteral", "StringLiteral")]
            found = output_labels(vectors[0]) if vectors else None
            return found - {"le"} if found and node.func.name == "histogram_quantile" else found
        case _:
            return None


def by_label(node: Node, label: str) -> str:
    """The same expression with one more label kept by every aggregation.

    In a ratio whose one side alone is narrowed by that label (`code=~"5.."` over all codes), only that side is split.
    """

    def edit(part: Node) -> str | None:
        kind = type(part).__name__
        if kind == "AggregateExpr" and str(part.op) not in _KEEPS_SERIES:
            return aggregate_text(part, _grouping(part.modifier, label), edit)
        if kind == "BinaryExpr" and _number(part.lhs) is None and _number(part.rhs) is None:
            return _binary(part, label, edit)
        return None

    return render(node, edit)


def _excludes(modifier: Any) -> bool:
    return bool(modifier.type == pp.AggModifierType.Without)


def _grouping(modifier: Any, label: str) -> str:
    if modifier is None:
        return f"by ({label_text(label)})"
    if _excludes(modifier):
        return f"without ({', '.join(label_text(name) for name in modifier.labels if name != label)})"
    return f"by ({', '.join(map(label_text, dict.fromkeys([*modifier.labels, label])))})"


def _binary(node: Node, label: str, edit: Any) -> str | None:
    left_only = _narrows(node.lhs, label) and not _narrows(node.rhs, label)
    modifier = node.modifier
    plain = modifier is None or modifier.card == pp.VectorMatchCardinality.OneToOne
    matching = modifier.matching if modifier is not None else None
    included = matching is not None and matching.type == pp.LabelModifierType.Include
    if left_only and plain and str(node.op) == "/":
        names = list(matching.labels) if matching is not None else []
        how = f"on ({', '.join(names)})" if included else f"ignoring ({', '.join(dict.fromkeys([*names, label]))})"
        return f"{render(node.lhs, edit)} / {how} group_left () {render(node.rhs)}"
    if included and plain and matching is not None:
        how = f"on ({', '.join(dict.fromkeys([*matching.labels, label]))})"
        return f"{render(node.lhs, edit)} {node.op} {how} {render(node.rhs, edit)}"
    return None


def _narrows(node: Node, label: str) -> bool:
    return any(name == label and op != "=" for part in selectors(node) for name, op, _ in matchers_of(part))
