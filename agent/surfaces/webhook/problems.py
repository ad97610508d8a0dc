"""Refusals as problem+json (RFC 9457): what is wrong, and what to mend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import Response

from agent.domain.text import visible

MEDIA = "application/problem+json"
RETRY_S = 5


class Problem(BaseModel):
    """Of every answer that is no success."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Refusal(Exception):
    """Ends a request with `status`; `detail` says what to mend."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def later(detail: str) -> Refusal:
    """What the sender sends again by itself."""
    return Refusal(503, detail, {"Retry-After": str(RETRY_S)})


def answer(refusal: Refusal) -> Response:
    said = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": visible(refusal.detail, 2_000),
    }
    return Response(json.dumps(said), refusal.status, refusal.headers, media_type=MEDIA)
