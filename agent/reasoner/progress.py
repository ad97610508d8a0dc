"""Whether a language model gets on: a move that only repeats an earlier one, with nothing new since, is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.domain.timeline import Event, EventKind, canonical
from agent.reasoner.llm.provider_extras import OTHERS

PATIENT = 2  # moves in a row that bring nothing before the model is left; after the first it is told
POLLS = 3  # times the same look is made before it counts as nothing new although the answer moves
TOLD = "That move was made before and brought nothing new. Look at something else, propose, ask or conclude."
CIRCLES = "no progress: the last move was made before and brought nothing new; the model was told"

# what makes it worth looking again
_NEWS = (EventKind.ALERT, EventKind.DECISION, EventKind.OUTCOME, EventKind.VERIFICATION, EventKind.REPLY)


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
        data = event.data
        if event.kind in _NEWS or "steer" in data:
            before, seen = [], set()
        elif event.kind is EventKind.NOTE and "move" in data:
            if str(data.get("by", "")).rpartition("→")[2] in OTHERS:
                yield False
                continue
            asked = _asked(data)
            found = canonical([asked.decode(), answers.get(int(data.get("number", 0)), "")])
            yield bool(asked) and (found in seen or before.count(asked) >= POLLS - 1)
            before.append(asked)
            seen.add(found)


def _asked(move: Mapping[str, Any]) -> bytes:
    """What a move asks for, without why; empty for one that people answer or that ends the run."""
    match move["move"]:
        case "look":
            return canonical(sorted(canonical([c["read"], c["args"]]).decode() for c in move["calls"]))
        case "propose":
            return canonical([move["action"], move["args"]])
    return b""


def _answers(events: Sequence[Event]) -> dict[int, str]:
    """By the number of a look, what its reads showed, without when."""
    found: dict[int, list[str]] = {}
    for event in events:
        extra = event.data.get("extra") if event.kind is EventKind.EVIDENCE else None
        number, _, _ = str(extra.get("call")).partition(":") if isinstance(extra, dict) else ("", "", "")
        if number.isdigit():
            facts = [[f["id"], f["value"], f["labels"]] for f in event.data["facts"]]
            shown = canonical([event.data["read"], event.data["arguments"], event.data["outcome"], facts]).decode()
            found.setdefault(int(number), []).append(shown)
    return {number: "\n".join(sorted(shown)) for number, shown in found.items()}
