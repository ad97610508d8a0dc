"""Time series as arrays. Times are unix seconds, ascending; a missing or unusable value is NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_WORDS = {"NaN": np.nan, "+Inf": np.inf, "Inf": np.inf, "-Inf": -np.inf}


@dataclass(frozen=True, slots=True)
class Series:
    """One series with its labels; `values` may hold NaN and infinities as Prometheus sent them."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats

    @property
    def finite(self) -> Floats:
        return self.values[np.isfinite(self.values)]

    @property
    def last(self) -> float:
        """The newest value, NaN and infinities included; NaN for no samples."""
        return float(self.values[-1]) if self.values.size else float("nan")

    def between(self, start: float, end: float) -> Series:
        keep = (self.times >= start) & (self.times <= end)
        return Series(self.labels, self.times[keep], self.values[keep])


def parse_result(result_type: str, result: Any) -> list[Series]:
    """Prometheus' matrix, vector or scalar as series. ValueError for anything else.

    A series of native histograms carries no float values and comes back empty.
    """
    if result_type == "scalar":
        return [_series({}, [result])]
    if result_type not in ("matrix", "vector") or not isinstance(result, list):
        raise ValueError(f"result type {result_type!r}")
    return [_series(row["metric"], row.get("values", [row["value"]] if "value" in row else [])) for row in result]


def _series(metric: Mapping[str, Any], pairs: Sequence[Sequence[Any]]) -> Series:
    times = np.array([float(time) for time, _ in pairs], dtype=np.float64)
    values = np.array([_value(value) for _, value in pairs], dtype=np.float64)
    return Series({str(name): str(value) for name, value in metric.items()}, times, values)


def _value(text: Any) -> float:
    return _WORDS[text] if text in _WORDS else float(text)


def thin(series: Series, most: int) -> Series:
    """At most `most` points, first and last kept, for sparklines."""
    if series.times.size <= most:
        return series
    index = np.unique(np.linspace(0, series.times.size - 1, most).round().astype(int))
    return Series(series.labels, series.times[index], series.values[index])
