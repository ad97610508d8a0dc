"""Real exporters, each about something real, and a real Prometheus that scrapes them: what people have, small."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import yaml

from tests.conftest import need
from tests.real_prometheus import serve

EVERY_S = 1  # between two scrapes
BLACKBOX = {"modules": {"http_2xx": {"prober": "http", "timeout": "2s"}}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, within: Path | None = None
) -> Iterator[None]:
    """A server for as long as it is needed, with these additions to its environment; its output goes into the folder."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})}, cwd=within)
    try:
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


def until(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something real to happen."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.2)


@contextmanager
def exporters(folder: Path, postgres: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Prometheus' address, and the addresses of what is scraped by job: node, cache, database, site (which answers) and gone
    (which does not)."""
    ports = {name: free_port() for name in ("node", "redis", "cache", "database", "blackbox", "prometheus")}
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        (folder / "blackbox.yml").write_text(yaml.safe_dump(BLACKBOX))
        for command, env in _commands(folder, ports, at, postgres):
            stack.enter_context(process(command, folder, env))
        places = {**at, "site": f"http://{at['prometheus']}/-/ready", "gone": f"http://127.0.0.1:{free_port()}/"}
        url = stack.enter_context(scraping(folder, _scraped(places), ports["prometheus"]))
        until(
            lambda: value_of(url, "sum(up)") >= 5 and value_of(url, "min(count_over_time(up[1m]))") >= 6,
            "six scrapes of each",
        )
        yield url, places


def _commands(
    folder: Path, ports: Mapping[str, int], at: Mapping[str, str], postgres: str
) -> Iterator[tuple[list[str], Mapping[str, str] | None]]:
    redis = [need("redis-server", "redis-server"), "--port", str(ports["redis"]), "--bind", "127.0.0.1", "--save", ""]
    yield [*redis, "--dir", str(folder), "--maxmemory", "64mb"], None
    yield [need("prometheus-node-exporter", "prometheus-node-exporter"), f"--web.listen-address={at['node']}"], None
    cache = [need("prometheus-redis-exporter", "prometheus-redis-exporter"), f"-redis.addr=redis://{at['redis']}"]
    yield [*cache, f"-web.listen-address={at['cache']}"], None
    database = need("prometheus-postgres-exporter", "prometheus-postgres-exporter")
    yield [database, f"--web.listen-address={at['database']}"], {"DATA_SOURCE_NAME": postgres}
    blackbox = need("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    yield [blackbox, f"--config.file={folder / 'blackbox.yml'}", f"--web.listen-address={at['blackbox']}"], None


def _scraped(at: Mapping[str, str]) -> list[Mapping[str, object]]:
    probes = {
        "job_name": "probes",
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "static_configs": [{"targets": [at["site"], at["gone"]]}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": at["blackbox"]},
        ],
    }
    plain = [
        {"job_name": job, "static_configs": [{"targets": [at[job]]}]}
        for job in ("node", "cache", "database", "prometheus")
    ]
    return [*plain, probes]


@contextmanager
def scraping(
    folder: Path, jobs: Sequence[Mapping[str, object]], port: int | None = None, rules: Path | None = None
) -> Iterator[str]:
    """The address of a Prometheus that scrapes these jobs, and evaluates the rules of a file."""
    often = {"scrape_interval": f"{EVERY_S}s", "evaluation_interval": f"{EVERY_S}s"}
    files = [str(rules.resolve())] if rules else []
    told = {"global": often, "rule_files": files, "scrape_configs": list(jobs)}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(told))
    server, url = serve(need("prometheus", "prometheus"), folder, port or free_port())
    try:
        yield url
    finally:
        server.terminate()
        server.wait(10)


def answers(url: str) -> bool:
    """Whether something answers there with 200."""
    try:
        return httpx.get(url, timeout=5, follow_redirects=True).status_code == 200
    except httpx.TransportError:
        return False


def value_of(url: str, promql: str) -> float:
    """The value of an expression's first series at present; 0 without one."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": promql}, timeout=5).json()["data"]["result"]
    return float(answer[0]["value"][1]) if answer else 0.0
