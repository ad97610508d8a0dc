"""What is answered instead of a receipt: problem+json (RFC 9457) that says what to mend."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
AGAIN_S = 5  # Retry-After


class Problem(Exception):
    """`detail` says what happened and what to do next."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> JSONResponse:
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return JSONResponse(body, self.status, self.headers, MEDIA_TYPE)


def later(detail: str) -> Problem:
    """Not now: senders that retry do so after a 503, and after nothing else."""
    return Problem(503, detail, {"Retry-After": str(AGAIN_S)})


async def on_problem(request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return problem.response()


async def on_http(request: Request, error: Exception) -> JSONResponse:
    """No such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    detail = {
        404: f"There is nothing at {request.url.path}. POST to /v1/webhooks/alertmanager, /v1/webhooks/grafana or /v1/events.",
        405: f"{request.url.path} does not take {request.method}.",
    }.get(error.status_code, str(error.detail))
    return Problem(error.status_code, detail, error.headers).response()
