"""Signals on real exporters, equal to what a person would write by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.command_line import Run
from tests.exporters import exporters
from tests.tools.signals.by_hand import GROUPS, Row, asking, compare, rows_of
from tests.warm import Warm
from tools.signals.dialects import shipped


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("exporters")
    with exporters(folder, postgres()) as (url, places):
        yield url, places


@rows_of("exporters")
async def test_a_signal_is_what_a_person_would_have_asked(platform: tuple[str, Mapping[str, str]], row: Row) -> None:
    async with asking(platform[0]) as made:
        await compare(made, platform[1], row)


def test_what_says_that_it_is_proved_is_compared_with_what_a_person_would_ask() -> None:
    compared = {(row.signal, row.dialect) for rows in GROUPS.values() for row in rows}
    proved = {(one.signal, dialect.name) for one in shipped() for dialect in one.dialects if dialect.proved}
    assert proved == compared


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


def test_doctor_says_how_much_of_that_resolves_here(
    stanch: Callable[..., Run], platform: tuple[str, Mapping[str, str]], warm: Warm, tmp_path: Path
) -> None:
    run = warm.stanch("--data", tmp_path / "data", "doctor", "--json", env={"STANCH_PROMETHEUS_URL": platform[0]})
    told = {row["what"]: (row["state"], row["text"]) for row in run.json}
    count = len(stanch("--json").json)
    assert told["signals prometheus"] == (
        "ok",
        f"{count} of {len(shipped())} signals resolve here; `stanch signals` names them",
    )


def test_what_is_proved_is_told_without_asking_anybody(warm: Warm, tmp_path: Path) -> None:
    rows = warm.stanch("--data", tmp_path / "data", "signals", "--coverage", "--json").json
    proved = {(one["signal"], dialect["name"]) for one in rows for dialect in one["dialects"] if dialect["proved"]}
    assert proved == {(row.signal, row.dialect) for rows in GROUPS.values() for row in rows}
    run = warm.stanch("--data", tmp_path / "data", "signals", "--coverage")
    assert f"{len(proved)} of {sum(len(one['dialects']) for one in rows)} dialects are proved" in run.out
    assert re.search(r"^node_cpu +1 of +3  ✓ node-exporter  – windows_exporter", run.out, re.MULTILINE)


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
