"""Who signed a body: Grafana's HMAC and Standard Webhooks. Whatever is missing or malformed is no signature at all."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from datetime import datetime

AGE_S = 300  # either way
_STAMP = re.compile(r"[0-9]{1,12}")


def by_grafana(secret: str, body: bytes, signature: str, stamp: str | None, now: datetime) -> bool:
    """Hex of the HMAC over the body, or over `stamp:body` where a timestamp header is configured."""
    if not secret or (stamp is not None and not _young(stamp, now)):
        return False
    signed = body if stamp is None else f"{stamp}:".encode() + body
    return _same(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), signature.strip().lower())


def by_standard_webhooks(secret: str, body: bytes, name: str, stamp: str, signatures: str, now: datetime) -> bool:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature` (several, `v1,BASE64` each) over `id.timestamp.body`."""
    if not secret or not name or not _young(stamp, now):
        return False
    signed = f"{name}.{stamp}.".encode("utf-8", "surrogateescape") + body
    expected = "v1," + b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    return any(_same(expected, one) for one in signatures.split())


def _key(secret: str) -> bytes:
    """`whsec_` and base64, or any other text as it stands."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return secret.encode()


def _young(stamp: str, now: datetime) -> bool:
    return bool(_STAMP.fullmatch(stamp)) and abs(now.timestamp() - int(stamp)) <= AGE_S


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape"))
