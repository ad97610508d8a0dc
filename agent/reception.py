"""The reception: alerts become incidents. Which one, why, and what attention it may take, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agent.case.alert import Alert, AlertStatus
from agent.case.attention import Attention
from agent.case.incident import Incident, State
from agent.case.redact import Redactor
from agent.case.text import visible
from agent.case.timeline import EventKind
from agent.intake.correlate import Board, joined, opened_by
from agent.intake.route import STORM, Routes, deeper, in_a_storm
from agent.notebook import Notebook
from agent.store import alerts, attention, incidents, timeline, wakes
from agent.store.alerts import Kept, alert_json
from agent.store.database import Transaction

LONG = 4_000  # characters of one label or annotation that the timeline keeps; the alert's row keeps all
MOST_OPEN, MOST_LATE = 5_000, 20
AGAIN = timedelta(hours=1)  # an alert that comes back so soon after a person got it is no new incident
LATE = timedelta(minutes=10)  # so long after an inconclusive end a related alert opens the incident again
WITH_A_PERSON = frozenset({State.HANDED_OVER, State.INCONCLUSIVE, State.NO_FAULT})


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one alert. `incident` is None when it was resolved before anybody heard of it."""

    alert: Alert
    incident: str | None
    why: str
    duplicate: bool = False


class Reception:
    """`routes` None: whoever hands the alerts in looks after them (a terminal); nothing is posted."""

    def __init__(self, notebook: Notebook, routes: Routes | None = None, most_threads: int = 3) -> None:
        self._notebook = notebook
        self._routes = routes
        self._most_threads = most_threads
        self._board = Board(notebook.catalog())

    async def take(self, tx: Transaction, arrived: Sequence[Alert]) -> list[Received]:
        """Each alert with its incident, in the order of their starts. A transaction that fails needs a new Reception."""
        await self._refresh(tx)
        sitting = await _Sitting.open(tx, self._notebook.clock.now(), arrived)
        received = [await self._one(sitting, alert) for alert in sorted(arrived, key=lambda a: a.starts_at)]
        await sitting.close()
        return received

    async def _refresh(self, tx: Transaction) -> None:
        """The board as the store has it: other processes open incidents and end them too."""
        if self._board.catalog is not self._notebook.catalog():
            self._board = Board(self._notebook.catalog())
        found = await incidents.open_ids(tx, MOST_OPEN)
        since = self._notebook.clock.now() - LATE
        for one in await incidents.listing(tx, MOST_LATE, {State.INCONCLUSIVE}):
            found += [one.id] if one.ended_at is not None and one.ended_at >= since else []
        self._board.keep(found)
        for incident in found:
            if incident not in self._board:
                self._board.add(incident, await alerts.of(tx, incident))

    async def _one(self, sitting: _Sitting, alert: Alert) -> Received:
        alert = redacted(alert, sitting.tx.redact)
        known = sitting.incident_of(alert)
        if known is not None:
            return await self._keep(sitting, await sitting.incident(known), alert, "the same alert")
        if alert.status is AlertStatus.RESOLVED:
            return Received(alert, None, "it was resolved before it was known here")
        found = self._board.assign(alert)
        if found.incident is not None:
            before = await sitting.incident(found.incident)
            if before.state is State.INCONCLUSIVE and alert.fingerprint not in before.alerts:
                before = await self._open_again(sitting, before, alert)
            return await self._keep(sitting, joined(before, alert), alert, found.why)
        if (back := await self._back(sitting, alert)) is not None:
            return await self._keep(sitting, back, alert, f"the same alert again, after {back.state.replace('_', ' ')}")
        incident = replace(opened_by(alert), opened_at=sitting.now)
        await incidents.add(sitting.tx, incident)
        sitting.incidents[incident.id] = sitting.stored[incident.id] = incident
        sitting.routed[incident.id] = None  # nobody has routed it
        return await self._keep(sitting, incident, alert, found.why)

    async def _open_again(self, sitting: _Sitting, incident: Incident, alert: Alert) -> Incident:
        """What was inconclusive a moment ago is looked at once more: the alert may say what was missing."""
        again = replace(incident.to(State.INVESTIGATING), ended_at=None)
        data = {"from": str(incident.state), "to": str(again.state), "why": f"{visible(alert.name, 100)} fired as well"}
        await timeline.append(sitting.tx, incident.id, EventKind.STATE, "stanch", data, sitting.now)
        return again

    async def _back(self, sitting: _Sitting, alert: Alert) -> Incident | None:
        """The incident that was handed to a person a short while ago and whose alert fires once more: flapping."""
        last = sitting.last_of(alert)
        past = await sitting.incident(last) if last else None
        if past is None or past.state not in WITH_A_PERSON or past.ended_at is None:
            return None
        return past if alert.starts_at - past.ended_at <= AGAIN else None

    async def _keep(self, sitting: _Sitting, incident: Incident, alert: Alert, why: str) -> Received:
        if not sitting.keep(incident, alert):
            return Received(alert, incident.id, why, duplicate=True)
        self._board.add(incident.id, [alert])
        data = {**_short(alert_json(alert)), "why": why}
        await timeline.append(
            sitting.tx, incident.id, EventKind.ALERT, alert.source, data, sitting.now, f"alert:{alert.key}", fresh=True
        )
        if self._routes is not None and alert.status is AlertStatus.FIRING:
            await self._route(sitting, incident.id, alert, self._routes)
        return Received(alert, incident.id, why)

    async def _route(self, sitting: _Sitting, incident: str, alert: Alert, routes: Routes) -> None:
        known, fresh = await sitting.attention(incident), routes.attention(incident, alert)
        one = deeper(known, fresh)
        if one == known:
            return
        threads, mentioned = await attention.threads(sitting.tx, one.channel, sitting.now - STORM, besides=incident)
        spared = in_a_storm(one, threads, mentioned, self._most_threads)
        if spared != known:
            await attention.put(sitting.tx, spared, fresh=known is None)
            sitting.routed[incident] = spared


@dataclass
class _Sitting:
    """What one transaction knows and has changed: read once, written once."""

    tx: Transaction
    now: datetime
    signals: dict[str, list[Kept]]  # by fingerprint, in the order of arrival
    incidents: dict[str, Incident] = field(default_factory=dict)
    stored: dict[str, Incident] = field(default_factory=dict)  # as they stand in the store
    routed: dict[str, Attention | None] = field(default_factory=dict)
    fresh: list[tuple[str, Alert]] = field(default_factory=list)

    @classmethod
    async def open(cls, tx: Transaction, now: datetime, arrived: Sequence[Alert]) -> _Sitting:
        signals: dict[str, list[Kept]] = {}
        for one in await alerts.kept(tx, {alert.fingerprint for alert in arrived}):
            signals.setdefault(one.fingerprint, []).append(one)
        return cls(tx, now, signals)

    def incident_of(self, alert: Alert) -> str | None:
        same = [one.incident for one in self.signals.get(alert.fingerprint, ()) if one.starts_at == alert.starts_at]
        return same[-1] if same else None

    def last_of(self, alert: Alert) -> str | None:
        found = self.signals.get(alert.fingerprint)
        return found[-1].incident if found else None

    async def incident(self, name: str) -> Incident:
        if name not in self.incidents:
            await incidents.hold(self.tx, name)
            found = await incidents.get(self.tx, name)
            assert found is not None
            self.incidents[name] = self.stored[name] = found
        return self.incidents[name]

    async def attention(self, name: str) -> Attention | None:
        if name not in self.routed:
            self.routed[name] = await attention.of(self.tx, name)
        return self.routed[name]

    def keep(self, incident: Incident, alert: Alert) -> bool:
        """Note the signal; False when the incident knows it."""
        known = self.signals.setdefault(alert.fingerprint, [])
        if any(one.incident == incident.id and one.key == alert.key for one in known):
            return False
        known.append(Kept(alert.fingerprint, alert.starts_at, incident.id, alert.key))
        self.incidents[incident.id] = incident
        self.fresh.append((incident.id, alert))
        return True

    async def close(self) -> None:
        """Write the signals, what changed of the incidents, and one wake for each."""
        await alerts.add(self.tx, self.fresh)
        for name in dict.fromkeys(name for name, _ in self.fresh):
            if self.incidents[name] != self.stored.get(name):
                await incidents.save(self.tx, self.incidents[name])
            await wakes.add(self.tx, name, "alert", self.now)


def redacted(alert: Alert, redact: Redactor) -> Alert:
    """The alert without secrets in what people wrote into it. Its fingerprint stays, so that it is still the same alert."""
    return replace(
        alert, labels=redact.value(dict(alert.labels)), annotations=redact.value(dict(alert.annotations)),
        generator_url=redact(alert.generator_url), extra=redact.value(dict(alert.extra)),
    )  # fmt: skip


def _short(data: dict[str, Any]) -> dict[str, Any]:
    """The alert with long values cut visibly; nothing is lost, the whole stays with the alert."""
    return {
        **data,
        **{
            part: {k: visible(v, LONG) if len(v) > LONG else v for k, v in data[part].items()}
            for part in ("labels", "annotations")
        },
    }
