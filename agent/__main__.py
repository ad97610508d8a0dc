"""The entry point: hands the composition root to the command line, without loading it before a command needs it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.api import App, Listener
    from agent.settings import Settings
    from tools.context import Clock


def _open(
    settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = ()
) -> AbstractAsyncContextManager[App]:
    from agent.app import open_app

    return open_app(settings, clock, listeners)


def main() -> None:
    from agent.surfaces.cli import main as command_line

    command_line(_open)


if __name__ == "__main__":
    main()
