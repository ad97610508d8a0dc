"""An API server may leave out or misspell anything: a symptom may be missed by that, and nothing may break."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.kubernetes.things import (
    HASH,
    ago,
    container,
    deployment,
    ended,
    event,
    named,
    pod,
    seen,
    status,
    unscheduled_pod,
)
from tools.kubernetes import client
from tools.kubernetes.concerned import concerning
from tools.kubernetes.configuration import configuration
from tools.kubernetes.pod_logs import ill_containers
from tools.kubernetes.symptoms.every import symptoms_in
from tools.kubernetes.symptoms.objects import loads_of

CONTAINER = container(
    ports=[{"containerPort": 8080, "name": "http"}],
    env=[
        {"name": "RATES_URL", "value": "http://rates:80"},
        {"name": "P", "valueFrom": {"secretKeyRef": {"name": "s"}}},
    ],
    envFrom=[{"configMapRef": {"name": "settings"}}],
    readinessProbe={"httpGet": {"path": "/", "port": 8080}},
    livenessProbe={"tcpSocket": {"port": "http"}},
    resources={"limits": {"memory": "1Gi"}, "requests": {"cpu": "2"}},
)
ILL = pod(
    containers=[CONTAINER],
    init_containers=[container("migrate")],
    init_statuses=[status("migrate", ended=ended(0, "Completed"))],
    statuses=[status(restarts=3, running=20, last=ended(137, "OOMKilled"))],
    spec={
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "readinessGates": [{"conditionType": "x"}],
    },
)
NEW = {"deployment.kubernetes.io/revision": "2"}
OBJECTS: tuple[Any, ...] = (
    deployment(
        containers=[CONTAINER],
        annotations=NEW,
        status={"readyReplicas": 0, "conditions": [{"type": "Available", "status": "False"}]},
        managedFields=[
            {"manager": "kubectl", "subresource": "scale", "time": ago(9), "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        ],
    ),
    named(
        "ReplicaSet",
        f"ledger-{HASH}",
        owner="Deployment/ledger",
        annotations=NEW,
        spec={"replicas": 2, "template": {"spec": {"containers": [CONTAINER]}}},
        status={
            "replicas": 1,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}],
        },
    ),
    ILL,
    unscheduled_pod(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {a: b}.",
        name=f"ledger-{HASH}-bbbbb",
    ),
    event(ILL, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=5, container="ledger"),
    event(ILL, "Killing", "Container ledger failed liveness probe, will be restarted", at=45),
    named("Service", "ledger", spec={"selector": {"app": "ledger"}, "ports": [{"port": 80, "targetPort": "http"}]}),
    named(
        "Ingress",
        "front",
        spec={
            "ingressClassName": "x",
            "tls": [{"secretName": "t"}],
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "ledger", "port": {"number": 80}}}}]}}],
        },
    ),
    named(
        "NetworkPolicy",
        "guard",
        spec={
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["ledger"]}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 80}]}],
        },
    ),
    named(
        "PersistentVolumeClaim",
        "data",
        spec={
            "storageClassName": "fast",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
        status={"phase": "Pending"},
    ),
    named(
        "PersistentVolume",
        "pv",
        "",
        spec={"storageClassName": "fast", "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteMany"]},
    ),
    named(
        "HorizontalPodAutoscaler",
        "ledger",
        spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "ledger"}},
        status={
            "currentReplicas": 3,
            "conditions": [{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}],
        },
    ),
    named("ResourceQuota", "q", status={"hard": {"pods": "1"}, "used": {"pods": "1"}}),
    named(
        "Node",
        "worker-3",
        "",
        spec={"unschedulable": True, "taints": [{"key": "x"}]},
        status={"conditions": [{"type": "Ready", "status": "Unknown", "message": "m"}]},
    ),
    named("CronJob", "export", spec={"schedule": "*/5 * * * *"}, status={"lastScheduleTime": ago(9000)}),
    named(
        "Job",
        "export-29395440",
        owner="CronJob/export",
        spec={"backoffLimit": 1},
        status={"failed": 2, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
    ),
)


def places(one: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
        yield (*path, key)
        yield from places(one[key], (*path, key))


def with_instead(one: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(one)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return changed


@pytest.mark.parametrize("n", range(len(OBJECTS)), ids=lambda n: str(OBJECTS[n].get("kind", "Event")))
def test_whatever_stands_in_a_field_nothing_breaks(n: int) -> None:
    tried = 0
    for path in places(OBJECTS[n]):
        if path in (("kind",), ("involvedObject",)) or (path[0] == "metadata" and len(path) == 1):
            continue
        for value in (None, {}, [], "", 7):
            try:
                odd = client._shaped(with_instead(OBJECTS[n], path, value))
            except client._Misshapen:
                continue  # refused at the door
            here = seen(*OBJECTS[:n], odd, *OBJECTS[n + 1 :])
            loads = loads_of(here)
            found = symptoms_in(here, loads)
            subject = here.subject("Deployment", "payments", "ledger")
            concerning(here, loads, [subject], [], found)
            configuration(here, loads, subject)
            assert all(len(one.text) <= 240 for one in found)
            assert all(isinstance(ill_containers(load, [ILL["metadata"]["name"]]), list) for load in loads)
            tried += 1
    assert tried > 20
