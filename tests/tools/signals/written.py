"""Series that a dialect asks for, written out of the dialect itself: two subjects, each with every metric that its query names,
with values that differ. Each dialect has a stretch of time of its own, so that no other's series are in its way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.lab.ports import Series
from tools.context import Subject
from tools.prometheus.promql import Node, children, matchers_of, metric_of, parse
from tools.signals.dialects import SCRAPED, Dialect, Signal

BEGIN = 1_795_000_000  # unix seconds
STRETCH, SAMPLES, STEP = 1500, 11, 60  # seconds a dialect, samples in it, seconds between two
NAMES = ("alder", "birch")
SPACE = "grove"
PLAIN = ("200", "eth0", "ext4", "main", "user")  # values that the negative patterns let through
BOUNDS = (("0.1", 0.4), ("1", 0.7), ("10", 0.997), ("+Inf", 1.0))  # of a histogram, with the share at most as large
RISING = frozenset(
    {"rate", "irate", "increase", "changes", "deriv", "delta"}
)  # of what these see, a counter is written


@dataclass(frozen=True)
class Written:
    """A dialect with its two subjects, the labels that name each, and the moment at which it is asked."""

    signal: Signal
    dialect: Dialect
    place: int

    @property
    def at(self) -> int:
        return BEGIN + self.place * STRETCH + (SAMPLES - 1) * STEP

    def naming(self, name: str) -> dict[str, str]:
        """The labels that name the subject of that name."""
        *spaces, last = self.dialect.naming
        if self.dialect.subject == SCRAPED:
            return {"job": name, "instance": f"{name}:9100"}
        pod = f"{name}-6c9f7b5d4-h8w2k"
        return {label: pod if "pod" in label else SPACE for label in spaces} | {last: self._name(name)}

    def _name(self, name: str) -> str:
        last = self.dialect.naming[-1]
        if self.dialect.kind == "Pod":
            return f"{name}-6c9f7b5d4-h8w2k"
        return f"{name}:9100" if last == "instance" else name

    def subject(self, name: str) -> Subject:
        if self.dialect.subject == SCRAPED:
            return Subject("Service", "", "", name)
        if self.dialect.kind == "Container" and len(self.dialect.naming) > 1:
            return Subject("Pod", "", SPACE, f"{name}-6c9f7b5d4-h8w2k")
        return Subject(self.dialect.kind, "", SPACE if len(self.dialect.naming) > 1 else "", self._name(name))

    def series(self) -> Iterator[Series]:
        """All that the query sees, each series once."""
        times = np.arange(SAMPLES, dtype=np.int64) * STEP + BEGIN + self.place * STRETCH
        found: dict[tuple[tuple[str, str], ...], Series] = {}
        nodes = list(_selectors(parse(self.dialect.filled(""))))
        for number, name in enumerate(NAMES):
            naming = self.naming(name)
            scrape = {"job": "scraper", "instance": "10.9.9.9:9"} | dict.fromkeys(self.dialect.peer, "other")
            up = {"__name__": "up", **scrape, **{k: v for k, v in naming.items() if k in scrape}}
            found[tuple(sorted(up.items()))] = Series(up, times * 1000, np.ones(SAMPLES))
            for order, (node, counts) in enumerate(nodes):
                labels = {"__name__": metric_of(node)} | scrape
                level = (5 - min(order, 3)) * (1 + number * (2 + order))
                for asked, more in ((_asked(node, naming), 0), (_passed_over(node, naming), 2)):
                    for one, share in _bounds(labels | asked | naming):
                        rise = np.arange(SAMPLES) * STEP if counts else np.ones(SAMPLES)
                        values = rise * level * (1 + more * number) * share ** (number + 1)
                        found.setdefault(tuple(sorted(one.items())), Series(one, times * 1000, values))
        yield from found.values()


def written(signals: Sequence[Signal]) -> list[Written]:
    """Every dialect, in the order of their stretches."""
    pairs = [(one, dialect) for one in signals for dialect in one.dialects]
    return [Written(one, dialect, place) for place, (one, dialect) in enumerate(pairs)]


def _selectors(node: Node, counts: bool = False) -> Iterator[tuple[Node, bool]]:
    """The selectors of a query, and whether it looks at how each grows."""
    if type(node).__name__ == "VectorSelector":
        yield node, counts
    grows = counts or (type(node).__name__ == "Call" and node.func.name in RISING)
    for child in children(node):
        yield from _selectors(child, grows)


def _bounds(labels: dict[str, str]) -> Iterator[tuple[dict[str, str], float]]:
    """The series of a metric, with the share of the whole that each counts: several of a histogram's buckets."""
    if not labels["__name__"].endswith("_bucket"):
        yield labels, 1.0
    for bound, share in BOUNDS if labels["__name__"].endswith("_bucket") else ():
        yield labels | {"le": bound}, share


def _passed_over(node: Node, naming: Mapping[str, str]) -> dict[str, str]:
    """The labels with values that a selector passes over: a success, where it counts errors."""
    found = _asked(node, naming)
    for label, how, value in matchers_of(node):
        if label in found and how in ("!=", "!~") and value:
            found[label] = value.split("|")[0].replace(".*", "")
        elif label in found and how == "=~":
            found[label] = "200"
    return found


def _asked(node: Node, naming: Mapping[str, str]) -> dict[str, str]:
    """Labels that fit a selector's matchers."""
    found: dict[str, str] = {}
    for label, how, value in matchers_of(node):
        if label in naming or label == "__name__" or (how == "=" and not value):
            continue
        if how == "=":
            found[label] = value
        elif how == "=~":
            found[label] = re.sub(r"\.[*+]", "00", re.sub(r"^\(\?i:|\)$", "", value).split("|")[0])
        elif how == "!~":
            found[label] = next(one for one in PLAIN if not re.fullmatch(value, one))
        else:
            found.setdefault(label, next(one for one in PLAIN if one != value))
    return found
