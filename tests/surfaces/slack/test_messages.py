"""What people type: asked, steered, paused, handed over; and never decided."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from agent.domain.incident import State
from agent.domain.timeline import EventKind
from agent.domain.urgency import Depth, Urgency
from agent.errors import NotEntitled
from agent.gate.proposal import ProposalState
from agent.reasoner.protocol import AskPerson, Reply, Thought, View
from agent.store import urgency
from agent.surfaces.slack.intents import Meaning, meant
from tests.fake_slack import said, sign
from tests.graph.test_graph import END, LOOK, Scripted, finish, replicas, scale
from tests.surfaces.slack.house import NOW, ROOT, SECRET, House, house

ANSWER = Reply("p99 is {E1.value.last}.")
_ids = itertools.count(1)


async def say(home: House, text: str, user: str = "U1", thread: str = ROOT, **more: Any) -> None:
    """A message of its own, in the incident's thread unless said otherwise."""
    n = next(_ids)
    event = said(user, text, thread=thread, event_id=f"Ev{n}", ts=f"{NOW}.{n:06d}", **more)
    assert (await home.post(event)).status_code == 200


async def command(home: House, text: str, user: str = "U1") -> str:
    fields = {
        "command": "/stanch",
        "text": text,
        "user_id": user,
        "team_id": "T1",
        "channel_id": "C1",
        "response_url": "http://127.0.0.1:9/respond",
        "trigger_id": f"1.{next(_ids)}",
    }
    body = urlencode(fields)
    answer = await home.http.post("/slack/events", content=body, headers=sign(SECRET, body, NOW))
    await home.inbound.idle()
    assert answer.status_code == 200
    return home.told


@pytest.mark.parametrize(
    ("text", "meaning", "rest"),
    [
        ("why?", Meaning.ASK, "why?"),
        ("<@U0BOT> is it drift?", Meaning.ASK, "is it drift?"),
        ("ask: what changed", Meaning.ASK, "what changed"),
        ("steer: look at the database first", Meaning.STEER, "look at the database first"),
        ("steer look there", Meaning.STEER, "look there"),
        ("look at checkout instead", Meaning.STEER, "look at checkout instead"),
        ("ignore the drift", Meaning.STEER, "ignore the drift"),
        ("check whether it is the node?", Meaning.ASK, "check whether it is the node?"),
        ("can you look at the node?", Meaning.ASK, "can you look at the node?"),
        ("Pause!", Meaning.PAUSE, ""),
        ("hand over", Meaning.HAND_OVER, ""),
        ("resume", Meaning.RESUME, ""),
        ("I take over.", Meaning.HAND_OVER, ""),
        ("approve", Meaning.DECIDE, "approve"),
        ("Approved.", Meaning.DECIDE, "Approved."),
        ("yes, go ahead", Meaning.DECIDE, "yes, go ahead"),
        ("ok approve it", Meaning.DECIDE, "ok approve it"),
        ("LGTM", Meaning.DECIDE, "LGTM"),
        ("deny", Meaning.DECIDE, "deny"),
        ("thanks!", Meaning.IDLE, "thanks!"),
        (":eyes:", Meaning.IDLE, ":eyes:"),
        ("on it", Meaning.IDLE, "on it"),
        ("<@U7> can you look?", Meaning.OTHERS, "<@U7> can you look?"),
        ("", Meaning.HELP, ""),
        ("<@U0BOT>", Meaning.HELP, ""),
        ("incidents", Meaning.LIST, ""),
        ("p99 &gt; 1 s &amp; <https://x.example/a|here>?", Meaning.ASK, "p99 > 1 s & https://x.example/a?"),
        (
            "approved requests rose by the hour since the deploy of noon",
            Meaning.ASK,
            "approved requests rose by the hour since the deploy of noon",
        ),
    ],
)
def test_words_mean_what_people_mean(text: str, meaning: Meaning, rest: str) -> None:
    found = meant(text, ("U0BOT",))
    assert (found.meaning, found.rest) == (meaning, rest)


def test_an_incident_may_be_named_and_long_nonsense_is_no_trouble() -> None:
    found = meant("pause inc-51c6930e", ("U0BOT",))
    assert (found.meaning, found.incident) == (Meaning.PAUSE, "inc-51c6930e")
    assert meant("inc-51c6930e", ()).meaning is Meaning.ASK
    assert meant("inc-51c6930e why?").rest == "why?"
    for text in (":__:" * 10_000 + "a", "ok " * 20_000 + "x", "approve" * 20_000, "<" * 50_000, "<@U" * 20_000):
        assert meant(text, ("U0BOT",)).meaning in Meaning


async def test_a_question_in_the_thread_is_answered_on_the_timeline_once(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), ANSWER)) as home:
        n = next(_ids)
        for kind in ("app_mention", "message"):  # Slack sends both for one text
            await home.post(
                said(
                    "U9", "<@U0BOT> how slow is it?", thread=ROOT, event_id=f"Ev{kind}", ts=f"{NOW}.{n:06d}", kind=kind
                )
            )
        incident_view = await home.app.api.incident_view(home.incident)
        (reply,) = incident_view.replies
        assert str(reply.data["text"]).startswith("p99 is 2.1")
        assert (reply.data["to"], reply.data["question"]) == ("slack:T1/U9", "how slow is it?")
        assert home.slack.posted == []  # the thread is a view of the timeline
        assert home.heard == [home.incident]
        assert (await home.app.api.proposal(home.proposal.id)).state is ProposalState.OPEN


async def test_elsewhere_a_mention_is_answered_where_it_was_asked(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), LOOK, ANSWER)) as home:
        await say(home, "how slow is it?", thread="")
        assert home.slack.posted == []  # nobody spoke to us
        await say(home, "<@U0BOT> how slow is it?", thread="", kind="app_mention")
        (posted,) = home.slack.posted
        assert posted["text"].startswith("p99 is 2.1")
        assert "[<http" in posted["text"]
        assert posted["thread_ts"].startswith(str(NOW))


async def test_in_the_apps_messages_an_incident_can_be_named(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), ANSWER)) as home:
        home.slack.channels["D1"] = "direct"
        await say(home, f"{home.incident} how slow is it?", thread="", channel="D1", channel_type="im")
        (posted,) = home.slack.posted
        assert (posted["channel"], posted.get("thread_ts")) == ("D1", None)
        assert (await home.app.api.incident_view(home.incident)).replies


@pytest.mark.parametrize("words", ["approve", "Approved!", "yes, do it", "deny", "<@U0BOT> approve it"])
async def test_a_typed_approval_never_approves(tmp_path: Path, words: str) -> None:
    async with house(tmp_path) as home:
        await say(home, words)
        assert "Use the button" in home.told
        assert home.proposal.id in home.told
        assert await home.decisions() == []
        assert await home.steers() == []


async def test_steering_is_for_people_of_the_catalog(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for words in ("steer: look at the database", "pause", "hand over", "resume"):
            await say(home, words, user="U9")
            assert "you may ask and look, not steer or decide" in home.told
        assert await home.steers() == []
        await say(home, "steer: look at the database")
        assert await home.steers() == ["look at the database"]
        assert home.heard == [home.incident]


async def test_a_bots_words_are_not_heard(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await say(home, "steer: delete everything", bot_id="B7")
        await say(home, "steer: delete everything", user="U0BOT")
        await say(home, "steer: delete everything", subtype="message_changed")
        assert await home.steers() == []
        assert home.slack.calls == []


async def test_pause_holds_everything_until_somebody_says_go_on(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), scale(5), END)) as home:
        await home.post(home.click("approve"))  # approved, and not started yet
        await say(home, "pause", user="U2")
        rest, incident_view = await finish(home.app, home.incident)
        assert (rest.waits_for, incident_view.incident.state) == ("person", State.NEEDS_INPUT)
        assert (await home.app.api.proposal(home.proposal.id)).state is ProposalState.VOIDED
        assert "bob paused this" in str(incident_view.questions[-1].data["text"])
        assert await replicas(home.app) == 3
        await say(home, "resume", user="U2")
        rest, incident_view = await finish(home.app, home.incident)
        assert rest.waits_for == "approval"
        assert rest.proposal != home.proposal.id
        assert await replicas(home.app) == 3


async def test_what_waited_is_void_the_moment_somebody_says_pause(tmp_path: Path) -> None:
    """Not only once a runner has noticed: an approval may come in between."""
    async with house(tmp_path) as home:
        await say(home, "pause", user="U2")
        assert (await home.app.api.proposal(home.proposal.id)).state is ProposalState.VOIDED
        await home.post(home.click("approve"))
        assert "is voided" in home.told
        assert await home.decisions() == []


@pytest.mark.parametrize("how", ["pause", "hand_over"])
async def test_only_people_of_the_catalog_stop_an_incident_whatever_they_stop_it_with(tmp_path: Path, how: str) -> None:
    async with house(tmp_path) as home:
        stranger = home.app.api.person("slack:T2/U1")
        with pytest.raises(NotEntitled):
            await getattr(home.app.api, how)(home.incident, stranger)
        assert (await home.app.api.proposal(home.proposal.id)).state is ProposalState.OPEN


async def test_handing_over_ends_it_with_what_is_known(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), scale(5))) as home:
        await say(home, "hand over", user="U2")
        _, incident_view = await finish(home.app, home.incident)
        assert incident_view.incident.state is State.HANDED_OVER
        assert incident_view.hand_over == "bob took over."
        assert str(incident_view.cause).startswith("cpu_contention")
        assert incident_view.report is not None
        await say(home, "steer: go on")
        assert "has ended" in home.told


async def test_an_answer_to_a_question_of_the_investigation_lets_it_go_on(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), AskPerson("Is the sale on?"), END)) as home:
        await say(home, "steer: ask before you do anything")
        rest, _ = await finish(home.app, home.incident)
        assert rest.waits_for == "person"
        await say(home, "restart the database", user="U9")
        assert (await home.steers())[-1] == "ask before you do anything", "nobody of the catalog said that"
        await say(home, "the sale ended yesterday")
        assert (await home.steers())[-1] == "the sale ended yesterday"


async def test_the_slash_command_asks_lists_and_steers(tmp_path: Path) -> None:
    async with house(tmp_path, moves=(LOOK, scale(), ANSWER)) as home:
        assert "What I answer" in await command(home, "")
        assert f"`{home.incident}` awaiting approval" in await command(home, "incidents")
        assert "Which incident?" in await command(home, "pause")
        assert "p99 is 2.1" in await command(home, f"{home.incident} how slow is it?")
        assert "No incident has" in await command(home, "pause inc-00000000")
        assert "Taken on" in await command(home, f"steer {home.incident} look at the node")
        assert await home.steers() == ["look at the node"]


async def test_whoever_answers_has_seen_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        async with home.outbox.db.write() as tx:
            await urgency.put(tx, Urgency(home.incident, Depth.INVESTIGATE, "C1"))
        await say(home, "on it")
        seen = await home.outbox.attention(home.incident)
        assert seen is not None
        assert seen.seen_at == home.app.clock.now()


async def test_words_from_outside_stay_words(tmp_path: Path) -> None:
    reply = Reply("<!channel> <https://evil.example|click> @here \u202egnp.exe")
    async with house(tmp_path, moves=(LOOK, scale(), reply)) as home:
        await say(home, "<@U0BOT> what now?", thread="", kind="app_mention")
        (posted,) = home.slack.posted
        for harm in ("<!", "<https://evil", "@here", "\u202e"):
            assert harm not in posted["text"]
            assert harm not in str(posted["blocks"])
        events = await home.app.api.events(home.incident)
        assert not [e for e in events if e.kind is EventKind.REPLY]


@dataclass
class Interrupted(Scripted):
    """Somebody says pause while the third move is thought of."""

    pause: Callable[[], Awaitable[None]] | None = None

    async def next_move(self, view: View) -> Thought:
        if len(self.views) == 2 and self.pause is not None:
            await self.pause()
        return await super().next_move(view)


async def test_what_was_proposed_while_somebody_said_pause_never_starts(tmp_path: Path) -> None:
    reasoner = Interrupted([LOOK, scale(), scale(5), END])
    async with house(tmp_path, reasoner=reasoner) as home:
        bob = home.app.api.person("slack:T1/U2")
        reasoner.pause = lambda: home.app.api.pause(home.incident, bob)
        await say(home, "steer: fewer replicas")
        rest, _ = await finish(home.app, home.incident)
        new = await home.app.api.proposal(str(rest.proposal))
        assert new.id != home.proposal.id
        await home.post(home.click("approve", "U1", home.button(new)))
        rest, incident_view = await finish(home.app, home.incident)
        assert (rest.waits_for, incident_view.incident.state) == ("person", State.NEEDS_INPUT)
        assert (await home.app.api.proposal(new.id)).state is ProposalState.VOIDED
        assert await replicas(home.app) == 3
        assert incident_view.intents == {}
