"""A drift report out of its text. We read the JSON and never import the tool that made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tools.drift.reports import evidently, nannyml, whylogs
from tools.drift.reports.report import DriftReport, UnknownFormat

MAX_BYTES = 16_000_000
MAX_COLUMNS = 2_000
Json = Any

# Whether a document is of this format, and how it is read; the first that says so counts.
READERS: tuple[tuple[Callable[[Json], bool], Callable[[Json], DriftReport]], ...] = (
    (evidently.is_0_4, evidently.read_0_4),
    (evidently.is_0_7, evidently.read_0_7),
    (nannyml.recognises, nannyml.read),
    (whylogs.recognises, whylogs.read),
)


def read(text: str) -> DriftReport:
    """A report out of its text: Evidently 0.7 or 0.4, NannyML, or whylogs. UnknownFormat for anything else."""
    if len(text) > MAX_BYTES:
        raise UnknownFormat(
            f"The report has {len(text):,} characters, over the limit of {MAX_BYTES:,}. "
            "Export it without raw data (Evidently: render_raw_data=False)."
        )
    document = _parse(text)
    for recognises, reader in READERS:
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
