"""Requests for retraining, and what the alias action says of itself. The alias is moved in test_mlflow_server."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.contexts import NOON, ListedCatalog, backend, context
from tests.tools.test_mlflow import recorded
from tools.context import Backends, Context, Model, Service, Workload
from tools.errors import BadArguments, NotConfigured, Refused, TargetUnclear, ToolFailed, Unreachable
from tools.models.actions import PointModelAlias, RequestRetraining
from tools.spec import Risk, State

MODEL = Model("forecast", "demand-forecast", served_by="demand-forecast")
SERVICE = Service(
    "demand-forecast", {}, workloads=(Workload("forecast-server", "ml", "eu-1"),), environment="production"
)
REQUEST = RequestRetraining(model="forecast", reason="error doubled after the price change", data_version="2026-11-23")
KEY = "ex-1f"


class Sink:
    """A training pipeline's inbox that keeps requests by id, as a receiver that answers a status does."""

    def __init__(self, status: int = 202, answers_status: bool = True) -> None:
        self.kept: dict[str, httpx.Request] = {}
        self._status = status
        self._answers_status = answers_status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if self._status < 400:
                self.kept[json.loads(request.content)["id"]] = request
            return httpx.Response(self._status, text="said so")
        key = request.url.path.rsplit("/", 1)[-1]
        known = self._answers_status and key in self.kept
        return httpx.Response(200, json={"id": key, "state": "queued"}) if known else httpx.Response(404)


def here(answer: Any, url: str = "http://train.test/requests") -> Context:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    mlflow = backend("mlflow", "http://mlflow.test", name="registry", app=httpx.MockTransport(recorded))
    made = context(mlflow, models=(MODEL,), services=(SERVICE,), http=http)
    return replace(made, backends=Backends((mlflow,), retraining_url=url))


async def test_a_request_is_a_cloud_event_whose_id_is_the_key() -> None:
    sink = Sink()
    where = here(sink)
    before = await REQUEST.observe(where)
    assert REQUEST.change(before, KEY) == State({"requested": KEY}) != before
    receipt = await REQUEST.apply(where, before, KEY)
    request = sink.kept[KEY]
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    assert json.loads(request.content) == {
        "specversion": "1.0",
        "id": KEY,
        "source": "/stanch",
        "type": "dev.stanch.retraining.requested",
        "subject": "forecast",
        "time": "2026-11-24T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "model": "forecast",
            "registry_name": "demand-forecast",
            "reason": "error doubled after the price change",
            "data_version": "2026-11-23",
        },
    }
    assert "HTTP 202" in receipt.text
    assert where.clock.now() == NOON


@pytest.mark.parametrize(("answers", "known"), [(True, True), (False, None)])
async def test_a_receiver_that_keeps_a_status_can_say_that_it_happened(answers: bool, known: bool | None) -> None:
    where = here(Sink(answers_status=answers))
    assert await REQUEST.probe(where, KEY) is None
    await REQUEST.apply(where, State({"requested": None}), KEY)
    assert await REQUEST.probe(where, KEY) is known


@pytest.mark.parametrize(("status", "error"), [(400, Refused), (404, Refused), (503, ToolFailed)])
async def test_what_the_receiver_refuses_did_not_happen_and_a_fault_of_its_is_unknown(status: int, error: type) -> None:
    with pytest.raises(error, match=f"HTTP {status}: said so") as raised:
        await REQUEST.apply(here(Sink(status)), State({"requested": None}), KEY)
    assert isinstance(raised.value, Refused) is (status < 500)


@pytest.mark.parametrize(
    ("failure", "error"), [(httpx.ConnectError("refused"), Refused), (httpx.ReadTimeout("slow"), Unreachable)]
)
async def test_only_without_a_connection_it_is_certain_that_nothing_was_asked(failure: Exception, error: type) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(error):
        await REQUEST.apply(here(fail), State({"requested": None}), KEY)
    assert await REQUEST.probe(here(fail), KEY) is None


async def test_without_an_address_nothing_is_asked() -> None:
    with pytest.raises(NotConfigured, match="retraining_url"):
        await REQUEST.observe(here(Sink(), url=""))


def test_a_retraining_costs_money_and_cannot_be_called_back() -> None:
    assert REQUEST.risk is Risk.REVERSIBLE
    assert REQUEST.settle is None
    assert REQUEST.undo(State({"requested": None})) is None
    assert not REQUEST.mitigates
    assert "error doubled" in REQUEST.command(here(Sink()))


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "forecast", "version": ""},
        {"model": "forecast", "version": "2; rm"},
        {"model": "forecast", "version": True},
        {"model": "forecast", "version": None},
        {"model": "forecast", "version": "2", "alias": "a/b"},
        {"model": "", "version": "2"},
        {"model": "forecast"},
        {"model": "forecast", "version": "2", "stage": "Production"},
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArguments, match="point_model_alias"):
        PointModelAlias.parse(arguments)


async def test_the_target_of_an_alias_is_the_model_in_its_registry() -> None:
    action = PointModelAlias(model="forecast", version="2")
    target = action.target(here(Sink()))
    assert (target.kind, target.name, target.cluster) == ("model", "forecast", "registry")
    assert (target.environment, target.service, target.confirmed) == ("production", "demand-forecast", True)
    with pytest.raises(TargetUnclear, match="no model 'other'"):
        PointModelAlias(model="other", version="2").target(here(Sink()))


async def test_what_a_person_would_type_names_the_registrys_model_and_the_catalogs_alias() -> None:
    retail = Model("demand", "retail.demand_hourly", alias="production", served_by="demand-forecast")
    where = replace(here(Sink()), catalog=ListedCatalog((SERVICE,), (retail,)))
    words = shlex.split(PointModelAlias(model="demand", version="7").resolved(where).command(where))
    assert words[:4] == ["curl", "-fsS", "-X", "POST"]
    assert words[4] == "http://mlflow.test/api/2.0/mlflow/registered-models/alias"
    assert json.loads(words[-1]) == {"name": "retail.demand_hourly", "alias": "production", "version": "7"}
    nowhere = replace(where, backends=Backends())
    assert '"$MLFLOW_TRACKING_URI"/api/' in PointModelAlias(model="demand", version="7").command(nowhere)


async def test_the_catalogs_alias_is_moved_and_no_other() -> None:
    retail = Model("demand", "retail.demand_hourly", alias="production", served_by="demand-forecast")
    where = replace(here(Sink()), catalog=ListedCatalog((SERVICE,), (retail,)))
    wanted = PointModelAlias(model="demand", version="7").resolved(where)
    assert wanted.model_dump() == {"model": "demand", "version": "7", "alias": "production"}
    assert PointModelAlias(model="demand", version="7", alias="production").resolved(where) == wanted
    with pytest.raises(Refused, match="follows the alias 'production', by the catalog; 'champion' is another's"):
        PointModelAlias(model="demand", version="7", alias="champion").resolved(where)


async def test_a_version_that_is_not_ready_is_not_pointed_at() -> None:
    def pending(request: httpx.Request) -> httpx.Response:
        body = recorded(request).json()
        for version in body.get("model_versions", ()):
            version["status"] = "PENDING_REGISTRATION"
        return httpx.Response(200, json=body)

    where = here(Sink())
    mlflow = backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(pending))
    with pytest.raises(Refused, match="may not be served: it is PENDING_REGISTRATION, not READY"):
        await PointModelAlias(model="forecast", version="2").dry_run(
            replace(where, backends=Backends((mlflow,))), State({"version": "3"})
        )
    assert PointModelAlias.identifiers() == {"model": "model", "version": "version", "alias": "alias"}


async def test_an_alias_that_somebody_else_moved_meanwhile_is_not_moved() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return recorded(request)

    mlflow = backend("mlflow", "http://mlflow.test", app=httpx.MockTransport(answer))
    place = replace(here(Sink()), backends=Backends((mlflow,)))
    action = PointModelAlias(model="forecast", version="2")
    before = await action.observe(place)
    with pytest.raises(Refused, match="moved by somebody else"):
        await action.apply(place, State({"version": "1"}, before.version), "key")
    with pytest.raises(Refused, match="moved by somebody else"):
        await action.apply(place, State(before.fields, "1@0.000"), "key")
    assert set(asked) == {"GET"}
