"""NannyML's result frames as JSON: one row a chunk, in `records` form or in pandas' `split` form.

`<column>_<method>_alert` says that a value lies outside its thresholds. What a report says of a column is what its latest
chunk says; `since` is where the unbroken run of alerts that reaches the latest chunk began. Jensen-Shannon is in bits here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from tools.drift.reports.report import ColumnDrift, DriftReport, Quality, large_distance, number, rows, table

Json = Any
Chunk = Mapping[str, Json]  # flat: `chunk_key`, `price_jensen_shannon_value` …

SCALES: Mapping[str, str | None] = {
    "jensen_shannon": "jensen_shannon_bits",
    "kolmogorov_smirnov": "kolmogorov_smirnov",
    "hellinger": "hellinger",
    "l_infinity": "l_infinity",
    "wasserstein": None,  # in the column's own unit: no common scale
    "chi2": None,
}


def recognises(document: Json) -> bool:
    chunks = _chunks(document)
    return (
        bool(chunks) and any(k.startswith("chunk_") for k in chunks[0]) and any(k.endswith("_alert") for k in chunks[0])
    )


def read(document: Json) -> DriftReport:
    everything = _chunks(document)
    chunks = [c for c in everything if c.get("chunk_period") != "reference"]
    before = [c for c in everything if c.get("chunk_period") == "reference"]
    prefixes = [key.removesuffix("_alert") for key in everything[0] if key.endswith("_alert")]
    drift = [name for name in prefixes if _split(name)[1] is not None]
    quality = [name for name in prefixes if _split(name)[1] is None]
    notes = tuple(note for name in quality if (note := _note(name, chunks)))
    if not chunks:
        notes += ("the report holds chunks of the reference period only",)
    return DriftReport(
        "nannyml",
        tuple(_column(name, chunks) for name in drift) if chunks else (),
        tuple(line for name in quality for line in _quality(name, before, chunks)) if chunks else (),
        notes=notes,
    )


def _chunks(document: Json) -> list[Chunk]:
    """The rows, flat, oldest first."""
    if isinstance(document, list):
        return rows(document)
    columns, data = table(document).get("columns"), table(document).get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return []
    names = [_flat(column) for column in columns]
    return [dict(zip(names, row, strict=False)) for row in data if isinstance(row, list)]


def _flat(column: Json) -> str:
    """`["price", "jensen_shannon", "alert"]` → `price_jensen_shannon_alert`; `["chunk", "chunk", "key"]` → `chunk_key`."""
    if not isinstance(column, list):
        return str(column)
    parts = [str(part) for part in column if part not in (None, "")]
    if parts and parts[0] == "chunk":
        return f"chunk_{parts[-1].removeprefix('chunk_')}"
    return "_".join(dict.fromkeys(parts))


def _split(name: str) -> tuple[str, str | None]:
    """Column and method of `price_jensen_shannon`; no method for a measure such as `rmse`."""
    for method in SCALES:
        if name.endswith(f"_{method}"):
            return name.removesuffix(f"_{method}"), method
    return name, None


def _run(name: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks, up to the latest, over which the alert has stood without a break."""
    run: list[Chunk] = []
    for chunk in reversed(chunks):
        if chunk.get(f"{name}_alert") is not True:
            break
        run.insert(0, chunk)
    return run


def _start(chunk: Chunk) -> str:
    """Where a chunk begins: its date as written, else its key."""
    date = chunk.get("chunk_start_date")
    if (millis := number(date)) is not None and 0 < millis < 1e14:  # pandas' default: milliseconds since 1970
        return datetime.fromtimestamp(millis / 1000, UTC).isoformat()
    return str(date or chunk.get("chunk_key") or chunk.get("chunk_index"))


def _column(name: str, chunks: Sequence[Chunk]) -> ColumnDrift:
    column, method = _split(name)
    last, run = chunks[-1], _run(name, chunks)
    score, flag = number(last.get(f"{name}_value")), last.get(f"{name}_alert")
    upper, lower = number(last.get(f"{name}_upper_threshold")), number(last.get(f"{name}_lower_threshold"))
    drifted = flag if isinstance(flag, bool) else None
    return ColumnDrift(
        column,
        method,
        score,
        lower if lower is not None and score is not None and score < lower else upper,
        drifted,
        large_distance(SCALES[method or ""], score, drifted),
        _start(run[0]) if run else None,
    )


def _quality(name: str, before: Sequence[Chunk], chunks: Sequence[Chunk]) -> list[Quality]:
    """Latest chunk against the reference period, or, where the report has none, against the chunks without an alert.

    An estimate (DLE, CBPE) stands beside what was realised, where the true outcomes are known: an estimate can leave its
    range on the wrong side.
    """
    quiet = before or [c for c in chunks if c.get(f"{name}_alert") is False]

    def line(metric: str, key: str) -> Quality:
        known = [value for c in quiet if (value := number(c.get(key))) is not None]
        return Quality(metric, fmean(known) if known else None, number(chunks[-1].get(key)))

    if f"{name}_realized" not in chunks[-1]:
        return [line(name, f"{name}_value")]
    return [line(name, f"{name}_realized"), line(f"{name}_estimated", f"{name}_value")]


def _note(name: str, chunks: Sequence[Chunk]) -> str:
    run = _run(name, chunks)
    if run:
        return f"{name} lies outside its range since {_start(run[0])}, for {len(run)} of {len(chunks)} chunks"
    alerts = sum(c.get(f"{name}_alert") is True for c in chunks)
    return f"{name} lies within its range in the latest chunk ({alerts} of {len(chunks)} chunks had an alert)"
