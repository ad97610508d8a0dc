"""Which runbook fits a text best, and whether the best fits at all. Pure: scores in, order and likelihood out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.library.words import Scores

PAGE_WEIGHT, SECTION_WEIGHT = 0.2, 0.2  # of words beside meaning; flat between 0.1 and 0.4 on the development set
SMALL = 6  # runbooks; with fewer, what is usual for a query cannot be told
UNUSUAL_IN_SMALL = 2.5


@dataclass(frozen=True, slots=True)
class Signs:
    """What speaks for the best runbook: cosine, its distance from what is usual (in standard deviations), the share of the
    query's words in the page and of the name's words in the query, and BM25 over the weight of the query's words."""

    cosine: float
    unusual: float
    covered: float
    named: float
    words: float


@dataclass(frozen=True, slots=True)
class Scale:
    """A logistic scale: likelihood = 1 / (1 + exp(-(bias + weights · signs))); below `least` nothing is returned."""

    bias: float
    weights: Sequence[float]
    least: float

    def likelihood(self, signs: Sequence[float]) -> float:
        return 1.0 / (1.0 + math.exp(-(self.bias + sum(w * s for w, s in zip(self.weights, signs, strict=True)))))


# Fitted by `python -m tests.library.fit` on the development set; its docstring says how, and what it costs.
WITH_VECTORS = Scale(-8.832, (3.233, 0.836, 2.567, 2.84, 3.938), 0.249)
WORDS_ONLY = Scale(-5.263, (2.196, 3.657, 6.128), 0.242)
FEW_WORDS = 6  # below this a text of a person's hardly says enough to be refused
LEAST_FOR_FEW = 0.04
WORTH_NAMING = 0.5  # of the best score; what comes after it is only less wrong than the rest


def fused(cosine: Scores | None, pages: Scores, sections: Scores) -> Scores:
    """One score a runbook: meaning plus words, words scaled to the best of each query."""
    words = PAGE_WEIGHT * _scaled(pages) + SECTION_WEIGHT * _scaled(sections)
    return np.asarray(words if cosine is None else cosine + words, dtype=np.float32)


def _scaled(scores: Scores) -> Scores:
    top = float(scores.max(initial=0.0))
    return scores / top if top > 0 else scores


def likelihood(signs: Signs, with_vectors: bool, words: int) -> tuple[float, float]:
    """(how likely the best runbook fits, least likelihood at which it is offered), each 0 to 1.

    `words` is how many different words the text has: of few, little can be covered, so less is asked of them.
    """
    scale = WITH_VECTORS if with_vectors else WORDS_ONLY
    values = [signs.covered, signs.named, signs.words]
    if with_vectors:
        values = [signs.cosine, signs.unusual, *values]
    return scale.likelihood(values), LEAST_FOR_FEW if words < FEW_WORDS else scale.least
