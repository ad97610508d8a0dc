"""The lab's workloads in Kubernetes' own words: what the API would show of one Deployment of the world. All is pure."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.lab.ports import ClusterEvent, ClusterWorld, Deployment, Pod, Revision

Document = dict[str, Any]

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"
HASH = "pod-template-hash"
EXIT_CODES = {"OOMKilled": 137, "Completed": 0}


def stamp(ms: int) -> str:
    """Milliseconds as Kubernetes writes times: whole seconds, UTC."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def template_hash(revision: Revision) -> str:
    """The same for revisions with the same pod template, so that a roll-back finds its old ReplicaSet again."""
    body = json.dumps([revision.image, dict(revision.annotations), dict(revision.env)], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:10]


def _labels(d: Deployment) -> dict[str, str]:
    return {"app": d.name, **d.labels}


def _cores(cores: float) -> str:
    """As the API server writes it, whatever was sent: `500m`, `2`. Clients that send a template back write it so."""
    thousandths = round(cores * 1000)
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def _bytes(size: int) -> str:
    for power, unit in ((30, "Gi"), (20, "Mi"), (10, "Ki")):
        if size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)


def template(d: Deployment, revision: Revision) -> Document:
    """The pod template of one revision, without the hash label that only ReplicaSets and Pods carry."""
    metadata: Document = {"labels": _labels(d)}
    if revision.annotations:
        metadata["annotations"] = dict(revision.annotations)
    limits = {"cpu": _cores(d.cpu_limit), "memory": _bytes(d.memory_limit)}
    container: Document = {"name": d.name, "image": revision.image, "resources": {"limits": limits, "requests": limits}}
    if revision.env:
        container["env"] = [{"name": name, "value": value} for name, value in revision.env.items()]
    return {"metadata": metadata, "spec": {"containers": [container], "restartPolicy": "Always"}}


def deployment(d: Deployment) -> Document:
    current = d.revisions[-1]
    annotations = {REVISION: str(current.number), **({CAUSE: current.change_cause} if current.change_cause else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": d.name,
            "namespace": d.namespace,
            "uid": uid("deployment", d.namespace, d.name),
            "resourceVersion": str(d.resource_version),
            "generation": d.generation,
            "creationTimestamp": stamp(d.revisions[0].at_ms),
            "labels": _labels(d),
            "annotations": {**annotations, **d.annotations},
        },
        "spec": {
            "replicas": d.replicas,
            "selector": {"matchLabels": {"app": d.name}},
            "template": template(d, current),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
        "status": _status(d),
    }


def _status(d: Deployment) -> Document:
    ready = sum(pod.ready for pod in d.pods)
    updated = sum(owner(d, pod) is d.revisions[-1] for pod in d.pods)
    complete = updated == len(d.pods) == d.replicas and ready >= d.replicas
    enough = ready >= d.replicas - max(d.replicas // 4, 0)
    since = stamp(d.revisions[-1].at_ms)
    conditions = [
        _condition("Available", enough, "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable", since),
        _condition("Progressing", True, "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated", since),
    ]
    counts = {
        "replicas": len(d.pods),
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(d.replicas - ready, 0),
    }
    return {
        "observedGeneration": d.generation,
        **{key: value for key, value in counts.items() if value},
        "conditions": conditions,
    }


def _condition(kind: str, holds: bool, reason: str, since: str) -> Document:
    status = "True" if holds else "False"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": reason,
        "lastUpdateTime": since,
        "lastTransitionTime": since,
    }


def owner(d: Deployment, pod: Pod) -> Revision:
    """The revision a pod was made from: the newest with its image, the current one where the world does not say."""
    return next((r for r in reversed(d.revisions) if r.image == pod.image), d.revisions[-1])


def replica_sets(d: Deployment) -> list[Document]:
    """One for each distinct template. Going back to an old template renumbers its ReplicaSet, as the real controller does."""
    by_hash: dict[str, list[Revision]] = {}
    for revision in d.revisions:
        by_hash.setdefault(template_hash(revision), []).append(revision)
    current = template_hash(d.revisions[-1])
    return [_replica_set(d, name, revisions, name == current) for name, revisions in by_hash.items()]


def _replica_set(d: Deployment, hash_: str, revisions: Sequence[Revision], current: bool) -> Document:
    newest = revisions[-1]
    pods = [pod for pod in d.pods if template_hash(owner(d, pod)) == hash_]
    annotations = {**d.annotations} if current else {}
    annotations |= {REVISION: str(newest.number), "deployment.kubernetes.io/desired-replicas": str(d.replicas)}
    if newest.change_cause:
        annotations[CAUSE] = newest.change_cause
    if len(revisions) > 1:
        annotations["deployment.kubernetes.io/revision-history"] = ",".join(str(r.number) for r in revisions[:-1])
    body = template(d, newest)
    body["metadata"]["labels"] = {**body["metadata"]["labels"], HASH: hash_}
    replicas = d.replicas if current else len(pods)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{d.name}-{hash_}",
            "namespace": d.namespace,
            "uid": uid("replicaset", d.namespace, d.name, hash_),
            "resourceVersion": str(d.resource_version),
            "generation": 1,
            "creationTimestamp": stamp(revisions[0].at_ms),
            "labels": {**_labels(d), HASH: hash_},
            "annotations": annotations,
            "ownerReferences": [_owner("Deployment", d.name, uid("deployment", d.namespace, d.name))],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": d.name, HASH: hash_}},
            "template": body,
        },
        "status": {"replicas": len(pods), "readyReplicas": sum(pod.ready for pod in pods)},
    }


def _owner(kind: str, name: str, owner_uid: str) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": owner_uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pods(d: Deployment) -> list[Document]:
    return [_pod(d, pod) for pod in d.pods]


def _pod(d: Deployment, pod: Pod) -> Document:
    revision = owner(d, pod)
    hash_ = template_hash(revision)
    body = template(d, revision)
    image = pod.image or revision.image
    body["spec"]["containers"][0]["image"] = image
    waits = bool(pod.waiting_reason)
    status: Document = {
        "name": d.name,
        "image": image,
        "imageID": f"lab/{image}",
        "ready": pod.ready,
        "started": not waits,
        "restartCount": pod.restarts,
        "lastState": {},
        "state": {"waiting": {"reason": pod.waiting_reason}}
        if waits
        else {"running": {"startedAt": stamp(pod.started_ms)}},
    }
    if pod.last_terminated_reason:
        reason, at = pod.last_terminated_reason, stamp(pod.started_ms)
        code = EXIT_CODES.get(reason, 1)
        status["lastState"] = {"terminated": {"reason": reason, "exitCode": code, "finishedAt": at}}
    ready = "True" if pod.ready else "False"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": d.namespace,
            "uid": uid("pod", d.namespace, pod.name),
            "resourceVersion": str(d.resource_version),
            "creationTimestamp": stamp(pod.started_ms),
            "labels": {**_labels(d), HASH: hash_},
            "annotations": dict(revision.annotations),
            "ownerReferences": [
                _owner("ReplicaSet", f"{d.name}-{hash_}", uid("replicaset", d.namespace, d.name, hash_))
            ],
        },
        "spec": {**body["spec"], "nodeName": pod.node},
        "status": {
            "phase": "Pending" if waits and not pod.restarts else "Running",
            "startTime": stamp(pod.started_ms),
            "conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [status],
        },
    }


def autoscaler(d: Deployment) -> Document:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": d.autoscaled_by,
            "namespace": d.namespace,
            "uid": uid("autoscaler", d.namespace, d.autoscaled_by),
            "resourceVersion": str(d.resource_version),
            "creationTimestamp": stamp(d.revisions[0].at_ms),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": d.name},
            "minReplicas": 1,
            "maxReplicas": max(10, d.replicas),
        },
        "status": {"currentReplicas": len(d.pods), "desiredReplicas": d.replicas},
    }


def service(d: Deployment) -> Document:
    """The Service before a Deployment's pods; it bears the name by which others call them."""
    name = d.labels.get("service", d.name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": d.namespace,
            "uid": uid("service", d.namespace, name),
            "resourceVersion": "1",
            "creationTimestamp": stamp(d.revisions[0].at_ms),
        },
        "spec": {"type": "ClusterIP", "selector": {"app": d.name}, "ports": [{"name": "http", "port": 8080}]},
    }


def node(name: str, since_ms: int) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": uid("node", name),
            "resourceVersion": "1",
            "creationTimestamp": stamp(since_ms),
            "labels": {"kubernetes.io/hostname": name},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def event(e: ClusterEvent, n: int) -> Document:
    name = f"{e.name}.{e.at_ms:x}{n:x}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": name,
            "namespace": e.namespace,
            "uid": uid("event", e.namespace, name),
            "resourceVersion": str(n + 1),
            "creationTimestamp": stamp(e.at_ms),
        },
        "involvedObject": {"kind": e.kind, "namespace": e.namespace, "name": e.name},
        "reason": e.reason,
        "message": e.message,
        "type": e.type,
        "count": e.count,
        "firstTimestamp": stamp(e.at_ms),
        "lastTimestamp": stamp(e.at_ms),
        "source": {"component": "lab"},
    }


def namespace(name: str, since_ms: int) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uid("namespace", name),
            "resourceVersion": "1",
            "creationTimestamp": stamp(since_ms),
            "labels": {"kubernetes.io/metadata.name": name},
        },
        "status": {"phase": "Active"},
    }


def scale(d: Deployment) -> Document:
    """The `/scale` subresource."""
    body = deployment(d)
    metadata = {
        key: body["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": d.replicas},
        "status": {"replicas": len(d.pods), "selector": f"app={d.name}"},
    }


def listed(world: ClusterWorld, plural: str) -> list[Document]:
    """Every object of one kind in the cluster, by namespace and name."""
    deployments: Mapping[str, Any] = {
        "deployments": lambda d: [deployment(d)],
        "replicasets": replica_sets,
        "pods": pods,
        "services": lambda d: [service(d)],
        "horizontalpodautoscalers": lambda d: [autoscaler(d)] if d.autoscaled_by else [],
    }
    found: list[Document] = []
    if plural in deployments:
        found = [one for d in world.deployments() for one in deployments[plural](d)]
    elif plural == "events":
        return [event(e, n) for n, e in enumerate(world.events())]
    elif plural in ("namespaces", "nodes"):
        first = min((d.revisions[0].at_ms for d in world.deployments()), default=world.now_ms())
        if plural == "nodes":
            return [node(name, first) for name in sorted({pod.node for d in world.deployments() for pod in d.pods})]
        found = [namespace(name, first) for name in {d.namespace for d in world.deployments()}]
    return sorted(found, key=lambda one: (one["metadata"].get("namespace", ""), one["metadata"]["name"]))
