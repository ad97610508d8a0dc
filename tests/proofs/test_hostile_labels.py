"""A value from outside is one value of one selector, whatever stands in it: by a parser of ours and by Prometheus' own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import promql_parser
import pytest

from agent.errors import BadArguments, UnusableInput
from tests.proofs.hostile_labels import hostile
from tests.proofs.report import Report
from tests.proofs.ways import READS, WAYS
from tests.real_prometheus import running
from tools.prometheus.promql import matchers_of, metric_of, selectors

ALL, ALL_OF_READS = 1_000, 250
SHORT, SHORT_OF_READS = 160, 20  # what a read does with a value costs a hundred times as much
REAL, REAL_OF_READS = 1_000, 100
REAL_SHORT, REAL_SHORT_OF_READS = 40, 5
HARMLESS = "harmless"
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_GO = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(?:([abfnrtv\\\"'])|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def values(report: Report, way: str, real: bool = False) -> list[str]:
    """The values for a way; of a share every so manieth, so that listed and made ones are among them."""
    of_reads = way in READS
    if real:
        short, long = (REAL_SHORT_OF_READS, REAL_OF_READS) if of_reads else (REAL_SHORT, REAL)
    else:
        short, long = (SHORT_OF_READS, ALL_OF_READS) if of_reads else (SHORT, ALL)
    return list(hostile(ALL)[:: ALL // (long if report.long else short)])


async def made(way: str, value: str) -> list[str]:
    """What a way makes of a value; one that refuses it (half a character, too many brackets) makes nothing."""
    try:
        return list(await WAYS[way](value))
    except (UnusableInput, BadArguments):
        return []


def whole(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def meant(op: str, found: str, value: str) -> str:
    """A matcher's value with the one that was given taken out: exactly once, as itself or as a pattern for nothing else."""
    if op in ("=", "!="):
        return found.replace(value, "…", 1) if found in (value, value + "-") else found
    for tail in ("|", "-.+", ""):
        pattern = found.removesuffix(tail)
        if found.endswith(tail) and re.fullmatch(pattern, value) and not re.fullmatch(pattern, value + "x"):
            return f"…{tail}"
    return found


Shape = list[tuple[str, list[tuple[str, str, str]]]]  # of each selector: its metric, and its matchers


def shape(query: str) -> Shape:
    return [(metric_of(one), list(matchers_of(one))) for one in selectors(promql_parser.parse(query))]


def marked(found: Shape, value: str, like: Shape | None = None) -> Shape:
    """The value taken out where it stands; with `like`, where that has it: a metric may be called as the value is."""

    def one(op: str, text: str, expected: str | None) -> str:
        return meant(op, text, value) if expected is None or "…" in expected else text

    places = like if like is not None else [(None, [(None, None, None)] * len(matchers)) for _, matchers in found]
    return [
        (
            one("=", metric, wanted),
            [(name, op, one(op, text, w[2])) for (name, op, text), w in zip(matchers, ws, strict=True)],
        )
        for (metric, matchers), (wanted, ws) in zip(found, places, strict=True)
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_a_value_is_one_matcher_of_one_selector(way: str, report: Report) -> None:
    harmless = [marked(shape(query), HARMLESS) for query in await made(way, HARMLESS)]
    assert "…" in str(harmless)
    tried = 0
    chosen = values(report, way)
    for value in chosen:
        queries = await made(way, value)
        tried += bool(queries)
        for query, expected in zip(queries, harmless, strict=False):
            if value:  # an empty one selects what lacks the label, and nothing may be left to select by
                assert marked(shape(query), whole(value), expected) == expected, (value, query)
    assert tried >= len(chosen) * 0.8
    if way == "a label":
        report.add(hostile_labels=tried)


@pytest.mark.parametrize("way", [name for name in WAYS if name not in ("search_logs", "compare_metrics")])
async def test_prometheus_reads_it_as_one_string(way: str, report: Report, prometheus: str) -> None:
    """Prometheus writes back what it has read; outside the strings nothing may differ from a harmless value's query."""
    chosen = values(report, way, real=True)
    async with httpx.AsyncClient(base_url=prometheus, timeout=30) as http:
        harmless = [await read_back(http, query) for query in await made(way, HARMLESS)]
        for value in chosen:
            if value == "" or (way == "a metric's name" and not value.strip()):
                continue
            for query, (skeleton, strings) in zip(await made(way, value), harmless, strict=False):
                found = await read_back(http, query)
                assert found[0] == skeleton, (value, query)
                for text, expected in zip(found[1], strings, strict=True):
                    assert (whole(value) in text) == (HARMLESS in expected) or "=~" in query, (value, query)
                    if expected == HARMLESS and "=~" not in query:
                        assert text == whole(value), (value, query)


async def read_back(http: httpx.AsyncClient, query: str) -> tuple[str, list[str]]:
    """(the query without its strings, the strings' values) as Prometheus understands it."""
    answer = (await http.post("/api/v1/format_query", data={"query": query})).json()
    assert answer["status"] == "success", (query, answer)
    text = str(answer["data"])
    return re.sub(r"\s+", "", _STRING.sub('""', text)), [unquoted(found) for found in _STRING.findall(text)]


def unquoted(text: str) -> str:
    """A string of Go as its value; a byte that is no UTF-8 stays visible as one."""

    def one(found: re.Match[str]) -> str:
        plain, *codes = found.groups()
        return _GO.get(plain, plain) if plain else chr(int(next(code for code in codes if code), 16))

    return _ESCAPE.sub(one, text)


def test_strings_of_go_are_read_as_they_are_written() -> None:
    assert unquoted(r"a\"b\\n\n\x00\u2028\U0010ffff") == 'a"b\\n\n\x00\u2028\U0010ffff'
    assert json.loads('"\\u2028"') == unquoted(r"\u2028")


def test_there_are_as_many_values_as_promised_and_none_twice() -> None:
    assert len(set(hostile(ALL))) == ALL
    assert hostile(ALL) == hostile(ALL)
