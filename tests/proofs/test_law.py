"""The law itself: a lawful history passes, and each way to break a sentence is named. It knows nothing of what it judges."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.proofs.law import Answered, Began, Entry, History, Moment, Sent, Shown, Tampered, Told, heard, unlawful
from tests.proofs.model import Rules, Said

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GROUPS = {"oncall": ("ann", "bob"), "leads": ("dora",)}
BEFORE = ({"replicas": 2}, "7")


def at(minutes: float = 0, **more: Any) -> Moment:
    return replace(Moment(NOON + timedelta(minutes=minutes), Rules(), GROUPS, stopped=False), **more)


SHOWN = Shown(
    at(),
    "p1",
    "d1",
    "k1",
    "set_replicas",
    {"replicas": 6},
    "eu-1/shop/web",
    BEFORE,
    Said("ask", ("oncall",)),
    ("oncall",),
    NOON + timedelta(hours=1),
    timedelta(minutes=15),
    "eve",
    untrusted=False,
    undo=("set_replicas", {"replicas": 2}),
    undo_covered=True,
)
YES = Answered(at(1), "p1", "d1", "ann", True, "approve")
BEGAN = Began(at(2), "p1")
SENT = Sent(at(2), "k1", "set_replicas", {"replicas": 6}, BEFORE)
DONE = Told(at(2), "p1", "DONE")
UNDO = replace(
    SHOWN,
    id="p2",
    digest="d2",
    key="k2",
    arguments={"replicas": 2},
    before=({"replicas": 6}, "8"),
    said=Said("allow"),
    undoes="p1",
    now=at(3),
    undo=None,
)
UNDONE = Sent(at(3), "k2", "set_replicas", {"replicas": 2}, UNDO.before)
LAWFUL: tuple[Entry, ...] = (SHOWN, YES, BEGAN, SENT, DONE, UNDO, UNDONE)


def test_the_oracle_knows_nothing_of_what_it_judges() -> None:
    for name in ("law", "model"):
        tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text())
        named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {one for one in named if one.split(".")[0] in ("agent", "tools")}


def test_what_was_approved_and_done_and_taken_back_is_lawful() -> None:
    assert unlawful(History(LAWFUL)) == []


def test_an_answer_given_again_is_still_that_of_its_moment() -> None:
    gone = at(2, groups={"oncall": ("bob",)})
    assert unlawful(History([SHOWN, YES, replace(YES, now=gone)])) == []
    assert unlawful(History([SHOWN, replace(YES, now=gone)])) == ["I2: ann is not among the approvers (p1)"]
    history = History([SHOWN, YES, replace(YES, now=at(14)), replace(SENT, now=at(17))])
    assert [why.split(":")[0] for why in unlawful(history)] == ["I3"], "the clock runs from the first time"


BROKEN: dict[str, tuple[str, list[Entry]]] = {
    "nobody was shown it": ("I1: set_replicas reached", [SENT]),
    "nobody approved it": ("I2: 0 of 1", [SHOWN, SENT]),
    "other arguments": ("I1: {'replicas': 9} reached", [SHOWN, YES, replace(SENT, arguments={"replicas": 9})]),
    "another action": ("I1", [SHOWN, YES, replace(SENT, action="restart")]),
    "an approval of something else": ("I1: an answer to something else", [SHOWN, replace(YES, digest="d9"), SENT]),
    "an agent's approval": ("I2: an answer was taken", [SHOWN, replace(YES, person=False), SENT]),
    "one person for two": (
        "I2: 1 of 2",
        [replace(SHOWN, said=Said("ask", ("oncall",), 2)), YES, replace(YES, now=at(1.5)), SENT],
    ),
    "one person for what destroys": (
        "I2: 1 of 2",
        [replace(SHOWN, action="destroy"), YES, replace(SENT, action="destroy")],
    ),
    "somebody else's approval": ("I2: dora is not", [SHOWN, replace(YES, name="dora"), SENT]),
    "the requester's approval": ("I2: ann asked for it", [replace(SHOWN, requester="ann"), YES, SENT]),
    "who has left": ("I2: 0 of 1", [SHOWN, YES, replace(SENT, now=at(2, groups={"oncall": ("bob",)}))]),
    "today's policy asks others": (
        "I2: 0 of 1",
        [SHOWN, YES, replace(SENT, now=at(2, rules=Rules(approvers=("leads",))))],
    ),
    "today's policy asks two": ("I2: 1 of 2", [SHOWN, YES, replace(SENT, now=at(2, rules=Rules(quorum=2)))]),
    "today's policy denies": ("policy says deny", [SHOWN, YES, replace(SENT, now=at(2, rules=Rules(verdict="deny")))]),
    "a freeze": ("policy says deny", [SHOWN, YES, replace(SENT, now=at(2, rules=Rules(frozen=True)))]),
    "asked for by today's policy": (
        "I2, I4: policy wants it asked",
        [replace(SHOWN, said=Said("allow")), SENT],
    ),
    "approved too late": ("I2: 0 of 1", [SHOWN, replace(YES, now=at(61)), replace(SENT, now=at(62))]),
    "started too late": ("I3", [SHOWN, YES, replace(SENT, now=at(17))]),
    "denied": ("I4: bob had said deny", [SHOWN, YES, replace(YES, name="bob", answer="deny"), SENT]),
    "stopped": ("I15: everything", [SHOWN, YES, replace(SENT, now=at(2, stopped=True))]),
    "tampered with": ("I1: it is not what was shown", [SHOWN, YES, Tampered(at(1), "p1"), SENT]),
    "another state": ("I5", [SHOWN, YES, replace(SENT, found=({"replicas": 3}, "7"))]),
    "another version": ("I5", [SHOWN, YES, replace(SENT, found=({"replicas": 2}, "8"))]),
    "twice": ("I6: it reached the target before", [SHOWN, YES, SENT, SENT]),
    "told that it was not done": (
        "I6, I7: it was told as NOT_DONE",
        [SHOWN, YES, replace(DONE, outcome="NOT_DONE"), SENT],
    ),
    "told differently": ("I7: it was told as DONE before", [SHOWN, YES, SENT, DONE, replace(DONE, outcome="UNKNOWN")]),
    "more than the budget": (
        "I15: more than the budget",
        [
            replace(SHOWN, id="p0", key="k0"),
            Began(at(0), "p0"),
            SHOWN,
            YES,
            Began(at(2, rules=Rules(per_hour=1)), "p1"),
            SENT,
        ],
    ),
    "more than the target's budget": (
        "I15: more than the budget",
        [
            replace(SHOWN, id="p0", key="k0"),
            Began(at(0), "p0"),
            SHOWN,
            YES,
            Began(at(2, rules=Rules(per_target=1)), "p1"),
            SENT,
        ],
    ),
    "an undo of what was not done": (
        "I1, I2: it is not the undo",
        [SHOWN, YES, replace(DONE, outcome="UNKNOWN"), UNDO, UNDONE],
    ),
    "another undo": (
        "I1, I2: it is not the undo",
        [SHOWN, YES, SENT, DONE, replace(UNDO, arguments={"replicas": 1}), replace(UNDONE, arguments={"replicas": 1})],
    ),
    "an undo that nobody covered": (
        "I1, I2: it is not the undo",
        [replace(SHOWN, undo_covered=False), YES, SENT, DONE, UNDO, UNDONE],
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_each_way_to_break_the_promise_is_named(how: str) -> None:
    words, history = BROKEN[how]
    assert any(why.startswith(words) or words in why for why in unlawful(History(history))), unlawful(History(history))


@pytest.mark.parametrize(
    ("who", "answer", "digest", "past", "leads_to"),
    [
        ("ann", "approve", "d1", [SHOWN], "counted"),
        ("ann", "approve", "d1", [SHOWN, YES], "again"),
        ("bob", "approve", "d1", [SHOWN, YES], "outdated"),  # its people are complete
        ("bob", "deny", "d1", [SHOWN, YES], "counted"),
        ("dora", "deny", "d1", [SHOWN], "not entitled"),
        ("eve", "revoke", "d1", [SHOWN, YES], "counted"),  # who asked for it
        ("eve", "approve", "d1", [SHOWN], "not entitled"),
        ("ann", "approve", "d9", [SHOWN], "outdated"),
        ("ann", "approve", "d1", [SHOWN, Tampered(at(), "p1")], "outdated"),
        ("bob", "deny", "d1", [SHOWN, YES, SENT, DONE], "outdated"),
        (None, "approve", "d1", [SHOWN], "not entitled"),
    ],
)
def test_what_an_answer_leads_to(who: str | None, answer: str, digest: str, past: list[Entry], leads_to: str) -> None:
    assert heard(History(past), SHOWN, at(3), who, who is not None, answer, digest) == leads_to
    if leads_to == "counted" and answer == "approve":
        assert heard(History(past), SHOWN, at(61), who, True, answer, digest) == "outdated"
        assert heard(History(past), SHOWN, at(3, rules=Rules(verdict="deny")), who, True, answer, digest) == "outdated"
