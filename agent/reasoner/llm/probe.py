"""A probe of a model's endpoint: two calls, one for a tool's call and one that gives it back with its answer. What works, in
plain words with what to do where something does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.domain.text import visible
from agent.errors import ReasonerFailed
from agent.reasoner.llm.completion import Said
from agent.reasoner.llm.conversation import tokens
from agent.reasoner.llm.endpoint import Endpoint
from agent.reasoner.llm.openai_reasoner import MORE_ROOM, cut_short
from agent.reasoner.llm.provider_extras import Giver, Message
from agent.reasoner.llm.written_calls import calls_in, tool_named, without_thoughts

SLOW_S = 20.0  # an answer that takes longer makes an investigation of ten looks last minutes
PATIENCE_S = 60.0
ALL_S = 180.0
WORD = "harbour"
SYSTEM = "You work an incident with people on call. Answer with tool calls only."
ASKED = (
    "First look up the word of the day with the tool look_up. Once you have it, call the tool answer with that word."
)

LINES = 180  # of a log that comes with it, so that the prompt is as long as the first of an incident
QUIET = "\n".join(
    f"03:{n // 60:02}:{n % 60:02} web-7d9f level=info GET /healthz 200, nothing to see here, attempt {n}"
    for n in range(LINES)
)

Row = tuple[str, str, str]  # what, ok | wrong | absent, in words


@dataclass(frozen=True)
class Probe:
    """One call of the two: what came, the tool it called if any, and whether that stood as text."""

    said: Said
    seconds: float
    name: str
    as_text: bool


async def probe(endpoint: Endpoint, answer_tokens: int) -> list[Row]:
    """What works and what does not, a row each. Never raises for what a server does."""
    sent: list[Message] = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{ASKED}\n\nThe log of last night:\n{QUIET}"},
    ]
    try:
        first = await _asked(endpoint, sent, answer_tokens)
        if raised := not first.name and first.said.finish == "length":
            answer_tokens *= MORE_ROOM
            first = await _asked(endpoint, sent, answer_tokens)
    except ReasonerFailed as error:
        return [("llm answers", "wrong", f"{error} Check OPENAI_BASE_URL, OPENAI_API_KEY and llm.model.")]
    more = f"; set llm.answer_tokens to {answer_tokens}: its thinking needs that" if raised else ""
    answers = ("llm answers", "ok", f"{endpoint.model} at {endpoint.place}, in {first.seconds:.1f} s{more}")
    if not first.name:
        return [answers, ("llm tool calls", "wrong", _no_call(first.said, answer_tokens)), *_manners(endpoint)]
    call = Giver("probe", set()).asked(
        "", first.said.given, first.name, {"day": "today"}, "probe0001", f"The word of the day is {WORD}."
    )
    try:
        second = await _asked(endpoint, [*sent, *call], answer_tokens)
    except ReasonerFailed as error:
        why = f"a call that was given back with its answer is refused: {error} An investigation ends after one look."
        return [answers, *_calls(first), ("llm calls given back", "wrong", why), *_manners(endpoint)]
    sizes = [tokens(sent, TOOLS), tokens([*sent, *call], TOOLS)]
    return [
        answers,
        *_calls(first),
        _given_back(first, second),
        *_usage([first, second], sizes),
        *_manners(endpoint),
        *_time([first, second]),
    ]


async def _asked(endpoint: Endpoint, sent: Sequence[Message], answer_tokens: int) -> Probe:
    answer = await endpoint.ask(sent, TOOLS, answer_tokens, seconds=ALL_S, patience=PATIENCE_S)
    written = answer.said.calls or calls_in(without_thoughts(answer.said.text), NAMES)
    names = [tool_named(name, NAMES) for name, _ in written]
    return Probe(answer.said, answer.seconds, next((n for n in names if n in NAMES), ""), not answer.said.calls)


def _no_call(said: Said, answer_tokens: int) -> str:
    if said.finish == "length":
        return f"its answer was cut off at {answer_tokens} tokens before it called anything: raise llm.answer_tokens"
    words = visible(without_thoughts(said.text), 120)
    return f"it called no tool but said {words!r}: use a model that calls tools, and start its server with their parser"


def _calls(first: Probe) -> Iterator[Row]:
    if first.as_text:
        yield (
            "llm tool calls",
            "ok",
            "written as text, and read from there; the server's own parser of calls would be surer",
        )
    else:
        yield (
            "llm tool calls",
            "ok",
            "as calls" if first.name == first.said.calls[0][0] else f"as calls, named {first.said.calls[0][0]!r}",
        )


def _given_back(first: Probe, second: Probe) -> Row:
    given = first.said.given
    extra = [key for part in ("call", "function", "message") for key in given.get(part, {})]
    what = "its own id" if given.get("id") and not first.as_text else "an id of ours"
    what += f" and {', '.join(extra)}" if extra else ""
    if WORD in second.said.written.lower():
        return "llm calls given back", "ok", f"with {what}; the answer was read"
    return (
        "llm calls given back",
        "wrong",
        f"taken with {what}, but the model did not go on from the answer: use a larger model",
    )


def _usage(both: Sequence[Probe], sizes: Sequence[int]) -> Iterator[Row]:
    if any(cut_short(one.said, size) for one, size in zip(both, sizes, strict=True)):
        counts = " and ".join(str(one.said.asked) for one in both)
        yield (
            "llm context",
            "wrong",
            f"it counts {counts} tokens of about {sizes[0]} and {sizes[1]} sent: its context is too small. Give it a larger one",
        )
    elif all(one.said.asked for one in both):
        yield "llm usage", "ok", f"{both[0].said.asked} and {both[1].said.asked} tokens read, by its own count"
    else:
        yield "llm usage", "absent", "it does not count tokens: they are estimated, rather too high, for the budget"


def _manners(endpoint: Endpoint) -> Iterator[Row]:
    """What it wants otherwise; none of it has to be mended."""
    manners = endpoint.manners
    sent = [k for k in ("max_tokens", "max_completion_tokens") if k in manners.request([], [], 1)]
    yield (
        "llm limit",
        "ok" if sent else "absent",
        f"in {' and '.join(sent)}" if sent else "it takes none: set one at the server",
    )
    wants = {
        "only streamed answers": manners.streams,
        "no system role": manners.folds,
        "turns of user and assistant": manners.merges,
        f"no {', '.join(sorted(manners.refused))}": bool(manners.refused),
    }
    if any(wants.values()):
        yield "llm wants", "ok", f"{'; '.join(what for what, is_so in wants.items() if is_so)}: kept to"


def _time(both: Sequence[Probe]) -> Iterator[Row]:
    quicker = min(one.seconds for one in both)  # the other may have waited for the model to load
    if quicker > SLOW_S:
        yield (
            "llm time",
            "wrong",
            f"{quicker:.0f} s for one answer: an investigation takes ten. Use a faster model, or raise llm.budget.seconds",
        )


def _tool(name: str, field: str, description: str) -> Mapping[str, Any]:
    parameters = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [_tool("look_up", "day", "Look up the word of a day."), _tool("answer", "word", "Give the answer.")]
NAMES = [str(one["function"]["name"]) for one in TOOLS]
