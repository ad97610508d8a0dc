"""`make bench`: how fast, how large, how many tokens. Figures are printed, never enforced; compare them on one machine.

Each figure names what it is and, where the machine's noise matters, is the median of several runs.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.bench_intake import intake
from tests.bench_service import kept_to_proposal

STANCH = str(Path(sys.executable).parent / "stanch")


def main() -> None:
    figures: list[tuple[str, str]] = []
    for measure in (cold_help, demo, kept_to_proposal, intake, step_overhead, gate_overhead, tokens_a_step, retrieval):
        try:
            figures += measure()
        except ImportError as error:  # an extra that is not installed is passed over, and said
            figures.append((measure.__name__, f"passed over: {error}"))
    width = max(len(name) for name, _ in figures)
    for name, figure in figures:
        print(f"{name:{width}}  {figure}")


def median(run: Callable[[], None], runs: int) -> float:
    """Seconds of wall time, the median of `runs` after one that is not counted."""
    run()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def cold_help() -> list[tuple[str, str]]:
    """A whole process, from nothing to the help text; beside it an empty Python, to judge the machine by."""

    def run(*command: str) -> Callable[[], None]:
        return lambda: subprocess.run(command, check=True, capture_output=True).check_returncode()

    ours, empty = median(run(STANCH, "--help"), 9), median(run(sys.executable, "-c", "pass"), 9)
    return [("--help, whole process", f"{ours:.3f} s (an empty Python: {empty:.3f} s)")]


def demo() -> list[tuple[str, str]]:
    """The founding demo as a process: when its timeline shows the first finding, the proposal, and the end."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        command = [STANCH, "--data", place, "--reasoner", "runbook", "demo", "--approve", "--jsonl"]
        seen: dict[str, float] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                seen.setdefault(json.loads(line)["kind"], time.perf_counter() - began)
        whole = time.perf_counter() - began
    return [
        ("demo: first evidence", f"{seen['evidence']:.1f} s"),
        ("demo: first finding", f"{seen['finding']:.1f} s"),
        ("demo: proposal", f"{seen['proposal']:.1f} s"),
        ("demo: recovered and written down", f"{whole:.1f} s"),
    ]


def step_overhead() -> list[tuple[str, str]]:
    """What the graph, the checkpoint and the timeline cost a step, with a reasoner that costs nothing."""
    return [
        ("a graph step without its reasoner", f"{asyncio.run(_steps()) * 1000:.1f} ms (think and look, SQLite, sync)")
    ]


async def _steps() -> float:
    from agent.app import open_app
    from agent.domain.alert import Alert, AlertStatus
    from agent.reasoner.protocol import Call, Look, Thought, View
    from agent.settings import read

    class Looking:
        """Looks at the catalog until its budget is spent."""

        name = "looking"

        async def next_move(self, view: View) -> Thought:
            return Thought(Look((Call("describe_service", {"name": "web"}, "bench"),)), self.name)

    with tempfile.TemporaryDirectory() as place:
        settings = read({"data": place, "reasoner": "runbook"}, Path(place))
        async with open_app(settings, reasoner=Looking()) as app:
            app.library.search("the first search loads the index, which is no step's cost")
            import langgraph.graph  # noqa: F401  # nor is this

            alert = Alert("bench", "0", AlertStatus.FIRING, {"alertname": "X"}, {}, datetime.now(UTC))
            (received,) = await app.api.receive([alert])
            assert received.incident
            began = time.perf_counter()
            await app.api.work(received.incident)
            return (time.perf_counter() - began) / (2 * settings.llm.budget.steps)


def gate_overhead() -> list[tuple[str, str]]:
    """Claim, intent and outcome around an action that takes no time, on SQLite with synchronous=FULL."""
    from tests.gate.bench import measure, quietest

    cold = [asyncio.run(measure(1))[0] for _ in range(9)]  # a new process's first action: every statement is compiled
    first = statistics.median(wall for wall, _ in cold), statistics.median(cpu for _, cpu in cold)
    return [
        (f"the gate around an action, {name}", f"{wall:.1f} ms ({cpu:.1f} ms of it CPU)")
        for name, (wall, cpu) in (("cold", first), ("warm, the quietest of 5 rounds", quietest(5, 100)[:2]))
    ]


def tokens_a_step() -> list[tuple[str, str]]:
    """System prompt and tool schemas with every backend configured, by the offline estimate."""
    from agent.domain.catalog import Catalog
    from agent.domain.incident import Incident, Kind, State
    from agent.domain.incident_view import IncidentView
    from agent.graph.steps.think import view_of
    from agent.library.index import Library
    from agent.reasoner.llm.conversation import tokens
    from agent.reasoner.llm.move_tools import tools_of
    from agent.reasoner.llm.prompt_files import load
    from agent.settings import shipped
    from tools.backends import BACKENDS
    from tools.context import Backend, Backends
    from tools.listing import TOOLS

    nothing: Any = None
    every = tuple(Backend(kind.kind, kind.kind, "http://127.0.0.1:1", nothing) for kind in BACKENDS)
    backends = Backends(every, retraining_url="x")
    now = datetime.now(UTC)
    incident_view = IncidentView(Incident("inc-0", State.NEW, Kind.UNKNOWN, "x", now))
    view = view_of(incident_view, Catalog(), Library({}), TOOLS, backends, now)
    system = [{"role": "system", "content": load(shipped("prompts"), "incident").text}]
    return [("system prompt and tool schemas", f"{tokens(system, tools_of(view)):,} tokens a step (UTF-8 bytes / 2.5)")]


def retrieval() -> list[tuple[str, str]]:
    """A search among generated sections with generated vectors: embedded Chroma joined with lexical search."""
    return [(f"runbook search, {n:,} sections", f"{_searched(n) * 1000:.1f} ms") for n in (100, 10_000)]


def _searched(sections: int) -> float:
    from agent.library.index import Library
    from agent.library.runbook import Runbook, Section

    draw = random.Random(7)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(3_000)]

    def text(length: int) -> str:
        return " ".join(draw.choices(words, k=length))

    books = {}
    for n in range(sections // 10):
        parts = tuple(Section(text(3), text(60)) for _ in range(10))
        books[f"book-{n}"] = Runbook(f"book-{n}", text(4), text(8), " ".join(p.text for p in parts), parts)
    with tempfile.TemporaryDirectory() as place:
        library = Library(books, cache=Path(place), embedder=Generated())
        queries = [text(12) for _ in range(21)]

        def search() -> None:
            library.search(queries.pop())

        return median(search, 20)


class Generated:
    """Vectors out of the text's hash: as large as real ones, at no cost."""

    model = "generated"
    dimensions = 384

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = [np.random.default_rng(zlib.crc32(t.encode())).standard_normal(self.dimensions) for t in texts]
        vectors = np.asarray(rows, dtype=np.float32)
        unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


if __name__ == "__main__":
    main()
