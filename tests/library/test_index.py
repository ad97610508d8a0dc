from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agent.domain.alert import Alert, AlertStatus
from agent.domain.cause import Fault
from agent.library.embed import DIMENSIONS, Embedder, NoEmbedder, Vectors, packaged
from agent.library.index import Library, LibraryShelf
from agent.library.shipped_vectors import FILE, read
from agent.library.vectors import key
from agent.library.words import stems
from tools.context import Service

OURS = Path(__file__).parents[2] / "runbooks"


class Hashed:
    """A tiny embedder: each stem is a direction. It counts what it is asked to embed."""

    model = "hashed-1"

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        out = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in stems(text) or ["nothing"]:
                out[row, hash_of(word) % DIMENSIONS] += 1
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), dtype=np.float32)


def hash_of(word: str) -> int:
    return int.from_bytes(word.encode()[:6].ljust(6, b"."), "big")


def alert(name: str, annotations: Mapping[str, str] | None = None, **labels: str) -> Alert:
    at = datetime(2026, 11, 24, 3, tzinfo=UTC)
    return Alert("alertmanager", "f1", AlertStatus.FIRING, {"alertname": name, **labels}, annotations or {}, at)


def ours(name: str, metadata: str, about: str) -> str:
    return f"---\nname: {name}\ndescription: {about}\nmetadata:\n  stanch.kind: infra\n{metadata}---\n# {name}\n\n{about}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "books"
    place.mkdir()
    alerts = "  stanch.alerts: Throttled\n"
    (place / "cpu.md").write_text(ours("cpu", alerts, "Processors are busy with neighbours"))
    (place / "cpu-of-shop.md").write_text(ours("cpu-of-shop", alerts + '  stanch.matchers: team="shop"\n', "Shop"))
    (place / "any-of-data.md").write_text(ours("any-of-data", "  stanch.matchers: team=data\n", "Data people"))
    (place / "KubeDiskFull.md").write_text("# Disk full\n\nA node's disk has no space left for files and logs.\n")
    return place


def words_only(folder: Path) -> Library:
    return Library.open([folder], None, NoEmbedder("left out by the test"))


def names(library: Library, *alerts: Alert, service: Service | None = None) -> list[tuple[str, str]]:
    return [(m.name, m.why) for m in library.match(alerts, service)]


def test_the_order_is_address_then_alert_name_then_catalog_then_matchers(folder: Path) -> None:
    library = words_only(folder)
    one = alert("Throttled", {"runbook_url": "https://runbooks.example/x/kube-disk-full/"}, team="shop")
    service = Service("s", runbooks=("any-of-data", "gone"))
    assert names(library, one, service=service) == [
        ("KubeDiskFull", "runbook_url"),
        ("cpu-of-shop", "alert name"),
        ("cpu", "alert name"),
        ("any-of-data", "catalog"),
    ]
    assert names(library, alert("Other", team="data")) == [("any-of-data", "matcher")]
    assert names(library, alert("Throttled", team="data"))[0] == ("cpu", "alert name")
    assert names(library, alert("KubeDiskFull")) == [("KubeDiskFull", "alert name")]


def test_only_then_words_are_searched_and_nothing_relevant_is_nothing(folder: Path) -> None:
    library = words_only(folder)
    text = {"summary": "The disk of a node is full", "description": "No space left for files and logs"}
    assert names(library, alert("NodeDiskFull", text)) == [("KubeDiskFull", "text")]
    assert names(library, alert("PrinterOnFire", {"summary": "The printer burns and coffee is out"})) == []
    assert names(library) == []
    assert library.search("") == []
    assert library.search("!?") == []
    assert library.notes == ["left out by the test"]


def test_a_name_in_the_text_is_enough(folder: Path) -> None:
    library = words_only(folder)
    assert [m.name for m in library.search("what about KubeDiskFull on node-a?")] == ["KubeDiskFull"]
    assert {m.name for m in library.search("Throttled")} == {"cpu", "cpu-of-shop"}
    assert [m.name for m in library.search("cpu-of-shop, please")] == ["cpu-of-shop"]


def test_an_earlier_folder_stands_before_a_later_one(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "cpu.md").write_text(ours("cpu", "", "Our own way"))
    (mine / "broken.md").write_text("---\nmetadata: [\n---\n")
    library = Library.open([mine, folder], None, NoEmbedder(""))
    book = library.book("cpu")
    assert book is not None
    assert book.description == "Our own way"
    assert [p.path.name for p in library.broken] == ["broken.md"]
    assert library.book("nothing") is None
    assert Library.open([], None, Hashed()).search("anything at all") == []


def test_vectors_are_kept_and_only_what_changed_is_embedded_again(folder: Path, tmp_path: Path) -> None:
    cache, text = tmp_path / "cache", "no space left on the disk of a node for files"
    first, second, third = Hashed(), Hashed(), Hashed()
    found = Library.open([folder], cache, first).search(text)
    assert [m.name for m in found][:1] == ["KubeDiskFull"]
    assert first.texts == 5  # four sections and the question
    assert Library.open([folder], cache, second).search(text) == found
    assert second.texts == 1
    (folder / "any-of-data.md").write_text(ours("any-of-data", "", "No space left on disks of nodes, really"))
    (folder / "cpu.md").unlink()
    again = Library.open([folder], cache, third)
    assert {m.name for m in again.search(text)} >= {"KubeDiskFull"}
    assert third.texts == 2
    assert (cache.stat().st_mode & 0o777) == 0o700


def test_the_vectors_of_our_own_runbooks_are_ready_and_right() -> None:
    """`make vectors` writes them anew after a runbook has changed."""
    embedder = packaged()
    if isinstance(embedder, NoEmbedder):
        pytest.skip(embedder.why)
    library = Library.open((OURS,), None, embedder)
    library.search("the disk is filling")
    assert library._shelved is not None
    assert library._shelved.embedded == 0, "runbooks/vectors.npz is out of date: run `make vectors`"
    texts = [one.text for one in library._passages][::20]
    kept = read(OURS)
    for text, fresh in zip(texts, embedder.embed(texts), strict=True):
        assert float(kept[key(embedder.model, text)] @ fresh) > 0.999


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"not a zip at all"])
def test_vectors_that_cannot_be_read_are_none(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path) == {}
    (tmp_path / FILE).write_bytes(content)
    assert read(tmp_path) == {}


def test_a_cache_that_is_rubbish_is_said_and_done_without(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "chroma.sqlite3").write_bytes(b"rubbish" * 1000)
    library = Library.open([folder], cache, Hashed())
    assert [m.name for m in library.search("no space left on the disk for files and logs")][:1] == ["KubeDiskFull"]
    assert "Delete that folder" in library.notes[0]


def test_another_process_with_the_same_cache_sees_its_own_runbooks(folder: Path, tmp_path: Path) -> None:
    cache, text = tmp_path / "cache", "zebra stripes fade in the sun"
    resident = Library.open([folder], cache, Hashed())
    assert resident.search(text) == []
    (folder / "zebra.md").write_text("# Zebra\n\nZebra stripes fade in the sun.\n")
    code = f"""
from pathlib import Path
from tests.library.test_index import Hashed
from agent.library.index import Library
print([m.name for m in Library.open([Path({str(folder)!r})], Path({str(cache)!r}), Hashed()).search({text!r}, 1)])"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=OURS.parent, check=True)
    assert run.stdout.strip() == "['zebra']"
    assert resident.search(text) == []  # it still answers from the runbooks it opened
    assert [m.name for m in Library.open([folder], cache, Hashed()).search(text, 1)] == ["zebra"]


def test_exact_matches_load_neither_chroma_nor_the_model() -> None:
    code = """
import sys
from pathlib import Path
from agent.library.index import Library
from tests.library.test_index import OURS, alert
library = Library.open([OURS], None)
assert library.match([alert("ForecastLatencyHigh")], None)[0].name == "forecast-latency-high"
assert library.search("CPUThrottlingHigh")[0].name == "cpu-contention"
loaded = [name for name in ("chromadb", "onnxruntime", "tokenizers", "bm25s") if name in sys.modules]
assert not loaded, loaded"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=OURS.parent)
    assert run.returncode == 0, run.stderr


async def test_many_ask_at_once(folder: Path, tmp_path: Path) -> None:
    embedder = Hashed()
    evidence_index = LibraryShelf(Library.open([folder], tmp_path / "cache", embedder))
    found = await asyncio.gather(
        *(evidence_index.search("no space left on the disk for files and logs") for _ in range(12))
    )
    assert {hits[0].name for hits in found} == {"KubeDiskFull"}
    assert "no space left" in found[0][0].text
    assert embedder.texts == 4 + 12
    assert (await evidence_index.match([alert("Throttled")], None))[0].why == "alert name"


def test_bulk_and_single_searches_agree(folder: Path) -> None:
    library = words_only(folder)
    texts = ["disk space left for logs", "", "Throttled", "quarterly sales report of bananas"]
    assert library.search_many(texts) == [library.search(text) for text in texts]


def test_the_packaged_model_is_the_one_we_know_or_says_what_to_install() -> None:
    found = packaged()
    if isinstance(found, NoEmbedder):
        assert "minilm" in found.why
        pytest.skip(found.why)
    check_vectors(found)


def check_vectors(embedder: Embedder) -> None:
    vectors = embedder.embed(["the disk is full", "no space left on the device", "a cat sleeps", "x " * 2000, ""])
    assert vectors.shape == (5, DIMENSIONS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > 0.4 > vectors[0] @ vectors[2]
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_runbooks_are_found_by_what_is_out_of_line_and_by_what_is_suspected() -> None:
    library = Library.open([OURS], None, NoEmbedder("left out by the test"))
    measured = [match.name for match in library.for_evidence(["tls_expiry"], [])]
    suspected = [match.name for match in library.for_evidence([], [Fault.QUEUE_BACKLOG])]
    assert (measured, suspected) == (["certificate-expiry"], ["queue-backlog"])
    assert library.for_evidence([], []) == []
    both = library.for_evidence(["queue_age", "error_ratio"], [Fault.QUEUE_BACKLOG])
    assert [match.name for match in both] == ["queue-backlog", "error-rate-high"]
