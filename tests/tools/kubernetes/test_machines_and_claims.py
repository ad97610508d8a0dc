"""Nodes, the control plane, things that cannot be deleted, and claims without a volume."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.kubernetes.things import NOW, ago, ended, event, named, pod, ready_pod, seen, status
from tools.kubernetes.symptoms.every import symptoms_in
from tools.kubernetes.symptoms.nodes import namespaces_stuck, node_symptoms
from tools.kubernetes.symptoms.objects import loads_of
from tools.kubernetes.symptoms.storage import claim_symptoms
from tools.symptoms import HURTS, TELLS, WARNS, Symptom


def node(*conditions: Any, name: str = "worker-3", **spec: Any) -> Any:
    return named("Node", name, "", spec=spec, status={"conditions": list(conditions)})


def told(kind: str, value: str, message: str = "", reason: str = "") -> dict[str, str]:
    return {"type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": ago(500)}


WELL = told("Ready", "True", "kubelet is posting ready status", "KubeletReady")
NODES = [
    ([told("Ready", "Unknown", "Kubelet stopped posting node status.", "NodeStatusUnknown")], "node_down", "kubelet"),
    (
        [
            told(
                "Ready",
                "False",
                "[container runtime is down, PLEG is not healthy: pleg was last seen active 3m2s ago]",
                "KubeletNotReady",
            )
        ],
        "node_down",
        "runtime",
    ),
    (
        [
            told(
                "Ready",
                "False",
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
                "KubeletNotReady",
            )
        ],
        "node_down",
        "network",
    ),
    (
        [WELL, told("NetworkUnavailable", "True", "Calico is not running on this node", "CalicoIsDown")],
        "node_down",
        "network",
    ),
    ([WELL, told("MemoryPressure", "True", "kubelet has insufficient memory available")], "node_pressure", "memory"),
    ([WELL, told("DiskPressure", "True", "kubelet has disk pressure")], "node_pressure", "disk"),
    ([WELL, told("PIDPressure", "True", "kubelet has insufficient PID available")], "node_pressure", "pids"),
]


@pytest.mark.parametrize(("conditions", "kind", "reason"), NODES)
def test_what_is_wrong_with_a_machine(conditions: Any, kind: str, reason: str) -> None:
    (one,) = node_symptoms(seen(node(*conditions)))
    assert (one.subject.kind, one.subject.namespace, one.kind, one.reason) == ("Node", "", kind, reason)
    assert one.since == (NOW.timestamp() - 500, NOW.timestamp() - 500)


def test_a_machine_that_is_well_gives_no_symptom() -> None:
    assert node_symptoms(seen(node(WELL, told("MemoryPressure", "False")), ready_pod())) == []


def test_a_cordoned_machine_warns_and_says_since_when() -> None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": ago(3600)}
    (one,) = node_symptoms(seen(node(WELL, unschedulable=True, taints=[taint])))
    assert (one.kind, one.severity, one.text) == (
        "node_cordoned",
        WARNS,
        "node worker-3 is cordoned since 1 h: it takes no new pods",
    )


def test_a_machine_that_is_gone_is_told_by_the_pods_that_sit_on_it() -> None:
    (one,) = node_symptoms(seen(node(WELL, name="worker-1"), ready_pod()))
    assert (one.subject.name, one.reason) == ("worker-3", "gone")
    assert node_symptoms(seen(ready_pod())) == [], "nodes that could not be listed are not gone"


def everything(*objects: Any) -> list[Symptom]:
    here = seen(*objects)
    return [one for one in symptoms_in(here, loads_of(here)) if one.kind == "control_plane"]


@pytest.mark.parametrize(
    ("labels", "name", "reason"),
    [
        ({"k8s-app": "kube-dns"}, "coredns-6d4cf56db6-x7x2p", "dns"),
        ({"k8s-app": "kube-proxy"}, "kube-proxy-x7x2p", "proxy"),
        ({"component": "kube-scheduler"}, "kube-scheduler-cp-1", "scheduler"),
        ({"component": "kube-apiserver"}, "kube-apiserver-cp-1", "api"),
        ({"component": "kube-controller-manager"}, "kube-controller-manager-cp-1", "controller"),
    ],
)
def test_a_part_of_the_control_plane_that_fails_is_the_clusters(labels: Any, name: str, reason: str) -> None:
    ill = pod(
        name,
        namespace="kube-system",
        labels=labels,
        owner="Node/cp-1",
        statuses=[status(restarts=9, waiting=("CrashLoopBackOff", ""), last=ended(1))],
    )
    (one,) = everything(ill)
    assert (one.subject.kind, one.subject.name, one.reason, one.severity) == ("Cluster", "", reason, HURTS)
    assert one.accuses is not None


def test_a_lease_that_nobody_renews_tells_of_a_control_plane_that_cannot_be_seen() -> None:
    lease = named("Lease", "kube-scheduler", "kube-system", spec={"renewTime": ago(300)})
    (one,) = everything(lease)
    assert (one.reason, "has not renewed its lease for 5 min" in one.text) == ("scheduler", True)
    assert everything(named("Lease", "kube-scheduler", "kube-system", spec={"renewTime": ago(3)})) == []


def test_a_namespace_that_cannot_be_deleted_says_who_holds_it() -> None:
    left = told(
        "NamespaceFinalizersRemaining",
        "True",
        "Some content in the namespace has finalizers remaining: acme.io/cleanup in 1 resource instances",
    )
    going = named("Namespace", "staging", "", deletionTimestamp=ago(7200), status={"conditions": [left]})
    (one,) = namespaces_stuck(seen(going))
    assert (one.subject.kind, one.kind, one.reason) == ("Namespace", "stuck_deleting", "finalizer")
    assert "acme.io/cleanup" in one.text


def test_a_claim_that_pods_still_mount_cannot_be_deleted() -> None:
    claim = named(
        "PersistentVolumeClaim", "data", deletionTimestamp=ago(600), finalizers=["kubernetes.io/pvc-protection"]
    )
    user = ready_pod(spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]})
    (one,) = namespaces_stuck(seen(claim, user))
    assert "held by pods that still mount it" in one.text


# -- claims -----------------------------------------------------------------------------------------------------------


def claim(state: str = "Pending", age: float = 600, **spec: Any) -> Any:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}, **spec}
    return named("PersistentVolumeClaim", "data", age=age, spec=wanted, status={"phase": state})


def volume(**spec: Any) -> Any:
    whole = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "50Gi"}, **spec}
    return named("PersistentVolume", "pv-7", "", spec=whole, status={"phase": "Available"})


def of_claim(reason: str, message: str, **spec: Any) -> list[Any]:
    return [claim(**spec), event(claim(**spec), reason, message)]


FAST = named("StorageClass", "fast", "")
CLAIMS = [
    (
        of_claim("ProvisioningFailed", 'storageclass.storage.k8s.io "ultra" not found', storageClassName="ultra"),
        "class_missing",
    ),
    ([claim(storageClassName="ultra"), FAST], "class_missing"),
    (
        of_claim("FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        "no_volume",
    ),
    ([claim(accessModes=["ReadWriteMany"]), volume()], "access_mode"),
    ([claim(), volume(capacity={"storage": "10Gi"})], "capacity"),
    ([claim(selector={"matchLabels": {"disk": "ssd"}}), volume()], "selector"),
    ([claim(volumeName="pv-7"), volume(claimRef={"namespace": "shop", "name": "orders"})], "already_bound"),
    ([claim(volumeName="pv-9"), volume()], "volume_missing"),
    ([claim(state="Lost", volumeName="pv-9")], "volume_missing"),
    (
        of_claim(
            "WaitForFirstConsumer", "waiting for first consumer to be created before binding", storageClassName="fast"
        ),
        "waits_for_consumer",
    ),
    (
        of_claim(
            "ProvisioningFailed",
            'failed to provision volume with StorageClass "fast": rpc error: code = ResourceExhausted desc = quota exceeded',
            storageClassName="fast",
        ),
        "provisioning",
    ),
    (
        of_claim(
            "ExternalProvisioning",
            "Waiting for a volume to be created either by the external provisioner 'ebs.csi.aws.com' or manually by the system administrator.",
            storageClassName="fast",
        ),
        "provisioning",
    ),
]


@pytest.mark.parametrize(("objects", "reason"), CLAIMS)
def test_why_a_claim_is_not_bound(objects: Any, reason: str) -> None:
    (one,) = claim_symptoms(seen(*objects))
    assert (one.kind, one.reason, one.subject.kind) == ("claim_pending", reason, "PersistentVolumeClaim")
    assert one.severity == (TELLS if reason == "waits_for_consumer" else HURTS)
    assert len(one.text) <= 240


def test_a_claim_that_is_bound_or_was_just_made_is_well() -> None:
    assert claim_symptoms(seen(claim("Bound"))) == []
    assert claim_symptoms(seen(claim(age=5))) == []
