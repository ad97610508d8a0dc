"""The run context: how the graph's steps read an incident and write to its timeline. No decision is made here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from agent.domain.alert import Alert
from agent.domain.catalog import Catalog
from agent.domain.events import StateChanged
from agent.domain.evidence import Evidence, Recorded
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView, fold
from agent.domain.notes import (
    GivenToPerson,
    MoveMade,
)
from agent.domain.payload import Payload
from agent.domain.redact import Redactor
from agent.errors import StanchError, UnusableInput
from agent.library.index import Library, LibraryShelf
from agent.platform.knowledge import Knowledge
from agent.reasoner.protocol import Move, NotChecked
from agent.store import alerts, changes, evidence, incidents, timeline
from agent.store.database import Database, Transaction
from tools.context import Backends, Change, Clock, Context, Model, Service
from tools.toolbox import Tools


class Run(TypedDict, total=False):
    """What a checkpoint holds: ids and counters; everything else stands in the store."""

    incident: str
    next: str  # the step that follows
    moves: int  # thought so far
    told: list[str]  # what the reasoner must be told, once
    proposal: str  # being decided, run or verified
    waits_for: str  # a WaitsFor
    why: str  # why the last wait ended


@dataclass
class RunContext:
    db: Database
    clock: Clock
    library: Library
    catalog: Callable[[], Catalog]
    tools: Tools
    backends: Backends
    redact: Redactor
    reports: Path
    http: Any = None  # httpx.AsyncClient for configured addresses
    knowledge: Knowledge = field(default_factory=Knowledge)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def incident_view(self, incident_id: str) -> IncidentView:
        async with self.db.read() as tx:
            incident = await incidents.get(tx, incident_id)
            if incident is None:
                raise UnusableInput(f"There is no incident {incident_id!r}. `stanch incidents list` shows them.")
            return fold(incident, await alerts.of(tx, incident_id), await timeline.events(tx, incident_id))

    def last_move(self, incident_view: IncidentView) -> tuple[Move, int, str]:
        """The newest move, its number, and who made it."""
        for event in reversed(incident_view.events):
            if isinstance(made := event.payload, MoveMade):
                return made.move, made.number, made.by
        raise StanchError(f"The timeline of {incident_view.incident.id} holds no move.")

    def context(self, incident_view: IncidentView) -> Context:
        """What the incident's reads may touch, as of now on the incident's clock."""
        labels = dict(incident_view.incident.labels)
        platform = self.knowledge.of(self.catalog())
        service, model = subject(self.catalog(), labels, incident_view.alerts)
        if service and "service" not in labels:
            labels["service"] = service.name
        if model and "model" not in labels:
            labels["model"] = model.name
        if service and "cluster" not in labels and len(service.clusters) == 1:
            labels["cluster"] = service.clusters[0]
        return Context(
            clock=self.clock,
            as_of=self.clock.now(),
            backends=self.backends,
            catalog=self.catalog(),
            changes=PostedChanges(self.db),
            evidence=Bodies(self.db, incident_view.incident.id),
            evidence_index=LibraryShelf(self.library),
            labels=labels,
            subjects=platform.subjects_of(incident_view.alerts),
            platform=platform,
            since=incident_view.incident.since,
            http=self.http,
        )

    async def context_of(self, incident_id: str) -> Context:
        """As `context`, by id; an incident that is not kept has no labels."""
        async with self.db.read() as tx:
            known = await incidents.get(tx, incident_id)
        if known is None:
            return self.context(IncidentView(Incident(incident_id, State.NEW, Kind.NONE, "", self.clock.now())))
        return self.context(await self.incident_view(incident_id))

    # -- writing ------------------------------------------------------------------------------------------------------

    async def record(self, incident_id: str, run: int, what: Recorded, key: str) -> Evidence:
        async with self.db.write() as tx:
            return await evidence.record(tx, incident_id, run, what, self.clock.now(), key)

    async def append(self, incident_id: str, run: int, told: Payload, key: str | None = None) -> None:
        """An event of Stanch's own; with `key` once only. Raises Overtaken when `run` is no longer the epoch."""
        async with self.db.write() as tx:
            await timeline.append(tx, incident_id, told, "stanch", self.clock.now(), key, run)

    async def move_to(self, incident_id: str, run: int, state: State, why: str) -> None:
        async with self.db.write() as tx:
            await self.move_in(tx, incident_id, run, state, why)

    async def close_new(self, tx: Transaction, names: Collection[str], why: str) -> None:
        """Those of these incidents that nobody has looked at yet end without anybody having done so."""
        now = self.clock.now()
        told = StateChanged(from_=State.NEW, to=State.CLOSED, why=why)
        closed = await incidents.close_new(tx, names, now) if names else {}
        ends = [timeline.Entry(one, told, "stanch", now) for one in names if one in closed]
        await timeline.append_all(tx, ends)

    async def give_up(self, incident_id: str, why: str) -> None:
        """Hand the incident to a person because Stanch itself cannot go on."""
        async with self.db.write() as tx:
            run = await incidents.claim_run(tx, incident_id)
            told = GivenToPerson(text=why, hand_over=why, not_checked=(NotChecked("the rest", why),))
            await timeline.append(tx, incident_id, told, "stanch", self.clock.now(), None, run)
            if (await self.get(tx, incident_id)).state is State.NEW:
                await self.move_in(tx, incident_id, run, State.INVESTIGATING, "somebody looks at it now")
            if not (await self.get(tx, incident_id)).state.ended:
                await self.move_in(tx, incident_id, run, State.HANDED_OVER, why)

    async def move_in(self, tx: Transaction, incident_id: str, run: int, state: State, why: str) -> None:
        """As `move_to`, in a transaction that does more. Legal transitions only; being there already is no event."""
        incident = await self.get(tx, incident_id)
        if incident.state is state:
            return
        after = incident.to(state)
        now = self.clock.now()
        await incidents.save(tx, replace(after, ended_at=now if state.ended else None))
        told = StateChanged(from_=incident.state, to=state, why=why)
        await timeline.append(tx, incident_id, told, "stanch", now, None, run)

    async def get(self, tx: Transaction, incident_id: str) -> Incident:
        """The row of an incident that is there."""
        incident = await incidents.get(tx, incident_id)
        assert incident is not None
        return incident


def subject(
    catalog: Catalog, labels: Mapping[str, str], alerts: Sequence[Alert]
) -> tuple[Service | None, Model | None]:
    """The service and model an incident is about: by its shared labels, else by the first alert that names one."""
    places = [labels, *(alert.labels for alert in alerts)]
    service = next((s for place in places if (s := catalog.service_for(place))), None)
    model = next((m for place in places if (m := catalog.model_for(place, service))), None)
    if service is None and model is not None:
        service = catalog.service(model.served_by)
    return service, model


@dataclass(frozen=True)
class PostedChanges:
    """tools.context.Changes out of the store."""

    db: Database

    async def between(self, since: Any, until: Any) -> Sequence[Change]:
        async with self.db.read() as tx:
            return await changes.between(tx, since, until)


@dataclass(frozen=True)
class Bodies:
    """tools.context.EvidenceBook: the whole of one incident's evidence."""

    db: Database
    incident: str

    async def body(self, evidence_id: str) -> str | None:
        async with self.db.read() as tx:
            return await evidence.body(tx, self.incident, evidence_id)
