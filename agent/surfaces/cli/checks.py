"""`stanch policy check` and `stanch audit verify`."""

from __future__ import annotations

from pathlib import Path

import click

from agent.errors import BadConfiguration
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, places, run


@click.group()
def policy() -> None:
    """Check the policy file."""


@policy.command()
@click.argument("file", type=click.Path(), required=False)
@click.pass_obj
def check(session: Session, file: str | None) -> int:
    """Read a policy file and name every mistake by file, line and mend (exit 4)."""
    from agent.gate.policy import load

    path = Path(file) if file else session.settings().policy
    if path is None:
        raise BadConfiguration(
            "There is no policy.yaml here. `stanch init` writes one that suggests everything and runs nothing."
        )
    found = load(path)
    out(f"{path}: {len(found.file.rules)} rules, version {found.version[:12]}; what no rule matches is denied.")
    return Exit.OK


@click.group()
def audit() -> None:
    """Verify the chain of the timelines."""


@audit.command()
@click.pass_obj
def verify(session: Session) -> int:
    """Verify every timeline against its chain and the anchors outside the database. Exit 7 where one breaks."""
    return run(_verify(session))


async def _verify(session: Session) -> int:
    broken = 0
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            breaks = await app.desk.audit()
            for one in breaks:
                out(str(one))
            broken += len(breaks)
            out(
                f"{app.settings.data}: {f'{len(breaks)} broken' if breaks else 'every timeline reads as it was written'}"
            )
    return Exit.FOUND if broken else Exit.OK
