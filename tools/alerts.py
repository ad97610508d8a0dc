"""Reads of alerts: what fires now, what began beside the incident, and how often an alert fired before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools import promql as pql
from tools.analysis.series import Series
from tools.context import Context, Json, Labels
from tools.errors import BadArguments, ToolFailed, Unreachable
from tools.fetch import fetch_json
from tools.prometheus import Prometheus, Window, prometheus
from tools.spec import Answer, Emptiness, Fact, read
from tools.wording import at as time_at
from tools.wording import clean, clock_time, count, iso, labels_text, shorten, span
from tools.wording import window as interval

AlertLabels = Annotated[dict[str, str], Field(max_length=20, description="label values that must be met")]

_STEP = 60  # seconds between the samples of ALERTS we look at
_CHUNK = timedelta(hours=33)  # 1,981 points of one series in one query
_GAP = 330.0  # seconds without a sample that end an episode: rules may be evaluated only every 5 minutes
_OPEN = 150.0  # seconds since the last sample within which an episode counts as still going on
_NOISE = {"alertname", "alertstate", "__name__"}


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    name: str
    state: str  # firing | pending | suppressed
    labels: Mapping[str, str]
    since: datetime | None
    summary: str = ""

    def to_json(self) -> Json:
        since = iso(self.since) if self.since else None
        return {
            "name": self.name,
            "state": self.state,
            "labels": dict(self.labels),
            "since": since,
            "summary": self.summary,
        }


@read(needs="prometheus|alertmanager")
async def active_alerts(context: Context, labels: AlertLabels = {}) -> Answer:  # noqa: B006 (never changed)
    """Alerts that are firing or pending at the incident's time, optionally those with these labels. Facts:
    firing.count, pending.count, and since of each."""
    found, source = await _active(context, labels)
    kept = [a for a in found if all(a.labels.get(name) == value for name, value in labels.items())]
    kept.sort(key=lambda a: (a.state != "firing", a.since or context.as_of, a.name))
    when = iso(context.as_of)
    firing, pending = ([a for a in kept if a.state == state] for state in ("firing", "pending"))
    facts = [
        Fact("firing.count", "alerts firing", len(firing), "count", {}, when),
        Fact("pending.count", "alerts pending", len(pending), "count", {}, when),
    ]
    facts += [
        Fact(
            f"a{n}.since",
            f"start of {clean(a.name, 80)}",
            a.since.timestamp() if a.since else None,
            "unix",
            a.labels,
            when,
        )
        for n, a in enumerate(kept[:20], 1)
    ]
    where = f" with {labels_text(labels)}" if labels else ""
    head = f"{len(firing)} firing, {len(pending)} pending{where} at {clock_time(context.as_of)} ({source})."
    lines = [_alert_line(a, context.as_of) for a in kept[:15]]
    more = [f"and {len(kept) - 15} more"] if len(kept) > 15 else []
    data: Json = {"alerts": [a.to_json() for a in kept[:500]], "source": source}
    return Answer(
        shorten("\n".join([head, *lines, *more])), tuple(facts), data, None, None if kept else Emptiness.NOTHING
    )


def _alert_line(alert: ActiveAlert, near: datetime) -> str:
    since = f" since {clock_time(alert.since, near)}" if alert.since else ""
    labels = {name: value for name, value in alert.labels.items() if name not in _NOISE}
    return f"{clean(alert.name, 80)} {alert.state}{since}: {labels_text(labels, 120)}"


async def _active(context: Context, labels: Labels) -> tuple[list[ActiveAlert], str]:
    """From Alertmanager while live, else from Prometheus: its present, or the ALERTS series of the past."""
    if context.live and context.backends.has("alertmanager"):
        try:
            return await _from_alertmanager(context, labels), "Alertmanager"
        except Unreachable as error:
            found, source = await _from_prometheus(context, labels)
            return found, f"{source}; {clean(str(error), 160)}"
    return await _from_prometheus(context, labels)


async def _from_prometheus(context: Context, labels: Labels) -> tuple[list[ActiveAlert], str]:
    server = prometheus(context, labels)
    if not context.live:
        return await _from_series(server, labels), "Prometheus, ALERTS at that time"
    found = [
        ActiveAlert(
            name=_texts(a.get("labels")).get("alertname", ""), state=str(a.get("state", "firing")),
            labels=_texts(a.get("labels")), since=_when(a.get("activeAt")),
            summary=_texts(a.get("annotations")).get("summary", ""),
        )
        for a in await server.alerts()
    ]  # fmt: skip
    return found, "Prometheus"


async def _from_series(server: Prometheus, labels: Labels) -> list[ActiveAlert]:
    states, starts = await asyncio.gather(
        server.instant(pql.selector("ALERTS", labels)), server.instant(pql.selector("ALERTS_FOR_STATE", labels))
    )
    began = {_identity(s.labels): s.last for s in starts.series}
    found = []
    for one in states.series:
        start = began.get(_identity(one.labels))
        kept = {name: value for name, value in one.labels.items() if name not in ("__name__", "alertstate")}
        since = time_at(start) if start is not None and np.isfinite(start) else None
        found.append(ActiveAlert(kept.get("alertname", ""), one.labels.get("alertstate", "firing"), kept, since))
    return found


async def _from_alertmanager(context: Context, labels: Labels) -> list[ActiveAlert]:
    backend = context.backends.pick("alertmanager", {**context.labels, **labels})
    status, body = await fetch_json(backend, "/api/v2/alerts", what="the alerts")
    if status != 200 or not isinstance(body, list):
        raise ToolFailed(
            f"Alertmanager at {backend.url} answered HTTP {status}: {clean(str(body))}. Check its address in stanch.yaml."
        )
    return [
        ActiveAlert(
            name=_texts(a.get("labels")).get("alertname", ""),
            state={"active": "firing"}.get(_texts(a.get("status")).get("state", ""), "suppressed"),
            labels=_texts(a.get("labels")), since=_when(a.get("startsAt")),
            summary=_texts(a.get("annotations")).get("summary", ""),
        )
        for a in body if isinstance(a, dict)
    ]  # fmt: skip


def _texts(value: Json) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _when(text: Json) -> datetime | None:
    """An RFC 3339 time in UTC; None for what is not one."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)


def _identity(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in labels.items() if k not in ("__name__", "alertstate")))


# -- history ------------------------------------------------------------------------------------------------------


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
    labels: AlertLabels = {},  # noqa: B006 (never changed)
    days: Annotated[int, Field(ge=1, le=31)] = 15,
) -> Answer:
    """How often an alert fired in the last days and how long until it cleared. Facts: count (with the present time),
    earlier.count (those that ended), median_duration (s), last.start, firing, covered.days (history there really is)."""
    server = prometheus(context, labels)
    start = context.as_of - timedelta(days=days)
    query = pql.selector("ALERTS", {"alertname": alertname, "alertstate": "firing", **labels})
    sampled = f"count_over_time({query}[{_STEP}s])"  # samples themselves: an instant selector lingers for 5 minutes
    series, oldest = await asyncio.gather(_long_range(server, sampled, start), _oldest_sample(server, start))
    until = context.as_of.timestamp()
    found = episodes(series, until)
    covered = (until - oldest) / 86400 if oldest is not None else None
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
    reach = (
        f"the {covered:.3g} days of history there are"
        if covered is not None
        else f"{days} days (how far the history reaches is unknown)"
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
    """Unix time, exact to the hour, from which the server has any history of `up` (or of ALERTS); None if unknown."""
    frame = Window(start, server.as_of, 3600)
    for query in ("count(up)", "count(ALERTS)"):
        try:
            result = await server.range(query, frame)
        except ToolFailed:
            continue
        if result.series and result.series[0].times.size:
            return float(result.series[0].times[0])
    return None


# -- what else began ------------------------------------------------------------------------------------------------


@read(needs="prometheus")
async def began_around(
    context: Context,
    minutes: Annotated[int, Field(ge=1, le=120)] = 10,
    at: Annotated[str, Field(max_length=40, description="ISO time; default: when the incident's own alert began")] = "",
) -> Answer:
    """Which other alerts began (pending or firing) within some minutes of the incident's start. Facts: count, a1.began …"""
    server = prometheus(context)
    centre, known = await _start_of_incident(server, context, at)
    reach = minutes * 60
    first = centre - timedelta(seconds=reach)
    last = min(centre + timedelta(seconds=reach), context.as_of)
    if first > context.as_of:
        raise BadArguments(f"{iso(centre)} lies after the incident's time {iso(context.as_of)}.")
    found = [
        (began, labels)
        for began, labels in await _starts(server, Window(first - timedelta(minutes=10), last, 30))
        if abs(began - centre.timestamp()) <= reach and not _own(labels, context.labels)
    ]
    when = interval(first, last)
    facts = [Fact("count", "other alerts that began", len(found), "count", {}, when)]
    facts += [
        Fact(f"a{n}.began", f"start of {clean(labels.get('alertname', ''), 80)}", began, "unix", labels, when)
        for n, (began, labels) in enumerate(found[:20], 1)
    ]
    what = "the start of the incident" if known else "that time"
    text = f"{count(len(found), 'other alert')} began within {minutes} min of {what}, {clock_time(centre)}"
    text += f" (looked at until {clock_time(last)})." if last < centre + timedelta(seconds=reach) else "."
    lines = [
        f"{_offset(began - centre.timestamp())} {clean(labels.get('alertname', ''), 80)}: "
        f"{labels_text({k: v for k, v in labels.items() if k not in _NOISE}, 110)}"
        for began, labels in found[:10]
    ]
    data: Json = {"at": iso(centre), "began": [[iso(time_at(t)), labels] for t, labels in found[:200]]}
    empty = None if found else Emptiness.NOTHING
    link = server.link("ALERTS", Window(first, last, 30))
    return Answer(shorten("\n".join([text, *lines])), tuple(facts), data, link, empty)


def _offset(seconds: float) -> str:
    return (
        f"{span(abs(seconds))} {'after' if seconds >= 0 else 'before'}" if abs(seconds) >= 1 else "at the same moment"
    )


def _own(labels: Labels, incident: Labels) -> bool:
    """Whether this is the incident's own alert: nothing of it contradicts the incident's labels, its name included."""
    return (
        bool(incident.get("alertname"))
        and all(incident.get(name) == value for name, value in labels.items() if name in incident)
        and labels.get("alertname") == incident["alertname"]
    )


async def _start_of_incident(server: Prometheus, context: Context, at: str) -> tuple[datetime, bool]:
    """The time asked for, else when the incident's alert became active; as_of where neither is known."""
    if at:
        try:
            when = datetime.fromisoformat(at.replace("Z", "+00:00"))
        except ValueError:
            raise BadArguments(f"at={at!r} is no ISO time such as 2026-11-24T12:00:00Z.") from None
        if when.tzinfo is None:
            raise BadArguments(f"at={at!r} names no time zone. Write 2026-11-24T12:00:00Z.")
        return when, False
    name = context.labels.get("alertname", "")
    if name:
        found = (await server.instant(pql.selector("ALERTS_FOR_STATE", {"alertname": name}))).series
        mine = [s.last for s in found if _own(s.labels, context.labels) and np.isfinite(s.last)]
        if mine:
            return time_at(min(mine)), True
    return context.as_of, False


async def _starts(server: Prometheus, frame: Window) -> list[tuple[float, dict[str, str]]]:
    """(unix time, labels) of each alert that became active in the frame, oldest first.

    ALERTS_FOR_STATE holds the exact time; where a server has none, the first sample of ALERTS after a gap counts.
    """
    for_state, states = await asyncio.gather(server.range("ALERTS_FOR_STATE", frame), server.range("ALERTS", frame))
    found: dict[tuple[tuple[str, str], ...], set[float]] = {}
    for one in for_state.series:
        found[_identity(one.labels)] = {float(v) for v in one.finite}
    for one in states.series:
        if _identity(one.labels) not in found:
            first = {e.start for e in episodes([one], frame.end.timestamp())} - {frame.start.timestamp()}
            found[_identity(one.labels)] = first
    return sorted(
        ((t, dict(labels)) for labels, times in found.items() for t in times), key=lambda p: (p[0], str(p[1]))
    )
