"""Patterns of what log lines tell of a trouble, out of causes.yaml: data, so that another software costs an entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tools.errors import NotConfigured

FILE = Path(__file__).parent / "causes.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MACROS: Mapping[str, tuple[str, str]] = {
    "peer": ("peer", r"[a-z0-9_](?:[\w.-]{0,250})"),
    "user": ("user", r"[^'\"\]\s]{1,120}"),
    "path": ("path", r"(?:[a-z]:)?[\w./~@+-][^\s'\":,]{0,250}"),
    "key": ("key", r"[\w@$./:*-]{1,160}"),
    "setting": ("key", r"[A-Z][A-Z0-9_]{2,80}"),
    "port": ("port", r"\d{2,5}"),
    "database": ("database", r"[\w-]{1,80}"),
    "table": ("table", r"[\w.$-]{1,120}"),
}
_USERINFO = r"(?:[^\s/@\"']{1,120}@)?"
_MACRO = re.compile(r"<(peer|user|path|key|setting|port|database|table|q)>")

Reason = Literal[
    "authentication",
    "unknown_host",
    "refused",
    "timeout",
    "too_many_connections",
    "read_only",
    "address_in_use",
    "permission",
    "no_space",
    "out_of_memory",
    "certificate",
    "deadlock",
    "schema",
    "not_found",
    "serialization",
    "rate_limited",
    "config_value",
    "dependency",
]


class Entry(BaseModel):
    """One entry of causes.yaml, as it is written there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Reason
    accuses: Literal["peer", "self"]
    weight: Literal["hurts", "warns"] = "hurts"
    source: str = Field(pattern=r"^https://")
    words: tuple[str, ...] = Field(min_length=1)
    regex: str
    examples: str
    near: str


@dataclass(frozen=True, slots=True)
class Match:
    """A cause that a text tells: `rank` is its place in the file, `start` and `end` where its words stand in the text."""

    rank: int
    reason: str
    accuses_peer: bool
    hurts: bool
    start: int
    end: int
    named: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Cause:
    entry: Entry
    patterns: tuple[re.Pattern[str], ...]


def cause_in(text: str, lowered: str) -> Match | None:
    """The first cause in the order of the file; `lowered` is the text in lower case."""
    ranks = set[int]()
    for word, holders in _words():
        if word in lowered:
            ranks |= holders
    for rank in sorted(ranks):
        cause = _causes()[rank]
        for pattern in cause.patterns:
            if found := pattern.search(text):
                entry = cause.entry
                named = {key.partition("__")[0]: value for key, value in found.groupdict().items() if value}
                hurts = entry.weight == "hurts"
                return Match(rank, entry.reason, entry.accuses == "peer", hurts, *found.span(), named)
    return None


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """The entries of causes.yaml in their order. NotConfigured says what is wrong with them."""
    try:
        return tuple(Entry.model_validate(one) for one in yaml.load(FILE.read_text(), Loader=_LOADER))
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise NotConfigured(f"{FILE.name} does not hold causes: {error}") from None


@lru_cache(maxsize=1)
def _causes() -> tuple[_Cause, ...]:
    return tuple(_Cause(entry, tuple(_compiled(entry.regex.splitlines()))) for entry in entries())


@lru_cache(maxsize=1)
def _words() -> tuple[tuple[str, frozenset[int]], ...]:
    """Each word with the places of the entries that have it."""
    holders: dict[str, set[int]] = {}
    for rank, entry in enumerate(entries()):
        for word in entry.words:
            holders.setdefault(word, set()).add(rank)
    return tuple((word, frozenset(ranks)) for word, ranks in holders.items())


def _compiled(alternatives: Sequence[str]) -> list[re.Pattern[str]]:
    return [re.compile(_expanded(one), re.IGNORECASE) for one in alternatives if one.strip()]


def _expanded(alternative: str) -> str:
    seen: dict[str, int] = {}

    def filled(found: re.Match[str]) -> str:
        if found[1] == "q":
            return r"[\"'`]"
        name, pattern = _MACROS[found[1]]
        seen[name] = seen.get(name, 0) + 1
        return f"(?P<{name}{f'__{seen[name]}' if seen[name] > 1 else ''}>{pattern})"

    return _MACRO.sub(filled, alternative.replace("://<peer>", rf"://{_USERINFO}<peer>"))
