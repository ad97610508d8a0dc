"""The API: the few use-cases every surface calls. Receive, work, converse, decide, list, show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agent.clock import iso
from agent.domain.alert import Alert
from agent.domain.catalog import Catalog, Person
from agent.domain.incident import ENDED, Incident, Kind, State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import Steered
from agent.domain.redact import Redactor
from agent.domain.text import visible
from agent.domain.timeline import Event
from agent.errors import NotEntitled, UnusableInput
from agent.gate import audit, kill_switch, proposal_store, restore, startup_audit
from agent.gate.explain import Explanation
from agent.gate.kill_switch import Stopped
from agent.gate.policy import Policy, Request
from agent.gate.prepare import Prepared
from agent.gate.proposal import WAITING, Proposal, ProposalState
from agent.gate.restore import Settled
from agent.gate.scorecard import Row, rows
from agent.graph.run_context import RunContext
from agent.graph.steps.propose import Judge
from agent.graph.talk import Answered, Talk
from agent.graph.worker import Rest, Worker
from agent.library.index import Library
from agent.service.dispatcher import Dispatcher
from agent.service.escalation import Escalation
from agent.service.grouping import Grouping, Received
from agent.service.inbox import Inbox
from agent.service.outbox import Outbox
from agent.service.suggestion_followup import SuggestionFollowup
from agent.settings import Settings
from agent.store import decisions, evidence, incidents, timeline, wakes
from agent.store.lock import RunnerLock
from tools.context import Backends, Clock, Context, Subject
from tools.toolbox import Tools

Listener = Callable[[Event], None]
NO_INCIDENT = "by-hand"  # stands for an incident where a tool is called without one
MOST_SCORED = 5_000  # incidents, the newest
LONG = 4_000  # characters of one label or annotation that the timeline keeps; the alert's row keeps all


@dataclass
class Api:
    run_context: RunContext
    worker: Worker
    judge: Judge
    talk: Talk
    suggestion_followup: SuggestionFollowup

    # -- receive ------------------------------------------------------------------------------------------------------

    async def receive(self, arrived: Sequence[Alert]) -> list[Received]:
        """Keep the alerts, each with its incident, in one transaction: all of them or none."""
        async with self.run_context.db.write() as tx:
            return await Grouping(self.run_context).take(tx, arrived)

    # -- work ---------------------------------------------------------------------------------------------------------

    async def work(self, incident: str) -> Rest:
        """Run the incident until it ends or rests."""
        return await self.worker.run(incident)

    async def steer(self, incident: str, person: Person, text: str) -> None:
        """A person's words for the reasoner; they wake the run and void a proposal that waits."""
        now = self.run_context.clock.now()
        async with self.run_context.db.write() as tx:
            note = Steered(text=f"{person.principal}: {text}", steer=visible(text, LONG))
            await timeline.append(tx, incident, note, person.principal, now)
            await wakes.add(tx, incident, "steered", now)

    async def pause(self, incident: str, person: Person) -> None:
        """Nothing is looked at, proposed or started any more until somebody steers; what waits is voided."""
        await self._halt(incident, person, "paused")

    async def hand_over(self, incident: str, person: Person) -> None:
        """The person takes over: what waits is voided, and the incident concludes with what is known."""
        await self._halt(incident, person, "taken over")

    async def _halt(self, incident: str, person: Person, how: str) -> None:
        if person.name is None:
            raise NotEntitled(f"{person.principal} is nobody in the catalog. Add them under people in catalog.yaml.")
        found, now = await self.find(incident), self.run_context.clock.now()
        if found.state.ended:
            raise UnusableInput(f"{incident} has ended: it is {found.state}. There is nothing to stop.")
        async with self.run_context.db.write() as tx:
            note = Steered(text=f"{how} by {person.principal}", steer=how, halt=how, who=person.name)
            await timeline.append(tx, incident, note, person.principal, now)
            await wakes.add(tx, incident, how, now)
        async with self.run_context.db.read() as tx:
            waiting = [p for p in await proposal_store.of(tx, incident) if p.state in WAITING]
        for proposal in waiting:
            why = f"{how} by {person.principal}"
            await proposal_store.withdraw(
                self.run_context.db, self.run_context.clock, proposal.id, ProposalState.VOIDED, why
            )

    async def ask(self, question: str, person: Person, incident: str | None = None) -> Answered:
        """A question about an incident, or the platform at large: reads and a reply, never a proposal."""
        return await self.talk.ask(question, person, incident)

    # -- decide -------------------------------------------------------------------------------------------------------

    async def decide(
        self, proposal: str, digest: str, person: Person, answer: str, reason: str = "", demo: bool = False
    ) -> Proposal:
        """approve, deny or revoke exactly the proposal with this digest."""
        return await self.judge.decide(proposal, digest, person, answer, reason, demo)

    async def missing(self, proposal: Proposal) -> int:
        """How many more people have to approve it."""
        return await self.judge.missing(proposal)

    async def settle(self, proposal: str, person: Person, done: bool, reason: str) -> Proposal:
        """A person says what became of an action whose outcome is UNKNOWN; the incident goes on from there."""
        return await self.judge.settle(proposal, person, done, reason)

    async def edit(self, proposal: str, person: Person, changes: Mapping[str, Any]) -> Proposal:
        """A new proposal with some arguments changed; the old one is superseded."""
        return await self.judge.edit(proposal, person, changes)

    async def stop(self, person: Person, reason: str) -> Stopped | None:
        """Nothing of this installation is started any more, until somebody resumes."""
        return await kill_switch.press(self.run_context.db, self.run_context.clock, person, True, reason)

    async def resume(self, person: Person, reason: str) -> Stopped | None:
        return await kill_switch.press(self.run_context.db, self.run_context.clock, person, False, reason)

    async def accept_restore(self, person: Person, reason: str) -> list[Settled]:
        """A person accepts that what the anchors tell of and the database lost is lost; what may have run is asked about."""
        return await restore.accept(self.run_context.db, self.run_context.clock, person, reason)

    async def unsettled(self) -> dict[str, str]:
        """Of each incident in which nothing may start, because it is not what is anchored, why."""
        return await startup_audit.look(self.run_context.db)

    async def stopped(self) -> Stopped | None:
        """Who has stopped everything, if anybody has."""
        return await kill_switch.stopped(self.run_context.db)

    def request(
        self,
        action: str,
        arguments: Mapping[str, Any],
        where: Mapping[str, str],
        at: datetime | None,
        now: Mapping[str, Any],
    ) -> Request:
        """What policy would be asked about an action by hand; `where` and `at` instead of the catalog's word and the present."""
        return self.judge.request(action, arguments, where, at, now)

    async def explain(self, request: Request) -> Explanation:
        """Rule by rule why policy says what it says, then freezes, budgets and the kill switch."""
        return await self.judge.explain(request)

    # -- list and show ------------------------------------------------------------------------------------------------

    async def incidents(self, limit: int = 50, only_open: bool = False) -> list[Incident]:
        async with self.run_context.db.read() as tx:
            found = await incidents.listing(tx, limit, set(State) - ENDED if only_open else None)
        return [
            incident for incident in found if not incident.id.startswith("ask-") and incident.id != kill_switch.RECORD
        ]

    async def states(self) -> dict[State, int]:
        """How many incidents are in each state."""
        async with self.run_context.db.read() as tx:
            found = await incidents.states(tx)
        return {state: found.get(state, 0) for state in State}

    async def find(self, prefix: str) -> Incident:
        """The one incident whose id starts so."""
        async with self.run_context.db.read() as tx:
            found = await incidents.find(tx, prefix)
        if len(found) == 1:
            return found[0]
        what = "No incident has" if not found else f"{len(found)} incidents have"
        raise UnusableInput(f"{what} an id that starts with {prefix!r}. `stanch incidents list` shows them.")

    async def incident_view(self, incident: str) -> IncidentView:
        return await self.run_context.incident_view(incident)

    async def events(self, incident: str, after: int = 0) -> list[Event]:
        async with self.run_context.db.read() as tx:
            return await timeline.events(tx, incident, after)

    async def evidence_body(self, incident: str, evidence_id: str) -> str | None:
        async with self.run_context.db.read() as tx:
            return await evidence.body(tx, incident, evidence_id)

    async def proposals(self, only_open: bool = True) -> list[Proposal]:
        async with self.run_context.db.read() as tx:
            return await proposal_store.listing(tx, {ProposalState.OPEN} if only_open else None)

    async def proposals_of(self, incident: str) -> list[Proposal]:
        """Every proposal of one incident, as the gate holds it now."""
        async with self.run_context.db.read() as tx:
            return await proposal_store.of(tx, incident)

    async def approval_json(self, proposal: Proposal) -> dict[str, Any]:
        """One entry of `approvals list --json`."""
        async with self.run_context.db.read() as tx:
            made = await decisions.of(tx, proposal.id)
        return proposal.listed(
            [{"by": d.principal, "at": iso(d.at), "answer": d.answer, "reason": d.reason} for d in made]
        )

    async def preview(self, action: str, arguments: Mapping[str, Any], person: Person) -> Prepared:
        """What an action would change and what policy says; nothing is kept and nothing runs."""
        return await self.judge.preview(action, arguments, person, NO_INCIDENT)

    async def scorecard(self) -> list[Row]:
        """How proposals fared, by action and environment; suggestions that were followed by hand are looked for first."""
        await self.suggestion_followup.look()
        async with self.run_context.db.read() as tx:
            known = await incidents.listing(tx, MOST_SCORED)
        return rows([await self.run_context.incident_view(one.id) for one in known if one.id != kill_switch.RECORD])

    async def audit(self) -> list[audit.Break]:
        """Where a timeline is not what was written."""
        return await audit.verify(self.run_context.db)

    def subjects(self, incident_view: IncidentView) -> tuple[Subject, ...]:
        """What an incident's alerts are about, as far as is known at present."""
        return self.run_context.context(incident_view).subjects

    def context(self) -> Context:
        """What a read called by hand may touch."""
        return self.run_context.context(
            IncidentView(Incident(NO_INCIDENT, State.NEW, Kind.NONE, "by hand", self.now()))
        )

    async def proposal(self, prefix: str) -> Proposal:
        """The one proposal whose id or digest starts so, or the only one of an incident that is open."""
        every = await self.proposals(only_open=False)
        found = [p for p in every if p.id == prefix] or [
            p for p in every if p.id.startswith(prefix) or p.digest.startswith(prefix)
        ]
        found = [p for p in found if p.state in WAITING] or found
        if len(found) == 1:
            return found[0]
        what = "No proposal has" if not found else f"{len(found)} proposals have"
        raise UnusableInput(f"{what} an id that starts with {prefix!r}. `stanch approvals list` shows them.")

    def person(self, principal: str) -> Person:
        return self.run_context.catalog().person(principal)

    def now(self) -> datetime:
        return self.run_context.clock.now()


@dataclass(frozen=True)
class App:
    """All that a surface holds of one data folder; agent.app puts it together. `clock` may be the lab's."""

    settings: Settings
    clock: Clock
    api: Api
    catalog: Catalog
    policy: Callable[[], Policy]  # what holds at this moment
    library: Library
    tools: Tools
    backends: Backends
    lock: RunnerLock
    redact: Redactor
    inbox: Inbox
    watch: Dispatcher
    escalation: Escalation
    audit_key_place: tuple[
        str, str, str
    ]  # where the audit key lies, where the anchors do, and who else can read the key
    outbox: Callable[[str], Outbox]  # of a surface, by its name
    warm: Callable[[], Awaitable[None]]  # loads ahead of the first incident; without it that one waits 2 s longer


class Opener(Protocol):
    """`agent.app.open_app`, handed to the surfaces by the entry point."""

    def __call__(
        self, settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = ()
    ) -> AbstractAsyncContextManager[App]: ...
