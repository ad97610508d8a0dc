"""Durations as people write them: `90s`, `2m`, `1h30m`, `7d`. One parser for runbooks, policy and settings."""

from __future__ import annotations

import re
from datetime import timedelta

from agent.errors import UnusableInput

_PARTS = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?", re.ASCII)
_UNITS = ("days", "hours", "minutes", "seconds")


def duration(text: str) -> timedelta:
    """A duration over zero; UnusableInput for anything else (`2 m`, `1m1h`, `-5s`, `0s`, `90`)."""
    found = _PARTS.fullmatch(text)
    if not text or not found:
        raise UnusableInput(f"{text!r} is not a duration. Write whole numbers with d, h, m, s: 90s, 2m, 1h30m.")
    parts = {unit: int(value) for unit, value in zip(_UNITS, found.groups(), strict=True) if value}
    if not (length := timedelta(**parts)):
        raise UnusableInput(f"The duration {text!r} is zero. Write one over zero, such as 30s.")
    return length
