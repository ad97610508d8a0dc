"""The values a PromQL expression has, over all steps of a query at once.

A scalar is an array of one float a step. A `Vector` is a matrix, one row a series and one column a step, with a mask
that says where there is a sample: NaN is a value like any other. `Windows` are the samples a range selector sees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.lab.ports import Floats, Millis, Samples
from agent.lab.promql.errors import NotComputable

Bools = npt.NDArray[np.bool_]
Indexes = npt.NDArray[np.int64]
Labels = tuple[tuple[str, str], ...]  # sorted by name, without empty values; compares as Prometheus compares label sets

NAME = "__name__"
STALE = np.int64(0x7FF0000000000002)  # the bits of Prometheus' stale marker, a NaN of its own
STALE_MARKER = float(np.array([STALE]).view(np.float64)[0])
TOO_MANY = "query processing would load too many samples into memory in query execution"


@dataclass(frozen=True, slots=True)
class Options:
    """How the server that is imitated is configured."""

    lookback_ms: int = 300_000
    default_step_ms: int = 60_000  # of a subquery without one: the global evaluation interval
    left_open: bool = False  # windows and lookback: (start, end] as in Prometheus 3, or [start, end] as in 2
    max_samples: int = 50_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """Where and when an expression is evaluated: its steps, and the start and end of the whole query for `@`."""

    samples: Samples
    steps: Millis
    start_ms: int
    end_ms: int
    options: Options

    def admit(self, count: int) -> None:
        """Refuses what would need too much memory, as Prometheus does."""
        if count > self.options.max_samples:
            raise NotComputable(TOO_MANY)


@dataclass(frozen=True, slots=True)
class Vector:
    labels: Sequence[Labels]
    values: Floats  # (series, steps); meaningless where not present
    present: Bools  # (series, steps)


@dataclass(frozen=True, slots=True)
class Windows:
    """Samples of all series one after the other, and for each series and step the slice [low, high) of its window."""

    labels: Sequence[Labels]
    times: Millis
    values: Floats
    low: Indexes  # (series, steps)
    high: Indexes  # (series, steps)
    starts: Millis  # (steps,): where each window begins
    ends: Millis
    range_ms: int


Value = Vector | Floats | str | Windows


def labels_of(mapping: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in mapping.items() if value))


def without(labels: Labels, names: Collection[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)


def only(labels: Labels, names: Collection[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)


def nameless(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != NAME)


def with_labels(labels: Labels, changes: Mapping[str, str]) -> Labels:
    """An empty value removes the label."""
    return labels_of({**dict(labels), **changes})


def shown(labels: Labels) -> str:
    """A label set in Go's notation, for error messages: `{a="b", c="d"}`."""
    return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in labels) + "}"


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def empty(steps: int) -> Vector:
    return Vector([], np.zeros((0, steps)), np.zeros((0, steps), dtype=bool))


def constant(labels: Labels, values: Floats) -> Vector:
    """One series that has a sample at every step."""
    return Vector([labels], values[np.newaxis, :], np.ones((1, values.size), dtype=bool))


def rows_by_key(keys: Iterable[Labels]) -> dict[Labels, list[int]]:
    """Row numbers of equal keys, in the order in which the keys first appear."""
    rows: dict[Labels, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    return rows


def inhabited(vector: Vector) -> Vector:
    """Without the rows that have no sample at any step."""
    keep = vector.present.any(axis=1)
    if keep.all():
        return vector
    rows = np.flatnonzero(keep).tolist()
    return Vector([vector.labels[row] for row in rows], vector.values[rows], vector.present[rows])


def relabelled(vector: Vector, labels: Sequence[Labels], whole: bool = False) -> Vector:
    """With other labels. Rows that become equal are one series, which is an error where both have a sample.

    `whole`: already rows that merely exist at different steps are an error (functions over ranges, unary minus).
    """
    groups = rows_by_key(labels)
    if len(groups) == len(labels):
        return Vector(labels, vector.values, vector.present)
    values, present = [], []
    for rows in groups.values():
        here = vector.present[rows]
        if (here.sum(axis=0) > 1).any() or (whole and here.any(axis=1).sum() > 1):
            raise NotComputable("vector cannot contain metrics with the same labelset")
        values.append(vector.values[rows][here.argmax(axis=0), np.arange(here.shape[1])])
        present.append(here.any(axis=0))
    return Vector(list(groups), np.array(values), np.array(present))


def ordered(vector: Vector) -> Vector:
    """Rows by label set, as Prometheus sorts a matrix."""
    rows = sorted(range(len(vector.labels)), key=lambda row: vector.labels[row])
    return Vector([vector.labels[row] for row in rows], vector.values[rows], vector.present[rows])
