"""Waits stand in checkpoints: what an older version kept there is still read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.graph.waits import WaitsFor, Wake, Why, answer_of, follows


@pytest.mark.parametrize(
    ("kept", "why", "proposal", "node"),
    [
        ("due:inc-p1", "due", "inc-p1", "verify"),
        ("approved:inc-p2", "approved", "inc-p2", "act"),
        ("settled:inc-p1", "settled", "inc-p1", "verify"),
        ("outside:inc-p1", "outside", "inc-p1", "verify"),
        ("steered:inc-p1", "steered", "inc-p1", "think"),
        ("answered", "answered", "", "think"),
        ("superseded", "superseded", "", "think"),
        ("something else", "something else", "", "think"),
    ],
)
def test_an_answer_of_an_older_version_leads_where_it_led(kept: str, why: str, proposal: str, node: str) -> None:
    assert answer_of(kept) == (why, proposal)
    assert follows(why) == node


@pytest.mark.parametrize("why", Why)
@pytest.mark.parametrize("proposal", ["inc-p1", None])
def test_a_wake_is_read_as_it_was_kept(why: Why, proposal: str | None) -> None:
    kept = json.loads(json.dumps(Wake(why, proposal).to_json()))
    assert answer_of(kept) == (str(why), proposal or "")
    assert follows(kept["why"]) == why.next


@pytest.mark.parametrize(
    ("kept", "waits_for"),
    [
        ("approval", WaitsFor.APPROVAL),
        ("person", WaitsFor.PERSON),
        ("clock", WaitsFor.CLOCK),
        ("", WaitsFor.APPROVAL),
        (None, WaitsFor.APPROVAL),
    ],
)
def test_what_a_run_rests_for_is_read_as_it_was_kept(kept: Any, waits_for: WaitsFor) -> None:
    assert WaitsFor.read(kept) is waits_for


def test_only_what_takes_a_proposals_reason_away_voids_it() -> None:
    assert {why for why in Why if why.voids} == {Why.EXPIRED, Why.CLEARED, Why.STEERED, Why.OUTSIDE}
