"""Jobs that failed, and CronJobs that do not run when they should."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.formatting import span
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    created,
    dicts,
    moment,
    name_of,
    whole_number,
)
from tools.kubernetes.symptoms.signs import fit, mended, seconds
from tools.symptoms import HURTS, TELLS, Symptom

_REASONS = {"BackoffLimitExceeded": "backoff", "DeadlineExceeded": "deadline", "PodFailurePolicy": "backoff"}


def job_symptoms(load: Load, of_pods: Sequence[Symptom]) -> list[Symptom]:
    """A Job's or CronJob's own symptoms, with what its pods say. Failures that a later run made good are over."""
    if load.subject.kind == "CronJob":
        return _of_cronjob(load, of_pods)
    if condition(load.whole, "Complete").get("status") == "True":
        return []
    return [*of_pods, *_failed(load, load.whole)]


def _of_cronjob(load: Load, of_pods: Sequence[Symptom]) -> list[Symptom]:
    jobs = sorted(jobs_of(load.seen, load.subject.namespace, load.subject.name), key=created, reverse=True)
    newest = jobs[0] if jobs else None
    if newest is not None and condition(newest, "Complete").get("status") == "True":
        return _schedule(load)
    failed = _failed(load, newest) if newest is not None else []
    pods = list(of_pods)
    if newest is not None:
        theirs = {name_of(pod) for pod in load.pods if _is_of(pod, name_of(newest))}
        pods = [one for one in pods if not theirs or any(name in one.labels.get("pods", "") for name in theirs)]
    return [*pods, *failed, *_schedule(load)]


def jobs_of(seen: Seen, namespace: str, cronjob: str) -> list[Object]:
    return [one for one in seen.kind("Job", namespace) if _is_of(one, cronjob)]


def _is_of(one: Object, owner: str) -> bool:
    return any(each.get("name") == owner for each in dicts(at(one, "metadata", "ownerReferences")))


def _failed(load: Load, job: Object) -> list[Symptom]:
    told = condition(job, "Failed")
    if told.get("status") != "True":
        if at(job, "spec", "suspend"):
            text = f"Job {mended(name_of(job))} is suspended"
            return [Symptom(load.subject, "job_failed", text, TELLS, "suspended", None, None, {"job": name_of(job)})]
        return []
    reason = _REASONS.get(str(told.get("reason")), "backoff")
    failed, limit = whole_number(at(job, "status", "failed")), at(job, "spec", "backoffLimit")
    words = mended(told.get("message") or told.get("reason"), 120)
    times = f"failed {failed} time{'' if failed == 1 else 's'}" if failed else "failed"
    allowed = at(job, "spec", "activeDeadlineSeconds")
    bound = f", {limit} retries allowed" if isinstance(limit, int) else ""
    if reason == "deadline":
        bound = f", {allowed} s allowed" if allowed else ""
    text = f"Job {mended(name_of(job))} {times}{bound}: {words}"
    labels = {"job": name_of(job), "failed": str(failed)}
    since = moment(told, "lastTransitionTime") or moment(told, "lastProbeTime")
    return [Symptom(load.subject, "job_failed", fit(text), HURTS, reason, seconds(since), None, labels)]


def _schedule(load: Load) -> list[Symptom]:
    whole, now = load.whole, load.seen.now
    if not whole:
        return []
    last, well = moment(whole, "status", "lastScheduleTime"), moment(whole, "status", "lastSuccessfulTime")
    success = f", last success {span((now - well).total_seconds())} ago" if well else ""
    if at(whole, "spec", "suspend"):
        ran = f", last run {span((now - last).total_seconds())} ago" if last else ""
        text = f"the schedule is suspended{ran}{success}"
        return [Symptom(load.subject, "job_failed", text, TELLS, "suspended", seconds(last))]
    every = period(str(at(whole, "spec", "schedule") or ""))
    from_when = last or moment(whole, "metadata", "creationTimestamp")
    if every and from_when and (late := (now - from_when).total_seconds()) > 2 * every + 300:
        words = _why_late(load, last)
        text = f"it should run every {span(every)} and last began {span(late)} ago{words}{success}"
        return [Symptom(load.subject, "job_failed", fit(text), HURTS, "late", _from(from_when, every))]
    return []


def _why_late(load: Load, last: datetime | None) -> str:
    active = dicts(at(load.whole, "status", "active"))
    if active and at(load.whole, "spec", "concurrencyPolicy") == "Forbid":
        return f": {mended(active[0].get('name'))} still runs, and only one may"
    events = load.seen.events(
        "CronJob", load.whole, "MissSchedule", "TooManyMissedTimes", "UnknownTimeZone", "FailedNeedsStart"
    )
    return f" ({mended(events[0].get('message'), 100)})" if events else ""


def _from(last: datetime, every: float) -> tuple[float, float]:
    return last.timestamp() + every, last.timestamp() + 2 * every


def period(schedule: str) -> float | None:
    """Seconds between two runs of a schedule at the longest; None where that cannot be told simply."""
    words = {"@hourly": 3600.0, "@daily": 86400.0, "@midnight": 86400.0, "@weekly": 604800.0}
    if schedule in words:
        return words[schedule]
    if schedule.startswith("@every "):
        return None
    fields = schedule.removeprefix("TZ=").split()[-5:]
    if len(fields) != 5:
        return None
    minute, hour, day, month, weekday = fields
    if (day, month, weekday) != ("*", "*", "*"):
        return 7 * 86400.0 if (day, month) == ("*", "*") else None
    if hour == "*":
        return float(_step(minute, 60) * 60)
    return float(_step(hour, 24) * 3600)


def _step(field: str, size: int) -> int:
    """The largest gap between the values of one field."""
    if field == "*":
        return 1
    if field.startswith("*/") and field[2:].isdigit() and int(field[2:]):
        return min(int(field[2:]), size)
    values = sorted({int(one) for one in field.split(",") if one.isdigit()})
    if len(values) < 2:
        return size
    return max(b - a for a, b in zip(values, [*values[1:], values[0] + size], strict=True))
