"""An alert: one notice from a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from urllib.parse import SplitResult, parse_qs, urlsplit

from agent.clock import iso, parse_time
from tools.context import Json

SEVERITIES = ("critical", "page", "error", "warning", "info", "none", "")


def severity_rank(severity: str) -> int:
    """The lower the worse; a word nobody knows comes last."""
    word = severity.lower()
    return SEVERITIES.index(word) if word in SEVERITIES else len(SEVERITIES)


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """Labels and annotations are text from outside: untrusted, whoever sent them."""

    source: str  # alertmanager | grafana | event | person | lab
    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None  # None while it fires
    generator_url: str = ""
    group_key: str = ""
    extra: Mapping[str, object] = field(default_factory=dict)  # keys we do not know, kept

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")

    @property
    def key(self) -> str:
        """What makes two deliveries the same."""
        return f"{self.fingerprint}:{self.starts_at.isoformat()}:{self.status}"

    @property
    def summary(self) -> str:
        for name in ("summary", "message", "description"):
            if self.annotations.get(name):
                return self.annotations[name]
        return self.name

    @property
    def expression(self) -> str | None:
        """The rule's PromQL out of the generator URL (`g0.expr`), if it carries one."""
        return parse_qs(_split(self.generator_url).query).get("g0.expr", [None])[0]

    @property
    def runbook_slug(self) -> str | None:
        """Last path part of `runbook_url`, without ending. The address itself is never fetched."""
        url = self.annotations.get("runbook_url") or self.annotations.get("runbook") or ""
        slug = _split(url).path.rstrip("/").rsplit("/", 1)[-1]
        return slug.removesuffix(".md").removesuffix(".html") or None

    def to_json(self) -> dict[str, Json]:
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "status": str(self.status),
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "starts_at": iso(self.starts_at),
            "ends_at": iso(self.ends_at) if self.ends_at else None,
            "generator_url": self.generator_url,
            "group_key": self.group_key,
            "extra": dict(self.extra),
        }


def alert_from_json(data: Mapping[str, Json]) -> Alert:
    """The inverse of Alert.to_json; keys of a newer version are passed over."""
    values = {key: value for key, value in data.items() if key in _KEYS}
    values["status"] = AlertStatus(str(values["status"]))
    values["starts_at"] = parse_time(str(values["starts_at"]))
    values["ends_at"] = parse_time(str(values["ends_at"])) if values["ends_at"] else None
    return Alert(**values)


_KEYS = frozenset(one.name for one in fields(Alert))


def _split(url: str) -> SplitResult:
    """The parts of an address from outside; of what is none, nothing."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def standing(alerts: Iterable[Alert]) -> list[Alert]:
    """How each alert stands: of one fingerprint the one that began last, and of one beginning its end before its start.

    By startsAt, never by arrival: what is sent again may arrive after what came later.
    """
    newest: dict[str, Alert] = {}
    for alert in alerts:
        known = newest.get(alert.fingerprint)
        if known is None or _order(alert) >= _order(known):
            newest[alert.fingerprint] = alert
    return list(newest.values())


def _order(alert: Alert) -> tuple[datetime, bool]:
    return alert.starts_at, alert.status is AlertStatus.RESOLVED
