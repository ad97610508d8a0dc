"""`stanch demo` and `stanch investigate`: an alert goes in, and the incident is worked here."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, lock_or_busy, opened, out, out_json, run

if TYPE_CHECKING:
    from agent.api import App, Listener
    from agent.domain.alert import Alert
    from agent.domain.catalog import Person

MOST_BYTES = 32_000_000

_OUTPUT = (
    click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
    click.option("--jsonl", is_flag=True, help="Timeline events on stdout as they happen, one a line."),
    click.option("--no-wait", is_flag=True, help="Do not wait for clocks; leave with exit 3 and name the due time."),
)


def output(command: Any) -> Any:
    for option in reversed(_OUTPUT):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path())
@output
@click.pass_obj
def investigate(session: Session, file: str, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Work the alerts in FILE (- for stdin): the body Alertmanager sends, or alerts as its API lists them."""
    return run(_investigate(session, body_of(file), as_json, jsonl, no_wait))


def body_of(file: str) -> bytes:
    """What a file holds, or stdin for `-`; UnusableInput where it cannot be read or is far too large."""
    try:
        body = sys.stdin.buffer.read(MOST_BYTES + 1) if file == "-" else _read(Path(file))
    except OSError as error:
        raise UnusableInput(
            f"{file} cannot be read: {error.strerror}. Give a file with an alert, or - for stdin."
        ) from None
    if len(body) > MOST_BYTES:
        raise UnusableInput(
            f"{file} is larger than {MOST_BYTES:,} bytes. Alertmanager's bodies are far smaller; send one alert."
        )
    return body


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


async def _investigate(session: Session, body: bytes, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    from agent.clock import RealClock
    from agent.sources.alertmanager import parse

    alerts = parse(body, RealClock().now())
    listeners, screen = followers(session, jsonl)
    async with opened(session, listeners) as app:
        person = app.api.person(f"os:{app.settings.os_user}")
        return await work(app, session, alerts, screen, person, as_json=as_json, wait=not no_wait)


def followers(session: Session, jsonl: bool) -> tuple[Sequence[Listener], Any]:
    """The screen, and with --jsonl the stream."""
    from agent.surfaces.cli.screen import Screen

    screen = Screen(session.console)
    stream: list[Listener] = [lambda event: out_json(event.shown(), None)] if jsonl else []
    return [screen.show, *stream], screen


async def work(
    app: App,
    session: Session,
    alerts: Sequence[Alert],
    screen: Any,
    person: Person,
    *,
    as_json: bool,
    wait: bool,
    auto: bool = False,
) -> int:
    """Receive the alerts and drive their incidents, one after the other; the worst exit code counts."""
    from agent.surfaces.cli.run_loop import Driver

    began = time.monotonic()
    received = await app.api.receive(alerts)
    incidents = list(dict.fromkeys(r.incident for r in received if r.incident))
    if not incidents:
        screen.line("resolved", "every alert in it is already resolved; there is nothing to do", "green")
        if as_json:
            out_json(_already_resolved(alerts))
        return Exit.OK
    lock_or_busy(app)
    for one in received:
        if one.duplicate and one.incident:
            await _say_known(app, one.incident, screen)
    driver = Driver(app, screen, person, wait=wait, interactive=session.interactive, auto=auto)
    codes = [await driver.drive(incident) for incident in incidents]
    if all(alert.status == "resolved" for alert in alerts):
        codes = [await _over(app, incident, code, screen) for incident, code in zip(incidents, codes, strict=True)]
    if as_json:
        shown = [await shown_json(app, incident, time.monotonic() - began) for incident in incidents]
        out_json(shown[0] if len(shown) == 1 else {**shown[0], "others": shown[1:]})
    for incident in incidents:
        await _say_report(app, incident, screen)
    return worst(codes)


async def _over(app: App, incident: str, code: Exit, screen: Any) -> Exit:
    """An incident that had ended without a recovery of ours, and whose alerts have all cleared since: nothing is left to do.

    What was done and did not help, or may not have happened, still counts: a cleared alert is no proof of that.
    """
    from agent.domain.incident import ENDED
    from agent.graph.worker import cleared

    incident_view = await app.api.incident_view(incident)
    if (
        code not in (Exit.WAITS, Exit.NO_CAUSE)
        or incident_view.incident.state not in ENDED
        or not cleared(incident_view.alerts)
    ):
        return code
    screen.line(
        "resolved", f"every alert of it is resolved now; it had ended as {incident_view.incident.state}", "green"
    )
    return Exit.OK


def worst(codes: Sequence[Exit]) -> Exit:
    """The first that holds, in the order of the exit codes' page."""
    order = (
        Exit.DEFECT,
        Exit.INPUT,
        Exit.CONFIGURATION,
        Exit.FOUND,
        Exit.NOT_RECOVERED,
        Exit.NO_CAUSE,
        Exit.WAITS,
        Exit.OK,
    )
    return next(code for code in order if code in codes)


async def shown_json(app: App, incident: str, seconds: float | None = None) -> dict[str, Any]:
    from agent.diagnosis.board import board
    from agent.domain.incident_view import Told, to_json

    incident_view = await app.api.incident_view(incident)
    shown = board(incident_view.evidence, incident_view.incident.since.timestamp())
    told = Told(
        app.api.subjects(incident_view),
        [one.to_json() for one in shown.symptoms],
        [one.to_json() for one in shown.candidates],
    )
    return to_json(incident_view, seconds, told)


def _already_resolved(alerts: Sequence[Alert]) -> dict[str, Any]:
    """The incident's schema for alerts that were over before anybody heard of them."""
    from dataclasses import replace

    from agent.domain.incident import Kind, State
    from agent.domain.incident_view import IncidentView, to_json
    from agent.service.correlate import opened_by

    incident = replace(opened_by(alerts[0]), state=State.CLOSED, kind=Kind.NONE)
    return to_json(IncidentView(incident, tuple(alerts)), 0.0)


async def _say_known(app: App, incident: str, screen: Any) -> None:
    """That exactly this alert came in before, and how its incident stands."""
    state = str((await app.api.incident_view(incident)).incident.state).replace("_", " ")
    screen.line("known", f"this alert came in before: {incident}, {state}")


async def _say_report(app: App, incident: str, screen: Any) -> None:
    incident_view = await app.api.incident_view(incident)
    if incident_view.report:
        screen.line("report", incident_view.report, "dim")
    screen.line("incident", f"{incident}: stanch incidents show {incident}", "dim")


@click.command()
@click.option(
    "--scenario", default="forecast-contention", show_default=True, help="Which story; --scenario list names them."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Draws names, sizes and noise.")
@click.option("--approve", is_flag=True, help="Approve without asking, recorded as demo:--approve. Only here.")
@output
@click.pass_obj
def demo(session: Session, scenario: str, seed: int, approve: bool, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Work an incident on a simulated platform. No key, no network, nothing of yours is touched."""
    from agent.surfaces.cli import demo_env

    if scenario == "list":
        for name, text in demo_env.scenarios():
            out(f"{name:28} {text}")
        return Exit.OK
    return run(_demo(session, scenario, seed, approve, as_json, jsonl, no_wait))


async def _demo(
    session: Session, scenario: str, seed: int, approve: bool, as_json: bool, jsonl: bool, no_wait: bool
) -> int:
    from agent.domain.catalog import Person
    from agent.surfaces.cli import demo_env

    listeners, screen = followers(session, jsonl)
    demo_env.clear(session)
    async with demo_env.begun(session, listeners, scenario, seed) as (app, alerts, _):
        person = app.api.person(f"os:{app.settings.os_user}")
        by = Person("demo:--approve", person.name, person.groups) if approve else person
        return await work(app, session, alerts, screen, by, as_json=as_json, wait=not no_wait, auto=approve)
