"""A surface while it runs: what `serve` opens, feeds and closes, and what `doctor` looks at."""

from __future__ import annotations

import importlib
from collections.abc import Coroutine, Sequence
from functools import reduce
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from starlette.routing import Route

from agent.api import App
from agent.domain.timeline import Event
from agent.surfaces import table

Row = tuple[str, str, str]  # what, ok | wrong | absent, in words


class Live(Protocol):
    """One open surface."""

    @property
    def where(self) -> str:
        """Where people find it, for the line that `serve` prints."""

    def heard(self, event: Event) -> None:
        """An event that was committed; it may not wait."""

    def routes(self) -> Sequence[Route]:
        """What has to be mounted on our own server; each authenticates by itself."""

    def measure(self, registry: CollectorRegistry) -> None:
        """What /metrics says of it."""

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs until `close`."""

    async def close(self) -> None:
        """Take nothing more, finish what is in hand."""


async def open_configured(app: App) -> list[Live]:
    """The surfaces that are configured; BadConfiguration says what is missing."""
    named = {name: one for name, one in table.remotes().items() if app.settings.surfaces[name].configured}
    return [await _load(one.live)(app) for one in named.values()]


async def check(app: App) -> list[Row]:
    """Of each surface whether it works as it is configured, and how to begin where nobody has."""
    rows: list[Row] = []
    for name, one in table.remotes().items():
        settings = app.settings.surfaces[name]
        if not settings.begun:
            rows.append((name, "absent", f"not configured: {one.setup}"))
            continue
        try:
            checked = _load(one.checks)
        except ModuleNotFoundError as error:
            more = f": pip install 'stanch[{one.extra}]'" if one.extra else ""
            rows.append((name, "wrong", f"{error.name} is not installed{more}"))
            continue
        rows += await checked(settings, app.catalog)
    return rows


def absent(app: App) -> list[str]:
    """The titles of those that are not configured."""
    remote = [one for one in table.SURFACES if one.remote is not None]
    return [one.title for one in remote if not app.settings.surfaces[one.name].configured]


def _load(named: str) -> Any:
    """What `module:attribute` names."""
    module, attribute = named.split(":")
    return reduce(getattr, attribute.split("."), importlib.import_module(module))
