"""The reads of signals: one of a subject, or all that its platform can say of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

from pydantic import Field

from tools.analysis.series import Series
from tools.context import Context, Json, Platform, Subject
from tools.errors import BadArguments, NotConfigured, ToolError
from tools.formatting import at, clean, clock_time, count, number, shorten
from tools.formatting import window as interval
from tools.prometheus.client import Prometheus, Window, prometheus
from tools.signals.dialects import Signal, shipped, signal_named, spoken
from tools.signals.question import MOST_CHARACTERS, Asked, Targets, questions, targets_of, targets_query
from tools.signals.readings import Reading, readings
from tools.spec import Answer, Emptiness, Fact, read
from tools.symptoms import HURTS, SIGNAL, Symptom, placed, symptom_facts

PAST = timedelta(hours=3)  # what counts as a subject's usual state: the time before the window
# Where what is usual at this hour is looked for: the first that has data.
EARLIER = (timedelta(days=7), timedelta(days=1))
AHEAD = timedelta(minutes=15)  # what comes every day or week does not come at the same minute
COARSE_S, FINE_S = 300.0, 30.0  # of the first look, and of what turned out to be out of line
MOST_DETAILS = 8  # signals out of line that are asked about more closely
LEAST_MINUTES, MOST_MINUTES = 20, 180  # of the window that is now, where nobody says
BEFORE_MINUTES = 10  # an alert waits before it fires
AT_ONCE = 4  # queries under way
MOST_NEAR = 150  # neighbours that are looked at beside the incident's own subjects
_WORTH = frozenset({"Service", "Deployment", "StatefulSet", "DaemonSet", "Rollout", "Node", "PersistentVolumeClaim"})
_WORTH |= {
    "Queue",
    "Database",
    "Model",
    "Target",
    "Job",
    "CronJob",
    "ConsumerGroup",
}  # kinds that have signals of their own
_SHOWN = 12

SubjectName = Annotated[str, Field(max_length=300, description="[Kind/][namespace/]name; default: the incident's")]
Minutes = Annotated[
    int | None,
    Field(ge=5, le=720, description="the window that counts as now"),
]


@dataclass(frozen=True)
class Server:
    """A Prometheus with what it has: the names of its metrics and what it scrapes. `asked` counts the queries made."""

    prometheus: Prometheus
    names: frozenset[str]
    targets: Targets
    platform: Platform


@read(needs="prometheus", maps=True)
async def signal(
    context: Context,
    signal: Annotated[str, Field(max_length=60, description="cpu_throttling …; default: all")] = "",
    subject: SubjectName = "",
    minutes: Minutes = None,
) -> Answer:
    """A subject's signals, whatever their metrics are called here, those out of line first. Facts of one: now, before,
    low, high, state, began, settled, m1 …; of all: NAME.now …"""
    meant, length = subjects_meant(context, subject), window_minutes(context, minutes)
    if signal:
        found = await read_signals(await server_of(context), [signal_named(signal)], meant[:1], length, fine=True)
        return _answer(found, [fact for one in found for fact in facts_of(one, "", context)], context, length)
    subjects = meant if subject else (*meant, *near(context, meant))
    found = await read_signals(await server_of(context), shipped(), subjects, length)
    known = [one for one in found if one.bad or (one.subject in meant and (one.nothing is None or one.last_seen))]
    facts = [fact for one in known for fact in facts_of(one, _prefix(one, subjects), context)]
    symptoms = symptom_facts(placed([symptom_of(one, context) for one in known if one.bad], context), _now(context))
    return _answer(known, [*_counts(known, context), *symptoms, *facts], context, length)


def symptom_of(reading: Reading, context: Context) -> Symptom:
    """What is out of line in a direction that is bad, as a symptom of kind `signal`; its reason is the signal's name."""
    labels = {"state": reading.state, "unit": reading.signal.unit, "now": f"{reading.now:g}"}
    if reading.members:
        labels["member"] = reading.members[0][0]
    text = line_of(reading, context.as_of)
    return Symptom(reading.subject, SIGNAL, text, HURTS, reading.signal.signal, reading.began, None, labels)


def _now(context: Context) -> str:
    return interval(context.as_of, context.as_of)


def near(context: Context, subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """What the map says hangs together with them, the nearest first: what they call, what they run on, who calls them."""
    assert context.platform is not None
    chosen = list(subjects)
    for one in (one for subject in subjects[:1] for one in context.platform.near(subject) if one.kind in _WORTH):
        if not any(one == known or context.platform.same(one, known) for known in chosen):
            chosen.append(one)
    return tuple(chosen[len(subjects) :][:MOST_NEAR])


def _counts(found: Sequence[Reading], context: Context) -> list[Fact]:
    when = interval(context.as_of, context.as_of)
    told = [one for one in found if one.nothing is None]
    bad = sum(one.bad for one in told)
    return [
        Fact("out_of_line.count", "signals out of line", bad, "count", {}, when),
        Fact("signals.count", "signals that say something", len(told), "count", {}, when),
    ]


def _prefix(reading: Reading, subjects: Sequence[Subject]) -> str:
    place = next(n for n, one in enumerate(subjects, 1) if one == reading.subject)
    return f"{reading.signal.signal}." if place == 1 else f"s{place}.{reading.signal.signal}."


def window_minutes(context: Context, asked: int | None) -> int:
    """The window that was asked for, else from a little before the incident began until now."""
    if asked is not None or context.since is None:
        return asked or LEAST_MINUTES
    lasted = (context.as_of - context.since).total_seconds() / 60 + BEFORE_MINUTES
    return int(min(max(lasted, LEAST_MINUTES), MOST_MINUTES))


def subjects_meant(context: Context, text: str) -> tuple[Subject, ...]:
    """The subject that a person names, else those of the incident. BadArguments when there is none."""
    if context.platform is None:
        raise NotConfigured("Nothing is known of the platform's objects here, so no signal can be read.")
    if text:
        return (context.platform.find(text),)
    if not context.subjects:
        raise BadArguments("The incident names no subject. Name one: signal=cpu_use subject=Deployment/shop/mailer.")
    return context.subjects


async def server_of(context: Context) -> Server:
    """The incident's Prometheus with its metric names and targets: two queries."""
    if context.platform is None:
        raise NotConfigured("Nothing is known of the platform's objects here, so no signal can be read.")
    server = prometheus(context)
    names = await names_of(server)
    targets = targets_of(one.labels for one in (await server.instant(targets_query(names))).series)
    return Server(server, names, targets, context.platform)


async def names_of(server: Prometheus) -> frozenset[str]:
    """The metrics that a server had in what counts as the past: one query."""
    return frozenset(await server.label_values("__name__", "", server.as_of - PAST))


async def read_signals(
    server: Server, wanted: Sequence[Signal], subjects: Sequence[Subject], minutes: int, fine: bool = False
) -> list[Reading]:
    """The readings of these signals for these subjects: coarse at first, and closer for what is out of line, then beside the
    same hours of an earlier day. Those that say something come first, the worst of them before the others."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(signal: Signal, step: float) -> list[Reading]:
        async with gate:
            return await _read(server, signal, subjects, minutes, step)

    many = await asyncio.gather(*(one(signal, FINE_S if fine else COARSE_S) for signal in wanted))
    if not fine:
        details = _out_of_line(many)[:MOST_DETAILS]
        closer = await asyncio.gather(*(one(wanted[place], FINE_S) for place in details))
        for place, found in zip(details, closer, strict=True):
            many[place] = found
    return sorted(
        (r for found in many for r in found), key=lambda r: (r.nothing is not None, not r.bad, -r.size, r.signal.signal)
    )


def _out_of_line(many: Sequence[Sequence[Reading]]) -> list[int]:
    sizes = {place: max((one.size for one in found if one.bad), default=0.0) for place, found in enumerate(many)}
    return sorted((place for place, size in sizes.items() if size), key=lambda place: -sizes[place])


async def _read(
    server: Server, signal: Signal, subjects: Sequence[Subject], minutes: int, step: float
) -> list[Reading]:
    here = spoken(signal, server.names)
    if here is None:
        why = f"no dialect of {signal.title} has its metrics here"
        return [Reading(signal, one, nothing=Emptiness.NO_METRIC, why=why) for one in subjects]
    until = server.prometheus.as_of
    frame = Window(until - PAST - timedelta(minutes=minutes), until, step)
    found: list[Reading] = []
    for asked in questions(here, subjects, server.targets, server.platform):
        series, why = await _ask(server, asked, frame)
        since = (until - timedelta(minutes=minutes)).timestamp()
        place = (subjects, server.targets, server.platform, since, until.timestamp())
        read_as = partial(readings, here, asked.promql, asked.dialects, series, *place)
        told = read_as()
        if step <= FINE_S and any(one.bad for one in told):
            told = read_as(await _earlier(server, asked, until - timedelta(minutes=minutes)))
        found += told
        if why:
            found += [Reading(signal, one, nothing=Emptiness.NOTHING, why=why) for one in subjects]
    said = {one.subject for one in found}
    none = Emptiness.NO_SERIES
    rest = [one for one in subjects if one not in said]
    return [*found, *(Reading(signal, one, nothing=none, why=f"no series is about {one.title}") for one in rest)]


async def _ask(server: Server, asked: Asked, frame: Window) -> tuple[Sequence[Series], str]:
    """Series, and why there are none."""
    try:
        return (await server.prometheus.range(asked.promql, frame, MOST_CHARACTERS)).series, ""
    except ToolError as error:
        return (), str(error)


async def _earlier(server: Server, asked: Asked, since: datetime) -> Sequence[Series]:
    """The same hours a week ago, or yesterday where nothing was then, with today's times: one query or two."""
    for ago in EARLIER:
        frame = Window(since - ago, server.prometheus.as_of - ago + AHEAD, COARSE_S)
        if series := (await _ask(server, asked, frame))[0]:
            return [replace(one, times=one.times + ago.total_seconds()) for one in series]
    return ()


# -- words ------------------------------------------------------------------------------------------------------------


def facts_of(reading: Reading, prefix: str, context: Context) -> list[Fact]:
    """The facts of one reading; of one that is nothing only its state."""
    unit, until = reading.signal.unit, context.as_of
    when = interval(until, until)
    labels = {"subject": reading.subject.title, "kind": reading.subject.kind, "signal": reading.signal.signal}
    title = reading.signal.title
    facts = [
        Fact(
            f"{prefix}state",
            f"{title} against its own past",
            reading.state if not reading.nothing else None,
            "",
            labels,
            when,
        )
    ]
    if reading.bad:
        facts.append(Fact(f"{prefix}bad", f"{title} is out of line in a direction that is bad", True, "", labels, when))
    if reading.bad and reading.signal.limit is not None:
        facts.append(
            Fact(f"{prefix}limit", f"{title} that is bad whatever its past", reading.signal.limit, unit, labels, when)
        )
    if reading.nothing is None:
        facts.append(Fact(f"{prefix}now", title, reading.now, unit, labels, when))
        facts.append(
            Fact(f"{prefix}before", f"{title}, median of the three hours before", reading.before, unit, labels, when)
        )
    for name, value in zip(("low", "high"), reading.band or (), strict=False):
        facts.append(Fact(f"{prefix}{name}", f"{name} end of its usual band", value, unit, labels, when))
    for name, value in zip(("began", "settled"), reading.began or (), strict=False):
        facts.append(Fact(f"{prefix}{name}", f"{title} left its band ({name})", value, "unix", labels, when))
    for n, (name, value) in enumerate(reading.members[:5], 1):
        facts.append(Fact(f"{prefix}m{n}", title, value, unit, {**labels, "member": name}, when))
    return facts


def line_of(reading: Reading, near: datetime) -> str:
    """One reading as a line: `CPU throttling of mailer (shop): 0.62, usually 0.01 to 0.05, high since 14:02 to 14:07`."""
    head = f"{reading.signal.title} of {clean(reading.subject.title)}"
    if reading.nothing is not None:
        seen = f", last seen {clock_time(at(reading.last_seen), near)}" if reading.last_seen else ""
        return f"{head}: {reading.nothing}: {clean(reading.why)}{seen}"
    unit = reading.signal.unit
    text = f"{head}: {number(reading.now, unit)}"
    if reading.band:
        text += f", usually {' to '.join(number(edge, unit) for edge in reading.band)}"
    if reading.state in ("high", "low"):
        text += f", {reading.state}"
        if reading.began:
            text += f", began between {' and '.join(clock_time(at(moment), near) for moment in reading.began)}"
    if reading.members:
        text += f"; worst {clean(reading.members[0][0])} {number(reading.members[0][1], unit)}"
    return text


def _answer(found: Sequence[Reading], facts: Sequence[Fact], context: Context, minutes: int) -> Answer:
    bad = [one for one in found if one.bad]
    told = [one for one in found if one.nothing is None]
    head = f"{count(len(told), 'signal')}, {len(bad)} out of line in the last {minutes} min against the three hours before."
    lines = [
        line_of(one, context.as_of)
        for one in (found if len(found) == 1 else [*bad, *(o for o in found if not o.bad)][:_SHOWN])
    ]
    empty = None if told else next((one.nothing for one in found if one.nothing), Emptiness.NO_METRIC)
    data: Json = {"readings": [one.to_json() for one in found]}
    link = None
    return Answer(shorten("\n".join([head, *lines])), tuple(facts), data, link, empty)
