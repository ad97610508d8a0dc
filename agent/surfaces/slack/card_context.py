"""What a thread is drawn from, and the few words that all its cards share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.domain.catalog import Catalog
from agent.domain.events import DecisionMade, StateChanged
from agent.domain.incident import State
from agent.domain.incident_view import IncidentView
from agent.domain.timeline import events_of
from agent.domain.urgency import Urgency
from agent.gate.kill_switch import Stopped
from agent.gate.proposal import Proposal
from agent.surfaces.slack.blocks import Block, link, span
from tools.context import Service

WORDS: Mapping[State, tuple[str, str]] = {
    State.NEW: ("🔴", "New"),
    State.INVESTIGATING: ("🔎", "Investigating"),
    State.NEEDS_INPUT: ("✋", "Needs input"),
    State.AWAITING_APPROVAL: ("⏳", "Awaiting approval"),
    State.ACTING: ("🔧", "Acting"),
    State.VERIFYING: ("👀", "Verifying"),
    State.RECOVERED: ("✅", "Resolved"),
    State.NO_FAULT: ("☑️", "No fault found"),
    State.INCONCLUSIVE: ("❔", "Inconclusive: a person has to look"),
    State.HANDED_OVER: ("🤝", "Handed over"),
    State.CLOSED: ("⬜", "Closed"),
}


@dataclass(frozen=True)
class Scene:
    """One incident with all that its thread shows. `proposals` as the gate holds them now, by id."""

    incident_view: IncidentView
    attention: Urgency
    catalog: Catalog = field(default_factory=Catalog)
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    currency: str = "USD"
    stopped: Stopped | None = None  # by the kill switch

    @property
    def service(self) -> Service | None:
        return self.catalog.service_for(self.incident_view.incident.labels)

    @property
    def subject(self) -> str:
        """What the incident is about, in few words: `ForecastLatencyHigh demand-forecast`."""
        incident = self.incident_view.incident
        names = list(dict.fromkeys(a.name for a in self.incident_view.alerts if a.name))
        name = names[0] if names else incident.labels.get("alertname", "")
        what = self.service.name if self.service else incident.labels.get("service") or incident.labels.get("job", "")
        return " ".join(filter(None, (name, what))) if name else incident.title

    @property
    def place(self) -> str:
        """`eu-1 / ml / demand-forecast, production`."""
        labels = self.incident_view.incident.labels
        what = (
            self.service.name if self.service else labels.get("service") or labels.get("job") or labels.get("instance")
        )
        path = " / ".join(filter(None, (labels.get("cluster"), labels.get("namespace"), what)))
        environment = self.service.environment if self.service else labels.get("environment", "")
        return ", ".join(filter(None, (path, environment))) or "the alert does not say"

    @property
    def ended_at(self) -> datetime | None:
        """When it came to its end, by its own account or by the last state on the timeline."""
        incident = self.incident_view.incident
        if not incident.state.ended:
            return None
        return incident.ended_at or self.in_state_since

    @property
    def in_state_since(self) -> datetime | None:
        """When the incident last came into the state it is in, by its timeline."""
        moved = events_of(self.incident_view.events, StateChanged)
        return next((e.at for e in reversed(moved) if e.payload.to is self.incident_view.incident.state), None)

    def evidence_links(self, ids: Sequence[str]) -> list[Block]:
        """`[E1, E2]`, each opening its window."""
        found: list[Block] = [span(" [")]
        for place, one in enumerate(dict.fromkeys(ids)):
            known = self.incident_view.evidence.get(one)
            found += [*([span(", ")] if place else []), link(known.link if known else None, one)]
        return [*found, span("]")] if ids else []

    def who(self, decision: DecisionMade) -> str:
        """The catalog's name of whoever decided, else the account."""
        return decision.person or self.catalog.person(decision.by).name or decision.by


def clock(when: datetime, near: datetime | None = None) -> str:
    """`15:38 UTC`, with its date when that is not `near`'s."""
    return f"{when:%H:%M} UTC" if near is None or when.date() == near.date() else f"{when:%Y-%m-%d %H:%M} UTC"


def lasted(length: timedelta) -> str:
    """As people say it: `40 s`, `17 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(int(length.total_seconds()), 0)
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def words(name: str) -> str:
    """`cpu_contention` as people write it."""
    return re.sub(r"\b(cpu|sql|http)\b", lambda found: found[0].upper(), name.replace("_", " "))
