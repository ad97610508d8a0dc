"""The graph over the lab: what happens to a move, a verdict, a decision and an effect, whoever thinks."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.api import App
from agent.app import open_app
from agent.domain.alert import AlertStatus
from agent.domain.catalog import Person
from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest
from agent.domain.finding import Assertion, Claim
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.errors import Outdated, ReasonerFailed
from agent.gate.policy import SUGGEST_EVERYTHING
from agent.gate.proposal import ProposalState
from agent.graph.worker import Rest, RestKind
from agent.reasoner.protocol import AskPerson, Call, Conclude, Look, Move, Propose, Thought, View
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session

P99 = (
    'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{service="demand-forecast"}[5m])))'
)
LOOK = Look((Call("query_metrics", {"promql": P99}, "p99"),))
SLOW = Claim("p99 is {E1.value.last}, above {E1.value.min}.", (Assertion("E1.value.last", ">", "E1.value.min"),))
CAUSE = Cause("demand-forecast", Fault.CPU_CONTENTION, 0.8)
FAST = SuccessTest(
    (Check("query_metrics", {"promql": P99, "minutes": 5}, "< 1"),), timedelta(minutes=1), timedelta(minutes=10)
)
HOPELESS = SuccessTest(
    (Check("query_metrics", {"promql": P99, "minutes": 5}, "< 0.001"),), timedelta(minutes=1), timedelta(minutes=3)
)
END = Conclude((), CAUSE, hand_over="Call the owner.")
MENDED = Conclude((SLOW,), CAUSE)


def scale(replicas: int = 6, workload: str = "forecast-server", success: SuccessTest = FAST) -> Propose:
    return Propose(
        "scale_workload",
        {"workload": workload, "replicas": replicas},
        "p99 is {E1.value.last}",
        (SLOW,),
        CAUSE,
        success,
    )


@dataclass
class Scripted:
    """Plays moves in order; a function gets the view. The last one is repeated."""

    moves: list[Move | Callable[[View], Move]]
    views: list[View] = field(default_factory=list)
    name: str = "scripted"

    async def next_move(self, view: View) -> Thought:
        move = self.moves[min(len(self.views), len(self.moves) - 1)]
        self.views.append(view)
        return Thought(move(view) if callable(move) else move, self.name)


@asynccontextmanager
async def incident(
    tmp_path: Path, reasoner: Scripted, policy: str = demo_env.POLICY, rename: str = "", address: str = ""
) -> AsyncIterator[tuple[App, str]]:
    """The lab's first incident. With `rename` its alert has another name and address: without one its rule cannot be read."""
    session = Session(functools.partial(open_app, reasoner=reasoner), {"data": str(tmp_path)})
    async with demo_env.begun(session, [], "forecast-contention", 1, policy) as (app, alerts, _):
        first = alerts[0]
        if rename:
            first = replace(first, labels={**first.labels, "alertname": rename}, generator_url=address)
        (received,) = await app.api.receive([first])
        assert received.incident is not None
        yield app, received.incident


def me(app: App) -> Person:
    return app.api.person(f"os:{app.settings.os_user}")


async def replicas(app: App) -> int:
    context = app.api.context()
    answer = await app.tools.read("describe_workload")(context, workload="forecast-server")
    return int(next(f.value for f in answer.facts if f.id == "replicas.wanted") or 0)


async def finish(app: App, identity: str) -> tuple[Rest, IncidentView]:
    """Let clocks pass until the run ends or needs a person."""
    while (rest := await app.api.work(identity)).kind is RestKind.CLOCK:
        assert rest.due is not None
        await app.clock.sleep((rest.due - app.clock.now()).total_seconds())
    return rest, await app.api.incident_view(identity)


async def test_an_approved_proposal_is_executed_verified_and_written_down(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, identity):
        rest = await app.api.work(identity)
        assert (rest.kind, rest.waits_for) == (RestKind.PERSON, "approval")
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.RECOVERED
        assert [e.data["outcome"] for e in incident_view.outcomes.values()] == ["DONE"]
        assert await replicas(app) == 6
        assert incident_view.report is not None
        assert "recovered" in Path(incident_view.report).read_text()
        assert await app.api.audit() == []


async def test_where_policy_only_suggests_nothing_runs_and_the_command_is_shown(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, scale(), END])
    async with incident(tmp_path, reasoner, SUGGEST_EVERYTHING) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.HANDED_OVER
        assert incident_view.verdicts[f"{identity}-p1"].verdict == "suggest"
        assert incident_view.proposal is not None
        assert incident_view.proposal.command.startswith("kubectl")
        assert await replicas(app) == 3
        assert any("suggest" in said for said in reasoner.views[-1].rejections)


@pytest.mark.parametrize("name", [{"alertname": "StanchSlow"}, {"source": "stanch"}], ids=str)
async def test_in_an_incident_about_stanch_itself_nothing_is_proposed_whatever_policy_allows(
    tmp_path: Path, name: dict[str, str]
) -> None:
    reasoner = Scripted([LOOK, scale(), END])
    session = Session(functools.partial(open_app, reasoner=reasoner), {"data": str(tmp_path)})
    allow = demo_env.POLICY.replace("verdict: ask", "verdict: allow")
    async with demo_env.begun(session, [], "forecast-contention", 1, allow) as (app, alerts, _):
        (received,) = await app.api.receive([replace(alerts[0], labels={**alerts[0].labels, **name})])
        assert received.incident is not None
        _, incident_view = await finish(app, received.incident)
        assert await app.api.proposals() == []
        assert await replicas(app) == 3
        assert incident_view.incident.state is State.HANDED_OVER
        assert any("about Stanch itself" in said for said in reasoner.views[-1].rejections)


async def test_a_denial_reaches_the_reasoner_and_nothing_runs(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, scale(), END])
    async with incident(tmp_path, reasoner) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "deny", "not during the sale")
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.HANDED_OVER
        assert await replicas(app) == 3
        assert any(e.data.get("reason") == "not during the sale" for e in reasoner.views[-1].events)


async def test_steering_voids_the_proposal_that_waits(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, scale(), END])
    async with incident(tmp_path, reasoner) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.steer(identity, me(app), "look at the database first")
        await finish(app, identity)
        assert "look at the database first" in reasoner.views[-1].steering[0]
        with pytest.raises(Outdated):
            await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        assert await replicas(app) == 3


async def test_an_approval_that_nobody_gives_in_time_expires(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), END])) as (app, identity):
        rest = await app.api.work(identity)
        await app.clock.sleep(3700)
        _, incident_view = await finish(app, identity)
        proposal = await app.api.proposal(str(rest.proposal))
        assert str(proposal.state) == "expired"
        assert incident_view.incident.state is State.HANDED_OVER


async def test_what_somebody_did_by_hand_voids_the_proposal_and_is_verified(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED])) as (app, identity):
        rest = await app.api.work(identity)
        by_hand = app.tools.action("scale_workload").parse({"workload": "eu-1/ml/forecast-server", "replicas": 6})
        context = app.api.context()
        await by_hand.apply(context, await by_hand.observe(context), "by-hand")
        _, incident_view = await finish(app, identity)
        proposal = await app.api.proposal(str(rest.proposal))
        assert str(proposal.state) == "voided"
        assert incident_view.outcomes == {}
        assert incident_view.incident.state is State.RECOVERED


async def test_alerts_that_cleared_void_the_proposal_that_waits(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(), END])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        firing = (await app.api.incident_view(identity)).alerts[0]
        await app.api.receive([replace(firing, status=AlertStatus.RESOLVED, ends_at=app.clock.now())])
        await finish(app, identity)
        assert (await app.api.proposal(proposal.id)).state is ProposalState.VOIDED
        with pytest.raises(Outdated):
            await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        assert await replicas(app) == 3


async def test_nothing_is_undone_once_a_person_took_over(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(4, success=HOPELESS), END])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        assert (await app.api.work(identity)).kind is RestKind.CLOCK
        await app.api.hand_over(identity, me(app))
        _, incident_view = await finish(app, identity)
        assert (incident_view.incident.state, incident_view.undo) == (State.HANDED_OVER, None)
        assert [e.data["outcome"] for e in incident_view.outcomes.values()] == ["DONE"]
        assert await replicas(app) == 4


async def test_a_fix_that_does_not_help_is_undone_as_it_was_approved(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(4, success=HOPELESS), END])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.HANDED_OVER
        assert incident_view.undo is not None
        assert [e.data["outcome"] for e in incident_view.outcomes.values()] == ["DONE", "DONE"]
        assert await replicas(app) == 3


async def test_a_question_waits_for_a_person_and_goes_on_with_the_answer(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, AskPerson("Is the sale on?"), Conclude((SLOW,), CAUSE)])
    async with incident(tmp_path, reasoner) as (app, identity):
        rest = await app.api.work(identity)
        assert (rest.kind, rest.waits_for) == (RestKind.PERSON, "person")
        assert (await app.api.incident_view(identity)).incident.state is State.NEEDS_INPUT
        await app.api.steer(identity, me(app), "yes, until noon")
        _, incident_view = await finish(app, identity)
        assert "yes, until noon" in reasoner.views[-1].steering[0]
        assert incident_view.incident.state is State.HANDED_OVER


async def test_a_claim_that_does_not_hold_is_told_once_then_dropped_and_counted(tmp_path: Path) -> None:
    false = Claim("p99 is {E1.value.last}, below {E1.value.min}.", (Assertion("E1.value.last", "<", "E1.value.min"),))
    end = Conclude((SLOW, false), CAUSE)
    reasoner = Scripted([LOOK, end])
    async with incident(tmp_path, reasoner) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert len(reasoner.views) == 3
        assert "Dropped" in reasoner.views[-1].rejections[0]
        assert incident_view.dropped == 1
        assert [f.template for f in incident_view.findings] == [SLOW.text]


async def test_a_cause_without_any_finding_is_no_cause(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, Conclude((), CAUSE)])) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert incident_view.cause is not None
        assert incident_view.cause.fault is Fault.UNKNOWN
        assert incident_view.incident.state is State.INCONCLUSIVE


async def test_an_unknown_target_is_told_to_the_reasoner_and_nothing_is_guessed(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, scale(workload="nope"), END])
    async with incident(tmp_path, reasoner) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert "nope" in reasoner.views[-1].rejections[0]
        assert incident_view.proposals == {}


async def test_a_reasoner_that_fails_ends_with_a_person_and_what_was_checked(tmp_path: Path) -> None:
    def fails(view: View) -> Move:
        raise ReasonerFailed("the endpoint is gone")

    async with incident(tmp_path, Scripted([LOOK, fails])) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.INCONCLUSIVE
        assert "the endpoint is gone" in incident_view.hand_over
        assert list(incident_view.evidence) == ["E1"]


async def test_a_reasoner_that_never_ends_is_ended_by_its_budget(tmp_path: Path) -> None:
    looking = Look((Call("describe_service", {"name": "web"}, "again"),))
    reasoner = Scripted([looking])
    async with incident(tmp_path, reasoner) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert len(reasoner.views) == app.settings.llm.budget.steps
        assert incident_view.incident.state is State.INCONCLUSIVE
