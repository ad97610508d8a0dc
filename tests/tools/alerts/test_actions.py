"""Silences, against a real Alertmanager where one is installed, and against a scripted one for what a real one never does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from agent.clock import RealClock
from tests.conftest import need
from tests.contexts import backend, context
from tools.alerts.actions import ExpireSilence, SilenceAlert
from tools.context import Context, Service
from tools.errors import BadArguments, Refused, ToolFailed, Unreachable
from tools.toolbox import Tools

KEY = "inc-1:p1:1"
SILENCE = SilenceAlert(
    alertname="HttpLatencyHigh", labels={"service": 'we"b'}, minutes=30, reason="node is being drained"
)


@pytest.fixture
async def alertmanager(free_port: Callable[[], int], tmp_path: Path) -> AsyncIterator[Context]:
    program = need("prometheus-alertmanager", "prometheus-alertmanager")
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={tmp_path}/alertmanager.yml",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    place = backend("alertmanager", url)
    try:
        await _ready(place.http)
        yield context(place, clock=RealClock())
    finally:
        process.terminate()
        await process.wait()
        await place.http.aclose()


async def _ready(http: httpx.AsyncClient) -> None:
    for _ in range(100):
        try:
            if (await http.get("/-/ready")).is_success:
                return
        except httpx.ConnectError:
            await asyncio.sleep(0.1)
    raise AssertionError("Alertmanager did not start within 10 s")


@pytest.mark.server
async def test_a_silence_is_set_seen_and_taken_back_on_a_real_alertmanager(alertmanager: Context) -> None:
    before = await SILENCE.observe(alertmanager)
    assert before.fields["silence"] is None
    assert await SILENCE.probe(alertmanager, KEY) is False

    receipt = await SILENCE.apply(alertmanager, before, KEY)
    after = await SILENCE.observe(alertmanager)
    assert after == SILENCE.change(before, KEY)
    assert await SILENCE.probe(alertmanager, KEY) is True
    found = (await alertmanager.backends.all[0].http.get("/api/v2/silences")).json()
    assert (len(found), found[0]["comment"]) == (1, f"node is being drained [stanch {KEY}]")

    undo = SILENCE.undo(before)
    assert isinstance(undo, ExpireSilence)
    assert undo.silence_id == "{receipt.silence_id}"
    expire = undo.model_copy(update=receipt.values)
    active = await expire.observe(alertmanager)
    assert active.fields == {"state": "active"}
    await expire.apply(alertmanager, active, "k2")
    assert await expire.observe(alertmanager) == expire.change(active, "k2")
    assert (await SILENCE.observe(alertmanager)).fields["silence"] is None
    assert await SILENCE.probe(alertmanager, KEY) is True, "it did happen, although it has ended"


@pytest.mark.server
async def test_ending_a_silence_nobody_knows_is_refused(alertmanager: Context) -> None:
    none = ExpireSilence(silence_id="00000000-0000-4000-8000-000000000000")
    with pytest.raises(Refused, match="no silence"):
        await none.observe(alertmanager)


def scripted(answer: Callable[[httpx.Request], httpx.Response]) -> Context:
    return context(backend("alertmanager", app=httpx.MockTransport(answer)))


async def test_a_lost_answer_is_not_refused_and_no_connection_is() -> None:
    before = SILENCE.change(await SILENCE.observe(scripted(lambda _: httpx.Response(200, json=[]))), "none")

    def lost(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("cut", request=request)

    def unreached(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unreachable):
        await SILENCE.apply(scripted(lost), before, KEY)
    with pytest.raises(Refused, match="Nothing was sent"):
        await SILENCE.apply(scripted(unreached), before, KEY)
    with pytest.raises(Refused, match="matchers in body"):
        await SILENCE.apply(scripted(lambda _: httpx.Response(400, json="matchers in body")), before, KEY)


@pytest.mark.parametrize("status", [500, 503, 302, 408])
async def test_an_answer_that_tells_nothing_is_not_refused(status: int) -> None:
    with pytest.raises(ToolFailed):
        await SILENCE.apply(scripted(lambda _: httpx.Response(status)), await _nothing(), KEY)


async def _nothing():  # type: ignore[no-untyped-def]
    return await SILENCE.observe(scripted(lambda _: httpx.Response(200, json=[])))


@pytest.mark.parametrize("body", [b"<html>", b'{"a": 1}', b"[1]"])
async def test_a_foreign_server_is_a_failed_read(body: bytes) -> None:
    with pytest.raises(ToolFailed, match="address"):
        await SILENCE.probe(scripted(lambda _: httpx.Response(200, content=body)), KEY)


def test_a_silence_always_ends_within_a_day() -> None:
    for minutes in (0, 1441, None):
        with pytest.raises(BadArguments, match="minutes"):
            SilenceAlert.parse({"alertname": "A", "minutes": minutes, "reason": "because"})
    with pytest.raises(BadArguments, match="alertname is an argument"):
        SilenceAlert.parse({"alertname": "A", "labels": {"alertname": "B"}, "minutes": 5, "reason": "because"})


async def test_the_silence_that_is_sent_has_exact_matchers_and_an_end() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"silenceID": "ac9c29ac"})

    place = scripted(answer)
    await SILENCE.apply(place, await _nothing(), KEY)
    body = json.loads(sent[0].content)
    assert body["matchers"] == SILENCE.matchers()
    assert body["endsAt"] == (place.clock.now() + timedelta(minutes=30)).isoformat().replace("+00:00", "Z")
    assert all(not m["isRegex"] for m in body["matchers"])


def test_the_target_is_the_alertmanager_and_the_command_is_quoted() -> None:
    service = Service("web", {"service": 'we"b'}, environment="production")
    here = context(backend("alertmanager", "http://am.test:9093", name="am-eu"), services=(service,))
    target = SILENCE.target(here)
    assert (target.cluster, target.service, target.environment) == ("am-eu", "web", "production")
    assert """'service="we\\"b"'""" in SILENCE.command(here)
    assert SILENCE.command(here).endswith("--alertmanager.url=http://am.test:9093")
    assert SILENCE.command(context()).endswith('--alertmanager.url="$ALERTMANAGER_URL"')
    assert ExpireSilence.undo_only


def test_a_silence_without_labels_takes_the_incidents_own_and_never_all_of_a_name() -> None:
    bare = SilenceAlert(alertname="HttpLatencyHigh", minutes=30, reason="node is being drained")
    mine = {"alertname": "HttpLatencyHigh", "severity": "page", "service": "web"}
    assert bare.resolved(context(labels=mine)).model_dump()["labels"] == {"service": "web"}
    for labels in ({}, {"alertname": "HttpLatencyHigh"}, {"alertname": "Other", "service": "web"}):
        with pytest.raises(Refused, match="every alert called HttpLatencyHigh would fall silent"):
            bare.resolved(context(labels=labels))
    assert SILENCE.resolved(context(labels=mine)) == SILENCE


def test_what_mends_nothing_says_so() -> None:
    assert not SilenceAlert.mitigates


async def test_what_only_undoes_is_offered_to_nobody() -> None:
    backends = context(backend("alertmanager")).backends
    offered = Tools(actions=(SilenceAlert, ExpireSilence)).offered(backends)
    assert offered.actions == (SilenceAlert,)
