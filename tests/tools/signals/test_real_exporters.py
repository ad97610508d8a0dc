"""Signals on real exporters, equal to what a person would write by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from agent.platform.known import KnownPlatform
from tests.command_line import Run
from tests.contexts import context
from tests.exporters import exporters
from tests.warm import Warm
from tools.context import Backend, Context, Subject
from tools.prometheus.client import prometheus
from tools.prometheus.promql import metric_of, parse, selectors
from tools.signals.dialects import shipped, signal_named
from tools.signals.signal import read_signals, server_of

# signal, the kind and the place of its subject, the query of somebody who knows this exporter
BY_HAND = (
    (
        "node_cpu",
        "Node",
        "node",
        '1 - sum(rate(node_cpu_seconds_total{mode=~"idle|iowait"}[5m])) / sum(rate(node_cpu_seconds_total[5m]))',
    ),
    ("node_load", "Node", "node", 'node_load1 / scalar(count(node_cpu_seconds_total{mode="idle"}))'),
    ("node_memory_available", "Node", "node", "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"),
    ("node_cpu_pressure", "Node", "node", "rate(node_pressure_cpu_waiting_seconds_total[5m])"),
    ("node_memory_pressure", "Node", "node", "rate(node_pressure_memory_waiting_seconds_total[5m])"),
    ("node_io_pressure", "Node", "node", "rate(node_pressure_io_waiting_seconds_total[5m])"),
    ("node_conntrack_used", "Node", "node", "node_nf_conntrack_entries / node_nf_conntrack_entries_limit"),
    ("node_clock_offset", "Node", "node", "abs(node_timex_offset_seconds)"),
    ("node_disk_use", "Node", "node", "max(rate(node_disk_io_time_seconds_total[5m]))"),
    (
        "node_network_errors",
        "Node",
        "node",
        "sum(rate(node_network_receive_errs_total[5m])) + sum(rate(node_network_transmit_errs_total[5m]))",
    ),
    ("file_descriptors", "Node", "node", "node_filefd_allocated / node_filefd_maximum"),
    ("oom_kills", "Node", "node", "increase(node_vmstat_oom_kill[5m])"),
    ("scrape_up", "Node", "node", 'up{job="node"}'),
    ("probe_up", "Target", "site", 'probe_success{instance=~".+ready"}'),
    ("probe_up", "Target", "gone", 'probe_success{instance!~".+ready"}'),
    ("probe_duration", "Target", "site", 'probe_duration_seconds{instance=~".+ready"}'),
    ("memory_use", "Service", "prometheus", 'process_resident_memory_bytes{job="prometheus"}'),
    ("cpu_use", "Service", "prometheus", 'rate(process_cpu_seconds_total{job="prometheus"}[5m])'),
    ("file_descriptors", "Service", "prometheus", 'process_open_fds{job="prometheus"} / process_max_fds'),
    ("threads", "Service", "prometheus", 'go_goroutines{job="prometheus"}'),
    ("scrape_up", "Service", "cache", 'up{job="cache"}'),
    ("server_up", "Service", "cache", "redis_up"),
    ("traffic", "Service", "cache", "rate(redis_commands_processed_total[5m])"),
    ("memory_of_limit", "Service", "cache", "redis_memory_used_bytes / redis_memory_max_bytes"),
    ("database_connections", "Service", "cache", "redis_connected_clients / redis_config_maxclients"),
    ("evictions", "Service", "cache", "rate(redis_evicted_keys_total[5m])"),
    ("server_up", "Service", "database", "pg_up"),
    ("database_connections", "Service", "database", "sum(pg_stat_activity_count) / max(pg_settings_max_connections)"),
    ("database_locks", "Database", "postgres", 'sum(pg_locks_count{datname="postgres"})'),
    ("database_deadlocks", "Database", "postgres", 'rate(pg_stat_database_deadlocks{datname="postgres"}[5m])'),
    (
        "cache_hit_ratio",
        "Database",
        "postgres",
        'rate(pg_stat_database_blks_hit{datname="postgres"}[5m]) / (rate(pg_stat_database_blks_hit{datname="postgres"}[5m]) + rate(pg_stat_database_blks_read{datname="postgres"}[5m]))',
    ),
    (
        "traffic",
        "Database",
        "postgres",
        'rate(pg_stat_database_xact_commit{datname="postgres"}[5m]) + rate(pg_stat_database_xact_rollback{datname="postgres"}[5m])',
    ),
)


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("exporters")
    with exporters(folder, postgres()) as (url, places):
        yield url, places


@pytest.fixture
async def asked(platform: tuple[str, Mapping[str, str]]) -> AsyncIterator[tuple[Context, Mapping[str, str]]]:
    url, places = platform
    async with httpx.AsyncClient(base_url=url) as http:
        made = context(Backend("prometheus", "main", url, http), as_of=datetime.now(UTC) - timedelta(seconds=5))
        yield replace(made, platform=KnownPlatform()), places


@pytest.mark.parametrize(
    ("name", "kind", "place", "by_hand"), BY_HAND, ids=[f"{name}-{place}" for name, _, place, _ in BY_HAND]
)
async def test_a_signal_is_what_a_person_would_have_asked(
    asked: tuple[Context, Mapping[str, str]], name: str, kind: str, place: str, by_hand: str
) -> None:
    made, places = asked
    subject = Subject(kind, "", "", place if kind in ("Service", "Database") else places[place])
    found = await read_signals(await server_of(made), [signal_named(name)], [subject], 20, fine=True)
    expected = (await prometheus(made).instant(by_hand)).series[0].last
    assert [one.now for one in found] == [pytest.approx(expected, rel=1e-6)], found
    assert [one.proved for one in signal_named(name).dialects if one.name == found[0].dialect] == [True]


def test_what_says_that_it_is_proved_is_compared_here() -> None:
    compared = [(name, {metric_of(node) for node in selectors(parse(by_hand))}) for name, _, _, by_hand in BY_HAND]
    proved = [(one.signal, dialect) for one in shipped() for dialect in one.dialects if dialect.proved]
    assert len({dialect.name for _, dialect in proved}) >= 8
    for signal, dialect in proved:
        assert any(signal == name and metrics <= dialect.metrics for name, metrics in compared), (signal, dialect.name)


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stanch(platform: tuple[str, Mapping[str, str]], warm: Warm, tmp_path: Path) -> Callable[..., Run]:
    """The command line over the exporters' Prometheus."""
    env = {"STANCH_PROMETHEUS_URL": platform[0]}
    return lambda *args: warm.stanch("--data", tmp_path / "data", "signals", *args, env=env)


def test_a_person_sees_what_is_measured_of_a_thing(
    stanch: Callable[..., Run], platform: tuple[str, Mapping[str, str]]
) -> None:
    run = stanch("cache", "--json")
    assert run.code == 0
    found = {one["signal"]: one for one in run.json}
    assert {"server_up", "memory_of_limit", "database_connections"} <= set(found)
    one = found["server_up"]
    assert (one["now"], one["dialect"], one["nothing"]) == (1.0, "Redis exporter", None)
    assert (one["subject"]["kind"], one["subject"]["name"]) == ("Service", "cache")
    down = stanch(f"Target/{platform[1]['gone']}")
    assert "! probe up of" in down.out


def test_without_a_subject_it_says_what_resolves_here_and_through_what(stanch: Callable[..., Run]) -> None:
    rows = {one["signal"]: [dialect["name"] for dialect in one["dialects"]] for one in stanch("--json").json}
    assert "node-exporter" in rows["node_cpu"]
    assert "gpu_temperature" not in rows
    assert "gpu_temperature" in stanch("--all").out


def test_a_thing_that_nothing_is_measured_of_is_said_to_be_so(stanch: Callable[..., Run]) -> None:
    run = stanch("Deployment/shop/nobody")
    assert run.code == 6
    assert "No signal is known" in run.out


def test_more_than_one_subject_is_refused_with_the_form(stanch: Callable[..., Run]) -> None:
    run = stanch("one", "two")
    assert run.code == 2
    assert "[Kind/][namespace/]name" in run.err


def test_a_file_of_signals_is_tried_before_it_is_used(stanch: Callable[..., Run], tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    entry = """
- signal: letters_waiting
  meaning: letters that wait
  unit: count
  worse: up
  dialects:
  - {name: ours, source: "https://post.example/metrics", query: "max by (<by>)(%s{<match>})"}
"""
    own.write_text(entry % "redis_connected_clients")
    run = stanch("test", own)
    assert (run.code, "1 series" in run.out) == (0, True)
    own.write_text(entry.replace("<match>", "<match>,=") % "x")
    run = stanch("test", own)
    assert run.code == 2
    assert "own.yaml" in run.err
