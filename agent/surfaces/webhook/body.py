"""The body of a request: what kind it is of, and no more of it than is allowed, before anybody reads it."""

from __future__ import annotations

from fastapi import Request
from starlette.requests import ClientDisconnect

from agent.surfaces.webhook.problem import Problem


async def bounded(request: Request, most: int) -> bytes:
    """At most so many bytes of JSON, as they came; else a Problem."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Problem(415, f"Content-Type is {kind or 'missing'!r:.80}. Send application/json.")
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise Problem(415, f"Content-Encoding is {headers['content-encoding']!r:.40}. Send the body uncompressed.")
    too_large = Problem(
        413,
        f"The body is larger than {most} bytes. Send fewer alerts at once (max_alerts), or raise serve.max_body_mb.",
    )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise too_large
    except ClientDisconnect:
        raise Problem(400, "The connection was closed before the body had come.") from None
    return bytes(body)
