"""Routes: how deep an alert's incident is worked, where it is shown and whom it may disturb. Urgency is the scarce good."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.domain.alert import Alert
from agent.domain.urgency import Depth, Urgency
from agent.errors import BadConfiguration
from agent.settings_file import RouteEntry

WORTH_A_PAGE = frozenset({"critical", "page", "emergency", "high", "p1", "p2", "sev1", "sev2", ""})
STORM = timedelta(minutes=10)  # threads opened within it count against the limit
HABIT = 3  # an alert that cleared itself so often has habits
LONGEST_WAIT = timedelta(minutes=15)  # nobody waits longer than this for a habit
_DEPTHS = list(Depth)
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:\\.|[^"\\])*)"|([^"]*?))\s*')


@dataclass(frozen=True, slots=True)
class Matcher:
    """One of Alertmanager's: `severity=~"critical|page"`. A label that is absent is the empty string."""

    label: str
    op: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        found = _MATCHER.fullmatch(text)
        if found is None:
            raise BadConfiguration(
                f'routes: {text!r} is no matcher. Write one as severity="critical" or team=~"ml|web".'
            )
        quoted = found[3]
        value = (
            re.sub(r"\\(.)", r"\1", quoted) if quoted is not None and "~" not in found[2] else quoted or found[4] or ""
        )
        try:
            re.compile(value if "~" in found[2] else "")
        except re.error as error:
            raise BadConfiguration(f"routes: the pattern in {text!r} cannot be read: {error}.") from None
        return cls(found[1], found[2], value)

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.label, "")
        same = bool(re.fullmatch(self.value, value)) if "~" in self.op else value == self.value
        return same != self.op.startswith("!")


@dataclass(frozen=True, slots=True)
class Route:
    matchers: tuple[Matcher, ...]
    depth: Depth
    channel: str
    mentions: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Routes:
    """The first route whose matchers all hold; without one, what is worth a page is investigated and the rest digested."""

    routes: tuple[Route, ...]
    channel: str = ""

    @classmethod
    def of(cls, entries: Sequence[RouteEntry], channel: str) -> Routes:
        """Out of the settings; BadConfiguration names the matcher that cannot be read."""
        return cls(
            tuple(
                Route(
                    tuple(Matcher.parse(text) for text in entry.match),
                    Depth(entry.depth),
                    entry.channel or channel,
                    tuple(entry.mentions),
                    f"route {n}: {', '.join(entry.match) or 'everything'}",
                )
                for n, entry in enumerate(entries, 1)
            ),
            channel,
        )

    def attention(self, incident: str, alert: Alert) -> Urgency:
        for route in self.routes:
            if all(matcher.holds(alert.labels) for matcher in route.matchers):
                return Urgency(incident, route.depth, route.channel, route.mentions, route.why)
        severity = alert.severity.lower()
        depth = Depth.INVESTIGATE if severity in WORTH_A_PAGE else Depth.DIGEST
        return Urgency(incident, depth, self.channel, (), f"severity {severity or 'not given'}: {depth}")


def deeper(known: Urgency | None, fresh: Urgency) -> Urgency:
    """The deepest of an incident's alerts counts; what a person saw or was called for stays."""
    if known is None:
        return fresh
    if _DEPTHS.index(fresh.depth) <= _DEPTHS.index(known.depth):
        return known
    return replace(fresh, seen_at=known.seen_at, called_at=known.called_at)


def in_a_storm(fresh: Urgency, threads: int, mentioned: int, most: int) -> Urgency:
    """Spared where `most` threads were opened within ten minutes: a line in the digest; and mentions only for the first."""
    if fresh.depth.threaded and threads >= most:
        why = f"{fresh.why}; {threads} threads were opened within ten minutes, so it stands in the digest"
        return replace(fresh, depth=Depth.DIGEST, mentions=(), why=why)
    return replace(fresh, mentions=()) if mentioned >= most - 1 else fresh


def patient(fresh: Urgency, alert: Alert, now: datetime, cleared: int, median: timedelta | None) -> Urgency:
    """An alert that usually clears itself waits its median, unless it is critical; `cleared` is how often it did."""
    critical = alert.severity.lower() in WORTH_A_PAGE - {""}
    if critical or not fresh.depth.threaded or cleared < HABIT or median is None or median > LONGEST_WAIT:
        return fresh
    why = f"{fresh.why}; it cleared itself {cleared} times, usually within {round(median.total_seconds() / 60)} min"
    return replace(fresh, post_at=now + median, why=why)
