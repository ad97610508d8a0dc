"""Runbooks by their words: BM25 over pages and over sections, on stems, with camel case split."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.library.runbook import Runbook

Scores = npt.NDArray[np.float32]

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_BLOCK = re.compile(r"^(`{3,}|~{3,})ya?ml (?:check|action)\b.*?^\1`*~*[ ]*$", re.MULTILINE | re.DOTALL)  # no prose
_STOP = frozenset(
    re.split(
        " ",
        "a an the of in is are to and or for has have been with on at by from this that it its be not than more less was "
        "were as within last our we i my what why how do does",
    )
)
_SUFFIXES = (
    ("ations", ""),
    ("ation", ""),
    ("ies", "y"),
    ("ings", ""),
    ("ing", ""),
    ("ied", "y"),
    ("ed", ""),
    ("es", ""),
    ("s", ""),
    ("ly", ""),
)


def split_camel(text: str) -> str:
    return _CAMEL.sub(" ", text)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Endings off, at least three letters left. A light stemmer ranked better here than Porter's in SQLite's FTS5."""
    for ending, instead in _SUFFIXES:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + instead
    return word


def stems(text: str) -> list[str]:
    return [stem(word) for word in _WORD.findall(split_camel(text).lower()) if word not in _STOP]


@dataclass(frozen=True, slots=True)
class Passage:
    """One section of one runbook, as it is searched; `book` is the runbook's place in the list."""

    book: int
    heading: str
    text: str


def passages(books: Sequence[Runbook]) -> list[Passage]:
    """Every section with the runbook's title above it, so that a section alone says what it is about."""
    found = []
    for n, book in enumerate(books):
        above = split_camel(book.name.replace("-", " "))
        about = f". {book.description}" if book.alerts else ""  # our own descriptions say when to use the runbook
        sections = [(s.heading, s.text) for s in book.sections] or [("", book.description)]
        found += [Passage(n, h, f"{above}{about}. {h}. {_BLOCK.sub('', text).strip()}") for h, text in sections]
    return found


class Words:
    """An index of words over runbooks; built in memory (about 20 ms for 100 pages)."""

    def __init__(self, books: Sequence[Runbook], sections: Sequence[Passage]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it lets itself speak at DEBUG

        self._owners = np.array([one.book for one in sections], dtype=np.int64)
        self._count = len(books)
        pages = [
            stems(f"{b.name} {b.title} {b.name} {b.title} {b.description} {_BLOCK.sub('', b.text)}") for b in books
        ]
        self._sets = [frozenset(words) for words in pages]
        self._names = [frozenset(stems(book.name)) for book in books]
        self._in = Counter(word for words in self._sets for word in words)
        self._pages, self._sections = bm25s.BM25(), bm25s.BM25()
        self._pages.index([words or [""] for words in pages], show_progress=False)
        self._sections.index([stems(one.text) or [""] for one in sections], show_progress=False)

    def pages(self, query: str) -> Scores:
        """BM25 of every runbook, ≥ 0."""
        return self._scores(self._pages, query, self._count)

    def best_sections(self, query: str) -> tuple[Scores, npt.NDArray[np.int64]]:
        """For every runbook the BM25 of its best section, and which section that is."""
        scores = self._scores(self._sections, query, len(self._owners))
        order = np.argsort(scores, kind="stable")
        best = np.zeros(self._count, dtype=np.int64)
        best[self._owners[order]] = order  # the last write, and so the highest score, stays
        return scores[best], best

    def _scores(self, index: object, query: str, count: int) -> Scores:
        words = [word for word in dict.fromkeys(stems(query)) if word in self._in]
        if not words:
            return np.zeros(count, dtype=np.float32)
        return np.asarray(index.get_scores(words), dtype=np.float32)  # type: ignore[attr-defined]

    def coverage(self, query: str, book: int) -> tuple[float, float, float]:
        """Shares, weighted by rarity: of the query's words in the page; of the name's words in the query; and the
        query's whole weight, by which a BM25 score becomes comparable."""
        asked = frozenset(stems(query))
        whole = self._weight(asked) or 1.0
        name = self._names[book]
        return (
            self._weight(asked & self._sets[book]) / whole,
            self._weight(asked & name) / (self._weight(name) or 1.0),
            whole,
        )

    def _weight(self, words: Iterable[str]) -> float:
        count = self._count
        return sum(math.log(1 + (count - self._in[w] + 0.5) / (self._in[w] + 0.5)) for w in words)
