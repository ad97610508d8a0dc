"""The graph over the lab: what is called recovered, what is left to a person, and what a person is given to type."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rich.console import Console

from agent.domain.check import Check, SuccessTest
from agent.domain.incident import State
from agent.domain.timeline import EventKind
from agent.gate.policy import SUGGEST_EVERYTHING
from agent.graph.worker import RestKind
from agent.reasoner.protocol import Conclude, Propose
from agent.surfaces.cli.screen import Screen
from tests.graph.test_graph import CAUSE, END, LOOK, MENDED, SLOW, Scripted, finish, incident, me, replicas, scale

VACUOUS = SuccessTest(
    (Check("query_metrics", {"promql": "vector(1)", "minutes": 5}, "> 0"),),
    timedelta(seconds=0.6),
    timedelta(minutes=1),
)


async def test_a_vacuous_test_is_sealed_with_the_alerts_own_rule_and_decides_nothing(tmp_path: Path) -> None:
    async with incident(tmp_path, Scripted([LOOK, scale(success=VACUOUS), MENDED])) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        test = proposal.success
        assert [c.is_rule for c in test.checks] == [False, True]
        assert (test.already, test.by_person) == ((0,), False)
        assert test.hold >= timedelta(minutes=1)
        assert test.within >= timedelta(minutes=5 + 5) + test.hold  # the rule's range, its `for`, the hold
        assert test.checks[1].args["labels"] == {
            "cluster": "eu-1",
            "namespace": "ml",
            "service": "demand-forecast",
        }
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        _, incident_view = await finish(app, identity)
        looks = [e.data for e in incident_view.verifications[proposal.id]]
        assert looks[0]["checks"] == [True, False]  # the alert goes on: not recovered, whatever the test says
        assert looks[-1]["recovered"] is True
        assert all(one["checks"] == [True, True] for one in looks[-3:])
        assert incident_view.incident.state is State.RECOVERED


async def test_an_alert_whose_rule_cannot_be_read_and_a_test_that_holds_already_are_refused(tmp_path: Path) -> None:
    reasoner = Scripted([LOOK, scale(success=VACUOUS), END])
    async with incident(tmp_path, reasoner, rename="Nobodys") as (app, identity):
        _, incident_view = await finish(app, identity)
        assert incident_view.proposals == {}
        assert "holds already" in reasoner.views[-1].rejections[0]
        assert await replicas(app) == 3


async def test_a_rule_whose_series_are_on_another_server_is_none_that_could_be_over(tmp_path: Path) -> None:
    elsewhere = "http://prometheus.elsewhere/graph?g0.expr=probe_success%7Bjob%3D%22blackbox%22%7D+%3D%3D+0"
    async with incident(tmp_path, Scripted([LOOK, scale(), MENDED]), rename="Nobodys", address=elsewhere) as (
        app,
        identity,
    ):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        assert [c.is_rule for c in proposal.success.checks] == [False]
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        _, incident_view = await finish(app, identity)
        assert incident_view.incident.state is State.RECOVERED


async def test_a_test_may_not_bring_a_rule_of_its_own(tmp_path: Path) -> None:
    own = SuccessTest((Check("alert_condition", {"expr": "up == 7", "labels": {}}, "== 0", "firing.count"),))
    reasoner = Scripted([LOOK, scale(success=own), END])
    async with incident(tmp_path, reasoner) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert incident_view.proposals == {}
        assert "put beside a success test by code" in reasoner.views[-1].rejections[0]


async def test_nobody_asks_whether_a_request_for_training_has_mended_anything(tmp_path: Path) -> None:
    asks = Propose(
        "request_retraining",
        {"model": "demand-forecast", "reason": "it is stale"},
        "p99 is {E1.value.last}",
        (SLOW,),
        CAUSE,
        VACUOUS,
    )
    reasoner = Scripted([LOOK, asks, END])
    async with incident(tmp_path, reasoner) as (app, identity):
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        assert proposal.success.checks == ()
        assert "mends nothing by itself" in proposal.success.lines[0]
        await app.api.decide(proposal.id, proposal.digest, me(app), "approve")
        rest, incident_view = await finish(app, identity)
        assert incident_view.outcomes[proposal.id].data["outcome"] == "DONE"
        assert incident_view.verifications == {}
        assert "mends nothing by itself" in reasoner.views[-1].rejections[0]
        assert (rest.kind, incident_view.incident.state) == (RestKind.ENDED, State.HANDED_OVER)


async def test_what_is_suggested_can_be_read_and_copied_in_the_terminal(tmp_path: Path) -> None:
    console = Console(width=40, record=True, force_terminal=False)
    async with incident(tmp_path, Scripted([LOOK, scale(), END]), SUGGEST_EVERYTHING) as (app, identity):
        _, incident_view = await finish(app, identity)
        screen = Screen(console)
        for event in incident_view.events:
            screen.show(event)
    lines = console.export_text().splitlines()
    assert "kubectl --context eu-1 -n ml scale deployment/forecast-server --replicas=6" in lines  # whole, in one line
    assert "kubectl --context eu-1 -n ml scale deployment/forecast-server --replicas=3" in lines
    assert any("hand over Call the owner." in line for line in lines)


async def test_an_action_that_is_not_configured_is_still_given_as_a_command(tmp_path: Path) -> None:
    asks = Conclude(
        (SLOW,), CAUSE, hand_over="Call the owner.", by_hand=(("restart_workload", {"workload": "forecast-server"}),)
    )
    async with incident(tmp_path, Scripted([LOOK, asks])) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert [one.command for one in incident_view.by_hand] == [
            "kubectl --context eu-1 -n ml rollout restart deployment/forecast-server"
        ]
        report = Path(str(incident_view.report)).read_text()
        assert "```sh\nkubectl --context eu-1 -n ml rollout restart deployment/forecast-server\n```" in report
        assert [e.data["by_hand"] for e in incident_view.events if e.kind is EventKind.NOTE and "by_hand" in e.data]


async def test_where_a_value_is_not_known_the_command_has_a_word_to_fill_in(tmp_path: Path) -> None:
    more = Conclude(
        (SLOW,),
        CAUSE,
        hand_over="Call the owner.",
        by_hand=(("scale_workload", {"workload": "forecast-server", "replicas": "REPLICAS"}),),
    )
    async with incident(tmp_path, Scripted([LOOK, more])) as (app, identity):
        _, incident_view = await finish(app, identity)
        assert [one.command for one in incident_view.by_hand] == [
            "kubectl --context eu-1 -n ml scale deployment/forecast-server --replicas=REPLICAS"
        ]
