"""Pods for which no node is found: the scheduler's sentence taken apart, in the words of Kubernetes 1.20 and later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.context import Subject
from tools.kubernetes.client import quantity
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    dicts,
    event_words,
    labels_of,
    mapping,
    moment,
    name_of,
    namespace_of,
    texts,
)
from tools.kubernetes.symptoms.signs import Sign, exactly, mended

YOUNG_S = 30.0  # a pod that is younger may still be on its way
_HEAD = re.compile(r"^(?P<none>\d+)/(?P<nodes>\d+) nodes are available: ?(?P<rest>.*)", re.S)
_PREEMPTION = re.compile(r"\.?,?\s*preemption: .*|\.\s*$", re.S)
_PART = re.compile(r"(?:^|, )(?=(?:\d+ |pod has |persistentvolumeclaim|waiting for |cannot allocate))")
_COUNTED = re.compile(r"^(?P<count>\d+) (?P<words>.*)$", re.S)
_TAINT = re.compile(r"\{(?P<key>[^:{}]+): ?(?P<value>[^{}]*)\}")
_CONTROL_PLANE = re.compile(r"^node-role\.kubernetes\.io/(control-plane|master|etcd|controlplane)$")
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_CLAIM = re.compile(r'persistentvolumeclaim "(?P<claim>[^"]+)" (?:not found|is being deleted)')

# What the scheduler's words mean: (pattern, reason). The first that fits counts; {} of a taint is looked at on its own.
_REASONS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r'persistentvolumeclaim "[^"]+" (not found|is being deleted)', "claim_missing"),
        (
            r"unbound immediate PersistentVolumeClaims|binding volumes|didn't find available persistent vol",
            "claim_unbound",
        ),
        (r"bound to non-existent pv", "claim_unbound"),
        (r"volume node affinity conflict|volume zone|max volume count|enough free storage", "volume_node"),
        (r"were unschedulable", "cordoned"),
        (r"taint", "taint"),
        (r"node affinity|node selector|affinity/selector", "node_selector"),
        (r"anti-affinity rules|existing pods anti-affinity", "pod_anti_affinity"),
        (r"pod affinity/anti-affinity", "pod_anti_affinity"),
        (r"pod affinity", "pod_affinity"),
        (r"topology spread", "topology"),
        (r"Insufficient cpu", "cpu"),
        (r"Insufficient memory", "memory"),
        (r"Insufficient pods|Too many pods", "pods_limit"),
        (r"Insufficient |resource ?claim|allocate all claims|cannot allocate", "resource"),
        (r"free ports", "host_port"),
        (r"no nodes available", "no_nodes"),
        (r"NotReady|not ready|unreachable", "taint"),
    )
)
_BEFORE = ("claim_missing", "claim_unbound", "no_nodes")  # what holds of the pod, whatever the nodes are like
_KUBELET_REFUSES = {  # status.reason of a pod that a node sent back
    "OutOfcpu": "cpu",
    "OutOfmemory": "memory",
    "OutOfpods": "pods_limit",
    "OutOfephemeral-storage": "resource",
    "NodeAffinity": "node_affinity",
    "MatchNodeSelector": "node_selector",
    "NodePorts": "host_port",
    "HostPort": "host_port",
    "UnexpectedAdmissionError": "resource",
    "Taint": "taint",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why some nodes do not fit: how many (0: it holds of the pod), the reason, and the words as they were found."""

    nodes: int
    reason: str
    words: str
    taint: str = ""
    background: bool = False  # a taint that keeps ordinary pods off a control plane: as it should be


def obstacles(message: str) -> tuple[int | None, list[Obstacle]]:
    """How many nodes there are, and what the scheduler says against them. (None, []) for another kind of sentence."""
    found = _HEAD.match(message.strip())
    if found is None:
        only = _one(message.strip().rstrip("."))
        return (0 if only.reason == "no_nodes" else None), [only] if only.reason else []
    rest = _PREEMPTION.sub("", found["rest"]).strip()
    # the older wording of a taint has a comma of its own
    rest = re.sub(r"(\{[^{}]*\}), that the pod didn't tolerate", r"\1", rest)
    parts = [part.strip() for part in _PART.split(rest) if part.strip()]
    return int(found["nodes"]), [_one(part) for part in parts]


def decides(found: Sequence[Obstacle]) -> Obstacle:
    """The obstacle that keeps the pod off most nodes; one of the pod itself comes before, a control plane's taint last."""
    return max(
        found,
        key=lambda one: (one.reason in _BEFORE, not one.background, one.reason != "", one.nodes, -found.index(one)),
    )


def unscheduled(load: Load, pod: Object) -> Sign | None:
    """The sign of a pod that has no node, or that a node sent back; None for all others."""
    if at(pod, "status", "phase") == "Failed":
        return _sent_back(pod)
    told = condition(pod, "PodScheduled")
    if at(pod, "spec", "nodeName") or told.get("status") == "True":
        return None
    if told.get("reason") == "SchedulingGated":
        gates = ", ".join(str(gate.get("name")) for gate in dicts(at(pod, "spec", "schedulingGates")))
        says = f" cannot be scheduled: held back by the scheduling gate {gates}"
        return _sign(pod, told, "gated", says, None, {})
    message = str(told.get("message") or "")
    if not message:
        events = load.seen.events("Pod", pod, "FailedScheduling")
        message = event_words(events[0]) if events else ""
    if not message:
        return None if load.seen.age(pod) < 2 * YOUNG_S else _nobody(pod)
    return _explained(load, pod, told, message)


def _explained(load: Load, pod: Object, told: Object, message: str) -> Sign:
    nodes, found = obstacles(message)
    if not found:
        return _sign(pod, told, "", f" cannot be scheduled: {mended(message, 180)}", None, {})
    first = decides(found)
    reason = _selector_or_affinity(load.seen, pod) if first.reason == "node_selector" else first.reason
    others = [one for one in found if one is not first]
    labels = {"also": ", ".join(f"{one.reason or one.words}: {one.nodes}" for one in others)} if others else {}
    if nodes is not None:
        labels["nodes"] = str(nodes)
    if first.taint:
        labels["taint"] = first.taint
    ordered = sorted(found, key=lambda one: (one is not first, -one.nodes))
    told_words = ", ".join(_phrase(one, pod) for one in ordered[:4])
    claim = _claim(load.seen, pod, message) if reason in ("claim_unbound", "claim_missing", "volume_node") else None
    if claim and reason != "volume_node":
        state = "does not exist" if reason == "claim_missing" else "is not bound"
        says = f" cannot be scheduled: the claim {mended(claim.name)} {state} ({mended(first.words, 90)})"
    elif nodes == 0:
        says = " cannot be scheduled: there are no nodes"
    else:
        says = f" cannot be scheduled: {nodes} node{'' if nodes == 1 else 's'}, none fits: {told_words}"
    return _sign(pod, told, reason, says, claim, labels)


def _sign(
    pod: Object, told: Object, reason: str, says: str, accuses: Subject | None, labels: Mapping[str, str]
) -> Sign:
    began = moment(told, "lastTransitionTime") or moment(pod, "metadata", "creationTimestamp")
    return Sign(name_of(pod), "unschedulable", reason, says, began=exactly(began), accuses=accuses, labels=labels)


def _nobody(pod: Object) -> Sign:
    """No scheduler has looked at the pod at all."""
    scheduler = str(at(pod, "spec", "schedulerName") or "default-scheduler")
    says = f" without a node: the scheduler {mended(scheduler)} has not looked at it"
    return _sign(pod, {}, "scheduler", says, None, {"scheduler": scheduler})


def _sent_back(pod: Object) -> Sign | None:
    reason = _KUBELET_REFUSES.get(str(at(pod, "status", "reason") or ""))
    if reason is None:
        return None
    node = str(at(pod, "spec", "nodeName") or "")
    words = str(at(pod, "status", "message") or at(pod, "status", "reason"))
    began = exactly(moment(pod, "status", "startTime") or moment(pod, "metadata", "creationTimestamp"))
    says = f" refused by node {mended(node)}: {mended(words, 150)}"
    return Sign(name_of(pod), "unschedulable", reason, says, node, began=began)


# -- one part of the sentence -----------------------------------------------------------------------------------------


def _one(part: str) -> Obstacle:
    counted = _COUNTED.match(part)
    nodes, words = (int(counted["count"]), counted["words"]) if counted else (0, part)
    taint = _TAINT.search(words) if "taint" in words else None
    if taint:
        key, value = taint["key"].strip(), taint["value"].strip()
        if key == _UNSCHEDULABLE:
            return Obstacle(nodes, "cordoned", words)
        return Obstacle(nodes, "taint", words, f"{key}={value}" if value else key, bool(_CONTROL_PLANE.match(key)))
    reason = next((reason for pattern, reason in _REASONS if pattern.search(words)), "")
    return Obstacle(nodes, reason, words)


def _phrase(one: Obstacle, pod: Object) -> str:
    verb, were = ("has", "is") if one.nodes == 1 else ("have", "are")
    head = f"{one.nodes} " if one.nodes else ""
    if one.taint:
        return f"{head}{verb} taint {mended(one.taint)}"
    if one.reason in ("cpu", "memory", "resource") and one.words.startswith("Insufficient "):
        resource = one.words.removeprefix("Insufficient ").strip()
        asked = requested(pod, resource)
        return f"{head}{verb} too little {mended(resource)}{f' (a pod asks for {asked})' if asked else ''}"
    if one.reason == "cordoned":
        return f"{head}{were} cordoned"
    if one.reason == "node_selector" and (wanted := wanted_labels(pod)):
        return f"{head}{'does' if one.nodes == 1 else 'do'} not have {mended(wanted, 90)}"
    return f"{head}{mended(one.words.removeprefix('node(s) '), 90)}"


def requested(pod: Object, resource: str) -> str:
    """What the pod's containers ask for together, as Kubernetes writes it where one container asks."""
    asked = [
        str(at(one, "resources", "requests", resource))
        for one in dicts(at(pod, "spec", "containers"))
        if at(one, "resources", "requests", resource)
    ]
    if len(asked) < 2:
        return asked[0] if asked else ""
    total = sum(quantity(one) or 0.0 for one in asked)
    return f"{total / 2**20:,.0f}Mi" if resource in ("memory", "ephemeral-storage") else f"{total:g}"


def wanted_labels(pod: Object) -> str:
    """The labels of nodes that a pod insists on: `disktype=ssd, zone in (a, b)`."""
    found = [f"{key}={value}" for key, value in mapping(pod, "spec", "nodeSelector").items()]
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
    for term in dicts(at(pod, *path)):
        for one in (*dicts(term.get("matchExpressions")), *dicts(term.get("matchFields"))):
            values = ", ".join(str(value) for value in texts(one, "values"))
            operator = {"In": "in", "NotIn": "not in"}.get(str(one.get("operator")), str(one.get("operator")))
            found.append(f"{one.get('key')} {operator} ({values})" if values else f"{one.get('key')} {operator}")
    return ", ".join(found)


def _selector_or_affinity(seen: Seen, pod: Object) -> str:
    """Which of the two no node satisfies. The scheduler has one sentence for both."""
    selector = mapping(pod, "spec", "nodeSelector")
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if not selector or not at(pod, *path):
        return "node_selector" if selector or not at(pod, *path) else "node_affinity"
    nodes = seen.kind("Node")
    fits = any(all(labels_of(node).get(key) == value for key, value in selector.items()) for node in nodes)
    return "node_affinity" if nodes and fits else "node_selector"


def _claim(seen: Seen, pod: Object, message: str) -> Subject | None:
    """The claim that is missing or not bound: the one that is named, else the first that is so, else the only one."""
    named = _CLAIM.search(message)
    claims = [named["claim"]] if named else claims_of(pod)
    held = {claim: seen.find("PersistentVolumeClaim", namespace_of(pod), claim) for claim in claims}
    unbound = [claim for claim, one in held.items() if one and at(one, "status", "phase") != "Bound"]
    chosen = (unbound or [claim for claim, one in held.items() if one is None] or claims)[:1]
    return seen.subject("PersistentVolumeClaim", namespace_of(pod), chosen[0]) if chosen else None


def claims_of(pod: Object) -> list[str]:
    """Names of the claims that a pod mounts."""
    found = []
    for volume in dicts(at(pod, "spec", "volumes")):
        if name := at(volume, "persistentVolumeClaim", "claimName"):
            found.append(str(name))
        elif "ephemeral" in volume:
            found.append(f"{name_of(pod)}-{volume.get('name')}")
    return found
