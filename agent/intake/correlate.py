"""Which incident does an alert belong to? Explainable in one line, and the same answer whoever asks again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from agent.case.alert import Alert
from agent.case.catalog import Catalog
from agent.case.incident import Incident, Kind, State

WINDOW = timedelta(minutes=30)  # alerts further apart than this need the same fingerprint to be one incident
_SEVERITIES = ("critical", "page", "error", "warning", "info", "none", "")
_SHARED = ("service", "workload", "deployment", "job", "model", "app")  # labels that name one thing


@dataclass(frozen=True, slots=True)
class Assignment:
    incident: str | None  # None: a new one
    why: str


def assign(alert: Alert, open_incidents: Sequence[tuple[Incident, Sequence[Alert]]], catalog: Catalog) -> Assignment:
    """Same fingerprint; else the catalog's edges, then shared labels, both only close in time."""
    for incident, alerts in open_incidents:
        if any(a.fingerprint == alert.fingerprint and a.starts_at == alert.starts_at for a in alerts):
            return Assignment(incident.id, "the same alert")
    close = [
        (incident, other)
        for incident, alerts in open_incidents
        for other in alerts
        if abs(other.starts_at - alert.starts_at) <= WINDOW
    ]
    for edge in (_catalog_edge, _shared_label):
        for incident, other in close:
            if why := edge(alert, other, catalog):
                return Assignment(incident.id, why)
    return Assignment(None, "nothing open is related to it")


def _catalog_edge(alert: Alert, other: Alert, catalog: Catalog) -> str | None:
    mine, theirs = catalog.service_for(alert.labels), catalog.service_for(other.labels)
    if mine and theirs:
        if mine.name == theirs.name:
            return f"both are about {mine.name}"
        if theirs.name in mine.depends_on:
            return f"{mine.name} depends on {theirs.name}"
        if mine.name in theirs.depends_on:
            return f"{theirs.name} depends on {mine.name}"
    for service, labels in ((mine, other.labels), (theirs, alert.labels)):
        if service and service.serves_model and labels.get("model") == service.serves_model:
            return f"{service.name} serves the model {service.serves_model}"
    return None


def _shared_label(alert: Alert, other: Alert, catalog: Catalog) -> str | None:
    if alert.labels.get("cluster") != other.labels.get("cluster"):
        return None
    for name in _SHARED:
        if (value := alert.labels.get(name)) and value == other.labels.get(name):
            return f"both have {name}={value}"
    return None


def opened_by(alert: Alert) -> Incident:
    """A new incident; its id comes from the alert, so that the same alert again finds it."""
    return Incident(
        id="inc-" + hashlib.sha256(f"{alert.fingerprint}:{alert.starts_at.isoformat()}".encode()).hexdigest()[:8],
        state=State.NEW,
        kind=Kind.UNKNOWN,
        title=alert.summary or alert.name,
        since=alert.starts_at,
        severity=alert.severity,
        alerts=(alert.fingerprint,),
        labels=dict(alert.labels),
    )


def joined(incident: Incident, alert: Alert) -> Incident:
    """The incident with one more alert: earliest start, worst severity, labels that all of them share."""
    shared: Mapping[str, str] = {k: v for k, v in incident.labels.items() if alert.labels.get(k) == v}
    worst = min((incident.severity, alert.severity), key=_rank)
    fingerprints = incident.alerts if alert.fingerprint in incident.alerts else (*incident.alerts, alert.fingerprint)
    return replace(
        incident, since=min(incident.since, alert.starts_at), severity=worst, alerts=fingerprints, labels=shared
    )


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity.lower()) if severity.lower() in _SEVERITIES else len(_SEVERITIES)
