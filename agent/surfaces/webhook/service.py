"""The webhook as a FastAPI application: three entrances, health, metrics and its own description."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from agent.application import App
from agent.clock import RealClock
from agent.errors import StoreAway
from agent.surfaces.webhook import contract
from agent.surfaces.webhook.contract import EVENT, NOTIFICATION, Answer, Health, ProblemBody
from agent.surfaces.webhook.credentials import Keys
from agent.surfaces.webhook.door import Door, entrances
from agent.surfaces.webhook.meters import Meters
from agent.surfaces.webhook.problem import Problem, later, on_http, on_problem
from agent.surfaces.webhook.readiness import Readiness
from tools.context import Clock

CHECK_S = 2.0  # how long /readyz waits for the database
REFUSALS = (400, 401, 403, 413, 415, 503)
JSON, EVENTS, BATCH = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"


def build(
    app: App, *, loopback: bool, ready: Readiness, routes: Sequence[BaseRoute] = (), wall: Clock | None = None
) -> FastAPI:
    """The service over one application. `loopback` says it is bound there alone; then no token is needed if none is
    configured. `routes` are other surfaces' (Slack's events), with authentication of their own."""
    web = FastAPI(
        title="Stanch", version=version("stanch"), docs_url=None, redoc_url=None, openapi_url=None, routes=list(routes)
    )
    web.add_exception_handler(Problem, on_problem)
    web.add_exception_handler(HTTPException, on_http)
    keys = Keys([token.get_secret_value() for token in app.settings.door.tokens], loopback)
    meters = Meters(app)
    _webhooks(web, app, Door(app, keys, ready, meters, wall or RealClock()))
    _probes(web, app, ready)
    _behind_credentials(web, keys, meters, ready)
    return web


def _webhooks(web: FastAPI, app: App, door: Door) -> None:
    found = entrances(app)
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": Answer, "description": "Everything in it had been delivered before"},
        **contract.problems(*REFUSALS),
    }

    def take(path: str, name: str, summary: str, extra: dict[str, Any]) -> None:
        entrance = found[name]

        async def enter(request: Request) -> Response:
            return await door.enter(entrance, request)

        web.add_api_route(
            path, enter, methods=["POST"], status_code=202, name=name, summary=summary, response_model=None,
            responses={**answers, 202: {"model": Answer, "description": "On disk"}}, openapi_extra=extra,
        )  # fmt: skip

    of_events = {JSON: EVENT, EVENTS: EVENT, BATCH: {"type": "array", "minItems": 1, "contains": EVENT}}
    take("/v1/webhooks/alertmanager", "alertmanager", "Alertmanager's webhook", contract.takes({JSON: NOTIFICATION}))
    take("/v1/webhooks/grafana", "grafana", "Grafana's contact point", contract.takes({JSON: NOTIFICATION}, "grafana"))
    take("/v1/events", "events", "Deployments, promotions, data", contract.takes(of_events, "standardWebhooks"))


def _probes(web: FastAPI, app: App, ready: Readiness) -> None:
    """Open to everybody, and telling nothing else."""

    @web.get("/healthz", summary="Whether the process lives", response_model=Health)
    async def healthz() -> Response:
        return JSONResponse({"status": "ok", "detail": ""})

    @web.get(
        "/readyz", summary="Whether notifications are taken", response_model=Health, responses=contract.problems(503)
    )
    async def readyz() -> Response:
        if not ready:
            raise later(f"Not ready: {ready.why}.")
        try:
            async with asyncio.timeout(CHECK_S):
                await app.inbox.waiting()
        except (StoreAway, TimeoutError):
            raise later("Not ready: the database does not answer.") from None
        return JSONResponse({"status": "ready", "detail": ""})


def _behind_credentials(web: FastAPI, keys: Keys, meters: Meters, ready: Readiness) -> None:
    text: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format"}
    }
    secured = {"security": contract.BEARER_OR_BASIC}

    @web.get("/metrics", summary="For Prometheus", response_class=Response, response_model=None,
             responses={**text, **contract.problems(401, 403)}, openapi_extra=secured)  # fmt: skip
    async def metrics(request: Request) -> Response:
        keys.check(request.headers)
        return Response(await meters.exposition(ready), media_type=CONTENT_TYPE_LATEST)

    @web.get("/openapi.json", include_in_schema=False)
    async def description(request: Request) -> Response:
        keys.check(request.headers)
        return JSONResponse(described(web))

    @web.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        keys.check(request.headers)
        return get_swagger_ui_html(openapi_url="/openapi.json", title="Stanch")


def described(web: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    document = web.openapi()
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = contract.SCHEMES
    parts.setdefault("schemas", {})["ProblemBody"] = ProblemBody.model_json_schema()
    return document
