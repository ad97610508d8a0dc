"""The reads of logs: what they tell of a trouble comes first, whoever is in the catalog, and what was refused is said."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from agent.lab.ports import Pod
from tests.cluster_world import MINUTE, NOON_MS, MemoryCluster, deployment
from tests.clusters import Stage, stage
from tests.contexts import NOON, backend, context
from tools.context import Context, Subject
from tools.errors import TargetUnclear, ToolFailed
from tools.kubernetes.logs import workload_logs
from tools.logs.search import search_logs
from tools.spec import Answer, Emptiness
from tools.symptoms import Symptom, symptoms_of

LEDGER = Subject("Deployment", "eu-1", "pay", "ledger")
DECISIVE = "FATAL cannot start: dial tcp: lookup orders-db on 10.96.0.10:53: no such host"


@pytest.fixture
async def lab() -> AsyncIterator[Stage]:
    async with stage(MemoryCluster([deployment(), deployment("ledger", "pay")])) as on_stage:
        yield on_stage


def symptoms(answer: Answer) -> list[Symptom]:
    return [one for _, one in symptoms_of(answer.facts)]


def value(answer: Answer, id_: str) -> object:
    return next(fact.value for fact in answer.facts if fact.id == id_)


def write(lab: Stage, *lines: str, of: str = "ledger", pod: int = 0, minutes_ago: float = 5) -> None:
    name = lab.world.deployment(of).pods[pod].name
    start = NOON_MS - int(minutes_ago * MINUTE)
    lab.world.lines = {**lab.world.lines, name: [(start + n, line) for n, line in enumerate(lines)]}


async def test_a_workload_that_only_kubernetes_has_is_read_by_its_namespace_and_name(lab: Stage) -> None:
    write(lab, *(["handled a request"] * 50), DECISIVE)
    answer = await workload_logs(lab.context, workload="pay/ledger")
    (found,) = symptoms(answer)
    assert (found.subject, found.reason) == (LEDGER, "unknown_host")
    assert found.accuses == Subject("Service", "eu-1", "pay", "orders-db")
    assert value(answer, "lines.count") == 51


async def test_a_bare_name_means_the_incidents_own_workload(lab: Stage) -> None:
    write(lab, DECISIVE)
    with pytest.raises(TargetUnclear):
        await workload_logs(lab.context, workload="ledger")
    incident = replace(lab.context, subjects=(LEDGER,))
    assert [one.subject for one in symptoms(await workload_logs(incident, workload="ledger"))] == [LEDGER]


async def test_what_neither_the_catalog_nor_kubernetes_has_is_said(lab: Stage) -> None:
    with pytest.raises(TargetUnclear, match="Neither the catalog nor Kubernetes has a workload 'pay/nobody'"):
        await workload_logs(lab.context, workload="pay/nobody")


async def test_the_rare_decisive_line_stands_before_frequent_ones_and_is_not_cut(lab: Stage) -> None:
    long = "ERROR " + "very " * 200 + "long: connect ECONNREFUSED 10.0.0.5:5432 " + "trailing " * 100
    write(lab, *(["ERROR request failed: context deadline exceeded"] * 300), long)
    answer = await workload_logs(lab.context, workload="pay/ledger")
    first = answer.summary.splitlines()[1]
    assert first.startswith("s1 refused (accuses 10.0.0.5)")
    assert "connect ECONNREFUSED 10.0.0.5:5432" in first


async def test_pods_that_are_well_are_what_the_others_are_compared_with(lab: Stage) -> None:
    ledger = lab.world.deployment("ledger")
    ill: Pod = replace(ledger.pods[0], ready=False)
    lab.world.put(replace(ledger, pods=(ill, *ledger.pods[1:])))
    write(lab, "ERROR cart 1 is empty", "ERROR rule 7 is not valid", *(["fine"] * 9), "ERROR cart 2 is empty")
    write(lab, "ERROR cart 3 is empty", pod=1)
    found = symptoms(await workload_logs(lab.context, workload="pay/ledger"))
    assert [(one.reason, one.labels["line"]) for one in found] == [("new_error", "ERROR rule 7 is not valid")]


async def test_what_was_written_long_before_the_incident_is_no_news(lab: Stage) -> None:
    old = 'ERROR relation "audit" does not exist'
    write(lab, old, minutes_ago=25)
    write(lab, old, "ERROR connect ECONNREFUSED 10.0.0.5:5432", pod=1)
    incident = replace(lab.context, since=NOON - timedelta(minutes=4))
    found = symptoms(await workload_logs(incident, workload="pay/ledger"))
    assert [one.reason for one in found] == ["refused", "schema"]


def refuse_logs(lab: Stage, status: int, words: str) -> None:
    inner = lab.door.app

    async def door(scope: Any, receive: Any, send: Any) -> None:
        if not scope.get("path", "").endswith("/log"):
            return await inner(scope, receive, send)
        body = json.dumps({"kind": "Status", "message": words}).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": body})

    lab.door.app = door


async def test_a_log_that_is_not_there_yet_is_said_in_the_servers_words_and_never_as_no_lines(lab: Stage) -> None:
    refuse_logs(lab, 400, 'container "ledger" in pod "ledger-00000" is waiting to start: ContainerCreating')
    answer = await workload_logs(lab.context, workload="pay/ledger")
    assert "HTTP 400" in answer.summary
    assert "is waiting to start: ContainerCreating" in answer.summary
    assert "No lines" not in answer.summary
    assert (value(answer, "lines.count"), answer.empty) == (None, None)


@pytest.mark.parametrize("status", [403, 500, 502])
async def test_an_error_of_the_log_endpoint_is_an_error_of_the_read(lab: Stage, status: int) -> None:
    refuse_logs(lab, status, "the kubelet does not answer")
    with pytest.raises(ToolFailed, match=f"HTTP {status}: the kubelet does not answer"):
        await workload_logs(lab.context, workload="pay/ledger")


def loki(streams: dict[str, list[str]], names: list[str], seen: list[str], **how: Any) -> Context:
    """A Loki that has lines for the selectors given."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/labels"):
            return httpx.Response(200, json={"status": "success", "data": names})
        query = parse_qs(request.url.query.decode())["query"][0]
        seen.append(query)
        at = int(NOON.timestamp()) * 10**9
        values = [[str(at - 10**9 * (300 - n)), line] for n, line in enumerate(streams.get(query, []))]
        result = [{"stream": {"namespace": "pay"}, "values": values}] if values else []
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "streams", "result": result}})

    return replace(context(backend("loki", app=httpx.MockTransport(answer))), subjects=(LEDGER,), **how)


@pytest.mark.parametrize(
    ("names", "selector"),
    [
        (["namespace", "pod", "app"], '{namespace="pay", pod=~"ledger-[a-z0-9-]+"}'),
        (["k8s_namespace_name", "k8s_deployment_name"], '{k8s_namespace_name="pay", k8s_deployment_name="ledger"}'),
        (["service_name"], '{service_name="ledger"}'),
    ],
)
async def test_the_incidents_workload_is_found_in_loki_by_whichever_labels_it_has(
    names: list[str], selector: str
) -> None:
    seen = list[str]()
    answer = await search_logs(loki({selector: ["fine", DECISIVE]}, names, seen))
    (found,) = symptoms(answer)
    assert (found.subject, found.reason) == (LEDGER, "unknown_host")
    assert answer.data["query"] == selector


async def test_a_name_that_the_catalog_does_not_have_is_tried_as_a_label_and_then_as_the_incidents_workload() -> None:
    seen = list[str]()
    answer = await search_logs(loki({'{app="ledger"}': [DECISIVE]}, ["app"], seen), service="ledger")
    assert seen[0] == '{service="ledger"}'
    assert [one.subject for one in symptoms(answer)] == [LEDGER]


async def test_no_lines_of_the_incidents_workload_are_no_failure() -> None:
    answer = await search_logs(loki({}, ["namespace", "app"], []))
    assert (answer.empty, value(answer, "lines.count")) == (Emptiness.NO_SERIES, 0)


async def test_search_logs_tells_symptoms_first_and_counts_as_before() -> None:
    noise = [f"ERROR request {n} failed: context deadline exceeded" for n in range(200)]
    selector = '{namespace="pay"}'
    answer = await search_logs(loki({selector: [*noise, DECISIVE]}, [], []), labels={"namespace": "pay"})
    assert [one.reason for one in symptoms(answer)] == ["unknown_host", "timeout"]
    assert answer.summary.splitlines()[1].startswith("s1 unknown host (accuses orders-db")
    assert (value(answer, "lines.count"), value(answer, "p1.count")) == (201, 200)


async def test_lines_that_loki_labels_as_information_tell_nothing() -> None:
    for level, count in (("info", 0), ("error", 1), ("unknown", 1)):
        at = str(int(NOON.timestamp()) * 10**9 - 10**9)
        stream = {"stream": {"detected_level": level}, "values": [[at, "lookup orders-db: no such host"]]}
        body = {"status": "success", "data": {"resultType": "streams", "result": [stream]}}
        app = httpx.MockTransport(lambda _, body=body: httpx.Response(200, json=body))  # type: ignore[misc]
        assert len(symptoms(await search_logs(context(backend("loki", app=app)), service="x"))) == count
