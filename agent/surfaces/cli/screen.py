"""What a person sees while an incident is worked: one line an event, as it happens. All text goes to stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.domain.claims.quantity import of_fact, shown
from agent.domain.text import exact, visible
from agent.domain.timeline import Event, EventKind
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
        for one in event.data.get("by_hand", ()) if event.kind is EventKind.NOTE else ():
            self.to_copy("to do it", str(one["command"]))
            if one.get("undo"):
                self.to_copy("undo it", str(one["undo"]))
        for label, text, style in _LINES.get(event.kind, _nothing)(event):
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


def _nothing(event: Event) -> list[Line]:
    return []


def _alert(event: Event) -> list[Line]:
    data = event.data
    firing = data["status"] == "firing"
    what = data["annotations"].get("summary") or data["annotations"].get("description") or ""
    name = data["labels"].get("alertname", "alert")
    since = str(data["starts_at"])[11:19] if firing else str(data.get("ends_at") or "")[11:19]
    word = "since" if firing else "cleared"
    return [
        (
            "ALERT" if firing else "cleared",
            f"{name}: {visible(what, 200)} ({word} {since} UTC)",
            "bold red" if firing else "green",
        )
    ]


def _note(event: Event) -> list[Line]:
    data = event.data
    if "runbooks" in data:
        books = data["runbooks"]
        if not books:
            return [("runbook", "none fits", "")]
        return [("runbook", f"{b['name']} ({b['why']})", "cyan") for b in books[:3]]
    if data.get("move") == "look":
        return [("looks at", "; ".join(dict.fromkeys(c["why"] or c["read"] for c in data["calls"])), "")]
    if data.get("move") == "conclude":
        cause = data["cause"]
        told = [("hand over", str(data["hand_over"]), "bold yellow")] if data.get("hand_over") else []
        return [
            ("cause", _cause(cause), "bold"),
            *(("ruled out", f"{r['cause']}: {r['why']}", "") for r in data.get("ruled_out", [])),
            *told,
        ]
    if data.get("move") == "propose":
        return [("cause", _cause(data["cause"]), "bold")] + [
            ("ruled out", f"{r['cause']}: {r['why']}", "") for r in data.get("ruled_out", [])
        ]
    if data.get("hand_over"):
        return [("hand over", str(data["hand_over"]), "bold yellow")]
    if data.get("failover"):
        return [("fail-over", str(data["text"]), "yellow")]
    if "steer" in data:
        return [("steered", f"{event.actor}: {data['steer']}", "magenta")]
    return [("note", str(data["text"]), "dim")] if data.get("show") else []


def _cause(cause: Mapping[str, Any]) -> str:
    if cause["fault"] == "none":
        return "no fault"
    where = f" in {cause['component']}" if cause["component"] else ""
    return f"{cause['fault'].replace('_', ' ')}{where} (confidence {cause['confidence']:.0%})"


def _evidence(event: Event) -> list[Line]:
    data = event.data
    style = "" if data["outcome"] == "ok" else "yellow" if data["outcome"] == "failed" else "dim"
    if data["outcome"] != "ok":
        first = str(data["summary"]).strip().split("\n")[0]
        return [(str(data["id"]), f"{data['why'] or data['read']}: {data['outcome']}: {visible(first, 200)}", style)]
    extra = data.get("extra", {})
    if str(extra.get("call", "")).startswith("verify:"):
        return []  # the verification says what they came to
    spark = f"  {extra['spark']}" if extra.get("spark") else ""
    return [(str(data["id"]), f"{data['why'] or data['read']}{spark}  {key_facts(data['facts'])}", style)]


def key_facts(facts: Sequence[Mapping[str, Any]]) -> str:
    """The few facts that say most: what is now, else counts and answers."""
    telling = [f for f in facts if f["id"].endswith((".last", ".version", "agree", "material.count"))] or [
        f for f in facts if f["id"].endswith("count") or f["id"].startswith("replicas.")
    ]
    return ", ".join(f"{f['id'].removesuffix('.last').removesuffix('.count')} {quantity(f)}" for f in telling[:3])


def quantity(fact: Mapping[str, Any]) -> str:
    return "unknown" if fact["value"] is None else shown(of_fact("", Fact(**fact)))


def _finding(event: Event) -> list[Line]:
    if event.data.get("dropped"):
        return []
    return [("finding", f"{event.data['text']}  [{' '.join(event.data['evidence'])}]", "bold")]


def _verdict(event: Event) -> list[Line]:
    data = event.data
    return [("policy", f"{data['verdict']}: {data['why']}", "")]


def _decision(event: Event) -> list[Line]:
    data = event.data
    reason = f" ({data['reason']})" if data.get("reason") else ""
    return [("decision", f"{data['answer']} by {data['by']}{reason}", "magenta")]


def _outcome(event: Event) -> list[Line]:
    data = event.data
    style = {"DONE": "green", "NOT_DONE": "yellow", "UNKNOWN": "bold red"}[data["outcome"]]
    return [("outcome", f"{data['outcome']}: {data.get('why') or ''}", style)]


def _verification(event: Event) -> list[Line]:
    data = event.data
    word = {True: "recovered", False: "not recovered", None: "not yet known"}[data["recovered"]]
    style = {True: "bold green", False: "bold red", None: "dim"}[data["recovered"]]
    seen = f" ({'; '.join(data['measured'])})" if data.get("measured") else ""
    return [("verifies", f"{clock(event.at)} {word}: {data['why']}{seen}", style)]


def _state(event: Event) -> list[Line]:
    return [("state", str(event.data["to"]).replace("_", " "), "bold")]


def _talk(event: Event) -> list[Line]:
    return [
        ("asks" if event.kind is EventKind.QUESTION else "answers", f"{event.actor}: {event.data['text']}", "magenta")
    ]


_LINES: Mapping[EventKind, Callable[[Event], Sequence[Line]]] = {
    EventKind.ALERT: _alert,
    EventKind.NOTE: _note,
    EventKind.EVIDENCE: _evidence,
    EventKind.FINDING: _finding,
    EventKind.PROPOSAL: lambda event: [("proposes", f"{event.data['action']} on {event.data['target']}", "bold")],
    EventKind.VERDICT: _verdict,
    EventKind.DECISION: _decision,
    EventKind.INTENT: lambda event: [("acts", str(event.data.get("command") or event.data["proposal"]), "bold")],
    EventKind.OUTCOME: _outcome,
    EventKind.VERIFICATION: _verification,
    EventKind.STATE: _state,
    EventKind.QUESTION: _talk,
    EventKind.REPLY: _talk,
}
