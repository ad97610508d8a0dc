"""One redactor for every sink: the configuration's own secrets, and what looks like a credential wherever it stands."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, quote_plus

from agent.domain import secret_forms, secret_names

T = TypeVar("T")
SHORTEST = 6  # a secret below is a word that stands everywhere
SHORT = 200  # characters of a text that may be remembered with what became of it
ENOUGH = 8  # characters of base64 that are no chance
CONFIGURED = "[redacted: configured secret]"
_WRAPPED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}(?:(?:[ \t]*(?:\\r|\\n|\r|\n))+[ \t]*[A-Za-z0-9+/_-]{2,}={0,2})+")
_BREAKS = re.compile(r"\\r|\\n|\s")


class Redactor:
    """`Redactor(secrets)(text)`: each secret becomes `[redacted: what]`. Short secrets (< 6) are left: they are words.

    A configured secret is found as it is, URL-encoded, as JSON spells it, in hex, and in base64 wherever in it it begins
    and however that is broken into lines.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = [one for one in dict.fromkeys(secrets) if len(one) >= SHORTEST]
        spelled = {spelling for one in known for spelling in _spellings(one)}
        self._encoded = tuple({part for one in known for part in _base64(one)})
        self._spelled = tuple(sorted({*spelled, *self._encoded}, key=len, reverse=True))
        self._known = re.compile("|".join(map(re.escape, self._spelled)))
        self._again = lru_cache(maxsize=4096)(self._redacted)  # the same labels come by all the time

    def __call__(self, text: str) -> str:
        if len(text) < SHORTEST:
            return text
        return self._again(text) if len(text) <= SHORT else self._redacted(text)

    def _redacted(self, text: str) -> str:
        if self._spelled:
            if self._encoded and ("\n" in text or "\\n" in text):
                text = _WRAPPED.sub(self._unwrapped, text)
            if _holds(text, self._spelled):
                text = self._known.sub(CONFIGURED, text)
        if not _holds(text.lower(), _HINTS):
            return text
        text = secret_forms.hide(text, secret_forms.BLOCKS)
        text = secret_forms.hide(text, secret_forms.WRITTEN)
        text = secret_names.hide(text)
        return secret_forms.hide(text, secret_forms.TOKENS)

    def _unwrapped(self, found: re.Match[str]) -> str:
        """A block of base64 in lines, whole, where one of ours stands in it."""
        return CONFIGURED if _holds(_BREAKS.sub("", found[0]), self._encoded) else found[0]

    def value(self, value: T) -> T:
        """Plain JSON with every text in it redacted, keys too, and whatever stands under a key that names a secret."""
        found: T = self._inner(value)
        return found

    def _inner(self, value: T, name: str = "") -> T:
        found: object = value
        if isinstance(value, str):
            kind = secret_names.kind_of(name) if name else None
            hidden = kind is not None and secret_names.is_secret(kind, name, value)
            found = f"[redacted: {kind.value}]" if kind is not None and hidden else self(value)
        elif isinstance(value, Mapping):
            named = _variable(value)
            found = {
                self(key) if isinstance(key, str) else key: self._inner(
                    inner, named if named and key == "value" else _name(key)
                )
                for key, inner in value.items()
            }
        elif isinstance(value, list):
            found = [self._inner(inner, name) for inner in value]
        elif isinstance(value, tuple):
            found = tuple(self._inner(inner, name) for inner in value)
        return found  # type: ignore[return-value]


_HINTS = tuple(dict.fromkeys((*secret_names.HINTS, *secret_forms.HINTS)))


def _holds(text: str, words: Iterable[str]) -> bool:
    for word in words:  # noqa: SIM110 (a generator would cost three times as much)
        if word in text:
            return True
    return False


def _name(key: object) -> str:
    return key if isinstance(key, str) and secret_names.kind_of(key) else ""


def _variable(value: Mapping[object, object]) -> str:
    """The name in `{"name": "DB_PASSWORD", "value": …}`, where it names a secret."""
    return _name(value.get("name")) if "value" in value else ""


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    encoded = quote(secret, safe="", errors="replace")
    yield encoded
    yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield _raw(secret).hex()


def _base64(secret: str) -> Iterator[str]:
    """What of its base64 is the same whatever stands before and after it, for each of the three places where it may begin."""
    raw = _raw(secret)
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        part = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(part) >= ENOUGH:
            yield from _alphabets(part)
    alone = base64.b64encode(raw).decode().rstrip("=")  # to its last character, and short ones only so
    yield from _alphabets(alone)


def _alphabets(text: str) -> Iterator[str]:
    yield text
    yield text.translate(str.maketrans("+/", "-_"))


def _raw(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")
