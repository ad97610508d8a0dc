"""Fit the likelihood scales of agent.library.relevance on the development set: `python -m tests.library.fit [FOLDER]`.

Texts that have a page (alert annotations, once in full and once their description only) against texts that have none:
the abstain set, and the same texts asked of small random libraries that do not hold their page, so that the scale does
not depend on the size of a library. Ridge logistic regression, classes weighted alike; `least` loses 5 % of the former.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agent.library.embed import NoEmbedder
from agent.library.index import Library

Floats = npt.NDArray[np.float64]
LOSS = 0.05
SMALL_LIBRARIES, SMALL_SIZE = 6, 25
Row = dict[str, str]


def full(row: Row) -> str:
    return f"{row['summary']} {row['description']}".strip()


def brief(row: Row) -> str:
    return row["description"] or row["summary"]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logistic(x: Floats, y: Floats, ridge: float = 1.0) -> Floats:
    """Bias and weights on standardised columns, given back for the columns as they are."""
    mean, spread = x.mean(0), x.std(0) + 1e-9
    a = np.c_[np.ones(len(x)), (x - mean) / spread]
    w = np.zeros(a.shape[1])
    weight = np.where(y == 1, 1 / y.sum(), 1 / (1 - y).sum()) * len(y) / 2
    penalty = ridge * np.diag([0.0] + [1.0] * x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-a @ w))
        w -= np.linalg.solve(
            (a * (weight * p * (1 - p))[:, None]).T @ a + penalty + 1e-9 * np.eye(len(w)),
            a.T @ (weight * (p - y)) + penalty @ w,
        )
    slopes = w[1:] / spread
    return np.r_[w[0] - slopes @ mean, slopes]


def scores(w: Floats, x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(w[0] + x @ w[1:]))))


def signs(library: Library, texts: list[str]) -> Floats:
    return np.array([astuple(one) for one in library.signs(texts)])


def small_libraries(library: Library, queries: list[Row], cache: Path) -> tuple[Floats, Floats]:
    """Signs of texts whose page is in the library, and of texts whose page is not."""
    inside, outside = [], []
    for seed in range(SMALL_LIBRARIES):
        names = random.Random(seed).sample(library.names(), SMALL_SIZE)
        part = Library({n: library.books[n] for n in names}, cache=cache, embedder=library.embedder)
        inside.append(signs(part, [full(q) for q in queries if q["page"] in names]))
        outside.append(signs(part, [full(q) for q in queries if q["page"] not in names]))
    return np.concatenate(inside), np.concatenate(outside)


def halves(hit: Floats, miss: Floats, extra: Floats, columns: list[int]) -> Floats:
    """Abstained rightly and wrongly on the half that was not fitted on, mean of 20 splits; [full, brief] x [right, wrong]."""
    found = []
    for seed in range(20):
        r = np.random.default_rng(seed)
        h, m = r.permutation(len(hit) // 2), r.permutation(len(miss) // 2)
        h1, h2, m1, m2 = h[: len(h) // 2], h[len(h) // 2 :], m[: len(m) // 2], m[len(m) // 2 :]
        both = [np.r_[i, i + n // 2] for i, n in ((h1, len(hit)), (m1, len(miss)))]
        w = fitted(hit[both[0]], miss[both[1]], extra, columns)
        least = np.quantile(scores(w, hit[both[0]][:, columns]), LOSS)
        found.append(
            [
                [
                    (scores(w, part[i + k * len(part) // 2][:, columns]) < least).mean()
                    for part, i in ((miss, m2), (hit, h2))
                ]
                for k in (0, 1)
            ]
        )
    return np.array(found).mean(0)


def fitted(hit: Floats, miss: Floats, extra: Floats, columns: list[int]) -> Floats:
    thinned = extra[:: max(1, len(extra) // len(miss))]
    x = np.r_[hit, miss, thinned][:, columns]
    return logistic(x, np.r_[np.ones(len(hit)), np.zeros(len(miss) + len(thinned))])


def report(name: str, columns: list[int], library: Library, data: Path, cache: Path) -> None:
    queries, none = rows(data / "queries.jsonl"), rows(data / "abstain.jsonl")
    hit = np.r_[signs(library, [full(q) for q in queries]), signs(library, [brief(q) for q in queries])]
    miss = np.r_[signs(library, [full(q) for q in none]), signs(library, [brief(q) for q in none])]
    inside, outside = small_libraries(library, queries, cache)
    w = fitted(hit, miss, outside, columns)
    least = float(np.quantile(scores(w, hit[:, columns]), LOSS))
    print(f"{name}: Scale({w[0]:.3f}, {tuple(round(float(v), 3) for v in w[1:])}, {least:.3f})")
    halved = halves(hit, miss, outside, columns).round(3).tolist()
    print(f"  on the other half, [full, brief] x [abstained rightly, wrongly]: {halved}")
    for what, x in (
        ("none, full", miss[: len(none)]),
        ("none, brief", miss[len(none) :]),
        ("small, outside", outside),
        ("small, inside", inside),
        ("has page, full", hit[: len(queries)]),
        ("has page, brief", hit[len(queries) :]),
    ):
        print(f"  {what}: abstained {(scores(w, x[:, columns]) < least).mean():.3f}")


def main() -> None:
    data = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        report("WITH_VECTORS", [0, 1, 2, 3, 4], Library.open([data / "pages"], cache), data, cache)
        words = Library.open([data / "pages"], None, NoEmbedder("left out on purpose"))
        report("WORDS_ONLY", [2, 3, 4], words, data, cache)


if __name__ == "__main__":
    main()
