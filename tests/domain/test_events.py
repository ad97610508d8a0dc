"""The classes of events say what stands on a timeline, key by key: today's timelines read back unchanged."""

from __future__ import annotations

import ast
import gzip
import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.alert import Alert
from agent.domain.cause import Cause
from agent.domain.check import Check, Guard, SuccessTest
from agent.domain.events import CLASSES, OutcomeKnown, TimelineEvent, read
from agent.domain.evidence import Evidence
from agent.domain.finding import Assertion, Claim, Finding
from agent.domain.moves import MOVES
from agent.domain.notes import (
    AnswerLimitRaised,
    ContextCut,
    FailedOver,
    Gap,
    KillSwitchRecorded,
    LossAccepted,
    ModelAwaited,
    MoveMade,
    Note,
    PlainNote,
    Spent,
    TriedAgain,
    WentBack,
)
from agent.domain.payload import EventKind, Payload
from agent.domain.timeline import Event, canonical, events_of
from agent.errors import StanchError
from tools.spec import Fact

TIMELINES = sorted((Path(__file__).parents[1] / "fixtures" / "timelines").glob("*.jsonl.gz"))


def written(path: Path) -> Iterator[Mapping[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


@pytest.mark.parametrize("path", TIMELINES, ids=lambda path: path.name)
def test_todays_timelines_read_back_unchanged(path: Path) -> None:
    for event in written(path):
        told = read(EventKind(event["kind"]), event["data"])
        assert not told.unknown
        assert canonical(told.to_json()) == canonical(event["data"])
        # and whoever wrote the same today would write the same bytes; since then a conclusion says what to do by hand
        today = replace(told, absent=None).to_json()
        assert today.pop("by_hand_actions", []) == []
        assert canonical(today) == canonical(event["data"])


def test_six_incidents_were_kept() -> None:
    assert sum(1 for path in TIMELINES for _ in written(path)) == 862


def test_every_kind_of_event_has_a_class() -> None:
    assert {kind.KIND for kind in CLASSES} == set(EventKind)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if issubclass(kind, Note)], ids=lambda kind: kind.__name__)
@settings(deadline=None)
@given(st.data())
def test_a_note_is_read_as_what_it_was_written_as(kind: type[Note], data: st.DataObject) -> None:
    assert type(read(EventKind.NOTE, data.draw(built(kind)).to_json())) is kind


# -- round trips ------------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
NUMBER = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=4,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=2)
LABELS = st.dictionaries(TEXT, TEXT, max_size=2)
TIME = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
    lambda when: when.replace(microsecond=when.microsecond // 1000 * 1000, tzinfo=UTC)
)
SPAN = st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds))


def plain(kind: type, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of a frozen class, each field by its type unless it is given."""
    hints = get_type_hints(kind)
    return st.builds(
        kind, **{n: given[n] if n in given else value(hints[n]) for n in (one.name for one in fields(kind))}
    )


def value(hint: Any) -> st.SearchStrategy[Any]:
    if hint in KNOWN:
        return KNOWN[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (typing.Union, UnionType):
        return st.one_of(*(st.none() if part is type(None) else value(part) for part in parts))
    if origin is tuple:
        return st.lists(value(parts[0]), max_size=2).map(tuple)
    if origin in (dict, Mapping):
        return OBJECT
    return plain(hint) if hasattr(hint, "__dataclass_fields__") else st.from_type(hint)


FACT = st.builds(
    Fact,
    id=TEXT,
    name=TEXT,
    value=st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    unit=TEXT,
    labels=LABELS,
    window=TEXT,
)
ASSERTION = st.builds(Assertion, left=TEXT, op=st.sampled_from([">", "<", "=="]), right=st.one_of(TEXT, NUMBER))
CHECK = st.builds(Check, read=TEXT, args=OBJECT, expect=TEXT, fact=TEXT)
KNOWN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    float: NUMBER,
    int: st.integers(0, 10**6),
    bool: st.booleans(),
    datetime: TIME,
    timedelta: SPAN,
    Any: JSON,
    Fact: FACT,
    Assertion: ASSERTION,
    Check: CHECK,
}
KNOWN[Spent] = st.builds(
    Spent, prompt_tokens=st.integers(0, 9), completion_tokens=st.integers(0, 9), money=NUMBER, seconds=st.integers(0, 9)
)
KNOWN[Alert] = plain(Alert, labels=LABELS, annotations=LABELS)
KNOWN |= {kind: plain(kind) for kind in (Cause, Guard, SuccessTest, Evidence, Claim, Finding)}
BY_HAND = st.lists(st.tuples(TEXT, OBJECT), max_size=2).map(tuple)
MOVE = st.one_of(*(plain(kind, by_hand=BY_HAND) for kind in MOVES.values()))


def built(kind: type[Payload]) -> st.SearchStrategy[Any]:
    """Events of a class, every field drawn."""
    hints = get_type_hints(kind)
    own = [one.name for one in fields(kind) if one.name not in ("unknown", "absent")]
    fixed = {"dropped": st.just(True)}
    drawn = {n: MOVE if n == "move" else fixed[n] if n in fixed else value(hints[n]) for n in own}
    if kind is MoveMade:
        drawn.pop("evidence")  # a reply's alone: the others have none, and `ruled_out` carries its own
    return st.builds(kind, **drawn)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@settings(deadline=None)
@given(st.data())
def test_what_is_written_is_what_is_read(kind: type[TimelineEvent], data: st.DataObject) -> None:
    event = data.draw(built(kind))
    assert read(kind.KIND, json.loads(canonical(event.to_json()))) == event


@pytest.mark.parametrize("path", TIMELINES[:1], ids=lambda path: path.name)
@settings(deadline=None)
@given(st.data())
def test_keys_of_other_versions_are_kept(path: Path, data: st.DataObject) -> None:
    """A newer version has written more, an older one has not written what has a default here."""
    event = data.draw(st.sampled_from(list(written(path))))
    known = read(EventKind(event["kind"]), event["data"])
    optional = [one.name for one in fields(known) if one.default is not MISSING]
    missing = data.draw(st.sets(st.sampled_from(optional)))
    kept = {key: one for key, one in event["data"].items() if key not in missing}
    other = {f"new_{key}": one for key, one in data.draw(OBJECT).items()}
    told = read(EventKind(event["kind"]), {**kept, **other})
    assert canonical(told.to_json()) == canonical({**kept, **other})


def test_a_note_that_nobody_knows_is_a_note() -> None:
    told = read(EventKind.NOTE, {"text": "hm", "weather": "fine"})
    assert told == PlainNote(text="hm", unknown={"weather": "fine"})


def test_an_event_that_cannot_be_read_says_so() -> None:
    with pytest.raises(StanchError, match=r"decision cannot be read.*audit verify"):
        read(EventKind.DECISION, {"answer": "approve"})
    with pytest.raises(StanchError, match="state cannot be read"):
        read(EventKind.STATE, {"from": "new", "to": "gone"})
    with pytest.raises(StanchError, match="'dance', which this version does not know"):
        read(EventKind.NOTE, {"move": "dance"})


def test_events_of_one_class_are_found() -> None:
    events = [
        Event(n, "i", 1, datetime(2026, 1, 1, tzinfo=UTC), EventKind.NOTE, "os:ann", data, "", "")
        for n, data in enumerate([{"text": "", "steer": "hold"}, {"text": "plain"}], 1)
    ]
    assert [event.payload.text for event in events_of(events, PlainNote)] == ["plain"]
    assert len(events_of(events, Note)) == 2


# -- nobody else spells a key -----------------------------------------------------------------------------------------

AGENT = Path(__file__).parents[2] / "agent"
SPELLS = {f"domain/{name}.py" for name in ("events", "notes", "moves", "payload", "timeline")}
NO_EVENTS = {"graph/steps/success.py"}  # what a read answers has a `data` as well


def reads_a_key(node: ast.AST) -> bool:
    """`x.data["key"]`, `x.data.get("key")` and `"key" in x.data`."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="data")):
            return True
        case ast.Call(func=ast.Attribute(attr="get", value=ast.Attribute(attr="data"))):
            return True
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[ast.Attribute(attr="data")]):
            return True
    return False


def test_no_other_module_reads_a_key_of_an_event() -> None:
    found = [
        f"{name}:{node.lineno}"
        for path in sorted(AGENT.rglob("*.py"))
        if (name := path.relative_to(AGENT).as_posix()) not in SPELLS | NO_EVENTS and not name.startswith("lab/")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr) and reads_a_key(node)
    ]
    assert found == []
    assert reads_a_key(ast.parse("event.data['to']", mode="eval").body)
    assert reads_a_key(ast.parse("event.data.get('to')", mode="eval").body)
    assert reads_a_key(ast.parse("'to' in event.data", mode="eval").body)


# -- notes of a model, a restore and a switch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "data"),
    [
        (
            TriedAgain(text="tried", tried="openai", why="gone", show=True),
            {"text": "tried", "tried": "openai", "why": "gone", "show": True},
        ),
        (WentBack(text="back", returned="a→b→a", show=True), {"text": "back", "returned": "a→b→a", "show": True}),
        (
            FailedOver(text="over", failover="a→b", why="spent", final=True),
            {"text": "over", "failover": "a→b", "why": "spent", "final": True},
        ),
        (ContextCut(text="cut", cut=0, show=True), {"text": "cut", "cut": 0, "show": True}),
        (
            AnswerLimitRaised(text="more", answer_tokens=9, show=True),
            {"text": "more", "answer_tokens": 9, "show": True},
        ),
        (ModelAwaited(text="slow", waits=True, show=True), {"text": "slow", "waits": True, "show": True}),
        (
            LossAccepted(text="lost", gap=Gap(3, 2, 9), reason="a backup"),
            {"text": "lost", "gap": {"since": 3, "after": 2, "until": 9}, "reason": "a backup"},
        ),
        (
            KillSwitchRecorded(text="stop", stop=True, person="ann", reason=""),
            {"text": "stop", "stop": True, "founded": False, "person": "ann", "reason": ""},
        ),
        (
            OutcomeKnown(proposal="p", outcome="DONE", why="so", settled_by="ann", by="os:ann", reason="seen"),
            {
                "proposal": "p",
                "outcome": "DONE",
                "why": "so",
                "receipt": None,
                "lost": False,
                "settled_by": "ann",
                "by": "os:ann",
                "reason": "seen",
            },
        ),
        (
            OutcomeKnown(proposal="p", outcome="UNKNOWN", values={}, state="unknown", claimed_at=None, restored=False),
            {
                "proposal": "p",
                "outcome": "UNKNOWN",
                "why": None,
                "receipt": None,
                "values": {},
                "lost": False,
                "state": "unknown",
                "claimed_at": None,
                "restored": False,
            },
        ),
    ],
)
def test_what_newer_events_say_stands_key_by_key(told: TimelineEvent, data: dict[str, Any]) -> None:
    assert told.to_json() == data
    assert read(told.KIND, data) == told
