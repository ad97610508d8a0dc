"""Accepting a restore: a person says that what the anchors tell of and the database has lost is not coming back.

Each timeline goes on behind everything that was ever anchored of it, with an event that states the gap. What was approved, or
may have been executed meanwhile, is UNKNOWN and asked about; what waited is withdrawn, to be asked anew. Nothing starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agent.domain.catalog import Person
from agent.domain.events import OutcomeKnown, QuestionAsked, StateChanged
from agent.domain.incident import NEXT, Incident, Kind, State
from agent.domain.notes import Gap, KillSwitchRecorded, LossAccepted, MoveMade, gap_in
from agent.domain.timeline import Event, broken_at
from agent.errors import NotEntitled, UnusableInput
from agent.gate import kill_switch, proposal_store
from agent.gate.proposal import Proposal, ProposalState
from agent.store import executions, incidents, switches, timeline, wakes
from agent.store.anchors import Start
from agent.store.database import Database, Transaction
from agent.store.executions import Execution, Outcome
from tools.context import Clock

READY = (ProposalState.APPROVED, ProposalState.ALLOWED, ProposalState.CLAIMED)


@dataclass(frozen=True, slots=True)
class Settled:
    """What was accepted of one incident. `gap` None: none, but it may have been cut while the anchors were gone.
    `unknown` are proposals that people are asked about, `gone` those of which only the anchors know that they were started."""

    incident: str
    gap: Gap | None
    unknown: tuple[str, ...] = ()
    gone: tuple[Start, ...] = ()


@dataclass(frozen=True, slots=True)
class _Word:
    """Who accepts it, why and when."""

    person: Person
    reason: str
    now: datetime


async def accept(db: Database, clock: Clock, person: Person, reason: str) -> list[Settled]:
    """Accept every gap, and anchors that are gone or hold what is not ours. Any person of the catalog may; NotEntitled for
    anybody else. UnusableInput where there is nothing to accept, and where what is left is not what was written: that no
    word of a person makes whole."""
    if person.name is None:
        raise NotEntitled(
            f"{person.principal} is nobody in the catalog, so cannot settle anything. Add them under people in catalog.yaml."
        )
    if not reason.strip():
        raise UnusableInput("Say what has happened: --reason 'the backup of 02:00 was put back'.")
    anchored, said = db.anchors.read(), _Word(person, reason, clock.now())
    async with db.write() as tx:
        witness_lost = bool(tx.anchors.wrong) or await _gone(tx)
        gaps = {name: gap for name, hashes in anchored.items() if (gap := await _gap(tx, name, hashes)) is not None}
        if not gaps and not witness_lost:
            raise UnusableInput("Nothing is to be settled: every timeline reaches to where it was anchored.")
        doubtful = set(gaps) | (set(await incidents.unfinished(tx)) if witness_lost else set())
        found = [await _settle(tx, name, gaps.get(name), said) for name in sorted(doubtful - {kill_switch.RECORD})]
        if witness_lost or kill_switch.RECORD in gaps:
            await _stop(tx, gaps.get(kill_switch.RECORD), said)
    if witness_lost:
        db.anchors.accept("settled")
        db.anchors.found()
    db.unsettled.clear()
    return found


async def _gone(tx: Transaction) -> bool:
    last = await timeline.unchecked_last(tx, kill_switch.RECORD)
    return last is not None and kill_switch.says_founded(last) and not tx.anchors.founded


async def _gap(tx: Transaction, incident: str, anchored: Mapping[int, frozenset[str]]) -> Gap | None:
    """From the first anchored event that is not there to the last; None where all are, or were accepted as lost before."""
    events = await timeline.events(tx, incident)
    if (place := broken_at(tx.audit_key, events)) is not None:
        raise UnusableInput(
            f"{incident} was changed at event {place}, and not only cut off behind it. Put back a backup in which it is whole."
        )
    known = {event.n: event.hash for event in events}
    accepted = [gap for event in events if (gap := gap_in(event.kind, event.data)) is not None]
    missing = [
        n
        for n, told in anchored.items()
        if told != {known.get(n)} and not any(gap.since <= n <= gap.until for gap in accepted)
    ]
    after = events[-1].n if events else 0
    return Gap(min(missing[0], after + 1), after, max(*anchored, after)) if missing else None


async def _stop(tx: Transaction, gap: Gap | None, said: _Word) -> None:
    """Whether somebody had stopped everything meanwhile nobody can tell, so it is stopped."""
    what = f"{said.person.principal} accepted a restore: {said.reason}"
    reason = f"a restore was accepted ({said.reason}); whoever has looked at everything resumes"
    told = KillSwitchRecorded(text=what, person=said.person.name or "", reason=reason, stop=True, founded=True, gap=gap)
    await switches.set_stop(tx, True, said.person.principal, reason, said.now)
    await kill_switch.open_record(tx, said.now)
    if gap is not None:
        await timeline.go_on_behind(tx, kill_switch.RECORD, told, said.person.principal, said.now)
    else:
        await kill_switch.record(tx, said.person.principal, told, said.now)


async def _settle(tx: Transaction, incident: str, gap: Gap | None, said: _Word) -> Settled:
    """One incident: the gap is stated, what may have happened is UNKNOWN, and a person is asked."""
    starts = tx.anchors.starts_of(incident)
    known = await proposal_store.of(tx, incident)
    gone = tuple(
        start
        for n, start in sorted(starts.items())
        if gap is not None and n >= gap.since and start.proposal not in {p.id for p in known}
    )
    before = await incidents.get(tx, incident)
    incident_row = before or await _made_anew(tx, incident, said)
    what = "the database was put back" if gap else "the anchors were lost"
    text = f"{said.person.principal} accepted that {what}: {said.reason}"
    if gap is not None:
        told = LossAccepted(text=text, gap=gap, reason=said.reason)
        await timeline.go_on_behind(tx, incident, told, said.person.principal, said.now)
    begun = {start.proposal: start for start in starts.values()}
    unknown = [p for p in known if await _doubt(tx, p, begun.get(p.id), said)]
    if before is None or unknown or gone or not incident_row.state.ended:
        await _ask(tx, incident_row, _question(text, gap, unknown, gone), said)
    return Settled(incident, gap, tuple(p.id for p in unknown), gone)


async def _made_anew(tx: Transaction, incident: str, said: _Word) -> Incident:
    fresh = Incident(incident, State.NEW, Kind.UNKNOWN, "lost in a restore", said.now, opened_at=said.now)
    await incidents.add(tx, fresh)
    return fresh


async def _doubt(tx: Transaction, proposal: Proposal, start: Start | None, said: _Word) -> bool:
    """Whether the proposal is UNKNOWN from now on. What only waited for its approval is withdrawn."""
    if await timeline.by_key(tx, proposal.incident, f"outcome:{proposal.id}") is not None:
        return False
    if proposal.state is ProposalState.OPEN and start is None:
        why = "it waited when the database was put back; it is asked anew"
        await proposal_store.ask_anew(tx, proposal, why, said.now)
        return False
    if start is None and proposal.state not in READY:
        return False
    await _unknown(tx, proposal, start, said)
    return True


async def _unknown(tx: Transaction, proposal: Proposal, start: Start | None, said: _Word) -> None:
    why = (
        "it was started before the database was put back" if start else "it was approved when the database was put back"
    )
    why = f"{why}, and whether it was done is not known here"
    row = await executions.get(tx, proposal.id)
    begun = start.at if start else None
    if row is None:
        row = Execution(
            proposal.id, proposal.incident, 0, proposal.action, str(proposal.target), proposal.key, begun or said.now
        )
        await executions.add(tx, row)
    if begun is not None and row.intent_at is None:
        await executions.intend(tx, proposal.id, begun)
    ended = replace(row, intent_at=row.intent_at or begun, outcome=Outcome.UNKNOWN, why=why, ended_at=said.now)
    await executions.end(tx, ended)
    told = OutcomeKnown(
        proposal=proposal.id,
        outcome="UNKNOWN",
        why=why,
        values={},
        restored=begun is not None,
        state=str(ProposalState.UNKNOWN),
    )
    await timeline.append(tx, proposal.incident, told, "stanch", said.now, f"outcome:{proposal.id}")
    await proposal_store.put(tx, proposal, ProposalState.UNKNOWN, why)


async def _ask(tx: Transaction, incident: Incident, text: str, said: _Word) -> None:
    """A person has to look before it goes on."""
    for state in _way_to_a_person(incident.state):
        told = StateChanged(from_=incident.state, to=state, why="a restore was accepted")
        await timeline.append(tx, incident.id, told, "stanch", said.now)
        incident = replace(incident, state=state, ended_at=None)
        await incidents.save(tx, incident)
    await timeline.append(tx, incident.id, QuestionAsked(text=text, restored=True), "stanch", said.now)
    await wakes.add(tx, incident.id, "a restore", said.now)


def _way_to_a_person(state: State) -> Sequence[State]:
    if state is State.NEEDS_INPUT or state is State.CLOSED:
        return ()
    if State.NEEDS_INPUT in NEXT[state]:
        return (State.NEEDS_INPUT,)
    return (State.INVESTIGATING, State.NEEDS_INPUT)


def _question(text: str, gap: Gap | None, unknown: Sequence[Proposal], gone: Sequence[Start]) -> str:
    lines = [f"{text}."]
    if gap is not None:
        lines.append(f"What stood in events {gap.since} to {gap.until} is lost here.")
    lines += [
        f"{p.id} ({p.action} on {p.target}) may have been done: look at its target, then `stanch approvals settle {p.id} "
        "--done` or `--not-done`."
        for p in unknown
    ]
    lines += [f"{s.proposal} was started at {s.at:%Y-%m-%d %H:%M} UTC on {s.target}: look at it." for s in gone]
    lines.append("Should it go on? Answer here, or take it over.")
    return " ".join(lines)


def asks_after_restore(events: Sequence[Event]) -> bool:
    """Whether the newest question was asked because of a restore, and nothing has gone on since."""
    for event in reversed(events):
        match event.payload:
            case QuestionAsked(restored=restored):
                return restored
            case StateChanged() | MoveMade():
                return False
    return False
