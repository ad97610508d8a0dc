"""The read of an alert's past: how often it fired within the history there is, and how long until it cleared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.analysis.series import Series
from tools.context import Context, Json, Labels
from tools.errors import ToolFailed
from tools.formatting import at as time_at
from tools.formatting import clean, clock_time, count, iso, labels_text, shorten, span
from tools.formatting import window as interval
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Window, prometheus
from tools.spec import Answer, Emptiness, Fact, read

_YOUNG_S = 3 * 3600.0  # a history shorter than this is told in minutes
_STEP = 60  # seconds between the samples of ALERTS we look at
_CHUNK = timedelta(hours=33)  # 1,981 points of one series in one query
_GAP = 330.0  # seconds without a sample that end an episode: rules may be evaluated only every 5 minutes
_OPEN = 150.0  # seconds since the last sample within which an episode counts as still going on


@dataclass(frozen=True, slots=True)
class Episode:
    """One time an alert fired: unix seconds. `open` when it still fires at the end of what was looked at."""

    start: float
    end: float
    open: bool = False

    @property
    def seconds(self) -> float:
        return self.end - self.start


def episodes(series: Sequence[Series], until: float, gap: float = _GAP) -> list[Episode]:
    """Times at which any of the series had samples, joined where the gap is small, oldest first."""
    times = np.unique(np.concatenate([s.times for s in series])) if series else np.array([])
    if not times.size:
        return []
    cuts = np.nonzero(np.diff(times) > gap)[0]
    starts, ends = np.r_[0, cuts + 1], np.r_[cuts, times.size - 1]
    return [
        Episode(float(times[a]), float(times[b]), until - float(times[b]) <= _OPEN)
        for a, b in zip(starts, ends, strict=True)
    ]


@read(needs="prometheus")
async def alert_history(
    context: Context,
    alertname: Annotated[str, Field(min_length=1, max_length=200)],
    labels: Annotated[dict[str, str], Field(max_length=20)] = {},  # noqa: B006 (never changed)
    days: Annotated[int, Field(ge=1, le=31)] = 15,
) -> Answer:
    """How often an alert fired in the last days and how long until it cleared. Facts: count (with the present time),
    earlier.count (those that ended), median_duration (s), last.start, firing, covered.days (history there really is)."""
    server = prometheus(context, labels)
    start = context.as_of - timedelta(days=days)
    query = pql.selector_here("ALERTS", {"alertname": alertname, "alertstate": "firing", **labels})
    sampled = f"count_over_time({query}[{_STEP}s])"  # samples themselves: an instant selector lingers for 5 minutes
    series, oldest = await asyncio.gather(_long_range(server, sampled, start), _oldest_sample(server, start))
    until = context.as_of.timestamp()
    found = episodes(series, until)
    covered = max(until - oldest, 0.0) / 86400 if oldest is not None else None
    when = interval(time_at(oldest) if oldest is not None else start, context.as_of)
    ended = [e for e in found if not e.open]
    median = float(np.median([e.seconds for e in ended])) if ended else None
    facts = (
        Fact("count", "times it fired", len(found) if found or covered is not None else None, "count", {}, when),
        Fact(
            "earlier.count",
            "times it fired and cleared",
            len(ended) if found or covered is not None else None,
            "count",
            {},
            when,
        ),
        Fact("median_duration", "median time until it cleared", median, "s", {}, when),
        Fact("last.start", "last time it began to fire", found[-1].start if found else None, "unix", {}, when),
        Fact("firing", "fires at present", bool(found and found[-1].open), "", {}, when),
        Fact(
            "covered.days",
            "days of history there are",
            round(covered, 2) if covered is not None else None,
            "d",
            {},
            when,
        ),
    )
    text = _history_text(alertname, labels, found, median, covered, days, context.as_of)
    data: Json = {
        "alertname": alertname,
        "episodes": [[iso(time_at(e.start)), iso(time_at(e.end)), e.open] for e in found[-500:]],
    }
    link = server.link(query, Window(start, context.as_of, 600))
    return Answer(shorten(text), facts, data, link, None if found else Emptiness.NOTHING)


def _short(days: float) -> str:
    """Less than a day, in hours or minutes."""
    return span(days * 86400) if days * 86400 >= 60 else "minute"


def _history_text(
    name: str,
    labels: Labels,
    found: Sequence[Episode],
    median: float | None,
    covered: float | None,
    days: int,
    near: datetime,
) -> str:
    where = f" with {labels_text(labels)}" if labels else ""
    reach = f"{days} days (how far the history reaches is unknown)"
    if covered is not None:
        reach = (
            f"the {covered:.3g} days of history there are"
            if covered >= 1
            else f"the {_short(covered)} that history reaches back"
        )
    if covered is not None and covered > days - 0.1:
        reach = f"the last {days} days"
    ended = [e for e in found if not e.open]
    text = f"{clean(name, 100)}{where} fired {count(len(found), 'time')} in {reach}"
    text += ", and fires now." if found and found[-1].open else "."
    if median is not None:
        text += f" It cleared after {span(median)} (median of {len(ended)}"
        text += (
            f", {span(min(e.seconds for e in ended))} to {span(max(e.seconds for e in ended))})."
            if len(ended) > 1
            else ")."
        )
    last = [
        f"{clock_time(time_at(e.start), near)} for {span(e.seconds)}{' so far' if e.open else ''}" for e in found[-5:]
    ]
    return (
        text
        + (f" Last: {'; '.join(last)}." if last else "")
        + f" Times are exact to {_STEP} s; pauses under 6 min do not count."
    )


async def _long_range(server: Prometheus, query: str, start: datetime) -> list[Series]:
    """A long window in pieces, three at a time, so that no answer is over our caps."""
    pieces, end = [], server.as_of
    while end > start:
        pieces.append(Window(max(start, end - _CHUNK), end, _STEP))
        end = pieces[-1].start - timedelta(seconds=_STEP)
    found: list[Series] = []
    for place in range(0, len(pieces), 3):
        results = await asyncio.gather(*(server.range(query, piece) for piece in pieces[place : place + 3]))
        found += [series for result in results for series in result.series]
    return found


async def _oldest_sample(server: Prometheus, start: datetime) -> float | None:
    """Unix time from which the server has any history of `up` (or of ALERTS), exact to the hour, of the last hours to the
    minute; None if unknown."""
    for query in ("count(up)", "count(ALERTS)"):
        try:
            found = await _first_time(server, query, Window(start, server.as_of, 3600))
            if found is not None and server.as_of.timestamp() - found < _YOUNG_S:
                last = Window(server.as_of - timedelta(seconds=_YOUNG_S + 3600), server.as_of, 60)
                found = await _first_time(server, query, last) or found
        except ToolFailed:
            continue
        if found is not None:
            return found
    return None


async def _first_time(server: Prometheus, query: str, frame: Window) -> float | None:
    series = (await server.range(query, frame)).series
    return float(series[0].times[0]) if series and series[0].times.size else None
