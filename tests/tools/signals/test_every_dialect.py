"""Every shipped dialect, evaluated by a real Prometheus and by the lab's engine: it is accepted, and it speaks of the right subject."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

import httpx
import numpy as np
import pytest
import yaml

from agent.lab.exposition import openmetrics
from agent.lab.ports import Series as Samples
from agent.lab.promql import Vector, instant
from agent.lab.samples import Recorded
from agent.platform.known import KnownPlatform
from tests.conftest import need
from tests.real_prometheus import start
from tests.tools.signals.written import BEGIN, NAMES, STRETCH, Written, written
from tools.analysis.series import Series, parse_result
from tools.signals.dialects import FOLDER, shipped
from tools.signals.question import Targets, questions, targets_of
from tools.signals.readings import readings

DIALECTS = written(shipped())
FILES = {
    path.name: [
        (one["signal"], dialect["name"]) for one in yaml.safe_load(path.read_text()) for dialect in one["dialects"]
    ]
    for path in sorted(FOLDER.glob("*.yaml"))
}
ALIKE = {  # what says whether, or counts changes or versions, says the same of both
    "gpu_xid_errors",
    "job_failures",
    "node_not_ready",
    "node_reboots",
    "restarts",
    "scrape_up",
    "served_version",
}
by_file = pytest.mark.parametrize("file", FILES)


def of_file(file: str) -> list[Written]:
    wanted = set(FILES[file])
    found = [one for one in DIALECTS if (one.signal.signal, one.dialect.name) in wanted]
    assert len(found) == len(wanted) > 0
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A real Prometheus that holds the series of every dialect."""
    programs = need("prometheus", "prometheus"), need("promtool", "prometheus")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    end = (BEGIN + len(DIALECTS) * STRETCH) * 1000
    history = openmetrics(Recorded(merged(one for dialect in DIALECTS for one in dialect.series()), end), 0)
    server, url = start(*programs, tmp_path_factory.mktemp("dialects"), port, history)
    try:
        with httpx.Client(base_url=url, timeout=30) as http:
            yield http
    finally:
        server.terminate()
        server.wait(timeout=10)


def merged(series: Iterable[Samples]) -> Iterator[Samples]:
    """One series for each set of labels, in order of time."""
    parts: dict[tuple[tuple[str, str], ...], list[Samples]] = {}
    for one in series:
        parts.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    for many in parts.values():
        yield Samples(
            many[0].labels, np.concatenate([one.times for one in many]), np.concatenate([one.values for one in many])
        )


def asked(real: httpx.Client, query: str, at: int) -> list[Series]:
    answer = real.post("/api/v1/query", data={"query": query, "time": at})
    assert answer.status_code == 200, answer.text
    return parse_result("vector", answer.json()["data"]["result"])


def value_of(found: Sequence[Series], naming: Mapping[str, str]) -> float:
    """The value of the one series with these labels."""
    values = [one.last for one in found if naming.items() <= one.labels.items()]
    assert len(values) == 1, found
    return values[0]


def targets(dialect: Written) -> Targets:
    return targets_of(one.labels for one in dialect.series() if one.labels["__name__"] == "up")


def why_not(real: httpx.Client, dialect: Written) -> str:
    """What is wrong with what a dialect says of its two subjects; nothing where all is well."""
    plain = asked(real, dialect.dialect.filled(""), dialect.at)
    expected = {name: value_of(plain, dialect.naming(name)) for name in NAMES}
    alone = dialect.signal.model_copy(update={"dialects": (dialect.dialect,)})
    platform = KnownPlatform()
    for name in NAMES:
        subject = dialect.subject(name)
        one = questions(alone, [subject], targets(dialect), platform)
        if not one:
            return f"nothing is asked for {subject}"
        found = asked(real, one[0].promql, dialect.at)
        place = (targets(dialect), platform, dialect.at - 1200.0, float(dialect.at))
        read = readings(alone, one[0].promql, one[0].dialects, found, [subject], *place)
        now = [reading.now for reading in read]
        if now != [pytest.approx(expected[name], rel=1e-9)]:
            return f"{subject.title} is {expected[name]}, and {now or 'no series'} is said of it"
    return ""


@by_file
def test_a_real_prometheus_takes_it_and_it_speaks_of_the_right_subject(real: httpx.Client, file: str) -> None:
    wrong = {}
    for one in of_file(file):
        try:
            wrong[f"{one.signal.signal}, {one.dialect.name}"] = why_not(real, one)
        except AssertionError as error:
            wrong[f"{one.signal.signal}, {one.dialect.name}"] = str(error)[:600]
    assert {name: why for name, why in wrong.items() if why} == {}


@by_file
def test_the_lab_gives_the_same_values(real: httpx.Client, file: str) -> None:
    for one in of_file(file):
        query = one.dialect.filled("")
        answer = instant(Recorded(one.series(), one.at * 1000), query, one.at * 1000).value
        assert isinstance(answer, Vector), query
        here = {tuple(sorted(labels)): float(row[0]) for labels, row in zip(answer.labels, answer.values, strict=True)}
        there = {tuple(sorted(series.labels.items())): series.last for series in asked(real, query, one.at)}
        assert here == pytest.approx(there, rel=1e-9), (one.signal.signal, one.dialect.name)


def test_the_values_of_the_two_subjects_differ_but_for_what_is_counted_alike(real: httpx.Client) -> None:
    same = set()
    for one in DIALECTS:
        found = asked(real, one.dialect.filled(""), one.at)
        if len({value_of(found, one.naming(name)) for name in NAMES}) == 1:
            same.add(one.signal.signal)
    assert same <= ALIKE
