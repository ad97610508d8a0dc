"""What a reasoner may do next: one union. How a move stands on the timeline, how a language model is told to write it and how
what it wrote is read stand here, beside the fields, and nowhere else.

On the timeline a claim is `{text, asserts}` and a cause an object of its own. A language model writes a claim as
`text [left op right; …]`, what it ruled out as `cause: why`, and the parts of the cause beside the rest. Both are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.json_schema import SkipJsonSchema

from agent.domain.cause import Cause, Fault, cause_from_json
from agent.domain.check import SuccessTest, success_from_json
from agent.domain.finding import Assertion, Claim, assertion_from_json
from agent.domain.incident import Kind
from agent.errors import StanchError
from tools.context import Json

J = Mapping[str, Any]
OPERATORS = (">=", "<=", "==", "!=", ">", "<")
_ASSERTS = re.compile(r"\s*\[([^\[\]]+)\]\s*\.?\s*$")
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FAULT = {"enum": [str(one) for one in Fault]}


def _pinned(schema: Mapping[str, Any], **more: Any) -> WithJsonSchema:
    return WithJsonSchema({**schema, **more})


Args = Annotated[Mapping[str, Json], PlainSerializer(dict), _pinned({"type": "object"})]

# -- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """One read a reasoner wants made. `why` is shown to people while it runs."""

    read: str
    args: Args
    why: str = ""

    def to_json(self) -> dict[str, Json]:
        return {"read": self.read, "args": dict(self.args), "why": self.why}


@dataclass(frozen=True, slots=True)
class RuledOut:
    cause: str
    why: str  # a template, checked like a claim
    evidence: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {"cause": self.cause, "why": self.why, "evidence": list(self.evidence)}


@dataclass(frozen=True, slots=True)
class NotChecked:
    what: str
    why: str

    def to_json(self) -> dict[str, Json]:
        return {"what": self.what, "why": self.why}


def claim_json(claim: Claim) -> dict[str, Json]:
    return {"text": claim.text, "asserts": [a.to_json() for a in claim.asserts]}


def ruled_out_from_json(data: J) -> RuledOut:
    return RuledOut(data["cause"], data["why"], tuple(data.get("evidence", ())))


def not_checked_from_json(data: J) -> NotChecked:
    return NotChecked(data["what"], data["why"])


def _claim(written: Any) -> Claim:
    """A claim as it stands on the timeline, or as `text [left op right; left op right]`."""
    if isinstance(written, Claim):
        return written
    if isinstance(written, str):
        found = _ASSERTS.search(written)
        parts = [_assertion(one) for one in found.group(1).split(";") if one.strip()] if found else []
        asserts = tuple(part for part in parts if part is not None)
        if found and len(asserts) == len(parts):
            return Claim(written[: found.start()].rstrip(), asserts)
        return Claim(written)
    if not isinstance(written, Mapping) or not isinstance(written.get("text"), str):
        raise ValueError("a claim is a text, or an object {text, asserts}")
    return Claim(written["text"], tuple(_asserted(one) for one in written.get("asserts") or ()))


def _assertion(text: str) -> Assertion | None:
    for op in OPERATORS:
        left, found, right = text.partition(op)
        if found:
            return Assertion(left.strip(), op, right.strip().strip("'\""))
    return None


def _asserted(written: Any) -> Assertion:
    if not isinstance(written, Mapping) or not {"left", "op", "right"} <= written.keys():
        raise ValueError("an assertion is an object {left, op, right}")
    right = written["right"]
    if not isinstance(right, str | float | int) or (isinstance(right, float) and not math.isfinite(right)):
        raise ValueError("the right side of an assertion is a reference, a word or a number")
    return assertion_from_json({**written, "right": str(right).lower() if isinstance(right, bool) else right})


def _two(first: str, second: str, read: Callable[[J], Any]) -> BeforeValidator:
    """`a: b`, or an object with these two."""

    def part(written: Any) -> Any:
        if isinstance(written, str):
            head, _, rest = written.partition(":")
            return read({first: head.strip(), second: rest.strip()})
        if not isinstance(written, Mapping):
            return written
        if not isinstance(written.get(first), str):
            raise ValueError(f"it takes {first} and {second}")
        return read({second: "", **written})

    return BeforeValidator(part)


def _cause(written: Any) -> Any:
    if not isinstance(written, Mapping):
        return written
    fault = written.get("fault")
    if not isinstance(fault, str) or fault not in set(Fault):
        raise ValueError(f"there is no fault {str(fault)[:100]!r}. There are: {', '.join(Fault)}")
    if not isinstance(written["component"], str):
        raise ValueError("component is a name")
    try:
        return cause_from_json({**written, "confidence": _number(written["confidence"])})
    except (TypeError, ValueError):
        raise ValueError(f"confidence {written['confidence']!r} is no number") from None


def _number(written: Any) -> float:
    return written if isinstance(written, float | int) else float(written)


def _many(written: Any) -> Any:
    return [] if written is None else [written] if isinstance(written, Mapping | str) else written


def _cause_schema(*required: str) -> WithJsonSchema:
    parts = {"component": _TEXT, "fault": _FAULT, "confidence": {"type": "number"}}
    return WithJsonSchema({"type": "object", "properties": parts, "required": list(required)})


def _listed(schema: WithJsonSchema, item: Callable[[Any], Json]) -> tuple[Any, ...]:
    return BeforeValidator(_many), PlainSerializer(lambda values: [item(one) for one in values]), schema


class SuccessWritten(BaseModel):
    """A part of a success test as a language model writes it: a query, or any other read with the fact that is looked at."""

    promql: str = ""
    read: str = "query_metrics"
    args: dict[str, Any] = {}
    fact: str = ""
    expect: str
    hold_minutes: Annotated[float, Field(gt=0, le=120)] = 2.0
    within_minutes: Annotated[float, Field(gt=0, le=240)] = 10.0


SUCCESS_SCHEMA = {
    "type": "object",
    "required": ["expect"],
    "description": "promql, or read, args and fact",
    "properties": {
        "promql": _TEXT,
        "read": _TEXT,
        "args": {"type": "object"},
        "fact": _TEXT,
        "expect": {"type": "string", "description": "< 0.3"},
        "hold_minutes": {"type": "number"},
        "within_minutes": {"type": "number"},
    },
}
_CALL_PARTS = {"read": _TEXT, "args": {"type": "object"}, "why": _TEXT}
_CALLS = {"type": "array", "items": {"type": "object", "properties": _CALL_PARTS, "required": ["read", "args"]}}

Calls = Annotated[tuple[Call, ...], PlainSerializer(lambda calls: [one.to_json() for one in calls]), _pinned(_CALLS)]
Claims = Annotated[
    tuple[Annotated[Claim, BeforeValidator(_claim)], ...],
    *_listed(_pinned(_TEXTS, description="text [left op right; …]"), claim_json),
]
RulesOut = Annotated[
    tuple[Annotated[RuledOut, _two("cause", "why", ruled_out_from_json)], ...],
    *_listed(_pinned(_TEXTS, description="cause: why"), RuledOut.to_json),
]
NotCheckeds = Annotated[
    tuple[Annotated[NotChecked, _two("what", "why", not_checked_from_json)], ...],
    *_listed(_pinned(_TEXTS, description="what: why"), NotChecked.to_json),
]
_ANY_CAUSE = (BeforeValidator(_cause), PlainSerializer(Cause.to_json))
ACause = Annotated[Cause, *_ANY_CAUSE, _cause_schema("component", "fault", "confidence")]
ACauseOrNone = Annotated[Cause, *_ANY_CAUSE, _cause_schema("fault", "confidence")]  # `none` and `unknown` lie nowhere
Success = Annotated[
    SuccessTest,
    BeforeValidator(lambda written: success_from_json(written) if isinstance(written, Mapping) else written),
    PlainSerializer(SuccessTest.to_json),
    _pinned(SUCCESS_SCHEMA),
]
AKind = Annotated[Kind, PlainSerializer(str), _pinned({"enum": [str(one) for one in Kind]})]


# -- moves ------------------------------------------------------------------------------------------------------------


BY_HAND = "by_hand_actions"
ByHand = Annotated[
    SkipJsonSchema[tuple[tuple[str, Mapping[str, Json]], ...]],
    BeforeValidator(
        lambda many: tuple((one["action"], one["args"]) if isinstance(one, Mapping) else one for one in many)
    ),
    PlainSerializer(lambda many: [{"action": action, "args": dict(args)} for action, args in many]),
    Field(validation_alias=BY_HAND, serialization_alias=BY_HAND),
]


@dataclass(frozen=True, slots=True)
class Look:
    calls: Calls
    claims: SkipJsonSchema[Claims] = ()  # what was found on the way, by rules; shown as soon as it is checked


@dataclass(frozen=True, slots=True)
class Propose:
    """One action with exact arguments. `source` names where it came from (a runbook section), for provenance."""

    action: str
    args: Args
    why: str  # a template, checked like a claim
    claims: Claims
    cause: ACause
    success: Success
    kind: AKind = Kind.UNKNOWN
    ruled_out: RulesOut = ()
    not_checked: NotCheckeds = ()
    source: Annotated[str, _pinned(_TEXT, description="runbook")] = ""


@dataclass(frozen=True, slots=True)
class AskPerson:
    question: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """The end of thinking. `recovered` is not a reasoner's word: code decides it from the verification.

    `hand_over` names whom to call and why, where a person has to do what no action can.
    """

    claims: Claims
    cause: ACauseOrNone
    kind: AKind = Kind.UNKNOWN
    ruled_out: RulesOut = ()
    not_checked: NotCheckeds = ()
    hand_over: str = ""
    by_hand: ByHand = ()  # actions with arguments that are not configured here, of the runbooks


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a person's question (question runs only). Checked like a claim; evidence ids stand in its references."""

    text: Annotated[str, Field(validation_alias=AliasChoices("reply", "text"), serialization_alias="reply")]


Move: TypeAlias = Look | Propose | AskPerson | Conclude | Reply
MOVES: Mapping[str, type[Move]] = {
    "look": Look,
    "propose": Propose,
    "ask": AskPerson,
    "conclude": Conclude,
    "reply": Reply,
}
_NAMES: Mapping[type, str] = {kind: name for name, kind in MOVES.items()}


# -- JSON -------------------------------------------------------------------------------------------------------------


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(MOVES[name])


def to_json(move: Move) -> dict[str, Json]:
    """As the timeline keeps it, so that a move survives a crash between deciding and doing."""
    name = _NAMES[type(move)]
    return {"move": name, **_adapter(name).dump_python(move, by_alias=True)}


def name_of(move: Move) -> str:
    """As a language model calls it: look, propose, ask, conclude or reply."""
    return _NAMES[type(move)]


def from_json(data: J) -> Move:
    """The inverse of to_json; what else stands beside the move is passed over."""
    name = str(data["move"])
    if name not in MOVES:
        raise StanchError(f"The timeline holds a move called {name!r}, which this version does not know.")
    move: Move = _adapter(name).validate_python(data)
    return move


def keys_of(move: Move) -> frozenset[str]:
    """Those of a move's JSON."""
    return _KEYS[type(move)]


_SPELLED = {(Reply, "text"): "reply", (Conclude, "by_hand"): BY_HAND}
_KEYS = {
    kind: frozenset({"move", *(_SPELLED.get((kind, one.name), one.name) for one in fields(kind))})
    for kind in MOVES.values()
}


# -- a language model's way of writing --------------------------------------------------------------------------------


def parameters(name: str, described: bool = True) -> dict[str, Any]:
    """JSON schema of a move's arguments, for a language model. Each word costs in every step: `described` False leaves out
    descriptions and the list of faults, where it has read them elsewhere."""
    raw = _adapter(name).json_schema(by_alias=False)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for key, part in raw["properties"].items():
        whole: dict[str, Any] = part if key == "cause" else {"properties": {key: part}, "required": [key]}
        properties |= {
            name: _short(one, described) for name, one in whole["properties"].items()
        }  # a cause's parts, beside
        required += whole["required"] if key in raw["required"] else []
    return {"type": "object", "properties": properties, "required": required}


def _short(schema: J, described: bool) -> J:
    if schema == _FAULT and not described:
        return _TEXT
    return {
        key: part
        for key, part in schema.items()
        if key not in ("title", "default") and (described or key != "description")
    }


def read_written(name: str, arguments: J) -> Move:
    """The move that a language model wrote; its success test is a SuccessTest or its JSON by now. What is wrong is said by
    place: pydantic's ValidationError, a ValueError."""
    given = dict(arguments)
    given.pop(BY_HAND, None)  # a runbook's actions are taken from the runbook by code
    if name in ("propose", "conclude"):
        nested = given.get("cause")
        beside = {key: given[key] for key in ("component", "fault", "confidence") if key in given}
        given["cause"] = {"component": "", "confidence": 0.0, **beside, **(nested if isinstance(nested, dict) else {})}
        given.setdefault("claims", [])
    move: Move = _strict(name).validate_python(given)
    return move


def _bounded(move: Move) -> Move:
    """What is asked of a language model's words beyond their types."""
    if isinstance(move, Propose | Conclude) and not 0 <= move.cause.confidence <= 1:
        raise ValueError("confidence is a probability, from 0 to 1")
    if (isinstance(move, AskPerson) and not move.question) or (isinstance(move, Reply) and not move.text):
        raise ValueError("it is empty")
    return move


@cache
def _strict(name: str) -> TypeAdapter[Any]:
    kind: Any = Annotated[MOVES[name], AfterValidator(_bounded)]
    return TypeAdapter(kind)
