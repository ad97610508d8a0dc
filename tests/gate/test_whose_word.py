"""Whose word a name in a proposal is: asked of the judge, over an incident's timeline, catalog and runbooks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.domain.notes import RunbookFound, Steered
from agent.domain.timeline import Event
from agent.graph.steps.propose import Judge
from tests.gate.test_provenance import event, evidence
from tests.graph.test_graph import END, LOOK, Scripted, incident, me, scale

LABELS = {"workload": "stranger"}


@dataclass(frozen=True)
class Block:
    action: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Book:
    name: str
    text: str
    actions: tuple[Block, ...] = (Block("scale_workload", LABELS),)


@dataclass(frozen=True)
class Books:
    """A library of three: one of the incident, one that it names, and one that nobody named."""

    kept: dict[str, Book] = field(
        default_factory=lambda: {
            "of-the-incident": Book("of-the-incident", "If that does not help see named-there."),
            "named-there": Book("named-there", ""),
            "of-another": Book("of-another", ""),
        }
    )

    def names(self) -> list[str]:
        return list(self.kept)

    def book(self, name: str) -> Book | None:
        return self.kept.get(name)


@pytest.mark.parametrize("named", [True, False], ids=["in the proposal", "in an edit"])
async def test_a_name_is_as_good_as_whoever_wrote_it_down(tmp_path: Path, named: bool) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), END])) as (app, identity):
        await app.api.work(identity)
        incident_view, person = await app.api.incident_view(identity), me(app)
        if not named:
            (old,) = await app.api.proposals()
            old = replace(old, untrusted=("workload",))
            for changed, left in (({"replicas": 9}, ("workload",)), ({"workload": "typed"}, ())):
                wanted = app.api.judge._like(old, {**old.arguments, **changed}, person, old.success, old.why)
                assert wanted.untrusted == left, "who types something else vouches for what they typed"
            return
        run_context: Any = replace(app.api.run_context, library=Books())  # type: ignore[arg-type]
        judge = Judge(run_context, app.api.judge.executor)
        recalled = [RunbookFound("of-the-incident", 1.0, "", "")]

        def trusted(*events: Event, source: str = "") -> bool:
            move = replace(scale(workload="stranger"), source=source)
            return judge._untrusted(replace(incident_view, events=events, runbooks=recalled), move) == ()

        assert not trusted()
        assert trusted(event("runbook", evidence("describe_workload", LABELS)))
        for read in ("search_logs", "query_metrics", "active_alerts", "inspect_drift", "served_version"):
            assert not trusted(event("runbook", evidence(read, LABELS))), f"{read} tells what anybody may have written"
        assert trusted(event(person.principal, Steered(steer="take stranger")))
        for nobody in ("os:nobody", "slack:T9/U9", "openai"):
            assert not trusted(event(nobody, Steered(steer="take stranger"))), nobody
        for source, known in (("of-the-incident#fix", True), ("named-there", True), ("of-another", False), ("", False)):
            assert trusted(source=source) is known, source
