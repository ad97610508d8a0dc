"""Thinking: what a reasoner is given to see, and what becomes of the move it makes once code has checked it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.domain.catalog import Catalog
from agent.domain.cause import Cause, Fault
from agent.domain.claims.claims import Filled, Problem, check, fill
from agent.domain.events import ClaimDropped, Compacted, FindingMade, QuestionAsked, ReplyGiven
from agent.domain.evidence import Evidence
from agent.domain.finding import Claim, Dropped, Finding
from agent.domain.incident import Kind, State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import ConversationGrewLong, MoveMade, PlainNote, Steered
from agent.domain.timeline import Event, events_of
from agent.errors import ReasonerFailed
from agent.graph.run_context import Run, RunContext, subject
from agent.graph.waits import WaitsFor
from agent.library.runbook import Match, Runbook
from agent.reasoner.llm.budget import total, used
from agent.reasoner.progress import CIRCLES, TOLD, idle
from agent.reasoner.protocol import (
    AskPerson,
    Conclude,
    Look,
    Move,
    NotChecked,
    Propose,
    Reasoner,
    Reply,
    RuledOut,
    Thought,
    View,
)
from agent.store import incidents, timeline
from agent.store.database import Transaction


@dataclass
class ThinkStep:
    run_context: RunContext
    reasoner: Reasoner
    most_moves: int

    async def __call__(self, state: Run, run: int) -> Run:
        """Ask the reasoner for the next move and check what it says; carry out a move that a crash left behind."""
        number = state.get("moves", 0) + 1
        incident_view = await self.run_context.incident_view(state["incident"])
        made = [event.payload for event in events_of(incident_view.events, MoveMade)]
        left = next((one.move for one in made if one.number == number), None)
        if left is None:
            circles = idle(incident_view.events) == 1
            told = [*state.get("told", []), *([TOLD] if circles else [])]
            thought, result = await self._next(incident_view, number, told)
            if circles:
                thought = replace(thought, notes=(PlainNote(text=CIRCLES, show=True), *thought.notes))
            await self._write(state["incident"], run, thought, result, number, told)
        move = left or result.move
        return {"moves": number, "told": [], **_step_for(move)}

    async def _next(self, incident_view: IncidentView, number: int, told: list[str]) -> tuple[Thought, Checked]:
        """The next move, checked; the reasoner is told once about what did not hold."""
        if (word := halted(incident_view)) is not None:
            return Thought(word.move, "stanch"), word
        most = self.most_moves + min(
            used(incident_view.events).steps, self.most_moves
        )  # a model's are its own budget's
        if number > most:
            end = gives_up(f"the budget of {most} steps is spent", incident_view)
            return Thought(end, "stanch"), Checked(end)
        names = names_in(incident_view, self.run_context.catalog())
        rejections = tuple(told)
        refused: list[Thought] = []
        for again in (False, True):
            last = refused[-1] if refused else None
            try:
                thought = await self.reasoner.next_move(
                    view_of(incident_view, self.run_context, rejections=rejections, last=last)
                )
            except ReasonerFailed as error:
                end = gives_up(str(error), incident_view)
                return together(refused, Thought(end, "stanch")), Checked(end)
            result = checked(thought.move, incident_view.evidence, names)
            if isinstance(thought.move, Reply):
                rejections = ("reply only answers a person's question; look, propose, ask or conclude.",)
            elif not result.dropped or again:
                break
            else:
                rejections = result.reasons
            refused.append(thought)
        thought = together([one for one in refused if one is not thought], thought)
        if isinstance(thought.move, Reply):
            end = gives_up("the reasoner did not make a move", incident_view)
            return Thought(end, "stanch"), Checked(end)
        return thought, unknown_if_unfounded(result, incident_view)

    async def _write(
        self, incident_id: str, run: int, thought: Thought, result: Checked, number: int, told: Sequence[str]
    ) -> None:
        """The move, its findings and what was dropped, in one transaction."""
        now = self.run_context.clock.now()
        async with self.run_context.db.write() as tx:
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
                incident = await self.run_context.get(tx, incident_id)
                await incidents.save(tx, replace(incident, kind=result.move.kind))
            if isinstance(result.move, AskPerson):
                asked = QuestionAsked(text=result.move.question or "What should be done?")
                await timeline.append(tx, incident_id, asked, thought.by, now, f"ask:{number}", run)
                await self.run_context.move_in(tx, incident_id, run, State.NEEDS_INPUT, "a person is asked")

    async def _back_to_work(self, tx: Transaction, incident_id: str, run: int) -> None:
        incident = await self.run_context.get(tx, incident_id)
        if incident.state in (State.AWAITING_APPROVAL, State.NEEDS_INPUT):
            await self.run_context.move_in(tx, incident_id, run, State.INVESTIGATING, "it goes on")


def _step_for(move: Move) -> Run:
    match move:
        case Look():
            return {"next": "look"}
        case Propose():
            return {"next": "judge"}
        case AskPerson():
            return {"next": "wait", "waits_for": WaitsFor.PERSON.value}
    return {"next": "conclude"}


def view_of(incident_view: IncidentView, run_context: RunContext, **more: Any) -> View:
    """The case as a reasoner sees it. `more`: question, rejections, last."""
    catalog, library = run_context.catalog(), run_context.library
    service, model = subject(catalog, incident_view.incident.labels, incident_view.alerts)
    matches = tuple(Match(r.name, r.score, r.section, r.why) for r in incident_view.runbooks)
    books = {m.name: book for m in matches if (book := library.book(m.name)) is not None}
    books |= {
        name: book
        for one in list(books.values())
        for name in named_in(one, library.names())
        if (book := library.book(name))
    }
    offered = run_context.tools.offered(run_context.backends)
    return View(
        incident=incident_view.incident,
        alerts=incident_view.alerts,
        events=incident_view.events,
        evidence=incident_view.evidence,
        runbooks=matches,
        bodies=books,
        catalog=catalog,
        service=service,
        model=model,
        reads=offered.reads,
        actions=offered.actions,
        now=run_context.clock.now(),
        steering=steering(incident_view.events),
        **more,
    )


def named_in(book: Runbook, names: Sequence[str]) -> list[str]:
    """The other runbooks that a runbook's text sends its reader to."""
    words = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", book.text))
    return [name for name in names if name in words and name != book.name and "-" in name]


def steering(events: Sequence[Event]) -> tuple[str, ...]:
    """What people said since the last move."""
    said: list[str] = []
    for event in events:
        match event.payload:
            case MoveMade():
                said = []
            case Steered(steer=words):
                said.append(f"{event.actor}: {words}")
            case ReplyGiven(to="stanch", text=text):
                said.append(f"{event.actor} answered: {text}")
    return tuple(said)


def names_in(incident_view: IncidentView, catalog: Catalog) -> frozenset[str]:
    """Names that may stand in a text although they hold digits: of the catalog, and of labels that were really seen."""
    labels = [a.labels for a in incident_view.alerts] + [
        f.labels for e in incident_view.evidence.values() for f in e.facts
    ]
    seen = {text for label in labels for pair in label.items() for text in pair}
    texts = {str(f.value) for e in incident_view.evidence.values() for f in e.facts if isinstance(f.value, str)}
    return catalog.names() | seen | texts | {r.name for r in incident_view.runbooks}


@dataclass(frozen=True)
class Checked:
    """A move as it is kept, its texts filled in, with the findings that held and what did not. `evidence` is a reply's."""

    move: Move
    findings: tuple[Finding, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(f"Dropped: {d.claim.text!r}: {d.why}" for d in self.dropped)


def checked(move: Move, evidence: Mapping[str, Evidence], names: frozenset[str]) -> Checked:
    """Every text a move carries, checked against the evidence; what does not hold is taken out."""
    claims: tuple[Claim, ...] = move.claims if isinstance(move, Look | Propose | Conclude) else ()
    results = [check(claim, evidence, names) for claim in claims]
    findings = tuple(r for r in results if isinstance(r, Finding))
    dropped = [r for r in results if isinstance(r, Dropped)]

    def said(template: str) -> Filled | None:
        """The text with its references filled in; what does not hold is dropped."""
        result = fill(template, evidence, names)
        if isinstance(result, Problem):
            dropped.append(Dropped(Claim(template), result.why))
            return None
        return result

    sources: tuple[str, ...] = ()
    match move:
        case Propose():
            move = replace(move, why=_text(said(move.why)), ruled_out=_ruled_out(move, said))
        case AskPerson():
            move = replace(move, question=_text(said(move.question)))
        case Reply():
            answer = said(move.text)
            sources = answer.evidence if answer else ()
            move = replace(move, text=_with_sources(move.text, answer, evidence, names) if answer else "")
        case Conclude():
            words = (_text(said(move.hand_over)) or "A person has to take over.") if move.hand_over else ""
            move = replace(move, hand_over=words, ruled_out=_ruled_out(move, said))
    return Checked(move, findings, tuple(dropped), sources)


def _ruled_out(move: Propose | Conclude, said: Callable[[str], Filled | None]) -> tuple[RuledOut, ...]:
    return tuple(
        RuledOut(one.cause, why.text, one.evidence or why.evidence)
        for one in move.ruled_out
        if (why := said(one.why)) is not None
    )


def _text(filled: Filled | None) -> str:
    return filled.text if filled else ""


def _with_sources(template: str, whole: Filled, evidence: Mapping[str, Evidence], names: frozenset[str]) -> str:
    """A reply filled in line by line, each with the evidence its numbers are from: `rose to 2.1 s [E3]`."""
    lines = []
    for line in template.split("\n"):
        result = fill(line, evidence, names)
        if isinstance(result, Problem):  # a name that only the lines around it bear out
            return f"{whole.text} [{' '.join(whole.evidence)}]" if whole.evidence else whole.text
        fresh = [i for i in result.evidence if not re.search(rf"(?<![\w.]){i}(?!\w)", result.text)]
        lines.append(f"{result.text} [{' '.join(fresh)}]" if fresh else result.text)
    return "\n".join(lines)


def move_made(thought: Thought, result: Checked, number: int, told: Sequence[str] = ()) -> MoveMade:
    """The move as the timeline keeps it."""
    return MoveMade(
        text=_summary(result.move),
        move=result.move,
        number=number,
        by=thought.by,
        spent=thought.spent,
        told=tuple(told),
        given=dict(thought.given) or None,
        evidence=result.evidence,
    )


def _summary(move: Move) -> str:
    match move:
        case Look():
            return "looking at: " + "; ".join(c.why or c.read for c in move.calls)
        case Propose():
            return f"proposes {move.action}"
        case AskPerson():
            return "asks a person"
        case Conclude():
            return f"concludes: {move.cause}"
        case Reply():
            return "answers"


def together(refused: Sequence[Thought], thought: Thought) -> Thought:
    """The thought that counts, with what the attempts before it cost and noted."""
    notes = [note for one in refused for note in one.notes]
    return replace(
        thought, spent=total([*(one.spent for one in refused), thought.spent]), notes=(*notes, *thought.notes)
    )


def gives_up(why: str, incident_view: IncidentView) -> Conclude:
    """The end when no reasoner can go on: what was found stays, the cause is unknown, a person takes over."""
    component = incident_view.cause.component if incident_view.cause else ""
    return Conclude(
        (),
        Cause(component, Fault.UNKNOWN),
        incident_view.incident.kind,
        not_checked=(NotChecked("the rest", why),),
        hand_over=why,
    )


def halted(incident_view: IncidentView) -> Checked | None:
    """The next move where a person has said stop: taken over, it concludes with what is known; paused, it waits."""
    if incident_view.taken_over:
        cause = incident_view.cause or Cause("", Fault.UNKNOWN)
        why = f"{incident_view.taken_over} took over."
        return Checked(Conclude((), cause, incident_view.incident.kind, hand_over=why))
    if incident_view.paused:
        return Checked(AskPerson(f"{incident_view.paused} paused this. Say resume, or steer it, and it goes on."))
    return None


def without_finding(move: Propose) -> str:
    return f"{move.action} was not taken: none of the findings it rests on held. Say what the evidence shows, by reference."


def unknown_if_unfounded(result: Checked, incident_view: IncidentView) -> Checked:
    """A cause that no finding supports is not a cause, and "nothing is wrong" no exception: inconclusive, with what was checked."""
    move = result.move
    if not isinstance(move, Conclude) or result.findings or incident_view.findings:
        return result
    if move.cause.fault is Fault.UNKNOWN:
        return result
    return replace(result, move=replace(move, cause=Cause(move.cause.component, Fault.UNKNOWN)))
