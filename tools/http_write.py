"""Sending a change over HTTP, so that afterwards it is clear what is known: certainly not done, or perhaps done."""

from __future__ import annotations

from typing import Any

import httpx

from tools.context import Json
from tools.errors import Refused, ToolFailed, Unreachable
from tools.formatting import clean

_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


async def send(http: httpx.AsyncClient, method: str, url: str, *, to: str, **how: Any) -> httpx.Response:
    """One request of a change, never repeated. `to` names the server in messages.

    Refused: it certainly had no effect (no connection, 4xx). ToolFailed or Unreachable: it may have had one (5xx, a
    redirection, or the answer was lost after sending).
    """
    try:
        response = await http.request(method, url, follow_redirects=False, **how)
    except (*_NOT_SENT, httpx.InvalidURL) as error:
        raise Refused(f"{to} was not reached: {_words(error)}. Nothing was sent; check its address.") from None
    except httpx.HTTPError as error:
        raise Unreachable(
            f"{to} did not answer {method}: {_words(error)}. It may have been done all the same."
        ) from None
    status = response.status_code
    if response.is_success:
        return response
    said = f"{to} answered {method} with HTTP {status}: {clean(response.text, 300) or 'no text'}."
    if 400 <= status < 500 and status != 408:
        raise Refused(f"{said} {_advice(status)}".rstrip())
    raise ToolFailed(f"{said} Whether it was done is not known from this.")


async def look(http: httpx.AsyncClient, url: str, *, at: str, **how: Any) -> Json:
    """The JSON of a GET; None for 404. Unreachable without an answer, ToolFailed for any other error or for no JSON."""
    try:
        response = await http.get(url, follow_redirects=False, **how)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{at} did not answer: {_words(error)}. Check that it runs and its address.") from None
    if response.status_code == 404:
        return None
    if not response.is_success:
        said = clean(response.text, 300) or "no text"
        raise ToolFailed(f"{at} answered HTTP {response.status_code}: {said}. {_advice(response.status_code)}".rstrip())
    return answered_json(response, at)


def answered_json(response: httpx.Response, at: str) -> Json:
    try:
        return response.json()
    except ValueError:
        kind = clean(response.headers.get("content-type", "no content type"), 60)
        raise ToolFailed(
            f"{at} answered with {kind} instead of JSON. Check that the address is that of its API."
        ) from None


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {clean(str(error))}".rstrip()


def _advice(status: int) -> str:
    return {
        401: "Check the token or password in the configuration.",
        403: "The account lacks the permission: grant it on the server.",
        404: "It is not there: check names and address.",
        409: "It was changed meanwhile: look again.",
        412: "It was changed meanwhile: look again.",
        429: "The server is overloaded: wait and try again.",
    }.get(status, "")
