"""The worker: runs an incident's graph until it rests, and decides from the facts whether a resting run has to go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.domain.alert import Alert, AlertStatus, standing
from agent.domain.events import OutcomeKnown, ProposalSealed, QuestionAsked, ReplyGiven
from agent.domain.incident_view import IncidentView
from agent.domain.notes import Steered
from agent.domain.timeline import tells
from agent.errors import UnusableInput
from agent.gate.proposal import Proposal, ProposalState
from agent.gate.restore import asks_after_restore
from agent.graph.run_context import RunContext
from agent.graph.steps.propose import Judge
from agent.graph.waits import WaitsFor, Wake, Why
from agent.store import incidents, timeline, wakes

_NOT_OURS = (
    "Something else has written to checkpoints.db. What was done stands in stanch.db; a person has to take over."
)


_WITHDRAWN = (ProposalState.VOIDED, ProposalState.EXPIRED, ProposalState.SUPERSEDED)


class RestKind(StrEnum):
    ENDED = "ended"
    STOPPED = "stopped"  # between two steps, because the process stops
    PERSON = "person"  # an approval or an answer is awaited
    CLOCK = "clock"  # a verification window passes


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a run rests. `due` is when a clock wakes it by itself (an expiry, a verification)."""

    kind: RestKind
    waits_for: WaitsFor | None = None
    due: datetime | None = None
    proposal: str | None = None


class Worker:
    """One runner an incident: whoever holds the data folder's lock. Overtaken ends a run that has a successor."""

    def __init__(self, run_context: RunContext, judge: Judge, build: Callable[[], Awaitable[Any]]) -> None:
        self._run_context = run_context
        self._judge = judge
        self._build = build
        self._graph: Any = None
        self._building = asyncio.Lock()
        self._stopping = False

    async def warm(self) -> None:
        """Have the graph ready before the first run, which would otherwise wait for LangGraph to load."""
        await self._ready()

    def stop(self) -> None:
        """From now on runs rest after the step they are at, at its checkpoint."""
        self._stopping = True

    async def run(self, incident: str) -> Rest:
        """Go on until the run ends, or nothing new has happened that it waits for."""
        from langgraph.types import Command

        graph = await self._ready()
        async with self._run_context.db.write() as tx:
            await timeline.tail(tx, incident)
            epoch = await incidents.claim_run(tx, incident)
        self._run_context.db.unsettled.pop(incident, None)
        config = {"configurable": {"thread_id": incident, "run": epoch}, "recursion_limit": 500}
        while not self._stopping:
            if await self._asks_after_restore(incident):
                return Rest(RestKind.PERSON, WaitsFor.PERSON)
            state = await graph.aget_state(config)
            if state.created_at is None:
                await self._go(graph, {"incident": incident}, config)
            elif str(state.values.get("incident", incident)) != incident:  # the very first knows of none yet
                raise UnusableInput(f"The checkpoint of {incident} is not its own. {_NOT_OURS}")
            elif state.interrupts:
                interrupt = state.interrupts[0]
                wake = await self._news(incident, interrupt.value, epoch)
                if wake is None:
                    return await self._rest(incident, interrupt.value)
                await self._go(graph, Command(resume={interrupt.id: wake.to_json()}), config)
            elif state.tasks:
                await self._go(graph, None, config)
            elif await self._open_again(incident):
                await self._go(graph, {"incident": incident}, config)
            else:
                return Rest(RestKind.ENDED)
        return Rest(RestKind.STOPPED)

    async def _asks_after_restore(self, incident: str) -> bool:
        """Whether people have still to say how it goes on behind a restore. What a checkpoint would go on with is of before."""
        incident_view = await self._run_context.incident_view(incident)
        return asks_after_restore(incident_view.events) and not (
            settled_news(incident_view) or spoken_since_asked(incident_view) or incident_view.incident.state.ended
        )

    async def _open_again(self, incident: str) -> bool:
        """Whether a run that has ended is wanted once more: a related alert opened the incident again."""
        async with self._run_context.db.read() as tx:
            known = await incidents.get(tx, incident)
        return known is not None and not known.state.ended

    async def _ready(self) -> Any:
        async with self._building:  # runs that begin side by side share one graph and one file of checkpoints
            self._graph = self._graph or await self._build()
        return self._graph

    async def _go(self, graph: Any, given: Any, config: Mapping[str, Any]) -> None:
        """Step by step; the checkpoint of a step is written before the next one begins."""
        moved = False
        async with aclosing(graph.astream(given, config, durability="sync", stream_mode="updates")) as steps:
            async for _ in steps:
                moved = True
                if self._stopping:
                    return
        if not moved:  # the same checkpoint again and again, for ever
            raise UnusableInput(f"The checkpoint of {config['configurable']['thread_id']} leads nowhere. {_NOT_OURS}")

    async def _news(self, incident: str, waits: Mapping[str, Any], epoch: int) -> Wake | None:
        """The reason to answer the interrupt with, or None. Proposals that lost their reason are voided on the way."""
        now = self._run_context.clock.now()
        incident_view = await self._run_context.incident_view(incident)
        async with self._run_context.db.write() as tx:
            next_due = await wakes.next_due(tx, incident)
            await wakes.clear(tx, incident, now)
        waits_for = WaitsFor.read(waits["for"])
        if waits_for is WaitsFor.PERSON or asks_after_restore(incident_view.events):
            return settled_news(incident_view) or (Wake(Why.ANSWERED) if spoken_since_asked(incident_view) else None)
        if waits_for is WaitsFor.CLOCK:
            return Wake(Why.DUE, waits["proposal"]) if next_due is not None and next_due <= now else None
        proposal = await self._judge.current(incident)
        if proposal is None:
            return Wake(Why.SUPERSEDED)
        why = approval_news(proposal, incident_view, now) or (Why.SUPERSEDED if proposal.state in _WITHDRAWN else None)
        if why is None:
            why = await self._judge.outside(proposal, self._run_context.context(incident_view))
        if why is not None and why.voids:
            await self._judge.void(proposal, str(why), epoch)
        return Wake(why, proposal.id) if why else None

    async def _rest(self, incident: str, waits: Mapping[str, Any]) -> Rest:
        async with self._run_context.db.read() as tx:
            due = await wakes.next_due(tx, incident)
        waits_for = WaitsFor.read(waits["for"])
        kind = RestKind.CLOCK if waits_for is WaitsFor.CLOCK else RestKind.PERSON
        return Rest(kind, waits_for, due, waits.get("proposal"))


def approval_news(proposal: Proposal, incident_view: IncidentView, now: datetime) -> Why | None:
    """What has become of an approval that is awaited."""
    if proposal.state is ProposalState.APPROVED:
        return Why.APPROVED
    if proposal.state in (ProposalState.DENIED, ProposalState.REVOKED, ProposalState.DENIED_BY_POLICY):
        return Why.DENIED
    if proposal.approve_by is not None and proposal.approve_by <= now:
        return Why.EXPIRED
    if incident_view.alerts and cleared(incident_view.alerts):
        return Why.CLEARED
    if steered_since_proposed(incident_view, proposal.id):
        return Why.STEERED
    return None


def cleared(alerts: Sequence[Alert]) -> bool:
    """Whether the newest signal of every alert says resolved."""
    return all(alert.status is AlertStatus.RESOLVED for alert in standing(alerts))


def steered_since_proposed(incident_view: IncidentView, proposal: str) -> bool:
    seen = False
    for event in incident_view.events:
        seen = seen or (tells(event, ProposalSealed) and event.payload.id == proposal)
        if seen and tells(event, Steered):
            return True
    return False


def settled_news(incident_view: IncidentView) -> Wake | None:
    """Whether a person has said since what became of an UNKNOWN: what was done is watched, else it is thought again."""
    for event in reversed(incident_view.events):
        match event.payload:
            case QuestionAsked() | OutcomeKnown(settled_by=""):
                return None
            case OutcomeKnown(proposal=proposal, outcome=outcome):
                sealed = incident_view.proposals.get(proposal)
                undone = sealed.parent if sealed else None
                return Wake(Why.SETTLED if outcome == "DONE" and not undone else Why.ANSWERED, proposal)
    return None


def spoken_since_asked(incident_view: IncidentView) -> bool:
    """Whether somebody answered or steered after the last question, or after the outcome nobody could tell."""
    for event in reversed(incident_view.events):
        match event.payload:
            case Steered() | ReplyGiven(to="stanch"):
                return True
            case QuestionAsked() | OutcomeKnown():
                return False
    return False
