"""Whatever a body holds, the answer is none of 5xx; and the API is as its description says."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.servers.conftest import free
from tests.servers.machines import running
from tests.surfaces.webhook.conftest import (
    AM,
    EVENTS,
    GRAFANA,
    JSON,
    RECORDED,
    TOKEN,
    Place,
    alert,
    door_settings,
    opened,
)

CALM = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CREDENTIALS = {"Authorization": f"Bearer {TOKEN}"}
TEXT = st.text(st.characters(codec=None), max_size=12)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "status", "more"]
AROUND = ["version", "groupKey", "receiver", "status", "alerts", "truncatedAlerts", "groupLabels"]
ATTRIBUTES = ["specversion", "id", "source", "type", "time", "subject", "data", "data_base64"]


async def ask(place: Place, posts: list[tuple[str, bytes]]) -> list[int]:
    answers = [(await place.http.post(path, content=body, headers=JSON)) for path, body in posts]
    for answer in answers:
        assert answer.status_code in (200, 202, 400), answer.text
    return [answer.status_code for answer in answers]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """One for all examples; at the end, what was kept can be read again, by the watch and by a person."""
    async with opened(door_settings(tmp_path)) as one:
        yield one
        await one.half.entries()
        await one.half.quarantined()


@CALM
@given(raw=st.binary(max_size=200), data=JSONS)
async def test_any_bytes_and_any_json_get_an_answer(place: Place, raw: bytes, data: Any) -> None:
    body = json.dumps(data).encode()
    await ask(place, [(path, one) for path in (AM, GRAFANA, EVENTS) for one in (raw, body)])


@CALM
@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), JSONS, max_size=5),
    around=st.dictionaries(st.sampled_from(AROUND), JSONS, max_size=3),
)
async def test_alerts_with_anything_in_any_field_get_an_answer(
    place: Place, fields: dict[str, Any], around: dict[str, Any]
) -> None:
    odd = alert("Odd") | fields
    body = json.dumps({"version": "4", "alerts": [alert("Good"), odd], **around}).encode()
    await ask(place, [(AM, body), (GRAFANA, body), (AM, json.dumps([odd]).encode()), (AM, json.dumps(odd).encode())])


@CALM
@given(attributes=st.dictionaries(st.sampled_from(ATTRIBUTES), JSONS, max_size=5), ring=JSONS)
async def test_events_with_anything_in_any_attribute_get_an_answer(
    place: Place, attributes: dict[str, Any], ring: Any
) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "drift", "data": {"alert": ring}}
    await ask(place, [(EVENTS, json.dumps(event).encode()), (EVENTS, json.dumps(event | attributes).encode())])


async def test_recordings_cut_and_mangled_get_an_answer(place: Place) -> None:
    body = RECORDED[0].read_bytes()
    cut = [body[:n] for n in range(0, len(body), 97)]
    mangled = [
        body[:n] + bytes([byte]) + body[n + 1 :] for n in range(0, len(body), 61) for byte in (0, 0x22, 0x5C, 0xFF)
    ]
    answers = await ask(place, [(AM, one) for one in [*cut, *mangled]])
    assert 400 in answers


async def test_nested_deeper_than_anything_can_be_written_is_no_500(place: Place) -> None:
    deep = b'{"alerts": [{"labels": {"a": "b"}, "startsAt": "2026-11-24T03:00:00Z", "x": %s1%s}]}'
    levels = [10, 19, 21, 100, 900, 980, 990, 1000, 5000]
    answers = await ask(place, [(AM, deep % (b"[" * n, b"]" * n)) for n in levels])
    assert answers[:2] == [202, 200]
    assert set(answers[2:]) == {400}


async def test_a_large_body_within_the_limit_is_taken(place: Place) -> None:
    many = [alert(f"A{n}", annotations={"description": "x" * 2_000}) for n in range(3_000)]
    answer = await place.http.post(AM, json={"version": "4", "alerts": many})
    assert (answer.status_code, answer.json()["alerts"]) == (202, 3_000)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of a real server, which takes a token."""
    folder, port = tmp_path_factory.mktemp("api"), free()
    (folder / "data").mkdir()
    command = [sys.executable, "-m", "tests.half_server", str(folder / "data"), str(port), TOKEN]
    with running(command, folder / "log", f"http://127.0.0.1:{port}/readyz"):
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json", headers=CREDENTIALS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_api_is_as_its_description_says(api: Any, mode: GenerationMode) -> None:
    """Every operation with right data, or wrong data, and all of Schemathesis' checks."""
    checked = 0
    for operation in (found.ok() for found in api.get_all_operations()):
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # there is nothing in it to be wrong
        checked += 1

        @settings(CALM, max_examples=25)
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=CREDENTIALS)

        holds()
    assert checked == (6 if mode is GenerationMode.POSITIVE else 3)
