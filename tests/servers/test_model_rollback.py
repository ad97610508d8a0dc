"""A model is rolled back on a real MLflow: proposed, approved by a person of the catalog, done, watched, and undone where
serving does not follow. Only the clock is moved, so that nobody waits for the verification's windows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent.api import App
from agent.app import open_app
from agent.clock import MovedClock
from agent.domain.alert import Alert, AlertStatus
from agent.domain.cause import Cause, Fault
from agent.domain.check import Check, SuccessTest
from agent.domain.finding import Assertion, Claim
from agent.domain.incident import Kind, State
from agent.domain.incident_view import IncidentView, to_json
from agent.domain.timeline import EventKind
from agent.errors import NotEntitled
from agent.graph.worker import Rest, RestKind
from agent.reasoner.protocol import Call, Conclude, Look, Move, Propose, Thought, View
from agent.settings import read
from agent.settings_file import BackendEntry
from tests.mlflow_server import API, MODEL, MlflowServer, mlflow_server
from tests.serving import served

__all__ = ["mlflow_server"]  # the fixture
pytestmark = pytest.mark.server
CAUSE = Cause("forecast", Fault.BAD_MODEL_VERSION, 0.9)
POLICY = """\
approvers: [ml]
rules:
  - {name: ask the owners of models, action: point_model_alias, environment: production, verdict: ask}
"""
CATALOG = """\
services:
  forecast-server:
    match: {{service: demand-forecast}}
    workloads: [{{name: forecast-server, namespace: ml, cluster: eu-1}}]
    serves_model: forecast
    environment: production
models:
  forecast: {{registry_name: {registry}, alias: champion, served_by: forecast-server, served_url: "{url}"}}
people:
  ann: {{os_user: ann}}
  bob: {{os_user: bob}}
groups: {{ml: [ann]}}
"""
SUCCESS = SuccessTest(
    (Check("served_version", {"model": "forecast"}, "== 2", "served.version"),),
    hold=timedelta(seconds=30),
    within=timedelta(minutes=2),
)
RULE = 'model_error{service="demand-forecast"} > 0.2'


@dataclass
class Scripted:
    """A reasoner that looks, proposes the version before, and concludes; the views it was given are kept."""

    name: str = "scripted"
    seen: list[View] = field(default_factory=list)

    async def next_move(self, view: View) -> Thought:
        self.seen.append(view)
        made = [e.data["move"] for e in view.events if e.kind is EventKind.NOTE and "move" in e.data]
        return Thought(self._move(view, made), self.name)

    def _move(self, view: View, made: Sequence[str]) -> Move:
        if not made:
            return Look(
                (
                    Call("served_version", {"model": "forecast"}, "which version is served"),
                    Call("model_lineage", {"model": "forecast"}, "how the champion was made"),
                )
            )
        e = {one.read: one.id for one in view.evidence.values()}
        worse = f"{e['model_lineage']}.metric.mape", f"{e['model_lineage']}.previous.metric.mape"
        served_now = f"{e['served_version']}.served.version"
        claims = (
            Claim(
                f"Its error is higher than that of the version before: {{{worse[0]}}} against {{{worse[1]}}}.",
                (Assertion(worse[0], ">", worse[1]),),
            ),
        )
        if "propose" not in made:
            return Propose(
                "point_model_alias",
                {"model": "forecast", "version": "2"},
                f"Serving runs version {{{served_now}}}.",
                claims,
                CAUSE,
                SUCCESS,
                Kind.MODEL,
            )
        mended = any(e.kind is EventKind.VERIFICATION and e.data["recovered"] is True for e in view.events)
        return Conclude(claims, CAUSE, Kind.MODEL, hand_over="" if mended else "Call the owners of the model.")


@dataclass
class Serving:
    """A serving process that says which version it runs. One that follows loads by alias, the other stays at 3."""

    registry: str
    follows: bool

    rule: bool = True  # whether its Prometheus lists the alert's rule

    def prometheus(self) -> Starlette:
        """A Prometheus with one rule and one series: the error is high while version 3 is served."""

        async def rules(request: Request) -> JSONResponse:
            rule = {"name": "ModelErrorHigh", "query": RULE, "duration": 0, "labels": {"severity": "warning"}}
            listed = [{"name": "ml", "interval": 30, "rules": [rule]}] if self.rule else []
            return JSONResponse({"status": "success", "data": {"groups": listed}})

        async def query(request: Request) -> JSONResponse:
            text, at = request.query_params["query"], float(request.query_params["time"])
            error = 0.31 if await self.served() == "3" else 0.11
            value = at if "timestamp(" in text else error
            quiet = "> 0.2" in text and error < 0.2
            one = {"metric": {"service": "demand-forecast"}, "value": [at, str(value)]}
            return JSONResponse(
                {"status": "success", "data": {"resultType": "vector", "result": [] if quiet else [one]}}
            )

        return Starlette(
            routes=[Route("/api/v1/rules", rules), Route("/api/v1/query", query), Route("/version", self.version)]
        )

    async def version(self, request: Request) -> JSONResponse:
        return JSONResponse({"model": MODEL, "version": await self.served()})

    async def served(self) -> str:
        version = "3"
        if self.follows:
            async with httpx.AsyncClient(timeout=20) as http:
                asked = {"name": MODEL, "alias": "champion"}
                answer = await http.get(f"{self.registry}{API}/registered-models/alias", params=asked)
            version = str(answer.json()["model_version"]["version"])
        return version


@dataclass
class Stage:
    app: App
    clock: MovedClock
    reasoner: Scripted
    incident: str = ""

    async def run(self) -> Rest:
        """Until it ends or a person is needed; clocks are moved on."""
        while True:
            rest = await self.app.api.work(self.incident)
            if rest.kind is not RestKind.CLOCK:
                return rest
            assert rest.due is not None
            self.clock.move_to(rest.due)

    async def approved(self, user: str = "ann") -> None:
        (proposal,) = await self.app.api.proposals()
        await self.app.api.decide(proposal.id, proposal.digest, self.app.api.person(f"os:{user}"), "approve")

    async def incident_view(self) -> IncidentView:
        return await self.app.api.incident_view(self.incident)


@asynccontextmanager
async def stage(mlflow: MlflowServer, folder: Path, *, follows: bool, rule: bool = True) -> AsyncIterator[Stage]:
    serving = Serving(mlflow.url, follows, rule)
    async with served(serving.prometheus()) as url:
        (folder / "catalog.yaml").write_text(CATALOG.format(registry=MODEL, url=f"{url}/version"))
        (folder / "policy.yaml").write_text(POLICY)
        plain = read({"data": folder / "data"}, cwd=folder)
        backends = {
            "mlflow": (BackendEntry(name="mlflow", url=mlflow.url, timeout_s=60),),
            "prometheus": (BackendEntry(name="prometheus", url=url, timeout_s=60),),
        }
        settings = replace(plain, backends=backends)
        clock, reasoner = MovedClock(datetime.now(UTC)), Scripted()
        async with open_app(settings, clock=clock, reasoner=reasoner) as app:
            labels = {"alertname": "ModelErrorHigh", "service": "demand-forecast", "severity": "warning"}
            alert = Alert(
                fingerprint="f1",
                status=AlertStatus.FIRING,
                labels=labels,
                annotations={"summary": "forecasts are off"},
                starts_at=clock.now() - timedelta(minutes=5),
                source="alertmanager",
            )
            (received,) = await app.api.receive([alert])
            assert received.incident is not None
            yield Stage(app, clock, reasoner, received.incident)


@pytest.fixture
def registry(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    mlflow_server.point_champion("3")
    yield mlflow_server
    mlflow_server.point_champion("3")


async def test_serving_that_follows_is_a_recovery(registry: MlflowServer, tmp_path: Path) -> None:
    async with stage(registry, tmp_path, follows=True) as on:
        rest = await on.run()
        assert (rest.kind, rest.waits_for) == (RestKind.PERSON, "approval")
        assert registry.champion() == "3"  # nothing happens before somebody says so
        for user in ("bob", "nobody"):  # one who is no approver, and one whom the catalog does not know
            with pytest.raises(NotEntitled):
                await on.approved(user)
        await on.approved()
        assert registry.champion() == "3"  # an approval is a decision, not yet the act
        assert (await on.run()).kind is RestKind.ENDED
        assert registry.champion() == "2"
        shown = to_json(await on.incident_view())
    assert shown["incident"]["state"] == State.RECOVERED
    assert shown["incident"]["kind"] == "model"
    assert shown["proposal"]["arguments"] == {"model": "forecast", "version": "2", "alias": "champion"}
    assert (shown["proposal"]["verdict"], shown["proposal"]["risk"]) == ("ask", "reversible")
    assert [(d["by"], d["answer"]) for d in shown["decisions"]] == [("os:ann", "approve")]
    assert shown["execution"]["outcome"] == "DONE"
    assert shown["verification"]["recovered"] is True
    assert shown["undo"] is None
    assert shown["findings"] == [
        {"text": "Its error is higher than that of the version before: 0.31 against 0.11.", "evidence": ["E2"]}
    ]
    assert shown["counts"]["dropped_claims"] == 0


async def test_that_serving_runs_the_version_is_no_recovery_where_the_rule_cannot_be_read(
    registry: MlflowServer, tmp_path: Path
) -> None:
    async with stage(registry, tmp_path, follows=True, rule=False) as on:
        await on.run()
        (sealed,) = await on.app.api.proposals()
        assert sealed.success.by_person
        await on.approved()
        assert (await on.run()).kind is RestKind.ENDED
        assert registry.champion() == "2"  # nothing is taken back on a guess
        incident_view = await on.incident_view()
    shown = to_json(incident_view)
    assert shown["incident"]["state"] == State.HANDED_OVER
    assert (shown["verification"]["recovered"], shown["undo"]) == (None, None)
    assert any("Is it over?" in str(e.data.get("hand_over")) for e in incident_view.events)
    assert "whether it is over a person has to say" in on.reasoner.seen[-1].rejections[0]


async def test_serving_that_stays_is_no_recovery_and_the_alias_is_moved_back(
    registry: MlflowServer, tmp_path: Path
) -> None:
    async with stage(registry, tmp_path, follows=False) as on:
        await on.run()
        (sealed,) = await on.app.api.proposals()
        assert sealed.undo is not None
        assert sealed.undo.arguments == {"model": "forecast", "version": "3", "alias": "champion"}
        await on.approved()
        assert (await on.run()).kind is RestKind.ENDED
        assert registry.champion() == "3"
        incident_view = await on.incident_view()
    shown = to_json(incident_view)
    assert shown["incident"]["state"] == State.HANDED_OVER
    assert shown["execution"]["outcome"] == "DONE"
    assert shown["verification"]["recovered"] is False
    assert shown["undo"]["execution"]["outcome"] == "DONE"
    assert shown["undo"]["proposal"]["arguments"] == sealed.undo.arguments
    assert [d["by"] for d in shown["decisions"]] == ["os:ann"]  # the approval covered the undo: nobody was asked twice
    moved = [e.data["proposal"] for e in incident_view.events if e.kind is EventKind.OUTCOME]
    assert moved == [sealed.id, shown["undo"]["proposal"]["id"]]
    whys = [e.data["why"] for e in incident_view.events if e.kind is EventKind.VERIFICATION and e.data["final"]]
    assert whys[0].startswith("not recovered within 2 min: ")
    assert "ModelErrorHigh's own rule still fires" in whys[0]
    assert "served_version" in whys[0]


async def test_an_alias_that_somebody_else_moved_meanwhile_is_left_where_it_is(
    registry: MlflowServer, tmp_path: Path
) -> None:
    """Approved on what was seen; what is there now is another thing, so nothing is done."""
    async with stage(registry, tmp_path, follows=False) as on:
        await on.run()
        await on.approved()
        registry.point_champion("1")
        assert (await on.run()).kind is RestKind.ENDED
        assert registry.champion() == "1"
        shown = to_json(await on.incident_view())
    assert shown["execution"]["outcome"] == "NOT_DONE"
    assert shown["incident"]["state"] == State.HANDED_OVER


async def test_a_change_made_by_hand_meanwhile_is_said_to_be_and_still_watched(
    registry: MlflowServer, tmp_path: Path
) -> None:
    async with stage(registry, tmp_path, follows=True) as on:
        await on.run()
        registry.point_champion("2")
        assert (await on.run()).kind is RestKind.ENDED
        shown = to_json(await on.incident_view())
    assert shown["execution"] is None or shown["execution"]["outcome"] == "NOT_DONE"
    assert shown["decisions"] == []
    assert shown["verification"]["recovered"] is True
    assert shown["incident"]["state"] == State.RECOVERED
