"""The door: every recorded request is taken or refused as it should be, and nothing that comes twice works twice."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from agent.errors import BadConfiguration, UnusableInput
from agent.gate.proposal import ProposalState
from agent.reasoner.protocol import Reply, Thought, View
from agent.surfaces.slack import payloads
from agent.surfaces.slack.receiver import attach
from agent.surfaces.slack.signature import genuine
from tests.fake_slack import Trouble, form, said, sign
from tests.graph.test_graph import END, LOOK, Scripted, scale
from tests.surfaces.slack.house import FIXTURES, NOW, ROOT, SECRET, House, Wall, house

RECORDED = sorted(FIXTURES.glob("http_*.json"))


async def send(home: House, recorded: dict[str, Any]) -> tuple[int, str]:
    answer = await home.http.post("/slack/events", content=recorded["body"], headers=recorded["headers"])
    await home.inbound.idle()
    return answer.status_code, answer.text


async def test_every_recorded_request_is_taken_or_refused_as_its_recording_says(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for path in RECORDED:
            recorded = json.loads(path.read_text())
            status, text = await send(home, recorded)
            assert status == recorded["expect"]["status"], path.name
            if isinstance(recorded["expect"].get("body"), dict):
                assert json.loads(text) == recorded["expect"]["body"]
        told = Counter(e["text"].split(":")[0] for e in home.slack.ephemerals)
        assert told["This button is none of mine"] == 2  # approve (its late replay is the same click) and deny
        assert told["*What I answer*\n• In an incident's thread just ask"] == 1  # the mention, and not its retry
        assert await home.decisions() == []
        assert home.heard == []


@pytest.mark.parametrize(
    ("stamps", "signatures"),
    [
        ([], []),
        ([str(NOW)], []),
        ([], ["v0=" + "0" * 64]),
        (["now"], ["v0=" + "0" * 64]),
        (["-1"], ["v0=" + "0" * 64]),
        ([str(NOW)], ["v1=" + "0" * 64]),
        ([str(NOW)], [""]),
        ([str(NOW)] * 2, ["v0=" + "0" * 64] * 2),
        (["1e9"], ["v0=" + "0" * 64]),
        (["٣٣٣٣"], ["v0=" + "0" * 64]),
        (["9" * 400], ["v0=" + "0" * 64]),
        ([str(NOW)], ["v0=é"]),
    ],
)
def test_what_is_missing_or_malformed_is_no_signature(stamps: list[str], signatures: list[str]) -> None:
    assert not genuine(SECRET, stamps, signatures, b"{}", NOW)


def test_one_signature_and_one_time_or_none() -> None:
    """Of two it could not be told which one a proxy on the way has looked at."""
    headers = sign(SECRET, "{}", NOW)
    time, right, wrong = headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"], f"v0={'0' * 64}"
    assert genuine(SECRET, [time], [right], b"{}", NOW)
    for times, signatures in (
        ([time], [right, wrong]),
        ([time], [wrong, right]),
        ([time, "1"], [right]),
        ([], [right]),
    ):
        assert not genuine(SECRET, times, signatures, b"{}", NOW)


def test_a_signature_holds_for_five_minutes_either_way_and_never_without_a_secret() -> None:
    headers = sign(SECRET, "{}", NOW)
    given = ([headers["X-Slack-Request-Timestamp"]], [headers["X-Slack-Signature"]], b"{}")
    assert [genuine(SECRET, *given, NOW + s) for s in (-301, -300, 0, 300, 301)] == [False, True, True, True, False]
    assert not genuine("", *given, NOW)
    empty = sign("", "{}", NOW)
    assert not genuine("", [empty["X-Slack-Request-Timestamp"]], [empty["X-Slack-Signature"]], b"{}", NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"team": {"id": "T2"}, "user": {"id": "U1", "team_id": "T2"}},
        {"team": {"id": "T2"}},
        {"user": {"id": "U1", "team_id": "T2"}},
        {"team": None, "is_enterprise_install": True, "enterprise": {"id": "E1"}},
        {"team": None},
    ],
)
async def test_a_click_from_another_workspace_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    async with house(tmp_path) as home:
        answer = await home.post(home.click("approve", **change))
        assert answer.status_code == 403
        assert "workspace" in answer.text
        assert await home.decisions() == []


async def test_without_a_team_in_the_settings_the_person_still_counts_by_team_and_user(tmp_path: Path) -> None:
    async with house(tmp_path, team="") as home:
        other = {"team": {"id": "T2"}, "user": {"id": "U1", "team_id": "T2"}}
        assert (await home.post(home.click("approve", **other))).status_code == 200
        assert "slack:T2/U1 is nobody in the catalog" in home.told
        assert (await home.post(home.click("approve", team=None, user={"id": "U1"}))).status_code == 403
        assert await home.decisions() == []


async def test_somebody_from_a_workspace_that_shares_the_channel_is_not_answered(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        foreign = said("U1", "<@U0BOT> why?", kind="app_mention", user_team="T2")
        assert (await home.post(foreign)).status_code == 200
        other = said("U1", "<@U0BOT> why?", kind="app_mention", team="T2", event_id="Ev2")
        assert (await home.post(other)).status_code == 403
        assert home.slack.calls == []


MANGLED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"type": 5}',
    b"payload=",
    b"payload=%7B",
    b"payload=[1]",
    b"\xff\xfe",
    b"a=b",
    b"payload=null",
    b'{"type": "event_callback"}',
    b'{"type": "event_callback", "team_id": "T1", "event_id": "E", "event": "x"}',
    b'{"type": "event_callback", "team_id": "T1", "event_id": "E", "event": {"type": "message", "text": 5}}',
    b'{"type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U1"}, "actions": []}',
    b'{"type": "block_actions", "team": "T1", "user": "U1", "actions": [{}], "enterprise": 5}',
    b'{"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "view": {"id": "V", "callback_id": "stanch_edit_form"}}',
    b'{"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "view": {"id": "V", "state": {"values": 1}}}',
    b'{"type": "url_verification"}',
    b"command=%2Fstanch",
    b"command=x",
    b'{"type": "view_closed", "team": {"id": "T1"}}',
    b'{"type": "event_callback", "team_id": "T1", "event_id": "\\ud800", "event": {"type": "message", "text": "\\ud800"}}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


async def test_a_thousand_replayed_retried_forged_or_mangled_requests_have_no_effect(tmp_path: Path) -> None:
    """One honest approval among them counts once; nothing is answered 500."""
    dice = random.Random(7)
    async with house(tmp_path, quorum=2) as home:
        honest = [
            home.click("approve"),
            home.click("explain"),
            said("U1", "why?", thread="1795416000.000100", event_id="Ev9"),
        ]
        answers: Counter[int] = Counter()

        async def once(body: bytes, headers: dict[str, str]) -> None:
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            answer = await home.http.post("/slack/events", content=body, headers=raw)
            answers[answer.status_code] += 1

        def request() -> tuple[bytes, dict[str, str]]:
            payload = dice.choice(honest)
            text = form(payload) if payload["type"] == "block_actions" else json.dumps(payload)
            match dice.choice(["replay", "retry", "secret", "old", "flip", "mangle", "header", "fields"]):
                case "replay":
                    return text.encode(), sign(SECRET, text, NOW - dice.randrange(200))
                case "retry":
                    return text.encode(), {**sign(SECRET, text, NOW), "X-Slack-Retry-Num": "1"}
                case "secret":
                    return text.encode(), sign("another", text, NOW)
                case "old":
                    return text.encode(), sign(SECRET, text, NOW + dice.choice([-600, 600]))
                case "flip":
                    at = dice.randrange(len(text))
                    return (text[:at] + "~" + text[at + 1 :]).encode(), sign(SECRET, text, NOW)
                case "mangle":
                    body = dice.choice(MANGLED).decode("latin-1")
                    return body.encode("latin-1"), signed_bytes(body.encode("latin-1"))
                case "header":
                    headers = sign(SECRET, text, NOW)
                    headers[dice.choice(list(headers))] = dice.choice(["", "x", "v0=", "٣", "1e5", "-1"])
                    return text.encode(), headers
                case _:
                    mangled = json.dumps(_mangled(payload, dice))
                    return mangled.encode(), sign(SECRET, mangled, NOW)

        requests = [request() for _ in range(1_000)]
        for batch in range(0, len(requests), 50):
            await asyncio.gather(*(once(*one) for one in requests[batch : batch + 50]))
        await home.inbound.idle()
        assert sum(answers.values()) == 1_000
        assert set(answers) <= {200, 400, 401, 403, 404}, answers
        assert min(answers[200], answers[400], answers[401]) > 50, answers
        assert len(await home.decisions()) <= 1
        assert (await home.app.api.proposal(home.proposal.id)).state is ProposalState.OPEN
        print(dict(answers))


def signed_bytes(body: bytes) -> dict[str, str]:
    mac = hmac.new(SECRET.encode(), f"v0:{NOW}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": f"v0={mac}"}


def _mangled(payload: Any, dice: random.Random) -> Any:
    """The payload with one value, somewhere in it, replaced by something of another kind. Never another valid click."""
    wrong = dice.choice([None, 5, [], {}, "", "\x00", True, [[[]]], "x" * 5_000])
    if isinstance(payload, dict) and payload and dice.random() < 0.8:
        key = dice.choice([k for k in payload if k not in ("action_ts", "event_id", "ts")] or list(payload))
        return {**payload, key: _mangled(payload[key], dice)}
    if isinstance(payload, list) and payload and dice.random() < 0.8:
        return [_mangled(payload[0], dice), *payload[1:]]
    return wrong


async def test_a_body_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        assert (await home.http.post("/slack/events", content=b"x" * 1_000_001)).status_code == 413
        assert (await home.http.get("/slack/events")).status_code == 405


def test_a_click_is_known_again_by_what_it_is_and_by_nothing_else() -> None:
    recorded = json.loads((FIXTURES / "http_block_actions_approve.json").read_text())["parsed"]
    click = payloads.read(recorded)
    late = payloads.read(json.loads((FIXTURES / "http_block_actions_290_s_old.json").read_text())["parsed"])
    deny = payloads.read(json.loads((FIXTURES / "http_block_actions_deny.json").read_text())["parsed"])
    assert isinstance(click, payloads.Click)
    assert isinstance(late, payloads.Click)
    assert isinstance(deny, payloads.Click)
    assert click.key == late.key != deny.key
    with pytest.raises(UnusableInput, match="user"):
        payloads.read({**recorded, "user": 5})


async def test_a_door_without_its_secret_is_a_mistake_at_the_start(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        client = home.inbound._client
        for mode, missing in (("http", "signing_secret"), ("socket", "app_token")):
            slack = replace(home.app.settings.slack, mode=mode, **{missing: SecretStr("")})
            app = replace(home.app, settings=replace(home.app.settings, surfaces={"slack": slack}))
            with pytest.raises(BadConfiguration, match=f"STANCH_SLACK_{missing.upper()}"):
                await attach(app, home.outbox, client, wall=Wall())


# -- Socket Mode ----------------------------------------------------------------------------------------------------------


async def test_socket_mode_takes_the_same_requests_and_works_each_once(tmp_path: Path) -> None:
    async with house(tmp_path, mode="socket", quorum=2) as home:
        running = asyncio.create_task(home.inbound.run_socket())
        await home.slack.connected()
        assert home.inbound.routes() == []
        envelopes = json.loads((FIXTURES / "socket_mode.json").read_text())
        for name in ("interactive", "events_api"):
            for _ in range(2):
                assert await home.slack.deliver(name, envelopes[name]["payload"]) is None
        assert await home.slack.deliver("slash_commands", envelopes["slash_commands"]["payload"]) == {
            "text": "Looking…"
        }
        click = home.click("approve")
        for again in range(4):
            await home.slack.deliver("interactive", click, envelope="e-77", retry_attempt=again)
        await home.inbound.idle()
        assert [d["person"] for d in await home.decisions()] == ["ann"]
        with pytest.raises(TimeoutError):
            await home.slack.deliver("interactive", home.click("approve", "U2", team={"id": "T2"}), seconds=0.3)
        with pytest.raises(TimeoutError):
            await home.slack.deliver("interactive", {"type": "block_actions", "actions": 5}, seconds=0.3)
        assert len(await home.decisions()) == 1
        await home.inbound.close()
        await running


async def test_a_lost_connection_is_made_again(tmp_path: Path) -> None:
    async with house(tmp_path, mode="socket") as home:
        running = asyncio.create_task(home.inbound.run_socket())
        await home.slack.connected()
        await home.slack.sockets[-1].close()
        await asyncio.sleep(0.1)  # until the fake has noticed as well
        await home.slack.deliver("interactive", home.click("approve"), seconds=30)
        await home.inbound.idle()
        assert len(await home.decisions()) == 1
        await home.inbound.close()
        await running


# -- at once, and afterwards ----------------------------------------------------------------------------------------------


@dataclass
class Slow(Scripted):
    """Thinks about a question for as long as nobody lets it go on."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def next_move(self, view: View) -> Thought:
        if view.question:
            self.asked.set()
            await self.go_on.wait()
            return Thought(Reply("p99 is {E1.value.last}."), self.name)
        return await super().next_move(view)


async def test_a_request_is_acknowledged_before_it_is_worked_and_finished_before_the_door_closes(
    tmp_path: Path,
) -> None:
    slow = Slow([LOOK, scale(), END])
    async with house(tmp_path, reasoner=slow) as home:
        began = time.monotonic()
        answer = await home.post(said("U1", "how slow is it?", thread=ROOT), wait=False)
        assert (answer.status_code, answer.text) == (200, "")
        assert time.monotonic() - began < 1
        await asyncio.wait_for(slow.asked.wait(), 10)
        closing = asyncio.create_task(home.inbound.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
        slow.go_on.set()
        await closing
        assert len((await home.app.api.incident_view(home.incident)).replies) == 1


async def test_a_decision_counts_although_slack_takes_no_answer(tmp_path: Path) -> None:
    async with house(tmp_path, quorum=2) as home:
        home.slack.trouble = Trouble(status=500)
        assert (await home.post(home.click("approve"))).status_code == 200
        assert (await home.post(home.click("explain"))).status_code == 200
        assert (await home.post(home.click("approve", "U9"))).status_code == 200
        assert [d["person"] for d in await home.decisions()] == ["ann"]
