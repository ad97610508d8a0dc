"""Bodies: their kind and their size are looked at before anything of them is understood."""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import ClientDisconnect, Request

from agent.surfaces.webhook.problems import Refusal


async def bounded(request: Request, limit: int) -> bytes:
    """The body; 413 when it says, or shows, that it is longer than `limit` bytes."""
    said = request.headers.get("content-length", "0")
    if not (said.isascii() and said.isdigit()):
        raise Refusal(400, "The Content-Length is no number.")
    if len(said) > 18 or int(said) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
    except ClientDisconnect:
        raise Refusal(400, "The connection was closed before the body was whole.") from None
    return b"".join(parts)


def _too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        f"The body is larger than {limit:,} bytes. Group alerts more finely, set max_alerts, or raise serve.max_body_mb.",
        {"Connection": "close"},
    )


def media(request: Request, wanted: Collection[str]) -> str:
    """The body's media type; 415 when it is none of `wanted`, or compressed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in wanted:
        raise Refusal(415, f"The Content-Type is {kind or 'missing'}; send {' or '.join(sorted(wanted))}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "The body is compressed. Send it without Content-Encoding.", {"Accept-Encoding": "identity"})
    return kind
