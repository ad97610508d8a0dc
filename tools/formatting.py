"""How tools write times, windows, numbers and foreign text, so that all answers read alike."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\x1b\[[0-9;]*[A-Za-z]"
)
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def iso(when: datetime) -> str:
    """`2026-11-24T03:04:05Z`, with milliseconds only where there are any."""
    text = when.astimezone(UTC).isoformat(timespec="milliseconds" if when.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def at(seconds: float) -> datetime:
    """Unix seconds to a UTC time, kept within what a datetime can hold."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253402300799.0), UTC)


def window(start: datetime, end: datetime) -> str:
    """The `window` of a fact: an ISO interval, or the instant when both are the same."""
    return iso(start) if start == end else f"{iso(start)}/{iso(end)}"


def clock_time(when: datetime, near: datetime | None = None) -> str:
    """`11:40`, with the date in front when it is another day than `near`."""
    day = "" if near is not None and near.date() == when.date() else f"{when:%Y-%m-%d} "
    return f"{day}{when:%H:%M} UTC" if when.second == 0 else f"{day}{when:%H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit: `15 min`, `1.5 h`, `8 d`."""
    for size, unit in _SPANS:
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def number(value: float | int | None, unit: str = "") -> str:
    """Four significant digits with the unit, whole numbers and what is above 10,000 in full; `no data`, `NaN` and `infinite`
    in words."""
    if value is None:
        return "no data"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if unit == "unix":
        return iso(at(float(value)))
    whole = (float(value).is_integer() or abs(value) >= 1e4) and abs(value) < 1e15
    digits = f"{value:,.0f}" if whole else f"{value:.4g}"
    return f"{digits} {unit}" if unit and unit not in ("ratio", "count") else digits


def count(how_many: int, noun: str) -> str:
    """`1 change`, `3 changes`."""
    return f"{how_many} {noun}{'' if how_many == 1 else 's'}"


def clean(text: str, limit: int = 200) -> str:
    """Foreign text on one line: no control or direction characters, no terminal escapes, not longer than `limit`."""
    line = re.sub(r"\s+", " ", _UNPRINTABLE.sub("", text)).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def labels_text(labels: Mapping[str, str], limit: int = 160) -> str:
    """`service=web, pod=a` without the metric's name."""
    shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
    return clean(shown, limit) or "(no labels)"


def shorten(text: str, limit: int = 1200) -> str:
    """A summary that keeps to its limit, cut at a line or a sentence where that loses little."""
    if len(text) <= limit:
        return text
    cut = max(text.rfind("\n", 0, limit - 1), text.rfind(". ", 0, limit - 1))
    return text[: cut + 1 if cut > limit * 0.7 else limit - 1].rstrip() + " …"
