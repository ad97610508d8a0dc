"""The drift read: the newest report, whatever tool wrote it, what drifted, whether it matters, and since when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from tools.context import Context
from tools.drift.reports.reader import read as read_report
from tools.drift.reports.report import ColumnDrift, DriftReport, UnknownFormat
from tools.drift.sources import Found, find, text_of
from tools.errors import BadArguments, NotRecorded, ToolFailed
from tools.formatting import clean, iso, number, shorten, span
from tools.models.registry import tag_time, visible
from tools.spec import Answer, Fact, read

NOTABLE_MISSING = 0.01  # share of missing values from which a column is told even without drift
MOST_NOTABLE = 25
MOST_PASSED_OVER = 5  # files in a folder that turn out to be something else
COMPARED_WITHIN = timedelta(days=7)  # `before` is the oldest report not older than this


@dataclass(frozen=True, slots=True)
class Dated:
    """A report that was read, and when it was made, if anything says so."""

    found: Found
    report: DriftReport
    at: datetime | None


@read(needs="drift|mlflow")
async def inspect_drift(
    context: Context,
    source: Annotated[str, Field(max_length=1000)] = "",
    column: Annotated[str, Field(max_length=200)] = "",
) -> Answer:
    """The newest drift report (Evidently, NannyML, whylogs): which columns drifted, how much, since when, what is missing.

    drifted is the method's own verdict; material says whether the drift is large enough to matter. Drift is not damage:
    compare with model_quality. source: a file or folder, a report server's address, or runs:/<run>/<artifact path>;
    empty = the model's own. column: only this one.
    """
    newest, others = await _newest(context, await find(context, source))
    earlier = await _earlier(context, others)
    told = replace(newest, report=_with_since(newest, earlier))
    columns = [c for c in told.report.columns if not column or c.column == column]
    if column and not columns:
        known = ", ".join(dict.fromkeys(c.column for c in told.report.columns)) or "none"
        raise BadArguments(f"{told.found.name} has no column {clean(column)!r}. Its columns: {clean(known, 600)}.")
    before = _before(newest, earlier)
    facts = _facts(context, told, columns, before, bool(column))
    summary = shorten(_summary(context, told, columns, before, len(earlier)))
    data = replace(told.report, columns=tuple(columns)).to_json()
    return Answer(summary, facts, data, _link(told.found))


async def _newest(context: Context, sources: Sequence[Found]) -> tuple[Dated, Sequence[Found]]:
    """The newest report, and the sources before it. Other files in between are passed over, and that is said."""
    passed: list[str] = []
    for place, found in enumerate(sources[:MOST_PASSED_OVER]):
        try:
            newest = await _dated(context, found)
        except UnknownFormat as error:
            if len(sources) == 1:
                raise
            passed.append(f"passed over {clean(found.name, 80)}: {clean(str(error), 160)}")
            continue
        notes = (*newest.report.notes, *passed)
        return replace(newest, report=replace(newest.report, notes=notes)), sources[place + 1 :]
    raise UnknownFormat(f"None of the newest {len(passed)} files is a drift report; {passed[0]}")


async def _dated(context: Context, found: Found) -> Dated:
    """A report and its time: what its name or list says, else what it says itself, else when its file was written."""
    report = read_report(await text_of(found))
    at = found.at if found.at and not found.by_file_time else tag_time(report.at or "")
    if at and not context.live and not visible(context, at):
        raise NotRecorded(f"{found.name} is of {iso(at)}, later than this incident's time {iso(context.as_of)}.")
    return Dated(found, report, at or found.at)


async def _earlier(context: Context, sources: Sequence[Found]) -> list[Dated]:
    """What can be read of the earlier reports, newest first; an unreadable one ends the look back."""
    reports: list[Dated] = []
    for found in sources:
        try:
            reports.append(await _dated(context, found))
        except ToolFailed:
            break
    return reports


def _with_since(newest: Dated, earlier: Sequence[Dated]) -> DriftReport:
    """`since` from the earlier reports, where the report itself has no chunks: the first of an unbroken run of drift."""

    def first(column: ColumnDrift) -> str | None:
        since = newest.at
        for dated in earlier:
            then = [c for c in dated.report.columns if (c.column, c.method) == (column.column, column.method)]
            if not any(c.drifted for c in then) or dated.at is None:
                break
            since = dated.at
        return iso(since) if since and earlier else None

    columns = (replace(c, since=first(c)) if c.drifted and c.since is None else c for c in newest.report.columns)
    return replace(newest.report, columns=tuple(columns))


def _before(newest: Dated, earlier: Sequence[Dated]) -> Dated | None:
    """The report to compare with: the oldest of the week before the newest."""
    if newest.at is None:
        return earlier[-1] if earlier else None
    week = [d for d in earlier if d.at and newest.at - d.at <= COMPARED_WITHIN]
    return week[-1] if week else None


def _facts(
    context: Context, told: Dated, columns: Sequence[ColumnDrift], before: Dated | None, every: bool
) -> tuple[Fact, ...]:
    window = iso(told.at) if told.at else ""
    age = max((context.as_of - told.at).total_seconds(), 0) / 3600 if told.at else None
    names = {c.column for c in columns}
    judged = [c for c in columns if c.drifted is not None]
    facts = [
        Fact(
            "drifted.count",
            "columns that drifted",
            _count(c.column for c in judged if c.drifted) if judged else None,
            "count",
            window=window,
        ),
        Fact(
            "material.count",
            "columns whose drift is large enough to matter",
            _count(c.column for c in columns if c.material) if judged else None,
            "count",
            window=window,
        ),
        Fact("columns.count", "columns in the report", len(names), "count", window=window),
        Fact("age.hours", "age of the report", age, "h", window=window),
    ]
    listed = columns if every else _notable(columns)
    for c in listed[:MOST_NOTABLE]:
        facts += _column_facts(c, facts, before, window)
    for quality in told.report.quality[:MOST_NOTABLE]:
        name = _slug(quality.metric)
        facts += [
            Fact(f"{name}.reference", f"{quality.metric} on the reference rows", quality.reference, window=window),
            Fact(f"{name}.current", f"{quality.metric} on the current rows", quality.current, window=window),
        ]
        then = {q.metric: q.current for q in before.report.quality} if before else {}
        if quality.metric in then:
            facts.append(
                Fact(f"{name}.before", f"{quality.metric} in the report of {_at(before)}", then[quality.metric])
            )
    return tuple({fact.id: fact for fact in reversed(facts)}.values())[::-1]


def _column_facts(c: ColumnDrift, told: Sequence[Fact], before: Dated | None, window: str) -> list[Fact]:
    """Facts of one row; a column's second method carries the method in its ids."""
    prefix = _slug(c.column)
    if any(fact.id == f"{prefix}.score" for fact in told):
        prefix = f"{prefix}.{_slug(c.method or 'other')}"
    labels = {"column": c.column, "method": c.method or ""}
    facts = [
        Fact(f"{prefix}.score", f"{c.column} by {c.method}", c.score, "", labels, window),
        Fact(f"{prefix}.drifted", f"{c.column} drifted by the method's own rule", c.drifted, "", labels, window),
        Fact(f"{prefix}.material", "its drift is large enough to matter", c.material, "", labels, window),
        Fact(f"{prefix}.missing", f"missing share of {c.column}", c.missing, "ratio", labels, window),
    ]
    if c.since:
        facts.append(Fact(f"{prefix}.since", f"{c.column} has drifted since", c.since, "", labels))
    then = (
        next((o for o in before.report.columns if (o.column, o.method) == (c.column, c.method)), None)
        if before
        else None
    )
    if then is not None:
        facts.append(Fact(f"{prefix}.score.before", f"score in the report of {_at(before)}", then.score, "", labels))
        facts.append(Fact(f"{prefix}.missing.before", "missing share then", then.missing, "ratio", labels))
    return facts


def _notable(columns: Iterable[ColumnDrift]) -> list[ColumnDrift]:
    """Material drift first, then drift, then missing values; the rest is in the data."""
    worth = [c for c in columns if c.material or c.drifted or (c.missing or 0) >= NOTABLE_MISSING]
    return sorted(worth, key=lambda c: (not c.material, not c.drifted, -(c.missing or 0), c.column))


def _summary(context: Context, told: Dated, columns: Sequence[ColumnDrift], before: Dated | None, earlier: int) -> str:
    report = told.report
    age = f", made {iso(told.at)} ({span(max((context.as_of - told.at).total_seconds(), 0))} before)" if told.at else ""
    lines = [f"{clean(told.found.name, 120)} ({report.format}{age}): {_verdict(columns)}"]
    shown = _notable(columns) or (list(columns) if len(columns) <= 3 else [])
    lines += [_line(c, before) for c in shown[:8]]
    if len(shown) > 8:
        lines.append(f"… and {len(shown) - 8} more, in the data.")
    if report.quality:
        measured = ", ".join(
            f"{clean(q.metric, 40)} {number(q.current)}"
            + (f" (reference {number(q.reference)})" if q.reference is not None else "")
            for q in report.quality[:6]
        )
        lines.append(f"Model quality on the current rows: {measured}.")
    lines += [f"{clean(note, 400)}." for note in report.notes]
    if earlier:
        lines.append(f"Compared with {earlier} earlier reports, the oldest of the week from {_at(before)}.")
    return "\n".join(lines)


def _verdict(columns: Sequence[ColumnDrift]) -> str:
    names = _count(c.column for c in columns)
    if not columns:
        return "no columns are compared."
    if all(c.drifted is None for c in columns):
        return f"{names} columns, and the report gives no drift verdict."
    drifted, material = _count(c.column for c in columns if c.drifted), _count(c.column for c in columns if c.material)
    return f"{drifted} of {names} columns drifted, {material} of them by enough to matter."


def _line(c: ColumnDrift, before: Dated | None) -> str:
    verdict = {True: "drifted", False: "not drifted", None: "no verdict in the report"}[c.drifted]
    size = {
        True: ", large enough to matter" if c.drifted else ", but a shift large enough to matter",
        False: ", too small to matter" if c.drifted else "",
        None: "",
    }[c.material]
    score = f", {clean(c.method or '', 60)} {number(c.score)}" if c.score is not None else ""
    limit = f" against {number(c.threshold)}" if c.score is not None and c.threshold is not None else ""
    since = f", since {clean(c.since, 40)}" if c.since else ""
    then = next((o.missing for o in before.report.columns if o.column == c.column), None) if before else None
    gone = f", {c.missing:.1%} missing" + (f" ({then:.1%} before)" if then is not None else "") if c.missing else ""
    return f"- {clean(c.column, 60)}: {verdict}{size}{score}{limit}{since}{gone}"


def _link(found: Found) -> str | None:
    if found.backend is None:
        return None
    if found.run_id:
        asked = urlencode({"run_uuid": found.run_id, "path": str(found.place)})
        return f"{found.backend.link_base}/get-artifact?{asked}"
    place = str(found.place)
    return place if "://" in place else f"{found.backend.link_base}/{place}"


def _at(dated: Dated | None) -> str:
    return iso(dated.at) if dated and dated.at else "an unknown time"


def _count(names: Iterable[str]) -> int:
    return len(set(names))


def _slug(name: str) -> str:
    """A name as the first part of a fact id: dots separate parts there."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:60] or "_"
