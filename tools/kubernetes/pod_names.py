"""What the name of a pod says of its workload. Kubernetes makes the names, and makes them by a scheme."""

from __future__ import annotations

import re

_SAFE = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes random names of
_HASH = rf"(?:[0-9a-f]{{8,10}}|[{_SAFE}]{{5,10}})"
_POD = re.compile(rf"(?P<of>.+?)(?P<hash>-{_HASH})?-[{_SAFE}]{{5}}|(?P<set>.+)-\d{{1,5}}")
_MADE_BY = {  # what a kind appends to its name for a pod
    "Deployment": rf"-{_HASH}-[{_SAFE}]{{5}}",
    "Rollout": rf"-{_HASH}-[{_SAFE}]{{5}}",
    "ReplicaSet": rf"-[{_SAFE}]{{5}}",
    "DaemonSet": rf"-[{_SAFE}]{{5}}",
    "Job": rf"(-[0-9]{{1,5}})?-[{_SAFE}]{{5}}",
    "CronJob": rf"-[0-9]{{8}}(-[0-9]{{1,5}})?-[{_SAFE}]{{5}}",
    "StatefulSet": r"-[0-9]{1,5}",
}
_SCHEDULED = re.compile(r"(?P<cronjob>.+)-\d{8}")  # of a CronJob's Job: minutes since 1970
_JOB_POD = re.compile(rf"(?P<job>.+-\d{{8}})(-\d{{1,5}})?-[{_SAFE}]{{5}}")
_REPLICASET = re.compile(rf"(?P<of>.+)-{_HASH}")


def pod_pattern(pod: str) -> str:
    """A regular expression for all pods of a pod's workload; for a name that follows no scheme the pod itself."""
    found = _POD.fullmatch(pod)
    if not pod or found is None:
        return re.escape(pod)
    if found["set"]:
        return re.escape(found["set"]) + r"-\d{1,5}"
    return re.escape(found["of"]) + (f"-{_HASH}" if found["hash"] else "") + f"-[{_SAFE}]{{5}}"


def workload_of(pod: str) -> tuple[str, str] | None:
    """(kind, name) of the workload that made a pod of this name; None where the name follows no scheme.

    `payments-worker-6d4c8b7f9-2xkqz` is of the Deployment payments-worker, never of payments.
    """
    if job := _JOB_POD.fullmatch(pod):
        return "Job", job["job"]
    found = _POD.fullmatch(pod)
    if found is None:
        return None
    if found["set"]:
        return "StatefulSet", found["set"]
    return ("Deployment" if found["hash"] else "DaemonSet"), found["of"]


def pods_of(kind: str, name: str) -> str:
    """A regular expression for the names of a workload's pods. A kind that is no workload's (a Service) may be any."""
    after = _MADE_BY.get(kind, rf"(-{_HASH})?-([{_SAFE}]{{5}}|[0-9]{{1,5}})")
    return re.escape(name) + after


def cronjob_of(job: str) -> str | None:
    """The CronJob that made a Job of this name, by the minutes at its end."""
    found = _SCHEDULED.fullmatch(job)
    return found["cronjob"] if found else None


def deployment_of(replicaset: str) -> str | None:
    """The Deployment that made a ReplicaSet of this name, by the hash at its end."""
    found = _REPLICASET.fullmatch(replicaset)
    return found["of"] if found else None
