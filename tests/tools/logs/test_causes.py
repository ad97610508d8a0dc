"""The patterns of causes.yaml, by their own examples."""

from __future__ import annotations

import re
import time
from itertools import groupby

import pytest

from tests.tools.logs.made_up import HELD_OUT, NOISE
from tools.context import Subject
from tools.logs.accusations import symptoms_of_lines
from tools.logs.causes import Match, cause_in, entries
from tools.logs.lines import said

MAILER = Subject("Deployment", "eu", "shop", "mailer")


def first_cause(line: str) -> Match | None:
    found = [cause_in(text, text.lower()) for text in said(line).text.split("\n")]
    return min((one for one in found if one), key=lambda one: one.rank, default=None)


def told_by(lines: list[str]) -> list[str]:
    return [one.reason for one in symptoms_of_lines(lines, MAILER, lambda _: None)]


@pytest.mark.parametrize("rank", range(len(entries())), ids=lambda n: f"{n}-{entries()[n].reason}")
def test_each_example_is_taken_by_its_own_entry_and_by_none_before_it(rank: int) -> None:
    examples = entries()[rank].examples.splitlines()
    assert len(examples) >= 2
    assert [(line, found.rank if (found := first_cause(line)) else None) for line in examples] == [
        (line, rank) for line in examples
    ]


@pytest.mark.parametrize("rank", range(len(entries())), ids=lambda n: f"{n}-{entries()[n].reason}")
def test_a_near_miss_tells_nothing_of_the_reason(rank: int) -> None:
    near = entries()[rank].near.splitlines()
    assert near
    assert [line for line in near if entries()[rank].reason in told_by([line])] == []


def test_entries_of_one_reason_follow_each_other_where_nothing_forces_them_apart() -> None:
    runs = [reason for reason, _ in groupby(entry.reason for entry in entries())]
    assert len(set(runs)) == 18
    assert len(runs) <= 32


def test_every_repetition_has_a_limit() -> None:
    """So that the work of a pattern grows with the line and not with its square."""
    for entry in entries():
        for pattern in entry.regex.splitlines():
            bare = re.sub(r"\[(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\.", "x", pattern.replace("\\]", "")))
            assert not re.search(r"[*+]|\{\d*,\}", bare), pattern


def test_the_time_that_the_worst_long_line_takes_is_printed() -> None:
    worst = (0.0, "")
    for word in sorted({word for entry in entries() for word in entry.words}):
        line = ("ERROR " + word + " x:1 ") * (30_000 // (len(word) + 11))
        started = time.process_time()
        assert len(told_by([line])) <= 1
        worst = max(worst, (time.process_time() - started, word))
    print(f"the worst line of 30,000 characters ({worst[1]!r} again and again): {worst[0]:.2f} CPU s")


def test_the_time_that_ten_thousand_lines_take_is_printed() -> None:
    for app, noise in (*NOISE.items(), ("errors", lambda n: HELD_OUT[n % len(HELD_OUT)].told.split("\n")[0])):
        lines = [f"{noise(n)} {'lorem ipsum dolor ' * 17}"[:300] for n in range(10_000)]
        started = time.process_time()
        found = symptoms_of_lines(lines, MAILER, lambda _: None)
        print(
            f"{app}: 10,000 lines of 300 characters in {time.process_time() - started:.2f} CPU s, {len(found)} symptoms"
        )
        assert len(found) <= 12
