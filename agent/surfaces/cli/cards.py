"""The approval card: made by code from the sealed proposal, in full, with everything from outside made visible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.domain.catalog import Catalog
from agent.domain.text import exact, visible
from agent.domain.timeline import Event
from agent.gate.approver_warnings import cautions
from agent.gate.kill_switch import Stopped
from agent.gate.proposal import Proposal

if TYPE_CHECKING:
    from agent.api import App


async def show(console: Console, app: App, proposal: Proposal) -> None:
    """Print the card of a proposal with what has come about since it was made."""
    events = (await app.api.incident_view(proposal.incident)).events
    approval(console, proposal, app.catalog, await app.api.stopped(), events)


def approval(
    console: Console,
    proposal: Proposal,
    catalog: Catalog,
    stopped: Stopped | None = None,
    events: Sequence[Event] = (),
) -> None:
    """Print the card. `events` are the incident's."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows(proposal, catalog, stopped, events):
        grid.add_row(label, text)
    console.print(Panel(grid, title=Text(f"{proposal.action} · {proposal.risk}", style="bold"), border_style="yellow"))
    console.print(Text("by hand it is, whole and to be copied:", style="dim"))
    console.print(Text(exact(proposal.command), style="cyan"), soft_wrap=True, highlight=False)


def rows(
    proposal: Proposal, catalog: Catalog, stopped: Stopped | None = None, events: Sequence[Event] = ()
) -> Iterator[tuple[str, Text]]:
    """Label and text of each line, in the order a tired person needs them."""
    yield "target", Text(exact(str(proposal.target)), style="bold")
    yield from (("mind", Text(visible(line), style="bold red")) for line in cautions(proposal, stopped, events))
    yield from (("change", line) for line in diff(proposal))
    yield "risk", Text(f"{proposal.risk}{'' if proposal.undo else ', cannot be undone by Stanch'}")
    if proposal.undo:
        covered = "approved together with this" if proposal.undo_covered else "asked for again"
        yield "undo", Text(f"{exact(proposal.undo.command)}, {covered}")
    needed_by = catalog.dependents(proposal.target.service) if proposal.target.service else ()
    yield "also touches", Text(", ".join(needed_by) or "nothing the catalog knows of")
    yield "why", Text(visible(proposal.why))
    yield "command", Text(exact(proposal.command), style="cyan")
    if proposal.dry_run:
        yield "dry run", Text(visible(proposal.dry_run, 600))
    yield from (("success", Text(visible(line))) for line in proposal.success.lines)
    who = f"{proposal.quorum} of " if proposal.quorum > 1 else ""
    yield "approvers", Text(who + (", ".join(proposal.approvers) or "anybody in the catalog"))
    yield "until", Text(f"{_clock(proposal.approve_by)} to approve, {_clock(proposal.execute_by)} to begin")
    yield "digest", Text(proposal.digest[:16], style="dim")


def diff(proposal: Proposal) -> Iterator[Text]:
    """`field: before → after` for every field that changes."""
    for name, after in proposal.after.fields.items():
        before = proposal.before.fields.get(name)
        if before != after:
            line = Text(f"{exact(name)}: ")
            line.append(exact(_value(before)), style="red")
            line.append(" → ")
            line.append(exact(_value(after)), style="bold green")
            yield line


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clock(when: datetime | None) -> str:
    return f"{when:%H:%M} UTC" if when else "any time"
