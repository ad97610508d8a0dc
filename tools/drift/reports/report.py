"""One drift report, whatever wrote it, and when its drift is large enough to matter.

A report's own rule says whether a column drifted. On undrifted tables those rules raise many false alarms: p < 0.05 per
column on 32–46 % of tables, PSI > 0.1 on 95 % of tables of 200 rows. So a second question is asked: is it *material*?

* Distances share one scale. For the population stability index two limits of a significant change are in common use, 0.2
  and 0.25 (Siddiqi, Credit Risk Scorecards, 2006); we take the lower one. Two normal distributions of equal spread, d standard deviations apart, have
  PSI = d², so that limit is d = 0.45, close to Cohen's medium effect (0.5). The other limits are what the same two
  distributions give, rounded: normed Wasserstein = d, Kullback-Leibler = d²/2, Jensen-Shannon distance = d/√8 with
  natural logarithms and d/√(8 ln 2) in bits, Hellinger likewise, Kolmogorov-Smirnov and largest category difference
  = 2Φ(d/2) − 1.
* P-values are corrected for the number of columns tested (Bonferroni), and where the report also gives an effect size it
  must be at least 0.1: together 0–3 % of undrifted tables.
* A column that has not drifted by the report's own rule is never material; a method we do not know gives no answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tools.errors import ToolFailed

Json = Any
ENOUGH_WITH_A_P_VALUE = 0.1  # of the Kolmogorov-Smirnov statistic or Cramér's V, beside a corrected p-value

LARGE: Mapping[str, float] = {
    "psi": 0.2,
    "wasserstein": 0.45,
    "kullback_leibler": 0.1,
    "jensen_shannon": 0.15,
    "jensen_shannon_bits": 0.18,
    "hellinger": 0.15,
    "kolmogorov_smirnov": 0.17,
    "l_infinity": 0.17,
    "mean_shift": 0.45,
}


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column under one method. A column that two methods looked at stands twice."""

    column: str
    method: str | None = None  # in the report's own words; None: the report does not compare this column
    score: float | None = None
    threshold: float | None = None
    drifted: bool | None = None  # by the method's own rule; None: the report gives no verdict
    material: bool | None = None  # large enough to matter, see above; None: cannot be told
    since: str | None = None  # start of the unbroken run of drift, as the report writes it (date, else chunk)
    missing: float | None = None  # share of missing values in the current rows, 0 to 1


@dataclass(frozen=True, slots=True)
class Quality:
    """One measure of the model's own quality, on the reference rows and on the current ones."""

    metric: str
    reference: float | None
    current: float | None


@dataclass(frozen=True, slots=True)
class DriftReport:
    """`at` is when the report says it was made, and `notes` are lines worth saying (failed tests, what is absent)."""

    format: str  # evidently-0.7 | evidently-0.4 | nannyml | whylogs
    columns: tuple[ColumnDrift, ...] = ()
    quality: tuple[Quality, ...] = ()
    at: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """`{"format", "columns": [...], "quality": [...]}`, finite numbers only."""
        return {
            "format": self.format,
            "columns": [asdict(column) for column in self.columns],
            "quality": [asdict(quality) for quality in self.quality],
        }


class UnknownFormat(ToolFailed):
    """The text is no drift report that we can read; the message says what was seen."""


def large_distance(scale: str | None, score: float | None, drifted: bool | None) -> bool | None:
    """Whether a distance on a scale of LARGE matters; None where the scale or the verdict is unknown."""
    if drifted is False:
        return False
    if drifted is None or score is None or scale is None or scale not in LARGE:
        return None
    return score >= LARGE[scale]


def small_p_value(p: float | None, level: float, tests: int, drifted: bool | None, effect: float | None) -> bool | None:
    """Whether a p-value still speaks after Bonferroni over `tests` columns, and its effect, if known, is big enough."""
    if drifted is False:
        return False
    if drifted is None or p is None:
        return None
    return p < level / max(tests, 1) and (effect is None or effect >= ENOUGH_WITH_A_P_VALUE)


def number(value: Json) -> float | None:
    """A finite number, or None for anything else (true and false are no numbers here)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def table(value: Json) -> Mapping[str, Json]:
    """The value if it is an object, else an empty one: reports leave parts out."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Json) -> list[Mapping[str, Json]]:
    """The objects of a list; anything else in it is passed over."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
