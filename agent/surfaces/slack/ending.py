"""How an incident's thread ends: the whole duration and a draft report, or what was checked and who has to go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agent.domain.incident import State
from agent.domain.timeline import EventKind
from agent.surfaces.slack.blocks import Block, Part, bullets, code, context, header, lines, rows, span
from agent.surfaces.slack.card_context import WORDS, Scene, clock, lasted
from agent.surfaces.slack.cards import cause_words, footer


def end(scene: Scene) -> list[Part]:
    """How it ended: the whole duration and a draft report, or what was checked and who has to go on."""
    incident_view, incident = scene.incident_view, scene.incident_view.incident
    emoji, word = WORDS[incident.state]
    length = f" after {lasted(scene.ended_at - incident.since)}" if scene.ended_at else ""
    parts: list[Part] = [header(f"{emoji} {word}{length}")]
    if incident_view.hand_over:
        parts += lines([span("For a person: ", "bold"), span(incident_view.hand_over)])
    for one in incident_view.by_hand:
        parts += [*lines([span("To do it yourself", "bold")]), *code(str(one["command"]))]
    ended = f" to {clock(scene.ended_at, incident.since)}" if scene.ended_at else ""
    pairs = [("From", [span(f"{clock(incident.since)}{ended}")]), ("Cause", [span(cause_words(scene))])]
    parts += rows([*pairs, *(("Done", done) for done in _done(scene))])
    if incident.state is not State.RECOVERED:
        looked = list(dict.fromkeys(e.why or e.read for e in incident_view.evidence.values()))
        parts += [*lines([span("Checked", "bold")]), *bullets([span(one)] for one in looked)] if looked else []
    parts += [
        *lines([span("Draft report" if incident_view.report else "What happened", "bold")]),
        *bullets(_moments(scene)),
    ]
    command = f"stanch incidents {'report' if incident_view.report else 'show'} {incident.id}"
    return [*parts, *lines([span("In full: "), span(command, "code")]), *context(footer(scene))]


def _moments(scene: Scene) -> Iterator[list[Block]]:
    """When what happened, in the words of a report."""
    incident_view, incident = scene.incident_view, scene.incident_view.incident
    told: list[tuple[datetime, str]] = [(incident.since, f"{incident.title}: the alert began")]
    told += [(incident.opened_at, "taken up")] if incident.opened_at else []
    for event in incident_view.events:
        match event.kind:
            case EventKind.PROPOSAL:
                told.append((event.at, f"proposed: {event.data['command']}"))
            case EventKind.DECISION:
                told.append((event.at, f"{scene.who(event.data)}: {event.data['answer']}"))
            case EventKind.OUTCOME:
                told.append((event.at, f"{event.data['outcome']}: {event.data.get('why') or event.data['proposal']}"))
            case EventKind.VERIFICATION if event.data.get("final"):
                told.append((event.at, str(event.data["why"])))
    for at, text in sorted(told, key=lambda one: one[0]):
        yield [span(f"{at:%H:%M:%S}", "bold"), span(f" {text}")]


def _done(scene: Scene) -> Iterator[list[Block]]:
    incident_view = scene.incident_view
    for identity, outcome in incident_view.outcomes.items():
        by = [scene.who(d) for d in incident_view.decisions if d["proposal"] == identity and d["answer"] == "approve"]
        who = f", approved by {', '.join(by)}" if by else ""
        command = str(incident_view.proposals[identity]["command"]) if identity in incident_view.proposals else identity
        yield [span(f"{clock(outcome.at)} {outcome.data['outcome']} "), span(command, "code"), span(who or ".")]
