"""Which incident does an alert belong to? Explainable in one line, and the same answer whoever asks again."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.domain.alert import Alert, severity_rank
from agent.domain.catalog import Catalog
from agent.domain.incident import Incident, Kind, State
from agent.domain.own_alerts import about_us
from agent.domain.text import rounded
from tools.context import Service

WINDOW = timedelta(minutes=30)  # alerts further apart than this need the same fingerprint to be one incident
SHORT = 8  # hex digits of an incident's id: of 20,000 incidents two have the same in one of twenty cases
MOST_VALUES = 10_000  # of labels whose service is remembered
_SHARED = ("service", "workload", "deployment", "job", "model", "app")  # labels that name one thing


@dataclass(frozen=True, slots=True)
class Assignment:
    incident: str | None  # None: a new one
    why: str


Key = tuple[str, ...]


class Board:
    """The open incidents, indexed by what their alerts name, so that one more alert costs a few look-ups."""

    def __init__(self, catalog: Catalog, open_incidents: Iterable[tuple[Incident, Sequence[Alert]]] = ()) -> None:
        self.catalog = catalog
        self._known: dict[str, set[Key]] = {}  # incident → where it stands in the index
        self._index: dict[Key, dict[str, list[datetime]]] = {}  # what is named → incident → when, sorted
        self._deciding = sorted({label for service in catalog.services() for label in service.match})
        self._services: dict[tuple[str | None, ...], Service | None] = {}  # by the values of those labels
        for incident, alerts in open_incidents:
            self.add(incident.id, alerts)

    def __contains__(self, incident: str) -> bool:
        return incident in self._known

    def add(self, incident: str, alerts: Iterable[Alert]) -> None:
        """More alerts of an incident, which may be new."""
        mine = self._known.setdefault(incident, set())
        for alert in alerts:
            for key in self._names(alert):
                mine.add(key)
                insort(self._index.setdefault(key, {}).setdefault(incident, []), alert.starts_at)

    def keep(self, incidents: Collection[str]) -> None:
        """Forget all but these: the others have ended."""
        for gone in self._known.keys() - set(incidents):
            self.forget(gone)

    def forget(self, incident: str) -> None:
        """It has ended."""
        for key in self._known.pop(incident, ()):
            del self._index[key][incident]

    def assign(self, alert: Alert) -> Assignment:
        """Same fingerprint; else the catalog's edges, then shared labels, both only close in time."""
        for incident, times in self._index.get(("fingerprint", alert.fingerprint), {}).items():
            return Assignment(incident, "the same alert" if alert.starts_at in times else "the same alert again")
        for key, why in self._kin(alert):
            for incident, times in self._index.get(key, {}).items():
                if _close(times, alert.starts_at):
                    return Assignment(incident, why)
        return Assignment(None, "nothing open is related to it")

    def _names(self, alert: Alert) -> Iterator[Key]:
        yield "fingerprint", alert.fingerprint
        if service := self._service_of(alert):
            yield _apart(alert, ("service", service.name))
        if model := alert.labels.get("model"):
            yield _apart(alert, ("model", model))
        for key, _ in _shared(alert):
            yield _apart(alert, key)

    def _kin(self, alert: Alert) -> Iterator[tuple[Key, str]]:
        for key, why in (*self._edges(alert), *_shared(alert)):
            yield _apart(alert, key), why

    def _service_of(self, alert: Alert) -> Service | None:
        """As the catalog says, which looks at every service: once for alerts that do not differ in what it looks at."""
        values = tuple(alert.labels.get(label) for label in self._deciding)
        if values not in self._services:
            if len(self._services) >= MOST_VALUES:
                self._services.clear()
            self._services[values] = self.catalog.service_for(alert.labels)
        return self._services[values]

    def _edges(self, alert: Alert) -> Iterator[tuple[Key, str]]:
        """Neighbours in the catalog, the nearest first, each with the reason in one line."""
        service, model = self._service_of(alert), alert.labels.get("model", "")
        if service:
            name = service.name
            yield ("service", name), f"both are about {name}"
            for below in service.depends_on:
                yield ("service", below), f"{name} depends on {below}"
            for above in self.catalog.dependents(name):
                yield ("service", above), f"{above} depends on {name}"
            if service.serves_model:
                yield ("model", service.serves_model), f"{name} serves the model {service.serves_model}"
        for serving in self.catalog.services() if model else ():
            if serving.serves_model == model:
                yield ("service", serving.name), f"{serving.name} serves the model {model}"


def assign(alert: Alert, open_incidents: Sequence[tuple[Incident, Sequence[Alert]]], catalog: Catalog) -> Assignment:
    """As Board.assign, for one alert."""
    return Board(catalog, open_incidents).assign(alert)


def _apart(alert: Alert, key: Key) -> Key:
    """Alerts about Stanch join each other alone: nothing is done in their incident, which must not be somebody else's."""
    return ("stanch", *key) if about_us(alert) else key


def _shared(alert: Alert) -> Iterator[tuple[Key, str]]:
    cluster = alert.labels.get("cluster", "")
    for name in _SHARED:
        if value := alert.labels.get(name):
            yield ("label", name, value, cluster), f"both have {name}={value}"


def _close(times: Sequence[datetime], when: datetime) -> bool:
    """Whether one of the sorted times lies within the window."""
    at = bisect_left(times, when - WINDOW)
    return at < len(times) and times[at] <= when + WINDOW


def name_of(alert: Alert, digits: int = SHORT) -> str:
    """The id of the incident that it opens; it comes from the alert, so that the same alert again finds it."""
    told = f"{alert.fingerprint}:{alert.starts_at.isoformat()}".encode()
    return "inc-" + hashlib.sha256(told).hexdigest()[:digits]


def opened_by(alert: Alert, digits: int = SHORT) -> Incident:
    """A new incident. More `digits` for its id where another alert's incident has the short one."""
    return Incident(
        id=name_of(alert, digits),
        state=State.NEW,
        kind=Kind.UNKNOWN,
        title=rounded(alert.summary or alert.name),
        since=alert.starts_at,
        severity=alert.severity,
        alerts=(alert.fingerprint,),
        labels=dict(alert.labels),
    )


def joined(incident: Incident, alert: Alert) -> Incident:
    """The incident with one more alert: earliest start, worst severity, labels that all of them share."""
    shared: Mapping[str, str] = {k: v for k, v in incident.labels.items() if alert.labels.get(k) == v}
    worst = min((incident.severity, alert.severity), key=severity_rank)
    fingerprints = incident.alerts if alert.fingerprint in incident.alerts else (*incident.alerts, alert.fingerprint)
    return replace(
        incident, since=min(incident.since, alert.starts_at), severity=worst, alerts=fingerprints, labels=shared
    )
