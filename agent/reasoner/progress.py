"""Whether a language model gets on: a move that only repeats an earlier one, with nothing new since, is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.domain.events import (
    AlertJoined,
    DecisionMade,
    EffectChecked,
    EvidenceRecorded,
    OutcomeKnown,
    ReplyGiven,
)
from agent.domain.notes import MoveMade, Steered
from agent.domain.timeline import Event, canonical, events_of
from agent.reasoner.llm.provider_extras import OTHERS
from agent.reasoner.protocol import Look, Move, Propose

PATIENT = 2  # moves in a row that bring nothing before the model is left; after the first it is told
POLLS = 3  # times the same look is made before it counts as nothing new although the answer moves
TOLD = "That move was made before and brought nothing new. Look at something else, propose, ask or conclude."
CIRCLES = "no progress: the last move was made before and brought nothing new; the model was told"

# what makes it worth looking again
_NEWS = (AlertJoined, DecisionMade, OutcomeKnown, EffectChecked, ReplyGiven, Steered)


def idle(events: Sequence[Event]) -> int:
    """How many of a language model's last moves in a row brought nothing new."""
    count = 0
    for barren in _moves(events):
        count = count + 1 if barren else 0
    return count


def _moves(events: Sequence[Event]) -> Iterator[bool]:
    """Of each move, whether it brought nothing; moves of others bring something."""
    before: list[bytes] = []
    seen: set[bytes] = set()
    answers = _answers(events)
    for event in events:
        made = event.payload
        if isinstance(made, _NEWS):
            before, seen = [], set()
        elif isinstance(made, MoveMade):
            if made.by.rpartition("→")[2] in OTHERS:
                yield False
                continue
            asked = _asked(made.move)
            found = canonical([asked.decode(), answers.get(made.number, "")])
            yield bool(asked) and (found in seen or before.count(asked) >= POLLS - 1)
            before.append(asked)
            seen.add(found)


def _asked(move: Move) -> bytes:
    """What a move asks for, without why; empty for one that people answer or that ends the run."""
    match move:
        case Look(calls=calls):
            return canonical(sorted(canonical([call.read, dict(call.args)]).decode() for call in calls))
        case Propose(action=action, args=args):
            return canonical([action, dict(args)])
    return b""


def _answers(events: Sequence[Event]) -> dict[int, str]:
    """By the number of a look, what its reads showed, without when."""
    found: dict[int, list[str]] = {}
    for event in events_of(events, EvidenceRecorded):
        number, _, _ = event.payload.call.partition(":")
        if number.isdigit():
            one = event.payload.evidence
            facts = [[fact.id, fact.value, dict(fact.labels)] for fact in one.facts]
            shown = canonical([one.read, dict(one.arguments), str(one.outcome), facts]).decode()
            found.setdefault(int(number), []).append(shown)
    return {number: "\n".join(sorted(shown)) for number, shown in found.items()}
