"""Whether a request over HTTP is Slack's and young. Whatever is missing or malformed is no signature at all."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

AGE_S = 300  # either way; Slack's own limit
_STAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def genuine(secret: str, stamps: Sequence[str], signatures: Sequence[str], body: bytes, now: float) -> bool:
    """`stamps` and `signatures` are the values of X-Slack-Request-Timestamp and X-Slack-Signature: one each."""
    if not secret or len(stamps) != 1 or len(signatures) != 1:
        return False
    if not _STAMP.fullmatch(stamps[0]) or not _SIGNATURE.fullmatch(signatures[0]):
        return False
    if abs(now - int(stamps[0])) > AGE_S:
        return False
    expected = hmac.new(secret.encode(), b"v0:" + stamps[0].encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={expected}", signatures[0])
