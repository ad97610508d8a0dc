"""One way to ask a backend for JSON: bounded in size, and every way it can fail is a ToolFailed that says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import httpx

from tools.context import Backend, Json
from tools.errors import ToolFailed, Unreachable
from tools.formatting import clean

Params: TypeAlias = Mapping[str, str | int | float | Sequence[str]]

MOST_BYTES = 8 * 1024 * 1024
_LONG_QUERY = 3000  # characters from which parameters travel in the body; proxies cut addresses off at 4 to 8 kB


async def fetch_json(
    backend: Backend, path: str, params: Params | None = None, *, what: str = "", post: bool = False
) -> tuple[int, Json]:
    """Status and body of one GET (or POST of a form, for long queries).

    Raises Unreachable when there is no answer in time, ToolFailed for an answer that is too large or not JSON, or that
    says the door is closed. Other error statuses are returned: the caller knows the server's own way of explaining.
    """
    asked = {name: value for name, value in (params or {}).items() if value != ""}
    by_post = post and sum(len(str(v)) for v in asked.values()) > _LONG_QUERY
    sent: dict[str, Any] = {"data": asked} if by_post else {"params": asked}
    try:
        async with backend.http.stream(
            "POST" if by_post else "GET", path, follow_redirects=False, **sent
        ) as response:  # another server's answer would be taken for this one's, and would get its token
            body = await _read(response, _name(backend), what)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"{_name(backend)} did not answer {what or path}: {type(error).__name__} {clean(str(error))}".rstrip()
            + ". Check that it runs and its address in stanch.yaml; `stanch doctor` tries each backend."
        ) from None
    return response.status_code, _decode(response, body, _name(backend))


async def _read(response: httpx.Response, name: str, what: str) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ToolFailed(
                f"{name} answered {what} with more than {MOST_BYTES >> 20} MB; the rest was not read. "
                "Ask for less: aggregate with sum by (…) or topk(…), add label matchers, or shorten the window."
            )
    return bytes(body)


def _decode(response: httpx.Response, body: bytes, name: str) -> Json:
    status = response.status_code
    if status in (401, 403):
        raise ToolFailed(
            f"{name} refused us with HTTP {status}: {clean(body.decode(errors='replace'))}. Check the token or password."
        )
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        kind = clean(response.headers.get("content-type", "no content type"), 60)
        raise ToolFailed(
            f"{name} answered HTTP {status} with {kind} instead of JSON: {clean(body[:400].decode(errors='replace'))!r}. "
            f"Check that the address is that of a {name.split(' ', 1)[0]} and not of a proxy or a log-in page."
        ) from None


def _name(backend: Backend) -> str:
    shown = backend.kind if backend.name in ("", backend.kind) else f"{backend.kind} {backend.name!r}"
    return f"{shown[0].upper()}{shown[1:]} at {backend.url}"
