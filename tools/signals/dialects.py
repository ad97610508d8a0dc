"""Signals and their dialects, out of the YAML files beside this module.

A signal is a measurement that every platform has under some name. A dialect is how one exporter or convention says it: its
metrics, the labels that name what they are about, and a query with three places to fill: `<by>` (the naming labels), `<match>`
(matchers that narrow it to the subjects at hand) and `<w>` (the window of a rate).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tools.errors import BadArguments, NotConfigured
from tools.prometheus import promql as pql

FOLDER = Path(__file__).parent
SCRAPED = "scrape"  # instead of naming labels: what was scraped is what it is about
TARGET = ("job", "instance")  # labels that name a scraped target
RATE_WINDOW = "5m"
_SPELLED = {word.lower(): word for word in ("CPU", "OOM", "GPU", "DNS", "TLS", "GC", "KV", "ECC", "XID")}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast
GUESSED = "https://prometheus.io/docs/practices/naming/"
MOST_GUESSED = 4  # gauges that are taken for one signal by their names
_COUNTER = re.compile(r"_(total|count|sum|bucket|created|info)$")
_PARTS = re.compile(r"[a-z0-9]+")
_WRITTEN = frozenset({"updated", "refreshed", "written", "ingested", "materialized", "timestamp"})
_COMMAS = re.compile(r"(?<=\{)\s*,|,\s*(?=\})|,(?=\s*,)")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dialect(_Entry):
    """How one exporter says a signal. `subject` is a kind with the labels that name it, the namespace first where it has one
    and the name last; or `scrape`. `proved`: it was compared with hand-written PromQL on the real exporter. `peer`: labels
    that name the other side of a call."""

    name: str
    source: str = Field(pattern=r"^https?://")
    query: str
    subject: dict[str, tuple[str, ...]] | Literal["scrape"] = "scrape"
    peer: tuple[str, ...] = ()
    proved: bool = False

    @field_validator("subject")
    @classmethod
    def _one_kind(cls, value: dict[str, tuple[str, ...]] | str) -> dict[str, tuple[str, ...]] | str:
        if isinstance(value, dict) and (len(value) != 1 or not all(value.values())):
            raise ValueError("give one kind with the labels that name it, or `scrape`")
        return value

    @property
    def kind(self) -> str:
        """The kind of object that its series name; "" for whatever was scraped."""
        return "" if isinstance(self.subject, str) else next(iter(self.subject))

    @property
    def naming(self) -> tuple[str, ...]:
        """The labels that name the object."""
        return TARGET if isinstance(self.subject, str) else next(iter(self.subject.values()))

    @cached_property
    def metrics(self) -> frozenset[str]:
        """Every metric that the query names."""
        return frozenset(pql.metric_of(node) for node in pql.selectors(pql.parse(self.filled("")))) - {""}

    def filled(self, match: str, further: Sequence[str] = ()) -> str:
        """The query with its places filled. `match` is the inside of a selector's braces; `further` labels are kept too."""
        by = ", ".join(dict.fromkeys((*self.naming, *self.peer, *further)))
        text = self.query.replace("<by>", by).replace("<w>", RATE_WINDOW).replace("<match>", match)
        while (tidied := _COMMAS.sub("", text)) != text:
            text = tidied
        return text


class Signal(_Entry):
    """A measurement with its meaning. `across` says how the values of members (pods, volumes) give that of their subject;
    `floor` is the least departure from its own past that counts, `limit` a value that is bad whatever the past was. `loses`:
    times the traffic it counts bad events, failed requests or seconds of waiting, by which subjects can be compared. `words`: a gauge whose
    name holds one of each group is this signal, where no dialect is spoken: teams give such names themselves."""

    signal: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    meaning: str
    unit: Literal["s", "ms", "1/s", "bytes", "cores", "ratio", "count", "unix", "bytes/s", "celsius"]
    worse: Literal["up", "down", "both"]
    across: Literal["max", "min", "sum", "mean"] = "max"
    floor: float = Field(default=0.0, ge=0)
    limit: float | None = None
    loses: Literal["requests", "time"] | None = None
    words: tuple[tuple[str, ...], ...] = ()
    of: str = "Model"  # the kind of what such a gauge is about
    dialects: tuple[Dialect, ...] = Field(min_length=1)

    @property
    def title(self) -> str:
        """`CPU throttling`, as people say it."""
        return " ".join(_SPELLED.get(word, word) for word in self.signal.split("_"))


def read_signals(text: str, where: str) -> list[Signal]:
    """The signals of one file. NotConfigured says which entry is wrong and how."""
    try:
        entries = yaml.load(text, Loader=_LOADER) or []
        return [_checked(Signal.model_validate(one)) for one in entries]
    except (ValidationError, BadArguments, yaml.YAMLError, TypeError) as error:
        raise NotConfigured(f"{where} does not hold signals: {error}") from None


def _checked(signal: Signal) -> Signal:
    for dialect in signal.dialects:
        if not dialect.metrics:
            raise BadArguments(f"{signal.signal}, dialect {dialect.name}: the query names no metric.")
    return signal


@lru_cache(maxsize=1)
def shipped() -> tuple[Signal, ...]:
    """The signals that come with Stanch, by name. Dialects of one signal may stand in several files."""
    found: dict[str, Signal] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for one in read_signals(path.read_text(), path.name):
            known = found.get(one.signal)
            found[one.signal] = (
                one if known is None else known.model_copy(update={"dialects": (*known.dialects, *one.dialects)})
            )
    return tuple(found[name] for name in sorted(found))


def signal_named(name: str, signals: Sequence[Signal] | None = None) -> Signal:
    """BadArguments names the nearest where there is none of this name."""
    import difflib

    known = {one.signal: one for one in (signals if signals is not None else shipped())}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 3, 0.4)
    raise BadArguments(
        f"There is no signal {name!r}. {'Like it: ' + ', '.join(near) if near else 'See `stanch signals --all`'}."
    )


def spoken(signal: Signal, names: Collection[str]) -> Signal | None:
    """The signal with the dialects whose metrics a server has; None where it has none of them.

    A metric that is only added (`… or …`, `unless …`) may be absent: an error that never happened has no series."""
    here = tuple(one for one in signal.dialects if needed(one) <= set(names)) or by_words(signal, names)
    return signal.model_copy(update={"dialects": here}) if here else None


def by_words(signal: Signal, names: Collection[str]) -> tuple[Dialect, ...]:
    """Dialects out of gauges whose names say the signal; none for a signal without words. A name that says when something
    was written is the time since."""
    found: list[Dialect] = []
    for name in sorted(name for name in names if not _COUNTER.search(name)) if signal.words else ():
        parts = set(_PARTS.findall(name.lower()))
        if all(parts & set(group) for group in signal.words) and len(found) < MOST_GUESSED:
            query = f"time() - {name}" if parts & _WRITTEN and signal.unit == "s" else name
            found.append(
                Dialect(
                    name=f"by its name, {name}", source=GUESSED, subject={signal.of: (signal.of.lower(),)}, query=query
                )
            )
    return tuple(found)


def signals_measured(metrics: Collection[str], signals: Sequence[Signal] | None = None) -> list[str]:
    """Names of the signals that these metrics measure: those with a dialect that reads them, most of them first; else those
    whose words they hold."""
    known = signals if signals is not None else shipped()
    shared = {one.signal: max(_share(dialect.metrics, set(metrics)) for dialect in one.dialects) for one in known}
    found = sorted((name for name, share in shared.items() if share), key=lambda name: -shared[name])
    return found or [one.signal for one in known if by_words(one, metrics)]


def _share(mine: frozenset[str], asked: set[str]) -> float:
    """How much two sets of metrics have in common: 1 for the same."""
    return len(mine & asked) / len(mine | asked)


def needed(dialect: Dialect) -> frozenset[str]:
    """The metrics without which the query gives nothing: those at the left of `or` may be absent."""
    return _needed(pql.parse(dialect.filled("")))


def _needed(node: pql.Node) -> frozenset[str]:
    if type(node).__name__ == "VectorSelector":
        return frozenset({pql.metric_of(node)} - {""})
    if type(node).__name__ == "BinaryExpr" and str(node.op) == "or":
        return _needed(node.lhs) & _needed(node.rhs) or _needed(node.rhs)
    if type(node).__name__ == "BinaryExpr" and str(node.op) == "unless":
        return _needed(node.lhs)
    return frozenset().union(*(_needed(child) for child in pql.children(node)))
