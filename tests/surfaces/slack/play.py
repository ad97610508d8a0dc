"""The founding incident over the lab, shown in a fake Slack by the real poster, at fifty times the pace of a clock."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from agent.api import App, Listener
from agent.app import open_app
from agent.domain.timeline import Event
from agent.domain.urgency import Depth, Urgency
from agent.graph.worker import Rest, RestKind
from agent.service.outbox import Outbox
from agent.settings import Settings
from agent.store import urgency
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from agent.surfaces.slack.settings import SlackSettings
from agent.surfaces.slack.sync import ThreadSync
from tests.fake_slack import FakeSlack

HASTE = 50.0
BEGAN = datetime(2026, 11, 17, 15, 46, tzinfo=UTC)


@dataclass
class Hasty:
    """A clock that runs fifty times as fast, so that Slack's pace costs a test nothing."""

    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=(asyncio.get_running_loop().time() - self.began) * HASTE)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)


@dataclass
class WithSlack(Session):
    slack: SlackSettings = field(default_factory=SlackSettings)

    def settings(self) -> Settings:
        return replace(super().settings(), surfaces={"slack": self.slack})


@dataclass
class Play:
    """`poster` may be closed and another one started, as a restart does."""

    app: App
    slack: FakeSlack
    incident: str
    poster: ThreadSync
    clock: Hasty
    running: asyncio.Task[None]

    async def attend(self, depth: Depth = Depth.INVESTIGATE, **more: Any) -> None:
        """Route the incident."""
        async with self.app.api.run_context.db.write() as tx:
            await urgency.put(tx, Urgency(self.incident, depth, **more))
        self.poster.look(self.incident)

    async def work(self) -> Rest:
        return await self.app.api.work(self.incident)

    async def to_the_end(self) -> None:
        """Through the verification, whose clock is the lab's."""
        while (rest := await self.work()).kind is RestKind.CLOCK and rest.due is not None:
            await self.app.clock.sleep((rest.due - self.app.clock.now()).total_seconds())

    async def approve(self) -> None:
        (proposal,) = await self.app.api.proposals_of(self.incident)
        person = self.app.api.person(f"os:{self.app.settings.os_user}")
        await self.app.api.decide(proposal.id, proposal.digest, person, "approve")
        self.poster.look(self.incident)

    async def settled(self, seconds: float = 20.0) -> None:
        """Until Slack shows what there is to show."""
        self.poster.look(self.incident)
        for _ in range(int(seconds * 100)):
            if not self.poster.behind:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.poster.behind} messages are not shown yet: {self.poster.problem}")

    async def restarted(self) -> None:
        """A process that comes after one that was closed or crashed."""
        await self.poster.close()
        await asyncio.wait([self.running])
        self.start()

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.app.api.run_context.db, self.app.clock, "slack")

    def start(self) -> None:
        self.poster = ThreadSync(self.app, self.outbox, self.clock)
        self.running = asyncio.create_task(self.poster.run())


@asynccontextmanager
async def played(folder: Path, channel: str = "C1", reasoner: Any = None) -> AsyncIterator[Play]:
    """The founding alert has been received; nobody has routed it yet."""
    async with FakeSlack.start() as slack:
        clock = Hasty()
        slack.now = lambda: clock.now().timestamp()
        settings = SlackSettings(SecretStr("xoxb-test"), api_url=slack.url, channel=channel, team="T1")
        opener = functools.partial(open_app, reasoner=reasoner) if reasoner else open_app
        session = WithSlack(opener, {"data": str(folder)}, settings)
        hears: list[Listener] = []

        def listener(event: Event) -> None:
            for hear in hears:
                hear(event)

        async with demo_env.begun(session, [listener], "forecast-contention", 1) as (app, alerts, _):
            (received,) = await app.api.receive(alerts[:1])
            assert received.incident is not None
            outbox = Outbox(app.api.run_context.db, app.clock, "slack")
            poster = ThreadSync(app, outbox, clock)
            play = Play(app, slack, received.incident, poster, clock, asyncio.create_task(poster.run()))
            hears.append(lambda event: play.poster.heard(event))
            try:
                yield play
            finally:
                await play.poster.close()
                await asyncio.wait([play.running])
                play.running.result()
