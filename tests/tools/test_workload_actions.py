"""Actions on workloads, against the lab's Kubernetes API through real kr8s."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.cluster_world import MemoryCluster, deployment
from tests.clusters import Stage, stage
from tests.contexts import backend, context
from tools.context import Service, Workload
from tools.errors import BadArguments, NotConfigured, Refused, TargetUnclear, ToolFailed
from tools.kubernetes.actions import RestartWorkload, RollBackWorkload, ScaleWorkload
from tools.kubernetes.client import connect
from tools.spec import Action, Risk

KEY = "inc-1:p1:1"
SCALE = ScaleWorkload(workload="demand-forecast", replicas=5)
EVERY = [
    SCALE,
    RestartWorkload(workload="ml/forecast-server"),
    RollBackWorkload(workload="forecast-server", revision=1),
]
by_name = pytest.mark.parametrize("action", EVERY, ids=lambda action: action.name())


@pytest.fixture
async def lab() -> AsyncIterator[Stage]:
    async with stage(MemoryCluster([deployment(), deployment("web", "shop", autoscaled_by="web-hpa")])) as on_stage:
        yield on_stage


def altered(action: Action, before: object, after: object) -> dict[str, tuple[object, object]]:
    old, new = (state.fields for state in (before, after))  # type: ignore[attr-defined]
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


@by_name
async def test_what_is_seen_afterwards_is_what_was_to_be_changed(lab: Stage, action: Action) -> None:
    before = await action.observe(lab.context)
    wanted = action.change(before, KEY)
    assert await action.probe(lab.context, KEY) is False
    await action.apply(lab.context, before, KEY)
    after = await action.observe(lab.context)
    changed = altered(action, before, wanted)
    assert changed
    assert {name: after.fields[name] for name in changed} == {name: wanted.fields[name] for name in changed}
    assert await action.probe(lab.context, KEY) is True
    assert await action.probe(lab.context, "another") is None


@by_name
async def test_a_dry_run_changes_nothing(lab: Stage, action: Action) -> None:
    before = await action.observe(lab.context)
    assert "dry run" in str(await action.dry_run(lab.context, before))
    assert (lab.world.changes, await action.observe(lab.context)) == ([], before)


@by_name
async def test_a_status_update_voids_nothing_and_a_changed_specification_does(lab: Stage, action: Action) -> None:
    before = await action.observe(lab.context)
    lab.world.touch()
    assert await action.observe(lab.context) == before
    lab.world.change_deployment("ml", "forecast-server", {"replicas": 4})
    with pytest.raises(Refused, match="422"):
        await action.apply(lab.context, before, KEY)
    assert len(lab.world.changes) == 1


@by_name
async def test_a_lost_answer_is_never_refused_and_the_probe_finds_the_effect(lab: Stage, action: Action) -> None:
    before = await action.observe(lab.context)
    lab.door.lose_answers_of = {"PATCH"}
    with pytest.raises(ToolFailed) as lost:
        await action.apply(lab.context, before, KEY)
    assert not isinstance(lost.value, Refused)
    assert await action.probe(lab.context, KEY) is True


@by_name
async def test_a_redirect_is_no_answer_about_what_was_sent(lab: Stage, action: Action) -> None:
    """Followed, it would tell what another server thinks; one that cannot be reached would pass for `never sent`."""
    before = await action.observe(lab.context)
    lab.door.refuse["PATCH"] = (302, b"")
    with pytest.raises(ToolFailed, match="HTTP 302") as told:
        await action.apply(lab.context, before, KEY)
    assert not isinstance(told.value, Refused)


@by_name
async def test_an_error_of_the_server_is_not_refused_and_a_forbidden_patch_is(lab: Stage, action: Action) -> None:
    before = await action.observe(lab.context)
    lab.door.refuse["PATCH"] = (504, b"{}")
    with pytest.raises(ToolFailed):
        await action.apply(lab.context, before, KEY)
    message = (
        b'{"message": "x is forbidden: User \\"s\\" cannot patch resource \\"deployments\\" in API group \\"apps\\""}'
    )
    lab.door.refuse["PATCH"] = (403, message)
    with pytest.raises(Refused, match=r"lacks a permission: patch deployments\.apps"):
        await action.apply(lab.context, before, KEY)
    assert lab.world.changes == []


@pytest.mark.parametrize(("status", "refused"), [(400, True), (409, True), (422, True), (408, False), (502, False)])
async def test_only_a_clear_no_of_the_server_is_refused(lab: Stage, status: int, refused: bool) -> None:
    """408 comes from a proxy that gave up waiting: what lies behind it may have taken the change."""
    before = await SCALE.observe(lab.context)
    lab.door.refuse["PATCH"] = (status, b"{}")
    with pytest.raises(Refused if refused else ToolFailed):
        await SCALE.apply(lab.context, before, KEY)


async def test_a_roll_back_goes_to_the_template_that_was_agreed_on_or_nowhere(lab: Stage) -> None:
    back = RollBackWorkload(workload="forecast-server", revision=1)
    before = await back.observe(lab.context)
    now = lab.world.deployment()
    lab.world.put(replace(now, revisions=(replace(now.revisions[0], image="registry.test/other:v1"), now.revisions[1])))
    with pytest.raises(Refused, match="no longer what was agreed on"):
        await back.apply(lab.context, before, KEY)
    assert lab.world.changes == []


async def test_key_and_change_go_in_one_request(lab: Stage) -> None:
    before = await SCALE.observe(lab.context)
    await SCALE.apply(lab.context, before, KEY)
    assert [method for method, _ in lab.door.seen].count("PATCH") == 1
    assert lab.world.changes == [{"replicas": 5, "annotations": {"stanch.dev/key": KEY}}]


async def test_scaling_is_taken_back_by_its_undo(lab: Stage) -> None:
    before = await SCALE.observe(lab.context)
    undo = SCALE.undo(before)
    assert undo == ScaleWorkload(workload="demand-forecast", replicas=3)
    await SCALE.apply(lab.context, before, KEY)
    await undo.apply(lab.context, await undo.observe(lab.context), "undo")
    assert lab.world.deployment().replicas == 3


async def test_a_roll_back_is_taken_back_by_rolling_forward(lab: Stage) -> None:
    back = RollBackWorkload(workload="forecast-server", revision=1)
    before = await back.observe(lab.context)
    undo = back.undo(before)
    assert undo == RollBackWorkload(workload="forecast-server", revision=2)
    await back.apply(lab.context, before, KEY)
    now = lab.world.deployment().revisions[-1]
    assert (now.image, now.env, now.annotations) == ("registry.test/forecast-server:v40", {"WORKERS": "4"}, {})
    await undo.apply(lab.context, await undo.observe(lab.context), "undo")
    assert lab.world.deployment().revisions[-1].image.endswith(":v41")
    assert lab.world.deployment().revisions[-1].env == {"WORKERS": "8"}


async def test_a_revision_nobody_recorded_is_refused_before_it_is_proposed(lab: Stage) -> None:
    none = RollBackWorkload(workload="forecast-server", revision=9)
    before = await none.observe(lab.context)
    with pytest.raises(BadArguments, match="rollout_history"):
        none.change(before, KEY)


async def test_going_to_the_present_revision_alters_no_template(lab: Stage) -> None:
    same = RollBackWorkload(workload="forecast-server", revision=2)
    before = await same.observe(lab.context)
    assert "template" not in altered(same, before, same.change(before, KEY))


async def test_an_autoscaled_target_is_refused_by_name(lab: Stage) -> None:
    with pytest.raises(Refused, match="autoscaler web-hpa"):
        await ScaleWorkload(workload="web", replicas=5).observe(lab.context)


@by_name
async def test_a_workload_that_another_controller_owns_is_refused_by_its_name(action: Action) -> None:
    """Whoever made it would set it back: a Deployment of Argo's or of an operator."""
    owned = {"kind": "Rollout", "name": "canary", "controller": True}
    async with stage(MemoryCluster([deployment()])) as lab:
        before = await action.observe(lab.context)
        lab.door.owners = [{"kind": "Team", "name": "ml"}]  # it names it, and does not control it
        await action.observe(lab.context)
        lab.door.owners = [owned]
        for refused in (action.observe(lab.context), action.apply(lab.context, before, KEY)):
            with pytest.raises(Refused, match="controlled by Rollout canary"):
                await refused
        assert lab.world.changes == []


async def test_a_workload_that_is_not_there_is_refused(lab: Stage) -> None:
    lab.world.held = []
    with pytest.raises(Refused, match="There is no Deployment eu-1/ml/forecast-server"):
        await SCALE.observe(lab.context)
    assert await SCALE.probe(lab.context, KEY) is None


async def test_a_deployment_without_annotations_can_be_marked(lab: Stage) -> None:
    d = lab.world.deployment()
    bare = replace(d, revisions=(replace(d.revisions[0], annotations={}, change_cause=""),), annotations={})
    lab.world.put(bare)
    restart = RestartWorkload(workload="forecast-server")
    await restart.apply(lab.context, await restart.observe(lab.context), KEY)
    assert lab.world.deployment().revisions[-1].annotations == {"kubectl.kubernetes.io/restartedAt": KEY}


async def test_no_connection_is_refused(lab: Stage, free_port: Callable[[], int]) -> None:
    before = await SCALE.observe(lab.context)
    cluster = await connect(lab.backend)
    moved = replace(cluster, api=Elsewhere(cluster.api, f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Refused, match="did not answer PATCH"):
        await moved.patch("/apis/apps/v1/namespaces/ml/deployments/forecast-server", [])
    assert await SCALE.observe(lab.context) == before


class Elsewhere:
    """A signed-in connection whose server has gone: every request goes where nobody listens."""

    def __init__(self, api: Any, url: str) -> None:
        self.auth, self._url, self.timeout = api.auth, url, 1

    async def reauthenticate(self) -> None: ...

    @asynccontextmanager
    async def call_api(self, method: str, **how: Any) -> AsyncIterator[httpx.Response]:
        async with httpx.AsyncClient() as client:
            yield await client.request(method, self._url)


def test_the_target_names_its_one_cluster_and_the_risk_is_the_authors() -> None:
    place = context(backend("kubernetes", match={"cluster": "eu-1"}), services=_services("eu-1"))
    target = SCALE.target(place)
    assert (target.cluster, target.namespace, target.name, target.service) == (
        "eu-1",
        "ml",
        "forecast-server",
        "demand-forecast",
    )
    assert target.confirmed
    assert [action.risk for action in EVERY] == [Risk.REVERSIBLE, Risk.DISRUPTIVE, Risk.DISRUPTIVE]
    for clusters in ((), ("eu-1", "us-1"), ("",)):
        with pytest.raises(TargetUnclear):
            SCALE.target(context(backend("kubernetes"), services=_services(*clusters)))


def test_another_cluster_is_never_taken_for_the_one_that_is_meant() -> None:
    only = backend("kubernetes", match={"cluster": "us-1"})
    with pytest.raises(NotConfigured, match="No Kubernetes is configured for cluster 'eu-1'"):
        SCALE.target(context(only, services=_services("eu-1")))


def test_of_two_servers_that_fit_none_is_chosen() -> None:
    for matches in ({}, {"cluster": "eu-1"}):
        both = [backend("kubernetes", name=name, match=matches) for name in ("old", "new")]
        with pytest.raises(TargetUnclear, match=r"2 of the kubernetes backends fit .* Name the cluster"):
            SCALE.target(context(*both, services=_services("eu-1")))


def _services(*clusters: str) -> tuple[Service, ...]:
    places = tuple(Workload("forecast-server", "ml", cluster, service="demand-forecast") for cluster in clusters)
    return (Service("demand-forecast", workloads=places),)


def test_the_command_is_what_a_person_would_type() -> None:
    here = context(services=_services("eu-1"))
    full = SCALE.resolved(here)
    assert full.command(here) == "kubectl --context eu-1 -n ml scale deployment/forecast-server --replicas=5"
    sets = (Service("db", workloads=(Workload("db", "shop", "eu-1", "StatefulSet", service="db"),)),)
    db = ScaleWorkload(workload="db", replicas=2).command(context(services=sets))
    assert db == "kubectl --context eu-1 -n shop scale statefulset/db --replicas=2"
    nowhere = context()  # a catalog that does not know it
    assert EVERY[1].command(nowhere) == "kubectl --context CLUSTER -n ml rollout restart deployment/forecast-server"
    assert EVERY[2].command(nowhere).endswith("rollout undo deployment/forecast-server --to-revision=1")


@pytest.mark.parametrize("replicas", [0, 51, 2.5, "many", None])
def test_replicas_are_bounded(replicas: object) -> None:
    with pytest.raises(BadArguments):
        ScaleWorkload.parse({"workload": "web", "replicas": replicas})
