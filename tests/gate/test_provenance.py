"""Provenance: a name is as good as the best place it stands in, and text that anybody writes is no place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.app import open_app
from agent.domain.cause import Cause, Fault
from agent.domain.check import SuccessTest
from agent.domain.events import AlertJoined, EvidenceRecorded, ReplyGiven
from agent.domain.evidence import Evidence, ReadOutcome
from agent.domain.incident import Incident, Kind, State
from agent.domain.incident_view import IncidentView
from agent.domain.notes import PlainNote, Steered
from agent.domain.payload import Payload
from agent.domain.timeline import Event
from agent.gate.provenance import (
    Origin,
    Sources,
    names_of_platform,
    origins,
    untrusted,
    words_of_people,
    written_out,
)
from agent.graph.steps.propose import Judge
from agent.reasoner.protocol import Propose
from agent.settings import read as settings
from tests.gate.world import NOON
from tests.told import alert
from tests.told import event as told_event
from tools.context import Context
from tools.listing import TOOLS
from tools.spec import Answer, Fact, read

IDENTIFIERS = {"workload": "workload"}


def event(actor: str, told: Payload) -> Event:
    return told_event(1, actor, told, NOON)


def evidence(read: str, labels: dict[str, str], outcome: str = "ok", summary: str = "") -> EvidenceRecorded:
    fact = Fact("value", "value", 1, "", labels)
    return EvidenceRecorded(
        evidence=Evidence("E1", read, {}, "runbook", NOON, NOON, ReadOutcome(outcome), summary, (fact,))
    )


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("web", Origin.CATALOG),
        ("eu-1/shop/web", Origin.PLATFORM),
        ("checkout", Origin.PERSON),
        ("batch", Origin.RUNBOOK),
        ("payments", Origin.UNTRUSTED),
        ("Web", Origin.UNTRUSTED),
        ("web ", Origin.UNTRUSTED),
        ("w\u0435b", Origin.UNTRUSTED),  # a Cyrillic e
        ("we\u200bb", Origin.UNTRUSTED),
        (["web", "payments"], Origin.UNTRUSTED),
        (["web", "batch"], Origin.CATALOG),
        ([], Origin.UNTRUSTED),
        ({"web": 1}, Origin.UNTRUSTED),
    ],
)
def test_where_a_name_comes_from(name: Any, origin: Origin) -> None:
    sources = Sources({"web"}, {"eu-1/shop/web"}, {"checkout"}, {"batch"})
    assert origins({"workload": name, "replicas": 3}, IDENTIFIERS, sources) == {"workload": origin}
    assert untrusted({"workload": name}, IDENTIFIERS, sources) == (() if origin.trusted else ("workload",))


def test_an_absent_name_names_nothing() -> None:
    assert origins({"workload": None}, IDENTIFIERS, Sources()) == {}


def test_people_vouch_for_what_they_write_and_nobody_else_does() -> None:
    said = words_of_people(
        [
            event("os:ann", Steered(steer="look at checkout, not eu-1/shop/web.")),
            event("slack:T1/U1", ReplyGiven(text="it is batch")),
            event("openai", PlainNote(text="evil-1")),
            event("stanch", ReplyGiven(text="evil-2")),
            event("os:ann", AlertJoined(alert=alert("evil-3", NOON, summary="evil-3"), why="evil-3")),
            event("os:ann", evidence("evil-4", {}, summary="evil-4")),
            event("demo:--approve", PlainNote(text="evil-5")),
        ]
    )
    assert {"checkout", "eu-1/shop/web", "batch"} <= said
    assert not any(word.startswith("evil") for word in said)


def test_the_platform_vouches_for_its_own_objects_and_telemetry_for_none() -> None:
    names = names_of_platform(
        [
            event(
                "runbook",
                evidence(
                    "describe_workload",
                    {"workload": "web", "namespace": "shop", "cluster": "eu-1", "message": "evil-1"},
                ),
            ),
            event("runbook", evidence("query_metrics", {"workload": "evil-2"})),
            event("runbook", evidence("search_logs", {"pod": "evil-3"})),
            event("runbook", evidence("describe_workload", {"workload": "evil-4"}, outcome="failed")),
            event("runbook", evidence("describe_workload", {}, summary="evil-5")),
            event("runbook", PlainNote(unknown=evidence("describe_workload", {"pod": "evil-6"}).to_json())),
        ],
        {"describe_workload"},
    )
    assert names == {"web", "shop", "eu-1", "shop/web", "eu-1/shop/web"}


@read(vouches=True)
async def list_machines(context: Context) -> Answer:
    """Machines, as their own API lists them."""
    return Answer("none")


async def test_a_name_is_trusted_when_a_read_that_vouches_told_it(tmp_path: Path) -> None:
    async with open_app(settings({"data": str(tmp_path), "reasoner": "runbook"}, tmp_path)) as app:
        book = app.api.judge.run_context
        judge = Judge(replace(book, tools=book.tools.plus(reads=(list_machines,))), app.api.judge.executor)
        incident_view = IncidentView(Incident("inc", State.INVESTIGATING, Kind.INFRA, "", NOON))
        seen = replace(
            incident_view,
            events=(
                event("runbook", evidence("list_machines", {"workload": "press"})),
                event("runbook", evidence("search_logs", {"pod": "evil"})),
            ),
        )

        def suspect(name: str) -> tuple[str, ...]:
            scale = Propose("scale_workload", {"workload": name}, "", (), Cause("", Fault.UNKNOWN), SuccessTest(()))
            return judge._untrusted(seen, scale)

        assert suspect("press") == ()
        assert suspect("evil") == ("workload",)


def test_of_the_shipped_reads_only_those_of_a_platforms_own_objects_vouch() -> None:
    clusters, registry = (
        {"describe_workload", "workload_events", "rollout_history", "survey"},
        {"model_versions", "model_lineage"},
    )
    assert TOOLS.vouching == clusters | registry


def test_a_block_vouches_for_what_it_spells_out_and_not_for_what_is_filled_in() -> None:
    assert written_out({"workload": "batch", "to": "{{ workload }}", "n": 3, "x": "{% if a %}b{% endif %}"}) == {
        "batch"
    }
