"""Names and numerals in a text: whether the evidence it cites is about what it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.domain.evidence import Evidence
from tools.context import Json
from tools.spec import Fact


def _words(text: str) -> list[str]:
    return text.split()


# labels whose values name things that a finding can be about
ENTITY_LABELS = frozenset(
    _words(
        "service pod model namespace cluster workload deployment statefulset daemonset node feature column job queue instance "
        "container alertname peer app component host device mountpoint database topic endpoint route handler region zone tenant"
    )
)
_NAME = re.compile(r"[A-Za-z0-9][\w./:@-]*")
_QUANTILE = re.compile(r"(?<![A-Za-z0-9])p(\d{2,3}(?:\.\d+)?)(?![0-9])", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"^[+\-−~≈<>=v]*\d[\d.,:/]*(?:%|st|nd|rd|th|x|k|m|s|ms)?$", re.IGNORECASE)
_NUMBER_WORD = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fifteen|twenty|thirty|forty|fifty|sixty|seventy|"
    r"eighty|ninety|hundreds?|thousands?|millions?|billions?|dozens?|couple|half|quarter|third of|thirds|fivefold|tenfold)\b",
    re.IGNORECASE,
)
_ORDINARY = ENTITY_LABELS | frozenset(
    _words(
        "true false none unknown default main error errors info warning critical running ok yes no all other severity team code "
        "status method path quantile le env environment tier version reason resource unit phase mode window type kind name value "
        "requests request latency memory cpu disk traffic drift feature features alert alerts firing pending pods node nodes queues"
    )
)
_VERSIONS = frozenset(_words("version revision release image code status quantile http alias tag build generation"))


def known_names(names: Collection[str], evidence: Mapping[str, Evidence]) -> frozenset[str]:
    """Everything that names a thing here, in lower case: the catalog's names, and values of naming labels.

    `names` may hold more (label keys, other labels' values, facts' words): those may stand in a text, and name nothing.
    """
    facts = [fact for one in evidence.values() for fact in one.facts]
    things = {value for fact in facts for key, value in fact.labels.items() if key in ENTITY_LABELS}
    words = {part for fact in facts for key, value in fact.labels.items() for part in (key, value)}
    words |= {fact.value for fact in facts if isinstance(fact.value, str)}
    found = {*names, *things} - (words - things)
    return frozenset(
        n.lower() for n in found if len(n) > 1 and n.lower() not in _ORDINARY and not _PLAIN_NUMBER.match(n)
    )


@dataclass(frozen=True)
class Known:
    """What one clause may name: `allowed` comes from its own facts and the arguments of their reads."""

    names: frozenset[str]
    facts: Sequence[tuple[str, Fact]]
    evidence: Sequence[Evidence]
    allowed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", frozenset(self._allowed()))

    def _allowed(self) -> Iterator[str]:
        for one in {e.id: e for e in self.evidence}.values():
            mine = [fact for i, fact in self.facts if i == one.id]
            kin = [f for f in one.facts if any(_related(f, fact) for fact in mine)]
            own = {t for fact in kin for t in _fact_tokens(fact)}
            # what labels a sibling and not this fact is what this fact is not about
            if not any(k in ENTITY_LABELS for fact in mine for k in fact.labels):
                own |= _common(one)
            keys = {k for fact in mine for k in fact.labels}
            others = {
                v.lower() for f in one.facts if f not in kin for k, v in f.labels.items() if k in keys & ENTITY_LABELS
            }
            asked = {t for text in _texts(one.arguments) for t in _tokens(text)}
            yield from own
            yield from asked - (others - own)

    @property
    def of_everything(self) -> bool:
        """Nothing found by a read that was not narrowed to anything: true of every name."""
        labelled = any(k in ENTITY_LABELS for _, f in self.facts for k in f.labels)
        asked = {t for one in self.evidence for text in _texts(one.arguments) for t in _tokens(text)}
        return (
            bool(self.facts) and not labelled and not (asked & self.names) and all(not f.value for _, f in self.facts)
        )


def _related(a: Fact, b: Fact) -> bool:
    """The fact itself, or one of the same item (`c1.at` and `c1.service`)."""
    return (
        a is b
        or a == b
        or ("." in b.id and a.id.rpartition(".")[0] == b.id.rpartition(".")[0] and a.labels == b.labels)
    )


def _common(one: Evidence) -> set[str]:
    """What every labelled fact of the evidence is about: an unlabelled one beside them is about it too."""
    values: dict[str, set[str]] = {}
    for fact in one.facts:
        for key, value in fact.labels.items():
            if key in ENTITY_LABELS:
                values.setdefault(key, set()).add(value.lower())
    return {value for found in values.values() if len(found) == 1 for value in found}


def _fact_tokens(fact: Fact) -> Iterator[str]:
    for value in fact.labels.values():
        yield from _tokens(value)
        yield value.lower()
    yield from _tokens(f"{fact.id} {fact.name}")
    yield from (part.lower() for part in fact.id.split("."))
    if isinstance(fact.value, str):
        yield from _tokens(fact.value)


def _tokens(text: str) -> Iterator[str]:
    for match in _NAME.finditer(text):
        token = match.group().strip("./:@-").lower()
        yield token
        yield from (part for part in re.split(r"[/:@]", token) if part)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def wrong_name(clause: str, about: Known) -> str | None:
    """The first name in a clause that its evidence is not about."""
    for match in _NAME.finditer(clause):
        token = match.group().strip("./:@-").lower()
        parts = (token,) if token in about.names else tuple(p for p in re.split(r"[/:@]", token) if p)
        for part in parts:
            if part in about.names and part not in about.allowed and not about.of_everything:
                cited = ", ".join(dict.fromkeys(e.id for e in about.evidence)) or "nothing"
                return f"it names {match.group()!r}, but {cited} is not about it; cite evidence that is"
    return None


def wrong_numeral(clause: str, about: Known) -> str | None:
    """The first numeral of a clause that is neither a reference nor part of a name."""
    text = clause
    for name in sorted((n for n in about.names if " " in n), key=len, reverse=True):
        text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
    if word := _NUMBER_WORD.search(text):
        return f"{word.group()!r} is a bare number; refer to a fact, as in {{E3.count}}"
    words = re.findall(r"[^\s§]+", text)
    for place, raw in enumerate(words):
        if any(c.isnumeric() for c in raw) and not _is_name(raw, words[place - 1] if place else "", about):
            return f"{raw.strip('.,;:')!r} is a bare number; refer to a fact, as in {{E3.p99.last}}"
    return None


def _is_name(raw: str, before: str, about: Known) -> bool:
    token = re.sub(r"['’]s$", "", raw.strip("\"'“”‘’`()[],;:.!?")).lower()
    if re.fullmatch(r"e\d+", token) or token in about.names:
        return True
    if quantile := _QUANTILE.fullmatch(token):
        return _quantile_fits(quantile.group(1), about)
    if re.fullmatch(r"[1-5]xx", token):
        return any(f"{token[0]}.." in t or token in t or f"{token[0]}xx" in t for t in _said(about))
    if _PLAIN_NUMBER.match(token):
        context = before.strip("\"'“”‘’`()[],;:.!?").lower()
        value = token.removeprefix("v")
        named = context in _VERSIONS or token.startswith("v") or context in _label__words(about)
        return named and (value in about.allowed or token in about.allowed)
    if token in about.allowed:
        return True
    parts = [p for p in re.split(r"[/=(),:]|-(?=[a-z])", token) if p]
    return len(parts) > 1 and all(_is_name(p, before, about) for p in parts if any(c.isnumeric() for c in p))


def _label__words(about: Known) -> set[str]:
    return {part for _, fact in about.facts for key in fact.labels for part in (key.lower(), *key.lower().split("_"))}


def _said(about: Known) -> Iterable[str]:
    facts = (f"{f.id} {f.name} {' '.join(f.labels.values())}".lower() for _, f in about.facts)
    return [*facts, *(t.lower() for one in about.evidence for t in _texts(one.arguments))]


def _quantile_fits(digits: str, about: Known) -> bool:
    own = {q for _, f in about.facts for q in _QUANTILE.findall(f"{f.id} {f.name}".replace("_", " ").replace(".", " "))}
    if own:
        return digits in own
    asked = " ".join(t for one in about.evidence for t in _texts(one.arguments))
    return f"0.{digits.replace('.', '')}" in asked or f"p{digits}" in asked.lower()
