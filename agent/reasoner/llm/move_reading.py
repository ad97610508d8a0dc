"""What a language model wrote, read back into moves. What cannot be used says why, in words that help to mend it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest, expectation
from agent.domain.finding import Assertion, Claim
from agent.domain.incident import Kind
from agent.domain.text import whole
from agent.errors import UnusableInput
from agent.library.render import RECENT_MINUTES, default_guards
from agent.reasoner.llm.written_calls import tool_named
from agent.reasoner.protocol import AskPerson, Call, Conclude, Look, Move, NotChecked, Propose, Reply, RuledOut, View
from tools.errors import BadArguments
from tools.spec import Read

MOST_READS = 16
MOST_CODED = 2  # times arguments are decoded again
OPERATORS = (">=", "<=", "==", "!=", ">", "<")
_ASSERTS = re.compile(r"\s*\[([^\[\]]+)\]\s*\.?\s*$")


class Unusable(ValueError):
    """What a model wrote cannot be used; the text tells it why and what to write."""


Written = tuple[str, str]  # a tool's name and its arguments, as they came


def known_tools(view: View) -> list[str]:
    """The moves a model may make here, then the reads, which it may also call by their own names."""
    moves = ["look", "reply"] if view.question is not None else ["look", "propose", "ask", "conclude"]
    return [*moves, *(r.name for r in view.reads)]


def read_moves(written: Sequence[Written], view: View) -> Move:
    """The move that tool calls mean. Reads beside a move come first: what they show may change it.

    A read that is called by its own name is taken as a look.
    """
    tools = known_tools(view)
    known = {r.name: r for r in view.reads}
    moves = [name for name in tools if name not in known]
    written = [(tool_named(name, tools), arguments) for name, arguments in written]
    for name, _ in written:
        if name not in known and name not in moves:
            raise Unusable(f"There is no tool {name!r}.{_nearest(name, [*moves, *sorted(known)])}")
    calls = [call for name, text in written for call in _calls(name, text, known)]
    if calls:
        return Look(tuple(calls[:MOST_READS]))
    if len(written) != 1:
        raise Unusable(f"Make one move at a time; these came together: {', '.join(name for name, _ in written)}.")
    name, text = written[0]
    if name == "look":
        raise Unusable("look: calls is empty; name the reads to make.")
    return _move(name, _arguments(name, text), view)


def _arguments(name: str, written: str) -> dict[str, Any]:
    try:
        found = whole(json.loads(written or "{}"))
        for _ in range(MOST_CODED):  # the object as a string of JSON
            found = whole(json.loads(found)) if isinstance(found, str) else found
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise Unusable(
            f"The arguments of {name} are no valid JSON ({error}); they may have been cut off. Write less."
        ) from None
    if not isinstance(found, dict):
        raise Unusable(f"The arguments of {name} are no JSON object.")
    return found


def _calls(name: str, written: str, known: Mapping[str, Read]) -> list[Call]:
    if name in known:
        return [_call(known[name], _arguments(name, written), "")]
    if name != "look":
        return []
    asked = _arguments(name, written).get("calls")
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise Unusable("look takes calls: a list of {read, args, why}.")
    found = []
    for one in asked:
        read = str(one.get("read", ""))
        if read not in known:
            raise Unusable(f"There is no read {read!r}.{_nearest(read, sorted(known))}")
        arguments = one.get("args") or {}
        if isinstance(arguments, str):  # some models write the object as text
            arguments = _arguments(read, arguments)
        if not isinstance(arguments, dict):
            raise Unusable(f"look: the args of {read} are no object.")
        found.append(_call(known[read], arguments, str(one.get("why") or "")))
    return found


def _call(read: Read, given: Mapping[str, Any], why: str) -> Call:
    """Null where a schema has none means the default: models fill in what they leave out."""
    fields = read.arguments_schema().get("properties", {})
    kept = {k: v for k, v in given.items() if v is not None or k not in fields or "null" in json.dumps(fields[k])}
    try:
        read.parse(kept)
    except BadArguments as error:
        raise Unusable(str(error)) from None
    return Call(read.name, kept, why[:200])


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {close[0]}?" if close else f" There are: {', '.join(known)}."


def claim(written: Any) -> Any:
    """A claim as `text [left op right; left op right]`, or as an object {text, asserts}."""
    if not isinstance(written, str):
        return written
    found = _ASSERTS.search(written)
    asserts = [_assertion(one) for one in found.group(1).split(";") if one.strip()] if found else []
    if found and all(asserts):
        return {"text": f"{written[: found.start()].rstrip()}", "asserts": asserts}
    return {"text": written, "asserts": []}


def _assertion(text: str) -> dict[str, str] | None:
    for op in OPERATORS:
        left, found, right = text.partition(op)
        if found:
            return {"left": left.strip(), "op": op, "right": right.strip().strip("'\"")}
    return None


def _two(first: str, second: str) -> BeforeValidator:
    """`a: b` as an object with two fields."""

    def split(written: Any) -> Any:
        if not isinstance(written, str):
            return written
        head, _, rest = written.partition(":")
        return {first: head.strip(), second: rest.strip()}

    return BeforeValidator(split)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Assert(_Part):
    left: str
    op: str
    right: float | bool | str


class _Claim(_Part):
    text: str
    asserts: list[_Assert] = []


class _RuledOut(_Part):
    cause: str
    why: str = ""


class _NotChecked(_Part):
    what: str
    why: str = ""


class _Picture(_Part):
    claims: list[Annotated[_Claim, BeforeValidator(claim)]] = []
    component: str = ""
    fault: Fault
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    kind: Kind = Kind.UNKNOWN
    ruled_out: list[Annotated[_RuledOut, _two("cause", "why")]] = []
    not_checked: list[Annotated[_NotChecked, _two("what", "why")]] = []


class _Success(_Part):
    """A query, or any other read with the fact that is looked at."""

    promql: str = ""
    read: str = "query_metrics"
    args: dict[str, Any] = {}
    fact: str = ""
    expect: str
    hold_minutes: Annotated[float, Field(gt=0, le=120)] = 2.0
    within_minutes: Annotated[float, Field(gt=0, le=240)] = 10.0


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class _Propose(_Picture):
    action: str
    args: dict[str, Any]
    why: str
    success: Annotated[list[_Success], BeforeValidator(_listed), Field(min_length=1)]
    source: str = ""


class _Ask(_Part):
    question: Annotated[str, Field(min_length=1)]


class _Conclude(_Picture):
    hand_over: str = ""


class _Reply(_Part):
    text: Annotated[str, Field(min_length=1)]


def _move(name: str, arguments: Mapping[str, Any], view: View) -> Move:
    if isinstance(cause := arguments.get("cause"), dict):  # {component, fault, confidence}, as the timeline writes it
        arguments = {**arguments, **cause}
    try:
        match name:
            case "propose":
                return _propose(_Propose.model_validate(arguments), view)
            case "ask":
                return AskPerson(_Ask.model_validate(arguments).question)
            case "conclude":
                end = _Conclude.model_validate(arguments)
                return Conclude(_claims(end), _cause(end), end.kind, _ruled_out(end), _not_checked(end), end.hand_over)
        return Reply(_Reply.model_validate(arguments).text)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:5])
        raise Unusable(f"{name}: {problems}.") from None


def _propose(said: _Propose, view: View) -> Propose:
    actions = {a.name(): a for a in view.actions}
    if said.action not in actions:
        raise Unusable(f"There is no action {said.action!r}.{_nearest(said.action, sorted(actions))}")
    try:
        actions[said.action].parse(said.args)
        for one in said.success:
            expectation(one.expect)
    except (BadArguments, UnusableInput) as error:
        raise Unusable(f"propose: {error}") from None
    return Propose(
        action=said.action, args=said.args, why=said.why, claims=_claims(said), cause=_cause(said),
        success=_success(said.success, view), kind=said.kind, ruled_out=_ruled_out(said), not_checked=_not_checked(said),
        source=said.source,
    )  # fmt: skip


def _success(tests: Sequence[_Success], view: View) -> SuccessTest:
    """The model's test, with the guard it may not leave out: the service's traffic."""
    checks = tuple(_success_check(t, {r.name: r for r in view.reads}) for t in tests)
    hold, within = max(t.hold_minutes for t in tests), max(t.within_minutes for t in tests)
    traffic = view.service.traffic if view.service else None
    return SuccessTest(checks, timedelta(minutes=hold), timedelta(minutes=max(within, hold)), default_guards(traffic))


def _success_check(test: _Success, known: Mapping[str, Read]) -> Check:
    if test.promql:
        return Check("query_metrics", {"promql": test.promql, "minutes": RECENT_MINUTES}, test.expect, test.fact)
    if test.read not in known:
        raise Unusable(f"propose: success names no read {test.read!r}.{_nearest(test.read, sorted(known))}")
    call = _call(known[test.read], test.args, "")
    return Check(call.read, call.args, test.expect, test.fact)


def _claims(said: _Picture) -> tuple[Claim, ...]:
    return tuple(Claim(c.text, tuple(_checked(c.asserts))) for c in said.claims)


def _checked(asserts: Iterable[_Assert]) -> Iterable[Assertion]:
    for one in asserts:
        yield Assertion(one.left, one.op, str(one.right).lower() if isinstance(one.right, bool) else one.right)


def _cause(said: _Picture) -> Cause:
    return Cause(said.component, said.fault, said.confidence)


def _ruled_out(said: _Picture) -> tuple[RuledOut, ...]:
    return tuple(RuledOut(r.cause, r.why) for r in said.ruled_out)


def _not_checked(said: _Picture) -> tuple[NotChecked, ...]:
    return tuple(NotChecked(n.what, n.why) for n in said.not_checked)
