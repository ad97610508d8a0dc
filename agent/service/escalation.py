"""Escalation: calls for a person through Alertmanager, so that the paging people have already wakes them.

`StanchNeedsPerson` fires while a proposal waits, or an outcome that nobody can tell, and nobody has looked at it for so
many minutes. It is sent again until somebody did, and resolved then. It is sealed, so that our own intake knows it when it
comes back. Nobody is called about a call: one that somebody else's Stanch sent is an incident, and ends there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from agent.clock import iso
from agent.domain.events import StateChanged
from agent.domain.incident import Incident, Kind, State
from agent.domain.own_alerts import CALL, OURS, SEAL, seal
from agent.domain.people import is_person
from agent.domain.timeline import Event, events_of
from agent.domain.urgency import Urgency
from agent.gate import startup_audit
from agent.graph.run_context import RunContext
from agent.store import incidents, timeline, urgency
from tools.context import Backend

AGAIN = timedelta(minutes=1)  # between two sendings; Alertmanager forgets an alert that is not repeated
HOLDS = timedelta(minutes=5)  # how long one sending lasts
WAITING = frozenset({State.AWAITING_APPROVAL, State.NEEDS_INPUT})
_WHAT = {State.AWAITING_APPROVAL: "A proposal waits for approval", State.NEEDS_INPUT: "A person has to look"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An incident that waits for a person, since when, and when one last looked."""

    incident: Incident
    since: datetime
    looked: datetime | None

    def unseen_for(self, now: datetime) -> timedelta:
        """How long nobody has looked; zero where somebody did since it began to wait."""
        return timedelta() if self.looked is not None and self.looked >= self.since else now - self.since


class Escalation:
    """`after` is how long somebody has to look by himself; `public_url` where people find the incident."""

    def __init__(self, run_context: RunContext, after: timedelta, public_url: str = "") -> None:
        self._run_context, self._after, self._public_url = run_context, after, public_url
        self._noticed: dict[str, datetime] = {}  # incidents that are not what is anchored, and since when that is known
        self._sent: dict[str, datetime] = {}  # incidents a person is called for, and when last

    async def look(self) -> None:
        """Call for whoever is needed, and stop calling where somebody looked. Raises httpx.HTTPError where it cannot."""
        now = self._run_context.clock.now()
        waiting = {one.incident.id: one for one in [*await self._waiting(), *await self._unsettled(now)]}
        calls = [one for one in waiting.values() if one.unseen_for(now) >= self._after]
        due = [
            one
            for one in calls
            if now - self._sent.get(one.incident.id, datetime.min.replace(tzinfo=now.tzinfo)) >= AGAIN
        ]
        over = [name for name in self._sent if name not in {one.incident.id for one in calls}]
        bodies = [self._body(one.incident, one.since, now + HOLDS) for one in due]
        bodies += [self._body(incident, now, now) for incident in await self._incidents(over)]
        if bodies:
            await self._post(bodies)
        for one in due:
            self._sent[one.incident.id] = now
        for name in over:
            del self._sent[name]
        await self._called([one.incident.id for one in due], now)

    async def _waiting(self) -> list[Waiting]:
        async with self._run_context.db.read() as tx:
            found = [one for one in await incidents.listing(tx, 500, WAITING) if one.labels.get("alertname") != CALL]
            return [_waits(one, await timeline.events(tx, one.id), await urgency.of(tx, one.id)) for one in found]

    async def _unsettled(self, now: datetime) -> list[Waiting]:
        """Incidents that are not what is anchored: nothing of them starts before a person has looked."""
        found = []
        for name in await startup_audit.look(self._run_context.db) if self._run_context.db.unsettled else ():
            since = self._noticed.setdefault(name, now)
            async with self._run_context.db.read() as tx:
                known = await incidents.get(tx, name)
            known = known or Incident(name, State.NEEDS_INPUT, Kind.UNKNOWN, "an incident that is missing", since)
            found.append(Waiting(replace(known, state=State.NEEDS_INPUT), since, None))
        self._noticed = {name: since for name, since in self._noticed.items() if name in self._run_context.db.unsettled}
        return found

    async def _incidents(self, names: Sequence[str]) -> list[Incident]:
        async with self._run_context.db.read() as tx:
            found = [await incidents.get(tx, name) for name in names]
        return [one for one in found if one is not None]

    async def _called(self, names: Sequence[str], now: datetime) -> None:
        async with self._run_context.db.write() as tx:
            for name in names:
                await urgency.called(tx, name, now)

    def _body(self, incident: Incident, since: datetime, until: datetime) -> dict[str, Any]:
        """As `POST /api/v2/alerts` takes it, with the incident's own labels, so that it is routed as its alerts are."""
        said: Mapping[str, str] = {
            **incident.labels,
            "alertname": CALL,
            "source": OURS,
            "incident": incident.id,
            "severity": incident.severity or "critical",
        }
        labels = {name: value for name, value in said.items() if value}
        what = _WHAT.get(incident.state, "It is settled")
        annotations = {
            "summary": f"{what}: {incident.title} ({incident.id})",
            "description": f"stanch incidents show {incident.id}; stanch approvals list",
        }
        return {
            "labels": labels,
            "annotations": {**annotations, SEAL: seal(self._run_context.db.audit_key, labels, annotations)},
            "startsAt": iso(min(since, until)),
            "endsAt": iso(until),
            **({"generatorURL": self._public_url} if self._public_url else {}),
        }

    async def _post(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        for backend in self._run_context.backends.of("alertmanager"):
            await _send(backend, bodies)


async def _send(backend: Backend, bodies: Sequence[Mapping[str, Any]]) -> None:
    assert backend.http is not None
    answer: httpx.Response = await backend.http.post("/api/v2/alerts", json=list(bodies))
    answer.raise_for_status()


def _waits(incident: Incident, events: Sequence[Event], known: Urgency | None) -> Waiting:
    """Since it came into the state it is in. Somebody looked if a surface saw it, or if a person wrote on the timeline."""
    moved = [e.at for e in events_of(events, StateChanged) if e.payload.to is incident.state]
    people = [e.at for e in events if is_person(e.actor)]
    seen = [*people, *([known.seen_at] if known and known.seen_at else [])]
    return Waiting(incident, moved[-1] if moved else incident.since, max(seen, default=None))
