"""Events that a test puts on a timeline: each is written by its class, so that it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agent.domain.alert import Alert, AlertStatus
from agent.domain.events import ProposalSealed
from agent.domain.payload import Payload
from agent.domain.timeline import Event, EventKind
from tests.gate.world import NOON
from tests.surfaces.slack.scenes import proposal


def event(n: int, actor: str, told: Payload, at: datetime) -> Event:
    return Event(n, "inc", 1, at, told.KIND, actor, told.to_json(), "", "")


def plain(kind: EventKind, actor: str, **data: Any) -> Event:
    """An event with just these keys, at noon."""
    if kind is EventKind.PROPOSAL:
        data = sealed(data.pop("id"), **data)
    return Event(1, "inc", 1, NOON, kind, actor, data, "", "")


def sealed(
    name: str, action: str = "scale_workload", arguments: Mapping[str, Any] | None = None, parent: str | None = None
) -> dict[str, Any]:
    """The JSON of a whole proposal."""
    whole = ProposalSealed.from_json(proposal().to_json())
    return replace(whole, id=name, action=action, arguments=dict(arguments or {}), parent=parent).to_json()


def alert(name: str, at: datetime, status: AlertStatus = AlertStatus.FIRING, summary: str = "") -> Alert:
    return Alert("alertmanager", name, status, {"alertname": name}, {"summary": summary}, at)
