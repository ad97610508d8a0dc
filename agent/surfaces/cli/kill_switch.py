"""`stanch stop` and `stanch resume`: the kill switch of this installation."""

from __future__ import annotations

import click

from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, places, run


@click.command()
@click.option("--reason", default="", help="Kept on record, and shown to everybody whose action does not start.")
@click.pass_obj
def stop(session: Session, reason: str) -> int:
    """Start nothing any more. What has started already is looked after; approvals stay, and are void when they come to run."""
    return run(_press(session, True, reason))


@click.command()
@click.option("--reason", default="", help="Kept on record.")
@click.pass_obj
def resume(session: Session, reason: str) -> int:
    """Let actions start again. What was refused meanwhile stays refused; it can be proposed anew."""
    return run(_press(session, False, reason))


async def _press(session: Session, on: bool, reason: str) -> int:
    """In the person's own data folder, and in the demo's where there is one: a stop that missed a place would be none."""
    from agent.errors import UnusableInput

    pressed, problem = 0, UnusableInput("Nothing is stopped.")
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            person = app.api.person(f"os:{app.settings.os_user}")
            if demo and person.name is None:
                continue
            try:
                stopped = await (app.api.stop if on else app.api.resume)(person, reason)
            except UnusableInput as error:
                problem = error
                continue
            pressed += 1
            out(f"{app.settings.data}: {stopped or 'actions may start again'}.")
    if not pressed:
        raise problem
    return Exit.OK
