"""Pods that the API does not let come into being: quotas, limits, webhooks, security, accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from tools.context import Subject
from tools.kubernetes.client import quantity
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    dicts,
    event_time,
    event_words,
    mapping,
    moment,
    name_of,
    namespace_of,
    whole_number,
)
from tools.kubernetes.symptoms.signs import decisive, fit, mended, seconds
from tools.symptoms import HURTS, WARNS, Symptom

FRESH_S = 1200.0  # controllers try again at least this often
_REASONS = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (r"exceeded quota|failed quota|insufficient quota", "quota"),
        (r"(?:maximum|minimum) \S+ (?:usage )?per |limit to request ratio|LimitRange", "limit_range"),
        (
            r"serviceaccount \S+ not found|error looking up service account|no API token found for service account",
            "service_account",
        ),
        (r"calling webhook .{0,400}(?:x509|certificate)", "certificate"),
        (r"admission webhook|failed calling webhook|ValidatingAdmissionPolicy", "webhook"),
        (
            r"violates PodSecurity|pod ?security ?polic|security context constraint|unable to validate against",
            "pod_security",
        ),
        (r"no PriorityClass|is invalid|Invalid value|must be|Unsupported value|Required value", "invalid"),
        (r"is forbidden|cannot create|unauthorized", "forbidden"),
    )
)
_QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[\w.-]+), requested: (?P<requested>.+?), used: (?P<used>.+?), limited: (?P<limited>.+?)\s*$"
)
_MUST_SPECIFY = re.compile(r"failed quota: (?P<quota>[\w.-]+): must specify (?P<what>.+)$")
_WEBHOOK = re.compile(r'(?:admission webhook|calling webhook) "(?P<name>[^"]+)"')
_SERVICE = re.compile(r"https?://(?P<name>[a-z0-9-]+)\.(?P<space>[a-z0-9-]+)\.svc")
_DECISIVE = (
    r"exceeded quota|failed quota|maximum \S+|minimum \S+|serviceaccount \S+ not found|denied the request|failed calling webhook"
    r"|violates PodSecurity|unable to validate|Invalid value|is invalid"
)


def rejected(load: Load) -> list[Symptom]:
    """Why pods of a workload that should be there are not made; [] where none is missing or nobody refused one."""
    present, sets = len(load.active), _short_sets(load)
    short = sum(_short_of(one) for one in sets)
    if load.wanted is not None and present >= load.wanted and not short:
        return []
    if load.wanted is None and (present or load.subject.kind not in ("Job", "CronJob")):
        return []
    message, when = _words(load, sets)
    if not message:
        return []
    reason = next((reason for pattern, reason in _REASONS if pattern.search(message)), "forbidden")
    labels, says, accused = _told(load.seen, load.subject.namespace, reason, message)
    wanted = load.wanted
    missing = f"{max(wanted - present, short)} of {wanted} pods are" if wanted is not None else "its pods are"
    text = fit(f"{missing} not let into the cluster: {says}")
    return [Symptom(load.subject, "rejected", text, HURTS, reason, seconds(when), accused, labels)]


def _short_of(replica_set: Object) -> int:
    """How many pods a ReplicaSet should have and has not made."""
    wanted, made = at(replica_set, "spec", "replicas"), at(replica_set, "status", "replicas")
    return max(whole_number(wanted) - whole_number(made), 0)


def _short_sets(load: Load) -> list[Object]:
    """The ReplicaSets of a workload that lack pods: in a roll-out that is so although old pods are enough."""
    return [
        one
        for one in load.seen.kind("ReplicaSet", load.subject.namespace)
        if _owned(one, load.subject.name) and _short_of(one)
    ]


def _words(load: Load, sets: Sequence[Object]) -> tuple[str, datetime | None]:
    """The refusal that holds now, and since when: a condition says so itself, an event only while it is repeated."""
    for one in (*sets, load.whole):
        told = condition(one, "ReplicaFailure")
        if told.get("status") == "True" and told.get("reason") in ("FailedCreate", None):
            return str(told.get("message") or ""), moment(told, "lastTransitionTime")
    jobs = [one for one in load.seen.kind("Job", load.subject.namespace) if _owned(one, load.subject.name)]
    about = [(load.subject.kind, load.whole), *(("ReplicaSet", one) for one in sets), *(("Job", one) for one in jobs)]
    events = [event for kind, one in about if one for event in load.seen.events(kind, one, "FailedCreate")]
    events = [one for one in events if (load.seen.now - event_time(one)).total_seconds() <= FRESH_S]
    if not events:
        return "", None
    newest = max(events, key=event_time)
    return event_words(newest), moment(newest, "firstTimestamp") or event_time(newest)


def _owned(job: Object, name: str) -> bool:
    return any(owner.get("name") == name for owner in dicts(at(job, "metadata", "ownerReferences")))


def _told(seen: Seen, namespace: str, reason: str, message: str) -> tuple[Mapping[str, str], str, Subject | None]:
    """Labels, the sentence and whom it accuses."""
    if reason == "quota":
        return _of_quota(message)
    if reason in ("webhook", "certificate"):
        named, service = _WEBHOOK.search(message), _SERVICE.search(message)
        labels = {"webhook": named["name"]} if named else {}
        accused = seen.subject("Service", service["space"], service["name"]) if service else None
        return labels, decisive(message, r"x509: [^\n]+" if reason == "certificate" else _DECISIVE, 170), accused
    if reason == "service_account":
        found = re.search(r'serviceaccount "?(?P<name>[\w.-]+)"? not found', message)
        accused = seen.subject("ServiceAccount", namespace, found["name"]) if found else None
        return {}, decisive(message, _DECISIVE, 150), accused
    return {}, decisive(message, _DECISIVE, 170), None


def _of_quota(message: str) -> tuple[Mapping[str, str], str, None]:
    if found := _QUOTA.search(message):
        resource, _, asked = found["requested"].split(",")[0].partition("=")
        used, limit = _amount(found["used"], resource), _amount(found["limited"], resource)
        labels = {"resource": resource, "used": used, "limit": limit, "quota": found["quota"], "requested": asked}
        return (
            labels,
            f"quota {mended(found['quota'])} is used up: {resource} {used} of {limit}, a pod asks for {asked}",
            None,
        )
    if found := _MUST_SPECIFY.search(message):
        labels = {"quota": found["quota"], "resource": mended(found["what"].split(" for: ")[0])}
        return labels, f"quota {mended(found['quota'])} wants each pod to say its {mended(found['what'], 100)}", None
    return {}, decisive(message, _DECISIVE, 170), None


def _amount(text: str, resource: str) -> str:
    amounts = dict(part.strip().partition("=")[::2] for part in text.split(","))
    return amounts.get(resource, text)


def quotas_full(seen: Seen) -> list[Symptom]:
    """Quotas of which nothing is left."""
    found = []
    for quota in seen.kind("ResourceQuota"):
        hard, used = mapping(quota, "status", "hard"), mapping(quota, "status", "used")
        for resource, limit in hard.items():
            if resource in used and _is_full(str(used[resource]), str(limit)):
                subject = seen.subject("Namespace", "", namespace_of(quota))
                text = f"quota {mended(name_of(quota))} is used up: {resource} {used[resource]} of {limit}"
                labels = {
                    "resource": resource,
                    "used": str(used[resource]),
                    "limit": str(limit),
                    "quota": name_of(quota),
                }
                found.append(Symptom(subject, "quota_full", fit(text), WARNS, str(resource), None, None, labels))
    return found


def _is_full(used: str, limit: str) -> bool:
    one, other = quantity(used), quantity(limit)
    return one is not None and other is not None and other > 0 and one >= other
