"""Talking: a question is its own short run over the same case. It reads and replies; it never proposes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from agent.case.catalog import Person
from agent.case.dossier import Dossier
from agent.case.incident import Incident, Kind, State
from agent.case.text import visible
from agent.case.timeline import EventKind
from agent.errors import ReasonerFailed
from agent.look import look, recorded
from agent.notebook import Notebook
from agent.reasoner.moves import Look, Reasoner, Reply
from agent.store import evidence, incidents, timeline
from agent.think import Checked, checked, names_in, view_of

MOST_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Answered:
    text: str
    evidence: tuple[str, ...]
    reads: int
    incident: str


@dataclass
class Talk:
    notebook: Notebook
    reasoner: Reasoner

    async def ask(self, question: str, person: Person, incident: str | None) -> Answered:
        """The answer, every number of it out of evidence. Without an incident the platform at large is asked about."""
        place = incident or await self._conversation(question)
        now = self.notebook.clock.now()
        async with self.notebook.db.write() as tx:
            data = {"text": visible(question, 4_000), "to": "stanch"}
            asked = await timeline.append(tx, place, EventKind.QUESTION, person.principal, data, now)
        reads = 0
        rejections: tuple[str, ...] = ()
        for _ in range(MOST_LOOKS + 2):
            dossier = await self.notebook.dossier(place)
            move, by = await self._next(dossier, question, rejections)
            if isinstance(move, Look) and reads < MOST_LOOKS * 8:
                reads += await self._look(place, dossier, move, by, asked.n)
                rejections = ()
                continue
            if not isinstance(move, Reply):
                rejections = ("This is a question: look or reply. Nothing is proposed here.",)
                continue
            result = checked(move, dossier.evidence, names_in(dossier, self.notebook.catalog()))
            if result.dropped and not rejections:
                rejections = result.reasons
                continue
            return await self._reply(place, by, result, person, reads)
        return await self._reply(place, "stanch", Checked(Reply("")), person, reads)

    async def _next(self, dossier: Dossier, question: str, rejections: tuple[str, ...]) -> tuple[object, str]:
        book = self.notebook
        view = view_of(
            dossier, book.catalog(), book.library, book.tools, book.backends, book.clock.now(),
            question=question, rejections=rejections,
        )  # fmt: skip
        try:
            thought = await self.reasoner.next_move(view)
        except ReasonerFailed as error:
            return Reply(f"No answer: {visible(str(error), 200)}"), "stanch"
        return thought.move, thought.by

    async def _look(self, place: str, dossier: Dossier, move: Look, by: str, asked: int) -> int:
        context = self.notebook.context(dossier)
        for i, one in enumerate(await look(move.calls, self.notebook.tools, context)):
            key = f"ask{asked}:{len(dossier.evidence)}:{i}"
            what = recorded(one, by, context, {"question": asked}, self.notebook.redact)
            async with self.notebook.db.write() as tx:
                epoch = await incidents.hold(tx, place)
                await evidence.record(tx, place, epoch, what, self.notebook.clock.now(), key)
        return len(move.calls)

    async def _reply(self, place: str, by: str, result: Checked, person: Person, reads: int) -> Answered:
        text = result.texts.get("reply") or "The evidence does not answer that. Here is what was read: " + (
            ", ".join((await self.notebook.dossier(place)).evidence) or "nothing"
        )
        ids = tuple(result.texts.get("evidence", ()))
        async with self.notebook.db.write() as tx:
            data = {"text": text, "evidence": list(ids), "to": person.principal}
            await timeline.append(tx, place, EventKind.REPLY, by, data, self.notebook.clock.now())
        return Answered(text, ids, reads, place)

    async def _conversation(self, question: str) -> str:
        """A closed incident of its own to keep the evidence of a question that belongs to none."""
        now = self.notebook.clock.now()
        identity = "ask-" + hashlib.sha256(f"{question}:{now.isoformat()}".encode()).hexdigest()[:8]
        incident = Incident(identity, State.NEW, Kind.NONE, visible(question, 200), now, opened_at=now)
        async with self.notebook.db.write() as tx:
            await incidents.add(tx, incident)
            await incidents.save(tx, replace(incident.to(State.CLOSED), ended_at=now))
        return identity
