"""The read that ranks a service and what it depends on as the root of an incident, by their standard signals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.analysis.anomaly import onset
from tools.analysis.ranking import ANOMALOUS, Signal, Suspect, rank, reachable
from tools.analysis.series import Series
from tools.context import Context, Json
from tools.errors import BadArguments, ToolFailed
from tools.formatting import at, clean, clock_time, count, shorten
from tools.formatting import window as interval
from tools.prometheus.client import Prometheus, Window, prometheus
from tools.prometheus.restarts import selections
from tools.spec import Answer, Emptiness, Fact, read

HISTORY = timedelta(hours=3)  # what counts as normal: the time before the window
_STEP = 60.0
_MOST_SERVICES = 20
_AT_ONCE = 8  # queries under way


@dataclass(frozen=True, slots=True)
class Sign:
    """A signal that services commonly have. `{s}` is the selector's body; `floor` the least deviation taken for real."""

    name: str
    promql: str
    floor: float


SIGNS = (
    Sign(
        "error share",
        'sum(rate(http_requests_total{{{s}, code=~"5.."}}[5m])) / sum(rate(http_requests_total{{{s}}}[5m]))',
        0.005,
    ),
    Sign(
        "mean latency",
        "sum(rate(http_request_duration_seconds_sum{{{s}}}[5m])) / sum(rate(http_request_duration_seconds_count{{{s}}}[5m]))",
        0.005,
    ),
    Sign(
        "throttled share",
        "max(rate(container_cpu_cfs_throttled_periods_total{{{s}}}[5m]) / rate(container_cpu_cfs_periods_total{{{s}}}[5m]))",
        0.02,
    ),
    Sign("restarts", "sum(increase(kube_pod_container_status_restarts_total{{{s}}}[10m]))", 0.2),
    Sign("oldest message", "max(queue_oldest_message_age_seconds{{{s}}})", 5.0),
    Sign("absent targets", "count(up{{{s}}} == 0)", 0.2),
)


@read(needs="prometheus")
async def rank_suspects(
    context: Context,
    service: Annotated[
        str, Field(min_length=1, max_length=200, description="the service that suffers, of the catalog")
    ],
    minutes: Annotated[int, Field(ge=5, le=120, description="how long the trouble has lasted")] = 20,
) -> Answer:
    """Rank a service and everything it depends on as the likely root, by how unusual errors, latency, throttling, restarts
    and queues are against the three hours before, and by who calls whom. Facts: r1.excess (robust deviations), r1.onset …
    A hint where to look, not a cause."""
    calls = {s.name: list(s.depends_on) for s in context.catalog.services()}
    if service not in calls:
        raise BadArguments(f"The catalog has no service {service!r}. It has: {', '.join(sorted(calls)) or 'none'}.")
    names = sorted(reachable(calls, service), key=lambda name: (name != service, name))[:_MOST_SERVICES]
    server = prometheus(context)
    start = context.as_of - timedelta(minutes=minutes)
    frame = Window(start - HISTORY, context.as_of, _STEP)
    signals, silent = await _signals(server, context, names, frame, start.timestamp())
    found = [s for s in rank(signals, calls, service) if s.excess >= ANOMALOUS]
    when = interval(start, context.as_of)
    facts = [Fact("count", "services that behave unusually", len(found) if signals else None, "count", {}, when)]
    for n, one in enumerate(found[:10], 1):
        labels = {"service": one.component, "signal": one.metric}
        facts.append(Fact(f"r{n}.excess", f"deviations of {one.metric}", round(one.excess, 2), "", labels, when))
        facts.append(Fact(f"r{n}.onset", f"start of unusual {one.metric}", one.onset, "unix", labels, when))
    text = "\n".join([_head(service, names, found, minutes), *_lines(found, context), *_silence(silent)])
    data: Json = {"suspects": [_json(s) for s in found], "looked_at": names, "without_signals": silent}
    empty = None if found else Emptiness.NOTHING if signals else Emptiness.NO_SERIES
    return Answer(shorten(text), tuple(facts), data, None, empty)


async def _signals(
    server: Prometheus, context: Context, names: Sequence[str], frame: Window, since: float
) -> tuple[list[Signal], list[str]]:
    """Signals of all services, and the services that have none. Raises when nothing at all could be read."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str, sign: Sign) -> Signal | None:
        body = selections(context, name, {})[0]
        async with gate:
            series = (await server.range(sign.promql.format(s=body), frame)).series
        return signal_of(name, sign, series[0], since) if series else None

    jobs = [(name, sign) for name in names for sign in SIGNS]
    answers = await asyncio.gather(*(one(*job) for job in jobs), return_exceptions=True)
    failures = [a for a in answers if isinstance(a, BaseException)]
    for failure in failures:
        if not isinstance(failure, ToolFailed) or len(failures) == len(jobs):
            raise failure
    found = [a for a in answers if isinstance(a, Signal)]
    return found, [name for name in names if name not in {s.component for s in found}]


def signal_of(name: str, sign: Sign, series: Series, since: float) -> Signal:
    """A service's series cut into normal and now. A series that only now has values had zero before."""
    normal, now = series.between(0, since - 1), series.between(since, float("inf"))
    reference = normal.finite if normal.finite.size >= 3 else np.zeros(3)
    began = onset(series.between(since - 3600, float("inf")), reference, floor=sign.floor)
    return Signal(name, sign.name, now.values, reference, 1, sign.floor, began)


def _head(service: str, names: Sequence[str], found: Sequence[Suspect], minutes: int) -> str:
    looked = f"{clean(service)} and {count(len(names) - 1, 'dependency')}".replace("dependencys", "dependencies")
    return f"Looked at {looked}, last {minutes} min against the three hours before: {len(found)} behave unusually."


def _lines(found: Sequence[Suspect], context: Context) -> list[str]:
    lines = []
    for n, one in enumerate(found[:5], 1):
        began = f", since {clock_time(at(one.onset), context.as_of)}" if one.onset else ""
        behind = f"; it calls {one.explained_by}, which is unusual too" if one.explained_by else ""
        lines.append(f"{n}. {one.component}: {one.metric} {one.excess:.3g} deviations above normal{began}{behind}")
    return lines


def _silence(silent: Sequence[str]) -> list[str]:
    return [f"No standard signals for: {', '.join(silent)}."] if silent else []


def _json(suspect: Suspect) -> Mapping[str, Json]:
    return {
        "service": suspect.component,
        "score": round(suspect.score, 4),
        "excess": suspect.excess,
        "signal": suspect.metric,
        "onset": suspect.onset,
        "explained_by": suspect.explained_by,
    }
