"""Log lines counted by pattern: what varies from line to line is masked, what is left is the pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 300  # characters of a pattern or example that are kept

# Order matters: what is longer and more particular goes first, so that a bare number is what is left over.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<id>"),
        (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.]*\d)", "<address>"),
        (
            r"(?<![\w:.])\[?(?=[0-9a-fA-F:]*\d)[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}\]?(?::\d+)?(?![\w:])",
            "<address>",
        ),
        (r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b", "<address>"),
        (r"-[0-9a-f]{8,10}-[0-9a-z]{5}\b", "-<id>"),  # a pod's name after its Deployment's
        (r"\b0x[0-9a-fA-F]+\b", "<id>"),
        (r"\b(?=[a-fA-F]*\d)[0-9a-fA-F]*[a-fA-F][0-9a-fA-F]*\b(?<=[0-9a-fA-F]{8})", "<id>"),
        (r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{16,}\b", "<id>"),
        (r"(?<![\w.])\d{15,}(?![\w.])", "<id>"),  # an id that happens to have no letter
        (r"(?<![A-Za-z_0-9])(?<!\d\.)\d+(?:\.\d+)*(?:[eE][+-]?\d+)?(?!\d)", "<n>"),
    )
)
_UNSEEN = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Lines that differ only in what is masked. Times are the first and last line's, in milliseconds since 1970."""

    text: str
    count: int
    first_ms: int
    last_ms: int
    example: str


def mask(line: str) -> str:
    """The line with times, ids, addresses and numbers replaced: `<time>`, `<id>`, `<address>`, `<n>`."""
    for pattern, name in _MASKS:
        line = pattern.sub(name, line)
    return line


def visible(line: str) -> str:
    """The line without terminal escapes and control characters, blanks joined, cut at `LONGEST`."""
    return " ".join(_UNSEEN.sub("", line).split())[:LONGEST]


def patterns(lines: Sequence[tuple[int, str]]) -> list[Pattern]:
    """(milliseconds, line) counted by pattern, most frequent first; of equals the one seen first. Blank lines are left out."""
    found: dict[str, Pattern] = {}
    for at, line in lines:
        if not (clean := visible(line)):
            continue
        text = mask(clean)
        old = found.get(text)
        found[text] = (
            Pattern(text, old.count + 1, min(old.first_ms, at), max(old.last_ms, at), old.example)
            if old
            else Pattern(text, 1, at, at, clean)
        )
    return sorted(found.values(), key=lambda one: (-one.count, one.first_ms, one.text))
