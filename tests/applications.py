"""Applications as people instrument them, asked by somebody, under a real Prometheus. Each lives in tests/instrumented/, in an
environment of its own, which `make instrumented` makes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import need
from tests.exporters import answers, free_port, process, scraping, until, value_of

HERE = Path(__file__).parent / "instrumented"
PROGRAMS = Path(__file__).parents[1] / ".venv-instrumented" / "bin"
NEWER = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
HTTP = ("otel", "otel-older", "fastapi", "starlette", "flask", "django")
GRPC = {"grpc": "interceptors", "grpc-legacy": "legacy", "grpc-otel": "opentelemetry"}
ASKED = ("orders/1", "orders/2", "orders/3", "slow", "broken", "raises")  # one round; two fail, one takes 0.3 s
PEER = ("orders/1", "orders/2", "orders/3", "slow", "broken", "gone")  # and as many calls; "gone" is another peer
CALLED = (
    "orders",
    "orders",
    "orders",
    "slow",
    "broken",
    "absent",
)  # by gRPC; one in six fails, and one is nobody's fault
ROUNDS = 2


def need_instrumented() -> None:
    """Skips and says what to do, or fails under STANCH_REQUIRE_SERVERS=1."""
    if (PROGRAMS / "celery").exists():
        return
    message = "the instrumented applications are missing: run `make instrumented`"
    if os.environ.get("STANCH_REQUIRE_SERVERS") == "1":
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def applications(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Prometheus' address, and those of the applications by job. Each was asked ROUNDS times ASKED since its first scrape."""
    need_instrumented()
    names = (*HTTP, *GRPC, "flower", "rq")
    ports = {name: free_port() for name in names}
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        redis = free_port()
        broker = f"redis://127.0.0.1:{redis}"
        command = [need("redis-server", "redis-server"), "--port", str(redis), "--bind", "127.0.0.1", "--save", ""]
        stack.enter_context(process([*command, "--dir", str(folder)], folder))
        for name, (words, env) in _commands(ports, at, broker).items():
            own = folder / name
            own.mkdir()
            stack.enter_context(process([str(PROGRAMS / words[0]), *words[1:]], own, env, HERE))
        _run(["rq_app.py", "fill"], {"BROKER": f"{broker}/1"})
        for name in names:
            until(lambda place=at[name]: answers(f"http://{place}/metrics"), f"an answer of {name}")
        _ask(at, broker)
        url = stack.enter_context(
            scraping(folder, [{"job_name": n, "static_configs": [{"targets": [at[n]]}]} for n in at])
        )
        until(
            lambda: value_of(url, "min(count_over_time(up[1m]))") >= 2 and value_of(url, "sum(up)") == len(at),
            "a scrape of each",
        )
        for _ in range(ROUNDS):
            _ask(at, broker)
        seen = value_of(url, "min(count_over_time(up[1m]))")
        until(lambda: value_of(url, "min(count_over_time(up[1m]))") >= seen + 3, "three further scrapes of each")
        yield url, at


def _commands(
    ports: Mapping[str, int], at: Mapping[str, str], broker: str
) -> dict[str, tuple[list[str], dict[str, str] | None]]:
    """What to start by name, and what is added to its environment."""
    peer = f"http://{at['fastapi']}"
    found: dict[str, tuple[list[str], dict[str, str] | None]] = {
        "otel": (["python", "otel_app.py", str(ports["otel"]), peer], NEWER),
        "otel-older": (["python", "otel_app.py", str(ports["otel-older"]), peer], {}),
    }
    for name in HTTP[2:]:
        found[name] = (["python", f"{name}_app.py", str(ports[name])], {})
    for name, how in GRPC.items():
        found[name] = (["python", "grpc_app.py", str(ports[name]), how], {})
    tasks = {"BROKER": f"{broker}/0"}
    celery = ["celery", "-A", "celery_app", f"--broker={broker}/0"]
    found["worker"] = ([*celery, "worker", "--pool=solo", "-E", "--loglevel=warning"], tasks)
    found["flower"] = ([*celery, "flower", "--address=127.0.0.1", f"--port={ports['flower']}"], tasks)
    found["rq"] = (["rq-exporter", "--host", "127.0.0.1", "--port", str(ports["rq"]), "--redis-url", f"{broker}/1"], {})
    return found


def _ask(at: Mapping[str, str], broker: str) -> None:
    """One round: every application is asked, the two with OpenTelemetry ask another, and Celery gets tasks."""
    paths = [f"http://{at[name]}/{path}" for name in HTTP for path in ASKED]
    paths += [f"http://{at[name]}/call?path={path}" for name in HTTP[:2] for path in PEER]
    paths += [f"http://{at[name]}/call?path={path}" for name in GRPC for path in CALLED]
    with httpx.Client(timeout=10) as http, ThreadPoolExecutor(8) as many:
        tasks = many.submit(_run, ["celery_app.py", "send"], {"BROKER": f"{broker}/0"})
        list(many.map(http.get, paths))
        tasks.result()


def _run(words: Sequence[str], env: Mapping[str, str]) -> None:
    """A script that ends by itself."""
    subprocess.run(
        [PROGRAMS / "python", *words], cwd=HERE, env={**os.environ, **env}, check=True, capture_output=True, timeout=60
    )
