"""Sections as vectors in an embedded Chroma. A collection is built once for one set of texts and never changed after.

So a second process can never hold a stale view, a build that was cut off is seen by its count, and what did not change is
copied from the collection before instead of being embedded again. The folder is a cache: it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agent.library.embed import Embedder, Vectors
from agent.library.shipped_vectors import key, read
from agent.library.words import Passage

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

KEPT = 4  # collections in one cache; the oldest beyond that go
NEAREST = 200  # sections asked for a query
BACKGROUND = 800  # sections whose similarity says what is usual for a query
_AT_ONCE = 2000


class Shelved:
    """The vectors of some passages, ready to be asked. Raises chromadb.errors.ChromaError where the cache is broken."""

    def __init__(
        self, sections: Sequence[Passage], embedder: Embedder, cache: Path | None, ready: Sequence[Path] = ()
    ) -> None:
        self._embedder, self._ready = embedder, ready
        self._keys = [key(embedder.model, one.text) for one in sections]
        self._places: dict[str, list[int]] = {}
        for n, one_key in enumerate(self._keys):
            self._places.setdefault(one_key, []).append(n)
        self._owners = np.array([one.book for one in sections], dtype=np.int64)
        texts = {one_key: sections[places[0]].text for one_key, places in self._places.items()}
        self.embedded = 0  # how many texts had to be embedded to open this
        self._collection = self._open(_client(cache), texts)
        self._usual, self._usual_owners = self._background()

    def _open(self, client: ClientAPI, texts: dict[str, str]) -> Collection:
        name = "set-" + hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:48]
        others = sorted((one for one in client.list_collections() if one.name != name), key=_age)
        found = client.get_or_create_collection(
            name,
            metadata={"number": _age(others[-1]) + 1 if others else 1},
            embedding_function=None,
            configuration={"hnsw": {"space": "cosine", "ef_search": 2 * NEAREST}},
        )
        if found.count() == len(texts):
            return found
        there = set(found.get(include=[])["ids"])
        missing = [one for one in texts if one not in there]
        for other in others:
            missing = _copy(other, found, missing)
        for folder in self._ready if missing else ():
            missing = _take(read(folder), found, missing)
        for start in range(0, len(missing), _AT_ONCE):
            keys = missing[start : start + _AT_ONCE]
            found.upsert(ids=keys, embeddings=self._embedder.embed([texts[one] for one in keys]))
        self.embedded = len(missing)
        for other in others[: max(0, len(others) + 1 - KEPT)]:
            client.delete_collection(other.name)
        return found

    def _background(self) -> tuple[Vectors, npt.NDArray[np.int64]]:
        """Whole runbooks, evenly spread over the list, up to BACKGROUND sections."""
        step = -(-len(self._keys) // BACKGROUND)
        rows = [n for n, owner in enumerate(self._owners) if owner % step == 0]
        found = self._collection.get(ids=list({self._keys[n] for n in rows}), include=["embeddings"])
        embeddings = found["embeddings"]
        vectors = dict(zip(found["ids"], [] if embeddings is None else embeddings, strict=True))
        return np.array([vectors[self._keys[n]] for n in rows], dtype=np.float32), self._owners[rows]

    def ask(self, queries: Sequence[str], books: int) -> list[Nearness]:
        vectors = self._embedder.embed(queries)
        count = min(NEAREST, len(self._places))
        found = self._collection.query(query_embeddings=vectors, n_results=count, include=["distances"])
        distances = found["distances"] or []
        return [
            self._nearness(vector, ids, list(far), books)
            for vector, ids, far in zip(vectors, found["ids"], distances, strict=True)
        ]

    def _nearness(self, vector: Vectors, ids: Sequence[str], far: Sequence[float], books: int) -> Nearness:
        lowest = 1.0 - (far[-1] if far else 1.0)
        best = np.full(books, lowest, dtype=np.float32)
        section = np.full(books, -1, dtype=np.int64)
        for one, distance in zip(ids, far, strict=True):  # nearest first
            for n in self._places[one]:
                if section[self._owners[n]] < 0:
                    best[self._owners[n]], section[self._owners[n]] = 1.0 - distance, n
        usual = _per_book(self._usual @ vector, self._usual_owners)
        return Nearness(best, section, float(usual.mean()), float(usual.std()), len(usual))


class Nearness:
    """Cosine of one query to each runbook's nearest section, which section that is (-1: none near), and what is usual."""

    __slots__ = ("cosine", "many", "mean", "section", "spread")

    def __init__(self, cosine: Vectors, section: npt.NDArray[np.int64], mean: float, spread: float, many: int) -> None:
        self.cosine, self.section, self.mean, self.spread, self.many = cosine, section, mean, spread, many


def _per_book(cosines: Vectors, owners: npt.NDArray[np.int64]) -> Vectors:
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    highest: Vectors = np.maximum.reduceat(cosines, starts)
    return highest


def _age(collection: Collection) -> int:
    """Higher is newer."""
    number = (collection.metadata or {}).get("number", 0)
    return number if isinstance(number, int) else 0


def _copy(source: Collection, into: Collection, wanted: list[str]) -> list[str]:
    """Copy the vectors that an older collection holds; what is still missing comes back."""
    if not wanted:
        return []
    found = source.get(ids=wanted, include=["embeddings"])
    embeddings = found["embeddings"]
    if embeddings is not None and found["ids"]:
        into.upsert(ids=found["ids"], embeddings=np.asarray(embeddings, dtype=np.float32))
    have = set(found["ids"])
    return [one for one in wanted if one not in have]


def _take(ready: Mapping[str, Vectors], into: Collection, wanted: list[str]) -> list[str]:
    """As `_copy`, from the vectors that came with the runbooks."""
    have = [one for one in wanted if one in ready]
    if have:
        into.upsert(ids=have, embeddings=np.stack([ready[one] for one in have]))
    return [one for one in wanted if one not in ready]


def _client(cache: Path | None) -> ClientAPI:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(_env_file=None, anonymized_telemetry=False)
    if cache is None:
        return chromadb.EphemeralClient(settings=settings)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    return chromadb.PersistentClient(str(cache), settings=settings)
