"""What a thread ought to show: a view of the timeline. Whoever compares it with what was sent knows what to post."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.domain.events import ProposalSealed, QuestionAsked, ReplyGiven
from agent.domain.incident import Incident
from agent.domain.moves import Conclude, Look, Propose
from agent.domain.notes import MoveMade, Steered
from agent.domain.timeline import Event, canonical
from agent.domain.urgency import Depth, Urgency
from agent.surfaces.slack import cards
from agent.surfaces.slack.approval import approval, approval_notice
from agent.surfaces.slack.blocks import Block, Part, bullets, context, header, messages, notice, span
from agent.surfaces.slack.card_context import WORDS, Scene, clock
from agent.surfaces.slack.ending import end

ROOT = "root"


@dataclass(frozen=True)
class Message:
    """One place in a thread. `plain` says the same in blocks that every workspace knows."""

    slot: str
    text: str
    blocks: tuple[Block, ...]
    plain: tuple[Block, ...]

    @cached_property
    def content(self) -> str:
        """SHA-256 of what it shows."""
        return hashlib.sha256(canonical([self.text, list(self.blocks)])).hexdigest()


def wanted(scene: Scene) -> list[Message]:
    """The messages of an incident's thread, in order, the root first. Empty where there is to be no thread."""
    if not scene.attention.depth.threaded:
        return []
    found = [*_message(ROOT, cards.root_notice(scene), cards.root(scene))]
    for slot, text, parts in sorted_parts(scene):
        found += _message(slot, text, parts)
    return found


def sorted_parts(scene: Scene) -> Iterable[tuple[str, str, Sequence[Part]]]:
    """Slot, notification and parts of each message in the thread, where the timeline first gives cause for it."""
    incident_view = scene.incident_view
    shown: set[str] = set()
    for event in incident_view.events:
        slot = _slot(event)
        if slot and slot not in shown:
            shown.add(slot)
            yield from _drawn(scene, slot, event)
    if incident_view.incident.state.ended:
        yield "end", cards.root_notice(scene), end(scene)


def _slot(event: Event) -> str:
    """The message that this event gives cause for, or ""."""
    elsewhere = not event.actor.startswith("slack:")
    match event.payload:
        case MoveMade(move=Look()):
            return "plan"
        case MoveMade(move=Propose() | Conclude()):
            return "finding"
        case Steered(steer=words) if words and elsewhere:
            return f"said:{event.n}"
        case ProposalSealed(id=proposal):
            return f"proposal:{proposal}"
        case QuestionAsked(to="stanch"):
            return f"said:{event.n}" if elsewhere else ""
        case QuestionAsked():
            return f"question:{event.n}"
        case ReplyGiven(to=to) if to != "stanch":
            return f"reply:{event.n}"
    return ""


def _drawn(scene: Scene, slot: str, event: Event) -> Iterable[tuple[str, str, Sequence[Part]]]:
    match event.payload:
        case MoveMade(move=Look()):
            yield slot, cards.plan_notice(scene), cards.plan(scene)
        case MoveMade():
            yield slot, cards.finding_notice(scene), cards.finding(scene)
        case ProposalSealed(id=name) if proposal := scene.proposals.get(name):
            yield slot, approval_notice(proposal), approval(scene, proposal)
        case Steered(steer=text) | QuestionAsked(to="stanch", text=text):
            yield slot, text, cards.said(scene, event.actor, text)
        case QuestionAsked(text=text):
            yield slot, f"Question: {text}", cards.question(text)
        case ReplyGiven(text=text) as reply:
            yield slot, text, cards.reply(scene, reply)


def _message(slot: str, text: str, parts: Sequence[Part]) -> list[Message]:
    """The parts as one message, or as several in neighbouring slots where one cannot hold them."""
    native, plain = messages(parts), messages(parts, plain=True)
    if len(native) != len(plain):  # the fallback is longer: both are cut where it is
        native = plain = messages(parts, plain=True)
    return [
        Message(
            slot if i == 0 else f"{slot}/{i + 1}", notice(text if i == 0 else f"{text} ({i + 1})"), tuple(a), tuple(b)
        )
        for i, (a, b) in enumerate(zip(native, plain, strict=True))
    ]


# -- digest -----------------------------------------------------------------------------------------------------------


def digest_thread(incident: Incident, channel: str) -> str:
    """The name of the digest that an incident stands in: one a channel and hour."""
    return f"digest:{channel}:{incident.opened_at or incident.since:%Y-%m-%dT%H}"


def digest(name: str, listed: Sequence[tuple[Incident, Urgency]]) -> list[Message]:
    """One line an incident, oldest first; edited in place, going on in further messages when it gets long."""
    hour = name.rsplit("T", 1)[-1]
    ordered = sorted(listed, key=lambda one: (one[0].since, one[0].id))
    still = sum(not incident.state.ended for incident, _ in ordered)
    what = f"Digest {hour}:00 UTC: {len(ordered)} quiet incident{'s' if len(ordered) != 1 else ''}"
    parts: list[Part] = [header(f"🗒️ {what}")]
    parts += bullets(_entry(incident, attention) for incident, attention in ordered)
    parts += context(f"{still} still open. stanch incidents show ID tells more; nothing here has called anybody.")
    return _message(ROOT, f"{what}, {still} still open", parts)


def _entry(incident: Incident, attention: Urgency) -> list[Block]:
    labels = incident.labels
    what = " ".join(
        filter(None, (labels.get("alertname"), labels.get("service") or labels.get("job"), labels.get("cluster")))
    )
    emoji, word = WORDS[incident.state]
    count = f" ({len(incident.alerts)} alerts)" if len(incident.alerts) > 1 else ""
    return [
        span(f"{emoji} {clock(incident.since)} "),
        span(what or incident.title, "bold"),
        span(
            f"{count}: {incident.title}. {word.lower()}, {incident.id}"
            + (f" ({attention.why})" if attention.why else "")
        ),
    ]


def in_digest(incident: Incident, attention: Urgency) -> bool:
    """Whether it is told in a digest: by its route, or because it was over before anything was posted."""
    early = attention.post_at is not None and incident.ended_at is not None and incident.ended_at < attention.post_at
    return attention.depth is Depth.DIGEST or (attention.depth.threaded and early)
