"""The library: all runbooks, and the way from an alert or a text to those that fit. Nothing relevant: nothing returned.

Order of the look-up: `runbook_url` (its last part; never fetched), alert name, catalog, matchers, then words and meaning.
The first four need no index: Chroma and the embedding model are loaded by the first search by text.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from agent.domain.alert import Alert
from agent.domain.cause import Fault
from agent.library import embed, relevance, shipped_vectors
from agent.library.embed import Embedder, NoEmbedder
from agent.library.parse import Passed, read_folder
from agent.library.runbook import Match, Runbook
from agent.library.vectors import Nearness, Shelved
from agent.library.words import Passage, Scores, Words, passages, split_camel, stems
from tools.context import RunbookHit, Service

LONGEST_QUERY = 4_000  # characters; more says nothing new about which runbook fits
_PUNCTUATION = re.compile(r"[\W_]+")
_NAMELIKE = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)+|[A-Za-z][a-z0-9]*(?:[A-Z]+[a-z0-9]*)+")


@dataclass
class Library:
    """Runbooks by name. `broken` are the files that were passed over; `notes` what a person should know about search."""

    books: Mapping[str, Runbook]
    broken: list[Passed] = field(default_factory=list)
    cache: Path | None = None
    embedder: Embedder | NoEmbedder | None = None  # None: the packaged one, looked for at the first search
    notes: list[str] = field(default_factory=list)
    folders: Sequence[Path] = ()  # in which vectors may lie ready

    def __post_init__(self) -> None:
        self._shelved: Shelved | None = None
        self._lock = threading.Lock()  # Chroma and the caches below are filled once, by whichever thread comes first

    @classmethod
    def open(
        cls, folders: Sequence[Path], cache: Path | None, embedder: Embedder | NoEmbedder | None = None
    ) -> Library:
        """Read the folders; in an earlier folder a runbook stands before one of the same name in a later folder.

        `cache` is a folder for the vectors, which may be deleted at any time (None: kept in memory).
        """
        books: dict[str, Runbook] = {}
        broken: list[Passed] = []
        for folder in folders:
            found, passed = read_folder(folder)
            broken += passed
            for book in found:
                books.setdefault(book.name, book)
        return cls(books, broken, cache, embedder, folders=tuple(folders))

    def book(self, name: str) -> Runbook | None:
        return self.books.get(name)

    def names(self) -> list[str]:
        return list(self.books)

    def match(self, alerts: Sequence[Alert], service: Service | None, limit: int = 5) -> list[Match]:
        """Runbooks for alerts that are worked together, best first, each once."""
        exact: dict[str, Match] = {}
        for found in self._exact(alerts, service):
            exact.setdefault(found.name, found)
        if exact:
            return sorted(exact.values(), key=lambda one: -one.score)[:limit]
        best: dict[str, Match] = {}
        texts = list(dict.fromkeys(_words_of(alert) for alert in alerts))
        for one in self.search_many(texts, limit):
            for found in one:
                if found.name not in best or best[found.name].score < found.score:
                    best[found.name] = found
        return sorted(best.values(), key=lambda one: -one.score)[:limit]

    def _exact(self, alerts: Sequence[Alert], service: Service | None) -> Iterator[Match]:
        for alert in alerts:
            if alert.runbook_slug and (book := self._by_key.get(_key(alert.runbook_slug))):
                yield Match(book, 1.0, "", "runbook_url")
        for alert in alerts:
            for name in self._by_alert.get(_key(alert.name), ()):
                wanted = self.books[name].matchers
                if _fits(wanted, alert.labels):
                    yield Match(name, 0.97 if wanted else 0.95, "", "alert name")
            if book := self._by_key.get(_key(alert.name)):
                yield Match(book, 0.95, "", "alert name")
        for name in service.runbooks if service else ():
            if name in self.books:
                yield Match(name, 0.9, "", "catalog")
        for alert in alerts:
            for book_ in self.books.values():
                if book_.matchers and not book_.alerts and _fits(book_.matchers, alert.labels):
                    yield Match(book_.name, 0.85, "", "matcher")

    def for_evidence(self, signals: Sequence[str], faults: Sequence[Fault], limit: int = 3) -> list[Match]:
        """Runbooks with checks for what the evidence shows: signals that are out of line, worst first, then faults that are
        suspected, likeliest first."""
        found: dict[str, Match] = {}
        books = [book for book in self.books.values() if book.checks and not book.matchers]
        for signal in signals:
            for book in books:
                if signal in book.signals:
                    found.setdefault(book.name, Match(book.name, 0.8, "", f"evidence: {signal} is out of line"))
        for fault in faults:
            for book in books:
                if fault in book.faults:
                    found.setdefault(book.name, Match(book.name, 0.7, "", f"evidence: {fault} is suspected"))
        return list(found.values())[:limit]

    def warm(self) -> None:
        """Load what the first search by text would load; the model before Chroma, for it takes most memory meanwhile."""
        with self._lock:
            if not isinstance(self._embedder, NoEmbedder):
                self._embedder.embed(["warm"])
        self.search("what only words and meaning can find")

    def search(self, text: str, limit: int = 5) -> list[Match]:
        """Runbooks for a text, best first; [] when none is likely enough. A name in the text that we know is enough."""
        return self.search_many([text], limit)[0]

    def search_many(self, queries: Sequence[str], limit: int = 5) -> list[list[Match]]:
        """As `search`, for many texts at once: one pass of the embedding model, one question to Chroma."""
        texts = [text.strip()[:LONGEST_QUERY] for text in queries]
        named = [self._named(text) for text in texts]
        open_ones = [n for n, text in enumerate(texts) if text and not named[n] and self._passages]
        for n, found in zip(open_ones, self._by_text([texts[n] for n in open_ones], limit), strict=True):
            named[n] = found
        return [found[:limit] for found in named]

    def _named(self, text: str) -> list[Match]:
        names: list[str] = []
        for word in (text, *_NAMELIKE.findall(text)):
            names += [n for n in (self._by_key.get(_key(word)), *self._by_alert.get(_key(word), ())) if n]
        return [Match(name, 1.0, "", "alert name") for name in dict.fromkeys(names)]

    def _by_text(self, texts: list[str], limit: int) -> list[list[Match]]:
        if not texts:
            return []
        near = self._nearness([split_camel(text) for text in texts])
        return [self._ranked(text, one, limit) for text, one in zip(texts, near, strict=True)]

    def _ranked(self, text: str, near: Nearness | None, limit: int) -> list[Match]:
        signs, scores, best = self._weighed(text, near)
        likely, least = relevance.likelihood(signs, near is not None, len(set(stems(text))))
        if likely < least or scores.max() <= 0:
            return []
        order = (-scores).argsort(kind="stable")[:limit]
        names, top = list(self.books), float(scores[order[0]])
        return [
            Match(
                names[n], round(likely * max(0.0, float(scores[n])) / top, 4), self._passages[best[n]].heading, "text"
            )
            for n in order
            if scores[n] > max(0.0, relevance.WORTH_NAMING * top)
        ]

    def _weighed(self, text: str, near: Nearness | None) -> tuple[relevance.Signs, Scores, list[int]]:
        pages = self._words.pages(text)
        sections, best = self._words.best_sections(text)
        scores = relevance.fused(near.cosine if near else None, pages, sections)
        top = int(scores.argmax())
        covered, named, weight = self._words.coverage(text, top)
        unusual = relevance.UNUSUAL_IN_SMALL
        if near and near.many >= relevance.SMALL:
            unusual = (float(near.cosine[top]) - near.mean) / (near.spread + 1e-6)
        cosine = float(near.cosine[top]) if near else 0.0
        where = [int(near.section[n]) if near and near.section[n] >= 0 else int(best[n]) for n in range(len(scores))]
        return relevance.Signs(cosine, unusual, covered, named, float(pages[top]) / weight), scores, where

    def signs(self, texts: Sequence[str]) -> list[relevance.Signs]:
        """What speaks for the best runbook of each text: what the likelihoods are fitted on."""
        near = self._nearness([split_camel(text) for text in texts])
        return [self._weighed(text, one)[0] for text, one in zip(texts, near, strict=True)]

    def _nearness(self, texts: Sequence[str]) -> Sequence[Nearness | None]:
        with self._lock:
            embedder = self._embedder
            if isinstance(embedder, NoEmbedder):
                return [None] * len(texts)
            from chromadb.errors import ChromaError

            try:
                self._shelved = self._shelved or Shelved(self._passages, embedder, self.cache, self.folders)
                return self._shelved.ask(texts, len(self.books))
            except (ChromaError, OSError) as error:
                self.notes.append(
                    f"The search index in {self.cache} cannot be used ({error}); this time it is built in memory. Delete that folder."
                )
                self._shelved = Shelved(self._passages, embedder, None, self.folders)
                return self._shelved.ask(texts, len(self.books))

    def ship(self, folder: Path) -> int:
        """Write the vectors of all sections into a folder; how many there are. RuntimeError where there is no model."""
        embedder = self._embedder
        if isinstance(embedder, NoEmbedder):
            raise RuntimeError(embedder.why)
        return shipped_vectors.write(folder, self._passages, embedder)

    @cached_property
    def _embedder(self) -> Embedder | NoEmbedder:
        found = self.embedder or embed.packaged()
        if isinstance(found, NoEmbedder):
            self.notes.append(found.why)
        return found

    @cached_property
    def _passages(self) -> list[Passage]:
        return passages(list(self.books.values()))

    @cached_property
    def _words(self) -> Words:
        return Words(list(self.books.values()), self._passages)

    @cached_property
    def _by_key(self) -> dict[str, str]:
        return {_key(name): name for name in reversed(list(self.books)) if _key(name)}

    @cached_property
    def _by_alert(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for book in self.books.values():
            for alert in book.alerts:
                found.setdefault(_key(alert), []).append(book.name)
        return found


class LibraryShelf:
    """The library for coroutines: the searching runs in a thread."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def search(self, text: str, limit: int = 5) -> Sequence[RunbookHit]:
        found = await asyncio.to_thread(self._library.search, text, limit)
        return [RunbookHit(m.name, m.section, m.score, m.why, self._text(m)) for m in found]

    async def match(self, alerts: Sequence[Alert], service: Service | None, limit: int = 5) -> list[Match]:
        return await asyncio.to_thread(self._library.match, alerts, service, limit)

    def _text(self, match: Match) -> str:
        book = self._library.books[match.name]
        return next((s.text for s in book.sections if s.heading == match.section), book.text)


def _key(name: str) -> str:
    """`CPUThrottlingHigh`, `cpu-throttling-high` and `cpu_throttling_high` are one name."""
    return _PUNCTUATION.sub("", name).lower()


def _fits(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(label) == value for label, value in wanted.items())


def _words_of(alert: Alert) -> str:
    texts = (alert.annotations.get(key, "") for key in ("summary", "message", "description"))
    return " ".join(dict.fromkeys([alert.name, *(text for text in texts if text)]))
