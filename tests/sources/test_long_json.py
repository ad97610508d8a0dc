"""Long JSON is read a portion at a time, and says what `json.loads` says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import TooMany
from agent.sources.long_json import SHORT, decoded
from agent.sources.portions import PORTION, at_once

LONG = " " * (SHORT + 1)  # in front of a text: it is read by portions then
PIECES = ("{", "}", "[", "]", ",", ":", '"alerts"', '"a"', "1", "-0.5e3", "null", '"\\u00e9"', " ", "\n", "nul")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["alerts", "a", "é"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def steps_of(text: str) -> int:
    steps, count = decoded(text), 0
    for _ in steps:
        count += 1
    return count


@given(values)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert at_once(decoded(LONG + text + LONG)) == value


@given(st.lists(st.sampled_from(PIECES), max_size=12))
@settings(max_examples=500, deadline=None)
def test_what_is_no_json_is_refused_and_nothing_else(pieces: list[str]) -> None:
    text = LONG + "".join(pieces)
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match="line"):
            at_once(decoded(text))
    else:
        assert at_once(decoded(text)) == expected


def test_a_list_of_alerts_is_read_by_portions_wherever_it_stands() -> None:
    alerts = [{"n": n} for n in range(PORTION * 10)]
    for body in (alerts, {"version": "4", "alerts": alerts, "z": 1}):
        assert steps_of(LONG + json.dumps(body)) == 9
    assert steps_of(json.dumps(alerts)) == 0, "what is short is read in one go"


@pytest.mark.parametrize("before", ["", LONG])
@pytest.mark.parametrize("text", ["[1,2,3,4]", '{"alerts": [1,2,3,4]}', '{"alerts": [1], "alerts": [1,2,3,4]}'])
def test_more_than_may_be_in_it_is_too_many(before: str, text: str) -> None:
    assert at_once(decoded(before + text, 4))
    with pytest.raises(TooMany, match="more than 3 alerts"):
        at_once(decoded(before + text, 3))
