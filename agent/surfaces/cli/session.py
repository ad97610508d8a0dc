"""What the commands share: settings from flags, where a person and a terminal are, JSON on stdout, the two data folders."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import Busy, StanchError, UnusableInput

if TYPE_CHECKING:
    from rich.console import Console

    from agent.api import App, Listener, Opener
    from agent.domain.redact import Redactor
    from agent.settings import Settings

T = TypeVar("T")
DEMO = "demo"  # folder inside the data folder in which a demo keeps its incident and its lab


@dataclass
class Session:
    """One call of the command line."""

    open: Opener
    flags: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> Settings:
        from agent.settings import read

        return read(self.flags)

    def redactor(self) -> Redactor:
        """Knows the configuration's secrets, as far as the configuration can be read."""
        from agent.domain.redact import Redactor

        try:
            return Redactor(self.settings().every_secret)
        except StanchError:
            return Redactor()

    @property
    def console(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=False)

    @property
    def interactive(self) -> bool:
        """Whether there is somebody to ask. No terminal: never a prompt."""
        return sys.stdin.isatty() and sys.stderr.isatty()


def run(coroutine: Coroutine[Any, Any, int | None]) -> int:
    """Run a command's coroutine; None is success."""
    return int(asyncio.run(coroutine) or 0)


def out(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def out_json(value: Any, indent: int | None = 1) -> None:
    out(json.dumps(value, ensure_ascii=False, indent=indent, default=str))


def demo_folder(settings: Settings) -> Path:
    return settings.data / DEMO


@asynccontextmanager
async def opened(session: Session, listeners: Sequence[Listener] = (), demo: bool = False) -> AsyncIterator[App]:
    """The application; in the demo's folder together with the demo's lab as it was left."""
    if not demo:
        async with session.open(session.settings(), listeners=listeners) as app:
            yield app
        return
    from agent.surfaces.cli.demo_env import staged

    async with staged(session, listeners) as app:
        yield app


@asynccontextmanager
async def holding(
    session: Session, holds: Callable[[App], Coroutine[Any, Any, T]], listeners: Sequence[Listener] = ()
) -> AsyncIterator[tuple[App, T]]:
    """The application over the first data folder (the person's own, the demo's) in which `holds(app)` finds something."""
    problem = UnusableInput("Nothing was found.")
    for demo in places(session.settings()):
        async with opened(session, listeners, demo) as app:
            try:
                found = await holds(app)
            except UnusableInput as error:
                problem = error
                continue
            yield app, found
            return
    raise problem


def places(settings: Settings) -> list[bool]:
    """Which data folders there are: False is the person's own, True the demo's."""
    return [False, True] if (demo_folder(settings) / "lab" / "lab.json").exists() else [False]


def lock_or_busy(app: App) -> None:
    """Become the one runner of this data folder; Busy says what happens instead."""
    if not app.lock.acquire():
        raise Busy(
            f"Another process runs the incidents in {app.settings.data}. What was decided is kept; it goes on there."
        )
