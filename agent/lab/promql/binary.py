"""Binary operators: arithmetic and comparison with vector matching, and the set operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from promql_parser import BinaryExpr

from agent.lab.ports import Floats
from agent.lab.promql.errors import NotComputable, Unsupported
from agent.lab.promql.values import (
    NAME,
    Bools,
    Labels,
    Vector,
    empty,
    inhabited,
    nameless,
    only,
    relabelled,
    rows_by_key,
    shown,
    with_labels,
    without,
)

ARITHMETIC: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
SETS = ("and", "or", "unless")


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of both sides find each other, and which side may have many."""

    names: frozenset[str]
    on: bool  # else: all labels but these
    many: str = ""  # "", "left" or "right"
    include: tuple[str, ...] = ()
    returns_bool: bool = False

    def signature(self, labels: Labels) -> Labels:
        return only(labels, self.names) if self.on else without(labels, self.names | {NAME})


def matching_of(expr: BinaryExpr) -> Matching:
    modifier = expr.modifier
    if modifier is None:
        return Matching(frozenset(), on=False)
    if modifier.fill_values and (modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None):
        raise Unsupported("fill modifiers are not known to this evaluator; write `or` with a default")
    matching = modifier.matching
    names, on = ([], False) if matching is None else (matching.labels, str(matching.type).endswith("Include"))
    many = {"ManyToOne": "left", "OneToMany": "right"}.get(str(modifier.card).rpartition(".")[2], "")
    return Matching(frozenset(names), on, many, tuple(modifier.group_labels or ()), modifier.return_bool)


def combined(op: str, matching: Matching, left: Vector | Floats, right: Vector | Floats) -> Vector | Floats:
    """`left op right` for scalars and vectors alike."""
    with np.errstate(all="ignore"):
        if isinstance(left, Vector) and isinstance(right, Vector):
            if op in SETS:
                return set_combined(op, matching, left, right)
            return relabel_checked(matched(op, matching, left, right))
        if isinstance(left, Vector):
            assert not isinstance(right, Vector)
            return with_scalar(op, matching.returns_bool, left, right, swapped=False)
        if isinstance(right, Vector):
            return with_scalar(op, matching.returns_bool, right, left, swapped=True)
        return ARITHMETIC[op](left, right) if op in ARITHMETIC else COMPARISONS[op](left, right).astype(np.float64)


def relabel_checked(vector: Vector) -> Vector:
    return relabelled(vector, vector.labels)


def drops_name(op: str) -> bool:
    return op in ARITHMETIC and op != "atan2"  # Prometheus 2 forgot atan2


def elementwise(op: str, returns_bool: bool, left: Floats, right: Floats, kept: Floats) -> tuple[Floats, Bools]:
    """Values, and where a comparison lets them pass. `kept`: the value that a filter passes on."""
    if op in ARITHMETIC:
        return ARITHMETIC[op](left, right), np.ones(left.shape, dtype=bool)
    holds = COMPARISONS[op](left, right)
    if returns_bool:
        return holds.astype(np.float64), np.ones(left.shape, dtype=bool)
    return kept, holds


def with_scalar(op: str, returns_bool: bool, vector: Vector, scalar: Floats, swapped: bool) -> Vector:
    other = np.broadcast_to(scalar, vector.values.shape)
    left, right = (other, vector.values) if swapped else (vector.values, other)
    values, passes = elementwise(op, returns_bool, left, right, vector.values)
    result = Vector(vector.labels, values, vector.present & passes)
    if drops_name(op) or returns_bool:
        return relabelled(result, [nameless(labels) for labels in vector.labels])
    return inhabited(result)


def matched(op: str, matching: Matching, left: Vector, right: Vector) -> Vector:
    """Each series of the "many" side (the left one, if both are "one") with the one series that matches it."""
    many, one = (right, left) if matching.many == "right" else (left, right)
    active = np.logical_and(
        many.present.any(axis=0), one.present.any(axis=0)
    )  # where a side is empty nothing is matched, nor refused
    many_rows = rows_by_key(matching.signature(labels) for labels in many.labels)
    one_rows = rows_by_key(matching.signature(labels) for labels in one.labels)
    labels: list[Labels] = []
    values, present = [], []
    for signature, rows in one_rows.items():
        refuse_duplicates(signature, one, rows, active, matching.many)
    for signature, rows in many_rows.items():
        partners = one_rows.get(signature)
        if partners is None:
            continue
        kept = []
        for row in rows:
            for partner in partners:
                here = many.present[row] & one.present[partner]
                a, b = many.values[row], one.values[partner]
                if matching.many == "right":
                    a, b = b, a
                result, passes = elementwise(op, matching.returns_bool, a, b, a)
                labels.append(result_labels(op, matching, many.labels[row], one.labels[partner]))
                values.append(result)
                present.append(here & passes)
                kept.append(len(labels) - 1)
        refuse_many(matching, labels, present, kept)
    if not labels:
        return empty(left.values.shape[1])
    return inhabited(Vector(labels, np.array(values), np.array(present)))


def result_labels(op: str, matching: Matching, many: Labels, one: Labels) -> Labels:
    labels = nameless(many) if drops_name(op) or matching.returns_bool else many
    if not matching.many:
        labels = only(labels, matching.names) if matching.on else without(labels, matching.names)
    if not matching.include:
        return labels
    given = dict(one)
    return with_labels(labels, {name: given.get(name, "") for name in matching.include})


def refuse_duplicates(signature: Labels, one: Vector, rows: Sequence[int], active: Bools, many: str) -> None:
    """The side that must have one series a group has two at the same step."""
    if len(rows) < 2:
        return
    crowded = np.flatnonzero((one.present[rows].sum(axis=0) > 1) & active)
    if not crowded.size:
        return
    there = [one.labels[row] for row in rows if one.present[row, crowded[0]]]
    side = "left" if many == "right" else "right"
    raise NotComputable(
        f"found duplicate series for the match group {shown(signature)} on the {side} hand-side of the operation: "
        f"[{shown(there[1])}, {shown(there[0])}];many-to-many matching not allowed: matching labels must be unique on one side"
    )


def refuse_many(matching: Matching, labels: Sequence[Labels], present: Sequence[Bools], kept: Sequence[int]) -> None:
    """Two series of one group may not give the same result at the same step; without group_left not even different ones."""
    if len(kept) < 2:
        return
    groups = rows_by_key(labels[index] for index in kept) if matching.many else {(): list(range(len(kept)))}
    for rows in groups.values():
        if (np.array([present[kept[row]] for row in rows]).sum(axis=0) > 1).any():
            raise NotComputable(
                "multiple matches for labels: grouping labels must ensure unique matches"
                if matching.many
                else "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )


def set_combined(op: str, matching: Matching, left: Vector, right: Vector) -> Vector:
    """and, or, unless: decided step by step by which signatures are there on the other side."""
    signatures = [matching.signature(labels) for labels in left.labels]
    others = [matching.signature(labels) for labels in right.labels]
    if op == "or":
        covered = presence(others, signatures, left)
        added = Vector(right.labels, right.values, right.present & ~covered)
        both = Vector(
            [*left.labels, *added.labels],
            np.concatenate([left.values, added.values]),
            np.concatenate([left.present, added.present]),
        )
        return relabel_checked(inhabited(both))
    there = presence(signatures, others, right)
    return inhabited(Vector(left.labels, left.values, left.present & (there if op == "and" else ~there)))


def presence(wanted: Sequence[Labels], signatures: Sequence[Labels], vector: Vector) -> Bools:
    """For each wanted signature, at which steps `vector` has a series with it."""
    nowhere = np.zeros(vector.values.shape[1], dtype=bool)
    there = {signature: vector.present[rows].any(axis=0) for signature, rows in rows_by_key(signatures).items()}
    return np.array([there.get(signature, nowhere) for signature in wanted], dtype=bool).reshape(
        len(wanted), nowhere.size
    )
