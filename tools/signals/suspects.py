"""The read that ranks a subject and all that its trouble may come from as the root of an incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from tools.analysis.ranking import ANOMALOUS, Signal, Suspect, rank
from tools.analysis.series import Floats, Series
from tools.context import Context, Json, Platform, Subject
from tools.formatting import at, clean, clock_time, count, number, shorten
from tools.formatting import window as interval
from tools.signals.dialects import shipped
from tools.signals.readings import DEVIATIONS, Reading
from tools.signals.signal import SubjectName, read_signals, server_of, subjects_meant
from tools.spec import Answer, Emptiness, Fact, read

MOST_STEPS = 6  # away from the subject
MOST_LOOKED_AT = 400  # subjects, the nearest first
TRAFFIC = "traffic"  # the signal that bad events are counted by
_LOSSES = {"requests": "failing requests a second", "time": "seconds waited a second"}


@read(needs="prometheus", maps=True)
async def rank_suspects(
    context: Context,
    service: SubjectName = "",
    minutes: Annotated[int, Field(ge=5, le=120)] = 20,
) -> Answer:
    """Rank a subject and all its trouble may come from as the root, by requests failed and time lost beyond its past less
    what its callees lose. Facts: r1.lost, r1.excess … A hint where to look, not a cause."""
    start = subjects_meant(context, service)[0]
    assert context.platform is not None
    needs = upstream(context.platform, start)
    subjects = tuple(dict.fromkeys([*needs, *(one for below in needs.values() for one in below)]))
    found = await read_signals(await server_of(context), shipped(), subjects, minutes)
    names = _names(subjects)
    calls = {names[one]: [names[below] for below in needs.get(one, ())] for one in subjects}
    ranked = [one for one in rank(signals_of(found, names), calls, names[start]) if _unusual(one)]
    told = {names[one.subject] for one in found if one.nothing is None}
    silent = [name for name in names.values() if name not in told]
    when = interval(context.as_of, context.as_of)
    facts = [Fact("count", "subjects that may be the root", len(ranked) if told else None, "count", {}, when)]
    for n, one in enumerate(ranked[:10], 1):
        facts += _facts(f"r{n}.", one, when)
    head = f"Looked at {clean(start.title)} and {count(len(subjects) - 1, 'thing')} that it needs, last {minutes} min "
    head += f"against the three hours before: {len(ranked)} may be the root."
    text = "\n".join([head, *_lines(ranked, context), *_silence(silent, bool(told))])
    data: Json = {
        "suspects": [_json(one) for one in ranked],
        "looked_at": list(names.values()),
        "without_signals": silent,
    }
    empty = None if ranked else Emptiness.NOTHING if told else Emptiness.NO_SERIES
    return Answer(shorten(text), tuple(facts), data, None, empty)


def upstream(platform: Platform, start: Subject) -> dict[Subject, tuple[Subject, ...]]:
    """What each subject's trouble may come from, from the start on: the nearest MOST_LOOKED_AT, none left out for its name."""
    found: dict[Subject, tuple[Subject, ...]] = {}
    frontier, known = [start], {start}
    for _ in range(MOST_STEPS):
        following: list[Subject] = []
        for one in frontier:
            below = [
                each for each in platform.feels(one) if each in known or len(known) + len(following) < MOST_LOOKED_AT
            ]
            found[one] = tuple(below)
            following += [each for each in below if each not in known and each not in following]
        known |= set(following)
        frontier = following
    return found


def signals_of(found: Sequence[Reading], names: Mapping[Subject, str]) -> list[Signal]:
    """Readings as the ranking takes them: those that count bad events, with the traffic of their subject, and of the rest
    those out of line. A share or a time without traffic is weighed as any other."""
    traffic = {one.subject: one.window for one in found if _counts(one, TRAFFIC)}
    signals = []
    for one in found:
        if one.nothing is not None or one.subject not in names or one.signal.signal == TRAFFIC:
            continue
        flow = traffic.get(one.subject) if one.signal.loses else None
        if flow is None and not one.bad:
            continue
        signals.append(
            Signal(
                names[one.subject],
                one.signal.title,
                one.window.values,
                one.past.values,
                -1 if one.state == "low" else 1,
                one.signal.floor / DEVIATIONS,
                one.began[1] if one.began else None,
                one.signal.loses or "",
                _at(one.window, flow) if flow is not None else None,
            )
        )
    return sorted(signals, key=lambda one: one.metric)  # of the times, the mean comes before quantiles


def _at(window: Series, flow: Series) -> Floats:
    """The requests a second at each moment of a window; 0 where none were counted."""
    known = np.isfinite(flow.values)
    if not known.any():
        return np.zeros(window.times.size)
    return np.interp(window.times, flow.times[known], flow.values[known])


def _unusual(one: Suspect) -> bool:
    return one.score > 0 and (one.excess >= ANOMALOUS or one.lost is not None)


def _counts(reading: Reading, signal: str) -> bool:
    return reading.nothing is None and reading.signal.signal == signal


def _names(subjects: Sequence[Subject]) -> dict[Subject, str]:
    """How each is called in the answer: by its name where that is its own, else with its kind and place."""
    bare = [one.name for one in subjects]
    full = {one: "/".join(p for p in (one.kind, one.cluster, one.namespace, one.name) if p) for one in subjects}
    return {one: clean(one.name if bare.count(one.name) == 1 else full[one], 200) for one in subjects}


def _facts(prefix: str, one: Suspect, when: str) -> list[Fact]:
    labels = {"service": one.component, "signal": one.metric}
    facts = [
        Fact(f"{prefix}excess", f"deviations of {one.metric}", round(one.excess, 2), "", labels, when),
        Fact(f"{prefix}onset", f"start of unusual {one.metric}", one.onset, "unix", labels, when),
    ]
    if one.lost is not None:
        facts.append(Fact(f"{prefix}lost", f"{_LOSSES[one.loses]}, beyond its past", one.lost, "", labels, when))
    return facts


def _lines(ranked: Sequence[Suspect], context: Context) -> list[str]:
    lines = []
    for n, one in enumerate(ranked[:5], 1):
        began = f", since {clock_time(at(one.onset), context.as_of)}" if one.onset else ""
        behind = f"; {clean(one.explained_by)} below it explains a part" if one.explained_by else ""
        size = f"{one.excess:.3g} deviations from its past"
        if one.lost is not None:
            size = f"{number(one.lost)} {_LOSSES[one.loses]} more than before ({one.excess:.3g} deviations)"
        lines.append(f"{n}. {one.component}: {one.metric}, {size}{began}{behind}")
    return lines


def _silence(silent: Sequence[str], any_told: bool) -> list[str]:
    if not silent:
        return []
    shown = ", ".join(silent[:10]) + (f" and {len(silent) - 10} more" if len(silent) > 10 else "")
    return [f"No signal is known of: {shown}."]


def _json(suspect: Suspect) -> Mapping[str, Json]:
    return {
        "service": suspect.component,
        "score": round(suspect.score, 4),
        "excess": suspect.excess,
        "signal": suspect.metric,
        "onset": suspect.onset,
        "explained_by": suspect.explained_by,
        "lost": suspect.lost,
        "loses": suspect.loses or None,
    }
