"""The read of logs through Loki's API."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest

from tests.contexts import NOON, backend, context
from tools.context import Context, Service
from tools.errors import BadArguments, ToolFailed
from tools.logs.lines import is_error
from tools.logs.search import MOST_LINES, search_logs
from tools.spec import Emptiness

END_NS = int(NOON.timestamp()) * 10**9
FORECAST = Service("demand-forecast", {"app": "forecast"})


def streams(*lines: str, **labels: str) -> dict[str, object]:
    values = [[str(END_NS - n * 10**9), line] for n, line in enumerate(lines)]
    return {"status": "success", "data": {"resultType": "streams", "result": [{"stream": labels, "values": values}]}}


def answering(body: object, status: int = 200, seen: list[httpx.Request] | None = None) -> Context:
    def handler(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, json=body)

    return context(backend("loki", app=httpx.MockTransport(handler)), services=(FORECAST,))


async def test_lines_are_counted_by_pattern_errors_first() -> None:
    lines = [f"request {n} took {n * 3} ms" for n in range(50)] + [f"ERROR timeout after {n} ms" for n in range(3)]
    answer = await search_logs(answering(streams(*lines)), service="demand-forecast")
    facts = {f.id: f.value for f in answer.facts}
    assert (facts["lines.count"], facts["errors.count"], facts["patterns.count"]) == (53, 3, 2)
    assert (facts["p1.count"], facts["p2.count"]) == (3, 50)
    assert "p1 error ×3" in answer.summary
    assert "took 30 ms" not in answer.summary
    assert answer.data["patterns"][0]["example"].startswith("ERROR timeout")


async def test_the_selector_comes_from_the_catalog_and_text_is_quoted() -> None:
    seen: list[httpx.Request] = []
    await search_logs(answering(streams("x"), seen=seen), service="demand-forecast", contains='a"b` |= "')
    asked = parse_qs(seen[0].url.query.decode())
    assert asked["query"] == ['{app="forecast"} |= "a\\"b` |= \\""']
    assert int(asked["end"][0]) - int(asked["start"][0]) == 30 * 60 * 10**9
    assert int(asked["end"][0]) == END_NS


async def test_no_lines_is_not_a_failure() -> None:
    answer = await search_logs(answering(streams()), service="x")
    assert answer.empty is Emptiness.NO_SERIES
    assert answer.facts[0].value == 0


async def test_a_cut_answer_says_which_window_was_read() -> None:
    answer = await search_logs(answering(streams(*["line"] * MOST_LINES)), service="x")
    assert f"only the newest {MOST_LINES} were read" in answer.summary
    assert answer.facts[0].window.startswith("2026-11-24T11:26:41")


async def test_lokis_own_words_reach_the_reader() -> None:
    with pytest.raises(ToolFailed, match="parse error at line 1"):
        await search_logs(answering({"message": "parse error at line 1"}, 400), query='{a="b"')


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {"data": {"resultType": "matrix", "result": []}},
        {"data": {"resultType": "streams", "result": [1]}},
        {"data": {"resultType": "streams", "result": [{"stream": {}, "values": [["x", "y"]]}]}},
    ],
)
async def test_what_is_not_lines_is_said_so(body: object) -> None:
    with pytest.raises(ToolFailed, match="Loki"):
        await search_logs(answering(body), service="x")


async def test_a_call_without_any_selection_is_refused() -> None:
    for arguments in ({}, {"contains": "x"}, {"query": 'sum(rate({a="b"}[5m]))'}):
        with pytest.raises(BadArguments):
            await search_logs(answering(streams()), **arguments)


@pytest.mark.parametrize(
    ("line", "labels", "error"),
    [
        ("ERROR boom", {}, True),
        ("level=error msg=x", {}, True),
        ("java.lang.NullPointerException: x", {}, True),
        ("finished with 0 errors", {}, False),
        ("info: fine", {}, False),
        ("ERROR boom", {"level": "info"}, False),
        ("fine", {"level": "ERROR"}, True),
        ("ERROR boom", {"detected_level": "unknown"}, True),
        ("terrors", {}, False),
    ],
)
def test_an_error_is_known_by_its_level_or_its_words(line: str, labels: dict[str, str], error: bool) -> None:
    assert is_error(line, labels) is error
