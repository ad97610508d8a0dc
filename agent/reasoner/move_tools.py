"""Moves as tools of a language model: their schemas, and what it wrote read back into moves."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.case.cause import Cause, Fault
from agent.case.check import Check, SuccessTest, expectation
from agent.case.finding import Assertion, Claim
from agent.case.incident import Kind
from agent.errors import UnusableInput
from agent.library.render import default_guards
from agent.reasoner.moves import AskPerson, Call, Conclude, Look, Move, NotChecked, Propose, Reply, RuledOut, View
from tools.errors import BadArguments
from tools.spec import Action, Read

MOST_READS = 12
DOC_CHARS = 150  # of a read's description; the whole docstring costs more tokens than it helps


class Unusable(ValueError):
    """What a model wrote cannot be used; the text tells it why and what to write."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Assert(_Part):
    left: str
    op: Literal[">", ">=", "<", "<=", "==", "!="]
    right: float | bool | str


class _Claim(_Part):
    text: str
    asserts: list[_Assert] = []


class _Cause(_Part):
    component: str
    fault: Fault
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


class _RuledOut(_Part):
    cause: str
    why: str


class _NotChecked(_Part):
    what: str
    why: str = ""


class _Picture(_Part):
    claims: list[_Claim] = []
    cause: _Cause
    kind: Kind = Kind.UNKNOWN
    ruled_out: list[_RuledOut] = []
    not_checked: list[_NotChecked] = []


class _Success(_Part):
    promql: str
    expect: str
    hold_minutes: Annotated[float, Field(gt=0, le=120)] = 2.0
    within_minutes: Annotated[float, Field(gt=0, le=240)] = 10.0


class _Propose(_Picture):
    action: str
    args: dict[str, Any]
    why: str
    success: _Success | list[_Success]
    source: str = ""


class _Ask(_Part):
    question: Annotated[str, Field(min_length=1)]


class _Conclude(_Picture):
    hand_over: str = ""


class _Reply(_Part):
    text: Annotated[str, Field(min_length=1)]


def tools_of(view: View) -> list[dict[str, Any]]:
    """The tools of a step, in a fixed order: reads, then moves. A question run may look and reply."""
    reads = [
        _function(r.name, _short(r.doc), _slim(r.arguments_schema())) for r in sorted(view.reads, key=lambda r: r.name)
    ]
    if view.question is not None:
        return [*reads, _function("reply", "Answer the person.", _object({"text": {"type": "string"}}))]
    return [*reads, *_moves(view.actions)]


def _moves(actions: Sequence[type[Action]]) -> list[dict[str, Any]]:
    words = {"type": "string"}
    claim = _object(
        {"text": words, "asserts": _list(_object({"left": words, "op": words, "right": {"type": ["number", "string", "boolean"]}}, ()))},
        ("text",),
    )  # fmt: skip
    picture = {
        "claims": _list(claim),
        "cause": _object({"component": words, "fault": words, "confidence": {"type": "number"}}),
        "kind": {"enum": ["infra", "model", "joint", "none", "unknown"]},
        "ruled_out": _list(_object({"cause": words, "why": words})),
        "not_checked": _list(_object({"what": words, "why": words})),
    }
    known = "; ".join(_signature(a) for a in sorted(actions, key=lambda a: a.name())) or "none"
    success = _object({"promql": words, "expect": {"type": "string", "description": "such as < 0.3"},
                       "hold_minutes": {"type": "number"}, "within_minutes": {"type": "number"}}, ("promql", "expect"))  # fmt: skip
    propose = {
        "action": words,
        "args": {"type": "object"},
        "why": words,
        "success": success,
        "source": words,
        **picture,
    }
    return [
        _function("propose", f"Propose one action. Actions: {known}. source: runbook it comes from.", _object(
            propose, ("action", "args", "why", "success", "claims", "cause", "kind"))),
        _function("ask", "Ask a person what no read can tell.", _object({"question": words})),
        _function("conclude", "End: cause, or fault none/unknown; hand_over = whom to call and why.", _object(
            {**picture, "hand_over": words}, ("claims", "cause", "kind"))),
    ]  # fmt: skip


def _signature(action: type[Action]) -> str:
    required = set(action.arguments_schema().get("required", ()))
    names = ", ".join(n if n in required else f"{n}?" for n in action.model_fields)
    return f"{action.name()}({names}) {action.doc().split('.')[0][:70]}, {action.risk}"


def _function(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _object(properties: dict[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    needed = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {})}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _short(doc: str) -> str:
    text = " ".join(doc.split())
    if len(text) <= DOC_CHARS:
        return text
    cut = text[:DOC_CHARS].rfind(". ")
    return text[: cut + 1] if cut > DOC_CHARS // 3 else text[:DOC_CHARS].rsplit(" ", 1)[0]


_KEPT = ("type", "enum", "items", "properties", "required", "description", "additionalProperties", "anyOf")


def _slim(schema: Any) -> Any:
    """A schema with types, choices and short descriptions: bounds are checked by us, and said when they are passed."""
    if isinstance(schema, list):
        return [_slim(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema and (plain := [s for s in schema["anyOf"] if s.get("type") != "null"]) and len(plain) == 1:
        return _slim({**{k: v for k, v in schema.items() if k != "anyOf"}, **plain[0]})
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            found[key] = {name: _slim(one) for name, one in value.items()}
        elif key == "description":
            found[key] = str(value)[:70]
        elif key in _KEPT and not (key == "additionalProperties" and not isinstance(value, dict)):
            found[key] = _slim(value)
    return found


Written = tuple[str, str]  # name and arguments, as they came


def read_moves(written: Sequence[Written], view: View) -> Move:
    """The move that tool calls mean. Reads beside a move come first: what they show may change it. Unusable says why."""
    known = {r.name: r for r in view.reads}
    moves = ("reply",) if view.question is not None else ("propose", "ask", "conclude")
    for name, _ in written:
        if name not in known and name not in moves:
            close = difflib.get_close_matches(name, [*known, *moves], 1)
            hint = f" Did you mean {close[0]}?" if close else f" There are: {', '.join([*sorted(known), *moves])}."
            raise Unusable(f"There is no tool {name!r}.{hint}")
    calls = [_call(known[name], arguments) for name, arguments in written if name in known]
    if calls:
        return Look(tuple(calls[:MOST_READS]))
    chosen = [(name, _arguments(name, arguments)) for name, arguments in written]
    if len(chosen) != 1:
        raise Unusable(f"Make one move at a time; these came together: {', '.join(n for n, _ in chosen)}.")
    return _move(*chosen[0], view)


def _arguments(name: str, written: str) -> dict[str, Any]:
    try:
        found = json.loads(written or "{}")
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unusable(
            f"The arguments of {name} are no valid JSON ({error}); they may have been cut off. Write less."
        ) from None
    if not isinstance(found, dict):
        raise Unusable(f"The arguments of {name} are no JSON object.")
    return found


def _call(read: Read, written: str) -> Call:
    given = _arguments(read.name, written)
    given = {
        k: v for k, v in given.items() if v is not None or k not in read.arguments.model_fields or _takes_null(read, k)
    }
    try:
        read.parse(given)
    except BadArguments as error:
        raise Unusable(str(error)) from None
    return Call(read.name, given)


def _takes_null(read: Read, name: str) -> bool:
    """Models fill what they leave out with null; where the schema has no null, the default is meant."""
    schema = read.arguments_schema().get("properties", {}).get(name, {})
    return any(one.get("type") == "null" for one in schema.get("anyOf", ()))


def _move(name: str, arguments: Mapping[str, Any], view: View) -> Move:
    try:
        match name:
            case "propose":
                return _propose(_Propose.model_validate(arguments), view)
            case "ask":
                return AskPerson(_Ask.model_validate(arguments).question)
            case "conclude":
                end = _Conclude.model_validate(arguments)
                return Conclude(*_shared(end), hand_over=end.hand_over)
        return Reply(_Reply.model_validate(arguments).text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:5])
        raise Unusable(f"{name}: {problems}.") from None


def _propose(said: _Propose, view: View) -> Propose:
    actions = {a.name(): a for a in view.actions}
    if said.action not in actions:
        close = difflib.get_close_matches(said.action, list(actions), 1)
        raise Unusable(
            f"There is no action {said.action!r}. {f'Did you mean {close[0]}?' if close else f'There are: {sorted(actions)}.'}"
        )
    try:
        actions[said.action].parse(said.args)
    except BadArguments as error:
        raise Unusable(str(error)) from None
    tests = said.success if isinstance(said.success, list) else [said.success]
    try:
        for one in tests:
            expectation(one.expect)
    except UnusableInput as error:
        raise Unusable(f"propose: success: {error}") from None
    if not tests:
        raise Unusable("propose: success is empty; give a query and what it must show.")
    checks = tuple(Check("query_metrics", {"promql": t.promql, "minutes": 5}, t.expect) for t in tests)
    hold, within = max(t.hold_minutes for t in tests), max(t.within_minutes for t in tests)
    traffic = view.service.traffic if view.service else None
    success = SuccessTest(
        checks, timedelta(minutes=hold), timedelta(minutes=max(within, hold)), default_guards(traffic)
    )
    claims, cause, kind, ruled_out, not_checked = _shared(said)
    return Propose(said.action, said.args, said.why, claims, cause, success, kind, ruled_out, not_checked, said.source)


def _shared(
    said: _Picture,
) -> tuple[tuple[Claim, ...], Cause, Kind, tuple[RuledOut, ...], tuple[NotChecked, ...]]:
    claims = tuple(
        Claim(c.text, tuple(Assertion(a.left, a.op, _right(a.right)) for a in c.asserts)) for c in said.claims
    )
    return (
        claims,
        Cause(said.cause.component, said.cause.fault, said.cause.confidence),
        said.kind,
        tuple(RuledOut(r.cause, r.why) for r in said.ruled_out),
        tuple(NotChecked(n.what, n.why) for n in said.not_checked),
    )


def _right(value: float | bool | str) -> float | str:
    return str(value).lower() if isinstance(value, bool) else value
