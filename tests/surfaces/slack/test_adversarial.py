"""A thousand texts from outside through every renderer: no mention, no disguised link, nothing hidden, nothing lost."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from agent.gate.proposal import ProposalState
from agent.surfaces.slack.blocks import Block, safe, safe_lines, weight
from agent.surfaces.slack.thread import Message, digest, wanted
from tests.shared_data import shared_data
from tests.slack_limits import problems
from tests.surfaces.slack.scenes import scene

HOSTILE = (
    "<!channel>",
    "<!here|here>",
    "<!everyone>",
    "<!subteam^S123|@oncall>",
    "<@U123>",
    "<#C123|general>",
    "@channel",
    "@here",
    "@Everyone",
    "@group",
    "<https://evil.example|https://grafana.example>",
    "[https://grafana.example](https://evil.example)",
    "![x](https://evil.example)",
    "[a][b]\n\n[b]: https://evil.example",
    "<mailto:a@b.example|help>",
    "< !channel>",
    "<\u200b!channel>",
    "\u202egnp.exe",
    "a\u2066b\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "\x1b[31mred",
    "nul\x00",
    "``` code",
    "`x` *b* _i_ ~s~",
    "> quote",
    "\ud800",
    "&lt;!channel&gt;",
    "\u2028line",
    "<tel:+1|call>",
    "<slack://x|y>",
    "javascript:alert(1)",
    "🧨" * 5,
    "\u00a0",
    "\U000e0041tag",
    "：warning：",
    ":warning:",
    "<!date^1^{date}|x>",
)
PLACES = (
    "title",
    "annotation",
    "label",
    "severity",
    "alert",
    "runbook",
    "owner",
    "env",
    "dependent",
    "call 0",
    "call 1",
    "failed read",
    "failure",
    "component",
    "ruled out",
    "ruled out why",
    "unchecked",
    "unchecked why",
    *(f"finding {i}" for i in range(7)),
    "question",
    "asked",
    "reply",
    "steer",
    "target",
    "cluster",
    "environment",
    "before",
    "after",
    "guard",
    "undo",
    "untrusted",
    "rule",
    "command",
    "dry run",
    "why",
    "promql",
    "approver",
    "by",
    "reason",
    "outcome",
    "measured",
    "hand over",
    "measure",
    "summary",
    "fact",
    "note",
    "mention",
    "route",
    "runbook url",
)
NEVER_SHOWN = {
    "summary",
    "note",
    "route",
    "annotation",
    "fact",
    "runbook url",
    "mention",
}  # of a read that worked, of a run that ran
CALLED = '{"type": "usergroup", "usergroup_id": "S0ONCALL"}'  # whom the operator's own configuration names


def texts() -> list[str]:
    """1,000, the same every time: hostile pieces among words."""
    chance = random.Random(7)
    words = [
        "p99",
        "of",
        "demand-forecast",
        "is",
        "2.1",
        "s",
        "and",
        "rising",
        "while",
        "nothing",
        "was",
        "deployed",
        "since",
        "noon",
    ]
    return [" ".join(chance.choice((*HOSTILE, *words)) for _ in range(chance.randint(1, 12))) for _ in range(1000)]


def strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        for one in found.values() if isinstance(found, dict) else found:
            yield from strings(one)


def harmless(message: Message) -> None:
    """Slack would parse nothing in it as a mention or link but what we made, and nothing in it is hidden."""
    assert "<" not in message.text
    assert len(message.text) <= 120
    for blocks in (message.blocks, message.plain):
        assert not problems(blocks), problems(blocks)
        assert '"mrkdwn"' not in json.dumps(blocks)
        for text in (message.text, *strings(list(blocks))):
            assert not re.search(
                r"<[!@#]|<\s*[a-z][a-z0-9+.-]*:|@(here|channel|everyone|group)\b", text, re.IGNORECASE
            ), text
            assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in text), ascii(text)
        for block in blocks:
            assert block["type"] != "markdown" or not re.search(r"\]\(|\]\[|\]:", block["text"]), block
            for one in links(block):
                assert re.fullmatch(r"E\d+", one["text"]) or one["text"] == one["url"], one


def links(found: Any) -> Iterator[Block]:
    if isinstance(found, dict):
        yield from [found] if found.get("type") == "link" else []
        found = list(found.values())
    for one in found if isinstance(found, list) else ():
        yield from links(one)


def words_of(text: str) -> str:
    """A text without its blanks, line breaks, underscores and capitals: a cause's name is written as people write it."""
    return re.sub(r"[\s⏎_]", "", text).lower()


def shown(messages: Sequence[Message], plain: bool) -> str:
    return words_of("".join(text for m in messages for text in read(list(m.plain if plain else m.blocks))))


def read(found: Any) -> Iterator[str]:
    """What a person reads of blocks, in order."""
    if isinstance(found, dict):
        for key, one in found.items():
            if isinstance(one, str) and key in ("text", "title", "caption"):
                yield one
            elif not isinstance(one, str) and key != "confirm":
                yield from read(one)
    elif isinstance(found, list):
        for one in found:
            yield from read(one)


def holds(texts: Sequence[str]) -> None:
    """Each text at every place of an incident, in every state that a proposal may have."""
    states = list(ProposalState)
    for n, text in enumerate(texts):
        state = states[n % len(states)]
        drawn = scene(partial("{1} {0}".format, text), state)
        rendered = [
            *wanted(drawn),
            *digest("digest:C1:2026-11-17T15", [(drawn.incident_view.incident, drawn.attention)]),
        ]
        for message in rendered:
            harmless(message)
        left_out = NEVER_SHOWN | ({"outcome", "measured"} if state is ProposalState.OPEN else {"approver"})
        wholes = [shown(rendered, plain) for plain in (False, True)]
        for place in set(PLACES) - left_out:
            expected = words_of(safe(f"{place} {text}"))
            assert all(expected in whole for whole in wholes), (place, text)


@pytest.mark.parametrize("part", range(4))
def test_a_thousand_texts_mention_nobody_and_lose_nothing(part: int) -> None:
    holds(texts()[part * 250 : part * 250 + 250])


def test_strings_written_to_steer_assistants_are_shown_as_letters() -> None:
    folder = shared_data("injection")
    given = [
        json.loads(line)["text"] for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    assert len(given) > 100
    holds(given)


def test_a_very_long_text_goes_on_in_further_messages_and_nothing_of_it_is_dropped() -> None:
    long = " ".join(f"word{i}" for i in range(6_000))
    rendered = wanted(
        scene(lambda place: long if place in ("reply", "why", "command", "unchecked why", "title") else place)
    )
    assert all(not problems(m.blocks) and not problems(m.plain) for m in rendered)
    assert all(weight(list(m.blocks)) <= 12_000 for m in rendered)
    assert len({m.slot for m in rendered}) == len(rendered)
    for plain in (False, True):
        whole = shown(rendered, plain)
        assert words_of(long) in whole
        for kind in ("reply", "proposal", "finding"):
            assert words_of(long) in shown([m for m in rendered if m.slot.startswith(kind)], plain)


def test_lines_of_prose_stay_lines() -> None:
    assert safe_lines("one\r\ntwo <!here>\u202e") == "one\ntwo ‹!here>⟨U+202E⟩"


def test_only_the_operators_configuration_calls_people() -> None:
    root = wanted(scene(lambda place: "@channel U0EVE S0EVE" if place == "mention" else place))[0]
    assert CALLED in json.dumps(root.blocks)
    assert json.dumps(root.blocks).count("usergroup_id") == 1
    assert '"user_id"' not in json.dumps(root.blocks)
