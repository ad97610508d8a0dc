"""The `stanch` command. Heavy imports wait until a command needs them, so that --help answers at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.api import Opener


def main(opener: Opener) -> None:
    """Run the command line; errors of ours become one clear message and the right exit code."""
    import click

    from agent.errors import StanchError
    from agent.surfaces.cli.redacted_logging import discreet
    from agent.surfaces.cli.root import command
    from agent.surfaces.cli.session import Session

    session = Session(opener)
    discreet(session.redactor)
    try:
        code = command(standalone_mode=False, obj=session)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130
    except StanchError as error:
        from agent.surfaces.cli.exit_codes import of_error

        print(f"stanch: {session.redactor()(str(error))}", file=sys.stderr)  # noqa: T201
        code = int(of_error(error))
    except BrokenPipeError:
        code = 0
    sys.exit(code or 0)
