"""How an incident's thread ends: the whole duration and a draft report, or what was checked and who has to go on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agent.domain.events import DecisionMade, EffectChecked, OutcomeKnown, ProposalSealed
from agent.domain.incident import State
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
        parts += [*lines([span("To do it yourself", "bold")]), *code(one.command)]
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
        match event.payload:
            case ProposalSealed(command=command):
                told.append((event.at, f"proposed: {command}"))
            case DecisionMade() as decision:
                told.append((event.at, f"{scene.who(decision)}: {decision.answer}"))
            case OutcomeKnown() as outcome:
                told.append((event.at, f"{outcome.outcome}: {outcome.why or outcome.proposal}"))
            case EffectChecked(final=True, why=why):
                told.append((event.at, why))
    for at, text in sorted(told, key=lambda one: one[0]):
        yield [span(f"{at:%H:%M:%S}", "bold"), span(f" {text}")]


def _done(scene: Scene) -> Iterator[list[Block]]:
    incident_view = scene.incident_view
    for identity, outcome in incident_view.outcomes.items():
        made = [d.payload for d in incident_view.decisions if d.payload.proposal == identity]
        by = [scene.who(decision) for decision in made if decision.answer == "approve"]
        who = f", approved by {', '.join(by)}" if by else ""
        command = incident_view.proposals[identity].command if identity in incident_view.proposals else identity
        yield [span(f"{clock(outcome.at)} {outcome.payload.outcome} "), span(command, "code"), span(who or ".")]
