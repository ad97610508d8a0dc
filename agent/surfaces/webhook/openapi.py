"""What /openapi.json says of each route, true to what it does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse

from agent.sources.source import Source
from agent.surfaces.webhook import docs
from agent.surfaces.webhook.problems import MEDIA, Problem

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


def posted(source: Source, taken: type[BaseModel]) -> dict[str, Any]:
    """Of a route that takes notifications in."""
    content = {media: {"schema": source.schema} for media in source.media}
    return {
        "operation_id": f"post_{source.name}",
        "summary": source.about.split(",")[0].rstrip("."),
        "description": source.about,
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
