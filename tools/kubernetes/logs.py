"""The read of a workload's own logs, straight from its pods: what they tell of a trouble, then lines by pattern."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from tools.context import Context, Json, Subject, Workload
from tools.errors import ToolFailed
from tools.formatting import clean, clock_time, iso
from tools.formatting import window as interval
from tools.kubernetes.client import Cluster
from tools.kubernetes.places import placed
from tools.kubernetes.rollouts import time_of
from tools.kubernetes.status import PodStatus, status_of
from tools.logs.accusations import symptoms_of_lines
from tools.logs.lines import is_error
from tools.logs.naming import finder
from tools.logs.search import BEFORE
from tools.logs.told import counted, pattern_facts, pattern_json, summary
from tools.spec import Answer, Emptiness, Fact, WorkloadName, read
from tools.symptoms import Symptom, symptom_facts

MOST_PODS = 10
MOST_LINES = 2000  # of one container
MOST_BYTES = 2_000_000
MOST_CONTAINERS = 3  # of one pod


@dataclass(frozen=True, slots=True)
class Line:
    ms: int
    text: str
    pod: str

    @property
    def error(self) -> bool:
        return is_error(self.text, {})


@dataclass(frozen=True, slots=True)
class _PodLog:
    """`refused` are the server's words where it gave no log; `cut`: there were more lines than were read."""

    pod: PodStatus
    lines: tuple[Line, ...]
    refused: tuple[str, ...] = ()
    cut: bool = False


@read(needs="kubernetes")
async def workload_logs(
    context: Context,
    workload: WorkloadName,
    minutes: Annotated[int, Field(ge=1, le=1440)] = 30,
    contains: Annotated[str, Field(max_length=300, description="text that a line must hold")] = "",
) -> Answer:
    """Log lines of a workload's pods in the last minutes, with the run before the last restart and containers that fail:
    what they tell of a trouble (facts s1 …), then counted by pattern (numbers, ids and addresses masked), errors first:
    lines.count, errors.count, p1.count … Only pods that still exist."""
    there = await placed(context, workload)
    which, raw = there.workload, await there.pods()
    failing = {str((pod.get("metadata") or {}).get("name")): _failing(pod) for pod in raw}
    pods = status_of(there.whole, raw, None).pods
    asked = sorted(pods, key=lambda pod: (pod.ready, -pod.restarts, pod.name))[:MOST_PODS]
    since, last = context.as_of - timedelta(minutes=minutes), context.as_of.timestamp() * 1000
    logs = await asyncio.gather(*(_log(there.cluster, which, pod, failing.get(pod.name, []), since) for pod in asked))
    kept = [
        _PodLog(one.pod, _within(one.lines, since.timestamp() * 1000, last, contains), one.refused, one.cut)
        for one in logs
    ]
    about = f"{len(asked)} of {len(pods)} pods" if len(asked) < len(pods) else f"{len(pods)} pods"
    if any(one.cut for one in logs):
        about += f"; only the newest {MOST_LINES} lines of a pod were read"
    return _answer(which, kept, contains, (since, context.as_of), about, _symptoms(context, which, kept))


def _failing(pod: dict[str, Any]) -> list[str]:
    """Containers of a pod that do not run as they should, those that come first in its life before the others."""
    status = pod.get("status") or {}
    found = list[str]()
    for one in (*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])):
        state = one.get("state") or {}
        ended = state.get("terminated") or {}
        fails = bool(state.get("waiting")) or bool(ended.get("exitCode")) or bool(one.get("restartCount"))
        waits = (state.get("waiting") or {}).get("reason") == "PodInitializing"
        if fails and not waits and one.get("name"):
            found.append(str(one["name"]))
    return found


async def _log(cluster: Cluster, which: Workload, pod: PodStatus, failing: Sequence[str], since: datetime) -> _PodLog:
    """The pod's lines, those of the run before a restart included."""
    path = f"/api/v1/namespaces/{which.namespace}/pods/{pod.name}/log"
    how = {
        "timestamps": "true",
        "sinceTime": iso(since.replace(microsecond=0)),
        "tailLines": str(MOST_LINES),
        "limitBytes": str(MOST_BYTES),
    }
    texts, refused = list[str](), list[str]()
    for container in list(dict.fromkeys([*failing, pod.container]))[:MOST_CONTAINERS]:
        if pod.restarts or container in failing:
            text, _ = await cluster.text(path, previous="true", container=container, **how)
            texts += [text] if text else []  # there may have been no run before
        text, words = await cluster.text(path, container=container, **how)
        texts += [text] if text and text not in texts else []  # of one that waits both are the run that ended
        refused += [words] if text is None else []
    lines = tuple(line for text in texts for line in _parsed(text, pod.name))
    return _PodLog(pod, lines, tuple(refused), any(text.count("\n") >= MOST_LINES for text in texts))


def _within(lines: Sequence[Line], first: float, last: float, contains: str) -> tuple[Line, ...]:
    kept = [line for line in lines if first <= line.ms <= last and contains in line.text]
    return tuple(sorted(kept, key=lambda line: line.ms))


def _symptoms(context: Context, which: Workload, logs: Sequence[_PodLog]) -> list[Symptom]:
    """What the lines of the pods that ail tell, against pods that are well and against well before the incident."""
    subject = Subject(which.kind, which.cluster, which.namespace, which.name)
    subject = next((one for one in context.subjects if one == subject), subject)
    onset = (context.since - BEFORE).timestamp() * 1000 if context.since else 0
    ill = [one for one in logs if not one.pod.ready or one.pod.restarts] or list(logs)
    well = [one for one in logs if one not in ill]
    before = [line.text for one in logs for line in one.lines if line.ms < onset]
    lines = [line.text for one in reversed(ill) for line in one.lines if line.ms >= onset]
    siblings = [line.text for one in well for line in one.lines if line.ms >= onset]
    return symptoms_of_lines(lines, subject, finder(context, subject), before, siblings)


def _parsed(text: str, pod: str) -> list[Line]:
    """Kubernetes writes the time in front of each line; what has none continues the line before."""
    lines: list[Line] = []
    for raw in text.splitlines():
        stamp, _, rest = raw.partition(" ")
        if when := time_of(_micros(stamp)) if stamp[:1].isdigit() else None:
            lines.append(Line(int(when.timestamp() * 1000), rest, pod))
        elif lines:
            lines[-1] = Line(lines[-1].ms, f"{lines[-1].text} {raw}"[:4000], pod)
    return lines


def _micros(stamp: str) -> str:
    """Nanoseconds cut to the six digits Python reads."""
    head, dot, fraction = stamp.rstrip("Z").partition(".")
    return f"{head}{dot}{fraction[:6]}+00:00" if stamp.endswith("Z") else stamp


def _answer(
    which: Workload,
    logs: Sequence[_PodLog],
    contains: str,
    window: tuple[datetime, datetime],
    about: str,
    found: Sequence[Symptom],
) -> Answer:
    since, until = window
    when = interval(since, until)
    lines = sorted((line for one in logs for line in one.lines), key=lambda line: line.ms)
    refused = [words for one in logs for words in one.refused]
    holding = f" holding {clean(contains, 60)!r}" if contains else ""
    if not lines and refused:
        return _unread(which, refused, len(logs), when)
    bad, good = counted([(line.ms, line.text, line.error) for line in lines])
    errors = sum(pattern.count for pattern in bad)
    facts = (
        Fact("lines.count", f"log lines of {which}", len(lines), "count", {}, when),
        Fact("errors.count", f"log lines of {which} that are errors", errors, "count", {}, when),
        *symptom_facts(found, when),
        *pattern_facts(bad, good, when),
    )
    data: Json = {"workload": str(which), "lines": len(lines), "patterns": pattern_json(bad, good), "refused": refused}
    if not lines:
        text = f"No lines{holding} from {about} of {which} in the time to {clock_time(until)}."
        return Answer(text, facts, data, None, Emptiness.NO_SAMPLES)
    head = f"{len(lines)} lines{holding}, {errors} errors from {about} of {which}, {clock_time(since, until)} to {clock_time(until)}"
    if refused:
        head += f"; {len(refused)} logs were not given: {clean(refused[0], 200)}"
    return Answer(summary(head, found, bad, good, until), facts, data)


def _unread(which: Workload, refused: Sequence[str], pods: int, when: str) -> Answer:
    """No log was given: that is said in the server's words, and how many lines there are is unknown."""
    words = list(dict.fromkeys(clean(one, 300) for one in refused))
    text = f"The logs of {which} could not be read ({pods} pods): " + " ".join(words[:3])
    if not any("HTTP 400" in one or "HTTP 404" in one for one in refused):
        raise ToolFailed(text)
    unknown = Fact("lines.count", f"log lines of {which}", None, "count", {}, when)
    return Answer(text, (unknown,), {"workload": str(which), "patterns": [], "refused": words})
