"""One drift report, whatever wrote it. We read the JSON and never import the tool that made it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tools.errors import ToolFailed

MAX_BYTES = 16_000_000
MAX_COLUMNS = 2_000
Json = Any


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column under one method. A column that two methods looked at stands twice."""

    column: str
    method: str | None = None  # in the report's own words; None: the report does not compare this column
    score: float | None = None
    threshold: float | None = None
    drifted: bool | None = None  # by the method's own rule; None: the report gives no verdict
    material: bool | None = None  # large enough to matter, see effect.py; None: cannot be told
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


def read(text: str) -> DriftReport:
    """A report out of its text: Evidently 0.7 or 0.4, NannyML, or whylogs. UnknownFormat for anything else."""
    from tools.reports import evidently, nannyml, whylogs  # they import the words above

    if len(text) > MAX_BYTES:
        raise UnknownFormat(
            f"The report has {len(text):,} characters, over the limit of {MAX_BYTES:,}. "
            "Export it without raw data (Evidently: render_raw_data=False)."
        )
    document = _parse(text)
    readers: tuple[tuple[Callable[[Json], bool], Callable[[Json], DriftReport]], ...] = (
        (evidently.is_0_4, evidently.read_0_4),
        (evidently.is_0_7, evidently.read_0_7),
        (nannyml.recognises, nannyml.read),
        (whylogs.recognises, whylogs.read),
    )
    for recognises, reader in readers:
        if recognises(document):
            return _bounded(reader(document))
    raise UnknownFormat(
        f"This is not a drift report that can be read: {seen(document)}; it begins {text.strip()[:80]!r}. "
        "Known are the JSON of Evidently 0.7 and 0.4, NannyML (to_df().to_json, records or split) and whylogs."
    )


def seen(document: Json) -> str:
    """What a document looks like from outside, for an error message."""
    if isinstance(document, Mapping):
        keys = ", ".join(repr(str(key)[:40]) for key in list(document)[:12])
        return f"a JSON object with the keys {keys or '(none)'}{', …' if len(document) > 12 else ''}"
    if isinstance(document, list):
        inner = f", the first {seen(document[0])}" if document else ""
        return f"a JSON list of {len(document)}{inner}"
    return f"a JSON {type(document).__name__}"


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


def _parse(text: str) -> Json:
    """JSON, with a bare NaN or Infinity (Evidently 0.4 writes them) as null."""
    try:
        return json.loads(text.lstrip("\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise UnknownFormat(
            f"The report is not JSON ({error}); it begins {text.strip()[:80]!r}. Save it as JSON, not as HTML."
        ) from None


def _bounded(report: DriftReport) -> DriftReport:
    if len(report.columns) <= MAX_COLUMNS:
        return report
    # what drifted most certainly must not be the part that is cut
    ordered = sorted(report.columns, key=lambda c: (not c.material, not c.drifted))
    note = f"{len(report.columns)} columns, the first {MAX_COLUMNS} kept, drifted ones first"
    return replace(report, columns=tuple(ordered[:MAX_COLUMNS]), notes=(*report.notes, note))
