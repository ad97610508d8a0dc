"""One redactor for every sink: the configuration's own secrets, and what looks like a credential wherever it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DETECTORS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}\b"),
    "Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "JWT": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "bearer token": re.compile(r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{12,}"),
    "password": re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),
    "secret value": re.compile(
        r"(?i)(?<![A-Za-z])((?:password|passwd|secret|api[_-]?key|access[_-]?token)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{6,}"
    ),
}


class Redactor:
    """`Redactor(secrets)(text)`: each secret becomes `[redacted: what]`. Short secrets (< 6) are left: they are words."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({s for s in secrets if len(s) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(s) for s in known)) if known else None

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub("[redacted: configured secret]", text)
        for what, pattern in _DETECTORS.items():
            keep = r"\1" if pattern.groups else ""
            text = pattern.sub(f"{keep}[redacted: {what}]", text)
        return text
