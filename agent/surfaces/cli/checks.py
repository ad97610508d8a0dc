"""`stanch audit verify`."""

from __future__ import annotations

import click

from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, places, run


@click.group()
def audit() -> None:
    """Verify the chain of the timelines."""


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
            breaks = await app.desk.audit()
            broken += len(breaks)
            told += [
                {"incident": b.incident, "event": b.n, "what": b.what, "data": str(app.settings.data)} for b in breaks
            ]
            if as_json:
                continue
            for one in breaks:
                out(str(one))
            out(
                f"{app.settings.data}: {f'{len(breaks)} broken' if breaks else 'every timeline reads as it was written'}"
            )
    if as_json:
        out_json(told)
    return Exit.FOUND if broken else Exit.OK
