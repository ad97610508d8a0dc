"""What /openapi.json says of each route, true to what it does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse

from agent.surfaces.webhook import docs
from agent.surfaces.webhook.problems import MEDIA, Problem

_TEXT = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
_TIME = {"type": "string", "format": "date-time"}
ALERT: Mapping[str, Any] = {
    "type": "object",
    "required": ["labels", "startsAt"],
    "properties": {
        "labels": {**_TEXT, "minProperties": 1},
        "annotations": _TEXT,
        "startsAt": _TIME,
        "endsAt": {"anyOf": [_TIME, {"type": "null"}]},
        "generatorURL": {"type": "string"},
        "fingerprint": {"type": "string"},
        "status": {"type": "string"},
    },
}
_NOTIFICATION = {
    "type": "object",
    "required": ["alerts"],
    "properties": {"alerts": {"type": "array", "minItems": 1, "contains": ALERT}},
}
_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"anyOf": [_TIME, {"type": "null"}]},
        "subject": {"type": "string"},
        "data": {},
    },
}
_BODIES: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any], str]] = {
    "alertmanager": (
        ("application/json",), _NOTIFICATION,
        "The body of an Alertmanager webhook (version 4), as `GET /api/v2/alerts` lists alerts, or one alert. At least "
        "one alert has to be readable; what is not is set aside.",
    ),
    "grafana": (
        ("application/json",), _NOTIFICATION,
        "The body of a Grafana webhook, with a token or with `X-Grafana-Alerting-Signature`.",
    ),
    "events": (
        ("application/cloudevents+json", "application/json"), _EVENT,
        "A CloudEvent 1.0 in structured mode, or in binary mode (`ce-` headers, the data as JSON), with a token or with "
        "the `webhook-` headers of Standard Webhooks. `data.alert` may hold an alert.",
    ),
}  # fmt: skip
_REFUSALS = {
    400: "It cannot be understood; `detail` says what to mend.",
    401: "No token, or a signature that does not fit.",
    403: "The token is good for other things; or there are no tokens, and this is no program on the same machine.",
    408: "The headers or the body took too long.",
    413: "The body is larger than serve.max_body_mb, or holds more alerts than serve.max_alerts.",
    415: "The body is of another kind, or compressed.",
    503: "Overloaded, stopping, or without its database: send it again.",
}
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}]


class Straight(APIRoute):
    """A route whose endpoint takes the request as it is: FastAPI documents it, and resolves nothing for it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            answered: Response = await endpoint(request)
            return answered

        return handle


class Documented(FastAPI):
    """FastAPI that also names the ways to authenticate and the shape of refusals, and shows itself without scripts."""

    async def as_json(self, request: Request) -> Response:
        return JSONResponse(self.openapi())

    async def as_page(self, request: Request) -> Response:
        return HTMLResponse(docs.page(self.openapi()), headers={"Content-Security-Policy": docs.POLICY})

    def openapi(self) -> dict[str, Any]:
        known = self.openapi_schema is not None
        schema = super().openapi()
        if not known:
            parts = schema.setdefault("components", {})
            parts["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "the token is the password"},
            }
            parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        return schema


def _refusal(status: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        told["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return told


def posted(path: str, taken: type[BaseModel]) -> dict[str, Any]:
    """Of a route that takes notifications in."""
    source = path.rsplit("/", 1)[-1]
    medias, schema, about = _BODIES[source]
    content = {media: {"schema": schema} for media in medias}
    return {
        "operation_id": f"post_{source}",
        "summary": about.split(",")[0].rstrip("."),
        "description": about,
        "response_model": None,
        "responses": {
            202: {"model": taken, "description": "It is kept, and will be worked."},
            200: {"model": taken, "description": "Everything in it was known, or is our own call for a person."},
            **{status: _refusal(status) for status in _REFUSALS},
        },
        "openapi_extra": {"requestBody": {"required": True, "content": content}, "security": _SECURITY},
    }


def shown(path: str) -> dict[str, Any]:
    """Of a route that only shows something."""
    refusals = {"/readyz": (503,), "/metrics": (401, 403)}.get(path, ())
    return {
        "operation_id": f"get_{path.strip('/')}",
        "response_model": None,
        "responses": {
            200: {"description": "As it is now.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **{status: _refusal(status) for status in refusals},
        },
        "openapi_extra": {"security": _SECURITY} if path == "/metrics" else {},
    }
