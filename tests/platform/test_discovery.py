"""Discovery asks all backends at once; one that does not answer makes the map smaller and is named in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx

from agent.clock import MovedClock
from agent.platform.discovery import discover, map_of_catalog
from agent.platform.edges import CATALOG
from agent.platform.platform_map import Edge, EdgeKind, joined
from tests.contexts import NOON, ListedCatalog, backend, context
from tests.kubernetes_api import FakeApi, api_server, thing
from tools.context import Backends, Model, Service, Subject, Workload

LOADS = tuple(Workload("press-v2", "mill", cluster) for cluster in ("eu", "us"))
PRESS = Service("press", {"team": "mill"}, depends_on=("ink",), serves_model="layout", workloads=LOADS)
INK = Service("ink", {"team": "ink"}, workloads=(Workload("ink", "mill", "us", "StatefulSet"),))
LAYOUT = Model("layout", "layout-v7", served_by="press", features_from=("ink",))


async def test_what_backends_and_the_catalog_tell_is_one_map() -> None:
    api = FakeApi({"deployments": [thing("press-v2", "mill", spec={"template": {"metadata": {"labels": {}}}})]})
    async with api_server(api) as kubernetes:
        found = await discover(context(kubernetes, services=(PRESS, INK)))
    workload = Subject("Deployment", "eu", "mill", "press-v2")
    assert found.nodes[workload] == {"Kubernetes", CATALOG}
    assert found.same_as(workload) == (Subject("Service", "eu", "mill", "press"),)
    assert found.as_of == NOON
    assert [one.what for one in found.unseen] == ["Prometheus"]
    assert "none is configured" in found.unseen[0].why


async def test_a_backend_that_does_not_answer_is_said_and_the_others_are_kept() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    async def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    servers = [
        backend("prometheus", app=httpx.MockTransport(slow), name="sleepy"),
        backend("prometheus", app=httpx.MockTransport(refuse), name="gone"),
    ]
    found = await discover(context(*servers, services=(PRESS, INK)), patience_s=0.05)
    told = {one.what: one.why for one in found.unseen}
    assert told["Prometheus sleepy"] == "it did not tell all within 0.05 s"
    assert "did not answer" in told["Prometheus gone"]
    assert Subject("Service", "us", "mill", "ink") in found.nodes


async def test_kubernetes_is_not_asked_about_an_earlier_time() -> None:
    async with api_server(FakeApi({"pods": [thing("p", "mill")]})) as kubernetes:
        past = replace(
            context(clock=MovedClock(NOON)), as_of=NOON - timedelta(hours=2), backends=Backends((kubernetes,))
        )
        found = await discover(past)
    assert found.nodes == {}
    assert "the present only" in found.unseen[0].why


def test_the_catalog_says_who_needs_whom_in_the_same_cluster_where_it_can() -> None:
    platform = joined([map_of_catalog(ListedCatalog((PRESS, INK), (LAYOUT,)))], NOON)
    callers = {e.source.cluster: e.target for e in platform.edges if e.kind is EdgeKind.CALLS}
    ink = Subject("Service", "us", "mill", "ink")
    assert callers == {"eu": ink, "us": ink}
    model = Subject("Model", "", "", "layout")
    assert Edge(Subject("Service", "eu", "mill", "press"), model, EdgeKind.SERVES, CATALOG) in platform.edges
    assert Edge(model, ink, EdgeKind.READS, CATALOG) in platform.edges
    assert Subject("StatefulSet", "us", "mill", "ink") in platform.nodes


def test_a_service_that_names_no_workload_has_no_place() -> None:
    part = map_of_catalog(ListedCatalog((Service("mail"),)))
    assert list(part.nodes) == [Subject("Service", "", "", "mail")]
