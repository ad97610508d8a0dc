"""Which incident does an alert belong to? Explainable in one line, and the same answer whoever asks again."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.domain.alert import Alert, AlertStatus, severity_rank
from agent.domain.catalog import Catalog
from agent.domain.incident import Incident, Kind, State
from agent.domain.own_alerts import about_us
from agent.platform.known import subjects_about
from agent.service.kinship import (
    Key,
    about,
    beside,
    headline,
    kept_as,
    looked_for,
    model_of,
    service_of,
    workloads_of,
)
from tools.context import Subject

WINDOW = timedelta(minutes=30)  # alerts further apart than this are one incident only where an earlier one still fires
SHORT = 8  # hex digits of an incident's id: of 20,000 incidents two have the same in one of twenty cases
MOST_VALUES = 10_000  # of alerts whose subjects are remembered


@dataclass(frozen=True, slots=True)
class Assignment:
    incident: str | None  # None: a new one
    why: str


@dataclass(frozen=True, slots=True)
class Kin:
    """Where a related alert may stand. `same`: it is about the same thing, which stays one trouble while it fires."""

    key: Key
    why: str
    same: bool = False


class Board:
    """The open incidents, indexed by what their alerts are about, so that one more alert costs a few look-ups."""

    def __init__(self, catalog: Catalog, open_incidents: Iterable[tuple[Incident, Sequence[Alert]]] = ()) -> None:
        self.catalog = catalog
        self._workloads = workloads_of(catalog)
        self._known: dict[str, set[Key]] = {}  # incident → where it stands in the index
        self._index: dict[Key, dict[str, list[datetime]]] = {}  # what is named → incident → when, sorted
        self._standing: dict[
            str, dict[str, tuple[datetime, bool]]
        ] = {}  # incident → fingerprint → when it ended so or began
        self._subjects: dict[tuple[object, ...], tuple[Subject, ...]] = {}
        for incident, alerts in open_incidents:
            self.add(incident.id, alerts)

    def __contains__(self, incident: str) -> bool:
        return incident in self._known

    def add(self, incident: str, alerts: Iterable[Alert]) -> None:
        """More alerts of an incident, which may be new."""
        mine = self._known.setdefault(incident, set())
        standing = self._standing.setdefault(incident, {})
        for alert in alerts:
            stands = (alert.starts_at, alert.status is AlertStatus.RESOLVED)
            standing[alert.fingerprint] = max(stands, standing.get(alert.fingerprint, stands))
            for key in self._names(alert):
                mine.add(key)
                insort(self._index.setdefault(key, {}).setdefault(incident, []), alert.starts_at)

    def fires(self, incident: str) -> bool:
        """Whether one of its alerts has not cleared."""
        return any(not resolved for _, resolved in self._standing.get(incident, {}).values())

    def keep(self, incidents: Collection[str]) -> None:
        """Forget all but these: the others have ended."""
        for gone in self._known.keys() - set(incidents):
            self.forget(gone)

    def forget(self, incident: str) -> None:
        """It has ended."""
        self._standing.pop(incident, None)
        for key in self._known.pop(incident, ()):
            del self._index[key][incident]

    def assign(self, alert: Alert) -> Assignment:
        """Same fingerprint; else what it is about, then the catalog's edges. Close in time, or, of the same thing, while an
        earlier alert of it still fires."""
        for incident, times in self._index.get(("fingerprint", alert.fingerprint), {}).items():
            return Assignment(incident, "the same alert" if alert.starts_at in times else "the same alert again")
        for kin in self._kin(alert):
            for incident, times in self._index.get(_apart(alert, kin.key), {}).items():
                if _close(times, alert.starts_at):
                    return Assignment(incident, kin.why)
                if kin.same and times[0] <= alert.starts_at and self.fires(incident):
                    return Assignment(incident, f"{kin.why}, and an earlier alert still fires")
        return Assignment(None, "nothing open is related to it")

    def subjects(self, alert: Alert) -> tuple[Subject, ...]:
        """What it is about. Asked several times while an alert is taken in, and found once."""
        values = (alert.generator_url, *alert.labels.items())
        if values not in self._subjects:
            if len(self._subjects) >= MOST_VALUES:
                self._subjects.clear()
            self._subjects[values] = subjects_about(alert, self.catalog)
        return self._subjects[values]

    def _names(self, alert: Alert) -> Iterator[Key]:
        yield "fingerprint", alert.fingerprint
        subjects = self.subjects(alert)
        if service := service_of(subjects, self.catalog, self._workloads):
            yield _apart(alert, ("service", service.name))
        if model := model_of(subjects, self.catalog):
            yield _apart(alert, ("model", model))
        for how, found in (("about", about(subjects)), ("beside", beside(subjects))):
            for one in found:
                for key in kept_as(one):
                    yield _apart(alert, (how, *key))

    def _kin(self, alert: Alert) -> Iterator[Kin]:
        """The same thing first, then neighbours in the catalog; what stands beside one alert may be what another is about."""
        subjects = self.subjects(alert)
        for mine, theirs in ((about(subjects), ("about", "beside")), (beside(subjects), ("about",))):
            for one in mine:
                for key in looked_for(one):
                    for how in theirs:
                        yield Kin((how, *key), f"both are about {one.title or one.kind}", same=True)
        yield from self._edges(subjects)

    def _edges(self, subjects: Sequence[Subject]) -> Iterator[Kin]:
        """Neighbours in the catalog, the nearest first, each with the reason in one line."""
        service, model = service_of(subjects, self.catalog, self._workloads), model_of(subjects, self.catalog)
        if service:
            name = service.name
            yield Kin(("service", name), f"both are about {name}", same=True)
            for below in service.depends_on:
                yield Kin(("service", below), f"{name} depends on {below}")
            for above in self.catalog.dependents(name):
                yield Kin(("service", above), f"{above} depends on {name}")
            if service.serves_model:
                yield Kin(("model", service.serves_model), f"{name} serves the model {service.serves_model}")
        for serving in self.catalog.services() if model else ():
            if serving.serves_model == model:
                yield Kin(("service", serving.name), f"{serving.name} serves the model {model}")


def assign(alert: Alert, open_incidents: Sequence[tuple[Incident, Sequence[Alert]]], catalog: Catalog) -> Assignment:
    """As Board.assign, for one alert."""
    return Board(catalog, open_incidents).assign(alert)


def _apart(alert: Alert, key: Key) -> Key:
    """Alerts about Stanch join each other alone: nothing is done in their incident, which must not be somebody else's."""
    return ("stanch", *key) if about_us(alert) else key


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
        title=headline(alert, subjects_about(alert)),
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
