"""Containers that end when they should run: with what code, how often, in whose words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from tools.formatting import clean, span
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    at,
    created,
    event_time,
    event_words,
    is_ready,
    mapping,
    moment,
    name_of,
    whole_number,
)
from tools.kubernetes.symptoms.signs import Sign, mended
from tools.symptoms import HURTS, WARNS

RECENT_S, HOUR_S, DAY_S = 600.0, 3600.0, 86400.0  # after ten minutes of running kubelet calls a container well again
OFTEN = 5  # restarts within a day that are worth a word although the container runs
_SIGNALS = {1: "HUP", 2: "INT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE", 15: "TERM"}
_MEMORY = re.compile(r"OOM ?Killed|\boom\b.*kill|memory cgroup out of memory", re.I)

_STACK = re.compile(r"\s+(?:at |File |\.\.\. \d+ more|\^)|\s+\S+\.go:\d+|goroutine \d+|exit status \d+")
_STAMP = re.compile(r"^\W*\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S*\s+(?:UTC\s+)?")
_ERROR = re.compile(
    r"(?i)error|exception|fatal|panic|fail|cannot|can't|unable|denied|refused|invalid|not found|no such"
)

Lines = Mapping[tuple[str, str], str]  # (pod, container) → the decisive line of its log


def ended(load: Load, pod: Object, spec: Object, status: Object, init: bool, lines: Lines | None = None) -> Sign | None:
    """The sign of a container that ends: it waits to be started again, has just ended, or did so often of late."""
    last = _last_end(status, init, load.runs_once)
    if last is None:
        return None
    when = moment(last, "finishedAt")
    severity = _severity(load, pod, status, when)
    if severity is None:
        return None
    code, signal = whole_number(last.get("exitCode"), -1), whole_number(last.get("signal"))
    killing = _killed_by_probe(load, pod, spec, last)
    reason = _reason(last, code, signal, killing)
    container = str(spec.get("name"))
    line = str(last.get("message") or "").strip() or (lines or {}).get((name_of(pod), container), "")
    labels = {"container": container, "exit_code": str(code), **({"init": "yes"} if init else {})}
    if line:
        labels["line"] = last_line(line)
    labels["restarts"] = str(whole_number(status.get("restartCount")))
    says = _says(spec, status, init, reason, code, last, labels.get("line", ""), killing)
    began = _began(pod, status, last, when)
    node = str(at(pod, "spec", "nodeName") or "")
    return Sign(name_of(pod), "exits", reason, says, node, severity, began, labels=labels)


def overdue(load: Load, pod: Object) -> Sign | None:
    """A pod that ran longer than it may (`activeDeadlineSeconds`)."""
    if at(pod, "status", "reason") != "DeadlineExceeded":
        return None
    allowed = at(pod, "spec", "activeDeadlineSeconds")
    says = (
        f" ended for running longer than allowed ({allowed} s)" if allowed else " ended for running longer than allowed"
    )
    began = moment(pod, "status", "startTime") or created(pod)
    return Sign(name_of(pod), "exits", "deadline", says, began=(began, load.seen.now))


def _last_end(status: Object, init: bool, runs_once: bool) -> Object | None:
    """How a container last ended, where that is not how it should."""
    now, before = mapping(status, "state", "terminated"), mapping(status, "lastState", "terminated")
    if now and now.get("exitCode") == 0 and (init or runs_once):
        return None
    last: Object = now or before
    if not last or last.get("reason") in ("StartError", "ContainerCannotRun"):
        return None
    if before and not now and before.get("exitCode") == 0 and init:
        return None
    return last


def _severity(load: Load, pod: Object, status: Object, when: datetime | None) -> int | None:
    """None: it is over. A container that runs again is judged by how lately and how often it ended."""
    if at(status, "state", "waiting") or at(status, "state", "terminated"):
        return HURTS
    since = (load.seen.now - when).total_seconds() if when else DAY_S
    often = whole_number(status.get("restartCount"))
    if since <= RECENT_S or (not is_ready(pod) and since <= HOUR_S):
        return HURTS if often > 1 or not is_ready(pod) else WARNS
    if since <= HOUR_S or (since <= DAY_S and often >= OFTEN):
        return WARNS
    return None


def _reason(last: Object, code: int, signal: int, killing: Object | None) -> str:
    told = str(last.get("reason") or "")
    if told == "OOMKilled" or _MEMORY.search(str(last.get("message") or "")):
        return "out_of_memory"
    if told == "DeadlineExceeded":
        return "deadline"
    if killing is not None:
        return "liveness"
    if code == 0:
        return "completed"
    return "signal" if signal or 128 < code < 160 else "error"


def _killed_by_probe(load: Load, pod: Object, spec: Object, last: Object) -> Object | None:
    """The event by which kubelet says that it ended this container for its probe, if it belongs to this end."""
    began, when = moment(last, "startedAt"), moment(last, "finishedAt")
    for event in load.seen.events("Pod", pod, "Killing"):
        words = event_words(event)
        if str(spec.get("name")) not in words or "probe" not in words:
            continue
        at_time = event_time(event)
        if (began is None or at_time >= began) and (when is None or (at_time - when).total_seconds() <= 120):
            return event
    return None


def _says(
    spec: Object, status: Object, init: bool, reason: str, code: int, last: Object, line: str, killing: Object | None
) -> str:
    who = f": {'init ' if init else ''}container {mended(spec.get('name'), 50)}"
    signal = whole_number(last.get("signal")) or (code - 128 if 128 < code < 160 else 0)
    limit = at(spec, "resources", "limits", "memory")
    how = {
        "out_of_memory": f"is killed for using more memory than {f'its limit {limit}' if limit else 'there is'} (exit {code})",
        "deadline": "is ended for running longer than it may",
        "liveness": f"is killed because its {'startup' if 'startup' in event_words(killing or {}) else 'liveness'} probe fails",
        "completed": "ends by itself with exit 0, although it should keep running",
        "signal": f"is ended by signal {_SIGNALS.get(signal, str(signal))} (exit {code})",
        "error": f"exits with code {code}",
    }[reason]
    restarts = whole_number(status.get("restartCount"))
    how += f", {restarts} restart{'' if restarts == 1 else 's'}" if restarts else ""
    began, when = moment(last, "startedAt"), moment(last, "finishedAt")
    if began and when and when > began and reason not in ("liveness",):
        how += f", ran {span((when - began).total_seconds())}"
    return f"{who} {how}" + (f": {clean(line, 100)}" if line else "")


def last_line(text: str) -> str:
    """The line that decides of a message: the last that tells of an error, else the last that is not empty."""
    lines = [line for line in text.splitlines() if line.strip() and not _STACK.match(line)] or [text]
    chosen = next((line for line in reversed(lines) if _ERROR.search(line)), lines[-1])
    return clean(_STAMP.sub("", chosen), 200)


def _began(pod: Object, status: Object, last: Object, when: datetime | None) -> tuple[datetime, datetime] | None:
    """When it ended first: known where it did so once, else between the pod's beginning and the last end."""
    if when is None:
        return None
    if whole_number(status.get("restartCount")) <= 1:
        return when, when
    return min(moment(pod, "status", "startTime") or created(pod), when), when
