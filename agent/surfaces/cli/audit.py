"""`stanch audit verify` and `stanch audit settle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, places, run

if TYPE_CHECKING:
    from agent.gate.restore import Settled


@click.group()
def audit() -> None:
    """Verify the chain of the timelines, or accept a restore."""


@audit.command()
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def verify(session: Session, as_json: bool) -> int:
    """Verify every timeline against its chain and the anchors outside the database. Exit 7 where one breaks."""
    return run(_verify(session, as_json))


async def _verify(session: Session, as_json: bool) -> int:
    broken = 0
    told = []
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            breaks = await app.api.audit()
            broken += len(breaks)
            told += [
                {"incident": b.incident, "event": b.n, "what": b.what, "mend": b.mend, "data": str(app.settings.data)}
                for b in breaks
            ]
            if as_json:
                continue
            for one in breaks:
                out(f"{one}\n  {one.mend}" if one.mend else str(one))
            out(
                f"{app.settings.data}: {f'{len(breaks)} broken' if breaks else 'every timeline reads as it was written'}"
            )
    if as_json:
        out_json(told)
    return Exit.FOUND if broken else Exit.OK


@audit.command()
@click.option("--reason", required=True, help="What has happened; kept on record and shown to whoever is asked.")
@click.pass_obj
def settle(session: Session, reason: str) -> int:
    """Accept that the database was put back, or that anchors are lost. What was approved or may have run since is asked about."""
    return run(_settle(session, reason))


async def _settle(session: Session, reason: str) -> int:
    from agent.errors import UnusableInput

    accepted, problem = 0, UnusableInput("Nothing is to be settled.")
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            person = app.api.person(f"os:{app.settings.os_user}")
            if person.name is None and not await app.api.unsettled():
                continue
            try:
                found = await app.api.accept_restore(person, reason)
            except UnusableInput as error:
                problem = error
                continue
            accepted += 1
            for one in found:
                _tell(one)
            halt = await app.api.stopped()
            out(f"{app.settings.data}: settled.{f' {halt}. `stanch resume` ends that.' if halt else ''}")
    if not accepted:
        raise problem
    return Exit.OK


def _tell(one: Settled) -> None:
    lost = f"events {one.gap.since} to {one.gap.until} are accepted as lost" if one.gap else "it is asked about"
    out(f"{one.incident}: {lost}")
    for proposal in one.unknown:
        out(
            f"  {proposal} may have been done. Look at its target, then: stanch approvals settle {proposal} --done | --not-done"
        )
    for start in one.gone:
        out(
            f"  {start.proposal} was started at {start.at:%Y-%m-%d %H:%M} UTC on {start.target}, and is not here any more: look at it"
        )
