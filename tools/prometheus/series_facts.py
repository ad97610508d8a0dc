"""Series as facts and as words: what a reader with little room gets of a range query."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tools.analysis.series import Series, thin
from tools.context import Json
from tools.formatting import clean, labels_text, number
from tools.spec import Fact

MOST_SERIES = 20  # with facts of their own
_POINTS = 60  # of one series in `data`: enough for a sparkline, small enough for evidence
_STATISTICS: Mapping[str, Callable[[Series], float]] = {
    "last": lambda s: s.last,
    "first": lambda s: float(s.values[0]),
    "min": lambda s: float(s.finite.min()),
    "max": lambda s: float(s.finite.max()),
    "mean": lambda s: float(s.finite.mean()),
}


def worst_first(series: Sequence[Series], lowest: bool = False) -> list[Series]:
    """By last value, highest first (or lowest first); series that end in NaN come last, ties by labels."""

    def key(one: Series) -> tuple[bool, float, str]:
        missing = math.isnan(one.last)
        return missing, 0.0 if missing else (one.last if lowest else -one.last), str(sorted(one.labels.items()))

    return sorted((one for one in series if one.values.size), key=key)


def usable(value: float | None) -> float | None:
    """What a fact may hold: a finite number, else None (unknown)."""
    return value if value is not None and math.isfinite(value) else None


def statistic(series: Series, name: str) -> float:
    """One of last, first, min, max, mean; min, max and mean leave NaN and infinities out. NaN where nothing is left."""
    if not (series.values if name in ("last", "first") else series.finite).size:
        return float("nan")
    return float(_STATISTICS[name](series))


def series_facts(
    series: Series, prefix: str, unit: str, window: str, names: Sequence[str] = ("last", "first", "min", "max", "mean")
) -> list[Fact]:
    """`prefix.last` … of one series. A value that is no finite number is None, and the fact's name says which it was."""
    labels = {name: value for name, value in series.labels.items() if name != "__name__"}
    facts = []
    for name in names:
        value = statistic(series, name)
        word = "" if math.isfinite(value) else f" ({number(value)})"
        facts.append(Fact(f"{prefix}.{name}", f"{name}{word}", usable(value), unit, labels, window))
    return facts


def prefixes(count: int) -> list[str]:
    """`value` for one series, else `s1` to `s20`."""
    return ["value"] if count == 1 else [f"s{n}" for n in range(1, min(count, MOST_SERIES) + 1)]


def points(series: Series) -> list[list[Json]]:
    """[unix seconds, value or null] pairs for a sparkline; data holds no NaN, so that it stays plain JSON."""
    return [[float(t), usable(float(v))] for t, v in zip(*_arrays(thin(series, _POINTS)), strict=True)]


def _arrays(series: Series) -> tuple[list[float], list[float]]:
    return series.times.tolist(), series.values.tolist()


def series_data(series: Sequence[Series], most: int = 100) -> list[Json]:
    """The body that evidence keeps: labels and points of up to `most` series, worst first."""
    return [{"labels": dict(one.labels), "points": points(one)} for one in series[:most]]


def line(series: Series, unit: str, several: bool) -> str:
    """`pod=a: 1.9 s (0.2 to 2.1, mean 0.8)`, with what was not a number."""
    shown = {name: number(statistic(series, name), unit) for name in _STATISTICS}
    if not series.finite.size:
        text = f"last {shown['last']}; none of {series.values.size} points is a finite number"
        return f"{labels_text(series.labels)}: {text}" if several or len(series.labels) > 1 else text
    flat = series.finite.size == series.values.size and np.ptp(series.values) == 0
    if flat:
        text = (
            f"{shown['last']} at {'the one point' if series.values.size == 1 else f'all {series.values.size} points'}"
        )
    else:
        text = f"last {shown['last']}, first {shown['first']}, {shown['min']} to {shown['max']}, mean {shown['mean']}"
    odd = int(series.values.size - series.finite.size)
    if odd:
        text += f"; {odd} of {series.values.size} points are NaN or infinite"
    return f"{labels_text(series.labels)}: {text}" if several or len(series.labels) > 1 else text


def remarks_text(remarks: Sequence[str]) -> str:
    """Prometheus' own infos and warnings."""
    return "".join(f"\nPrometheus remarks: {clean(remark, 240)}" for remark in remarks[:3])
