"""Scheduling, images, configuration, mounts and commands: what pods say that never came to run, in real words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.kubernetes.things import (
    NOW,
    ago,
    container,
    deployment,
    ended,
    event,
    load,
    named,
    pod,
    ready_pod,
    status,
    unscheduled_pod,
)
from tools.kubernetes.symptoms.scheduling import obstacles
from tools.kubernetes.symptoms.workloads import workload_symptoms
from tools.symptoms import Symptom

PREEMPTION = " preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
SELECTOR = {"nodeSelector": {"disktype": "nvme"}}
AFFINITY = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["eu-1c"]}
                        ]
                    }
                ]
            }
        }
    }
}
CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "ledger-data"}}]}

SCHEDULER = [
    # 1.20 and earlier
    ("0/4 nodes are available: 4 node(s) didn't match node selector.", SELECTOR, "node_selector"),
    ("0/3 nodes are available: 3 Insufficient cpu.", {}, "cpu"),
    (
        "0/4 nodes are available: 1 node(s) had taint {dedicated: gpu}, that the pod didn't tolerate, 3 Insufficient memory.",
        {},
        "memory",
    ),
    ("0/2 nodes are available: 2 node(s) had taint {team: data}, that the pod didn't tolerate.", {}, "taint"),
    (
        "0/3 nodes are available: 3 node(s) didn't match pod affinity/anti-affinity, 3 node(s) didn't match pod anti-affinity rules.",
        {},
        "pod_anti_affinity",
    ),
    ('persistentvolumeclaim "ledger-data" not found', CLAIM, "claim_missing"),
    # 1.21 to 1.33
    (
        "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector." + PREEMPTION,
        SELECTOR,
        "node_selector",
    ),
    (
        "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector." + PREEMPTION,
        AFFINITY,
        "node_affinity",
    ),
    (
        "0/4 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 3 Insufficient cpu."
        + PREEMPTION,
        {},
        "cpu",
    ),
    ("0/4 nodes are available: 4 node(s) had untolerated taint {workload: batch}." + PREEMPTION, {}, "taint"),
    (
        "0/2 nodes are available: 2 node(s) were unschedulable. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
        {},
        "cordoned",
    ),
    ("0/2 nodes are available: 2 node(s) had untolerated taint {node.kubernetes.io/unschedulable: }.", {}, "cordoned"),
    ("0/3 nodes are available: 3 node(s) didn't match pod affinity rules." + PREEMPTION, {}, "pod_affinity"),
    ("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules." + PREEMPTION, {}, "pod_anti_affinity"),
    ("0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.", {}, "pod_anti_affinity"),
    (
        "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label).",
        {},
        "topology",
    ),
    ("0/8 nodes are available: 8 Insufficient nvidia.com/gpu." + PREEMPTION, {}, "resource"),
    ("0/2 nodes are available: 2 Insufficient ephemeral-storage.", {}, "resource"),
    (
        "0/2 nodes are available: 2 Too many pods. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
        {},
        "pods_limit",
    ),
    ("0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.", {}, "host_port"),
    (
        "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling..",
        CLAIM,
        "claim_unbound",
    ),
    ("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.", CLAIM, "claim_unbound"),
    (
        '0/3 nodes are available: persistentvolumeclaim "ledger-data" not found. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.',
        CLAIM,
        "claim_missing",
    ),
    (
        "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/master: }, 2 node(s) had volume node affinity conflict.",
        CLAIM,
        "volume_node",
    ),
    ("no nodes available to schedule pods", {}, "no_nodes"),
    (
        'running PreBind plugin "VolumeBinding": binding volumes: timed out waiting for the condition',
        CLAIM,
        "claim_unbound",
    ),
]


def only(*objects: Any, listed: Any = ()) -> Symptom:
    found = workload_symptoms(load(*objects, listed=listed))
    assert len(found) == 1, [one.text for one in found]
    assert len(found[0].text) <= 240
    return found[0]


@pytest.mark.parametrize(("message", "spec", "reason"), SCHEDULER)
def test_the_schedulers_sentence_tells_the_reason(message: str, spec: dict[str, Any], reason: str) -> None:
    found = only(deployment(), unscheduled_pod(message, spec=spec))
    assert (found.subject.kind, found.subject.namespace, found.subject.name) == ("Deployment", "payments", "ledger")
    assert (found.kind, found.reason) == ("unschedulable", reason)
    assert found.since == (NOW.timestamp() - 400, NOW.timestamp() - 400)


def test_a_sentence_is_read_at_once_and_has_the_numbers() -> None:
    message = (
        "0/4 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, 3 Insufficient cpu." + PREEMPTION
    )
    asked = container(resources={"requests": {"cpu": "6"}})
    pods = [unscheduled_pod(message, name=f"ledger-6d4cf56db6-{n}2p4x", containers=[asked]) for n in "bcd"]
    found = only(deployment(replicas=3), *pods)
    assert found.text == (
        "3 of 3 pods cannot be scheduled: 4 nodes, none fits: 3 have too little cpu (a pod asks for 6), 1 has taint dedicated=gpu"
    )
    assert found.labels["also"] == "taint: 1"


def test_a_selector_that_no_node_has_is_told_with_its_labels() -> None:
    message = "0/5 nodes are available: 5 node(s) didn't match Pod's node affinity/selector."
    assert "5 do not have disktype=nvme" in only(deployment(), unscheduled_pod(message, spec=SELECTOR)).text
    assert "topology.kubernetes.io/zone in (eu-1c)" in only(deployment(), unscheduled_pod(message, spec=AFFINITY)).text


def test_of_selector_and_affinity_the_one_that_no_node_satisfies_is_told() -> None:
    node = named("Node", "worker-1", "", labels={"disktype": "nvme"})
    message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    both = unscheduled_pod(message, spec={**SELECTOR, **AFFINITY})
    assert only(deployment(), both, node).reason == "node_affinity"
    other = named("Node", "worker-1", "", labels={"disktype": "sata"})
    assert only(deployment(), both, other).reason == "node_selector"


def test_a_claim_that_is_waited_for_is_accused() -> None:
    claim = named("PersistentVolumeClaim", "ledger-data", status={"phase": "Pending"})
    bound = named("PersistentVolumeClaim", "cache", status={"phase": "Bound"})
    volumes = [{"name": "c", "persistentVolumeClaim": {"claimName": "cache"}}, *CLAIM["volumes"]]
    message = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    found = only(deployment(), unscheduled_pod(message, spec={"volumes": volumes}), claim, bound)
    assert found.accuses is not None
    assert (found.accuses.kind, found.accuses.name) == ("PersistentVolumeClaim", "ledger-data")


def test_a_pod_that_was_just_made_is_given_time() -> None:
    fresh = pod(node="", age=5, conditions=[])
    assert workload_symptoms(load(deployment(), fresh)) == []


def test_a_pod_that_no_scheduler_looks_at_is_told() -> None:
    silent = pod(node="", age=300, conditions=[], spec={"schedulerName": "gang-scheduler"})
    found = only(deployment(), silent)
    assert (found.kind, found.reason) == ("unschedulable", "scheduler")
    assert "gang-scheduler" in found.text


def test_a_pod_behind_a_scheduling_gate_is_told() -> None:
    told = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }
    held = pod(node="", conditions=[told], spec={"schedulingGates": [{"name": "quota.acme.io/admission"}]})
    found = only(deployment(), held)
    assert found.reason == "gated"
    assert "quota.acme.io/admission" in found.text


def test_a_pod_that_its_node_sent_back_is_unschedulable() -> None:
    words = "Pod was rejected: Node didn't have enough resource: cpu, requested: 4000, used: 7900, capacity: 8000"
    back = pod(phase="Failed", reason="OutOfcpu", message=words)
    found = only(deployment(), back)
    assert (found.kind, found.reason, found.labels["node"]) == ("unschedulable", "cpu", "worker-3")


def test_an_old_event_of_scheduling_says_nothing_of_a_pod_that_runs() -> None:
    well = ready_pod()
    old = event(well, "FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", at=900)
    assert workload_symptoms(load(deployment(), well, old)) == []


def test_the_number_of_nodes_is_read_with_what_stands_against_them() -> None:
    nodes, found = obstacles(
        "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint {a: b}, 5 Too many pods."
    )
    assert nodes == 5
    assert [(one.nodes, one.reason) for one in found] == [(2, "cpu"), (3, "taint"), (5, "pods_limit")]


# -- images -----------------------------------------------------------------------------------------------------------

IMAGE = "registry.acme.io/payments/ledger:2.4.1"
PULLS = [
    # containerd
    (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": {IMAGE}: not found',
        "tag_unknown",
    ),
    (
        f'rpc error: code = Unknown desc = failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
        "name",
    ),
    (
        f'failed to pull and unpack image "{IMAGE}": failed to resolve reference "{IMAGE}": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://registry.acme.io/token: 401 Unauthorized',
        "credentials",
    ),
    (
        f'failed to resolve reference "{IMAGE}": unexpected status from HEAD request to https://registry.acme.io/v2/payments/ledger/manifests/2.4.1: 403 Forbidden',
        "credentials",
    ),
    (
        f'failed to resolve reference "{IMAGE}": failed to do request: Head "https://registry.acme.io/v2/payments/ledger/manifests/2.4.1": dial tcp: lookup registry.acme.io on 10.96.0.10:53: no such host',
        "registry_dns",
    ),
    (
        f'failed to resolve reference "{IMAGE}": failed to do request: Head "https://registry.acme.io/v2/payments/ledger/manifests/2.4.1": dial tcp 10.20.0.5:443: i/o timeout',
        "registry_unreachable",
    ),
    (
        f'failed to resolve reference "{IMAGE}": failed to do request: Head "https://registry.acme.io/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority',
        "registry_unreachable",
    ),
    (
        f'failed to pull and unpack image "{IMAGE}": failed to copy: httpReadSeeker: failed open: unexpected status code https://registry.acme.io/v2/: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.',
        "rate_limited",
    ),
    (f'failed to pull and unpack image "{IMAGE}": no match for platform in manifest: not found', "platform"),
    # docker
    (
        f"rpc error: code = Unknown desc = Error response from daemon: manifest for {IMAGE} not found: manifest unknown: manifest unknown",
        "tag_unknown",
    ),
    (
        f"Error response from daemon: pull access denied for {IMAGE}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        "name",
    ),
    ("Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries", "platform"),
    ('Error response from daemon: Get "https://registry.acme.io/v2/": no basic auth credentials', "credentials"),
    # CRI-O
    ("reading manifest 2.4.1 in registry.acme.io/payments/ledger: manifest unknown", "tag_unknown"),
    (
        "reading manifest 2.4.1 in registry.acme.io/payments/ledger: name unknown: repository name not known to registry",
        "name",
    ),
    (
        "initializing source docker://registry.acme.io/payments/ledger:2.4.1: reading manifest 2.4.1: requested access to the resource is denied",
        "credentials",
    ),
    (
        'pinging container registry registry.acme.io: Get "https://registry.acme.io/v2/": dial tcp 10.20.0.5:443: connect: connection refused',
        "registry_unreachable",
    ),
    (
        'choosing image instance: no image found in manifest list for architecture arm64, variant "v8", OS linux',
        "platform",
    ),
    # ECR
    ("The repository with name 'payments/ledger' does not exist in the registry with id '123456789012'", "name"),
]


@pytest.mark.parametrize(("message", "reason"), PULLS)
def test_why_an_image_cannot_be_pulled(message: str, reason: str) -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ErrImagePull", message))])
    found = only(deployment(), ill)
    assert (found.kind, found.reason, found.labels["image"]) == ("image_pull", reason, IMAGE)
    assert found.text.startswith(f"1 of 1 pods cannot pull image {IMAGE}")


@pytest.mark.parametrize(
    ("state", "reason"), [("InvalidImageName", "invalid_name"), ("ErrImageNeverPull", "never_pull")]
)
def test_kubelets_own_words_about_images(state: str, reason: str) -> None:
    words = {
        "InvalidImageName": 'Failed to apply default image tag "Ledger:2": couldn\'t parse image name "Ledger:2": invalid reference format: repository name must be lowercase',
        "ErrImageNeverPull": f'Container image "{IMAGE}" is not present with pull policy of Never',
    }
    ill = pod(phase="Pending", statuses=[status(waiting=(state, words[state]))])
    assert only(deployment(), ill).reason == reason


def test_in_back_off_the_event_says_why() -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'))])
    why = event(
        ill,
        "Failed",
        f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = {IMAGE}: not found',
        container="ledger",
    )
    assert only(deployment(), ill, why).reason == "tag_unknown"
    assert only(deployment(), ill).reason == "other"


def test_an_event_about_an_image_that_the_container_no_longer_has_says_nothing() -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"'))])
    old = event(
        ill,
        "Failed",
        'Failed to pull image "registry.acme.io/payments/ledger:1.0": toomanyrequests',
        container="ledger",
    )
    assert only(deployment(), ill, old).reason == "other"


def test_words_of_an_images_name_are_no_words_of_the_registry() -> None:
    image = "registry.acme.io/denied/denied:429"
    ill = pod(
        phase="Pending",
        containers=[container(image=image)],
        statuses=[status(waiting=("ImagePullBackOff", f'Back-off pulling image "{image}"'))],
    )
    assert only(deployment(), ill).reason == "other"


def test_a_pod_with_credentials_that_is_not_let_in_has_wrong_ones() -> None:
    message = (
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope"
    )
    ill = pod(
        phase="Pending",
        statuses=[status(waiting=("ErrImagePull", message))],
        spec={"imagePullSecrets": [{"name": "regcred"}]},
    )
    assert only(deployment(), ill).reason == "credentials"


# -- configuration ----------------------------------------------------------------------------------------------------

CONFIGS = [
    ('secret "ledger-db" not found', "secret", "Secret", "ledger-db"),
    ('configmap "ledger-settings" not found', "configmap", "ConfigMap", "ledger-settings"),
    ("couldn't find key DB_PASSWORD in Secret payments/ledger-db", "secret_key", "Secret", "ledger-db"),
    (
        "couldn't find key log.level in ConfigMap payments/ledger-settings",
        "configmap_key",
        "ConfigMap",
        "ledger-settings",
    ),
]


@pytest.mark.parametrize(("message", "reason", "kind", "name"), CONFIGS)
def test_configuration_that_is_not_there_is_accused(message: str, reason: str, kind: str, name: str) -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("CreateContainerConfigError", message))])
    found = only(deployment(), ill)
    assert (found.kind, found.reason) == ("config_missing", reason)
    assert found.accuses is not None
    assert (found.accuses.kind, found.accuses.namespace, found.accuses.name) == (kind, "payments", name)


# -- starts -----------------------------------------------------------------------------------------------------------

RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
STARTS = [
    (
        "RunContainerError",
        RUNC + 'exec: "/opt/ledger/run": stat /opt/ledger/run: no such file or directory: unknown',
        "start_failed",
        "command_not_found",
    ),
    (
        "RunContainerError",
        RUNC + 'error during container init: exec: "ledgerd": executable file not found in $PATH: unknown',
        "start_failed",
        "command_not_found",
    ),
    (
        "RunContainerError",
        RUNC + 'exec: "/opt/ledger/run.sh": permission denied: unknown',
        "start_failed",
        "permission",
    ),
    (
        "RunContainerError",
        RUNC + 'chdir to cwd ("/srv/app") set in config.json failed: no such file or directory: unknown',
        "start_failed",
        "working_dir",
    ),
    (
        "CreateContainerError",
        "container create failed: executable file `ledgerd` not found in $PATH: No such file or directory",
        "start_failed",
        "command_not_found",
    ),
    (
        "CreateContainerError",
        'failed to generate container "4f" spec: failed to generate spec: no command specified',
        "start_failed",
        "command_not_found",
    ),
    (
        "CreateContainerConfigError",
        'container has runAsNonRoot and image will run as root (pod: "ledger_payments", container: ledger)',
        "start_failed",
        "permission",
    ),
    ("CreateContainerError", "context deadline exceeded", "start_failed", "runtime"),
    (
        "RunContainerError",
        RUNC
        + 'error during container init: error mounting "/var/lib/kubelet/pods/a/volumes/x" to rootfs at "/etc/ledger.conf": not a directory: unknown',
        "mount_failed",
        "path",
    ),
    (
        "CreateContainerConfigError",
        'failed to prepare subPath for volumeMount "settings" of container "ledger"',
        "mount_failed",
        "path",
    ),
]


@pytest.mark.parametrize(("state", "message", "kind", "reason"), STARTS)
def test_why_a_container_does_not_start(state: str, message: str, kind: str, reason: str) -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=(state, message))])
    found = only(deployment(), ill)
    assert (found.kind, found.reason) == (kind, reason)


def test_a_command_that_cannot_be_run_is_no_exit_though_it_is_tried_again() -> None:
    words = RUNC + 'exec: "ledgerd": executable file not found in $PATH: unknown'
    last = ended(128, "StartError", message=words)
    ill = pod(
        statuses=[
            status(restarts=4, waiting=("CrashLoopBackOff", "back-off 1m20s restarting failed container"), last=last)
        ]
    )
    found = only(deployment(), ill)
    assert (found.kind, found.reason, found.labels["exit_code"]) == ("start_failed", "command_not_found", "128")
    assert "executable file not found in $PATH" in found.text


def test_a_sandbox_without_a_network_is_told_by_its_event() -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ContainerCreating", ""))])
    words = 'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "5c": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory'
    found = only(deployment(), ill, event(ill, "FailedCreatePodSandBox", words))
    assert (found.kind, found.reason) == ("start_failed", "sandbox")
    assert 'plugin type="calico"' in found.text


# -- mounts -----------------------------------------------------------------------------------------------------------

MOUNTS = [
    ("FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "ledger-tls" not found', "secret", "Secret"),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "cfg" : configmap "ledger-settings" not found',
        "configmap",
        "ConfigMap",
    ),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.crt',
        "secret",
        "",
    ),
    (
        "FailedAttachVolume",
        'Multi-Attach error for volume "pvc-9a" Volume is already exclusively attached to one node and can\'t be attached to another',
        "multi_attach",
        "",
    ),
    (
        "FailedAttachVolume",
        'Multi-Attach error for volume "pvc-9a" Volume is already used by pod(s) ledger-6d4cf56db6-kkkkk',
        "multi_attach",
        "",
    ),
    (
        "FailedAttachVolume",
        'AttachVolume.Attach failed for volume "pvc-9a" : rpc error: code = Internal desc = Could not attach volume "vol-0a" to node "i-0b"',
        "attach",
        "",
    ),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "pv01" : mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs 10.0.8.2:/export /var/lib/kubelet/x\nOutput: mount.nfs: access denied by server while mounting 10.0.8.2:/export',
        "nfs",
        "",
    ),
    (
        "FailedMount",
        "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data kube-api-access-x]: timed out waiting for the condition",
        "timeout",
        "",
    ),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "host" : hostPath type check failed: /data/models is not a directory',
        "path",
        "",
    ),
    (
        "FailedMount",
        'MountVolume.SetUp failed for volume "data" : mkdir /var/lib/kubelet/x: permission denied',
        "permission",
        "",
    ),
]


@pytest.mark.parametrize(("reason_of_event", "message", "reason", "accused"), MOUNTS)
def test_why_a_volume_is_not_mounted(reason_of_event: str, message: str, reason: str, accused: str) -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ContainerCreating", ""))])
    found = only(deployment(), ill, event(ill, reason_of_event, message))
    assert (found.kind, found.reason) == ("mount_failed", reason)
    assert (found.accuses.kind if found.accuses else "") == accused


def test_a_mount_that_failed_at_first_says_nothing_of_a_pod_that_runs() -> None:
    well = ready_pod()
    old = event(well, "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "ledger-tls" not found')
    assert workload_symptoms(load(deployment(), well, old)) == []


def test_a_secret_that_is_there_by_now_is_accused_no_more() -> None:
    ill = pod(phase="Pending", age=200, statuses=[status(waiting=("ContainerCreating", ""))])
    old = event(ill, "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "ledger-tls" not found')
    found = workload_symptoms(load(deployment(), ill, old, named("Secret", "ledger-tls")))
    assert [one.kind for one in found] == ["unready"]


def test_a_secret_that_is_mounted_and_not_there_is_seen_without_an_event() -> None:
    volumes = {"volumes": [{"name": "tls", "secret": {"secretName": "ledger-tls"}}]}
    ill = pod(phase="Pending", spec=volumes, statuses=[status(waiting=("ContainerCreating", ""))])
    found = only(deployment(), ill, listed=["Secret"])
    assert (found.kind, found.reason) == ("mount_failed", "secret")
    assert found.accuses is not None
    assert found.accuses.name == "ledger-tls"
    assert [one.kind for one in workload_symptoms(load(deployment(), ill))] == ["unready"], "Secrets were not read"


def test_a_pod_whose_image_is_being_pulled_is_not_said_to_fail() -> None:
    slow = pod(phase="Pending", age=20, statuses=[status(waiting=("ContainerCreating", ""))])
    assert workload_symptoms(load(deployment(status={"readyReplicas": 0}), slow)) == []


def test_a_time_is_an_interval_in_unix_seconds() -> None:
    ill = pod(phase="Pending", age=600, statuses=[status(waiting=("ErrImagePull", "manifest unknown"))])
    assert only(deployment(), ill).since == (NOW.timestamp() - 600, NOW.timestamp() - 600)
    assert ago(0) == "2026-11-30T14:00:00Z"
