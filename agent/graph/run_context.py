"""The run context: how the graph's steps read an incident and write to its timeline. No decision is made here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.domain.catalog import Catalog
from agent.domain.events import ClaimDropped, Compacted, FindingMade, QuestionAsked, StateChanged
from agent.domain.evidence import Evidence, Recorded
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView, fold
from agent.domain.notes import (
    BrokenRunbook,
    ConversationGrewLong,
    GivenToPerson,
    MoveMade,
    PastIncident,
    Recalled,
    ReportWritten,
    RunbookFound,
)
from agent.domain.payload import Payload
from agent.domain.redact import Redactor
from agent.domain.report import render
from agent.errors import StanchError, UnusableInput
from agent.graph.steps.think import Checked, move_made, subject
from agent.library.index import Library, LibraryShelf
from agent.reasoner.protocol import AskPerson, Conclude, Move, NotChecked, Propose, Thought
from agent.store import alerts, changes, evidence, incidents, timeline, wakes
from agent.store.database import Database, Transaction
from tools.backends import installed
from tools.context import Backends, Change, Clock, Context
from tools.toolbox import Tools

SIMILAR = 3  # past incidents recalled


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
        service, model = subject(self.catalog(), labels, incident_view.alerts)
        if service and "service" not in labels:
            labels["service"] = service.name
        if model and "model" not in labels:
            labels["model"] = model.name
        if service and "cluster" not in labels and len(service.clusters) == 1:
            labels["cluster"] = service.clusters[0]
        return Context(
            clock=self.clock, as_of=self.clock.now(), backends=self.backends, catalog=self.catalog(),
            changes=PostedChanges(self.db), evidence=Bodies(self.db, incident_view.incident.id), evidence_index=LibraryShelf(self.library),
            labels=labels, http=self.http,
        )  # fmt: skip

    async def context_of(self, incident_id: str) -> Context:
        """As `context`, by id; an incident that is not kept has no labels."""
        async with self.db.read() as tx:
            known = await incidents.get(tx, incident_id)
        if known is None:
            return self.context(IncidentView(Incident(incident_id, State.NEW, Kind.NONE, "", self.clock.now())))
        return self.context(await self.incident_view(incident_id))

    # -- writing ------------------------------------------------------------------------------------------------------

    async def recall(self, incident_id: str, run: int, moves: int = 0) -> None:
        incident_view = await self.incident_view(incident_id)
        service, model = subject(self.catalog(), incident_view.incident.labels, incident_view.alerts)
        matches = await LibraryShelf(self.library).match(incident_view.alerts, service)
        past = await self._similar(incident_view)
        async with self.db.write() as tx:
            await self._move(tx, incident_id, run, State.INVESTIGATING, "somebody looks at it now")
            broken = self.library.broken
            told = Recalled(
                text="recalled",
                runbooks=tuple(RunbookFound(m.name, round(m.score, 4), m.section, m.why) for m in matches),
                past=tuple(past),
                broken=tuple(BrokenRunbook(str(one.path), one.why) for one in broken),
                tools=tuple(read.name for read in self.tools.offered(self.backends).reads),
                not_checked=(
                    *(NotChecked(f"runbook {one.path.name}", f"passed over: {one.why}") for one in broken),
                    *self._not_configured(model is not None),
                ),
            )
            key = f"recall:{moves}" if moves else "recall"
            await timeline.append(tx, incident_id, told, "stanch", self.clock.now(), key, run)

    def _not_configured(self, about_model: bool) -> list[NotChecked]:
        """What cannot be looked at for want of a backend; a model's places only where a model is concerned."""
        kinds = [kind for kind in installed() if kind.shows and (about_model or not kind.about_models)]
        return [
            NotChecked(kind.shows, f"no {kind.kind} is configured")
            for kind in sorted(kinds, key=lambda kind: kind.about_models)
            if not self.backends.has(kind.kind)
        ]

    async def _similar(self, incident_view: IncidentView) -> list[PastIncident]:
        """Ended incidents in which the same alert fired, newest first, with what was found."""
        names = {alert.name for alert in incident_view.alerts}
        found: list[PastIncident] = []
        async with self.db.read() as tx:
            for incident in await incidents.listing(tx, 200, {State.RECOVERED, State.NO_FAULT, State.HANDED_OVER}):
                if incident.id == incident_view.incident.id or not names & {
                    a.name for a in await alerts.of(tx, incident.id)
                }:
                    continue
                past = fold(incident, (), await timeline.events(tx, incident.id))
                found.append(PastIncident(incident.id, str(incident.state), str(past.cause or "unknown")))
                if len(found) == SIMILAR:
                    break
        return found

    async def write_move(
        self, incident_id: str, run: int, thought: Thought, result: Checked, number: int, told: Sequence[str]
    ) -> None:
        """The move, its findings and what was dropped, in one transaction."""
        now = self.clock.now()
        async with self.db.write() as tx:
            await self._back_to_work(tx, incident_id, run)
            for i, extra in enumerate(thought.notes):
                noted = Compacted(text=extra.compaction) if isinstance(extra, ConversationGrewLong) else extra
                await timeline.append(tx, incident_id, noted, thought.by, now, f"note:{number}:{i}", run)
            made = move_made(thought, result, number, told)
            await timeline.append(tx, incident_id, made, thought.by, now, f"move:{number}", run)
            for i, finding in enumerate(result.findings):
                found = FindingMade(finding=finding)
                await timeline.append(tx, incident_id, found, thought.by, now, f"finding:{number}:{i}", run)
            for i, lost in enumerate(result.dropped):
                dropped = ClaimDropped(text=lost.claim.text, why=lost.why)
                await timeline.append(tx, incident_id, dropped, thought.by, now, f"dropped:{number}:{i}", run)
            if isinstance(result.move, Propose | Conclude) and result.move.kind is not Kind.UNKNOWN:
                incident = await self._get(tx, incident_id)
                await incidents.save(tx, replace(incident, kind=result.move.kind))
            if isinstance(result.move, AskPerson):
                asked = QuestionAsked(text=result.move.question or "What should be done?")
                await timeline.append(tx, incident_id, asked, thought.by, now, f"ask:{number}", run)
                await self._move(tx, incident_id, run, State.NEEDS_INPUT, "a person is asked")

    async def _back_to_work(self, tx: Transaction, incident_id: str, run: int) -> None:
        incident = await self._get(tx, incident_id)
        if incident.state in (State.AWAITING_APPROVAL, State.NEEDS_INPUT):
            await self._move(tx, incident_id, run, State.INVESTIGATING, "it goes on")

    async def record(self, incident_id: str, run: int, what: Recorded, key: str) -> Evidence:
        async with self.db.write() as tx:
            return await evidence.record(tx, incident_id, run, what, self.clock.now(), key)

    async def append(self, incident_id: str, run: int, told: Payload, key: str | None = None) -> None:
        """An event of Stanch's own; with `key` once only. Raises Overtaken when `run` is no longer the epoch."""
        async with self.db.write() as tx:
            await timeline.append(tx, incident_id, told, "stanch", self.clock.now(), key, run)

    async def move_to(self, incident_id: str, run: int, state: State, why: str) -> None:
        async with self.db.write() as tx:
            await self._move(tx, incident_id, run, state, why)

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
            if (await self._get(tx, incident_id)).state is State.NEW:
                await self._move(tx, incident_id, run, State.INVESTIGATING, "somebody looks at it now")
            if not (await self._get(tx, incident_id)).state.ended:
                await self._move(tx, incident_id, run, State.HANDED_OVER, why)

    async def close(self, incident_view: IncidentView, run: int, end: State, move: Conclude) -> None:
        """The last state, and the report that shows it. What has ended is not gone on with by itself: until the run has
        ended too, a wake stands for a report that a crash may have cut off."""
        async with self.db.write() as tx:
            await self._move(tx, incident_view.incident.id, run, end, str(move.cause))
            await wakes.add(tx, incident_view.incident.id, "report", self.clock.now())
        path = self.reports / f"{incident_view.incident.id}.md"
        whole = self.redact(render(await self.incident_view(incident_view.incident.id)))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(whole, encoding="utf-8")
        part.replace(path)
        async with self.db.write() as tx:
            told = ReportWritten(text=f"report: {path}", report=str(path))
            await timeline.append(tx, incident_view.incident.id, told, "stanch", self.clock.now(), "report", run)

    async def _move(self, tx: Transaction, incident_id: str, run: int, state: State, why: str) -> None:
        """Legal transitions only; being there already is no event."""
        incident = await self._get(tx, incident_id)
        if incident.state is state:
            return
        after = incident.to(state)
        now = self.clock.now()
        await incidents.save(tx, replace(after, ended_at=now if state.ended else None))
        told = StateChanged(from_=incident.state, to=state, why=why)
        await timeline.append(tx, incident_id, told, "stanch", now, None, run)

    async def _get(self, tx: Transaction, incident_id: str) -> Incident:
        incident = await incidents.get(tx, incident_id)
        assert incident is not None
        return incident


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
