"""Block Kit, made safe: every text that enters a block here has nothing hidden, no mention and no disguised link in it.

Labels and values go into `plain_text` and `rich_text`, which Slack shows as they are; only prose goes into `markdown`.
Long text is split over blocks, and blocks over messages; nothing is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.domain.text import paragraph, visible

Block = dict[str, Any]
MOST_BLOCKS: Final = 45  # of 50: room for what Slack adds
MOST_TEXT: Final = 9_000  # characters of one message
PIECE: Final = 2_900  # characters of one text
NOTICE: Final = 120
_BROADCAST = re.compile(r"@(?=here\b|channel\b|everyone\b|group\b)", re.IGNORECASE)
_COMMAND = re.compile(r"<(?=[!@#]|\s*[a-z][a-z0-9+.-]*:)", re.IGNORECASE)
_JOINTS = (("](", "] ("), ("][", "] ["), ("]:", "] :"))  # what makes a link of brackets in Markdown


@dataclass(frozen=True)
class Figure:
    """A native table or chart, and what says the same where Slack does not take it."""

    native: Block
    plain: tuple[Block, ...]


Part = Block | Figure


def safe(text: str, limit: int | None = None) -> str:
    """One line in which nothing mentions, links or hides."""
    return _neutral(visible(text, limit))


def safe_lines(text: str) -> str:
    """As `safe`, but line breaks stay."""
    return _neutral(paragraph(text))


def _neutral(text: str) -> str:
    return _BROADCAST.sub("＠", _COMMAND.sub("‹", text))


def notice(text: str) -> str:
    """The text of a notification: one line of at most 120 characters, with nothing in it that Slack would parse."""
    line = safe(text)
    line = line if len(line) <= NOTICE else f"{line[: NOTICE - 1]}…"
    return line.replace("&", "＆").replace("<", "‹").replace(">", "›")


def pieces(text: str, size: int = PIECE) -> list[str]:
    """The whole text in pieces, cut at a line break or a blank where there is one."""
    found = []
    while len(text) > size:
        cut = max(text.rfind("\n", size // 2, size), text.rfind(" ", size // 2, size)) + 1 or size
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text] if text else found


# -- texts ------------------------------------------------------------------------------------------------------------


def plain_text(text: str, limit: int | None = None) -> Block:
    """`limit` bounds what is shown; a text that is cut ends in an ellipsis, so the whole has to stand elsewhere."""
    line = safe(text) or "–"
    return {
        "type": "plain_text",
        "text": line if not limit or len(line) <= limit else f"{line[: limit - 1]}…",
        "emoji": False,
    }


def span(text: str, *style: str) -> Block:
    """One run of text: `bold`, `italic`, `code`, `strike`."""
    found: Block = {"type": "text", "text": safe(text) or "–"}
    return found | {"style": dict.fromkeys(style, True)} if style else found


def link(url: str | None, label: str) -> Block:
    """An address with a label of ours, or the label alone where there is no address that a browser opens."""
    if url and url.startswith(("http://", "https://")) and len(url) <= 3000 and url == visible(url):
        return {"type": "link", "url": url, "text": safe(label)}
    return span(label)


def mention(who: str) -> Block:
    """Somebody whom the operator's configuration names: U…, W… a user, S… a user group; another word stays a word."""
    if re.fullmatch(r"[UW][A-Z0-9]{2,}", who):
        return {"type": "user", "user_id": who}
    return {"type": "usergroup", "usergroup_id": who} if re.fullmatch(r"S[A-Z0-9]{2,}", who) else span(who)


# -- rich text --------------------------------------------------------------------------------------------------------


def section(*spans: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(spans)}


def lines(*written: Sequence[Block]) -> list[Block]:
    """Lines under each other, as few blocks as hold them."""
    spans: list[Block] = []
    for place, line in enumerate(written):
        spans += [*line, {"type": "text", "text": "\n"}] if place < len(written) - 1 else [*line]
    return [_rich(section(*part)) for part in _fitted(spans)]


def rows(pairs: Iterable[tuple[str, Sequence[Block]]]) -> list[Block]:
    """`label  value` under each other; a label stands in bold before its value, so that a phone wraps well."""
    return lines(*([span(label, "bold"), {"type": "text", "text": "  "}, *value] for label, value in pairs))


def bullets(items: Iterable[Sequence[Block]]) -> list[Block]:
    """A list; one that is too long goes on in the next block."""
    found: list[list[Block]] = [[]]
    for item in (section(*part) for spans in items for part in _fitted(spans)):
        if found[-1] and weight(found[-1]) + weight(item) > PIECE:
            found.append([])
        found[-1].append(item)
    return [_rich({"type": "rich_text_list", "style": "bullet", "elements": part}) for part in found if part]


def code(text: str) -> list[Block]:
    """Text to copy, in full."""
    found = pieces(safe_lines(text))
    return [_rich({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": part}]}) for part in found]


def rich(*spans: Block) -> Block:
    """One short rich text, as the details of a task are."""
    return _rich(section(*spans))


def _rich(element: Block) -> Block:
    return {"type": "rich_text", "elements": [element]}


def _fitted(spans: Sequence[Block]) -> Iterator[list[Block]]:
    """The spans in groups of at most a piece each; a span that is longer is cut in pieces."""
    group: list[Block] = []
    size = 0
    for one in spans:
        for part in pieces(one.get("text", "")) if one["type"] == "text" else [None]:
            length = len(part if part is not None else one.get("text", ""))
            if group and size + length > PIECE:
                yield group
                group, size = [], 0
            group.append(one if part is None else one | {"text": part})
            size += length
    if group:
        yield group


# -- blocks -----------------------------------------------------------------------------------------------------------


def header(text: str) -> Block:
    return {"type": "header", "text": plain_text(text, 150)}


def context(*texts: str) -> list[Block]:
    """Small print."""
    found = [{"type": "plain_text", "text": part, "emoji": False} for text in texts for part in pieces(safe(text))]
    return [{"type": "context", "elements": found[i : i + 10]} for i in range(0, len(found), 10)]


def markdown(text: str) -> list[Block]:
    """Prose of a reasoner. Its links come apart: the words stay, and the address stands beside them for all to see."""
    clean = safe_lines(text)
    for joint, apart in _JOINTS:
        clean = clean.replace(joint, apart)
    return [{"type": "markdown", "text": part} for part in pieces(clean, MOST_TEXT)]


def button(action_id: str, label: str, value: str, style: str = "", confirm: Block | None = None) -> Block:
    found = {"type": "button", "action_id": action_id, "text": plain_text(label, 75), "value": value}
    return found | ({"style": style} if style else {}) | ({"confirm": confirm} if confirm else {})


def confirmation(title: str, text: str, yes: str, no: str) -> Block:
    """What is asked once more before a button counts."""
    return {
        "title": plain_text(title, 100),
        "text": plain_text(text, 300),
        "confirm": plain_text(yes, 30),
        "deny": plain_text(no, 30),
    }


def actions(block_id: str, *buttons: Block) -> Block:
    return {"type": "actions", "block_id": block_id, "elements": list(buttons)}


def weight(found: Any) -> int:
    """Characters that a person reads."""
    if isinstance(found, list):
        return sum(map(weight, found))
    if not isinstance(found, dict):
        return 0
    return sum(len(v) if isinstance(v, str) and k in ("text", "title") else weight(v) for k, v in found.items())


def messages(parts: Iterable[Part], plain: bool = False) -> list[list[Block]]:
    """The parts as one message, or as several where one cannot hold them."""
    found: list[list[Block]] = [[]]
    for part in parts:
        own = [part] if not isinstance(part, Figure) else list(part.plain) if plain else [part.native]
        if found[-1] and (len(found[-1]) + len(own) > MOST_BLOCKS or weight(found[-1]) + weight(own) > MOST_TEXT):
            found.append([])
        found[-1] += own
    return found
