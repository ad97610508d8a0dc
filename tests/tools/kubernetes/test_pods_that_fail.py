"""Containers that end, probes that fail, pods that are put out or stuck: of the state now, with an event's words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.kubernetes.things import (
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
)
from tools.kubernetes.symptoms.workloads import workload_symptoms
from tools.symptoms import HURTS, WARNS, Symptom

LOOPS = (
    "CrashLoopBackOff",
    "back-off 2m40s restarting failed container=ledger pod=ledger-6d4cf56db6-x7x2p_payments(2f)",
)


def only(*objects: Any, listed: Any = ()) -> Symptom:
    found = workload_symptoms(load(*objects, listed=listed))
    assert len(found) == 1, [one.text for one in found]
    assert len(found[0].text) <= 240
    return found[0]


def looping(last: dict[str, Any], restarts: int = 6, **more: Any) -> dict[str, Any]:
    return pod(statuses=[status(restarts=restarts, waiting=LOOPS, last=last)], **more)


# -- exits ------------------------------------------------------------------------------------------------------------

EXITS = [
    (ended(137, "OOMKilled"), "out_of_memory"),
    (ended(1), "error"),
    (ended(139, "Error"), "signal"),
    (ended(0, "Completed"), "completed"),
    (ended(2, "Error", message="panic: open /etc/ledger.yaml: no such file"), "error"),
]


@pytest.mark.parametrize(("last", "reason"), EXITS)
def test_how_a_container_ended_is_its_reason(last: dict[str, Any], reason: str) -> None:
    found = only(deployment(), looping(last))
    assert (found.kind, found.reason, found.severity) == ("exits", reason, HURTS)
    assert (found.labels["exit_code"], found.labels["container"]) == (str(last["exitCode"]), "ledger")


def test_three_pods_that_exit_are_one_symptom_with_the_decisive_line() -> None:
    last = ended(1, message="reading config\nfatal: cannot parse LEDGER_TIMEOUT: invalid duration 'abc'\n")
    pods = [looping(last, name=f"ledger-6d4cf56db6-{n}2p4x") for n in "bcd"]
    found = only(deployment(replicas=3, status={"readyReplicas": 0}), *pods)
    assert found.text == (
        "3 of 3 pods: container ledger exits with code 1, 6 restarts, ran 8 s: "
        "fatal: cannot parse LEDGER_TIMEOUT: invalid duration 'abc'"
    )
    assert found.labels["line"] == "fatal: cannot parse LEDGER_TIMEOUT: invalid duration 'abc'"


def test_the_line_of_a_log_is_told_where_the_container_left_no_message() -> None:
    ill = looping(ended(1))
    lines = {(ill["metadata"]["name"], "ledger"): "FATAL: role ledger does not exist"}
    found = workload_symptoms(load(deployment(), ill), lines)[0]
    assert found.labels["line"] == "FATAL: role ledger does not exist"
    assert found.text.endswith("FATAL: role ledger does not exist")


def test_a_limit_of_memory_stands_in_the_sentence() -> None:
    small = container(resources={"limits": {"memory": "256Mi"}})
    found = only(deployment(), looping(ended(137, "OOMKilled"), containers=[small]))
    assert "for using more memory than its limit 256Mi" in found.text


def test_an_init_container_that_fails_is_told_as_one() -> None:
    ill = pod(
        phase="Pending",
        containers=[container()],
        init_containers=[container("migrate", "acme/migrate:7")],
        init_statuses=[
            status("migrate", 3, waiting=LOOPS, last=ended(1, message="relation ledger_entries already exists"))
        ],
        statuses=[status(waiting=("PodInitializing", ""))],
    )
    found = only(deployment(), ill)
    assert (found.kind, found.labels["init"], found.labels["container"]) == ("exits", "yes", "migrate")
    assert "init container migrate exits with code 1" in found.text


def test_a_restart_of_days_ago_says_nothing() -> None:
    well = ready_pod(statuses=[status(ready=True, restarts=3, running=80_000, last=ended(137, "OOMKilled", at=90_000))])
    assert workload_symptoms(load(deployment(), well)) == []


def test_a_container_that_restarted_within_the_hour_and_runs_warns() -> None:
    well = ready_pod(statuses=[status(ready=True, restarts=1, running=1500, last=ended(1, at=1510))])
    found = only(deployment(), well)
    assert (found.kind, found.severity) == ("exits", WARNS)


def test_liveness_is_why_a_container_is_killed_where_kubelet_says_so() -> None:
    probe = {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3}
    with_probe = container(ports=[{"containerPort": 8080}], livenessProbe=probe)
    running = status(restarts=3, ready=True, running=60, last=ended(137, ran=1900, at=61))
    ill = pod(containers=[with_probe], statuses=[running])
    killed = event(ill, "Killing", "Container ledger failed liveness probe, will be restarted", at=90)
    why = event(
        ill,
        "Unhealthy",
        'Liveness probe failed: Get "http://10.1.2.3:8080/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        at=92,
        container="ledger",
    )
    found = workload_symptoms(load(deployment(), ill, killed, why))
    assert [(one.kind, one.reason) for one in found] == [("exits", "liveness"), ("probe_failing", "timeout")]


def test_a_job_that_completed_and_its_pod_are_well() -> None:
    job = named("Job", "export", status={"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]})
    done = pod("export-x7x2p", phase="Succeeded", owner="Job/export", statuses=[status(ended=ended(0, "Completed"))])
    assert workload_symptoms(load(job, done)) == []


# -- probes -----------------------------------------------------------------------------------------------------------

HTTP = {
    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    "ports": [{"containerPort": 8080, "name": "http"}],
}
WRONG_PORT = {"readinessProbe": {"httpGet": {"path": "/ready", "port": 9090}}, "ports": [{"containerPort": 8080}]}
NO_NAME = {
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "web"}},
    "ports": [{"containerPort": 8080, "name": "http"}],
}
EXEC = {"readinessProbe": {"exec": {"command": ["cat", "/tmp/ready"]}}}
GRPC = {"readinessProbe": {"grpc": {"port": 50051}}, "ports": [{"containerPort": 50051}]}
PROBES = [
    ("Readiness probe failed: HTTP probe failed with statuscode: 404", HTTP, "path"),
    ("Readiness probe failed: HTTP probe failed with statuscode: 503", HTTP, "status"),
    (
        'Readiness probe failed: Get "http://10.1.2.3:8080/ready": dial tcp 10.1.2.3:8080: connect: connection refused',
        HTTP,
        "refused",
    ),
    (
        'Readiness probe failed: Get "http://10.1.2.3:9090/ready": dial tcp 10.1.2.3:9090: connect: connection refused',
        WRONG_PORT,
        "port",
    ),
    (
        'Readiness probe failed: Get "http://10.1.2.3:8080/ready": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        HTTP,
        "timeout",
    ),
    (
        'Readiness probe failed: Get "https://10.1.2.3:8080/ready": http: server gave HTTP response to HTTPS client',
        HTTP,
        "protocol",
    ),
    ('Readiness probe errored: strconv.Atoi: parsing "web": invalid syntax', NO_NAME, "port"),
    ("Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory", EXEC, "command"),
    (
        'Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in container: OCI runtime exec failed: exec failed: "/bin/check": no such file or directory',
        EXEC,
        "command",
    ),
    (
        'Readiness probe failed: timeout: failed to connect service "10.1.2.3:50051" within 1s: context deadline exceeded',
        GRPC,
        "timeout",
    ),
    ('Readiness probe failed: service unhealthy (responded with "NOT_SERVING")', GRPC, "status"),
    (
        "Readiness probe failed: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health",
        GRPC,
        "protocol",
    ),
]


@pytest.mark.parametrize(("message", "spec", "reason"), PROBES)
def test_what_of_a_probe_fails(message: str, spec: dict[str, Any], reason: str) -> None:
    ill = pod(containers=[container(**spec)], statuses=[status(running=500, started=True)])
    found = only(deployment(), ill, event(ill, "Unhealthy", message, container="ledger"))
    assert (found.kind, found.reason, found.labels["probe"]) == ("probe_failing", reason, "readiness")


def test_a_startup_that_takes_longer_than_the_probe_waits_is_slow() -> None:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 5, "failureThreshold": 3}
    spec = container(startupProbe=probe, ports=[{"containerPort": 8080}])
    ill = pod(
        containers=[spec], statuses=[status(restarts=2, running=14, started=False, last=ended(137, ran=16, at=15))]
    )
    why = event(
        ill,
        "Unhealthy",
        "Startup probe failed: dial tcp 10.1.2.3:8080: connect: connection refused",
        at=4,
        container="ledger",
    )
    killed = event(ill, "Killing", "Container ledger failed startup probe, will be restarted", at=20)
    found = workload_symptoms(load(deployment(), ill, why, killed))
    assert [(one.kind, one.reason) for one in found] == [("exits", "liveness"), ("probe_failing", "slow_start")]
    assert (found[1].labels["probe"], found[1].labels["port"]) == ("startup", "8080")


def test_liveness_that_ends_each_run_before_it_was_well_is_a_slow_start() -> None:
    probe = {
        "httpGet": {"path": "/", "port": 8080},
        "initialDelaySeconds": 5,
        "periodSeconds": 5,
        "failureThreshold": 2,
    }
    spec = container(livenessProbe=probe, ports=[{"containerPort": 8080}])
    ill = pod(containers=[spec], statuses=[status(restarts=4, waiting=LOOPS, last=ended(143, ran=17, at=30))])
    why = event(
        ill,
        "Unhealthy",
        'Liveness probe failed: Get "http://10.1.2.3:8080/": dial tcp 10.1.2.3:8080: connect: connection refused',
        at=33,
        container="ledger",
    )
    killed = event(ill, "Killing", "Container ledger failed liveness probe, will be restarted", at=32)
    found = workload_symptoms(load(deployment(), ill, why, killed))
    assert [(one.kind, one.reason) for one in found] == [("exits", "liveness"), ("probe_failing", "slow_start")]


def test_a_probe_that_failed_once_and_answers_now_says_nothing() -> None:
    well = ready_pod(containers=[container(**HTTP)])
    old = event(well, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=300)
    assert workload_symptoms(load(deployment(), well, old)) == []


def test_a_pod_that_is_not_ready_and_has_a_readiness_probe_fails_it_whatever_events_say() -> None:
    ill = pod(containers=[container(**HTTP)], statuses=[status(running=4000, started=True)], age=4000)
    found = only(deployment(), ill)
    assert (found.kind, found.reason, found.labels["path"]) == ("probe_failing", "", "/ready")


def test_a_container_that_just_started_is_given_its_initial_delay() -> None:
    waits = {**HTTP, "readinessProbe": {**HTTP["readinessProbe"], "initialDelaySeconds": 60}}
    ill = pod(containers=[container(**waits)], statuses=[status(running=70, started=True)], age=75)
    assert workload_symptoms(load(deployment(), ill)) == []


# -- put out, stuck, gated, not ready ---------------------------------------------------------------------------------

EVICTED = [
    (
        {
            "reason": "Evicted",
            "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 88Mi. Container ledger was using 7100Mi, request is 1Gi",
        },
        [],
        "memory",
    ),
    (
        {"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi"},
        [],
        "disk",
    ),
    (
        {
            "reason": "Evicted",
            "message": "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        },
        [],
        "disk",
    ),
    ({"reason": "Evicted", "message": "The node had condition: [PIDPressure]. "}, [], "pids"),
    ({"reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown."}, [], "drained"),
    (
        {},
        [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "PreemptionByScheduler",
                "message": "default-scheduler: preempting to accommodate a higher priority pod",
            }
        ],
        "preempted",
    ),
    (
        {},
        [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint",
            }
        ],
        "taint",
    ),
    (
        {},
        [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }
        ],
        "drained",
    ),
    (
        {},
        [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": "The node was low on resource: memory.",
            }
        ],
        "memory",
    ),
]


@pytest.mark.parametrize(("more", "conditions", "reason"), EVICTED)
def test_why_a_pod_was_put_out(more: dict[str, Any], conditions: list[Any], reason: str) -> None:
    out = pod(phase="Failed", conditions=conditions, startTime=ago(900), **more)
    found = only(deployment(), out)
    assert (found.kind, found.reason, found.labels["node"]) == ("evicted", reason, "worker-3")


def test_pods_put_out_yesterday_and_replaced_say_nothing() -> None:
    out = pod(
        "ledger-6d4cf56db6-bbbbb",
        phase="Failed",
        reason="Evicted",
        message="The node was low on resource: memory.",
        startTime=ago(90_000),
    )
    assert workload_symptoms(load(deployment(), ready_pod(), out)) == []


def test_a_pod_that_cannot_be_deleted_tells_who_holds_it() -> None:
    held = ready_pod(deletionTimestamp=ago(900), finalizers=["backup.acme.io/protect"])
    lost = ready_pod(deletionTimestamp=ago(900))
    down = named("Node", "worker-3", "", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
    found = [workload_symptoms(load(deployment(replicas=0), *objects))[0] for objects in ([held], [lost, down])]
    assert [(one.kind, one.reason) for one in found] == [("stuck_deleting", "finalizer"), ("stuck_deleting", "node")]
    assert "backup.acme.io/protect" in found[0].text


def test_a_pod_that_is_being_deleted_within_its_grace_says_nothing() -> None:
    going = ready_pod(deletionTimestamp=ago(-20))
    assert [one.kind for one in workload_symptoms(load(deployment(replicas=0), going))] == ["scaled_to_zero"]


def test_a_pod_on_a_node_that_is_down_accuses_the_node() -> None:
    lost = pod(statuses=[status(running=5000)], age=5000)
    down = named("Node", "worker-3", "", status={"conditions": [{"type": "Ready", "status": "Unknown"}]})
    found = only(deployment(), lost, down)
    assert (found.kind, found.accuses.kind if found.accuses else "") == ("unready", "Node")


def test_a_sidecar_that_restarts_always_is_no_init_container() -> None:
    proxy = container("proxy", "envoy:1", restartPolicy="Always")
    well = ready_pod(init_containers=[proxy], init_statuses=[status("proxy", ready=True, running=400)])
    assert workload_symptoms(load(deployment(), well)) == []


# -- the shared cases -------------------------------------------------------------------------------------------------


def case(name: str) -> Any:
    return json.loads((Path(__file__).parent / "cases" / name).read_text())


@pytest.mark.parametrize(
    ("name", "kind", "reason", "words"),
    [
        ("evicted-old", "evicted", "memory", "node short of memory: 88Mi left"),
        ("evicted-new", "evicted", "disk", "node short of ephemeral-storage"),
        ("init-fails", "exits", "error", "table orders is already there"),
        ("readiness-gate", "readiness_gate", "balancer.example/target-health", "balancer.example/target-health"),
        ("probe-fails", "unready", "", "unready: [web]"),
    ],
)
def test_the_cases_that_people_reported(name: str, kind: str, reason: str, words: str) -> None:
    found = only(case(f"{name}.json"))
    assert (found.kind, found.reason) == (kind, reason)
    assert words in found.text


def test_a_probe_that_asks_another_port_than_the_container_is_told_to_listen_on() -> None:
    spec = container(livenessProbe={"tcpSocket": {"port": 80}}, env=[{"name": "PORT", "value": "3000"}])
    ill = pod(containers=[spec], statuses=[status(restarts=9, waiting=LOOPS, last=ended(143, ran=31, at=30))])
    why = event(ill, "Unhealthy", "Liveness probe failed: dial tcp 10.42.2.55:80: connect: connection refused", at=33)
    killed = event(ill, "Killing", "Container ledger failed liveness probe, will be restarted", at=32)
    found = workload_symptoms(load(deployment(), ill, why, killed))
    assert [(one.kind, one.reason) for one in found] == [("exits", "liveness"), ("probe_failing", "port")]
    unknown = pod(
        containers=[container(livenessProbe={"tcpSocket": {"port": 80}})], statuses=ill["status"]["containerStatuses"]
    )
    assert workload_symptoms(load(deployment(), unknown, why, killed))[1].reason == "refused"
