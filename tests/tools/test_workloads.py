"""Reads of workloads through real kr8s against the lab's Kubernetes API on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from agent.lab.ports import ClusterEvent, Pod, Revision
from tests.cluster_world import MINUTE, NOON_MS, MemoryCluster, deployment
from tests.clusters import SERVICES, Stage, stage
from tests.contexts import NOON, context
from tools.changes import recent_changes
from tools.context import Backend, Service, Workload
from tools.errors import NotConfigured, NotRecorded, TargetUnclear, ToolFailed, Unreachable
from tools.kubernetes.logs import workload_logs
from tools.kubernetes.rollouts import rollouts
from tools.kubernetes.workloads import describe_workload, rollout_history, workload_events
from tools.spec import Answer, Emptiness


@pytest.fixture
async def lab() -> AsyncIterator[Stage]:
    async with stage(MemoryCluster([deployment(), deployment("web", "shop", autoscaled_by="web-hpa")])) as on_stage:
        yield on_stage


def facts(answer: Answer) -> dict[str, object]:
    found = {fact.id: fact.value for fact in answer.facts}
    assert len(found) == len(answer.facts), "fact ids are unique"
    return found


def make_ill(world: MemoryCluster) -> Pod:
    d = world.deployment()
    ill = replace(
        d.pods[0], ready=False, restarts=6, waiting_reason="CrashLoopBackOff", last_terminated_reason="OOMKilled"
    )
    world.put(replace(d, pods=(ill, *d.pods[1:])))
    return ill


async def test_a_healthy_workload_is_described_with_its_numbers(lab: Stage) -> None:
    answer = await describe_workload(lab.context, workload="demand-forecast")
    found = facts(answer)
    assert (found["replicas.wanted"], found["replicas.ready"], found["restarts.count"]) == (3, 3, 0)
    assert (found["cpu.limit"], found["memory.limit"]) == (1.5, 1 << 30)
    assert found["image"] == "registry.test/forecast-server:v41"
    assert (found["rollout.complete"], found["revision"], found["autoscaler"]) == (True, "2", "none")
    assert "3 of 3 replicas ready, rollout complete" in answer.summary
    json.dumps(answer.data)


async def test_a_crashing_pod_is_described_with_its_reasons(lab: Stage) -> None:
    ill = make_ill(lab.world)
    answer = await describe_workload(lab.context, workload="forecast-server")
    found = facts(answer)
    assert (found["replicas.ready"], found["replicas.missing"], found["restarts.count"]) == (2, 1, 6)
    assert (found["waiting.CrashLoopBackOff.count"], found["ended.OOMKilled.count"]) == (1, 1)
    assert found["rollout.complete"] is False
    assert f"{ill.name}: not ready" in answer.summary
    assert "OOMKilled (exit 137)" in answer.summary


async def test_an_autoscaler_is_named(lab: Stage) -> None:
    answer = await describe_workload(lab.context, workload="shop/web")
    assert facts(answer)["autoscaler"] == "web-hpa"
    assert "Autoscaler: web-hpa (1 to 10)." in answer.summary


async def test_no_secret_value_leaves_the_cluster_in_a_description(lab: Stage) -> None:
    d = lab.world.deployment()
    lab.world.put(replace(d, revisions=(Revision(1, "i:1", NOON_MS, {}, {"TOKEN": "hunter2"}),)))
    answers = [await tool(lab.context, workload="forecast-server") for tool in (describe_workload, rollout_history)]
    assert "hunter2" not in json.dumps([[a.summary, a.data] for a in answers])


async def test_a_workload_that_is_gone_is_an_empty_answer_and_not_a_failure(lab: Stage) -> None:
    lab.world.held = []
    answer = await describe_workload(lab.context, workload="forecast-server")
    assert answer.empty is Emptiness.NOTHING
    assert facts(answer) == {"exists": False}


async def test_events_are_counted_warnings_first_and_neighbours_left_out(lab: Stage) -> None:
    pod = lab.world.deployment().pods[0].name
    lab.world.happened = [
        ClusterEvent(NOON_MS - 5 * MINUTE, "ml", "Deployment", "forecast-server", "ScalingReplicaSet", "up to 3"),
        ClusterEvent(NOON_MS - 9 * MINUTE, "ml", "Pod", pod, "BackOff", "restarting failed container", "Warning", 7),
        ClusterEvent(NOON_MS - 9 * MINUTE, "ml", "Pod", "forecast-server-7d9f8c6b5d-x2k4p", "Killing", "gone pod"),
        ClusterEvent(NOON_MS - 9 * MINUTE, "ml", "Pod", "forecast-server-canary-7d9f8c6b5d-x2k4p", "Killing", "other"),
        ClusterEvent(NOON_MS - 300 * MINUTE, "ml", "Pod", pod, "Pulled", "long ago"),
        ClusterEvent(NOON_MS + MINUTE, "ml", "Pod", pod, "Killing", "later than as_of"),
    ]
    answer = await workload_events(lab.context, workload="forecast-server")
    found = facts(answer)
    assert (found["events.count"], found["warnings.count"], found["warning.BackOff.count"]) == (9, 7, 7)
    assert answer.summary.splitlines()[1] == f"- 11:51 UTC Warning BackOff ×7 Pod {pod}: restarting failed container"


async def test_logs_are_counted_by_pattern_errors_first(lab: Stage) -> None:
    pods = [pod.name for pod in lab.world.deployment().pods]
    lab.world.lines = {
        pods[0]: [(NOON_MS - n * MINUTE, f"handled request {n} in {n * 3}ms") for n in range(20, 0, -1)],
        pods[1]: [(NOON_MS - n * MINUTE, f"ERROR timeout after 30{n} ms to 10.0.0.{n}:5432") for n in (3, 2)]
        + [(NOON_MS + MINUTE, "ERROR later than as_of")],
    }
    answer = await workload_logs(lab.context, workload="forecast-server", minutes=15)
    found = facts(answer)
    assert (found["lines.count"], found["errors.count"], found["patterns.count"]) == (17, 2, 2)
    assert answer.summary.splitlines()[1].endswith("ERROR timeout after <n> ms to <address>")
    only = await workload_logs(lab.context, workload="forecast-server", minutes=15, contains="timeout")
    assert facts(only)["lines.count"] == 2


async def test_the_history_names_what_changed_and_never_its_value(lab: Stage) -> None:
    answer = await rollout_history(lab.context, workload="forecast-server")
    found = facts(answer)
    assert (found["revisions.count"], found["current.revision"], found["previous.revision"]) == (2, 2, 1)
    assert found["current.at"] == (NOON - timedelta(minutes=90)).timestamp()
    newest = answer.data[0]
    assert newest["changed"][:2] == ["image", "env WORKERS"]
    assert (newest["commit"], newest["pull_request"], newest["cause"]) == ("9fceb02", "812", "release v41")


async def test_the_past_shows_only_what_was_known_then(lab: Stage) -> None:
    then = replace(lab.context, as_of=NOON - timedelta(hours=5))
    assert facts(await rollout_history(then, workload="forecast-server"))["current.revision"] == 1
    for tool in (describe_workload, workload_events):
        with pytest.raises(NotRecorded, match="keeps no record"):
            await tool(then, workload="forecast-server")


async def test_rollouts_are_changes_with_commit_and_pull_request(lab: Stage) -> None:
    change = (await rollouts(lab.context, "demand-forecast"))[-1]
    assert (change.at, change.kind, change.service) == (NOON - timedelta(minutes=90), "deployment", "demand-forecast")
    assert change.detail["commit"] == "9fceb02"
    assert "registry.test/forecast-server:v40 → registry.test/forecast-server:v41" in change.what
    for hours, count in ((24, 2), (1, 0)):
        assert facts(await recent_changes(lab.context, hours=hours))["changes.count"] == count


async def test_a_restart_and_a_roll_back_are_told_apart_from_a_release(lab: Stage) -> None:
    lab.world.change_deployment(
        "ml", "forecast-server", {"template": {"annotations": {"kubectl.kubernetes.io/restartedAt": "k"}}}
    )
    restart = max(await rollouts(lab.context, "demand-forecast"), key=lambda change: change.at)
    assert restart.kind == "restart"
    first = lab.world.deployment().revisions[0]
    back = {
        "image": first.image,
        "env": dict(first.env),
        "annotations": {
            "kubectl.kubernetes.io/restartedAt": None,
            "stanch.dev/commit": None,
            "stanch.dev/pull-request": None,
        },
    }
    lab.world.change_deployment("ml", "forecast-server", {"template": back})
    changes = await rollouts(lab.context, "demand-forecast")
    assert any("rolled back to an earlier template" in change.what for change in changes)


async def test_one_connection_serves_many_reads(lab: Stage) -> None:
    for _ in range(3):
        await rollout_history(lab.context, workload="forecast-server")
    assert [path for _, path in lab.door.seen].count("/kubernetes/eu-1/version/") == 1


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            403,
            b'{"kind":"Status","message":"deployments.apps is forbidden: User \\"s\\" cannot get resource \\"deployments\\" in API group \\"apps\\" in the namespace \\"ml\\""}',
            "get deployments.apps in namespace ml",
        ),
        (401, b'{"kind":"Status","message":"Unauthorized"}', "sign in again"),
        (500, b"not json", "HTTP 500"),
        (200, b"<html>log in</html>", "log-in page"),
        (200, b"[1]", "no list"),
    ],
)
async def test_every_bad_answer_is_a_failed_read_that_says_what_to_do(
    lab: Stage, status: int, body: bytes, words: str
) -> None:
    await rollout_history(lab.context, workload="forecast-server")  # signed in; what follows fails
    lab.door.refuse["GET"] = (status, body)
    with pytest.raises(ToolFailed, match=words):
        await rollouts(lab.context, "")


async def test_a_cluster_that_is_down_is_unreachable(free_port) -> None:  # type: ignore[no-untyped-def]
    async with httpx.AsyncClient(timeout=1) as http:
        down = Backend("kubernetes", "eu-1", f"http://127.0.0.1:{free_port()}", http)
        with pytest.raises(Unreachable, match="did not answer"):
            await describe_workload(context(down, services=SERVICES), workload="forecast-server")


async def test_a_cluster_that_never_answers_is_given_up_as_configured() -> None:
    """Also at the very first question, which kr8s asks without a limit."""
    server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1", 0)
    async with server, httpx.AsyncClient(timeout=0.2) as http, asyncio.timeout(5):
        port = server.sockets[0].getsockname()[1]
        deaf = Backend("kubernetes", "eu-1", f"http://127.0.0.1:{port}", http)
        with pytest.raises(Unreachable, match=r"not signed in within 0\.2 s"):
            await describe_workload(context(deaf, services=SERVICES), workload="forecast-server")


async def test_a_broken_kubeconfig_says_what_to_try(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "config").write_text("clusters: [")
    async with httpx.AsyncClient() as http:
        broken = Backend("kubernetes", "eu-1", "", http, kubeconfig=tmp_path / "config", kube_context="eu-1")
        with pytest.raises(ToolFailed, match="kubectl version"):
            await describe_workload(context(broken, services=SERVICES), workload="forecast-server")


async def test_a_workload_of_another_cluster_is_never_read_from_this_one() -> None:
    async with stage(
        MemoryCluster(), services=(Service("far", workloads=(Workload("forecast-server", "ml", "us-1"),)),)
    ) as lab:
        with pytest.raises(NotConfigured, match="us-1"):
            await describe_workload(lab.context, workload="far")


async def test_a_name_in_two_clusters_is_unclear() -> None:
    both = tuple(Workload("forecast-server", "ml", cluster) for cluster in ("eu-1", "us-1"))
    async with stage(MemoryCluster(), services=(Service("f", workloads=both),)) as lab:
        with pytest.raises(TargetUnclear):
            await describe_workload(lab.context, workload="forecast-server")
