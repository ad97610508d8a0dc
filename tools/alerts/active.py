"""Reads of alerts: what fires at a time, and what began beside the incident."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.alerts.history import episodes
from tools.context import Context, Json, Labels
from tools.errors import BadArguments, ToolFailed, Unreachable
from tools.fetch import fetch_json
from tools.formatting import at as time_at
from tools.formatting import clean, clock_time, count, iso, labels_text, shorten, span
from tools.formatting import window as interval
from tools.prometheus import promql as pql
from tools.prometheus.client import Prometheus, Window, prometheus
from tools.spec import Answer, Emptiness, Fact, read

AlertLabels = Annotated[dict[str, str], Field(max_length=20, description="label values that must be met")]

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
            name=_texts(a.get("labels")).get("alertname", ""),
            state=str(a.get("state", "firing")),
            labels=_texts(a.get("labels")),
            since=_when(a.get("activeAt")),
            summary=_texts(a.get("annotations")).get("summary", ""),
        )
        for a in await server.alerts()
    ]
    return found, "Prometheus"


async def _from_series(server: Prometheus, labels: Labels) -> list[ActiveAlert]:
    states, starts = await asyncio.gather(
        server.instant(pql.selector_here("ALERTS", labels)),
        server.instant(pql.selector_here("ALERTS_FOR_STATE", labels)),
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
            labels=_texts(a.get("labels")),
            since=_when(a.get("startsAt")),
            summary=_texts(a.get("annotations")).get("summary", ""),
        )
        for a in body
        if isinstance(a, dict)
    ]


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
