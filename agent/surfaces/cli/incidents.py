"""`stanch incidents`: what there is, how one stands, its timeline, its report, and going on with it."""

from __future__ import annotations

from pathlib import Path

import click

from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit, of_incident
from agent.surfaces.cli.investigate import followers, output, shown_json
from agent.surfaces.cli.session import Session, holding, lock_or_busy, opened, out, out_json, places, run


@click.group()
def incidents() -> None:
    """List, show, report and resume incidents."""


@incidents.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def listing(session: Session, only_open: bool, limit: int, as_json: bool) -> int:
    """Newest first."""
    return run(_list(session, only_open, limit, as_json))


async def _list(session: Session, only_open: bool, limit: int, as_json: bool) -> int:
    from agent.clock import iso
    from agent.domain.text import visible

    found = []
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            found += [(incident, demo) for incident in await app.api.incidents(limit, only_open)]
    if as_json:
        out_json(
            [
                {
                    "id": i.id,
                    "state": str(i.state),
                    "kind": str(i.kind),
                    "title": i.title,
                    "since": iso(i.since),
                    "severity": i.severity,
                    "demo": demo,
                }
                for i, demo in found
            ]
        )
        return Exit.OK
    for i, demo in found:
        mark = " (demo)" if demo else ""
        out(f"{i.id}  {iso(i.since)}  {str(i.state).replace('_', ' '):17}  {visible(i.title, 80)}{mark}")
    if not found:
        out("No incidents. `stanch demo` shows one; `stanch investigate FILE` works an alert of yours.")
    return Exit.OK


@incidents.command()
@click.argument("incident")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def show(session: Session, incident: str, as_json: bool) -> int:
    """How an incident stands: cause, findings, what was and was not checked, what was done."""
    return run(_show(session, incident, as_json))


async def _show(session: Session, prefix: str, as_json: bool) -> int:
    from agent.domain.report import render

    async with holding(session, lambda app: app.api.find(prefix)) as (app, incident):
        incident_view = await app.api.incident_view(incident.id)
        if as_json:
            out_json(await shown_json(app, incident.id))
        else:
            out(render(incident_view))
        return of_incident(incident_view)


@incidents.command()
@click.argument("incident")
@click.option("--jsonl", is_flag=True, help="Every event as JSON, one a line.")
@click.pass_obj
def timeline(session: Session, incident: str, jsonl: bool) -> int:
    """Every event, in order."""
    return run(_timeline(session, incident, jsonl))


async def _timeline(session: Session, prefix: str, jsonl: bool) -> int:
    from agent.surfaces.cli.screen import Screen, clock

    async with holding(session, lambda app: app.api.find(prefix)) as (app, incident):
        screen = Screen(session.console)
        for event in await app.api.events(incident.id):
            if jsonl:
                out_json(event.shown(), None)
            else:
                screen.line(f"{event.n}", f"{clock(event.at)} {event.kind} by {event.actor}", "dim")
                screen.show(event)
    return Exit.OK


@incidents.command()
@click.argument("incident")
@click.pass_obj
def report(session: Session, incident: str) -> int:
    """The report of an incident, as Markdown: the one that was written, or a draft of one that is open."""
    return run(_report(session, incident))


async def _report(session: Session, prefix: str) -> int:
    from agent.domain.report import render

    async with holding(session, lambda app: app.api.find(prefix)) as (app, incident):
        incident_view = await app.api.incident_view(incident.id)
        written = Path(incident_view.report) if incident_view.report else None
        page = (
            written.read_text(encoding="utf-8") if written and written.exists() else app.redact(render(incident_view))
        )
        out(page.rstrip("\n"))
    return Exit.OK


@incidents.command()
@click.argument("incident", required=False)
@output
@click.pass_obj
def resume(session: Session, incident: str | None, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Go on with an incident (or every open one): after a crash, a decision elsewhere, or --no-wait."""
    return run(_resume(session, incident, as_json, jsonl, no_wait))


async def _resume(session: Session, prefix: str | None, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    from agent.surfaces.cli.investigate import worst
    from agent.surfaces.cli.run_loop import Driver

    listeners, screen = followers(session, jsonl)

    async def wanted(app: object) -> list[str]:
        api = app.api  # type: ignore[attr-defined]
        found = [(await api.find(prefix)).id] if prefix else [i.id for i in await api.incidents(500, only_open=True)]
        if not found:
            raise UnusableInput("No incident is open. `stanch incidents list` shows those that have ended.")
        return found

    async with holding(session, wanted, listeners) as (app, found):
        lock_or_busy(app)
        person = app.api.person(f"os:{app.settings.os_user}")
        driver = Driver(app, screen, person, wait=not no_wait, interactive=session.interactive)
        codes = [await driver.drive(one) for one in found]
        if as_json:
            shown = [await shown_json(app, one) for one in found]
            out_json(shown[0] if len(shown) == 1 else {**shown[0], "others": shown[1:]})
        return worst(codes)
