"""The lab's Kubernetes API, asked by the real kr8s over real HTTP, and by plain REST as kubectl would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from agent.lab.kubernetes import routes
from agent.lab.ports import ClusterEvent
from tests.cluster_world import MINUTE, NOON_MS, MemoryCluster, deployment
from tests.serving import served

APPS = "/apis/apps/v1/namespaces/ml"
ONE = f"{APPS}/deployments/forecast-server"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def world() -> MemoryCluster:
    return MemoryCluster([deployment(), deployment("web", "shop", autoscaled_by="web-hpa")])


@pytest.fixture
async def rest(world: MemoryCluster) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes({"eu-1": world}))
    base = "http://lab.test/kubernetes/eu-1"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
        yield client


async def patch(rest: httpx.AsyncClient, path: str, body: Any, kind: str = "merge", **params: str) -> httpx.Response:
    names = {"merge": "merge-patch", "strategic": "strategic-merge-patch", "json": "json-patch", "apply": "apply-patch"}
    headers = {"content-type": f"application/{names[kind]}+json"}
    return await rest.patch(path, content=json.dumps(body), headers=headers, params=params)


async def test_kr8s_finds_scales_and_patches_a_deployment(world: MemoryCluster, tmp_path: Any) -> None:
    from kr8s.asyncio import api as connect
    from kr8s.asyncio.objects import Deployment

    async with served(Starlette(routes=routes({"eu-1": world}))) as url:
        server = {"server": f"{url}/kubernetes/eu-1"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "eu-1",
            "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "eu-1", "cluster": server}],
            "contexts": [{"name": "eu-1", "context": {"cluster": "eu-1", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        api = await connect(kubeconfig=str(tmp_path / "kubeconfig"), context="eu-1")
        found = await Deployment.get("forecast-server", namespace="ml", api=api)
        await found.scale(5)
        await found.patch({"metadata": {"annotations": {"owner": "ann"}}})
        pods = [pod.name async for pod in api.get("po", namespace="ml")]
        kinds = {one["kind"] for one in await api.api_resources()}
        await api._session.aclose()  # kr8s offers no way to close it

    assert found.replicas == 5
    assert len(pods) == 5
    assert world.deployment().annotations == {"owner": "ann"}
    assert {"Deployment", "ReplicaSet", "Pod", "HorizontalPodAutoscaler", "Event", "Namespace"} <= kinds


async def test_objects_carry_what_a_reader_of_rollouts_needs(rest: httpx.AsyncClient) -> None:
    sets = (await rest.get(f"{APPS}/replicasets")).json()["items"]
    by_revision = {one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: one for one in sets}
    assert set(by_revision) == {"1", "2"}
    newest = by_revision["2"]
    assert newest["metadata"]["ownerReferences"][0]["name"] == "forecast-server"
    assert newest["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":v41")
    assert newest["metadata"]["creationTimestamp"] == "2026-11-24T10:30:00Z"
    assert newest["status"]["replicas"] == 3


async def test_selectors_choose_pods_by_label_and_events_by_object(
    rest: httpx.AsyncClient, world: MemoryCluster
) -> None:
    world.happened = [
        ClusterEvent(NOON_MS - MINUTE, "ml", "Pod", "forecast-server-00001", "BackOff", "again", "Warning", 4),
        ClusterEvent(NOON_MS - MINUTE, "ml", "Pod", "other", "Pulled", "image"),
    ]
    labels = {"labelSelector": "app=forecast-server,team in (forecast,web),!canary"}
    pods = (await rest.get("/api/v1/pods", params=labels)).json()["items"]
    fields = {"fieldSelector": "involvedObject.name=forecast-server-00001,type!=Normal"}
    events = (await rest.get("/api/v1/namespaces/ml/events", params=fields)).json()["items"]
    assert len(pods) == 3
    assert [(one["reason"], one["count"]) for one in events] == [("BackOff", 4)]


async def test_a_stale_resource_version_is_a_conflict_and_changes_nothing(
    rest: httpx.AsyncClient, world: MemoryCluster
) -> None:
    answer = await patch(rest, ONE, {"metadata": {"resourceVersion": "99"}, "spec": {"replicas": 9}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    assert world.changes == []
    answer = await patch(rest, ONE, {"metadata": {"resourceVersion": "100"}, "spec": {"replicas": 9}})
    assert (answer.status_code, answer.json()["spec"]["replicas"]) == (200, 9)


async def test_a_failed_json_test_is_422_and_changes_nothing(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    replace_ = {"op": "replace", "path": "/spec/replicas", "value": 4}
    wrong = await patch(rest, ONE, [{"op": "test", "path": "/metadata/generation", "value": 1}, replace_], "json")
    assert (wrong.status_code, world.changes) == (422, [])
    right = await patch(rest, ONE, [{"op": "test", "path": "/metadata/generation", "value": 2}, replace_], "json")
    assert (right.status_code, right.json()["metadata"]["generation"]) == (200, 3)


async def test_a_dry_run_shows_the_change_and_makes_none(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    answer = await patch(rest, ONE, {"spec": {"replicas": 7}}, dryRun="All")
    assert answer.json()["spec"]["replicas"] == 7
    assert answer.json()["metadata"]["generation"] == 3
    assert (world.deployment().replicas, world.changes) == (3, [])


async def test_a_strategic_patch_merges_containers_by_name(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    containers = [{"name": "forecast-server", "image": "registry.test/forecast-server:v42"}]
    answer = await patch(rest, ONE, {"spec": {"template": {"spec": {"containers": containers}}}}, "strategic")
    assert answer.status_code == 200
    assert world.changes == [{"template": {"image": "registry.test/forecast-server:v42"}}]
    assert answer.json()["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "WORKERS", "value": "8"}]


async def test_going_back_to_an_old_template_renumbers_its_replica_set(
    rest: httpx.AsyncClient, world: MemoryCluster
) -> None:
    sets = (await rest.get(f"{APPS}/replicasets")).json()["items"]
    old = next(one for one in sets if one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1")
    template = old["spec"]["template"]
    del template["metadata"]["labels"]["pod-template-hash"]
    answer = await patch(rest, ONE, [{"op": "replace", "path": "/spec/template", "value": template}], "json")
    assert answer.status_code == 200, answer.text
    after = (await rest.get(f"{APPS}/replicasets")).json()["items"]
    notes = {one["metadata"]["name"]: one["metadata"]["annotations"] for one in after}
    assert len(after) == 2
    assert notes[old["metadata"]["name"]]["deployment.kubernetes.io/revision"] == "3"
    assert notes[old["metadata"]["name"]]["deployment.kubernetes.io/revision-history"] == "1"
    assert world.deployment().revisions[-1].annotations == {}


@pytest.mark.parametrize(
    ("path", "body", "kind", "code", "words"),
    [
        (ONE, {"spec": {"replicas": -1}}, "merge", 422, "spec.replicas"),
        (ONE, {"spec": {"replicas": "many"}}, "merge", 400, "spec.replicas"),
        (ONE, {"spec": {"template": {"spec": {"hostNetwork": True}}}}, "merge", 422, "hostNetwork"),
        (ONE, {"spec": {"template": {"spec": {"containers": [{"name": "x"}]}}}}, "merge", 422, "spec.template"),
        (ONE, {"metadata": {"annotations": {"n": 3}}}, "merge", 422, "must be a string"),
        (ONE, {"spec": {}}, "apply", 415, "content type"),
        (ONE, [], "merge", 400, "metadata"),
        (ONE, [{"op": "remove", "path": "/spec/nothing"}], "json", 422, "does not exist"),
        (f"{APPS}/deployments/none", {}, "merge", 404, 'deployments.apps "none" not found'),
        ("/api/v1/namespaces/ml/pods/none", {}, "merge", 405, "method"),
    ],
)
async def test_what_cannot_be_changed_is_refused_as_a_status(
    rest: httpx.AsyncClient, world: MemoryCluster, path: str, body: Any, kind: str, code: int, words: str
) -> None:
    answer = await patch(rest, path, body, kind)
    assert answer.status_code == code, answer.text
    assert answer.json()["kind"] == "Status"
    assert words in answer.json()["message"]
    assert world.changes == []


async def test_scale_is_a_subresource(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    answer = await patch(rest, f"{ONE}/scale", {"spec": {"replicas": 6}})
    assert answer.json()["kind"] == "Scale"
    assert (await rest.get(f"{ONE}/scale")).json()["spec"]["replicas"] == 6
    assert world.changes == [{"replicas": 6}]


async def test_logs_are_cut_by_time_and_length(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    world.lines["forecast-server-00000"] = [(NOON_MS - n * MINUTE, f"line {n}") for n in (30, 3, 2, 1)]
    path = "/api/v1/namespaces/ml/pods/forecast-server-00000/log"
    recent = (await rest.get(path, params={"sinceSeconds": "300", "timestamps": "true"})).text
    assert recent.splitlines()[0] == "2026-11-24T11:57:00.000000000Z line 3"
    assert (await rest.get(path, params={"tailLines": "1"})).text == "line 1\n"
    assert (await rest.get(path.replace("00000/", "99/"))).status_code == 404


async def test_a_pod_shows_why_it_waits_and_how_it_last_ended(rest: httpx.AsyncClient, world: MemoryCluster) -> None:
    d = world.deployment()
    crashing = replace(
        d.pods[0], ready=False, restarts=6, waiting_reason="CrashLoopBackOff", last_terminated_reason="OOMKilled"
    )
    world.put(replace(d, pods=(crashing, *d.pods[1:])))
    pod = (await rest.get(f"/api/v1/namespaces/ml/pods/{crashing.name}")).json()
    (status,) = pod["status"]["containerStatuses"]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 137
    body = (await rest.get(ONE)).json()["status"]
    assert (body["readyReplicas"], body["unavailableReplicas"]) == (2, 1)


async def test_an_autoscaled_deployment_has_its_autoscaler(rest: httpx.AsyncClient) -> None:
    items = (await rest.get("/apis/autoscaling/v2/horizontalpodautoscalers")).json()["items"]
    assert [(one["metadata"]["name"], one["spec"]["scaleTargetRef"]["name"]) for one in items] == [("web-hpa", "web")]


async def test_an_unknown_cluster_and_an_unknown_kind_are_not_found(rest: httpx.AsyncClient) -> None:
    assert (await rest.get("http://lab.test/kubernetes/us-9/version")).status_code == 404
    assert (await rest.get("/apis/apps/v1/daemonsets")).json()["reason"] == "NotFound"
