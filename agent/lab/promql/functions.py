"""Functions of instant vectors: arithmetic, calendar, labels, absence, order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from promql_parser import Expr, Matcher, MatchOp, MatrixSelector, VectorSelector

from agent.lab.ports import Floats
from agent.lab.promql.errors import NotComputable
from agent.lab.promql.select import anchored, matchers_of
from agent.lab.promql.values import (
    NAME,
    Labels,
    Vector,
    Windows,
    constant,
    inhabited,
    nameless,
    relabelled,
    with_labels,
)

Moments = npt.NDArray[Any]  # of datetime64, timedelta64 or int64
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ELEMENTWISE: Mapping[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sgn": np.sign,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "sin": np.sin,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
    "deg": lambda x: x * 180 / np.pi,
    "rad": lambda x: x * np.pi / 180,
}


def mapped(vector: Vector, values: Floats) -> Vector:
    """New values for the same series, which thereby lose their metric name."""
    return relabelled(Vector(vector.labels, values, vector.present), [nameless(labels) for labels in vector.labels])


def rounded(vector: Vector, nearest: Floats) -> Vector:
    inverse = 1.0 / nearest
    return mapped(vector, np.floor(vector.values * inverse + 0.5) / inverse)


def greater(a: Floats, b: Floats) -> Floats:
    """Go's math.Max: NaN wins over all but +Inf."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def lesser(a: Floats, b: Floats) -> Floats:
    """Go's math.Min: NaN wins over all but -Inf."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))


def clamped(vector: Vector, low: Floats, high: Floats) -> Vector:
    values = greater(low, lesser(high, vector.values))
    return mapped(Vector(vector.labels, values, vector.present & ~(high < low)), values)


def scalar(vector: Vector) -> Floats:
    """The value where exactly one series is there, else NaN."""
    alone = vector.present.sum(axis=0) == 1
    return np.where(alone, np.where(vector.present, vector.values, 0.0).sum(axis=0), np.nan)


def days(moment: Moments) -> Moments:
    return moment.astype("datetime64[D]")


def day_within(moment: Moments, unit: str) -> Moments:
    return days(moment) - days(moment.astype(f"datetime64[{unit}]"))


def month_length(moment: Moments) -> Moments:
    month = moment.astype("datetime64[M]")
    return days(month + 1) - days(month)


CALENDAR: Mapping[str, Callable[[Moments], Moments]] = {
    "minute": lambda moment: moment.astype(np.int64) // 60 % 60,
    "hour": lambda moment: moment.astype(np.int64) // 3600 % 24,
    "day_of_week": lambda moment: (days(moment).astype(np.int64) + 4) % 7,
    "day_of_month": lambda moment: day_within(moment, "M").astype(np.int64) + 1,
    "day_of_year": lambda moment: day_within(moment, "Y").astype(np.int64) + 1,
    "days_in_month": month_length,
    "month": lambda moment: moment.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "year": lambda moment: moment.astype("datetime64[Y]").astype(np.int64) + 1970,
}


def calendar(part: str, vector: Vector) -> Vector:
    """A part of the UTC date of unix seconds; NaN for what is no date."""
    dated = np.isfinite(vector.values) & (np.abs(vector.values) < 2**40)
    moment = np.where(dated, vector.values, 0).astype(np.int64).astype("datetime64[s]")
    return mapped(vector, np.where(dated, CALENDAR[part](moment).astype(np.float64), np.nan))


def label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    if LABEL_NAME.fullmatch(target) is None:
        raise NotComputable(f"invalid destination label name in label_replace(): {target}")
    labels = []
    for its_labels in vector.labels:
        match = anchored(pattern).fullmatch(dict(its_labels).get(source, ""))
        labels.append(its_labels if match is None else with_labels(its_labels, {target: filled(replacement, match)}))
    return relabelled(vector, labels)


def filled(template: str, match: re.Match[str]) -> str:
    """Go's Regexp.Expand: `$1`, `$name`, `${name}`, `$$`; an unknown name is empty, and a name is as long as it can be."""

    def value(found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        name = found.group(1) or found.group(2)
        if name.isdigit():
            return (match.group(int(name)) or "") if int(name) <= len(match.groups()) else ""
        return match.groupdict().get(name) or ""

    return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", value, template)


def label_join(vector: Vector, target: str, separator: str, *sources: str) -> Vector:
    if LABEL_NAME.fullmatch(target) is None:
        raise NotComputable(f"invalid destination label name in label_join(): {target}")
    for source in sources:
        if LABEL_NAME.fullmatch(source) is None:
            raise NotComputable(f"invalid source label name in label_join(): {source}")
    joined = [separator.join(dict(labels).get(source, "") for source in sources) for labels in vector.labels]
    labels = [with_labels(labels, {target: value}) for labels, value in zip(vector.labels, joined, strict=True)]
    return relabelled(vector, labels)


def absent(vector: Vector, expr: Expr) -> Vector:
    """1 where no series has a sample, with the labels that the selector asked for."""
    gone = np.logical_not(vector.present.any(axis=0))
    return inhabited(Vector([asked_for(expr)], np.ones((1, gone.size)), gone[np.newaxis, :]))


def absent_over_time(windows: Windows, expr: Expr) -> Vector:
    gone = np.logical_not((windows.high > windows.low).any(axis=0))
    return inhabited(Vector([asked_for(expr)], np.ones((1, gone.size)), gone[np.newaxis, :]))


def asked_for(expr: Expr) -> Labels:
    """The labels that every series of a selector must have; a label that is matched twice counts for nothing."""
    selector = expr.vector_selector if isinstance(expr, MatrixSelector) else expr
    if not isinstance(selector, VectorSelector):
        return ()
    found: dict[str, str] = {}
    seen: set[str] = set()
    matchers: Sequence[Matcher] = [matcher for matcher in matchers_of(selector) if matcher.name != NAME]
    for matcher in matchers:
        if matcher.op == MatchOp.Equal and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return with_labels((), found)


def sort(vector: Vector, descending: bool) -> Vector:
    """Rows by their value at the first step, NaN last. Only an instant query shows this order."""
    if vector.values.shape[1] != 1:
        return vector
    keys = vector.values[:, 0] * (-1 if descending else 1)
    rows = np.lexsort((keys, np.isnan(keys)))
    return Vector([vector.labels[row] for row in rows], vector.values[rows], vector.present[rows])


def one_series(values: Floats) -> Vector:
    return constant((), values)
