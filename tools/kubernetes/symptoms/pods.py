"""All that the pods of one workload say, each sign once: the specific one wins, and "not ready" is what nothing explains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from tools.kubernetes.symptoms.containers import Lines, ended, overdue
from tools.kubernetes.symptoms.images import unpulled
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    containers_of,
    created,
    dicts,
    is_ready,
    moment,
    name_of,
    phase_of,
    whole_number,
)
from tools.kubernetes.symptoms.probes import failing_probe
from tools.kubernetes.symptoms.scheduling import YOUNG_S, unscheduled
from tools.kubernetes.symptoms.signs import Sign, exactly, folded, mended
from tools.kubernetes.symptoms.starts import unmade, unstarted
from tools.symptoms import HURTS, TELLS, WARNS, Symptom

EVICTED_S = 6 * 3600.0  # an evicted pod that others replaced is told of for so long
_SHORT_OF = (
    (re.compile(r"memory", re.I), "memory"),
    (re.compile(r"ephemeral|disk|imagefs|nodefs|inodes|storage|emptyDir", re.I), "disk"),
    (re.compile(r"\bpids?\b|PIDPressure", re.I), "pids"),
)
_DISRUPTED = {  # reason of the condition DisruptionTarget
    "PreemptionByScheduler": "preempted",
    "PreemptionByKubeScheduler": "preempted",
    "DeletionByTaintManager": "taint",
    "EvictionByEvictionAPI": "drained",
    "DeletionByPodGC": "drained",
    "TerminationByKubelet": "",
}
_SHUT_DOWN = frozenset({"Shutdown", "NodeShutdown", "Terminated", "NodeLost"})


def pod_symptoms(load: Load, lines: Lines | None = None) -> list[Symptom]:
    """The symptoms that a workload's pods tell. `lines` are the decisive lines of their logs, where those were read."""
    return folded(load, [sign for pod in load.pods for sign in signs_of(load, pod, lines)])


def signs_of(load: Load, pod: Object, lines: Lines | None = None) -> list[Sign]:
    """What one pod says; [] of one that is well, has ended well or is still on its way."""
    if at(pod, "metadata", "deletionTimestamp"):
        return [sign] if (sign := _stuck(load, pod)) else []
    if phase_of(pod) == "Succeeded":
        return []
    if sign := evicted(load, pod) or unscheduled(load, pod) or overdue(load, pod):
        return [sign]
    if phase_of(pod) == "Failed" and load.enough:
        return []
    if phase_of(pod) == "Pending" and not at(pod, "spec", "nodeName"):
        return []
    if sign := unmade(load, pod):
        return [sign]
    found = list(_of_containers(load, pod, lines))
    if found or is_ready(pod):
        return found
    return [sign] if (sign := _gated(pod) or _unready(load, pod)) else []


def _of_containers(load: Load, pod: Object, lines: Lines | None) -> Iterator[Sign]:
    for spec, status, init in containers_of(pod):
        first = unpulled(load, pod, spec, status) or unstarted(load, pod, spec, status, init)
        if first:
            yield first
            continue
        end = ended(load, pod, spec, status, init, lines)
        if end:
            yield end
        if (end is None or end.reason == "liveness") and (probe := failing_probe(load, pod, spec, status)):
            yield probe


# -- evicted ----------------------------------------------------------------------------------------------------------


def evicted(load: Load, pod: Object) -> Sign | None:
    """The sign of a pod that its node or the cluster put out; None where it was long ago and others took its place."""
    if phase_of(pod) != "Failed":
        return None
    disrupted, told = condition(pod, "DisruptionTarget"), str(at(pod, "status", "reason") or "")
    if told != "Evicted" and told not in _SHUT_DOWN and disrupted.get("status") != "True":
        return None
    words = str(at(pod, "status", "message") or disrupted.get("message") or told)
    reason = _DISRUPTED.get(str(disrupted.get("reason")), "") or ("drained" if told in _SHUT_DOWN else "")
    reason = reason or next((reason for pattern, reason in _SHORT_OF if pattern.search(words)), "")
    when = moment(disrupted, "lastTransitionTime") or _last_end(pod) or moment(pod, "status", "startTime")
    if load.enough and when and (load.seen.now - when).total_seconds() > EVICTED_S:
        return None
    node = str(at(pod, "spec", "nodeName") or "")
    says = f" put out of node {mended(node)}: {mended(words, 160)}" if node else f" put out: {mended(words, 160)}"
    labels = {"node": node} if node else {}
    severity = WARNS if load.enough else HURTS
    return Sign(name_of(pod), "evicted", reason, says, node, severity, exactly(when), labels=labels)


def _last_end(pod: Object) -> datetime | None:
    ends = [moment(one, "state", "terminated", "finishedAt") for one in dicts(at(pod, "status", "containerStatuses"))]
    return max((one for one in ends if one), default=None)


# -- being deleted ----------------------------------------------------------------------------------------------------


def _stuck(load: Load, pod: Object) -> Sign | None:
    """A pod that should be gone: `deletionTimestamp` is when its grace ran out."""
    due = moment(pod, "metadata", "deletionTimestamp")
    late = (load.seen.now - due).total_seconds() if due else 0.0
    if due is None or late < 60:
        return None
    node = str(at(pod, "spec", "nodeName") or "")
    accused = None
    if finalizers := at(pod, "metadata", "finalizers"):
        reason, why = "finalizer", f"the finalizer {mended(', '.join(map(str, finalizers)), 80)} holds it"
    elif node and (load.seen.lacks("Node", "", node) or node_is_down(load.seen, node)):
        reason, why, accused = "node", f"node {mended(node)} does not answer", load.seen.subject("Node", "", node)
    else:
        reason, why = "volume", f"node {mended(node)} has not ended it"
        events = load.seen.events("Pod", pod, "FailedKillPod", "FailedUnMount", "FailedUnmount")
        if events:
            why = mended(events[0].get("message"), 120)
        else:
            reason = ""
    says = f" being deleted for {late / 60:.0f} min longer than allowed: {why}"
    return Sign(name_of(pod), "stuck_deleting", reason, says, node, WARNS, exactly(due), accused)


def node_is_down(seen: Seen, name: str) -> bool:
    """Whether a node that was read is not ready."""
    node = seen.find("Node", "", name)
    return node is not None and condition(node, "Ready").get("status") not in ("True", None)


# -- not ready --------------------------------------------------------------------------------------------------------


def _gated(pod: Object) -> Sign | None:
    """A pod whose containers are ready and that waits for somebody's condition."""
    if condition(pod, "ContainersReady").get("status") != "True":
        return None
    for gate in dicts(at(pod, "spec", "readinessGates")):
        kind = str(gate.get("conditionType"))
        told = condition(pod, kind)
        if told.get("status") != "True":
            why = mended(told.get("message") or told.get("reason") or "nobody has set it", 120)
            says = f" not ready though the containers are: waiting for the readiness gate {mended(kind)}: {why}"
            began = moment(condition(pod, "Ready"), "lastTransitionTime") or created(pod)
            node = str(at(pod, "spec", "nodeName") or "")
            return Sign(name_of(pod), "readiness_gate", kind, says, node, began=exactly(began), labels={"gate": kind})
    return None


def _unready(load: Load, pod: Object) -> Sign | None:
    ready, node = condition(pod, "Ready"), str(at(pod, "spec", "nodeName") or "")
    began = moment(ready, "lastTransitionTime") or created(pod)
    if node and node_is_down(load.seen, node):
        says = f" not ready: node {mended(node)} is not ready"
        return Sign(
            name_of(pod), "unready", "", says, node, began=exactly(began), accuses=load.seen.subject("Node", "", node)
        )
    if load.seen.age(pod) < YOUNG_S or _starts_slowly(load, pod):
        return None
    words = mended(ready.get("message") or ready.get("reason") or phase_of(pod), 140)
    # a pod that never ran may well be pulling a large image
    severity = TELLS if _is_pulling(load, pod) else HURTS
    return Sign(name_of(pod), "unready", "", f" not ready: {words}", node, severity, exactly(began))


def _starts_slowly(load: Load, pod: Object) -> bool:
    """Whether each container that is not ready began a moment ago."""
    waits = [
        (
            moment(status, "state", "running", "startedAt"),
            whole_number(at(spec, "readinessProbe", "initialDelaySeconds")),
        )
        for spec, status, init in containers_of(pod)
        if not init and status.get("ready") is False
    ]
    return bool(waits) and all(
        begun and (load.seen.now - begun).total_seconds() < delay + YOUNG_S for begun, delay in waits
    )


def _is_pulling(load: Load, pod: Object) -> bool:
    events = load.seen.events("Pod", pod, "Pulling", "Pulled", "Failed")
    return bool(events) and events[0].get("reason") == "Pulling" and load.seen.age(pod) < 600
