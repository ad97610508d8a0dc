"""What a read of logs says: symptoms first, then lines counted by pattern, errors first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tools.context import Json
from tools.formatting import at, clean, clock_time, shorten
from tools.logs.patterns import Pattern, patterns
from tools.spec import Fact
from tools.symptoms import Symptom

Timed = tuple[int, str, bool]  # milliseconds, line, is an error
_SHOWN, _FACTS, _KEPT = 8, 20, 200


def counted(lines: Sequence[Timed]) -> tuple[list[Pattern], list[Pattern]]:
    """Patterns of errors and of the rest."""
    bad = patterns([(ms, text) for ms, text, error in lines if error])
    return bad, patterns([(ms, text) for ms, text, error in lines if not error])


def pattern_facts(bad: Sequence[Pattern], good: Sequence[Pattern], when: str) -> list[Fact]:
    counts = [("patterns.count", "patterns", len(bad) + len(good))]
    counts += [(f"p{n}.count", f"lines of pattern {n}", p.count) for n, p in enumerate([*bad, *good][:_FACTS], 1)]
    return [Fact(id_, name, value, "count", {}, when) for id_, name, value in counts]


def summary(
    head: str, found: Sequence[Symptom], bad: Sequence[Pattern], good: Sequence[Pattern], near: datetime
) -> str:
    """The rare decisive line stands before the frequent ones: what it tells comes first."""
    ordered = [*bad, *good]
    told = [
        f"s{n} {one.reason.replace('_', ' ')}{_of(one)}: {clean(one.text, 300)}" for n, one in enumerate(found[:4], 1)
    ]
    shown = [_line(n, p, n <= len(bad), near) for n, p in enumerate(ordered[:_SHOWN], 1)]
    more = [f"and {len(ordered) - _SHOWN} more patterns"] if len(ordered) > _SHOWN else []
    return shorten("\n".join([head, *told, *shown, *more]), 1200 + (300 if told else 0))


def pattern_json(bad: Sequence[Pattern], good: Sequence[Pattern]) -> Json:
    return [
        {
            "pattern": p.text,
            "count": p.count,
            "error": n < len(bad),
            "example": p.example,
            "first_ms": p.first_ms,
            "last_ms": p.last_ms,
        }
        for n, p in enumerate([*bad, *good][:_KEPT])
    ]


def _of(one: Symptom) -> str:
    return f" (accuses {one.accuses.title})" if one.accuses else ""


def _line(n: int, pattern: Pattern, error: bool, near: datetime) -> str:
    first, last = (clock_time(at(ms / 1000), near) for ms in (pattern.first_ms, pattern.last_ms))
    times = f"at {first}" if pattern.count == 1 else f"{first} to {last}"
    return f"p{n}{' error' if error else ''} ×{pattern.count}, {times}: {clean(pattern.text, 140)}"
