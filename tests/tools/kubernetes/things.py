"""Objects as the API gives them, in few words: times are seconds before NOW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.kubernetes.symptoms.objects import Load, Seen, loads_of

Document = dict[str, Any]
NOW = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
HASH = "6d4cf56db6"


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def named(kind: str, name: str, namespace: str = "payments", age: float = 3600, **more: Any) -> Document:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": ago(age)}
    if owner := more.pop("owner", None):
        owner_kind, _, owner_name = owner.partition("/")
        metadata["ownerReferences"] = [{"kind": owner_kind, "name": owner_name, "controller": True}]
    for key in ("labels", "annotations", "deletionTimestamp", "finalizers", "managedFields", "uid", "generation"):
        if key in more:
            metadata[key] = more.pop(key)
    if not namespace:
        del metadata["namespace"]
    return {"kind": kind, "metadata": metadata, **more}


def container(name: str = "ledger", image: str = "registry.acme.io/payments/ledger:2.4.1", **more: Any) -> Document:
    return {"name": name, "image": image, **more}


def status(name: str = "ledger", restarts: int = 0, ready: bool = False, **states: Any) -> Document:
    """`waiting=(reason, message)`, `running=seconds ago`, `ended`/`last` = a terminated state."""
    state: Document = {}
    if "waiting" in states:
        reason, message = states["waiting"]
        state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    elif "running" in states:
        state = {"running": {"startedAt": ago(states["running"])}}
    elif "ended" in states:
        state = {"terminated": states["ended"]}
    last = {"terminated": states["last"]} if "last" in states else {}
    found = {"name": name, "ready": ready, "restartCount": restarts, "state": state, "lastState": last}
    return found | ({"started": states["started"]} if "started" in states else {})


def ended(code: int, reason: str = "Error", ran: float = 8, at: float = 40, **more: Any) -> Document:
    return {"exitCode": code, "reason": reason, "startedAt": ago(at + ran), "finishedAt": ago(at), **more}


def pod(name: str = f"ledger-{HASH}-x7x2p", **more: Any) -> Document:
    """A pod of the Deployment ledger on node worker-3; `statuses`, `init_statuses`, `conditions`, `message` are its status."""
    node = more.pop("node", "worker-3")
    conditions = more.pop("conditions", None)
    state: Document = {
        "phase": more.pop("phase", "Running" if node else "Pending"),
        "containerStatuses": more.pop("statuses", []),
        "conditions": conditions if conditions is not None else [{"type": "Ready", "status": "False"}],
    }
    if node and not any(one["type"] == "PodScheduled" for one in state["conditions"]):
        state["conditions"] = [*state["conditions"], {"type": "PodScheduled", "status": "True"}]
    if "init_statuses" in more:
        state["initContainerStatuses"] = more.pop("init_statuses")
    state |= {key: more.pop(key) for key in ("reason", "message", "startTime", "podIP") if key in more}
    spec: Document = {"containers": more.pop("containers", [container()])}
    if "init_containers" in more:
        spec["initContainers"] = more.pop("init_containers")
    spec |= more.pop("spec", {})
    if node:
        spec["nodeName"] = node
    more.setdefault("labels", {"app": "ledger", "pod-template-hash": HASH})
    more.setdefault("owner", f"ReplicaSet/ledger-{HASH}")
    return named("Pod", name, more.pop("namespace", "payments"), more.pop("age", 600), **more, spec=spec, status=state)


def ready_pod(name: str = f"ledger-{HASH}-aaaaa", **more: Any) -> Document:
    more.setdefault("statuses", [status(ready=True, running=500)])
    return pod(name, conditions=[{"type": "Ready", "status": "True"}], **more)


def unscheduled_pod(message: str, **more: Any) -> Document:
    told = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(400),
    }
    return pod(node="", conditions=[told], **more)


def deployment(name: str = "ledger", replicas: int = 1, **more: Any) -> Document:
    template = {
        "metadata": {"labels": more.pop("pod_labels", {"app": name})},
        "spec": {"containers": more.pop("containers", [container(name)]), **more.pop("pod_spec", {})},
    }
    spec = {"replicas": replicas, "template": template, **more.pop("spec", {})}
    spec.setdefault("selector", {"matchLabels": template["metadata"]["labels"]})
    return named(more.pop("kind", "Deployment"), name, more.pop("namespace", "payments"), **more, spec=spec)


def event(about: Mapping[str, Any], reason: str, message: str, at: float = 60, **more: Any) -> Document:
    metadata = about["metadata"]
    involved = {"kind": about["kind"], "name": metadata["name"], "namespace": metadata.get("namespace", "")}
    if "container" in more:
        involved["fieldPath"] = f"spec.containers{{{more.pop('container')}}}"
    return {
        "metadata": {"name": f"{metadata['name']}.17f", "namespace": metadata.get("namespace", "")},
        "involvedObject": involved,
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": ago(at + 300),
        "lastTimestamp": ago(at),
        "count": 5,
    }


def seen(*objects: Mapping[str, Any], listed: Sequence[str] = ()) -> Seen:
    """What was read: these objects, and of `listed` kinds that there are none."""
    of: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in listed}
    for one in objects:
        of.setdefault("Event" if "involvedObject" in one else one["kind"], []).append(one)
    return Seen("eu-prod", NOW, of)


def load(*objects: Mapping[str, Any], listed: Sequence[str] = ()) -> Load:
    """The first workload among these objects."""
    return loads_of(seen(*objects, listed=listed))[0]
