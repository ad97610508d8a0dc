"""Vectors that ship with the runbooks, so that a first search need not embed them: it takes seconds, at the worst time.

`python -m agent.library.ready` writes the file anew after a runbook or the model has changed; a test says when that is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from agent.library.embed import DIMENSIONS, Embedder, Vectors
from agent.library.words import Passage

FILE = "vectors.npz"


def read(folder: Path) -> Mapping[str, Vectors]:
    """Vector by key (see vectors.key); {} where there is no file, or none that can be read."""
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
    from agent.library.vectors import key

    texts = {key(embedder.model, one.text): one.text for one in passages}
    keys = np.array([np.frombuffer(bytes.fromhex(one), dtype=np.uint8) for one in texts])
    np.savez_compressed(folder / FILE, keys=keys, vectors=embedder.embed(list(texts.values())))
    return len(texts)


if __name__ == "__main__":
    from agent.library.index import Library
    from agent.settings import shipped

    print(Library.open((shipped("runbooks"),), None).ship(shipped("runbooks")))  # noqa: T201 (a command of ours)
