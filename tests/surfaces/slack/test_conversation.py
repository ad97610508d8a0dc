"""Both halves together: the cards that the poster shows are those whose buttons and threads are heard."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

from agent.domain.incident import State
from agent.domain.urgency import Depth, Urgency
from agent.reasoner.protocol import Reply
from agent.store import urgency
from agent.surfaces.slack.sync import ThreadSync
from tests.fake_slack import click, said
from tests.graph.test_graph import LOOK, MENDED, finish, replicas, scale
from tests.surfaces.slack.house import House, house
from tests.surfaces.slack.play import Hasty


async def shown(home: House, poster: ThreadSync) -> None:
    """Until Slack shows what there is to show."""
    poster.look(home.incident)
    async with asyncio.timeout(20):
        await asyncio.sleep(0.05)
        for _ in range(2_000):
            if not poster.behind:
                return
            await asyncio.sleep(0.01)


def with_button(home: House, action: str) -> list[dict[str, Any]]:
    return [m for m in home.slack.messages() if action in str(m["blocks"])]


async def test_a_thread_is_asked_approved_by_button_and_closed(tmp_path: Path) -> None:
    moves = (LOOK, scale(), Reply("p99 is {E1.value.last}."), MENDED)
    async with house(tmp_path, mode="socket", rooted=False, moves=moves) as home:
        socket = asyncio.create_task(home.inbound.run_socket())
        poster = ThreadSync(home.app, home.outbox, Hasty())
        posting = asyncio.create_task(poster.run())
        async with home.outbox.db.write() as tx:
            await urgency.put(tx, Urgency(home.incident, Depth.INVESTIGATE, "C1"))
        await shown(home, poster)
        (card,) = copy.deepcopy(with_button(home, "stanch_approve"))
        root = card["thread_ts"]

        await home.slack.deliver("events_api", said("U9", "how slow is it?", thread=root))
        await home.inbound.idle()
        await shown(home, poster)
        assert "p99 is 2.1" in str(home.slack.messages(thread=root)[-1]["blocks"])

        await home.slack.deliver("interactive", click("U3", card, "stanch_approve", at=1.0))
        await home.slack.deliver("interactive", click("U9", card, "stanch_explain", at=2.0))
        await home.slack.deliver("interactive", click("U1", card, "stanch_approve", at=3.0))
        await home.inbound.idle()
        assert [d["person"] for d in await home.decisions()] == ["ann"]
        assert sorted(e["user"] for e in home.slack.ephemerals) == ["U3", "U9"]  # answered side by side
        _, incident_view = await finish(home.app, home.incident)
        await shown(home, poster)
        assert incident_view.incident.state is State.RECOVERED
        assert await replicas(home.app) == 6
        assert with_button(home, "stanch_approve") == []
        assert "Resolved" in str(home.slack.messages()[0]["blocks"])

        await home.slack.deliver("interactive", click("U2", card, "stanch_approve", at=4.0))
        await home.inbound.idle()
        assert "can no longer be decided" in home.told
        await poster.close()
        await home.inbound.close()
        await asyncio.gather(posting, socket)
