"""What a language model wrote, read back into moves. What cannot be used says why, in words that help to mend it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from agent.domain.check import Check, SuccessTest, expectation
from agent.domain.moves import SuccessWritten, read_written
from agent.domain.text import whole
from agent.errors import UnusableInput
from agent.library.render import RECENT_MINUTES, default_guards
from agent.reasoner.llm.written_calls import tool_named
from agent.reasoner.protocol import Call, Look, Move, Propose, View
from tools.errors import BadArguments
from tools.spec import Read

MOST_READS = 16
MOST_CODED = 2  # times arguments are decoded again


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


def _move(name: str, arguments: Mapping[str, Any], view: View) -> Move:
    try:
        if name == "propose":
            arguments = {**arguments, "success": _success(_tests(arguments.get("success")), view)}
        move = read_written(name, arguments)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:5])
        raise Unusable(f"{name}: {problems}.") from None
    return _possible(move, view) if isinstance(move, Propose) else move


def _possible(move: Propose, view: View) -> Propose:
    """The proposal, if there is such an action and it can be read."""
    actions = {a.name(): a for a in view.actions}
    if move.action not in actions:
        raise Unusable(f"There is no action {move.action!r}.{_nearest(move.action, sorted(actions))}")
    try:
        actions[move.action].parse(move.args)
        for check in move.success.checks:
            expectation(check.expect)
    except (BadArguments, UnusableInput) as error:
        raise Unusable(f"propose: {error}") from None
    return move


_TESTS = TypeAdapter(Annotated[list[SuccessWritten], Field(min_length=1)])


def _tests(written: Any) -> list[SuccessWritten]:
    return _TESTS.validate_python([written] if isinstance(written, dict) else written)


def _success(tests: Sequence[SuccessWritten], view: View) -> SuccessTest:
    """The model's test, with the guard it may not leave out: the service's traffic."""
    checks = tuple(_success_check(t, {r.name: r for r in view.reads}) for t in tests)
    hold, within = max(t.hold_minutes for t in tests), max(t.within_minutes for t in tests)
    traffic = view.service.traffic if view.service else None
    return SuccessTest(checks, timedelta(minutes=hold), timedelta(minutes=max(within, hold)), default_guards(traffic))


def _success_check(test: SuccessWritten, known: Mapping[str, Read]) -> Check:
    if test.promql:
        return Check("query_metrics", {"promql": test.promql, "minutes": RECENT_MINUTES}, test.expect, test.fact)
    if test.read not in known:
        raise Unusable(f"propose: success names no read {test.read!r}.{_nearest(test.read, sorted(known))}")
    call = _call(known[test.read], test.args, "")
    return Check(call.read, call.args, test.expect, test.fact)
