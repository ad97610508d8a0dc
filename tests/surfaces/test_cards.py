"""Approve what you see: names that only look right, hidden characters, line breaks and very long values, on every card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from agent.domain.alert import AlertStatus
from agent.domain.catalog import Catalog
from agent.domain.events import AlertJoined, ProposalSealed
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView
from agent.domain.text import exact, oddities, visible
from agent.domain.timeline import Event
from agent.domain.urgency import Depth, Urgency
from agent.gate.approver_warnings import cautions
from agent.gate.kill_switch import Stopped
from agent.gate.proposal import Proposal, ProposalState
from agent.store.database import Database
from agent.surfaces.cli import cards
from agent.surfaces.slack import approval as slack_card
from agent.surfaces.slack.card_context import Scene as SlackScene
from tests.gate.world import NOON, Scene
from tests.told import alert, event
from tools.spec import State as Seen

CYRILLIC = "сhеckout"  # с and е are Cyrillic


@pytest.fixture
async def proposal(tmp_path: Path) -> Proposal:
    database = await Database.open("", tmp_path / "data")
    scene = await Scene(database, tmp_path / "world").open()
    made = await scene.propose()
    await database.close()
    return made


def terminal(proposal: Proposal, stopped: Stopped | None = None, events: Sequence[Event] = ()) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        cards.approval(console, proposal, Catalog(), stopped, events)
    return console.export_text()


def slack(proposal: Proposal, stopped: Stopped | None = None, events: Sequence[Event] = ()) -> str:
    incident = Incident("inc", State.AWAITING_APPROVAL, Kind.UNKNOWN, "p99", NOON)
    attention = Urgency("inc", Depth.INVESTIGATE, "C1")
    scene = SlackScene(IncidentView(incident, events=list(events)), attention, stopped=stopped)
    parts = slack_card.approval(scene, proposal)
    return json.dumps(parts, ensure_ascii=False, default=lambda part: str(part))


CARDS = pytest.mark.parametrize("card", [terminal, slack], ids=["terminal", "slack"])


def dressed(proposal: Proposal, workload: str) -> Proposal:
    return replace(proposal, target=replace(proposal.target, name=workload), arguments={"workload": workload})


@CARDS
@pytest.mark.parametrize(
    ("workload", "shown", "said"),
    [
        (CYRILLIC, "⟨U+0441⟩h⟨U+0435⟩ckout", "U+0441 CYRILLIC SMALL LETTER ES"),
        ("web\u202etxt", "web⟨U+202E⟩txt", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("we\u200bb", "we⟨U+200B⟩b", "U+200B ZERO WIDTH SPACE"),
        ("web\nrisk: none", "web⏎risk: none", "a line break"),
        ("сосо", "⟨U+0441⟩⟨U+043E⟩⟨U+0441⟩⟨U+043E⟩", "CYRILLIC SMALL LETTER O"),
        ("ｗeb", "⟨U+FF57⟩eb", "FULLWIDTH LATIN SMALL LETTER W"),
    ],
)
def test_a_name_is_shown_for_what_it_is_and_the_card_says_so(
    proposal: Proposal, card: object, workload: str, shown: str, said: str
) -> None:
    text = card(dressed(proposal, workload))  # type: ignore[operator]
    assert shown in text
    assert said in text
    assert workload not in text


@CARDS
def test_an_honest_name_is_left_alone(proposal: Proposal, card: object) -> None:
    text = card(dressed(proposal, "checkout-v2"))  # type: ignore[operator]
    assert "checkout-v2" in text
    assert "contains" not in text


@CARDS
def test_a_very_long_value_is_in_full_and_its_length_is_said(proposal: Proposal, card: object) -> None:
    tail = "x" * 4_000 + "-the-end"
    long = replace(proposal, arguments={"note": tail}, after=Seen({"note": tail}))
    text = "".join(card(long).split())  # type: ignore[operator]
    assert "4,008characterslong" in text
    assert "the-end" in text.replace("│", "")
    assert text.count("x") >= 4_000


@CARDS
def test_names_from_untrusted_text_and_a_stop_are_said(proposal: Proposal, card: object) -> None:
    text = card(replace(proposal, untrusted=("workload",)), Stopped("os:ann", NOON, "smells"))  # type: ignore[operator]
    assert "Named only in text from outside: workload" in text
    assert "os:ann stopped everything at 2026-11-24T12:00:00" in text
    assert "stanch resume" in text


@CARDS
def test_an_alert_that_fired_since_is_said(proposal: Proposal, card: object) -> None:
    def fired(n: int, name: str, status: AlertStatus = AlertStatus.FIRING) -> Event:
        return event(n, "alertmanager", AlertJoined(alert=alert(name, NOON, status)), NOON)

    made = event(2, "runbook", ProposalSealed.from_json(proposal.to_json()), NOON)
    before = [fired(1, "LatencyHigh"), made, fired(3, "LatencyHigh")]
    assert "fired as well" not in card(proposal, None, [*before, fired(4, "Early", AlertStatus.RESOLVED)])  # type: ignore[operator]
    late = [*before, fired(4, "NodeDown"), fired(5, "LatencyHigh")]
    assert "Since this was proposed, NodeDown fired as well" in card(proposal, None, late)  # type: ignore[operator]
    assert "fired as well" not in card(replace(proposal, state=ProposalState.DONE), None, late)  # type: ignore[operator]


def test_keys_and_inner_values_are_looked_at_too(proposal: Proposal) -> None:
    nested = replace(proposal, arguments={"labels": {"te\u200bam": ["ok", CYRILLIC]}})
    said = " ".join(cautions(nested))
    assert "a key of argument labels contains U+200B" in said
    assert "CYRILLIC" in said


@pytest.mark.parametrize(
    "text",
    ["Задержка выросла", "レイテンシ", "µs", "Δ p99", "naïve café", "10 m²", "Überlast", "Ελληνικά", "web服务"],
)
def test_other_languages_stay_legible_in_prose(text: str) -> None:
    assert visible(text) == text


def test_a_lookalike_in_a_latin_word_is_spelled_out_in_prose_too() -> None:
    assert visible(f"restart {CYRILLIC} now") == "restart ⟨U+0441⟩h⟨U+0435⟩ckout now"
    assert exact("checkout") == "checkout"
    assert oddities("checkout\t") == []
