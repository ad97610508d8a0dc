"""Which way words point: rose, below, unchanged, no. And which assertions can carry them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    ROSE = "rose"  # a change upwards: carried by a comparison of two values
    FELL = "fell"
    ABOVE = "above"  # a state: carried by a comparison with a value or a number
    BELOW = "below"
    SAME = "unchanged"
    ABSENT = "no"
    PRESENT = "some"
    DOUBLED = "doubled"
    TRIPLED = "tripled"
    HALVED = "halved"
    CHANGED = "worse"  # some comparison, whichever way


def _words(way: Way, text: str) -> dict[str, Way]:
    return dict.fromkeys(text.split(), way)


WORDS: Mapping[str, Way] = {
    **_words(
        Way.ROSE,
        "rose rise rises risen rising grew grow grows grown growing increased increase increases increasing climbed "
        "climb climbs climbing jumped jump jumps spiked spike spikes surged surge surges soared",
    ),
    **_words(
        Way.FELL,
        "fell fall falls fallen falling dropped drop drops dropping decreased decrease decreases decreasing declined "
        "decline declines declining shrank shrinks shrunk sank sunk plunged",
    ),
    **_words(
        Way.ABOVE, "above exceeds exceed exceeded exceeding higher larger greater more slower longer high elevated slow"
    ),
    **_words(Way.BELOW, "below beneath lower smaller less fewer faster shorter low fast"),
    **_words(Way.SAME, "unchanged steady flat stable constant"),
    **_words(Way.ABSENT, "no none nothing never without zero nobody neither nor"),
    **_words(Way.PRESENT, "some several many few numerous"),
    **_words(Way.DOUBLED, "doubled double twice twofold"),
    **_words(Way.TRIPLED, "tripled triple thrice threefold"),
    **_words(Way.HALVED, "halved halves"),
    **_words(Way.CHANGED, "worse worsened better improved recovered recovers"),
}
NOT = frozenset(("not", "cannot"))
OPPOSITE: Mapping[Way, frozenset[Way]] = {
    Way.ROSE: frozenset({Way.FELL, Way.SAME, Way.BELOW}),
    Way.FELL: frozenset({Way.ROSE, Way.SAME, Way.ABOVE}),
    Way.ABOVE: frozenset({Way.BELOW}),
    Way.BELOW: frozenset({Way.ABOVE}),
    Way.SAME: frozenset({Way.ROSE, Way.FELL}),
}
# "over" and "under", "up" and "down", "after" and "before" point somewhere only in certain company; § is a reference
_PHRASES = (
    (Way.ABOVE, r"\bover (?=§)|\bover (?:its|the|their) (?:limit|objective|threshold|target|quota|capacity)"),
    (Way.BELOW, r"\bunder (?=§)|\bunder (?:its|the|their) (?:limit|objective|threshold|target|quota|capacity)"),
    (Way.ROSE, r"\b(?:is|are|was|went|goes|go|moved) up\b|\bup (?:from|to|by)\b"),
    (Way.FELL, r"\b(?:went|goes|go|moved) down\b|\bdown (?:from|to|by)\b"),
    (Way.CHANGED, r"\b(?:is|are|was|were|be|been) down\b|\bback (?:at|to) normal\b"),
    (Way.ABOVE, r"§\s+(?:after|later than)\s+\w"),
    (Way.BELOW, r"§\s+(?:before|earlier than)\s+\w"),
    (Way.SAME, r"\bthe same as\b"),
)
_IDIOMS = re.compile(
    r"\b(?:no longer than|more or less|at least|at most|no more than|no less than|not only|no one knows|high-level|low-level"
    r"|no data|as (?:many|much|often|few) as|not (?:yet )?(?:known|recorded|available|complete|checked|configured)|few minutes|once more|any more)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|§")


@dataclass(frozen=True, slots=True)
class Pointer:
    """One word that points somewhere; `ways` are the directions that would bear it out (several under a negation)."""

    word: str
    ways: frozenset[Way]
    at: int  # position in the clause


def pointers(clause: str) -> list[Pointer]:
    """The directions of a clause in which every reference has been replaced by §."""
    text = _IDIOMS.sub(lambda m: "_" * len(m.group()), clause)
    words = [(m.group().lower(), m.start()) for m in _WORD.finditer(text)]
    found = [
        Pointer(" ".join(m.group().split()), frozenset({way}), m.start())
        for way, p in _PHRASES
        for m in re.finditer(p, text, re.IGNORECASE)
    ]
    taken: set[int] = set()
    for place, (word, at) in enumerate(words):
        if word in NOT or word.endswith("n't"):
            after = next((i for i in range(place + 1, min(place + 5, len(words))) if words[i][0] in WORDS), None)
            if after is None:
                found.append(Pointer(word, frozenset({Way.ABSENT}), at))
            else:
                taken.add(after)
                way = WORDS[words[after][0]]
                found.append(Pointer(f"{word} {words[after][0]}", OPPOSITE.get(way, frozenset({Way.ABSENT})), at))
        elif place not in taken and word in WORDS and not _bare_more(words, place):
            found.append(Pointer(word, frozenset({WORDS[word]}), at))
    return sorted(found, key=lambda p: p.at)


def _bare_more(words: list[tuple[str, int]], place: int) -> bool:
    """`more`, `less`, `longer` point somewhere only before `than`, `time` and the like, or after `is`."""
    word = words[place][0]
    if word not in ("more", "less", "longer", "double", "few", "some", "fast"):
        return False
    before = words[place - 1][0] if place else ""
    after = words[place + 1][0] if place + 1 < len(words) else ""
    if word in ("few", "some"):
        return after in ("of", "minutes", "hours", "time") or before == "a"
    return after not in ("than", "time", "often", "the", "requests", "memory", "cpu", "traffic") and before not in (
        "is",
        "are",
        "was",
        "were",
        "takes",
        "took",
        "runs",
        "and",
        "§",
    )
