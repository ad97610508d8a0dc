"""The lab's Prometheus against a real one that holds the same samples: same answers, same errors."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agent.lab.exposition import openmetrics
from agent.lab.prometheus import routes
from tests.conftest import need
from tests.lab.promql_samples import BEGIN_MS, END_MS, recorded

POSITION = re.compile(
    r"(^|: )(\d+:\d+|unknown position): parse error:"
)  # where the mistake is: our parser does not tell
pytestmark = pytest.mark.server

QUERIES = [
    line for line in (Path(__file__).parent / "queries.promql").read_text().splitlines() if line and line[0] != "#"
]
# Where the two are known to differ, and why. The query must differ, or the line has to go.
DIFFERENT = {
    ("instant", "sum by (a) by (b) (up)"): "both refuse it, but our parser says only `invalid promql query`",
    ("range", "sum by (a) by (b) (up)"): "both refuse it, but our parser says only `invalid promql query`",
    ("range", "predict_linear(memory_bytes[30m] @ 1795140000, 3600)"): "2.42 lets the fixed window move with the steps",
}
LATE = END_MS - 3_600_000  # an hour before the end, so that negative offsets see something
MOMENTS = [BEGIN_MS + 200, BEGIN_MS + 4_983_017, LATE]
RANGES = [(LATE - 3_600_000, LATE, 60_000), (BEGIN_MS + 7_200_123, BEGIN_MS + 12_600_123, 437_000)]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A real Prometheus on a free port, back-filled with the samples."""
    prometheus, promtool = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "samples.txt").write_text(openmetrics(recorded(), 0))
    fill = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples.txt"), str(folder / "data")]
    subprocess.run(fill, check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").write_text("global: {evaluation_interval: 1m}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.retention.time=100y",
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("w"),
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(client, folder / "log")
            yield client
    finally:
        server.terminate()
        server.wait(10)


def wait_until_ready(client: httpx.Client, log: Path) -> None:
    for _ in range(100):
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def lab() -> Callable[..., Any]:
    app = Starlette(routes=routes(recorded(), [], lambda: "http://lab/prometheus"))

    async def asked(method: str, path: str, **parameters: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab") as client:
            return await client.request(method, path, **parameters)

    def ask(method: str, path: str, **parameters: Any) -> httpx.Response:
        return asyncio.run(asked(method, path, **parameters))

    return ask


def both(real: httpx.Client, lab: Callable[..., Any], path: str, method: str = "GET", **parameters: Any) -> None:
    theirs = real.request(method, path, **parameters)
    ours = lab(method, path, **parameters)
    expected, got = theirs.json(), ours.json()
    assert (ours.status_code, got.get("errorType")) == (theirs.status_code, expected.get("errorType")), (expected, got)
    if expected["status"] == "error":
        assert POSITION.sub(":", got["error"]) == POSITION.sub(":", expected["error"])
        return
    difference = differing(expected["data"], got["data"])
    assert difference is None, difference


def differing(expected: Any, got: Any) -> str | None:
    """The first difference between two results, or None. Series are compared by labels, values to 1e-9."""
    if not isinstance(expected, dict) or "resultType" not in expected:
        return None if expected == got else f"expected {expected}, got {got}"
    if expected["resultType"] != got["resultType"]:
        return f"expected {expected['resultType']}, got {got['resultType']}"
    if expected["resultType"] in ("scalar", "string"):
        return values_differing([expected["result"]], [got["result"]])
    wanted, found = by_labels(expected["result"]), by_labels(got["result"])
    if wanted.keys() != found.keys():
        return f"only there: {sorted(wanted.keys() - found.keys())}, only here: {sorted(found.keys() - wanted.keys())}"
    for labels, values in wanted.items():
        if difference := values_differing(values, found[labels]):
            return f"{labels}: {difference}"
    return None


def by_labels(result: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {json.dumps(one["metric"], sort_keys=True): one.get("values") or [one["value"]] for one in result}


def values_differing(wanted: list[Any], found: list[Any]) -> str | None:
    if [at for at, _ in wanted] != [at for at, _ in found]:
        return f"times differ: {[at for at, _ in wanted][:20]} and {[at for at, _ in found][:20]}"
    for (at, a), (_, b) in zip(wanted, found, strict=True):
        if a != b and not close(float(a), float(b)):
            return f"at {at}: expected {a}, got {b}"
    return None


def close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-300)


def queries(kind: str) -> list[Any]:
    return [
        pytest.param(query, marks=pytest.mark.xfail(strict=True, reason=DIFFERENT[kind, query]))
        if (kind, query) in DIFFERENT
        else query
        for query in QUERIES
    ]


@pytest.mark.parametrize("query", queries("instant"))
def test_instant_answers_are_the_same(real: httpx.Client, lab: Callable[..., Any], query: str) -> None:
    for moment in MOMENTS:
        both(real, lab, "/api/v1/query", params={"query": query, "time": moment / 1000})


@pytest.mark.parametrize("query", queries("range"))
def test_range_answers_are_the_same(real: httpx.Client, lab: Callable[..., Any], query: str) -> None:
    for start, end, step in RANGES:
        parameters = {"query": query, "start": start / 1000, "end": end / 1000, "step": step / 1000}
        both(real, lab, "/api/v1/query_range", "POST", data=parameters)


REQUESTS = [
    "query?query=up&time=nonsense",
    "query?query=up&time=1e400",
    "query?query=up&timeout=1ns",
    "query?query=up&timeout=abc",
    "query?query=up&time=2026-11-20T01:00:00Z&timeout=10s",
    "query?query=up&time=2026-11-20T01:00:00.250%2B01:00",
    "query?query=up&time=2026-11-20",
    "query?time=1795140000",
    "query?query=sum(rate(x&time=1795140000",
    "query_range?query=up",
    "query_range?query=up&start=1795140000&end=1795143600&step=15",
    "query_range?query=up&start=1795140000&end=1795143600&step=1m30s",
    "query_range?query=up&start=1795140000&end=1795143600&step=0.5",
    "query_range?query=up&start=1795140000&end=1795143600&step=0",
    "query_range?query=up&start=1795140000&end=1795143600&step=-1",
    "query_range?query=up&start=1795140000&end=1795143600&step=1x",
    "query_range?query=up&start=1795140000&end=1795143600&step=",
    "query_range?query=up&start=1795143600&end=1795140000&step=15",
    "query_range?query=up&start=x&end=1795140000&step=15",
    "query_range?query=up&start=1795140000&end=&step=15",
    "query_range?query=up&start=1795140000&end=1795143600&step=0.1",
    "query_range?query=up[5m]&start=1795140000&end=1795143600&step=15",
    "query_range?query=sum(&start=1795140000&end=1795143600&step=15",
    "query_range?query=up&start=1795140000&end=1795143600&step=15&timeout=zzz",
    "series",
    "series?match[]=up&start=1795132800&end=1795150800",
    "series?match[]=up&match[]=tied&start=1795132800&end=1795150800",
    'series?match[]=app_build_info{version="1"}&start=1795132800&end=1795135000',
    "series?match[]=up[5m]",
    "series?match[]=up{",
    "series?match[]=up&start=zzz",
    "labels?start=1795132800&end=1795150800",
    "labels?match[]=memory_limit_bytes&start=1795132800&end=1795150800",
    'labels?match[]={a=""}',
    "label/pod/values?start=1795132800&end=1795150800",
    "label/__name__/values?start=1795132800&end=1795150800",
    "label/pod/values?match[]=memory_bytes&start=1795132800&end=1795150800",
    "label/no_such/values",
    "label/bad-name/values",
    "rules",
    "rules?type=alert",
    "rules?type=nonsense",
    "alerts",
    "query_exemplars?query=up&start=1795132800&end=1795150800",
    "metadata?limit=nonsense",
]


@pytest.mark.parametrize("request_line", REQUESTS)
def test_requests_are_answered_the_same(real: httpx.Client, lab: Callable[..., Any], request_line: str) -> None:
    path, _, parameters = request_line.partition("?")
    pairs = dict[str, list[str]]()
    for name, _, value in (pair.partition("=") for pair in parameters.split("&") if pair):
        pairs.setdefault(name, []).append(value.replace("%2B", "+"))
    both(real, lab, f"/api/v1/{path}", params=pairs)
