"""The read `survey`: what Kubernetes says is not as it should be with a subject, and with what it hangs together with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tools.context import Backend, Context, Json, Subject
from tools.errors import BadArguments, NotRecorded, TargetUnclear
from tools.formatting import clean, clock_time, count, iso, shorten
from tools.formatting import window as interval
from tools.kubernetes.client import connect
from tools.kubernetes.concerned import concerning, loads_meant
from tools.kubernetes.configuration import configuration
from tools.kubernetes.look import look_at
from tools.kubernetes.pod_logs import LineReader, Logs, ill_containers, log_symptoms, read_logs
from tools.kubernetes.symptoms.addresses import addresses_of, service_called
from tools.kubernetes.symptoms.every import symptoms_in
from tools.kubernetes.symptoms.objects import Load, Seen, loads_of
from tools.kubernetes.symptoms.workloads import workload_symptoms
from tools.logs.accusations import symptoms_of_lines
from tools.signals.signal import SubjectName
from tools.spec import Answer, Emptiness, Fact, read
from tools.symptoms import HURTS, OWN, TELLS, Symptom, placed, symptom_facts

MOST_SUBJECTS, MOST_NEAR, MOST_TOLD, SHOWN = 6, 40, 40, 10
_LOGGED = frozenset({"exits", "probe_failing", "unready", "readiness_gate"})  # what a pod's own lines may explain


@read(needs="kubernetes", vouches=True, maps=True)
async def survey(context: Context, subject: SubjectName = "") -> Answer:
    """What Kubernetes says is not as it should be with a subject, with what belongs to it and with its neighbours, as of
    now. Facts: s1 … symptoms, symptoms.count, looked.count, not_visible.count. At most 25 requests, and 8 for logs."""
    meant = subjects_meant(context, subject)
    if not context.live:
        raise NotRecorded(
            f"Kubernetes keeps no record of how {meant[0].title or meant[0].kind} was at {iso(context.as_of)}; signals and "
            "kube_* metrics show the past."
        )
    backend = backend_for(context, meant)
    cluster = await connect(backend)
    near = neighbours(context, meant)
    look = await look_at(cluster, meant, near)
    name = backend.match.get("cluster") or next((one.cluster for one in meant if one.cluster), "")
    seen = look.seen(name, context.clock.now())
    loads = await asyncio.to_thread(loads_of, seen)  # in a large namespace each of these takes a while
    logs = await read_logs(cluster, await asyncio.to_thread(_ill, seen, loads, meant))
    found = await asyncio.to_thread(found_in, seen, loads, meant, near, logs, symptoms_of_lines)
    return await asyncio.to_thread(
        _answer, context, seen, loads, meant, found, {**look.hidden, **logs.hidden}, look.requests, bool(subject)
    )


def subjects_meant(context: Context, text: str) -> tuple[Subject, ...]:
    """The subject that is named, else the incident's, at most MOST_SUBJECTS. BadArguments where there is none."""
    if text and context.platform is not None:
        return (context.platform.find(text),)
    if text:
        kind, cut, rest = text.partition("/")
        kind, rest = (kind, rest) if cut and kind[:1].isupper() else ("Service", text)
        namespace, _, name = rest.rpartition("/")
        return (Subject(kind, "", namespace, name, "named by a person"),)
    if not context.subjects:
        raise BadArguments("The incident names no subject. Name one: survey subject=Deployment/shop/mailer.")
    return context.subjects[:MOST_SUBJECTS]


def backend_for(context: Context, subjects: Sequence[Subject]) -> Backend:
    """The Kubernetes in which the subjects lie: of several, the one of their cluster or of the incident's labels."""
    cluster = next((one.cluster for one in subjects if one.cluster), "")
    labels = {**context.labels, **({"cluster": cluster} if cluster else {})}
    backend = context.backends.pick("kubernetes", labels)
    if cluster and backend.match.get("cluster", cluster) != cluster:
        raise TargetUnclear(
            f"{subjects[0].title} lies in cluster {cluster!r}, and the only Kubernetes that is configured, {backend.name}, "
            f"is {backend.match['cluster']!r}. Add it to backends.kubernetes in stanch.yaml."
        )
    return backend


def neighbours(context: Context, subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """What the map says is one step away from the first subjects."""
    if context.platform is None:
        return ()
    found = [one for subject in subjects[:2] for one in context.platform.near(subject, hops=1)]
    return tuple(dict.fromkeys(one for one in found if one not in subjects))[:MOST_NEAR]


def found_in(
    seen: Seen,
    loads: Sequence[Load],
    subjects: Sequence[Subject],
    near: Sequence[Subject],
    logs: Logs,
    reader: LineReader,
) -> list[Symptom]:
    """The symptoms that concern the subjects, with what the lines of their pods say."""
    mine = dict.fromkeys(load.subject for subject in subjects for load in loads_meant(seen, loads, subject))
    lines = []
    for load in (one for one in loads if one.subject in mine):

        def find(text: str, space: str = load.subject.namespace) -> Subject | None:
            called = service_called(seen, text, space) or next((one for one in near if one.name == text), None)
            return called or next((one.subject for one in loads if text in addresses_of(one)), None)

        lines += log_symptoms(reader, logs, load, find)
    whole = [*symptoms_in(seen, loads, logs.decisive), *lines]
    return concerning(seen, loads, subjects, near, whole)


def _ill(seen: Seen, loads: Sequence[Load], subjects: Sequence[Subject]) -> list[tuple[Mapping[str, Json], str, bool]]:
    """The containers of the subjects' pods whose lines are worth a look."""
    mine = {id(load): load for subject in subjects for load in loads_meant(seen, loads, subject)}
    found = []
    for load in mine.values():
        told = [one for one in workload_symptoms(load) if one.kind in _LOGGED]
        failing = {pod.strip() for one in told for pod in one.labels.get("pods", "").partition(" and ")[0].split(",")}
        found += ill_containers(load, tuple(failing))
    return found


# -- words ------------------------------------------------------------------------------------------------------------


def _answer(
    context: Context,
    seen: Seen,
    loads: Sequence[Load],
    subjects: Sequence[Subject],
    found: Sequence[Symptom],
    hidden: Mapping[str, str],
    requests: int,
    named: bool,
) -> Answer:
    when = interval(context.as_of, context.as_of)
    objects = sum(len(listed) for kind, listed in seen.of.items() if kind != "Event")
    bad = [one for one in found if one.severity != TELLS]
    told = placed(found[:MOST_TOLD], context)
    if not named:  # what a claim, a Service or an autoscaler of the incident belongs to is the incident's own
        own = {load.subject for subject in subjects for load in loads_meant(seen, loads, subject)}
        told = [replace(one, labels={**one.labels, "relation": OWN}) if one.subject in own else one for one in told]
    first = subjects[0]
    absent = seen.lacks(first.kind, first.namespace, first.name) and not loads_meant(seen, loads, first)
    facts = [
        *symptom_facts(told, when),
        Fact("symptoms.count", "symptoms found", len(found), "count", {}, when),
        Fact("looked.count", "objects looked at", objects, "count", {}, when),
        Fact("not_visible.count", "lists that could not be read", len(hidden), "count", {}, when),
    ]
    if absent:
        facts.append(Fact("exists", f"{first.kind} {first.title} exists", False, "", {}, when))
    head = _head(context.as_of, seen, loads, subjects, bad, objects, absent)
    lines = [f"s{n} {_line(one, first)}" for n, one in enumerate(told[:SHOWN], 1)]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    if hidden:
        lines.append(_unseen(hidden))
    data: Json = {
        "subjects": [one.to_json() for one in subjects],
        "symptoms": [_json(one) for one in found],
        "not_visible": dict(hidden),
        "requests": requests,
        "configuration": configuration(seen, loads, first),
    }
    return Answer(shorten("\n".join([head, *lines])), tuple(facts), data, None, None if found else Emptiness.NOTHING)


def _head(
    now: datetime,
    seen: Seen,
    loads: Sequence[Load],
    subjects: Sequence[Subject],
    bad: Sequence[Symptom],
    objects: int,
    absent: bool,
) -> str:
    first = subjects[0]
    who = f"{first.kind} {first.title}".strip() + (f" and {len(subjects) - 1} more" if len(subjects) > 1 else "")
    begin = f"{clean(who)} at {clock_time(now)}"
    if absent:
        return f"{begin}: it does not exist in Kubernetes; {_found(bad)}."
    if not objects:
        return f"{begin}: nothing could be seen."
    if bad:
        return f"{begin}: {_found(bad)}."
    spaces = {one.name for one in subjects if one.kind == "Namespace"}
    meant = [load for load in loads if load.subject.namespace in spaces or first.kind == "Cluster"]
    meant += [load for subject in subjects for load in loads_meant(seen, loads, subject)]
    counted = {id(load): load for load in meant}.values()
    ready = sum(load.ready for load in counted)
    return f"{begin}: nothing is out of order: {count(len(counted), 'workload')}, {count(ready, 'pod')} ready."


def _found(bad: Sequence[Symptom]) -> str:
    hurting = sum(one.severity == HURTS for one in bad)
    return f"{count(len(bad), 'symptom')}, {hurting} of them hurting now"


def _line(one: Symptom, first: Subject) -> str:
    title = one.subject.title or one.subject.cluster
    where = (
        ""
        if (one.subject.kind, one.subject.name) == (first.kind, first.name)
        else f"{one.subject.kind} {clean(title)}: "
    )
    accused = f" → {one.accuses.kind} {clean(one.accuses.title)}" if one.accuses else ""
    return f"{one.kind}{f' ({one.reason})' if one.reason else ''}: {where}{one.text}{accused}"


def _unseen(hidden: Mapping[str, str]) -> str:
    by_why: dict[str, list[str]] = {}
    for what, why in hidden.items():
        by_why.setdefault(why, []).append(what)
    parts = [
        f"{', '.join(whats[:8])}{' …' if len(whats) > 8 else ''}: {clean(why, 120)}" for why, whats in by_why.items()
    ]
    return f"Not visible: {'; '.join(parts[:3])}"


def _json(one: Symptom) -> Json:
    return {
        "subject": one.subject.to_json(),
        "kind": one.kind,
        "reason": one.reason,
        "severity": one.severity,
        "text": one.text,
        "since": list(one.since) if one.since else None,
        "accuses": one.accuses.to_json() if one.accuses else None,
        "labels": dict(one.labels),
    }
