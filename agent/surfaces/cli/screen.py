"""What a person sees while an incident is worked: one line an event, as it happens. All text goes to stderr."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.domain.alert import Alert, AlertStatus
from agent.domain.cause import Cause, Fault
from agent.domain.claims.quantity import of_fact, shown
from agent.domain.events import (
    AlertJoined,
    DecisionMade,
    EffectChecked,
    EvidenceRecorded,
    FindingMade,
    IntentDeclared,
    OutcomeKnown,
    QuestionAsked,
    ReplyGiven,
    StateChanged,
    VerdictGiven,
)
from agent.domain.evidence import ReadOutcome
from agent.domain.moves import Conclude, Look, Propose
from agent.domain.notes import CommandsToCopy, FailedOver, GivenToPerson, MoveMade, Note, Recalled, Steered
from agent.domain.text import exact, visible
from agent.domain.timeline import Event
from tools.spec import Fact

WIDTH_OF_LABEL = 11
ONCE = ("finding", "ruled out", "cause")


class Screen:
    """Prints timeline events as they come. `plain` leaves colour out (no terminal)."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._said: set[tuple[str, str]] = set()

    def show(self, event: Event) -> None:
        """The event's lines; what was said before in the same words is not said again."""
        if isinstance(event.payload, CommandsToCopy):
            for one in event.payload.by_hand:
                self.to_copy("to do it", one.command)
                if one.undo:
                    self.to_copy("undo it", one.undo)
        for label, text, style in lines(event):
            if label in ONCE and (label, text) in self._said:
                continue
            self._said.add((label, text))
            self.line(label, text, style)

    def line(self, label: str, text: str, style: str = "") -> None:
        """`label` in a column of its own, the text wrapped beside it."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=WIDTH_OF_LABEL, justify="right", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, style="dim"), Text(visible(text), style=style))
        self.console.print(grid)

    def to_copy(self, label: str, command: str) -> None:
        """A command by itself and unbroken, so that what is selected is what was meant."""
        self.line(label, "")
        self.console.print(Text(exact(command), style="cyan"), soft_wrap=True, highlight=False)

    def paragraph(self, label: str, text: str) -> None:
        """As `line` for a text of several lines; the label stands at the first."""
        for i, one in enumerate(text.splitlines()):
            self.line(label if i == 0 else "", one)


Line = tuple[str, str, str]


def clock(when: datetime) -> str:
    return when.strftime("%H:%M:%S")


def lines(event: Event) -> Sequence[Line]:
    """What is shown of an event, if anything."""
    match event.payload:
        case AlertJoined(alert=alert):
            return _alert(alert)
        case EvidenceRecorded() as recorded:
            return _evidence(recorded)
        case FindingMade(finding=finding):
            return [("finding", f"{finding.text}  [{' '.join(finding.evidence)}]", "bold")]
        case VerdictGiven() as verdict:
            return [("policy", f"{verdict.verdict}: {verdict.why}", "")]
        case DecisionMade() as decision:
            reason = f" ({decision.reason})" if decision.reason else ""
            return [("decision", f"{decision.answer} by {decision.by}{reason}", "magenta")]
        case IntentDeclared(proposal=proposal):
            return [("acts", proposal, "bold")]
        case OutcomeKnown() as outcome:
            style = {"DONE": "green", "NOT_DONE": "yellow", "UNKNOWN": "bold red"}[outcome.outcome]
            return [("outcome", f"{outcome.outcome}: {outcome.why or ''}", style)]
        case EffectChecked() as seen:
            return _verification(event.at, seen)
        case StateChanged(to=state):
            return [("state", state.replace("_", " "), "bold")]
        case QuestionAsked(text=text):
            return [("asks", f"{event.actor}: {text}", "magenta")]
        case ReplyGiven(text=text):
            return [("answers", f"{event.actor}: {text}", "magenta")]
        case Note() as note:
            return _note(note, event.actor)
    return []


def _alert(alert: Alert) -> list[Line]:
    firing = alert.status is AlertStatus.FIRING
    what = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    name = alert.labels.get("alertname", "alert")
    when = alert.starts_at if firing else alert.ends_at
    word = "since" if firing else "cleared"
    return [
        (
            "ALERT" if firing else "cleared",
            f"{name}: {visible(what, 200)} ({word} {clock(when) if when else ''} UTC)",
            "bold red" if firing else "green",
        )
    ]


def _note(note: Note, actor: str) -> list[Line]:
    match note:
        case Recalled(runbooks=found):
            return [("runbook", f"{b.name} ({b.why})", "cyan") for b in found[:3]] or [("runbook", "none fits", "")]
        case MoveMade(move=Look(calls=calls)):
            return [("looks at", "; ".join(dict.fromkeys(call.why or call.read for call in calls)), "")]
        case MoveMade(move=Propose() | Conclude() as move):
            ruled_out = [("ruled out", f"{one.cause}: {one.why}", "") for one in move.ruled_out]
            words = move.hand_over if isinstance(move, Conclude) else ""
            return [("cause", _cause(move.cause), "bold"), *ruled_out, *_hand_over(words)]
        case GivenToPerson(hand_over=words) if words:
            return _hand_over(words)
        case FailedOver() if note.failover:
            return [("fail-over", note.text, "yellow")]
        case Steered(steer=words):
            return [("steered", f"{actor}: {words}", "magenta")]
    return [("note", note.text, "dim")] if note.show else []


def _hand_over(words: str) -> list[Line]:
    return [("hand over", words, "bold yellow")] if words else []


def _cause(cause: Cause) -> str:
    if cause.fault is Fault.NONE:
        return "no fault"
    where = f" in {cause.component}" if cause.component else ""
    return f"{cause.fault.replace('_', ' ')}{where} (confidence {cause.confidence:.0%})"


def _evidence(recorded: EvidenceRecorded) -> list[Line]:
    one = recorded.evidence
    what = one.why or one.read
    if one.outcome is not ReadOutcome.OK:
        style = "yellow" if one.outcome is ReadOutcome.FAILED else "dim"
        return [(one.id, f"{what}: {one.outcome}: {visible(one.summary.strip().split(chr(10))[0], 200)}", style)]
    if recorded.call.startswith("verify:"):
        return []  # the verification says what they came to
    spark = f"  {recorded.spark}" if recorded.spark else ""
    return [(one.id, f"{what}{spark}  {key_facts(one.facts)}", "")]


def key_facts(facts: Sequence[Fact]) -> str:
    """The few facts that say most: what is now, else counts and answers."""
    telling = [f for f in facts if f.id.endswith((".last", ".version", "agree", "material.count"))] or [
        f for f in facts if f.id.endswith("count") or f.id.startswith("replicas.")
    ]
    return ", ".join(f"{f.id.removesuffix('.last').removesuffix('.count')} {quantity(f)}" for f in telling[:3])


def quantity(fact: Fact) -> str:
    return "unknown" if fact.value is None else shown(of_fact("", fact))


def _verification(at: datetime, seen: EffectChecked) -> list[Line]:
    word = {True: "recovered", False: "not recovered", None: "not yet known"}[seen.recovered]
    style = {True: "bold green", False: "bold red", None: "dim"}[seen.recovered]
    measured = f" ({'; '.join(seen.measured)})" if seen.measured else ""
    return [("verifies", f"{clock(at)} {word}: {seen.why}{measured}", style)]
