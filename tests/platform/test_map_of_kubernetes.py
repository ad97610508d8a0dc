"""What Kubernetes tells of the platform, asked over HTTP with the real client."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.platform import map_of_kubernetes as asked
from agent.platform.edges import ONLY_NAMED
from agent.platform.map_of_kubernetes import map_of_kubernetes
from agent.platform.platform_map import EdgeKind, PlatformMap, joined
from tests.cluster_world import MemoryCluster, deployment
from tests.clusters import stage
from tests.kubernetes_api import Document, FakeApi, api_server, thing
from tools.context import Subject

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def s(kind: str, name: str, namespace: str = "press") -> Subject:
    return Subject(kind, "eu", namespace, name)


def template(labels: Document, **spec: Any) -> Document:
    return {"template": {"metadata": {"labels": labels}, "spec": spec}}


def env(**values: str) -> Sequence[Document]:
    return [{"name": name, "value": value} for name, value in values.items()]


async def mapped(api: FakeApi) -> PlatformMap:
    async with api_server(api) as backend:
        return joined([await map_of_kubernetes(backend)], NOW)


def ends(platform: PlatformMap, kind: EdgeKind) -> set[tuple[str, str]]:
    """(Kind/name, Kind/name) of each edge of a kind."""
    return {
        (f"{e.source.kind}/{e.source.name}", f"{e.target.kind}/{e.target.name}")
        for e in platform.edges
        if e.kind is kind
    }


def objects(**more: Sequence[Document]) -> dict[str, Sequence[Document]]:
    """A Deployment with its ReplicaSet, two pods and its Service, beside what a test adds."""
    labels = {"app": "render"}
    running = {"status": {"phase": "Running"}}
    pods = [
        thing(
            f"render-5d8f9-{n}",
            "press",
            labels=labels,
            owner="ReplicaSet/render-5d8f9",
            spec={"nodeName": n},
            **running,
        )
        for n in ("m1", "m2")
    ]
    return {
        "deployments": [thing("render", "press", spec=template(labels))],
        "replicasets": [thing("render-5d8f9", "press", labels=labels, owner="Deployment/render")],
        "pods": pods,
        "services": [thing("render", "press", spec={"selector": labels, "clusterIP": "10.1.0.9"})],
        **more,
    }


async def test_the_labs_cluster_is_mapped_through_the_products_own_client() -> None:
    world = MemoryCluster([deployment("scorer", "risk", labels={"service": "scoring"}), deployment("web", "front")])
    async with stage(world) as found:
        platform = joined([await map_of_kubernetes(found.backend)], NOW)
        calls = [path for method, path in found.door.seen]
    scorer = Subject("Deployment", "eu-1", "risk", "scorer")
    assert platform.find("scoring") == Subject("Service", "eu-1", "risk", "scoring")
    assert platform.same_as(scorer)[0].name == "scoring"
    assert len(platform.members(scorer)) == 3
    assert {one.name for one, _ in platform.neighbours(scorer, 1) if one.kind == "Node"} == {"node-0", "node-1"}
    assert platform.unseen == ()
    assert len(calls) < 60


async def test_pods_lead_over_their_replicaset_to_the_workload_and_its_service() -> None:
    platform = await mapped(FakeApi(objects()))
    assert ("Deployment/render", "Pod/render-5d8f9-m1") in ends(platform, EdgeKind.OWNS)
    assert ends(platform, EdgeKind.SELECTS) == {("Service/render", "Deployment/render")}
    assert ends(platform, EdgeKind.RUNS_ON) == {("Pod/render-5d8f9-m1", "Node/m1"), ("Pod/render-5d8f9-m2", "Node/m2")}
    assert "ReplicaSet" not in {one.kind for one in platform.nodes}


async def test_a_rollout_owns_pods_where_the_api_has_rollouts() -> None:
    found = objects(
        rollouts=[thing("render", "press", spec=template({"app": "render"}))],
        replicasets=[thing("render-5d8f9", "press", owner="Rollout/render")],
        deployments=[],
    )
    platform = await mapped(FakeApi(found, groups={"argoproj.io": ["rollouts"]}))
    assert platform.find("render").kind == "Rollout"
    assert len(platform.members(s("Rollout", "render"))) == 2
    without = await mapped(FakeApi(objects(), groups={"argoproj.io": ["applications"]}))
    assert without.unseen == ()


async def test_a_cronjobs_pods_are_its_own_and_a_replicaset_of_nobody_is_a_workload() -> None:
    found = objects(
        cronjobs=[thing("nightly", "press", spec={"jobTemplate": {"spec": template({})}})],
        jobs=[thing("nightly-29311", "press", owner="CronJob/nightly", spec=template({}))],
        replicasets=[thing("lone", "press")],
        pods=[
            thing("nightly-29311-x", "press", owner="Job/nightly-29311", status={"phase": "Failed"}),
            thing("lone-x", "press", owner="ReplicaSet/lone"),
        ],
    )
    platform = await mapped(FakeApi(found))
    assert platform.members(s("CronJob", "nightly")) == (s("Pod", "nightly-29311-x"),)
    assert platform.members(s("ReplicaSet", "lone")) == (s("Pod", "lone-x"),)


async def test_a_machine_does_not_own_its_static_pods() -> None:
    pod = thing("proxy-m1", "press", owner="Node/m1", spec={"nodeName": "m1"})
    platform = await mapped(FakeApi({"pods": [pod]}))
    assert ends(platform, EdgeKind.OWNS) == set()
    assert platform.same_as(s("Pod", "proxy-m1")) == ()


# -- services -----------------------------------------------------------------------------------------------------------


async def test_a_label_that_a_pod_got_later_selects_that_pod_alone() -> None:
    pods = [
        thing(
            f"store-{n}",
            "press",
            labels={"app": "store", **more},
            owner="StatefulSet/store",
            status={"phase": "Running"},
        )
        for n, more in (("0", {"role": "primary"}), ("1", {}))
    ]
    found = {
        "pods": pods,
        "statefulsets": [thing("store", "press", spec=template({"app": "store"}))],
        "services": [
            thing("store", "press", spec={"selector": {"app": "store"}}),
            thing("store-primary", "press", spec={"selector": {"role": "primary"}}),
            thing("nothing", "press", spec={"selector": {"app": "gone"}}),
        ],
    }
    assert ends(await mapped(FakeApi(found)), EdgeKind.SELECTS) == {
        ("Service/store", "StatefulSet/store"),
        ("Service/store-primary", "Pod/store-0"),
    }


async def test_a_service_without_a_selector_leads_where_its_endpoints_are() -> None:
    slices = [
        thing(
            "vendor-1",
            "press",
            labels={"kubernetes.io/service-name": "vendor"},
            endpoints=[{"addresses": ["192.0.2.7"], "conditions": {"ready": True}}],
        ),
        thing(
            "render-1",
            "press",
            labels={"kubernetes.io/service-name": "render"},
            endpoints=[{"addresses": ["10.0.0.1"]}],
        ),
    ]
    services = [
        *objects()["services"],
        thing("vendor", "press", spec={"ports": []}),
        thing("mail", "press", spec={"type": "ExternalName", "externalName": "smtp.example.com."}),
    ]
    platform = await mapped(FakeApi(objects(endpointslices=slices, services=services)))
    assert ends(platform, EdgeKind.ROUTES) == {
        ("Service/vendor", "Target/192.0.2.7"),
        ("Service/mail", "Target/smtp.example.com"),
    }
    assert platform.unseen == ()


async def test_ingresses_and_routes_lead_to_services() -> None:
    ingress = {
        "defaultBackend": {"service": {"name": "fallback"}},
        "rules": [{"http": {"paths": [{"backend": {"service": {"name": "render"}}}]}}],
        "tls": [{"secretName": "press-tls"}],
    }
    route = {
        "parentRefs": [{"name": "edge", "namespace": "infra"}],
        "rules": [{"backendRefs": [{"name": "render"}, {"name": "other", "namespace": "news"}]}],
    }
    found = objects(ingresses=[thing("press", "press", spec=ingress)], httproutes=[thing("press", "press", spec=route)])
    platform = await mapped(FakeApi(found, groups={"gateway.networking.k8s.io": ["httproutes"]}))
    assert ends(platform, EdgeKind.ROUTES) == {
        ("Ingress/press", "Service/fallback"),
        ("Ingress/press", "Service/render"),
        ("Gateway/edge", "HTTPRoute/press"),
        ("HTTPRoute/press", "Service/render"),
        ("HTTPRoute/press", "Service/other"),
    }
    assert ("Ingress/press", "Secret/press-tls") in ends(platform, EdgeKind.READS)
    assert platform.nodes[s("Service", "other", "news")] == {"Kubernetes" + ONLY_NAMED}


# -- what pods use --------------------------------------------------------------------------------------------------


def with_container(container: Document, **spec: Any) -> FakeApi:
    labels = {"app": "render"}
    return FakeApi(
        objects(deployments=[thing("render", "press", spec=template(labels, containers=[container], **spec))])
    )


@pytest.mark.parametrize(
    ("name", "value", "callee"),
    [
        ("PRINT_URL", "http://printer.hall.svc.cluster.local:8080/jobs", "Service/printer"),
        ("PRINTER", "grpc://printer.hall:9000", "Service/printer"),
        ("RENDER_ADDR", "render:80", None),
        ("DATABASE_URL", "postgres://app:s3cr3t@pages.example.com:5432/x", "Database/pages.example.com"),
        ("CACHE_URL", "redis://:s3cr3t@s3cr3t@pages.example.com:6379", "Database/pages.example.com"),
        ("PAGES_DSN", "app:s3cr3t@tcp(pages:3306)/x", "Database/pages"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker-0.broker:9092", "Target/broker-0.broker"),
        ("QUEUE_HOST", "archive", "Service/archive"),
        ("LOG_HOST", "stdout", None),
        ("LISTEN_ADDR", "127.0.0.1:8080", None),
        ("PUBLIC_URL", "https://press.example.com", None),
        ("API_TOKEN", "https://not-an-address.example.com", None),
        ("BUCKET_URL", "s3://pages/x", None),
        ("THREADS", "8", None),
    ],
)
async def test_an_address_in_the_environment_is_a_call(name: str, value: str, callee: str | None) -> None:
    api = with_container({"name": "c", "env": env(**{name: value})})
    others = [
        thing("printer", "hall", spec={"selector": {"a": "b"}}),
        thing("archive", "press", spec={"selector": {"c": "d"}}),
    ]
    api.objects = {**api.objects, "services": [*api.objects["services"], *others]}
    platform = await mapped(api)
    calls = ends(platform, EdgeKind.CALLS)
    expected = {("Deployment/render", callee)} if callee else set[tuple[str, str]]()
    assert calls - {("Deployment/render", "Service/render")} == expected
    assert "s3cr3t" not in str(platform.to_json())


async def test_a_port_beside_a_host_says_that_it_is_a_database() -> None:
    container = {"name": "c", "env": env(PAGES_HOST="pages.example.com", PAGES_PORT="5432")}
    assert ends(await mapped(with_container(container)), EdgeKind.CALLS) == {
        ("Deployment/render", "Database/pages.example.com")
    }


async def test_arguments_name_callees_and_variables_stand_for_their_values() -> None:
    container = {
        "name": "c",
        "env": env(HALL="hall", PRINT_URL="http://printer.$(HALL).svc/"),
        "args": ["--upstream=http://archive.vault.svc:80", "--ledger=ledger.money.svc.cluster.local:90", "--workers=8"],
    }
    assert ends(await mapped(with_container(container)), EdgeKind.CALLS) == {
        ("Deployment/render", "Service/printer"),
        ("Deployment/render", "Service/archive"),
        ("Deployment/render", "Service/ledger"),
    }


async def test_an_ip_address_is_the_service_that_has_it() -> None:
    labels = {"app": "cover"}
    caller = thing("cover", "news", spec=template(labels, containers=[{"env": env(RENDER_URL="http://10.1.0.9:80")}]))
    found = objects(deployments=[*objects()["deployments"], caller])
    assert ends(await mapped(FakeApi(found)), EdgeKind.CALLS) == {("Deployment/cover", "Service/render")}


async def test_volumes_configuration_and_claims_are_what_a_workload_stands_on() -> None:
    container = {
        "name": "c",
        "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}],
        "envFrom": [{"configMapRef": {"name": "limits"}}],
    }
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "cache"}},
        {"name": "b", "configMap": {"name": "fonts"}},
        {
            "name": "c",
            "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}, {"secret": {"name": "cert"}}]},
        },
    ]
    api = with_container(container, volumes=volumes)
    claims = [thing("cache", "press", spec={"volumeName": "pv-7"})]
    api.objects = {**api.objects, "persistentvolumeclaims": claims}
    platform = await mapped(api)
    assert ends(platform, EdgeKind.READS) == {
        ("Deployment/render", f"{one}") for one in ("Secret/keys", "ConfigMap/limits", "ConfigMap/fonts", "Secret/cert")
    }
    assert ends(platform, EdgeKind.MOUNTS) == {
        ("Deployment/render", "PersistentVolumeClaim/cache"),
        ("PersistentVolumeClaim/cache", "PersistentVolume/pv-7"),
    }


async def test_a_statefulsets_pods_mount_each_its_own_claim() -> None:
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-store-0"}},
        {"name": "tmp", "ephemeral": {}},
    ]
    pod = thing("store-0", "press", owner="StatefulSet/store", spec={"volumes": volumes})
    stateful = thing("store", "press", spec=template({"app": "store"}))
    platform = await mapped(FakeApi({"pods": [pod], "statefulsets": [stateful]}))
    assert ends(platform, EdgeKind.MOUNTS) == {
        ("Pod/store-0", "PersistentVolumeClaim/data-store-0"),
        ("Pod/store-0", "PersistentVolumeClaim/store-0-tmp"),
    }


async def test_a_pod_of_an_operator_tells_itself_what_it_calls() -> None:
    spec = {"containers": [{"name": "c", "env": env(UP_URL="http://render.press.svc")}]}
    pod = thing("op-0", "press", owner="PodSet/op", spec=spec)
    platform = await mapped(FakeApi(objects(pods=[pod])))
    assert ("Pod/op-0", "Service/render") in ends(platform, EdgeKind.CALLS)
    assert ("PodSet/op", "Pod/op-0") in ends(platform, EdgeKind.OWNS)


async def test_autoscalers_scale_and_gitops_manages() -> None:
    labels = {"app": "render"}
    argo = {"argocd.argoproj.io/tracking-id": "press:apps/Deployment:press/render"}
    copied = {"argocd.argoproj.io/tracking-id": "press:apps/Deployment:press/render"}
    flux = {"kustomize.toolkit.fluxcd.io/name": "infra", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "render"}}
    found = objects(
        deployments=[thing("render", "press", annotations=argo, spec=template(labels))],
        configmaps=[thing("copy", "press", annotations=copied)],
        horizontalpodautoscalers=[thing("render", "press", labels=flux, spec=target)],
    )
    platform = await mapped(FakeApi(found))
    assert ends(platform, EdgeKind.SCALES) == {("HorizontalPodAutoscaler/render", "Deployment/render")}
    assert ends(platform, EdgeKind.MANAGES) == {
        ("Application/press", "Deployment/render"),
        ("Kustomization/infra", "HorizontalPodAutoscaler/render"),
    }


# -- how it is asked --------------------------------------------------------------------------------------------------


async def test_of_secrets_and_configmaps_names_and_versions_are_asked_for_and_nothing_else() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}
    api = FakeApi({"secrets": [thing("keys", "press", version="71", annotations=applied, data={"k": "aHVudGVyMg=="})]})
    async with api_server(api) as backend:
        part = await map_of_kubernetes(backend)
    assert part.versions == {s("Secret", "keys"): "71"}
    accepts = [accept for _, path, accept in api.seen if path.endswith(("secrets", "configmaps"))]
    assert len(accepts) == 2
    assert all("as=PartialObjectMetadataList" in accept for accept in accepts)
    assert "hunter2" not in str(part)


async def test_long_lists_come_in_pages_and_what_is_cut_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = [thing(f"p-{n}", "press") for n in range(25)]
    whole = await mapped(FakeApi({"pods": pods}, page=10))
    assert len(whole.nodes) == 25
    assert whole.unseen == ()
    monkeypatch.setattr(asked, "MOST", 20)
    cut = await mapped(FakeApi({"pods": pods}, page=10))
    assert len(cut.nodes) == 20
    assert "pods" in cut.unseen[0].what
    assert "more than 20" in cut.unseen[0].why


async def test_an_account_of_one_namespace_sees_that_and_says_so() -> None:
    mine = thing("w", "default", spec=template({}))
    api = FakeApi(
        {"deployments": [mine, *objects()["deployments"]], "secrets": [], "nodes": [thing("m1")], "pods": []},
        only_in={"deployments": ["default"], "secrets": [], "nodes": []},
    )
    platform = await mapped(api)
    assert list(platform.nodes) == [s("Deployment", "w", "default")]
    told = {one.what: one.why for one in platform.unseen}
    assert told["Kubernetes eu: deployments"] == "the account may list them in the namespace default only"
    assert "nor in the namespace default" in told["Kubernetes eu: secrets"]
    assert "may not list" in told["Kubernetes eu: nodes"]
    assert not [path for method, path, _ in api.seen if method == "GET" and path.endswith(("secrets", "nodes"))]


async def test_pods_whose_replicasets_are_hidden_are_owned_by_what_their_label_says() -> None:
    labels = {"app": "render", "pod-template-hash": "5d8f9"}
    pods = [thing("render-5d8f9-m1", "press", labels=labels, owner="ReplicaSet/render-5d8f9")]
    platform = await mapped(FakeApi(objects(pods=pods), only_in={"replicasets": []}))
    (owned,) = (e for e in platform.edges if e.kind is EdgeKind.OWNS)
    assert owned.source == s("Deployment", "render")
    assert "pattern" in owned.known_from
