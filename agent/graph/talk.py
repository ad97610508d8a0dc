"""Talking: a question is its own short run over the same case. It reads and replies; it never proposes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.domain.catalog import Person
from agent.domain.events import QuestionAsked, ReplyGiven
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import PlainNote
from agent.domain.text import visible
from agent.domain.timeline import EventOf
from agent.errors import ReasonerFailed
from agent.graph.run_context import RunContext
from agent.graph.steps.look import look, recorded
from agent.graph.steps.think import Checked, checked, names_in, view_of
from agent.reasoner.llm.budget import total
from agent.reasoner.protocol import Look, Reasoner, Reply, Thought
from agent.store import evidence, incidents, timeline

MOST_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Answered:
    text: str
    evidence: tuple[str, ...]
    reads: int
    incident: str


@dataclass
class Talk:
    run_context: RunContext
    reasoner: Reasoner

    async def ask(self, question: str, person: Person, incident: str | None) -> Answered:
        """The answer, every number of it out of evidence. Without an incident the platform at large is asked about."""
        place = incident or await self._conversation(question)
        now = self.run_context.clock.now()
        async with self.run_context.db.write() as tx:
            told = QuestionAsked(text=visible(question, 4_000), to="stanch")
            asked = await timeline.append(tx, place, told, person.principal, now)
        reads = 0
        rejections: tuple[str, ...] = ()
        thoughts: list[Thought] = []
        for _ in range(MOST_LOOKS + 2):
            incident_view = await self.run_context.incident_view(place)
            last = thoughts[-1] if rejections else None
            thoughts.append(await self._next(incident_view, question, rejections, last))
            await self._noted(place, asked, thoughts)
            move, by = thoughts[-1].move, thoughts[-1].by
            if isinstance(move, Look) and reads < MOST_LOOKS * 8:
                reads += await self._look(place, incident_view, move, by, asked.n)
                rejections = ()
                continue
            if not isinstance(move, Reply):
                rejections = ("This is a question: look or reply. Nothing is proposed here.",)
                continue
            result = checked(move, incident_view.evidence, names_in(incident_view, self.run_context.catalog()))
            if result.dropped and not rejections:
                rejections = result.reasons
                continue
            return await self._reply(place, thoughts, result, asked, person, reads)
        return await self._reply(place, thoughts, Checked(Reply("")), asked, person, reads)

    async def _next(
        self, incident_view: IncidentView, question: str, rejections: tuple[str, ...], last: Thought | None
    ) -> Thought:
        view = view_of(incident_view, self.run_context, question=question, rejections=rejections, last=last)
        try:
            return await self.reasoner.next_move(view)
        except ReasonerFailed as error:
            note = PlainNote(text=f"no answer: {visible(str(error), 300)}", show=True)
            return Thought(Reply("No answer."), "stanch", notes=(note,))

    async def _look(self, place: str, incident_view: IncidentView, move: Look, by: str, asked: int) -> int:
        context = self.run_context.context(incident_view)
        if self.run_context.tools.maps(call.read for call in move.calls):
            await self.run_context.knowledge.refresh(context)
            context = self.run_context.context(incident_view)
        for i, one in enumerate(await look(move.calls, self.run_context.tools, context)):
            key = f"ask{asked}:{len(incident_view.evidence)}:{i}"
            what = recorded(one, by, context, {"question": asked}, self.run_context.redact)
            async with self.run_context.db.write() as tx:
                epoch = await incidents.hold(tx, place)
                await evidence.record(tx, place, epoch, what, self.run_context.clock.now(), key)
        return len(move.calls)

    async def _noted(self, place: str, asked: EventOf[QuestionAsked], thoughts: Sequence[Thought]) -> None:
        """What belongs on the timeline (a fail-over, a repair), before the next thought: that one goes by it."""
        thought, now = thoughts[-1], self.run_context.clock.now()
        async with self.run_context.db.write() as tx:
            for i, note in enumerate(thought.notes):
                key = f"ask{asked.n}:{len(thoughts)}:note{i}"
                await timeline.append(tx, place, note, thought.by, now, key)

    async def _reply(
        self,
        place: str,
        thoughts: Sequence[Thought],
        result: Checked,
        asked: EventOf[QuestionAsked],
        person: Person,
        reads: int,
    ) -> Answered:
        """The answer on the timeline, with what thinking of it cost."""
        given = result.move.text if isinstance(result.move, Reply) else ""
        text = given or "The evidence does not answer that. Here is what was read: " + (
            ", ".join((await self.run_context.incident_view(place)).evidence) or "nothing"
        )
        ids = result.evidence
        now, by = self.run_context.clock.now(), thoughts[-1].by
        spent = total([one.spent for one in thoughts])
        async with self.run_context.db.write() as tx:
            if spent.tokens:
                note = PlainNote(text="a question was answered", spent=spent)
                await timeline.append(tx, place, note, by, now, f"ask{asked.n}:spent")
            told = ReplyGiven(text=text, evidence=ids, to=person.principal, question=asked.payload.text)
            await timeline.append(tx, place, told, by, now)
        return Answered(text, ids, reads, place)

    async def _conversation(self, question: str) -> str:
        """A closed incident of its own to keep the evidence of a question that belongs to none."""
        now = self.run_context.clock.now()
        identity = "ask-" + hashlib.sha256(f"{question}:{now.isoformat()}".encode()).hexdigest()[:8]
        incident = Incident(identity, State.NEW, Kind.NONE, visible(question, 200), now, opened_at=now)
        async with self.run_context.db.write() as tx:
            await incidents.add(tx, incident)
            await incidents.save(tx, replace(incident.to(State.CLOSED), ended_at=now))
        return identity
