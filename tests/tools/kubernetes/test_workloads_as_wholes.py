"""Admission, replicas, rollouts, Jobs and autoscalers: what a workload says although its pods may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tools.kubernetes.things import (
    HASH,
    NOW,
    ago,
    deployment,
    ended,
    event,
    load,
    named,
    pod,
    ready_pod,
    seen,
    status,
    unscheduled_pod,
)
from tools.kubernetes.symptoms.admission import quotas_full
from tools.kubernetes.symptoms.jobs import period
from tools.kubernetes.symptoms.objects import loads_of
from tools.kubernetes.symptoms.workloads import autoscaler_symptoms, workload_symptoms
from tools.symptoms import HURTS, TELLS, WARNS, Symptom


def only(*objects: Any, listed: Any = ()) -> Symptom:
    found = workload_symptoms(load(*objects, listed=listed))
    assert len(found) == 1, [one.text for one in found]
    assert len(found[0].text) <= 240
    return found[0]


# -- admission --------------------------------------------------------------------------------------------------------

REFUSALS = [
    (
        f'pods "ledger-{HASH}-" is forbidden: exceeded quota: team-payments, requested: limits.cpu=2, used: limits.cpu=9, limited: limits.cpu=10',
        "quota",
    ),
    (
        f'pods "ledger-{HASH}-" is forbidden: failed quota: team-payments: must specify limits.cpu for: ledger; requests.memory for: ledger',
        "quota",
    ),
    (
        f'pods "ledger-{HASH}-" is forbidden: [maximum memory usage per Container is 1Gi, but limit is 2Gi, minimum cpu usage per Container is 50m, but request is 10m]',
        "limit_range",
    ),
    (
        f'pods "ledger-{HASH}-" is forbidden: error looking up service account payments/ledger: serviceaccount "ledger" not found',
        "service_account",
    ),
    (
        'admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/payments/ledger was blocked: require-labels',
        "webhook",
    ),
    (
        'Internal error occurred: failed calling webhook "sidecar.mesh.io": failed to call webhook: Post "https://mesh-injector.mesh-system.svc:443/inject?timeout=10s": no endpoints available for service "mesh-injector"',
        "webhook",
    ),
    (
        f'pods "ledger-{HASH}-" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "ledger" must set securityContext.allowPrivilegeEscalation=false)',
        "pod_security",
    ),
    (
        f'pods "ledger-{HASH}-" is forbidden: unable to validate against any security context constraint: [provider "restricted": .spec.securityContext.fsGroup: Invalid value]',
        "pod_security",
    ),
    (
        f'Pod "ledger-{HASH}-" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
        "invalid",
    ),
    (f'pods "ledger-{HASH}-" is forbidden: no PriorityClass with name gold was found', "invalid"),
    (
        f'pods "ledger-{HASH}-" is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" cannot create resource',
        "forbidden",
    ),
]


@pytest.mark.parametrize(("message", "reason"), REFUSALS)
def test_why_pods_are_not_let_in(message: str, reason: str) -> None:
    told = [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": message,
            "lastTransitionTime": ago(300),
        }
    ]
    made = named(
        "ReplicaSet",
        f"ledger-{HASH}",
        owner="Deployment/ledger",
        spec={"replicas": 3},
        status={"replicas": 0, "conditions": told},
    )
    found = only(deployment(replicas=3, status={}), made)
    assert (found.kind, found.reason, found.severity) == ("rejected", reason, HURTS)
    assert found.text.startswith("3 of 3 pods are not let into the cluster: ")
    assert found.since == (NOW.timestamp() - 300, NOW.timestamp() - 300)


def test_a_quota_is_told_with_what_is_used() -> None:
    ill = deployment(
        replicas=2,
        status={
            "conditions": [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": REFUSALS[0][0]}
            ]
        },
    )
    found = only(ill, ready_pod())
    assert (
        found.text
        == "1 of 2 pods are not let into the cluster: quota team-payments is used up: limits.cpu 9 of 10, a pod asks for 2"
    )
    assert {key: found.labels[key] for key in ("resource", "used", "limit", "quota")} == {
        "resource": "limits.cpu",
        "used": "9",
        "limit": "10",
        "quota": "team-payments",
    }


def test_a_webhook_that_does_not_answer_accuses_its_service() -> None:
    ill = deployment(status={"conditions": [{"type": "ReplicaFailure", "status": "True", "message": REFUSALS[5][0]}]})
    found = only(ill)
    assert found.accuses is not None
    assert (found.accuses.kind, found.accuses.namespace, found.accuses.name) == (
        "Service",
        "mesh-system",
        "mesh-injector",
    )


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_other_kinds_say_it_by_events(kind: str) -> None:
    state = {"desiredNumberScheduled": 1, "replicas": 0}
    whole = deployment(kind=kind, status=state)
    told = event(whole, "FailedCreate", f"create Pod ledger-0 in {kind} ledger failed error: {REFUSALS[3][0]}")
    assert only(whole, told).reason == "service_account"
    old = event(whole, "FailedCreate", f"create Pod ledger-0 in {kind} ledger failed error: {REFUSALS[3][0]}", at=4000)
    assert [one.kind for one in workload_symptoms(load(whole, old))] == ["unready"]


def test_a_job_that_may_make_no_pod_says_why() -> None:
    job = named("Job", "export", spec={"parallelism": 1}, status={})
    told = event(
        job,
        "FailedCreate",
        'Error creating: pods "export-" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5',
    )
    assert only(job, told).labels["resource"] == "pods"


def test_a_refusal_that_is_over_says_nothing() -> None:
    ill = deployment(status={"conditions": [{"type": "ReplicaFailure", "status": "True", "message": REFUSALS[0][0]}]})
    assert workload_symptoms(load(ill, ready_pod())) == []


def test_a_quota_of_which_nothing_is_left_warns() -> None:
    quota = named(
        "ResourceQuota",
        "team-payments",
        status={"hard": {"pods": "10", "limits.memory": "8Gi"}, "used": {"pods": "4", "limits.memory": "8192Mi"}},
    )
    (found,) = quotas_full(seen(quota))
    assert (found.subject.kind, found.subject.name, found.reason) == ("Namespace", "payments", "limits.memory")


# -- replicas ---------------------------------------------------------------------------------------------------------


def test_no_wanted_replica_is_told_with_who_and_when() -> None:
    scaled = {
        "manager": "kubectl-scale",
        "subresource": "scale",
        "time": ago(1800),
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    applied = {"manager": "helm", "time": ago(90_000), "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {}}}}
    found = only(deployment(replicas=0, managedFields=[applied, scaled]))
    assert (found.kind, found.reason, found.severity) == ("scaled_to_zero", "replicas", WARNS)
    assert found.since == (NOW.timestamp() - 1800, NOW.timestamp() - 1800)
    assert found.text == "no replica is wanted (spec.replicas is 0), for 30 min, set by kubectl-scale"


def test_an_autoscaler_that_may_go_to_zero_is_told_apart() -> None:
    scaler = named(
        "HorizontalPodAutoscaler",
        "keda-hpa-ledger",
        spec={"minReplicas": 0, "scaleTargetRef": {"kind": "Deployment", "name": "ledger"}},
    )
    assert only(deployment(replicas=0), scaler).reason == "autoscaler"


def test_replicas_that_are_missing_for_no_known_reason_are_the_general_sign() -> None:
    told = {"type": "Available", "status": "False", "lastTransitionTime": ago(700)}
    found = only(deployment(replicas=3, status={"readyReplicas": 1, "conditions": [told]}), ready_pod(), listed=["Pod"])
    assert (found.kind, found.text) == ("unready", "1 of 3 pods exist, 1 are ready, and nothing tells why")
    assert found.since == (NOW.timestamp() - 700, NOW.timestamp() - 700)


def test_the_specific_sign_wins_over_restarts_not_ready_and_missing_replicas() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}
    ill = pod(statuses=[status(restarts=3, waiting=("CrashLoopBackOff", ""), last=ended(1))])
    other = pod("ledger-6d4cf56db6-bbbbb", statuses=[status(running=900)], age=900)
    found = only(deployment(replicas=3, status={"readyReplicas": 0, "conditions": [late]}), ill, other)
    assert found.kind == "exits"


def test_a_daemonset_counts_only_the_nodes_it_is_meant_for() -> None:
    whole = deployment("shipper", kind="DaemonSet", status={"desiredNumberScheduled": 3, "numberReady": 3})
    assert workload_symptoms(load(whole)) == []


def test_the_pods_that_a_rollout_has_beyond_its_replicas_are_well() -> None:
    fresh = pod("ledger-7d4cf56db6-new01", age=8, statuses=[status(running=3)])
    whole = deployment(replicas=2, status={"readyReplicas": 2, "updatedReplicas": 1})
    assert workload_symptoms(load(whole, ready_pod(), ready_pod("ledger-6d4cf56db6-bbbbb"), fresh)) == []


def test_pods_are_of_the_workload_that_owns_them_and_not_of_one_with_a_like_name() -> None:
    worker = unscheduled_pod(
        "0/1 nodes are available: 1 Insufficient cpu.",
        name=f"ledger-worker-{HASH}-x7x2p",
        owner=f"ReplicaSet/ledger-worker-{HASH}",
    )
    subjects = {one.subject.name: workload_symptoms(one) for one in loads_of(seen(deployment(), ready_pod(), worker))}
    assert subjects["ledger"] == []
    assert subjects["ledger-worker"][0].kind == "unschedulable"


def test_pods_of_an_operators_own_kind_are_told_of_that() -> None:
    ill = unscheduled_pod("0/1 nodes are available: 1 Insufficient cpu.", name="orders-db-1", owner="Cluster/orders-db")
    (found,) = workload_symptoms(load(ill))
    assert (found.subject.kind, found.subject.name) == ("Cluster", "orders-db")


# -- rollouts ---------------------------------------------------------------------------------------------------------


def test_a_deadline_is_told_where_pods_say_nothing() -> None:
    words = 'ReplicaSet "ledger-6d4cf56db6" has timed out progressing.'
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": words}
    found = only(deployment(replicas=2, status={"readyReplicas": 1, "conditions": [late]}), ready_pod())
    assert (found.kind, found.reason) == ("rollout_stuck", "deadline")


@pytest.mark.parametrize(
    ("whole", "reason", "severity"),
    [
        (
            deployment(replicas=3, spec={"paused": True}, status={"updatedReplicas": 1, "readyReplicas": 3}),
            "paused",
            WARNS,
        ),
        (
            deployment(replicas=3, spec={"paused": True}, status={"updatedReplicas": 3, "readyReplicas": 3}),
            "paused",
            TELLS,
        ),
        (
            deployment(
                kind="StatefulSet",
                replicas=3,
                spec={"updateStrategy": {"rollingUpdate": {"partition": 2}}},
                status={"updatedReplicas": 1, "readyReplicas": 3, "currentRevision": "a", "updateRevision": "b"},
            ),
            "partition",
            WARNS,
        ),
        (
            deployment(
                kind="Rollout",
                replicas=4,
                status={
                    "phase": "Degraded",
                    "message": "RolloutAborted: metric error-rate assessed Failed",
                    "readyReplicas": 4,
                },
            ),
            "canary",
            HURTS,
        ),
    ],
)
def test_why_a_rollout_does_not_go_on(whole: Any, reason: str, severity: int) -> None:
    found = only(whole)
    assert (found.kind, found.reason, found.severity) == ("rollout_stuck", reason, severity)


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_that_used_its_retries_up_is_told_with_them() -> None:
    told = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "Job has reached the specified backoff limit",
        "lastTransitionTime": ago(60),
    }
    found = only(named("Job", "export", spec={"backoffLimit": 3}, status={"failed": 4, "conditions": [told]}))
    assert (found.kind, found.reason) == ("job_failed", "backoff")
    assert found.text == "Job export failed 4 times, 3 retries allowed: Job has reached the specified backoff limit"


def test_a_job_that_took_too_long_is_told() -> None:
    told = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "Job was active longer than specified deadline",
    }
    found = only(named("Job", "export", spec={"activeDeadlineSeconds": 600}, status={"conditions": [told]}))
    assert found.reason == "deadline"
    assert "600 s allowed" in found.text


def cronjob(schedule: str = "*/10 * * * *", last: float = 300, **spec: Any) -> Any:
    return named(
        "CronJob", "export", age=900_000, spec={"schedule": schedule, **spec}, status={"lastScheduleTime": ago(last)}
    )


def test_a_cronjob_whose_last_run_was_well_is_well_whatever_failed_before() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    old = named("Job", "export-29395430", age=900, owner="CronJob/export", status={"conditions": [failed]})
    new = named(
        "Job",
        "export-29395440",
        age=300,
        owner="CronJob/export",
        status={"conditions": [{"type": "Complete", "status": "True"}]},
    )
    assert workload_symptoms(load(cronjob(), old, new)) == []
    assert [one.reason for one in workload_symptoms(load(cronjob(), old))] == ["backoff"]


def test_a_cronjob_that_did_not_run_in_time_is_late() -> None:
    found = only(cronjob(last=3600))
    assert (found.kind, found.reason) == ("job_failed", "late")
    assert "every 10 min" in found.text
    assert workload_symptoms(load(cronjob("0 3 * * *", last=70_000))) == []


def test_a_suspended_schedule_only_tells() -> None:
    found = only(cronjob(suspend=True))
    assert (found.reason, found.severity) == ("suspended", TELLS)


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("*/5 * * * *", 300),
        ("0 * * * *", 3600),
        ("30 */6 * * *", 21600),
        ("0 3 * * *", 86400),
        ("@daily", 86400),
        ("0 8,20 * * *", 43200),
        ("0 0 1 * *", None),
        ("* * * * *", 60),
    ],
)
def test_how_often_a_schedule_runs(schedule: str, seconds: float | None) -> None:
    assert period(schedule) == seconds


def test_the_other_kinds_of_the_shared_cases() -> None:
    documents = json.loads((Path(__file__).parent / "cases" / "other-kinds.json").read_text())
    found = {one.subject.kind: workload_symptoms(one) for one in loads_of(seen(*documents))}
    told = {kind: [(one.kind, one.reason) for one in each] for kind, each in found.items()}
    assert told == {
        "DaemonSet": [("unready", "")],
        "Job": [("job_failed", "backoff")],
        "CronJob": [("job_failed", "suspended")],
        "Rollout": [("rollout_stuck", "canary")],
    }
    assert found["DaemonSet"][0].text.startswith("3 of 5 pods are ready")
    assert "last success 2.44 d ago" in found["CronJob"][0].text
    assert "CanaryPauseStep" in found["Rollout"][0].text


# -- autoscalers ------------------------------------------------------------------------------------------------------


def scaler(*conditions: Any, **state: Any) -> Any:
    spec = {"maxReplicas": 10, "scaleTargetRef": {"kind": "Deployment", "name": "ledger"}}
    return named("HorizontalPodAutoscaler", "ledger", spec=spec, status={"conditions": list(conditions), **state})


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            scaler({"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}, currentReplicas=10),
            "at_limit",
        ),
        (
            scaler(
                {
                    "type": "ScalingActive",
                    "status": "False",
                    "reason": "FailedGetResourceMetric",
                    "message": "the HPA was unable to compute the replica count: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
                }
            ),
            "blind",
        ),
        (
            scaler(
                {
                    "type": "AbleToScale",
                    "status": "False",
                    "reason": "FailedGetScale",
                    "message": 'deployments.apps "ledger" not found',
                }
            ),
            "target_missing",
        ),
    ],
)
def test_what_is_wrong_with_an_autoscaler(told: Any, reason: str) -> None:
    (found,) = autoscaler_symptoms(seen(told, deployment()))
    assert (found.kind, found.reason, found.subject.name) == ("autoscaler", reason, "ledger")


def test_an_autoscaler_that_is_off_because_nothing_is_wanted_is_well() -> None:
    off = scaler({"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"})
    assert autoscaler_symptoms(seen(off, deployment(replicas=0))) == []


def test_a_roll_out_that_may_make_no_pod_is_told_although_the_old_ones_are_enough() -> None:
    told = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": REFUSALS[0][0]}]
    new = named(
        "ReplicaSet",
        "ledger-7d4cf",
        owner="Deployment/ledger",
        spec={"replicas": 1},
        status={"replicas": 0, "conditions": told},
    )
    found = only(deployment(replicas=1, status={"readyReplicas": 1}), new, ready_pod())
    assert (found.kind, found.reason) == ("rejected", "quota")
    assert found.text.startswith("1 of 1 pods are not let into the cluster")
