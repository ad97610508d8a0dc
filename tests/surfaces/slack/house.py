"""A house with an incident in it: the lab, the application, a fake Slack and the inbound door, up to a real proposal."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette

from agent.api import App, Listener
from agent.app import open_app
from agent.domain.timeline import EventKind
from agent.gate.proposal import Proposal
from agent.service.outbox import Outbox
from agent.settings import Settings
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.session import Session
from agent.surfaces.slack.receiver import Inbound, attach
from agent.surfaces.slack.settings import SlackSettings
from tests.fake_slack import FakeSlack, form, sign
from tests.graph.test_graph import END, LOOK, Scripted, scale
from tools.context import Clock

SECRET = "test-signing-secret"
NOW = 1_795_416_002
FIXTURES = Path(__file__).parents[2] / "fixtures" / "slack"
PEOPLE = {
    "ann": {"slack": {"team": "T1", "user": "U1"}},
    "bob": {"slack": {"team": "T1", "user": "U2"}},
    "eve": {"slack": {"team": "T1", "user": "U3"}},
    "dan": {"slack": {"team": "T1", "user": "U4"}},
}
GROUPS = {"on-call": ["ann", "bob"]}
CHANNEL, ROOT = "C1", "1795416000.000100"


def policy(quorum: int = 1) -> str:
    rule = (
        f'{{name: ask, action: "*", verdict: ask, quorum: {quorum}, approve_within: 1h, requester_may_approve: false}}'
    )
    return f"approvers: [on-call]\nrules:\n  - {rule}\n"


@dataclass
class Wall:
    """The clock that Slack's signatures are made by."""

    at: float = NOW

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class House:
    app: App
    incident: str
    proposal: Proposal
    slack: FakeSlack
    inbound: Inbound
    outbox: Outbox
    http: httpx.AsyncClient
    heard: list[str] = field(default_factory=list)
    _times: int = 0

    def button(self, proposal: Proposal | None = None) -> str:
        wanted = proposal or self.proposal
        return json.dumps({"p": wanted.id, "d": wanted.digest})

    def click(self, what: str, who: str = "U1", value: str | None = None, **more: Any) -> dict[str, Any]:
        """One press of a button of the card; every call is another press."""
        self._times += 1
        press = {
            "type": "button",
            "action_id": f"stanch_{what}",
            "block_id": f"stanch:{self.proposal.id}",
            "action_ts": f"{NOW}.{self._times:06d}",
            "value": self.button() if value is None else value,
        }
        return {
            "type": "block_actions",
            "user": {"id": who, "team_id": "T1"},
            "team": {"id": "T1"},
            "trigger_id": "1.2.a",
            "channel": {"id": CHANNEL},
            "container": {"message_ts": "1795416000.000200", "channel_id": CHANNEL},
            "message": {"ts": "1795416000.000200", "thread_ts": ROOT, "user": "U0BOT", "bot_id": "B1"},
            "actions": [press],
            **more,
        }

    def submit(self, values: Mapping[str, Any], user: str = "U1", view: str = "V1") -> dict[str, Any]:
        """The form that was opened last, sent back with these values by block."""
        opened = self.slack.views[-1]["view"]
        kinds = {b["block_id"]: b["element"]["type"] for b in opened["blocks"] if b["type"] == "input"}
        state = {
            block: {
                "value": {"type": kinds[block], "selected_option": {"value": value}}
                if kinds[block] == "static_select"
                else {"type": kinds[block], "value": value}
            }
            for block, value in values.items()
        }
        return {
            "type": "view_submission",
            "user": {"id": user, "team_id": "T1"},
            "team": {"id": "T1"},
            "view": {**opened, "id": view, "hash": "1.a", "state": {"values": state}},
        }

    async def post(self, payload: Mapping[str, Any], wait: bool = True) -> httpx.Response:
        """Over HTTP, signed, and worked to the end."""
        body = form(payload) if payload.get("type") in ("block_actions", "view_submission") else json.dumps(payload)
        answer = await self.http.post("/slack/events", content=body, headers=sign(SECRET, body, NOW))
        if wait:
            await self.inbound.idle()
        return answer

    async def decisions(self) -> list[Mapping[str, Any]]:
        events = await self.app.api.events(self.incident)
        return [e.data for e in events if e.kind is EventKind.DECISION]

    async def steers(self) -> list[str]:
        return [str(e.data["steer"]) for e in await self.app.api.events(self.incident) if "steer" in e.data]

    @property
    def told(self) -> str:
        """The latest message that only one person sees."""
        return str(self.slack.ephemerals[-1]["text"])


@asynccontextmanager
async def house(
    tmp_path: Path,
    *,
    quorum: int = 1,
    team: str = "T1",
    mode: str = "http",
    groups: Mapping[str, Sequence[str]] = GROUPS,
    rooted: bool = True,
    moves: Sequence[Any] = (LOOK, scale(), END),
    reasoner: Scripted | None = None,
) -> AsyncIterator[House]:
    async with FakeSlack.start() as slack:
        settings = SlackSettings(
            SecretStr("xoxb-test"), SecretStr("xapp-test"), SecretStr(SECRET), slack.url, CHANNEL, team, mode
        )
        opener = functools.partial(_opened, settings, groups, reasoner or Scripted(list(moves)))
        async with demo_env.begun(
            Session(opener, {"data": str(tmp_path)}), [], "forecast-contention", 1, policy(quorum)
        ) as (app, alerts, _):
            (received,) = await app.api.receive(alerts[:1])
            assert received.incident is not None
            rest = await app.api.work(received.incident)
            proposal = await app.api.proposal(str(rest.proposal))
            outbox = Outbox(app.api.run_context.db, app.clock, "slack")
            if rooted:
                await outbox.keep(received.incident, "root", CHANNEL, ROOT, "0" * 64)
            heard: list[str] = []
            client = AsyncWebClient(token="xoxb-test", base_url=slack.url)
            inbound = await attach(app, outbox, client, heard.append, Wall())
            web = Starlette(routes=inbound.routes())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://stanch") as http:
                yield House(app, received.incident, proposal, slack, inbound, outbox, http, heard)
            await inbound.close()


def _opened(
    slack: SlackSettings,
    groups: Mapping[str, Sequence[str]],
    reasoner: Scripted,
    settings: Settings,
    clock: Clock | None = None,
    listeners: Sequence[Listener] = (),
) -> AbstractAsyncContextManager[App]:
    """The application with people who are in Slack, and one who is in the catalog but may approve nothing."""
    assert settings.catalog is not None
    catalog = yaml.safe_load(settings.catalog.read_text())
    catalog["people"] = {**catalog.get("people", {}), **PEOPLE}
    catalog["groups"] = dict(groups)
    settings.catalog.write_text(yaml.safe_dump(catalog))
    return open_app(replace(settings, surfaces={"slack": slack}), clock, listeners, reasoner)


Opener = Callable[..., AbstractAsyncContextManager[App]]
