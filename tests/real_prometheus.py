"""A real Prometheus with eight days of history, back-filled by promtool. The history ends at AS_OF, in the past."""

from __future__ import annotations

import math
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from tests.conftest import need

AS_OF = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
END = int(AS_OF.timestamp())
STEP = 60
DAYS = 8
BREACH = END - 20 * 60  # pod forecast-c gets slow
DEPLOYED = END - 40 * 60
RESTARTED = END - 2 * 3600
PODS = {"forecast-a": "node-1", "forecast-b": "node-1", "forecast-c": "node-2"}
FIRED = ((END - 5 * 86400, 600), (END - 3 * 86400, 1200), (END - 86400, 1800), (BREACH + 300, None))

Family = tuple[str, str, list[tuple[Mapping[str, str], int, float]]]  # name, type, (labels, unix seconds, value)

RULES = """
groups:
- name: forecast
  rules:
  - alert: ForecastLatencyHigh
    expr: max by (service) (forecast_latency_seconds{service="demand-forecast"}) > 1
    for: 5m
    labels: {severity: critical}
    annotations: {summary: slow}
  - alert: HttpErrorRateHigh
    expr: sum by (service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (service) (rate(http_requests_total[5m])) > 0.05
"""


def ticks(start: int = END - DAYS * 86400, end: int = END) -> range:
    return range(start, end + 1, STEP)


def latency(pod: str, at: int) -> float:
    daily = 0.2 + 0.05 * math.sin(at / 86400 * 2 * math.pi)
    return 1.9 if pod == "forecast-c" and at >= BREACH else daily


def _families() -> Iterator[Family]:
    service = {"service": "demand-forecast", "cluster": "eu-1"}
    yield "up", "gauge", [({**service, "job": "forecast", "instance": p}, t, 1) for p in PODS for t in ticks()]
    yield (
        "forecast_latency_seconds",
        "gauge",
        [({**service, "pod": p, "node": n}, t, latency(p, t)) for p, n in PODS.items() for t in ticks()],
    )
    recent = ticks(END - 3 * 3600)
    yield (
        "http_requests",
        "counter",
        [
            ({**service, "code": code}, t, (t - recent[0]) * rate + max(0, t - BREACH) * more)
            for code, rate, more in (("200", 10.0, -1.0), ("500", 0.0, 0.5), ("503", 0.0, 0.5))
            for t in recent
        ],
    )
    yield (
        "process_start_time_seconds",
        "gauge",
        [
            ({**service, "pod": p}, t, RESTARTED if p == "forecast-a" and t >= RESTARTED else END - 9 * 86400)
            for p in PODS
            for t in ticks(END - 12 * 3600)
        ],
    )
    yield (
        "app_build_info",
        "gauge",
        [
            ({**service, "version": version}, t, 1)
            for version, times in (("1.4.2", ticks(END - 12 * 3600, DEPLOYED)), ("1.4.3", ticks(DEPLOYED)))
            for t in times
        ],
    )
    yield (
        "odd_value",
        "gauge",
        [({**service, "kind": k}, t, v) for k, v in (("nan", math.nan), ("inf", math.inf)) for t in ticks(END - 3600)],
    )
    yield "gone_metric", "gauge", [(service, t, 1) for t in ticks(END - 86400, END - 80000)]
    yield "ALERTS", "gauge", _alerts(lambda start, t: 1.0)
    yield "ALERTS_FOR_STATE", "gauge", _alerts(lambda start, t: float(start - 300), state=False)


def _alerts(value: Callable[[int, int], float], state: bool = True) -> list[tuple[Mapping[str, str], int, float]]:
    mine = {"alertname": "ForecastLatencyHigh", "service": "demand-forecast", "severity": "critical"}
    other = {"alertname": "CPUThrottlingHigh", "service": "demand-forecast", "pod": "forecast-c"}
    old = {"alertname": "NodeDiskFilling", "node": "node-9"}
    firing = {"alertstate": "firing"} if state else {}
    rows = [
        ({**mine, **firing}, t, value(start, t))
        for start, length in FIRED
        for t in ticks(start, min(END, start + length) if length else END)
    ]
    rows += [({**other, **firing}, t, value(BREACH + 480, t)) for t in ticks(BREACH + 480)]
    return rows + [({**old, **firing}, t, value(END - 6 * 3600, t)) for t in ticks(END - 6 * 3600)]


def samples() -> Iterator[tuple[str, Mapping[str, str], int, float]]:
    """(name, labels, unix seconds, value) of the whole history, each series in order of time."""
    for name, kind, rows in _families():
        for labels, at, value in rows:
            yield name + ("_total" if kind == "counter" else ""), labels, at, value


def openmetrics(families: Iterable[Family] | None = None) -> str:
    """Families of samples, of one metric each, as Prometheus reads a history back."""
    lines = []
    for name, kind, rows in _families() if families is None else families:
        lines.append(f"# TYPE {name} {kind}")
        suffix = "_total" if kind == "counter" else ""
        for labels, at, value in sorted(rows, key=lambda row: (sorted(row[0].items()), row[1])):
            shown = ",".join(f'{k}="{v}"' for k, v in labels.items())
            lines.append(f"{name}{suffix}{{{shown}}} {value} {at}".replace("inf ", "+Inf ").replace("nan ", "NaN "))
    return "\n".join([*lines, "# EOF", ""])


def start(
    prometheus: str, promtool: str, folder: Path, port: int, history: str | None = None
) -> tuple[subprocess.Popen[bytes], str]:
    """Back-fill (by default what this module has) and start; the process and the server's address. The caller ends it."""
    (folder / "history.om").write_text(openmetrics() if history is None else history)
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]\nglobal: {evaluation_interval: 1h}\n")
    blocks = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=240h"]
    subprocess.run(
        [*blocks, str(folder / "history.om"), str(folder / "data")], check=True, capture_output=True, timeout=120
    )
    return serve(prometheus, folder, port)


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a Prometheus without history; the test is skipped where none is installed."""
    program = need("prometheus", "prometheus")
    (folder / "prometheus.yml").write_text("")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, url = serve(program, folder, port)
    yield url
    server.terminate()
    server.wait(timeout=10)


def serve(prometheus: str, folder: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    """Start over what lies in a folder."""
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=100y",
        ],
        stdout=log,
        stderr=log,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            if httpx.get(f"{url}/-/ready", timeout=2).status_code == 200:
                return server, url
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    server.kill()
    raise AssertionError(f"Prometheus did not start: {(folder / 'log').read_text()[-800:]}")
