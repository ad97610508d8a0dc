"""What log lines tell of a trouble, as symptoms: by patterns of what software writes, and by errors that are new."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tools.context import Labels, Subject
from tools.logs.blocks import Block, blocks
from tools.logs.patterns import mask, visible
from tools.logs.peers import is_itself, peer_in
from tools.symptoms import HURTS, WARNS, Symptom

LONGEST = 240  # characters of the decisive words
MOST = 12  # symptoms of one subject
NEW_ERROR = "new_error"

Find = Callable[[str], Subject | None]

# How much a reason tells of a cause: what a person can mend, then what hangs on others, then what only was seen.
_TIERS: Mapping[str, int] = {
    **dict.fromkeys(("refused", "deadlock", "serialization", "rate_limited"), 1),
    **dict.fromkeys(("timeout", "dependency"), 2),
    NEW_ERROR: 3,
}
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_GOES_ON = re.compile(
    r"\b(?:will (?:be )?retr(?:y|ied)|retrying|reconnecting|falling back|ignor(?:ed|ing))\b", re.IGNORECASE
)
_GENERIC = re.compile(
    r"^\s*(?:npm (?:ERR!|error)|error: )?\s*(?:process )?(?:exit(?:ed|ing)?|command failed|shutting down|stopping)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Trouble:
    """One block with what it tells. `old`: lines of the same template were there before, or are with healthy siblings."""

    block: Block
    reason: str
    accused: Subject | None
    named: Labels
    old: bool
    last: bool

    @property
    def order(self) -> tuple[bool, int, bool, bool, int]:
        """The most telling first: the new, the specific, the last words, and then what is nearer to the end."""
        generic = bool(_GENERIC.search(self.block.text))
        return self.old, _TIERS.get(self.reason, 0), generic, not self.last, -self.block.end


def symptoms_of_lines(
    lines: Sequence[str],
    subject: Subject,
    find: Find,
    before: Sequence[str] = (),
    siblings: Sequence[str] = (),
) -> list[Symptom]:
    """What a subject's lines, oldest first, tell of a trouble: one symptom for one (reason, accused), the most telling
    first, at most MOST. `find` knows the subject of a host's name or address. `before` are lines of the time before it
    began, `siblings` lines of members that are well: what stands there too is no news, and an error that does not is
    `new_error`. Without them an unexplained error counts only as the last words of a process."""
    known = {_template(one) for one in (*blocks(before)[0], *blocks(siblings)[0])}
    compared = bool(before or siblings)
    found, tail = blocks(lines)
    troubles = [
        one
        for block in found
        if (one := _trouble(block, subject, find, known, compared, block.end >= tail)) is not None
    ]
    groups = _grouped(troubles)
    groups.sort(key=lambda group: group[0].order)
    return [_symptom(subject, group) for group in groups[:MOST]]


def _trouble(
    block: Block, subject: Subject, find: Find, known: set[str], compared: bool, last: bool
) -> _Trouble | None:
    last = last or block.dies
    old = compared and _template(block) in known
    if block.match is None:
        if old or not (compared or last):
            return None
        return _Trouble(block, NEW_ERROR, None, {}, False, last)
    named = dict(block.match.named)
    accused = None
    if block.match.accuses_peer:
        peer = named.get("peer") or peer_in(block.text, block.whole)
        if _ADDRESS.fullmatch(peer):  # a name tells more than the address behind it
            called = peer_in(block.text, block.text)
            peer = peer if not called or _ADDRESS.fullmatch(called) else called
        if peer:
            named["peer"] = peer = peer.rstrip(".-")
            accused = _accused(peer, subject, find)
        elif database := named.get("database"):
            accused = find(database) or Subject("Database", "", "", database)
            accused = None if accused == subject else accused
    return _Trouble(block, block.match.reason, accused, named, old, last)


def _accused(peer: str, subject: Subject, find: Find) -> Subject | None:
    if is_itself(peer):
        return None
    known = find(peer.lower()) or Subject("Service", "", "", peer.lower())
    return None if known == subject else known


def _grouped(troubles: Sequence[_Trouble]) -> list[list[_Trouble]]:
    """By (reason, accused), the most telling of a group first. Lines that accuse nobody go to the one whom the others of
    their reason accuse, where there is just one."""
    groups: dict[tuple[str, Subject | None], list[_Trouble]] = defaultdict(list)
    for one in troubles:
        groups[one.reason, one.accused].append(one)
    for reason, accused in list(groups):
        if accused is None and len(others := [key for key in groups if key[0] == reason and key[1]]) == 1:
            peers = [one for one in groups[reason, None] if one.block.match and one.block.match.accuses_peer]
            rest = [one for one in groups[reason, None] if one not in peers]
            groups[others[0]] += peers
            groups[reason, None] = rest
    return [_sorted(group) for group in groups.values() if group]


def _sorted(group: list[_Trouble]) -> list[_Trouble]:
    named = [one for one in group if one.accused] or group
    first = min(named, key=lambda one: one.order)
    return [first, *(one for one in group if one is not first)]


def _symptom(subject: Subject, group: Sequence[_Trouble]) -> Symptom:
    first = group[0]
    match = first.block.match
    start, end = (match.start, match.end) if match else (0, 0)
    line = excerpt(first.block.text, start, end)
    count = len(group)
    text = f'{subject.title or "it"} logs "{line}"' + (f" and the like, {count} times" if count > 1 else "")
    labels = {"line": line, "count": str(count), **{k: _short(v) for k, v in first.named.items()}}
    severity = HURTS if any(_hurts(one) for one in group) else WARNS
    return Symptom(subject, "log_line", text, severity, first.reason, None, first.accused, labels)


def _hurts(one: _Trouble) -> bool:
    if one.old or _GOES_ON.search(one.block.whole):
        return False
    return (one.block.match is None or one.block.match.hurts) and one.block.level != "warn"


def _template(block: Block) -> str:
    match = block.match
    return mask(excerpt(block.text, match.start, match.end) if match else visible(block.text))


def _short(text: str) -> str:
    return visible(text)[:120]


def excerpt(text: str, start: int, end: int, limit: int = LONGEST) -> str:
    """At most `limit` characters of a line, with its decisive part from `start` to `end` whole as far as that goes.
    Words are never cut in two around it: half of an address with a password would be no more known as one."""
    if len(text) <= limit:
        return visible(text)
    room = max(0, limit - 2 - (end - start))
    left = max(0, start - room // 2)
    right = min(len(text), max(end, left + limit - 2) if end - start < limit else start + limit - 2)
    if left:
        left = next((n + 1 for n in range(left, start) if text[n].isspace()), start)
    if right < len(text):
        right = next((n for n in range(right, end - 1, -1) if text[n].isspace()), min(right, end))
    return ("…" if left else "") + visible(text[left:right])[: limit - 2] + ("…" if right < len(text) else "")
