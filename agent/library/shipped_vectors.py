"""Vectors that ship with the runbooks, so that a first search need not embed them: it takes seconds, at the worst time.

`python -m agent.library` writes the file anew after a runbook or the model has changed; a test says when that is due.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from agent.library.embed import DIMENSIONS, Embedder, Vectors
from agent.library.words import Passage

FILE = "vectors.npz"


def key(model: str, text: str) -> str:
    """What a vector is kept by: the model and the text it was made of."""
    return hashlib.sha256(f"{model}\n{text}".encode("utf-8", "replace")).hexdigest()


def read(folder: Path) -> Mapping[str, Vectors]:
    """Vector by key; {} where there is no file, or none that can be read."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as kept:
            keys, vectors = kept["keys"], kept["vectors"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}
    if vectors.ndim != 2 or vectors.shape != (len(keys), DIMENSIONS):
        return {}
    return {bytes(key).hex(): row for key, row in zip(keys, vectors.astype(np.float32), strict=True)}


def write(folder: Path, passages: Sequence[Passage], embedder: Embedder) -> int:
    """The vectors of all passages; how many there are."""
    texts = {key(embedder.model, one.text): one.text for one in passages}
    keys = np.array([np.frombuffer(bytes.fromhex(one), dtype=np.uint8) for one in texts])
    np.savez_compressed(folder / FILE, keys=keys, vectors=embedder.embed(list(texts.values())))
    return len(texts)
