"""Small things that the lab's faces share: reading a request, answering it."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class NotJson(ValueError):
    """The body is no JSON object."""


async def body_of(request: Request) -> dict[str, Any]:
    """The body as a JSON object; {} for an empty one. Raises NotJson."""
    raw = await request.body()
    try:
        value = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        raise NotJson("the body is not JSON") from None
    if not isinstance(value, dict):
        raise NotJson("the body is no JSON object")
    return value


def answer(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status_code=status)
