"""Workloads as wholes: replicas that are not there, rollouts that do not go on, autoscalers that cannot scale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.context import Subject
from tools.formatting import span
from tools.kubernetes.symptoms.admission import rejected
from tools.kubernetes.symptoms.containers import Lines
from tools.kubernetes.symptoms.jobs import job_symptoms
from tools.kubernetes.symptoms.objects import (
    SYNCED,
    Load,
    Object,
    Seen,
    at,
    condition,
    dicts,
    mapping,
    moment,
    name_of,
    namespace_of,
    whole_number,
)
from tools.kubernetes.symptoms.pods import pod_symptoms
from tools.kubernetes.symptoms.signs import fit, mended, seconds
from tools.symptoms import HURTS, TELLS, WARNS, Symptom

_GRACE_S = 60.0  # a controller has this long to make what is missing
_BLIND = frozenset(
    {"FailedGetResourceMetric", "FailedGetPodsMetric", "FailedGetObjectMetric", "FailedGetExternalMetric"}
    | {"InvalidMetricSourceType", "InvalidSelector", "FailedGetContainerResourceMetric", "FailedComputeMetricsReplicas"}
)


def workload_symptoms(load: Load, lines: Lines | None = None) -> list[Symptom]:
    """All that is not as it should be with one workload and its pods."""
    refused = rejected(load)
    of_pods = pod_symptoms(load, lines)
    if any(one.kind != "unready" and one.severity == HURTS for one in (*of_pods, *refused)):
        of_pods = [one for one in of_pods if one.kind != "unready" or one.accuses]
    explained = bool(refused) or any(one.severity == HURTS for one in of_pods)
    if load.subject.kind in ("Job", "CronJob"):
        return [*refused, *job_symptoms(load, of_pods)]
    if load.subject.kind not in (*SYNCED, "DaemonSet") or not load.whole:
        return [*refused, *of_pods]
    stuck = rollout_stuck(load, explained)
    missing = [] if explained or stuck else missing_replicas(load)
    return [*refused, *of_pods, *scaled_to_zero(load), *stuck, *missing]


def scaled_to_zero(load: Load) -> list[Symptom]:
    """A workload of which no replica is wanted; since when, where the API recorded it."""
    if load.subject.kind not in SYNCED or load.wanted != 0:
        return []
    when, who = scaled_at(load.whole)
    scaler = next(
        (one for one in load.seen.kind("HorizontalPodAutoscaler") if scaler_target(load.seen, one) == load.subject),
        None,
    )
    asleep = scaler is not None and at(scaler, "spec", "minReplicas") == 0
    ago = f", for {span((load.seen.now - when).total_seconds())}" if when else ""
    text = f"no replica is wanted (spec.replicas is 0){ago}{f', set by {mended(who)}' if who else ''}"
    labels = {"by": who} if who else {}
    reason = "autoscaler" if asleep else "replicas"
    return [Symptom(load.subject, "scaled_to_zero", fit(text), WARNS, reason, seconds(when), None, labels)]


def scaled_at(whole: Object) -> tuple[datetime | None, str]:
    """When the number of replicas was last written, and by whom: the API keeps that for each field."""
    owners = [
        one
        for one in dicts(at(whole, "metadata", "managedFields"))
        if at(one, "fieldsV1", "f:spec", "f:replicas") is not None
    ]
    newest = max(owners, key=lambda one: str(one.get("time") or ""), default=None)
    if newest is None:
        return None, ""
    only = newest.get("subresource") == "scale" or list(mapping(newest, "fieldsV1", "f:spec")) == ["f:replicas"]
    return (moment(newest, "time") if only else None), str(newest.get("manager") or "")


def missing_replicas(load: Load) -> list[Symptom]:
    """The general sign: fewer pods are ready than should be, and nothing says why."""
    wanted, whole = load.wanted or 0, load.whole
    field = "numberReady" if load.subject.kind == "DaemonSet" else "readyReplicas"
    ready = whole_number(at(whole, "status", field)) if at(whole, "status") else load.ready
    if not wanted or max(ready, load.ready, len(load.active)) >= wanted or _is_on_its_way(load):
        return []  # pods that are there speak for themselves
    began = moment(condition(whole, "Available"), "lastTransitionTime")
    since = began if condition(whole, "Available").get("status") == "False" else None
    text = f"{ready} of {wanted} pods are ready, and nothing tells why"
    if len(load.pods) < wanted and load.seen.knows("Pod", load.subject.namespace):
        text = f"{len(load.pods)} of {wanted} pods exist, {ready} are ready, and nothing tells why"
    return [Symptom(load.subject, "unready", text, HURTS, "", seconds(since))]


def _is_on_its_way(load: Load) -> bool:
    """Whether pods were made, or wanted, a moment ago."""
    newest = min((load.seen.age(pod) for pod in load.pods), default=load.seen.age(load.whole))
    progressing = moment(condition(load.whole, "Progressing"), "lastUpdateTime")
    if progressing and (load.seen.now - progressing).total_seconds() < _GRACE_S:
        return True
    return newest < _GRACE_S


# -- rollouts ---------------------------------------------------------------------------------------------------------


def rollout_stuck(load: Load, explained: bool) -> list[Symptom]:
    """A rollout that does not go on. Where pods say why they fail, a deadline that passed says nothing more."""
    whole, spec = load.whole, mapping(load.whole, "spec")
    progressing = condition(whole, "Progressing")
    pending = _pending(load)
    if progressing.get("reason") == "ProgressDeadlineExceeded" and not explained:
        text = f"the rollout does not go on: {mended(progressing.get('message') or 'ProgressDeadlineExceeded', 180)}"
        since = moment(progressing, "lastTransitionTime") or moment(progressing, "lastUpdateTime")
        return [_rollout(load, "deadline", text, HURTS, since)]
    if load.subject.kind == "Rollout":
        return _canary(load)
    if spec.get("paused") and load.subject.kind == "Deployment":
        text = f"the rollout is paused{f', {pending} of {load.wanted} pods still have the old template' if pending else ''}"
        return [_rollout(load, "paused", text, WARNS if pending else TELLS, moment(progressing, "lastUpdateTime"))]
    strategy = mapping(spec, "updateStrategy")
    if load.subject.kind not in ("StatefulSet", "DaemonSet") or not pending:
        return []
    partition = whole_number(at(strategy, "rollingUpdate", "partition"))
    if partition > 0:
        text = (
            f"the rollout stops at partition {partition}: {pending} of {load.wanted} pods still have the old template"
        )
        return [_rollout(load, "partition", text, WARNS, None)]
    if strategy.get("type") == "OnDelete":
        text = f"{pending} of {load.wanted} pods still have the old template: they are updated only when deleted (OnDelete)"
        return [_rollout(load, "on_delete", text, WARNS, None)]
    return []


def _pending(load: Load) -> int:
    """How many pods still have an older template."""
    status, wanted = mapping(load.whole, "status"), load.wanted or 0
    if load.subject.kind == "StatefulSet" and status.get("currentRevision") == status.get("updateRevision"):
        return 0
    field = "updatedNumberScheduled" if load.subject.kind == "DaemonSet" else "updatedReplicas"
    return max(wanted - whole_number(status.get(field)), 0)


def _canary(load: Load) -> list[Symptom]:
    status = mapping(load.whole, "status")
    phase, message = str(status.get("phase") or ""), str(status.get("message") or "")
    aborted = status.get("abort") is True or "abort" in message.lower()
    if phase not in ("Paused", "Degraded") and not aborted:
        return []
    updated = whole_number(status.get("updatedReplicas"))
    began = next((moment(one, "startTime") for one in dicts(status.get("pauseConditions"))), None)
    step = status.get("currentStepIndex")
    at_step = f" in step {step}" if isinstance(step, int) else ""
    how = "is aborted" if aborted else f"is {phase.lower()}{at_step}"
    words = f" ({mended(message, 120)})" if message else ""
    text = f"the canary {how}{words}: {updated} of {load.wanted} pods have the new template"
    severity = HURTS if phase == "Degraded" or aborted else WARNS
    return [_rollout(load, "canary", text, severity, began)]


def _rollout(load: Load, reason: str, text: str, severity: int, since: datetime | None) -> Symptom:
    return Symptom(load.subject, "rollout_stuck", fit(text), severity, reason, seconds(since))


# -- autoscalers ------------------------------------------------------------------------------------------------------


def scaler_target(seen: Seen, scaler: Object) -> Subject:
    target = mapping(scaler, "spec", "scaleTargetRef")
    return seen.subject(str(target.get("kind")), namespace_of(scaler), str(target.get("name")))


def autoscaler_symptoms(seen: Seen) -> list[Symptom]:
    """Autoscalers that are at their limit, see nothing or have nothing to scale."""
    return [one for scaler in seen.kind("HorizontalPodAutoscaler") for one in _of_scaler(seen, scaler)]


def _of_scaler(seen: Seen, scaler: Object) -> Sequence[Symptom]:
    target, name = scaler_target(seen, scaler), name_of(scaler)
    able, active, limited = (condition(scaler, kind) for kind in ("AbleToScale", "ScalingActive", "ScalingLimited"))
    labels = {"autoscaler": name}
    gone = target.kind in ("Deployment", "StatefulSet") and seen.lacks(target.kind, target.namespace, target.name)
    if gone or able.get("reason") == "FailedGetScale":
        words = mended(able.get("message") or f"{target.kind} {target.name} does not exist", 150)
        text = f"autoscaler {mended(name)} finds nothing to scale: {words}"
        since = seconds(moment(able, "lastTransitionTime"))
        return [Symptom(target, "autoscaler", fit(text), WARNS, "target_missing", since, None, labels)]
    if active.get("status") == "False" and active.get("reason") in _BLIND:
        text = f"autoscaler {mended(name)} cannot read its metrics: {mended(active.get('message'), 170)}"
        since = seconds(moment(active, "lastTransitionTime"))
        return [Symptom(target, "autoscaler", fit(text), WARNS, "blind", since, None, labels)]
    most, now = whole_number(at(scaler, "spec", "maxReplicas")), whole_number(at(scaler, "status", "currentReplicas"))
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas" and now >= most > 0:
        text = f"autoscaler {mended(name)} wants more than its limit of {most} replicas"
        since = seconds(moment(limited, "lastTransitionTime"))
        return [
            Symptom(target, "autoscaler", fit(text), WARNS, "at_limit", since, None, {**labels, "limit": str(most)})
        ]
    return []
