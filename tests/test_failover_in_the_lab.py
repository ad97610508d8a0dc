"""A model that fails or goes in circles, over the lab: what becomes of the whole incident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.graph.worker import RestKind
from agent.reasoner.failover import Failover
from agent.reasoner.progress import TOLD
from agent.reasoner.protocol import Call, Look, Move, Reasoner
from agent.reasoner.rules.runbook_reasoner import RunbookReasoner
from tests.graph.test_graph import P99, finish, incident, me
from tests.reasoner.test_failover import Model

SOME = (0, 10, 11, 19, 24)


def looks(count: int) -> list[Move]:
    return [Look((Call("query_metrics", {"promql": P99, "minutes": 10 + n}, "p99"),)) for n in range(count)]


@dataclass(frozen=True)
class Ended:
    incident_view: IncidentView
    text: str

    def what(self) -> dict[str, Any]:
        """What a person would compare: the cause, what was proposed and done, how it ended."""
        d = self.incident_view
        assert d.cause is not None
        proposal = {k: getattr(d.proposal, k, None) for k in ("action", "arguments", "target", "command")}
        return {
            "cause": (d.cause.component, d.cause.fault),
            "proposal": proposal,
            "state": d.incident.state,
            "outcomes": [e.data["outcome"] for e in d.outcomes.values()],
        }


async def worked(folder: Path, reasoner: Reasoner) -> Ended:
    """The founding incident to its end, with everything approved."""
    async with incident(folder, reasoner) as (app, identity):  # type: ignore[arg-type]
        rest, incident_view = await finish(app, identity)
        while rest.kind is RestKind.PERSON and rest.waits_for == "approval":
            proposal = await app.api.proposal(str(rest.proposal))
            await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
            rest, incident_view = await finish(app, identity)
        assert rest.kind is RestKind.ENDED
        return Ended(incident_view, Path(str(incident_view.report)).read_text())


@pytest.fixture(scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return await worked(tmp_path_factory.mktemp("alone"), RunbookReasoner())


@pytest.mark.parametrize("looked", range(25))
async def test_a_model_that_fails_after_some_looks_ends_as_without_it(
    request: pytest.FixtureRequest, tmp_path: Path, alone: Ended, looked: int
) -> None:
    if looked not in SOME and not request.config.getoption("--prove"):
        pytest.skip("each takes a whole incident: the others with --prove, and all without the lab in tests/reasoner")
    ended = await worked(tmp_path, Failover(Model(looks(looked)), RunbookReasoner()))
    assert alone.incident_view.incident.state is State.RECOVERED
    assert ended.what() == alone.what()
    assert ended.incident_view.reasoner == "openai→runbook"
    assert "fail-over openai→runbook" in ended.text


async def test_a_model_that_repeats_itself_is_told_once_and_the_timeline_and_report_say_so(
    tmp_path: Path, alone: Ended
) -> None:
    model = Model(looks(1) * 30)
    ended = await worked(tmp_path, Failover(model, RunbookReasoner()))
    assert ended.what() == alone.what()
    told = [view.rejections for view in model.views]
    assert _told(told) == 1
    assert ended.text.count("no progress") == 1
    assert ended.text.count("repeats itself") == 1
    assert len(model.views) <= 5
    assert len([e for e in ended.incident_view.events if "no progress" in str(e.data.get("text"))]) == 1


def _told(rejections: Sequence[Sequence[str]]) -> int:
    return sum(TOLD in one for one in rejections)


async def test_a_model_that_comes_back_goes_on_with_the_case(tmp_path: Path) -> None:
    from tests.graph.test_graph import MENDED

    model = Model([*looks(1), None, MENDED])
    ended = await worked(tmp_path, Failover(model, RunbookReasoner()))
    assert ended.incident_view.reasoner == "openai→runbook→openai"
    assert "openai answers again and goes on" in ended.text
    assert "Reasoner openai→runbook→openai" in ended.text
