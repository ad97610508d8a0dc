"""Slack as the service holds it: what is shown, and what is heard."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Gauge
from starlette.routing import Route

from agent.domain.timeline import Event
from agent.surfaces.slack.receiver import Inbound, attach
from agent.surfaces.slack.redacting_client import DiscreetClient
from agent.surfaces.slack.sync import ThreadSync

if TYPE_CHECKING:
    from agent.api import App


@dataclass(frozen=True)
class SlackService:
    poster: ThreadSync
    inbound: Inbound
    where: str

    @classmethod
    async def open(cls, app: App) -> SlackService:
        """BadConfiguration says which token is missing."""
        slack = app.settings.slack
        client = DiscreetClient(app.redact, slack.bot_token.get_secret_value(), slack.api_url)
        outbox = app.outbox("slack")
        poster = ThreadSync(app, outbox)
        inbound = await attach(app, outbox, client, heard=poster.look)
        return cls(poster, inbound, f"Slack {slack.channel} ({slack.mode})")

    def heard(self, event: Event) -> None:
        self.poster.heard(event)

    def measure(self, registry: CollectorRegistry) -> None:
        """What /metrics says of Slack."""
        behind = Gauge("stanch_slack_behind", "Posts and edits that are still to be made.", registry=registry)
        behind.set_function(lambda: self.poster.behind)
        barred = Gauge("stanch_slack_barred", "1 while Slack refuses what only a person can mend.", registry=registry)
        barred.set_function(lambda: float(self.poster.problem is not None))

    def routes(self) -> Sequence[Route]:
        """What has to be mounted on our own server, in HTTP mode."""
        return self.inbound.routes()

    def tasks(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs until `close`."""
        return (self.poster.run(), self.inbound.run_socket())

    async def close(self) -> None:
        """Take nothing more, finish the call in hand; what is left is posted after the next start."""
        await self.inbound.close()
        await self.poster.close()
