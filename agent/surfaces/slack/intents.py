"""What a person means who types: ask, steer, stop, or decide (which words cannot). Pure, and nothing but words."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import StrEnum

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_LINK = re.compile(r"<(https?://[^|>]+|mailto:[^|>]+)(?:\|[^>]*)?>")
_NAMED = re.compile(r"<[#!@][^|>]*\|([^>]*)>")
_INCIDENT = re.compile(r"\b(?:inc|ask)-[0-9a-f]{8}\b")
_DECIDES = re.compile(
    r"(?:i |we |please |yes,? |ok(?:ay)?,? )*(?:approved?|approving|lgtm|ship it|go ahead|do it|run it|deny|denied|reject(?:ed)?|revoke)"
    r"(?:\W+\w+){0,4}\W*",
    re.IGNORECASE,
)
_STEERS = re.compile(
    r"(?:please |stanch,? )*(?:steer|look (?:at|into)|check|focus on|investigate|concentrate on|consider|ignore|skip|forget(?: about)?|try|stop looking)\b",
    re.IGNORECASE,
)
POLITE = 40  # characters; what is longer is more than a thank-you
_IDLE = re.compile(
    r"(?:thanks?(?: you)?|thx|ty|ok(?:ay)?|k|ack(?:ed)?|on it|looking|lol|nice|great|cool|got it|\+1|:[a-z0-9_+-]+:|[\W_])*",
    re.IGNORECASE,
)


class Meaning(StrEnum):
    ASK = "ask"
    STEER = "steer"
    PAUSE = "pause"
    RESUME = "resume"
    HAND_OVER = "hand over"
    DECIDE = "decide"  # approve or deny, typed: words never do
    LIST = "list"
    HELP = "help"
    IDLE = "idle"  # said to nobody, or only to be polite
    OTHERS = "others"  # said to somebody else


@dataclass(frozen=True, slots=True)
class Said:
    """`rest` is what is left to ask or to steer with; `incident` the one that is named in it."""

    meaning: Meaning
    rest: str = ""
    incident: str | None = None


def meant(text: str, bots: tuple[str, ...] = ()) -> Said:
    """What Slack's text means. `bots` are our own users: what mentions only others is not said to us."""
    mentioned = _MENTION.findall(text)
    if mentioned and bots and not set(mentioned) & set(bots):
        return Said(Meaning.OTHERS, plain(text))
    words = plain(_MENTION.sub(lambda found: "" if found[1] in bots else found[0], text))
    named = _INCIDENT.search(words)
    if named:
        words = " ".join((words[: named.start()] + words[named.end() :]).split()).strip(" :,")
    incident = named[0] if named else None
    return Said(*_meaning(words, named=incident is not None), incident)


def _meaning(words: str, named: bool) -> tuple[Meaning, str]:
    lower = re.sub(r"[\s!.]+$", "", words.lower())
    if lower in _FIXED and (lower or not named):
        return _FIXED[lower], ""
    if not words:
        return Meaning.ASK, "How does it stand?"
    verb, colon, rest = words.partition(":")
    if colon and verb.strip().lower() in ("steer", "ask"):
        return Meaning(verb.strip().lower()), rest.strip()
    if lower.startswith("steer "):
        return Meaning.STEER, words[6:].strip()
    if lower.startswith("ask "):
        return Meaning.ASK, words[4:].strip()
    if words.endswith("?"):
        return Meaning.ASK, words
    if _DECIDES.fullmatch(words):
        return Meaning.DECIDE, words
    if len(words) <= POLITE and _IDLE.fullmatch(words):
        return Meaning.IDLE, words
    return (Meaning.STEER if _STEERS.match(words) else Meaning.ASK), words


def plain(text: str) -> str:
    """Slack's text as a person typed it: links and names without their markup, entities as characters."""
    text = _NAMED.sub(r"\1", _LINK.sub(r"\1", text))
    return html.unescape(text).strip()


_FIXED = {
    "": Meaning.HELP,
    "help": Meaning.HELP,
    "?": Meaning.HELP,
    "hi": Meaning.HELP,
    "hello": Meaning.HELP,
    "pause": Meaning.PAUSE,
    "pause it": Meaning.PAUSE,
    "stop": Meaning.PAUSE,
    "resume": Meaning.RESUME,
    "go on": Meaning.RESUME,
    "continue": Meaning.RESUME,
    "unpause": Meaning.RESUME,
    "hand over": Meaning.HAND_OVER,
    "handover": Meaning.HAND_OVER,
    "hand it over": Meaning.HAND_OVER,
    "i take over": Meaning.HAND_OVER,
    "take over": Meaning.HAND_OVER,
    "i'll take it from here": Meaning.HAND_OVER,
    "incidents": Meaning.LIST,
    "list": Meaning.LIST,
}
