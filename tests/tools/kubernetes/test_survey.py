"""The read `survey` against an API server over HTTP: what it finds, what it says it could not see, how much it asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent.clock import MovedClock
from tests.contexts import context
from tests.kubernetes_api import Document, FakeApi, api_server
from tests.tools.kubernetes.things import (
    HASH,
    NOW,
    container,
    deployment,
    ended,
    event,
    named,
    pod,
    ready_pod,
    status,
    unscheduled_pod,
)
from tests.tools.kubernetes.things import seen as seen_of
from tools.context import Context, Labels, Subject
from tools.errors import BadArguments, NotRecorded, TargetUnclear
from tools.kubernetes.look import MOST_REQUESTS
from tools.kubernetes.pod_logs import Logs, log_symptoms, read_logs
from tools.kubernetes.survey import found_in, survey
from tools.kubernetes.symptoms.objects import loads_of
from tools.spec import Answer, Emptiness
from tools.symptoms import Symptom, symptoms_of

PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "StorageClass": "storageclasses"}
SERVED = ("pods", "services", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "events")
SERVED += (
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
    "networkpolicies",
    "ingresses",
    "horizontalpodautoscalers",
)
SERVED += ("resourcequotas", "controllerrevisions", "nodes", "namespaces", "storageclasses", "persistentvolumes")
SERVED += ("ingressclasses", "leases")
LEDGER = Subject("Deployment", "eu", "payments", "ledger")
CRASHED = status(restarts=4, waiting=("CrashLoopBackOff", "back-off"), last=ended(1))


def api(*objects: Mapping[str, Any], **more: Any) -> FakeApi:
    by_plural: dict[str, list[Document]] = {plural: [] for plural in SERVED}
    nodes = [named("Node", "worker-3", "", status={"conditions": [{"type": "Ready", "status": "True"}]})]
    for one in (*objects, *([] if any(o.get("kind") == "Node" for o in objects) else nodes)):
        plural = "events" if "involvedObject" in one else PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
        by_plural[plural].append({**one})
    return FakeApi(by_plural, **more)


class Near:
    """A platform that knows which subjects are near another one, and reads names as a person writes them."""

    def __init__(self, *near: Subject) -> None:
        self.known = near

    def about(self, labels: Labels, metric: str = "") -> tuple[Subject, ...]:
        return ()

    def same(self, one: Subject, other: Subject) -> bool:
        return one == other

    def names(self, subject: Subject, kind: str) -> str:
        return ""

    def feels(self, subject: Subject) -> tuple[Subject, ...]:
        return ()

    def near(self, subject: Subject, hops: int = 2) -> tuple[Subject, ...]:
        return self.known

    def find(self, text: str) -> Subject:
        kind, namespace, name = text.split("/")
        return Subject(kind, "", namespace, name)


async def surveyed(
    fake: FakeApi, *subjects: Subject, near: Sequence[Subject] = (), subject: str = "", **more: Any
) -> Answer:
    async with api_server(fake) as backend:
        base: Context = context(backend)
        clock = MovedClock(NOW)
        here = replace(base, clock=clock, as_of=NOW, subjects=subjects or (LEDGER,), platform=Near(*near), **more)
        return await survey(here, subject=subject)


def told(answer: Answer) -> list[tuple[str, str, str]]:
    return [(one.kind, one.reason, one.subject.name) for _, one in symptoms_of(answer.facts)]


def counts(answer: Answer) -> dict[str, Any]:
    return {fact.id: fact.value for fact in answer.facts if fact.id.endswith((".count", "exists"))}


async def test_a_workload_that_cannot_be_scheduled_is_told_without_any_catalog() -> None:
    message = "0/1 nodes are available: 1 Insufficient memory."
    answer = await surveyed(api(deployment(), unscheduled_pod(message)))
    assert told(answer) == [("unschedulable", "memory", "ledger")]
    assert answer.summary.startswith(
        "Deployment ledger (payments) at 2026-11-30 14:00 UTC: 1 symptom, 1 of them hurting now."
    )
    assert "1 of 1 pods cannot be scheduled: 1 node, none fits: 1 has too little memory" in answer.summary
    assert counts(answer)["symptoms.count"] == 1
    json.dumps(answer.data)


async def test_what_is_well_is_said_to_be_well() -> None:
    service = named("Service", "ledger", spec={"selector": {"app": "ledger"}, "ports": [{"port": 80}]})
    answer = await surveyed(
        api(
            deployment(replicas=2, status={"readyReplicas": 2}), ready_pod(), ready_pod(f"ledger-{HASH}-bbbbb"), service
        )
    )
    assert answer.empty is Emptiness.NOTHING
    assert "nothing is out of order: 1 workload, 2 pods ready" in answer.summary


async def test_of_a_namespace_all_is_told() -> None:
    asleep = deployment("reports", replicas=0)
    lonely = named("Service", "audit", spec={"selector": {"app": "audit"}})
    answer = await surveyed(api(deployment(), ready_pod(), asleep, lonely), Subject("Namespace", "eu", "", "payments"))
    assert set(told(answer)) == {
        ("service_without_pods", "selector", "audit"),
        ("scaled_to_zero", "replicas", "reports"),
    }


async def test_another_workload_of_the_namespace_is_nobodys_business() -> None:
    answer = await surveyed(api(deployment(), ready_pod(), deployment("reports", replicas=0)))
    assert told(answer) == []


async def test_what_a_workload_calls_is_looked_at_without_a_map() -> None:
    env = [{"name": "DATABASE_URL", "value": "postgres://ledger:s3cr3t@orders-db:5432/ledger"}]
    caller = deployment(containers=[container(env=env)])
    database = named(
        "StatefulSet", "orders-db", spec={"replicas": 0, "template": {"metadata": {"labels": {"app": "db"}}}}
    )
    service = named("Service", "orders-db", spec={"selector": {"app": "db"}, "ports": [{"port": 5432}]})
    answer = await surveyed(api(caller, ready_pod(), database, service))
    assert set(told(answer)) == {
        ("service_without_pods", "no_pods", "orders-db"),
        ("scaled_to_zero", "replicas", "orders-db"),
    }


async def test_a_service_that_is_called_and_does_not_exist_is_accused() -> None:
    env = [
        {"name": "RATES_HOST", "value": "rates.treasury.svc.cluster.local"},
        {"name": "LEDGER_API", "value": "http://ledgr:80"},
    ]
    answer = await surveyed(api(deployment(containers=[container(env=env)]), ready_pod()))
    (found,) = [one for _, one in symptoms_of(answer.facts)]
    assert (found.kind, found.reason) == ("reference_dangling", "env_service")
    assert found.accuses == Subject("Service", "eu", "payments", "ledgr"), "the other namespace was not read"


async def test_a_neighbour_on_the_map_in_another_namespace_is_looked_at() -> None:
    other = deployment("rates", namespace="treasury", replicas=0)
    near = [Subject("Deployment", "eu", "treasury", "rates")]
    answer = await surveyed(api(deployment(), ready_pod(), other), near=near)
    assert told(answer) == [("scaled_to_zero", "replicas", "rates")]


async def test_of_a_node_the_machine_and_what_sits_on_it_are_told() -> None:
    down = {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
    }
    node = named("Node", "worker-3", "", status={"conditions": [down]})
    lost = pod(statuses=[status(running=4000)], age=4000)
    answer = await surveyed(api(node, lost), Subject("Node", "eu", "", "worker-3"))
    assert told(answer) == [("node_down", "kubelet", "worker-3"), ("unready", "", "ledger")]


async def test_a_subject_without_a_namespace_is_looked_for() -> None:
    answer = await surveyed(api(deployment(replicas=0)), Subject("Deployment", "", "", "ledger"))
    assert told(answer) == [("scaled_to_zero", "replicas", "ledger")]


async def test_a_person_may_name_the_subject() -> None:
    answer = await surveyed(
        api(deployment(), ready_pod(), deployment("reports", replicas=0)), subject="Deployment/payments/reports"
    )
    assert told(answer) == [("scaled_to_zero", "replicas", "reports")]


async def test_what_does_not_exist_is_said_not_to() -> None:
    answer = await surveyed(
        api(deployment("other"), ready_pod("other-6d4cf56db6-bbbbb", owner="ReplicaSet/other-6d4cf56db6"))
    )
    assert counts(answer)["exists"] is False
    assert "it does not exist in Kubernetes" in answer.summary


# -- what may not be seen ---------------------------------------------------------------------------------------------


async def test_what_may_not_be_read_is_said_and_is_never_empty() -> None:
    volumes = {"volumes": [{"name": "tls", "secret": {"secretName": "ledger-tls"}}]}
    ill = pod(phase="Pending", spec=volumes, statuses=[status(waiting=("ContainerCreating", ""))])
    fake = api(deployment(), ill, only_in={"secrets": [], "nodes": []})
    answer = await surveyed(fake)
    assert told(answer) == [("unready", "", "ledger")], "a Secret that may not be listed is not missing"
    assert counts(answer)["not_visible.count"] == 2
    assert "Not visible: " in answer.summary
    assert "secrets in payments" in answer.summary
    assert answer.data["not_visible"]["nodes"].startswith("the account may not list them")


async def test_an_account_of_one_namespace_sees_that_one() -> None:
    fake = api(deployment(replicas=0), only_in={plural: ["payments"] for plural in SERVED})
    answer = await surveyed(fake)
    assert told(answer) == [("scaled_to_zero", "replicas", "ledger")]
    assert set(answer.data["not_visible"]) == {
        "nodes",
        "namespaces payments",
        "pods in kube-system",
        "leases in kube-system",
    }


async def test_an_account_that_may_see_nothing_is_not_told_that_all_is_well() -> None:
    answer = await surveyed(api(deployment(replicas=0), only_in={plural: [] for plural in SERVED}))
    assert "nothing could be seen" in answer.summary
    assert counts(answer)["looked.count"] == 0
    assert counts(answer)["not_visible.count"] > 15


async def test_nothing_that_a_secret_or_a_configmap_holds_is_asked_for() -> None:
    secret = named("Secret", "ledger-db", data={"password": "aHVudGVyMg=="})
    fake = api(deployment(), ready_pod(), secret, named("ConfigMap", "ledger", data={"a": "b"}))
    answer = await surveyed(fake)
    asked = [accept for _, path, accept in fake.seen if path.endswith(("secrets", "configmaps"))]
    assert len(asked) == 2
    assert all("PartialObjectMetadata" in accept for accept in asked)
    assert "aHVudGVyMg" not in json.dumps(answer.data)


async def test_a_look_makes_a_bounded_number_of_requests() -> None:
    pods = [ready_pod(f"ledger-{HASH}-{n:05}") for n in range(90)]
    claim = named("PersistentVolumeClaim", "data", status={"phase": "Pending"})
    fake = api(deployment(replicas=90, status={"readyReplicas": 90}), *pods, claim, page=10)
    near = [Subject("Deployment", "eu", space, "x") for space in ("a", "b", "c", "d")]
    answer = await surveyed(fake, near=near)
    made = [path for _, path, _ in fake.seen if path != "version"]
    assert answer.data["requests"] <= MOST_REQUESTS
    assert len(made) <= MOST_REQUESTS
    assert answer.data["not_visible"], "what was left out is said"


async def test_the_past_is_not_recorded() -> None:
    async with api_server(api(deployment())) as backend:
        past = replace(context(backend), clock=MovedClock(NOW), as_of=NOW - timedelta(hours=3), subjects=(LEDGER,))
        with pytest.raises(NotRecorded, match="Kubernetes keeps no record of how ledger"):
            await survey(past)


async def test_no_subject_is_asked_for() -> None:
    async with api_server(api()) as backend:
        with pytest.raises(BadArguments, match="names no subject"):
            await survey(replace(context(backend), clock=MovedClock(NOW), as_of=NOW))


async def test_a_subject_of_a_cluster_that_is_not_configured_is_refused() -> None:
    with pytest.raises(TargetUnclear, match="'us'"):
        await surveyed(api(deployment()), Subject("Deployment", "us", "payments", "ledger"))


# -- configuration ----------------------------------------------------------------------------------------------------


async def test_the_configuration_is_what_a_person_would_look_at() -> None:
    spec = container(
        env=[
            {"name": "LOG_LEVEL", "value": "debug"},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "ledger-db", "key": "password"}}},
        ],
        ports=[{"containerPort": 8080}],
    )
    service = named(
        "Service", "ledger", spec={"selector": {"app": "ledger"}, "ports": [{"port": 80, "targetPort": 8080}]}
    )
    answer = await surveyed(api(deployment(containers=[spec]), ready_pod(), service))
    (workload,), (offered,) = answer.data["configuration"]["workloads"], answer.data["configuration"]["services"]
    assert workload["containers"][0]["env"] == {
        "LOG_LEVEL": "debug",
        "DB_PASSWORD": "from Secret ledger-db, key password",
    }
    assert offered["selector"] == {"app": "ledger"}
    assert offered["ready"] == [f"ledger-{HASH}-aaaaa"]


# -- logs -------------------------------------------------------------------------------------------------------------


async def test_the_decisive_line_of_the_run_before_is_told_of_a_container_that_exits() -> None:
    ill = pod(statuses=[CRASHED])
    name = ill["metadata"]["name"]
    text = "starting\n2026-11-30 13:59:50,123 FATAL: password authentication failed for user ledger\nbye\n"
    fake = api(deployment(), ill, logs={(name, "ledger", True): text, (name, "ledger", False): 400})
    answer = await surveyed(fake)
    (found,) = [one for _, one in symptoms_of(answer.facts) if one.kind == "exits"]
    assert found.labels["line"] == "FATAL: password authentication failed for user ledger"
    assert found.text.endswith("FATAL: password authentication failed for user ledger")


@pytest.mark.parametrize(
    ("code", "only_in", "words"),
    [(500, {}, "HTTP 500"), (404, {}, "HTTP 404"), (404, {"pods/log": []}, "pods/log is forbidden")],
)
async def test_a_log_that_cannot_be_read_is_said(code: int, only_in: Mapping[str, Sequence[str]], words: str) -> None:
    ill = pod(statuses=[CRASHED])
    name = ill["metadata"]["name"]
    fake = api(deployment(), ill, only_in=only_in, logs={(name, "ledger", False): code, (name, "ledger", True): code})
    answer = await surveyed(fake)
    assert words in answer.data["not_visible"][f"log of {name} (ledger)"]


async def test_at_most_four_pods_are_asked_for_their_lines() -> None:
    pods = [pod(f"ledger-{HASH}-{n}{n}{n}{n}{n}", statuses=[CRASHED]) for n in "bcdfgh"]
    fake = api(deployment(replicas=6), *pods)
    await surveyed(fake)
    assert len({path for _, path, _ in fake.seen if path.endswith("/log")}) == 4


def test_lines_are_given_to_the_reader_with_the_subject_and_a_way_to_find_names() -> None:
    given: list[tuple[Sequence[str], Subject, Subject | None]] = []

    def reader(lines: Sequence[str], subject: Subject, find: Any) -> list[Symptom]:
        accused = find("orders-db.payments.svc")
        given.append((lines, subject, accused))
        return [
            Symptom(
                subject,
                "log_line",
                "refused",
                reason="refused",
                accuses=accused,
                labels={"line": "x", "node": "forged"},
            )
        ]

    ill, service = pod(statuses=[CRASHED]), named("Service", "orders-db", spec={})
    seen = seen_of(deployment(), ill, service)
    loads = loads_of(seen)
    logs = Logs({(ill["metadata"]["name"], "ledger"): ["a", "b"]})
    found = found_in(seen, loads, [replace(LEDGER, cluster="eu-prod")], (), logs, reader)
    assert given == [(["a", "b"], loads[0].subject, Subject("Service", "eu-prod", "payments", "orders-db"))]
    (line,) = [one for one in found if one.kind == "log_line"]
    assert dict(line.labels) == {"line": "x"}, "lines vouch for no name"
    assert log_symptoms(reader, Logs(), loads[0], lambda text: None) == []


async def test_logs_are_read_of_the_container_that_failed() -> None:
    ill = pod(
        containers=[container(), container("proxy")],
        statuses=[status(ready=True, running=50), {**CRASHED, "name": "proxy"}],
    )
    name = ill["metadata"]["name"]
    async with api_server(api(logs={(name, "proxy", True): "boom\n", (name, "proxy", False): ""})) as backend:
        from tools.kubernetes.client import connect
        from tools.kubernetes.pod_logs import ill_containers

        (load,) = loads_of(seen_of(deployment(), ill))
        logs = await read_logs(await connect(backend), ill_containers(load, [name]))
        assert logs.lines == {(name, "proxy"): ["boom"]}


async def test_events_of_now_give_the_words() -> None:
    ill = pod(phase="Pending", statuses=[status(waiting=("ContainerCreating", ""))])
    why = event(ill, "FailedMount", 'MountVolume.SetUp failed for volume "cfg" : configmap "ledger-settings" not found')
    answer = await surveyed(api(deployment(), ill, why))
    assert told(answer) == [("mount_failed", "configmap", "ledger")]


async def test_what_the_server_does_not_know_is_not_said_to_be_missing() -> None:
    volumes = {"volumes": [{"name": "tls", "secret": {"secretName": "ledger-tls"}}]}
    fake = api(deployment(), ready_pod(spec=volumes))
    fake.objects = {kind: listed for kind, listed in fake.objects.items() if kind not in ("secrets", "nodes")}
    answer = await surveyed(fake)
    assert told(answer) == []
    assert answer.data["not_visible"]["nodes"] == "the API server has no such list"
    assert not any("rollouts" in what for what in answer.data["not_visible"])


async def test_a_cluster_whose_dns_is_down_is_told_whatever_is_asked() -> None:
    dns = pod(
        "coredns-6d4cf56db6-x7x2p",
        namespace="kube-system",
        labels={"k8s-app": "kube-dns", "pod-template-hash": HASH},
        owner=f"ReplicaSet/coredns-{HASH}",
        statuses=[CRASHED],
    )
    answer = await surveyed(api(deployment(), ready_pod(), dns))
    (found,) = [one for _, one in symptoms_of(answer.facts)]
    assert (found.subject.kind, found.kind, found.reason) == ("Cluster", "control_plane", "dns")


async def test_kinds_that_not_every_cluster_has_are_asked_for_where_there_are_some() -> None:
    rollout = deployment(
        kind="Rollout", replicas=4, status={"phase": "Degraded", "message": "RolloutAborted", "readyReplicas": 4}
    )
    fake = api(groups={"argoproj.io": ["rollouts"]})
    fake.objects = {**fake.objects, "rollouts": [rollout]}
    answer = await surveyed(fake, Subject("Rollout", "eu", "payments", "ledger"))
    assert told(answer) == [("rollout_stuck", "canary", "ledger")]
    await surveyed(plain := api(deployment(), ready_pod()))
    assert not any("rollouts" in path or "httproutes" in path for _, path, _ in plain.seen)


async def test_of_a_namespace_that_is_well_its_workloads_and_pods_are_counted() -> None:
    elsewhere = ready_pod("coredns-6d4cf56db6-x7x2p", namespace="kube-system", owner=f"ReplicaSet/coredns-{HASH}")
    answer = await surveyed(api(deployment(), ready_pod(), elsewhere), Subject("Namespace", "eu", "", "payments"))
    assert "nothing is out of order: 1 workload, 1 pod ready" in answer.summary


async def test_a_machine_is_read_although_its_addresses_stand_beside_its_conditions() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "PLEG is not healthy"}
    status = {"conditions": [ready], "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]}
    answer = await surveyed(api(named("Node", "oak", status=status)), Subject("Node", "eu", "", "oak"))
    assert told(answer) == [("node_down", "runtime", "oak")]


async def test_what_a_claim_of_the_incident_belongs_to_is_the_incidents_own() -> None:
    mounts = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "books"}}]}
    answer = await surveyed(
        api(deployment(spec=mounts), unscheduled_pod("0/1 nodes are available: 1 Insufficient cpu.", spec=mounts)),
        Subject("PersistentVolumeClaim", "eu", "payments", "books"),
    )
    (_, symptom), *_ = symptoms_of(answer.facts)
    assert (symptom.subject.name, symptom.labels["relation"]) == ("ledger", "own")
