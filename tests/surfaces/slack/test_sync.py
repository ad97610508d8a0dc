"""The poster while Slack limits, fails, forgets and forbids: every message once, in order, and the incident goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.domain.incident import State
from agent.domain.urgency import Depth, Urgency
from agent.store import incidents, urgency
from tests.fake_slack import Trouble
from tests.surfaces.slack.play import BEGAN, Play, played


def slots(play: Play, channel: str = "C1") -> list[str]:
    return [m["metadata"]["event_payload"]["slot"].split(":")[0] for m in play.slack.messages(channel)]


def made(play: Play, method: str = "chat.postMessage") -> list[Any]:
    return [c for c in play.slack.calls if c.method == method]


async def test_while_slack_is_away_the_incident_goes_on_and_the_posts_follow_in_order(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        play.slack.trouble = Trouble(status=503, error="service_unavailable")
        await play.attend()
        await play.work()
        assert (await play.app.api.incident_view(play.incident)).incident.state is State.AWAITING_APPROVAL
        assert play.slack.messages("C1") == []
        assert "Posts wait and follow in order" in (play.poster.problem or "")
        play.slack.trouble = None
        await play.settled()
        assert slots(play) == ["root", "plan", "finding", "proposal"]
        assert not play.poster.problem
        await play.restarted()
        await play.settled()
        assert slots(play) == ["root", "plan", "finding", "proposal"]


async def test_retry_after_is_kept(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        play.slack.trouble = Trouble(status=429, retry_after=9, times=1)
        await play.attend()
        await play.settled()
        limited, answered = made(play)
        assert answered.at - limited.at >= 9
        assert slots(play) == ["root"]
        assert made(play, "conversations.history") == []


@pytest.mark.parametrize(("channel", "status"), [("C1", 500), ("#incidents", 500), ("C1", 200)])
async def test_a_post_whose_answer_never_came_is_not_made_twice(tmp_path: Path, channel: str, status: int) -> None:
    async with played(tmp_path, channel) as play:
        play.slack.trouble = Trouble(
            status=status, error="internal_error", times=1, methods=("chat.postMessage",), after_effect=True
        )
        await play.attend()
        await play.settled()
        assert slots(play) == ["root"]
        assert len(made(play)) == 1
        row = (await play.outbox.sent(play.incident))["root"]
        assert (row.place, row.address) == ("C1", play.slack.messages("C1")[0]["ts"])


async def test_a_process_that_died_between_posting_and_keeping_does_not_post_again(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        await play.attend()
        await play.settled()
        await play.poster.close()
        await play.outbox.keep(play.incident, "root", "C1")  # as it stood when the process died
        play.start()
        await play.settled()
        assert len(made(play)) == 1
        assert (await play.outbox.sent(play.incident))["root"].address == play.slack.messages("C1")[0]["ts"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("channel_not_found", "Invite the app"),
        ("not_in_channel", "/invite"),
        ("invalid_auth", "STANCH_SLACK_BOT_TOKEN"),
        ("missing_scope", "slack manifest"),
    ],
)
async def test_what_a_person_has_to_mend_is_said_and_mended_it_works(tmp_path: Path, error: str, says: str) -> None:
    async with played(tmp_path) as play:
        play.slack.trouble = Trouble(error=error)
        await play.attend()
        async with asyncio.timeout(5):
            while not made(play) or play.poster.problem is None:  # noqa: ASYNC110 (the poster's own pace is what is waited for)
                await asyncio.sleep(0.01)
        assert says in (play.poster.problem or "")
        play.slack.trouble = None
        await play.settled()
        assert slots(play) == ["root"]
        assert play.poster.problem is None


async def test_the_root_card_stands_within_three_seconds_of_the_decision(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        working = asyncio.create_task(play.work())
        await asyncio.sleep(0.3)
        loop = asyncio.get_running_loop()
        decided = loop.time()
        await play.attend()
        while not play.slack.posted and loop.time() - decided < 10:  # noqa: ASYNC110 (real seconds are what is measured)
            await asyncio.sleep(0.02)
        assert loop.time() - decided < 3.0
        await working


async def test_a_card_is_a_root_alone_and_an_ignored_incident_nothing(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        await play.attend(Depth.IGNORE)
        await play.settled()
        assert play.slack.posted == []
        await play.attend(Depth.CARD, channel="C2")
        await play.settled()
        assert slots(play, "C2") == ["root"]


async def test_nothing_is_posted_before_its_time_and_what_is_over_by_then_goes_into_the_digest(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        later = BEGAN + timedelta(hours=20)
        await play.attend(Depth.INVESTIGATE, post_at=later)
        await play.settled()
        assert play.slack.posted == []
        async with play.app.api.run_context.db.write() as tx:
            known = await incidents.get(tx, play.incident)
            assert known is not None
            ended = known.to(State.CLOSED)
            await incidents.save(
                tx, type(ended)(**{f: getattr(ended, f) for f in ended.__slots__} | {"ended_at": play.clock.now()})
            )
        await _swept(play)
        (message,) = play.slack.messages("C1")
        assert message["text"] == "Digest 15:00 UTC: 1 quiet incident, 0 still open"


async def test_a_digest_is_one_message_edited_in_place(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        await play.attend(Depth.DIGEST)
        await _swept(play)
        (message,) = play.slack.messages("C1")
        assert "ForecastLatencyHigh demand-forecast eu-1" in str(message["blocks"])
        async with play.app.api.run_context.db.write() as tx:
            known = await incidents.get(tx, play.incident)
            assert known is not None
            twin = {f: getattr(known, f) for f in known.__slots__} | {"id": "inc-twin", "title": "the other one"}
            await incidents.add(tx, type(known)(**twin))
            await urgency.put(tx, Urgency("inc-twin", Depth.DIGEST))
        await _swept(play)
        (message,) = play.slack.messages("C1")
        assert "the other one" in str(message["blocks"])
        assert message["edits"] == 1
        assert len(made(play)) == 1


async def test_a_message_that_somebody_deleted_is_let_go(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        await play.attend()
        await play.settled()
        play.slack.posted.clear()
        await play.work()
        await play.settled()
        assert "root" not in slots(play)
        assert play.poster.problem is None


async def _swept(play: Play) -> None:
    """Until a sweep has come round and what it found is shown."""
    await asyncio.sleep(0.3)
    await play.settled()
