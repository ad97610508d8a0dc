"""whylogs' JSON: drift scores of two profiles (`calculate_drift_scores`), or one profile as a table of columns.

`drift_category` is whylogs' verdict. POSSIBLE_DRIFT is neither yes nor no: it is read as no verdict, and said in a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.drift.reports.report import ColumnDrift, DriftReport, large_distance, number, small_p_value, table

Json = Any
SCALES = {"hellinger": "hellinger", "ks": "kolmogorov_smirnov"}


def recognises(document: Json) -> bool:
    return bool(_scores(document) or _profile(document))


def read(document: Json) -> DriftReport:
    if not _scores(document):
        columns = tuple(ColumnDrift(name, missing=_missing(entry)) for name, entry in _profile(document).items())
        return DriftReport("whylogs", columns, notes=("a profile of one table: it compares nothing",))
    entries = {str(name): table(entry) for name, entry in document.items()}
    tests = sum(1 for entry in entries.values() if number(entry.get("pvalue")) is not None)
    columns = tuple(_column(name, entry, tests) for name, entry in entries.items())
    possible = [name for name, entry in entries.items() if entry.get("drift_category") == "POSSIBLE_DRIFT"]
    notes = (f"possible drift, no verdict: {', '.join(possible[:10])}",) if possible else ()
    return DriftReport("whylogs", columns, notes=notes)


def _scores(document: Json) -> Mapping[str, Json]:
    top = table(document)
    return {name: e for name, e in top.items() if "drift_category" in table(e) and "algorithm" in table(e)}


def _profile(document: Json) -> Mapping[str, Mapping[str, Json]]:
    return {str(name): table(e) for name, e in table(document).items() if "counts/n" in table(e)}


def _missing(entry: Mapping[str, Json]) -> float | None:
    rows, absent = number(entry.get("counts/n")), number(entry.get("counts/null"))
    if not rows or absent is None:
        return None
    return (absent + (number(entry.get("counts/nan")) or 0)) / rows


def _column(name: str, entry: Mapping[str, Json], tests: int) -> ColumnDrift:
    if not entry:
        return ColumnDrift(name)  # whylogs could not score it, a timestamp for one
    algorithm = str(entry.get("algorithm"))
    drifted = {"DRIFT": True, "NO_DRIFT": False}.get(str(entry.get("drift_category")))
    p, statistic = number(entry.get("pvalue")), number(entry.get("statistic"))
    limits = table(entry.get("thresholds")).get("DRIFT")
    bounds = [number(one) for one in limits] if isinstance(limits, list) else []
    if p is not None:
        level = bounds[1] if len(bounds) == 2 else None
        effect = statistic if algorithm == "ks" else None
        return ColumnDrift(name, algorithm, p, level, drifted, small_p_value(p, level or 0.05, tests, drifted, effect))
    material = large_distance(SCALES.get(algorithm), statistic, drifted)
    return ColumnDrift(name, algorithm, statistic, bounds[0] if bounds else None, drifted, material)
