"""Rules as people write them, firing on a real Prometheus: times, constants, patterns of names, long windows, several sides."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contexts import context
from tests.exporters import scraping, until, value_of
from tools.alerts.expression import breach_of
from tools.alerts.history import alert_history
from tools.alerts.rule import alert_rule
from tools.context import Backend, Context
from tools.spec import Answer

RULES = Path(__file__).parents[2] / "fixtures" / "rules" / "odd.yml"
BEGAN = time.time()
STARTED = BEGAN - 50_000  # the job of JobNotCompleted


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        spans = int((time.time() - BEGAN) * 100)
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(
            f"""kube_job_status_start_time{{namespace="shop",job_name="nightly-export-29311"}} {STARTED:.0f}
kube_job_status_active{{namespace="shop",job_name="nightly-export-29311"}} 1
replica_io_running{{db="main"}} 1
replica_sql_running{{db="main"}} 0
otelcol_exporter_sent_spans_total {spans}
otelcol_exporter_send_failed_spans_total {spans * 3}
disk_free_bytes{{mount="/data"}} 5e9
queue_depth{{q="mail"}} 50
lag_over_time_seconds{{db="main"}} 40
""".encode()
        )

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def measured() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("rules")
    with measured() as place:
        jobs: list[dict[str, Any]] = [{"job_name": "fake", "static_configs": [{"targets": [place]}]}]
        with scraping(folder, jobs, rules=RULES) as address:
            until(lambda: value_of(address, 'count(ALERTS{alertstate="firing"})') >= 7, "seven alerts that fire")
            yield address


@pytest.fixture
async def here(url: str) -> AsyncIterator[Context]:
    async with httpx.AsyncClient(base_url=url) as http:
        yield context(Backend("prometheus", "main", url, http), as_of=datetime.now(UTC), labels={})


def facts(answer: Answer) -> dict[str, Any]:
    return {fact.id: fact.value for fact in answer.facts}


async def test_a_time_less_a_time_is_a_duration_and_never_a_date(here: Context) -> None:
    answer = await alert_rule(here, alertname="JobNotCompleted")
    assert facts(answer)["value.last"] == pytest.approx(time.time() - STARTED, abs=20)
    assert {fact.unit for fact in answer.facts if fact.id in ("value.last", "limit")} == {"s"}
    assert re.search(r"5\d,\d\d\d s \(1[345](\.\d)? h\); fires when > 43,200 s \(12 h\)", answer.summary), (
        answer.summary
    )
    assert "1970" not in answer.summary


async def test_a_series_that_is_young_has_not_breached_for_an_hour(here: Context) -> None:
    answer = await alert_rule(here, alertname="QueueDeep")
    assert "when its series began" in answer.summary
    assert "whole last hour" not in answer.summary
    assert facts(answer)["began"] == pytest.approx(time.time(), abs=120)


async def test_a_history_of_seconds_is_told_in_seconds(here: Context) -> None:
    answer = await alert_history(here, alertname="QueueDeep")
    assert re.search(r"in the ([\d.]+ |)(s|min|minute) that history reaches back", answer.summary), answer.summary


async def test_a_window_of_thirty_days_is_asked_for_at_one_instant(here: Context) -> None:
    answer = await alert_rule(here, alertname="LowUptime30d")
    assert facts(answer)["value.last"] == 100
    assert (facts(answer)["breaching.count"], facts(answer)["began"]) == (1, None)
    assert "in breach." in answer.summary


async def test_a_pattern_of_metric_names_that_narrows_is_asked_for(here: Context) -> None:
    answer = await alert_rule(here, alertname="ExporterFails")
    assert facts(answer)["value.last"] == pytest.approx(3, abs=0.1)
    assert facts(answer)["limit"] == 0.05


async def test_of_two_conditions_the_one_that_fires_is_told_by_its_name(here: Context) -> None:
    answer = await alert_rule(here, alertname="ReplicaBroken")
    assert "Now replica_sql_running of " in answer.summary
    assert (facts(answer)["value.last"], facts(answer)["breaching.count"]) == (0, 1)
    assert "not in breach" not in answer.summary


async def test_a_raw_string_is_read_as_prometheus_reads_it(here: Context) -> None:
    answer = await alert_rule(here, expr="lag_over_time_seconds{db=~`ma\\w+`} > 10")
    assert (facts(answer)["value.last"], facts(answer)["breaching.count"]) == (40, 1)


async def test_a_limit_that_is_computed_is_a_limit(here: Context) -> None:
    answer = await alert_rule(here, alertname="DiskLow")
    assert (facts(answer)["value.last"], facts(answer)["limit"]) == (5e9, 10 * 1024**3)
    assert facts(answer)["breaching.count"] == 1


def test_a_label_in_quotes_stays_in_quotes() -> None:
    breach = breach_of('sum by ("service.name") (queue_depth{"service.name"!=""}) > 10')
    assert breach.text == 'sum by ("service.name") (queue_depth{"service.name"!=""})'
    assert breach_of(f"{breach.text} > 10") is not None
