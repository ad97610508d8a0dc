"""What a person should mind before approving. Said by code, from the sealed proposal, the same on every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agent.domain.alert import AlertStatus
from agent.domain.events import AlertJoined, ProposalSealed
from agent.domain.text import oddities, visible
from agent.domain.timeline import Event
from agent.gate.kill_switch import Stopped
from agent.gate.proposal import WAITING, Proposal
from tools.context import Json

LONG = 300  # characters of one value that nobody reads to the end without being told


def cautions(proposal: Proposal, stopped: Stopped | None = None, events: Sequence[Event] = ()) -> list[str]:
    """One sentence each; empty when there is nothing to mind. `events` are the incident's."""
    found = []
    if proposal.state in WAITING and (late := _joined_since(proposal.id, events)):
        found.append(f"Since this was proposed, {', '.join(late)} fired as well; it was proposed without knowing that.")
    if stopped is not None and proposal.state in WAITING:
        found.append(f"{stopped}. Nothing starts until `stanch resume`.")
    if proposal.untrusted:
        names = ", ".join(proposal.untrusted)
        found.append(f"Named only in text from outside: {names}. Policy denies it or wants two people.")
    for name, value in _values(proposal):
        if odd := oddities(value):
            found.append(f"{name} contains {', '.join(odd)}.")
        if len(value) > LONG:
            found.append(f"{name} is {len(value):,} characters long; it is shown in full.")
    return found


def _joined_since(proposal: str, events: Sequence[Event]) -> list[str]:
    """Names of the alerts that fired for the first time after the proposal was made."""
    known: set[str] = set()
    late: list[str] | None = None
    for event in events:
        match event.payload:
            case ProposalSealed(id=name) if name == proposal:
                late = []
            case AlertJoined(alert=alert) if alert.status is AlertStatus.FIRING:
                if late is not None and alert.fingerprint not in known:
                    late.append(visible(alert.labels.get("alertname", alert.fingerprint), LONG))
                known.add(alert.fingerprint)
    return list(dict.fromkeys(late or ()))


def _values(proposal: Proposal) -> Iterator[tuple[str, str]]:
    yield "the target", str(proposal.target)
    yield from _texts("argument", proposal.arguments)
    if proposal.undo is not None:
        yield from _texts("undo argument", proposal.undo.arguments)


def _texts(kind: str, values: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        yield from _inner(f"{kind} {name}", value)


def _inner(name: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"a key of {name}", str(key)
            yield from _inner(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _inner(name, inner)
