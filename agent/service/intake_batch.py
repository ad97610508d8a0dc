"""An intake batch: what one transaction that groups alerts knows and has changed. A few statements read it, a few write it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent.domain.alert import Alert, AlertStatus
from agent.domain.incident import Incident
from agent.domain.payload import Payload
from agent.domain.timeline import Event
from agent.domain.urgency import Depth, Urgency
from agent.service.correlate import SHORT, name_of, opened_by
from agent.service.routing import STORM
from agent.store import alerts, incidents, timeline, urgency, wakes
from agent.store.alerts import Kept
from agent.store.database import Transaction

LONGER = (SHORT, 12, 16, 32)  # digits of an incident's id, where a shorter one is taken


@dataclass
class IntakeBatch:
    tx: Transaction
    now: datetime
    known: dict[str, list[Kept]]  # by fingerprint, in the order of arrival
    taken: set[
        str
    ]  # of the ids that these alerts might open: those of incidents that are there, or were and are anchored yet
    incidents: dict[str, Incident] = field(default_factory=dict)
    routed: dict[str, Urgency | None] = field(default_factory=dict)
    fresh: list[tuple[str, Alert]] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)  # not what is anchored: nothing may be added to them
    _stored: dict[str, Incident] = field(default_factory=dict)  # as they stand in the store
    _unrouted: set[str] = field(default_factory=set)  # of which no attention is kept
    _rerouted: set[str] = field(default_factory=set)
    _threads: dict[str, dict[str, bool]] = field(default_factory=dict)  # by channel
    _told: list[timeline.Entry] = field(default_factory=list)

    @classmethod
    async def open(cls, tx: Transaction, now: datetime, arrived: Sequence[Alert]) -> IntakeBatch:
        known: dict[str, list[Kept]] = {}
        for one in await alerts.kept(tx, {alert.fingerprint for alert in arrived}):
            known.setdefault(one.fingerprint, []).append(one)
        names = {name_of(alert) for alert in arrived}
        return cls(tx, now, known, await incidents.taken(tx, names) | tx.anchors.known(names))

    async def fetch(self, names: Collection[str]) -> None:
        """Hold these incidents' rows and know what they say, and how deep they are worked."""
        found = await incidents.held(self.tx, names)
        self.incidents |= found
        self._stored |= found
        self.unsettled |= (await timeline.tails(self.tx, found)).keys()
        known = await urgency.among(self.tx, list(found)) if found else {}
        self.routed |= {name: known.get(name) for name in found}
        self._unrouted |= found.keys() - known.keys()

    def incident_of(self, alert: Alert) -> str | None:
        same = [one.incident for one in self.known.get(alert.fingerprint, ()) if one.starts_at == alert.starts_at]
        return same[-1] if same else None

    def last_of(self, alert: Alert) -> str | None:
        found = self.known.get(alert.fingerprint)
        return found[-1].incident if found else None

    async def incident(self, name: str) -> Incident | None:
        """None where nothing may be added to it before a person has settled it."""
        if name not in self.incidents:
            await self.fetch({name})
        return None if name in self.unsettled else self.incidents[name]

    async def opened(self, alert: Alert) -> Incident:
        """The new incident of an alert that belongs to none, under an id that is free."""
        for digits in LONGER:
            incident = opened_by(alert, digits)
            name = incident.id
            there = digits == SHORT and name in self.taken
            if digits != SHORT:
                there = bool(await incidents.taken(self.tx, {name}) or self.tx.anchors.known({name}))
            if not there and name not in self.incidents:
                break
        self.routed[name] = None  # nobody has routed it
        self._unrouted.add(name)
        return incident

    def attention(self, name: str) -> Urgency | None:
        return self.routed.get(name)

    async def threads(self, channel: str, besides: str) -> tuple[int, int]:
        """How many threads the channel got of late, and how many of them mention somebody; `besides` is not counted."""
        if channel not in self._threads:
            self._threads[channel] = await urgency.threads(self.tx, channel, self.now - STORM)
        others = [mentions for name, mentions in self._threads[channel].items() if name != besides]
        return len(others), sum(others)

    def route(self, one: Urgency) -> None:
        self.routed[one.incident] = one
        self._rerouted.add(one.incident)
        opened = self.incidents[one.incident].opened_at
        if one.channel and one.depth.threaded and opened is not None and opened >= self.now - STORM:
            self._threads[one.channel][one.incident] = bool(one.mentions)

    def tell(self, incident: str, told: Payload, actor: str, key: str | None = None, redacted: bool = False) -> None:
        """An event for the incident's timeline, in the order of telling."""
        self._told.append(timeline.Entry(incident, told, actor, self.now, key, redacted))

    def keep(self, incident: Incident, alert: Alert) -> bool:
        """Note the alert; False when the incident knows it."""
        same = self.known.setdefault(alert.fingerprint, [])
        if any(one.incident == incident.id and one.key == alert.key for one in same):
            return False
        same.append(Kept(alert.fingerprint, alert.starts_at, incident.id, alert.key))
        self.incidents[incident.id] = incident
        self.fresh.append((incident.id, alert))
        return True

    async def close(self) -> list[Event]:
        """Write the incidents, their alerts and events, what attention they get, and one wake for each that is to be woken;
        the events."""
        names = list(dict.fromkeys(name for name, _ in self.fresh))
        await incidents.add_all(self.tx, [self.incidents[name] for name in names if name not in self._stored])
        changed = [name for name in names if name in self._stored and self.incidents[name] != self._stored[name]]
        await incidents.save_all(self.tx, [self.incidents[name] for name in changed])
        await alerts.add(self.tx, self.fresh)
        told = await timeline.append_all(self.tx, self._told)
        routed = [one for name in self._rerouted if (one := self.routed[name]) is not None]
        await urgency.add_all(self.tx, [one for one in routed if one.incident in self._unrouted])
        for one in routed:
            if one.incident not in self._unrouted:
                await urgency.put(self.tx, one)
        await wakes.add_all(self.tx, list(self._stirred()), "alert", self.now)
        return told

    def _stirred(self) -> Iterator[str]:
        """Incidents that somebody has to look at: what nobody investigates has nothing to do until an alert clears."""
        for name, alert in self.fresh:
            known = self.routed.get(name)
            if known is None or known.depth is Depth.INVESTIGATE or alert.status is AlertStatus.RESOLVED:
                yield name
