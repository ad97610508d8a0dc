"""Who is meant: the subject of a host that a log line names, and of the incident's workload that somebody names."""

from __future__ import annotations

import re
from collections.abc import Callable

from tools.context import Context, Labels, Subject
from tools.errors import StanchError

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", "Job", "CronJob", "ReplicaSet", "Pod")
_SERVICE = re.compile(r"(?P<name>[\w-]+)\.(?P<namespace>[\w-]+)\.svc(?:\..*)?")
_PLAIN = re.compile(r"[a-z][\w-]*")


def finder(context: Context, subject: Subject) -> Callable[[str], Subject | None]:
    """What finds the subject of a host's name or address, as the one who logs would: a bare name is a Service of its own
    namespace. None for a host that nobody knows."""
    near = (*context.subjects, *(context.platform.near(subject) if context.platform else ()))

    def find(host: str) -> Subject | None:
        if dns := _SERVICE.fullmatch(host):
            name, namespace = dns["name"], dns["namespace"]
        elif _PLAIN.fullmatch(host):
            name, namespace = host, subject.namespace
        else:
            return _known(context, host) or next((one for one in near if one.name == host), None)
        if name == subject.name and namespace == subject.namespace:
            return subject
        at_hand = [one for one in near if one.name == name and one.namespace in (namespace, "")]
        named = f"{namespace}/{name}" if namespace else name
        return next(iter(at_hand), None) or _known(context, named) or _service(subject, name, namespace)

    return find


def workload_named(context: Context, reference: str) -> Subject | None:
    """The incident's own workload that `[cluster/][namespace/]name` means, where just one does."""
    wanted = reference.split("/")
    fitting = [one for one in context.subjects if one.kind in WORKLOADS and _place(one)[-len(wanted) :] == wanted]
    return fitting[0] if len(set(fitting)) == 1 else None


def subject_of_labels(context: Context, labels: Labels, service: str) -> Subject:
    """What log streams with these labels are of: what the platform says of them, else a subject of the incident that they
    name, else a Service."""
    if context.platform and labels and (about := context.platform.about(labels)):
        owners = [one for one in about if one.kind in WORKLOADS and one.kind != "Pod"]
        return next(iter(owners), about[0])
    values = {service, *labels.values()}
    named = [one for one in context.subjects if one.name in values]
    if named:
        return named[0]
    entry = context.catalog.service(service) if service else None
    if entry and len(entry.workloads) == 1:
        load = entry.workloads[0]
        return Subject(load.kind, load.cluster, load.namespace, load.name)
    name = service or next(
        (labels[key] for key in ("service", "service_name", "app", "container", "job") if labels.get(key)), ""
    )
    return Subject("Service", labels.get("cluster", ""), labels.get("namespace", ""), name)


def _known(context: Context, text: str) -> Subject | None:
    """None too where the platform only repeats what it was asked for."""
    if context.platform is None:
        return None
    try:
        found = context.platform.find(text)
    except StanchError:
        return None
    namespace, _, name = text.rpartition("/")
    return None if found == Subject("Service", "", namespace, name) else found


def _service(subject: Subject, name: str, namespace: str) -> Subject | None:
    """A name without a dot, or of the cluster's DNS, means a Service of the cluster where the one who calls is in one."""
    return Subject("Service", subject.cluster, namespace, name) if namespace else None


def _place(one: Subject) -> list[str]:
    return [one.cluster, one.namespace, one.name]
