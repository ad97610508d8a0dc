"""One redactor for every sink: the configuration's own secrets, and what looks like a credential wherever it stands."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote

T = TypeVar("T")
SHORTEST = 6  # a secret below is a word that stands everywhere
SHORT = 200  # characters of a text that may be remembered with what became of it

_NAMES = r"password|passwd|passphrase|api[_-]?key|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|(?:access|auth|refresh|id)[_-]?token|private[_-]?key"
_SECRET_KEY = re.compile(rf"(?i)(?:.*[_.-])?(?:{_NAMES}|authorization)")
_MAYBE_KEY = re.compile(r"(?i)(?:.*[_.-])?(?:secret|token)")  # also what an object is called
_NO_NAME = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).{8,}", re.S)
_DETECTORS = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    "GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "Google key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "Slack token": re.compile(r"\bx(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}"),
    "Slack webhook": re.compile(r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9/]{20,}"),
    "API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "JWT": re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "bearer token": re.compile(r"(?i)(\bbearer[ \t:]+[\"']?)[A-Za-z0-9._~+/=-]{12,}"),
    "basic credentials": re.compile(r"(?i)(\bbasic[ \t]+)(?=[A-Za-z0-9+/]{0,99}[0-9A-Z])[A-Za-z0-9+/]{12,}={0,2}"),
    "password": re.compile(r"(?<=://)[^\s/:@\"'<>]*:[^\s/\"'<>]+(?=@)"),
    "secret value": re.compile(
        rf"(?i)(?<![A-Za-z])((?:{_NAMES})\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!\[redacted)[^\s\"',;&\\]{{6,}}"
    ),
    # a bare `secret=` is also a label of PromQL: there it counts only with a value that no object is called
    "secret word": re.compile(
        r"(?i)(?<![A-Za-z_{,])((?:secret|token)\\?[\"']?\s*[:=]\s*\\?[\"']?)(?!\[redacted)(?=[^\s\"',;&\\]{0,99}\d)(?=[^\s\"',;&\\]{0,99}[A-Za-z])[^\s\"',;&\\]{8,}"
    ),
}
# a detector runs only where one of its words stands: looking for words is a hundred times as fast
_HINTS = {
    "private key": ("-----begin",), "AWS key": ("akia", "asia", "abia", "acca"), "GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "GitLab token": ("glpat-",), "Google key": ("aiza",), "Slack token": ("xox", "xapp-"), "Slack webhook": ("hooks.slack.com",),
    "API key": ("sk-",), "JWT": ("eyj",), "bearer token": ("bearer",), "basic credentials": ("basic",), "password": ("://",),
    "secret value": ("pass", "key", "secret", "token"), "secret word": ("secret", "token"),
}  # fmt: skip
_ANY_HINT = tuple(dict.fromkeys(hint for hints in _HINTS.values() for hint in hints))


class Redactor:
    """`Redactor(secrets)(text)`: each secret becomes `[redacted: what]`. Short secrets (< 6) are left: they are words.

    A configured secret is found as it is, URL-encoded, in base64 and as JSON spells it.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spelled = {s for one in secrets if len(one) >= SHORTEST for s in _spellings(one)}
        known = sorted(spelled, key=len, reverse=True)
        self._known = re.compile("|".join(re.escape(s) for s in known)) if known else None
        self._again = lru_cache(maxsize=4096)(self._redacted)  # the same labels come by all the time

    def __call__(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        return self._again(text) if len(text) <= SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        if self._known:
            text = self._known.sub("[redacted: configured secret]", text)
        lower = text.lower()
        if not _hinted(lower):
            return text
        for what, pattern in _DETECTORS.items():
            if not any(hint in lower for hint in _HINTS[what]):
                continue
            keep = r"\1" if pattern.groups else ""
            text = pattern.sub(f"{keep}[redacted: {what}]", text)
        return text

    def value(self, value: T) -> T:
        """Plain JSON with every text in it redacted, keys too, and whatever stands under a key that names a secret."""
        found: T = self._inner(value)
        return found

    def _inner(self, value: T, named: bool = False) -> T:
        found: object = value
        if isinstance(value, str):
            hidden = named and len(value) >= SHORTEST and "[redacted" not in value
            found = "[redacted: secret value]" if hidden else self(value)
        elif isinstance(value, Mapping):
            found = {
                self(key) if isinstance(key, str) else key: self._inner(inner, _names_a_secret(key, inner))
                for key, inner in value.items()
            }
        elif isinstance(value, list):
            found = [self._inner(inner, named) for inner in value]
        elif isinstance(value, tuple):
            found = tuple(self._inner(inner, named) for inner in value)
        return found  # type: ignore[return-value]


def _hinted(lower: str) -> bool:
    for hint in _ANY_HINT:  # noqa: SIM110 (a generator would cost three times as much)
        if hint in lower:
            return True
    return False


def _names_a_secret(key: object, value: object) -> bool:
    lower = key.lower() if isinstance(key, str) else ""
    if not any(word in lower for word in ("pass", "key", "secret", "token", "auth")):
        return False
    maybe = isinstance(value, str) and _NO_NAME.fullmatch(value) is not None
    return _SECRET_KEY.fullmatch(lower) is not None or (maybe and _MAYBE_KEY.fullmatch(lower) is not None)


def _spellings(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield json.dumps(secret)[1:-1]
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
