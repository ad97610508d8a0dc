"""Where people talk to us, listed once. stanch.yaml's sections, the settings with their redaction, `serve` and `doctor` follow
from SURFACES. What runs is named and loaded where it is needed: reading the settings loads no surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from agent.domain.people import OS_USER, SLACK_USER, Identity
from agent.surfaces.slack.settings import SlackSection, slack_settings


class SurfaceSettings(Protocol):
    """What a surface is set to. Every SecretStr in it is redacted."""

    @property
    def configured(self) -> bool:
        """Whether `serve` opens it."""

    @property
    def begun(self) -> bool:
        """Whether somebody has begun to set it up, so that `doctor` looks."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A surface that `serve` opens. `section` stands under its name in stanch.yaml; `read` gets the environment, without
    STANCH_, and the section. `live` and `checks` are written module:attribute."""

    section: type[BaseModel]
    read: Callable[[Mapping[str, str], Any], SurfaceSettings]
    live: str  # async (App) -> agent.surfaces.live.Live; BadConfiguration says what is missing
    checks: str  # async (settings, catalog) -> rows of `doctor`
    setup: str  # how one begins, for `doctor`
    extra: str = ""  # of Stanch's package, without which it cannot be loaded


@dataclass(frozen=True, slots=True)
class Surface:
    """One surface. `identity` is how it names the people whom it has verified."""

    name: str
    title: str
    identity: Identity
    remote: Remote | None = None  # None: it is there when somebody calls it, as the command line is


CLI = Surface("cli", "the command line", OS_USER)
SLACK = Surface(
    "slack",
    "Slack",
    SLACK_USER,
    Remote(
        SlackSection,
        slack_settings,
        "agent.surfaces.slack.service:SlackService.open",
        "agent.surfaces.slack.health:checked",
        "`stanch slack manifest` makes the app; then STANCH_SLACK_BOT_TOKEN and _CHANNEL",
        extra="slack",
    ),
)
SURFACES: tuple[Surface, ...] = (CLI, SLACK)


def remotes() -> dict[str, Remote]:
    """The surfaces that `serve` opens, by name."""
    return {one.name: one.remote for one in SURFACES if one.remote is not None}
