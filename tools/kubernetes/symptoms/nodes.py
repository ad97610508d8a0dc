"""Machines that are not well, and the control plane."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tools.formatting import span
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    dicts,
    labels_of,
    moment,
    name_of,
    namespace_of,
    texts,
)
from tools.kubernetes.symptoms.signs import fit, mended, seconds
from tools.symptoms import HURTS, WARNS, Symptom

_PRESSURE = {"MemoryPressure": "memory", "DiskPressure": "disk", "PIDPressure": "pids"}
_RUNTIME = re.compile(r"container runtime|PLEG|runtime is down|containerd|CRI", re.I)
_NETWORK = re.compile(r"cni|network ?plugin|NetworkReady=false|NetworkUnavailable", re.I)
_PARTS = {  # what a pod of the control plane is, by its labels: (pattern, reason)
    "dns": re.compile(r"^(kube-dns|coredns|node-local-dns)$"),
    "proxy": re.compile(r"^kube-proxy$"),
    "api": re.compile(r"^(kube-apiserver|etcd)$"),
    "scheduler": re.compile(r"^kube-scheduler$"),
    "controller": re.compile(r"^(kube-controller-manager|cloud-controller-manager)$"),
}
_LEASES = {"kube-scheduler": "scheduler", "kube-controller-manager": "controller"}
_STALE_S = 60.0  # a leader renews its lease every two seconds


def node_symptoms(seen: Seen) -> list[Symptom]:
    """What is not as it should be with the machines that were read."""
    return [one for node in seen.kind("Node") for one in _of_node(seen, node)] + list(_gone(seen))


def _of_node(seen: Seen, node: Object) -> Iterator[Symptom]:
    subject, name = seen.subject_of("Node", node), mended(name_of(node))
    ready, network = condition(node, "Ready"), condition(node, "NetworkUnavailable")
    pods = sum(at(pod, "spec", "nodeName") == name_of(node) for pod in seen.kind("Pod"))
    carries = f"; {pods} of the pods looked at sit on it" if pods else ""
    if ready and ready.get("status") != "True":
        words = str(ready.get("message") or ready.get("reason") or "")
        reason = "kubelet"
        if ready.get("status") == "False":
            reason = "network" if _NETWORK.search(words) else "runtime" if _RUNTIME.search(words) else "kubelet"
        text = f"node {name} is not ready: {mended(words, 130)}{carries}"
        yield Symptom(subject, "node_down", fit(text), HURTS, reason, seconds(moment(ready, "lastTransitionTime")))
    elif network.get("status") == "True":
        text = f"node {name} has no network: {mended(network.get('message'), 130)}{carries}"
        yield Symptom(subject, "node_down", fit(text), HURTS, "network", seconds(moment(network, "lastTransitionTime")))
    for kind, reason in _PRESSURE.items():
        told = condition(node, kind)
        if told.get("status") == "True":
            text = f"node {name} is short of {reason}: {mended(told.get('message') or kind, 130)}"
            yield Symptom(
                subject, "node_pressure", fit(text), HURTS, reason, seconds(moment(told, "lastTransitionTime"))
            )
    if at(node, "spec", "unschedulable"):
        taints = dicts(at(node, "spec", "taints"))
        when = next(
            (moment(one, "timeAdded") for one in taints if one.get("key") == "node.kubernetes.io/unschedulable"), None
        )
        ago = f" since {span((seen.now - when).total_seconds())}" if when else ""
        yield Symptom(
            subject, "node_cordoned", f"node {name} is cordoned{ago}: it takes no new pods", WARNS, "", seconds(when)
        )


def _gone(seen: Seen) -> Iterator[Symptom]:
    """Machines that pods sit on and that no longer exist."""
    if not seen.knows("Node", ""):
        return
    names = {str(at(pod, "spec", "nodeName") or "") for pod in seen.kind("Pod") if not _has_ended(pod)} - {""}
    for name in sorted(names):
        if seen.find("Node", "", name) is None:
            pods = sum(at(pod, "spec", "nodeName") == name for pod in seen.kind("Pod"))
            text = f"node {mended(name)} no longer exists; {pods} pods are still said to sit on it"
            yield Symptom(seen.subject("Node", "", name), "node_down", text, HURTS, "gone")


def _has_ended(pod: Object) -> bool:
    return at(pod, "status", "phase") in ("Succeeded", "Failed")


def control_plane(seen: Seen, loads: Sequence[Load], of_loads: Sequence[Symptom]) -> list[Symptom]:
    """What of the cluster's own parts does not run, where those were read; by their pods, and by their leases."""
    found: dict[str, Symptom] = {}
    hurt = {one.subject: one for one in of_loads if one.severity == HURTS and one.kind != "changed"}
    for load in loads:
        part = _part_of(load)
        if part and (one := hurt.get(load.subject)):
            text = f"{part} of the cluster: {mended(load.subject.name)}: {one.text}"
            found.setdefault(part, _of_cluster(seen, part, text, one))
    for lease in seen.kind("Lease", "kube-system"):
        part, renewed = _LEASES.get(name_of(lease), ""), moment(lease, "spec", "renewTime")
        if part and renewed and (late := (seen.now - renewed).total_seconds()) > _STALE_S:
            text = f"{name_of(lease)} has not renewed its lease for {span(late)}: nobody does its work"
            subject = seen.subject("Cluster", "", "")
            found.setdefault(part, Symptom(subject, "control_plane", text, HURTS, part, seconds(renewed)))
    return list(found.values())


def _of_cluster(seen: Seen, part: str, text: str, one: Symptom) -> Symptom:
    return Symptom(seen.subject("Cluster", "", ""), "control_plane", fit(text), HURTS, part, one.since, one.subject)


def _part_of(load: Load) -> str:
    if load.subject.namespace not in ("kube-system", "openshift-dns") or not load.pods:
        return ""
    labels = {**labels_of(load.template), **labels_of(load.pods[0])}
    named = {labels.get("component", ""), labels.get("k8s-app", ""), load.subject.name}
    return next((part for part, pattern in _PARTS.items() if any(pattern.match(name) for name in named)), "")


def namespaces_stuck(seen: Seen) -> list[Symptom]:
    """Namespaces and claims that should be gone and are not, with who holds them."""
    found = []
    for kind in ("Namespace", "PersistentVolumeClaim"):
        for one in seen.kind(kind):
            due = moment(one, "metadata", "deletionTimestamp")
            if due is None or (late := (seen.now - due).total_seconds()) < 60:
                continue
            holding = [str(each) for each in (*texts(one, "metadata", "finalizers"), *_remaining(one))]
            if kind == "PersistentVolumeClaim" and _is_mounted(seen, one):
                holding = ["pods that still mount it"]
            words = f": held by {mended(', '.join(holding), 140)}" if holding else ""
            text = f"{kind} {mended(name_of(one))} is being deleted for {span(late)}{words}"
            found.append(
                Symptom(seen.subject_of(kind, one), "stuck_deleting", fit(text), WARNS, "finalizer", seconds(due))
            )
    return found


def _remaining(namespace: Object) -> list[str]:
    kinds = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionDiscoveryFailure")
    told = [condition(namespace, kind) for kind in kinds]
    return [str(one.get("message")) for one in told if one.get("status") == "True"]


def _is_mounted(seen: Seen, claim: Object) -> bool:
    return any(
        at(volume, "persistentVolumeClaim", "claimName") == name_of(claim)
        for pod in seen.kind("Pod", namespace_of(claim))
        for volume in dicts(at(pod, "spec", "volumes"))
    )
