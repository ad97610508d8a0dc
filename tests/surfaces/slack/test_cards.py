"""What single cards say, drawn from incidents that never were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.domain.catalog import Catalog
from agent.domain.incident import Incident, Kind
from agent.domain.incident import State as IncidentState
from agent.domain.incident_view import IncidentView
from agent.domain.urgency import Depth, Urgency
from agent.gate.proposal import ProposalState, Undo
from agent.surfaces.slack.approval import approval, approval_notice, buttons
from agent.surfaces.slack.blocks import Block, messages, notice
from agent.surfaces.slack.card_context import Scene, lasted
from agent.surfaces.slack.cards import footer, root
from agent.surfaces.slack.thread import digest, wanted
from tests.slack_limits import problems
from tests.surfaces.slack.scenes import AT, proposal, scene
from tests.surfaces.slack.test_thread import said
from tools.spec import State


def card(state: ProposalState) -> list[Block]:
    (blocks,) = messages(approval(scene(state=state), scene(state=state).proposals["inc-1-p1"]))
    return blocks


@pytest.mark.parametrize("state", list(ProposalState))
def test_only_what_is_open_has_buttons_and_every_state_says_what_it_is(state: ProposalState) -> None:
    blocks = card(state)
    assert not problems(blocks)
    assert [b["block_id"] for b in blocks if b["type"] == "actions"] == (["stanch:inc-1-p1"] if state == "open" else [])
    assert len(approval_notice(proposal(state=state))) <= 120
    assert "command" in said(blocks)


@pytest.mark.parametrize("state", ["suggested", "shadowed", "denied_by_policy"])
def test_what_stanch_may_not_do_can_be_copied(state: str) -> None:
    blocks = card(ProposalState(state))
    place = next(i for i, b in enumerate(blocks) if "To do it yourself" in said(b))
    assert blocks[place + 1]["elements"][0]["type"] == "rich_text_preformatted"
    assert said(blocks[place + 1]).strip() == "command"


def test_a_quorum_that_is_half_there_says_who_is_missing() -> None:
    text = said(card(ProposalState.OPEN))
    assert "2 of approver" in text
    assert "Approved by" in text
    assert "1 more approval" in text


def test_unknown_calls_a_person_and_says_that_nothing_is_tried_again() -> None:
    assert "A person has to look at the target" in said(card(ProposalState.UNKNOWN))


def test_target_cluster_change_risk_and_undo_stand_before_the_buttons_on_a_phone() -> None:
    blocks = card(ProposalState.OPEN)
    before = said(blocks[: [b["type"] for b in blocks].index("actions")])
    places = [
        before.index(label)
        for label in ("Target", "Cluster", "Change", "Risk", "Undo", "Also touches", "May approve", "Until")
    ]
    assert places == sorted(places)


def test_every_change_stands_on_the_card_and_in_what_is_confirmed() -> None:
    before, after = State({"replicas": 3, "image": "v41", "kept": 1}), State({"replicas": 6, "image": "v40", "kept": 1})
    one = proposal(state=ProposalState.OPEN, before=before, after=after)
    (blocks,) = messages(approval(scene(state=ProposalState.OPEN), one))
    text = " ".join(said([b for b in blocks if b["type"] != "actions"]).split())  # the buttons ask again
    assert ("replicas 3 → 6" in text, "image v41 → v40" in text, "kept" in text) == (True, True, False)
    asked = str(buttons(one)["elements"][0]["confirm"])
    assert ("replicas 3 → 6" in asked, "image v41 → v40" in asked) == (True, True)


def test_what_cannot_be_undone_says_so_before_it_is_approved() -> None:
    for undo, words in ((Undo("scale", {}, "kubectl scale"), "It can be undone."), (None, "Stanch cannot undo it.")):
        asked = str(buttons(proposal(state=ProposalState.OPEN, undo=undo))["elements"][0]["confirm"])
        assert words in asked
        assert ("cannot" in asked) == (undo is None)


def test_a_notification_is_one_short_line_of_letters() -> None:
    assert notice("a\nb <!channel> & " + "x" * 200) == "a⏎b ‹!channel› ＆ " + "x" * 102 + "…"
    long = proposal(state=ProposalState.OPEN, action="http_" + "x" * 90)
    assert len(notice(approval_notice(long))) <= 120


def test_an_incident_of_a_bare_stack_has_a_card_too() -> None:
    incident = Incident(
        "inc-2", IncidentState.NEW, Kind.UNKNOWN, "something", AT, "warning", ("f",), {"job": "api"}, 0, AT
    )
    bare = Scene(IncidentView(incident), Urgency("inc-2", Depth.CARD), Catalog())
    (message,) = wanted(bare)
    assert not problems(message.blocks)
    assert "not in the catalog" in said(list(message.blocks))
    assert "none fits" in said(root(bare))


def test_the_footer_says_cost_and_duration() -> None:
    whole = scene()
    whole.incident_view.tokens, whole.incident_view.cost = 12_345, 0.0312
    assert footer(whole) == "inc-1 · runbook · 2 reads · 12,345 tokens, 0.03 USD · 9 min"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (1020, "17 min"),
        (7200, "2 h"),
        (11_100, "3 h 5 min"),
        (180_000, "2 d 2 h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: int, text: str) -> None:
    assert lasted(timedelta(seconds=seconds)) == text


def test_a_digest_of_six_hundred_keeps_every_one_of_them() -> None:
    incident = scene().incident_view.incident
    at = datetime(2026, 11, 17, 15, tzinfo=UTC)
    listed = [
        (
            replace(incident, id=f"inc-{n}", title=f"alert number {n}", labels={}, since=at + timedelta(seconds=n)),
            Urgency(f"inc-{n}", Depth.DIGEST),
        )
        for n in range(600)
    ]
    found = digest("digest:C1:2026-11-17T15", listed)
    assert not [p for m in found for p in problems(m.blocks)]
    whole = " ".join(said(list(m.blocks)) for m in found)
    assert all(f"alert number {n} " in whole.replace(".", " ") for n in range(600))
    assert len(found) <= 10
    assert found[0].slot == "root"
