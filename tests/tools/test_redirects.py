"""No tool goes where a server sends it: the answer would be about something else, and our token would go along."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.contexts import backend, context
from tools.alerts.actions import SilenceAlert
from tools.alerts.active import active_alerts
from tools.context import Backends, Context, Model
from tools.drift.inspect import inspect_drift
from tools.errors import ToolError
from tools.fetch import fetch_json
from tools.logs.search import search_logs
from tools.models.actions import PointModelAlias, RequestRetraining
from tools.models.versions import model_versions, served_version
from tools.prometheus.metrics import query_metrics
from tools.spec import State

MODEL = Model("m", "m", served_url="http://here.test/version")
KEY = "stanch-key"
Asked = Callable[[Context], Awaitable[Any]]
ASKED: dict[str, Asked] = {
    "prometheus": lambda c: query_metrics(c, promql="up"),
    "a long query": lambda c: fetch_json(
        c.backends.pick("prometheus"), "/api/v1/query", {"query": "x" * 4000}, post=True
    ),
    "alertmanager": lambda c: active_alerts(c, labels={"alertname": "A"}),
    "a silence": lambda c: SilenceAlert(alertname="A", minutes=5, reason="because").observe(c),
    "loki": lambda c: search_logs(c, query='{app="x"}'),
    "mlflow": lambda c: model_versions(c, model="m"),
    "an alias": lambda c: PointModelAlias(model="m", version="2").apply(c, State({"version": "1"}), KEY),
    "drift": lambda c: inspect_drift(c, source="http://here.test/report.json"),
    "serving": lambda c: served_version(c, model="m"),
    "retraining": lambda c: RequestRetraining(model="m", reason="because").apply(c, State({}), KEY),
    "the request for retraining": lambda c: RequestRetraining(model="m", reason="because").probe(c, KEY),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_by_no_tool(what: str, status: int) -> None:
    """Even through a client that would: what is asked says so itself."""
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(status, headers={"location": "http://elsewhere.test/"}, json={"version": "7"})

    def willing() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url="http://here.test", transport=httpx.MockTransport(answer), follow_redirects=True
        )

    kinds = ("prometheus", "alertmanager", "loki", "mlflow", "drift")
    made = [backend(kind, "http://here.test", app=httpx.MockTransport(answer)) for kind in kinds]
    for one in made:
        one.http.follow_redirects = True
    place = context(*made, models=(MODEL,), http=willing())
    place = replace(place, backends=Backends(tuple(made), retraining_url="http://here.test/train"))
    try:
        found = await ASKED[what](place)
    except ToolError:
        found = None
    assert set(hosts) == {"here.test"}
    assert "version 7" not in str(getattr(found, "summary", "")), "what a redirect holds is no answer"
