"""The thread of the founding incident, message by message, as a fake Slack with Slack's limits took it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fake_slack import Call, click
from tests.slack_limits import problems
from tests.surfaces.slack.play import Play, played


def said(message: Any) -> str:
    """Every word that a person reads in a message."""
    if isinstance(message, list):
        return " ".join(map(said, message))
    if isinstance(message, dict):
        return " ".join(
            v if isinstance(v, str) and k in ("text", "title", "caption") else said(v) for k, v in message.items()
        )
    return ""


def posts(play: Play) -> list[Call]:
    return [c for c in play.slack.calls if c.method in ("chat.postMessage", "chat.update")]


def kept_to_the_pace(calls: Sequence[Call]) -> None:
    """At most one message a second in the channel, and at most one edit in three seconds of each message."""
    assert all(later.at - earlier.at >= 0.99 for earlier, later in itertools.pairwise(calls))
    for ts in {c.answer.get("ts") for c in calls}:
        own = [c.at for c in calls if c.answer.get("ts") == ts]
        assert all(later - earlier >= 2.99 for earlier, later in itertools.pairwise(own))


async def test_the_founding_incident_message_by_message(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        await play.attend(mentions=("S0ONCALL", "@everyone"), why="severity=critical")
        await play.work()
        await play.settled()

        root, plan, finding, card = play.slack.messages("C1")
        assert "thread_ts" not in root
        assert {m["thread_ts"] for m in (plan, finding, card)} == {root["ts"]}
        assert root["text"] == "⏳ ForecastLatencyHigh demand-forecast (eu-1): awaiting approval, since 15:38 UTC"
        for part in (
            "Awaiting approval",
            "eu-1 / ml / demand-forecast, production",
            "15:38 UTC",
            "critical",
            "ml-platform",
            "forecast-latency-high",
            "no model cost",
        ):
            assert part in said(root["blocks"])
        assert [p for b in root["blocks"] for p in _walk(b) if p.get("type") == "usergroup"] == [
            {"type": "usergroup", "usergroup_id": "S0ONCALL"}
        ]
        assert plan["blocks"][0]["type"] == "plan"
        assert {task["status"] for task in plan["blocks"][0]["tasks"]} == {"complete"}
        assert "the rule of ForecastLatencyHigh" in said(plan["blocks"])
        assert finding["text"].endswith("CPU contention in demand-forecast, 90% sure")
        assert _lines(finding["blocks"][1]) == 5
        assert all(_links(item) for item in finding["blocks"][1]["elements"][0]["elements"])
        assert {"data_visualization", "data_table"} <= {b["type"] for b in finding["blocks"]}
        assert "Ruled out" in said(finding["blocks"])
        assert card["text"] == "Approve? forecast-server replicas 3→5, undoable, until 16:47 UTC"
        before_the_buttons = said(card["blocks"][: [b["type"] for b in card["blocks"]].index("actions")])
        for part in (
            "eu-1/ml/forecast-server",
            "Cluster",
            "eu-1",
            "replicas",
            "reversible",
            "Undo",
            "inventory-planner, web",
            "on-call",
        ):
            assert part in before_the_buttons
        for part in ("kubectl --context eu-1", "dry run", "held for 120 s", "answered traffic stays at least 70%"):
            assert part.lower() in said(card["blocks"]).replace("2 min", "120 s").lower()
        for action in ("stanch_approve", "stanch_edit", "stanch_deny", "stanch_explain"):
            pressed = click("U1", card, action)["actions"][0]
            (proposal,) = await play.app.api.proposals_of(play.incident)
            assert json.loads(pressed["value"]) == {"p": proposal.id, "d": proposal.digest}
            assert pressed["block_id"] == f"stanch:{proposal.id}"
            assert ("confirm" in pressed) == (action == "stanch_approve")

        await play.approve()
        await play.to_the_end()
        await play.settled()

        root, plan, finding, card, end = play.slack.messages("C1")
        assert root["text"].startswith("✅ ForecastLatencyHigh demand-forecast (eu-1): resolved after 17 min")
        assert not [b for b in card["blocks"] if b["type"] == "actions"]
        for part in ("Approved by", "Ran", "DONE", "Verified", "recovered", "kubectl --context eu-1"):
            assert part in said(card["blocks"])
        assert any(b["type"] == "data_visualization" and b["chart"]["type"] == "line" for b in card["blocks"])
        assert "Resolved after 17 min" in said(end["blocks"])
        assert f"stanch incidents report {play.incident}" in said(end["blocks"])

        kept_to_the_pace(posts(play))
        assert all(c.answer["ok"] for c in play.slack.calls)
        assert all(len(c.body["text"]) <= 120 for c in posts(play))
        assert not [p for c in posts(play) for p in problems(c.body["blocks"])]
        mentioned = [c for c in posts(play) if "usergroup" in json.dumps(c.body) and c.method == "chat.postMessage"]
        assert [c.body.get("thread_ts") for c in mentioned] == [None]


async def test_blocks_that_a_workspace_does_not_take_are_said_in_plain_ones(tmp_path: Path) -> None:
    async with played(tmp_path) as play:
        play.slack.refuses = frozenset({"data_table", "data_visualization", "plan"})
        await play.attend()
        await play.work()
        await play.settled()
        _, plan, finding, _ = play.slack.messages("C1")
        assert "✓ the rule of ForecastLatencyHigh" in said(plan["blocks"])
        assert "last week 386 ms, yesterday 391 ms, just before 393 ms, now 1.94 s" in said(finding["blocks"])
        assert len([c for c in play.slack.calls if c.answer.get("error") == "invalid_blocks"]) == 1


def _walk(found: Any) -> list[dict[str, Any]]:
    if isinstance(found, list):
        return [one for part in found for one in _walk(part)]
    return [found, *(one for part in found.values() for one in _walk(part))] if isinstance(found, dict) else []


def _lines(block: dict[str, Any]) -> int:
    return len(block["elements"][0]["elements"])


def _links(item: dict[str, Any]) -> list[str]:
    return [one["url"] for one in item["elements"] if one["type"] == "link"]
