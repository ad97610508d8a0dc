"""What a Prometheus tells of the platform: of any exporter's labels, and through the HTTP API of a real server."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agent.errors import ToolFailed
from agent.platform import map_of_metrics as asked
from agent.platform.map_of_metrics import OBJECTS, OWNERS, PEERS, PODS, TARGETS, client_metrics, map_of_metrics, part_of
from agent.platform.platform_map import Edge, EdgeKind, PlatformMap, joined
from agent.platform.vocabulary import vocabulary
from tests import real_prometheus
from tests.conftest import need
from tests.contexts import backend
from tools.context import Backend, Subject
from tools.prometheus import promql as pql

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KSM = {"job": "kube-state-metrics", "instance": "10.2.0.4:8080", "service": "ksm", "endpoint": "http"}


def mapped(cluster: str = "eu", **rows: Iterable[Mapping[str, str]]) -> PlatformMap:
    """A map of the label sets that answered each question; `_` in a question's name stands for a space."""
    placed = {what.replace("_", " "): [{"cluster": cluster, **row} for row in some] for what, some in rows.items()}
    return joined([part_of(placed)], NOW)


def calls(platform: PlatformMap) -> set[tuple[str, str]]:
    return ends(platform, EdgeKind.CALLS)


def ends(platform: PlatformMap, kind: EdgeKind) -> set[tuple[str, str]]:
    return {(_name(e.source), _name(e.target)) for e in platform.edges if e.kind is kind}


def _name(one: Subject) -> str:
    return f"{one.kind} {one.namespace}/{one.name}" if one.namespace else f"{one.kind} {one.name}"


# -- kube-state-metrics ---------------------------------------------------------------------------------------------


POD = {"namespace": "fab", "pod": "etch-7c5d9-aaaaa", "node": "rack-3", "created_by_kind": "ReplicaSet"}
POD |= {"created_by_name": "etch-7c5d9", "pod_ip": "10.2.1.7"}
SET = {"namespace": "fab", "replicaset": "etch-7c5d9", "owner_kind": "Rollout", "owner_name": "etch"}


def test_kube_state_metrics_tells_owners_and_nodes() -> None:
    platform = mapped(**{PODS: [KSM | POD], OWNERS: [KSM | SET]})
    assert ends(platform, EdgeKind.OWNS) == {("Rollout fab/etch", "Pod fab/etch-7c5d9-aaaaa")}
    assert ends(platform, EdgeKind.RUNS_ON) == {("Pod fab/etch-7c5d9-aaaaa", "Node rack-3")}
    assert platform.owners()["Pod", "fab", "etch-7c5d9-aaaaa"] == ("Rollout", "etch")


def test_labels_that_the_scrape_took_are_read_under_exported() -> None:
    taken = {"exported_namespace": "fab", "exported_pod": "etch-7c5d9-aaaaa", "namespace": "monitoring", "pod": "ksm-0"}
    row = {k: v for k, v in POD.items() if k not in ("namespace", "pod")} | taken
    set_ = {k: v for k, v in SET.items() if k != "namespace"} | {"exported_namespace": "fab", "namespace": "monitoring"}
    platform = mapped(**{PODS: [row], OWNERS: [set_]})
    assert ends(platform, EdgeKind.OWNS) == {("Rollout fab/etch", "Pod fab/etch-7c5d9-aaaaa")}


def test_an_owner_that_no_series_tells_is_guessed_from_the_name_and_says_so() -> None:
    platform = mapped(**{PODS: [KSM | POD]})
    (edge,) = (e for e in platform.edges if e.kind is EdgeKind.OWNS)
    assert _name(edge.source) == "Deployment fab/etch"
    assert edge.known_from == "the name's pattern"


def test_jobs_lead_to_their_cronjob() -> None:
    pod = {"namespace": "fab", "pod": "clean-29311-x", "created_by_kind": "Job", "created_by_name": "clean-29311"}
    job = {"namespace": "fab", "job_name": "clean-29311", "owner_kind": "CronJob", "owner_name": "clean"}
    assert ends(mapped(**{PODS: [pod], OWNERS: [job]}), EdgeKind.OWNS) == {
        ("Job fab/clean-29311", "Pod fab/clean-29311-x"),
        ("CronJob fab/clean", "Job fab/clean-29311"),
    }


def test_objects_are_known_by_the_labels_of_their_own_series_and_not_by_the_scrapes() -> None:
    space = KSM | {"namespace": "fab", "pod": "ksm-0"}
    rows = [
        space | {"deployment": "etch"},
        space | {"service": "wafers", "cluster_ip": "10.9.0.1"},
        space | {"endpoint": "wafers", "ip": "10.2.1.7"},
        space | {"horizontalpodautoscaler": "h", "scaletargetref_kind": "Deployment", "scaletargetref_name": "etch"},
        space | {"pod": "etch-7c5d9-aaaaa", "volume": "v", "persistentvolumeclaim": "disk"},
        space | {"persistentvolumeclaim": "disk", "volumename": "pv-1"},
        space | {"ingress": "front", "service_name": "wafers"},
        space | {"service": "mail", "cluster_ip": "None", "external_name": "smtp.example.com"},
    ]
    platform = mapped(**{PODS: [KSM | POD], OBJECTS: rows})
    assert ends(platform, EdgeKind.SELECTS) == {("Service fab/wafers", "Deployment fab/etch")}
    assert ends(platform, EdgeKind.SCALES) == {("HorizontalPodAutoscaler fab/h", "Deployment fab/etch")}
    assert ends(platform, EdgeKind.MOUNTS) == {
        ("Pod fab/etch-7c5d9-aaaaa", "PersistentVolumeClaim fab/disk"),
        ("PersistentVolumeClaim fab/disk", "PersistentVolume pv-1"),
    }
    assert ends(platform, EdgeKind.ROUTES) == {
        ("Ingress fab/front", "Service fab/wafers"),
        ("Service fab/mail", "Target smtp.example.com"),
    }
    assert not [one for one in platform.nodes if "ksm" in one.name]


# -- scrape targets ---------------------------------------------------------------------------------------------------


def test_a_scraped_pod_is_selected_by_the_service_through_which_it_is_scraped() -> None:
    row = {
        "job": "wafers",
        "service": "wafers",
        "namespace": "fab",
        "pod": "etch-7c5d9-aaaaa",
        "instance": "10.2.1.7:80",
    }
    platform = mapped(**{PODS: [KSM | POD], OWNERS: [SET], TARGETS: [row]})
    assert ends(platform, EdgeKind.SELECTS) == {("Service fab/wafers", "Rollout fab/etch")}


def test_an_exporters_target_is_the_machine_it_reports_on() -> None:
    row = {
        "job": "node-exporter",
        "instance": "10.0.0.3:9100",
        "pod": "node-exporter-x",
        "namespace": "m",
        "node": "rack-3",
    }
    assert [_name(one) for one in mapped(**{TARGETS: [row]}).nodes] == ["Node rack-3"]


def test_a_machine_that_an_exporter_knows_by_its_address_is_the_node_that_has_it() -> None:
    row = {"job": "node-exporter", "instance": "192.0.2.30:9100"}
    pod = POD | {"host_ip": "192.0.2.30"}
    nodes = [one for one in mapped(**{PODS: [pod], TARGETS: [row]}).nodes.items() if one[0].kind == "Node"]
    assert nodes == [(Subject("Node", "eu", "", "rack-3"), {"kube-state-metrics", "metrics (up)"})]


def test_a_target_scraped_by_its_pods_address_is_that_pods_workload() -> None:
    row = {"job": "wafers", "instance": "10.2.1.7:80"}
    platform = mapped(**{PODS: [POD], OWNERS: [SET], TARGETS: [row]})
    assert ends(platform, EdgeKind.SELECTS) == {("Service wafers", "Rollout fab/etch")}


def test_a_platform_without_kubernetes_has_services_and_their_instances() -> None:
    rows = [{"job": "billing", "instance": f"vm{n}:9000"} for n in (1, 2)]
    platform = mapped("", **{TARGETS: rows})
    assert ends(platform, EdgeKind.SELECTS) == {
        ("Service billing", "Target vm1:9000"),
        ("Service billing", "Target vm2:9000"),
    }


# -- calls --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "value", "callee"),
    [
        ("peer", "wafers", "Service fab/wafers"),
        ("upstream", "http://wafers.fab.svc:80/x", "Service fab/wafers"),
        ("server_address", "wafers.fab.svc.cluster.local", "Service fab/wafers"),
        ("net_peer_name", "api.example.com", "Target api.example.com"),
        ("peer_service", "wafers", "Service fab/wafers"),
        ("target", "dns:///wafers.fab:50051", "Service fab/wafers"),
        ("db_host", "orders.example.com", "Database orders.example.com"),
        ("peer", "orders.abc.eu-west-1.rds.amazonaws.com:5432", "Database orders.abc.eu-west-1.rds.amazonaws.com"),
        ("messaging_destination_name", "lots", "Queue lots"),
        ("peer", "10.9.0.1:80", "Service fab/wafers"),
        ("peer", "stepper", "Target stepper"),
    ],
)
def test_a_label_that_names_the_peer_is_a_call(label: str, value: str, callee: str) -> None:
    service = {"namespace": "fab", "service": "wafers", "cluster_ip": "10.9.0.1"}
    row = {"namespace": "litho", "pod": "expose-0", "job": "expose", label: value}
    platform = mapped(**{OBJECTS: [service], PEERS: [row]})
    assert calls(platform) == {("StatefulSet litho/expose", callee)}
    (edge,) = (e for e in platform.edges if e.kind is EdgeKind.CALLS)
    assert edge.known_from == f"client metrics ({label})"


@pytest.mark.parametrize("value", ["unknown", "", "none", "-", "expose", "localhost:80", "/v1/lots"])
def test_what_names_nobody_or_the_caller_itself_is_no_call(value: str) -> None:
    assert calls(mapped(**{PEERS: [{"namespace": "litho", "pod": "expose-0", "peer": value}]})) == set()


def test_what_an_exporter_measures_is_no_call_of_its_own() -> None:
    row = {
        "job": "blackbox-exporter",
        "namespace": "monitoring",
        "pod": "blackbox-exporter-x2kqz",
        "target": "api.example.com",
    }
    assert calls(mapped(**{PEERS: [row]})) == set()


def test_a_label_beside_it_says_that_the_peer_is_a_database() -> None:
    row = {"namespace": "litho", "pod": "expose-0", "server_address": "lots.example.com", "db_system": "postgresql"}
    assert calls(mapped(**{PEERS: [row]})) == {("StatefulSet litho/expose", "Database lots.example.com")}


def test_service_graphs_and_meshes_name_both_ends() -> None:
    platform = mapped(
        service_graph=[
            {"client": "shopper", "server": "till"},
            {"client": "till", "server": "lots-db", "connection_type": "database"},
            {"client": "user", "server": "shopper"},
        ],
        Istio=[
            {
                "source_workload": "expose",
                "source_workload_namespace": "litho",
                "destination_workload": "etch",
                "destination_workload_namespace": "fab",
            },
            {"source_workload": "unknown", "destination_workload": "etch", "destination_workload_namespace": "fab"},
            {
                "source_workload": "expose",
                "source_workload_namespace": "litho",
                "destination_workload": "unknown",
                "destination_service_name": "api.example.com",
            },
        ],
        Linkerd=[{"deployment": "expose", "namespace": "litho", "dst_deployment": "till", "dst_namespace": "shop"}],
    )
    assert calls(platform) == {
        ("Service shopper", "Service till"),
        ("Service till", "Database lots-db"),
        ("Deployment litho/expose", "Deployment fab/etch"),
        ("Deployment litho/expose", "Target api.example.com"),
        ("Deployment litho/expose", "Deployment shop/till"),
    }


def test_two_clusters_in_one_server_stay_two() -> None:
    other = POD | {"cluster": "us", "created_by_kind": "StatefulSet", "created_by_name": "etch"}
    platform = mapped(**{PODS: [POD, other], OWNERS: [SET]})
    kinds = {e.source.cluster: e.source.kind for e in platform.edges if e.kind is EdgeKind.OWNS}
    assert kinds == {"eu": "Rollout", "us": "StatefulSet"}


# -- what is asked --------------------------------------------------------------------------------------------------------


def test_one_part_of_a_histogram_is_asked_and_only_of_an_applications_own_metrics() -> None:
    named = ["rpc_seconds_bucket", "rpc_seconds_sum", "rpc_seconds_count", "kube_x_info", "http_server_requests_total"]
    named += ["node_x", "istio_requests_total", "job:rpc:rate5m"]
    assert client_metrics(named, vocabulary()) == (["rpc_seconds_count"], [])


def test_metrics_that_are_too_many_are_named_and_clients_come_first() -> None:
    named = [f"aa_{n:02}_total" for n in range(40)] + ["zz_client_requests_total"]
    kept, left = client_metrics(named, vocabulary())
    assert kept[0] == "zz_client_requests_total"
    assert len(kept) == asked.MOST_METRICS
    assert len(kept) + len(left) == 41


def test_however_much_there_is_the_questions_are_few_and_are_ones_we_send() -> None:
    words = vocabulary()
    every = {"up", *asked._PODS, *asked._OWNERS, *asked._OBJECTS, *(m for g in words.peers.graphs for m in g.metrics)}
    labels = {label for one in words.kinds for label in one.labels} | set(words.peers.labels) | {"namespace", "cluster"}
    clients = [f"a_client_metric_with_a_name_that_is_rather_long_{n}_total" for n in range(asked.MOST_METRICS)]
    found = asked.questions(frozenset(every), frozenset(labels), clients, words)
    assert len(found) + 3 <= asked.MOST_ASKED
    for one in found:
        pql.guard(pql.parse(one.promql), 1, NOW)


class Answers:
    """A Prometheus whose answers to queries are an error."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.url.path)
        if request.url.path.endswith("/query"):
            return httpx.Response(503, json={"status": "error", "errorType": "timeout", "error": "too slow"})
        names = ["up", "kube_pod_info"] if "__name__" in request.url.path else ["pod", "namespace"]
        return httpx.Response(200, json={"status": "success", "data": names})


async def test_a_query_that_fails_is_said_and_the_rest_is_kept() -> None:
    answers = Answers()
    part = await map_of_metrics(backend("prometheus", app=httpx.MockTransport(answers), name="main"), NOW)
    assert [one.what for one in part.unseen] == ["Prometheus main: pods", "Prometheus main: scrape targets"]
    assert "gave up" in part.unseen[0].why
    assert len(answers.seen) == 4


async def test_a_server_that_is_no_prometheus_is_said() -> None:
    with pytest.raises(ToolFailed, match="not as Prometheus does"):
        await map_of_metrics(
            backend("prometheus", app=httpx.MockTransport(lambda _: httpx.Response(200, json={}))), NOW
        )


# -- a real server ----------------------------------------------------------------------------------------------------


SERIES: dict[str, list[dict[str, str]]] = {
    "up": [
        {
            "job": "fab/etch",
            "namespace": "fab",
            "pod": "etch-7c5d9-aaaaa",
            "instance": "10.2.1.7:80",
            "service": "wafers",
        }
    ],
    "kube_pod_info": [KSM | POD],
    "kube_replicaset_owner": [KSM | SET],
    "kube_service_info": [KSM | {"namespace": "tool", "service": "stepper", "cluster_ip": "10.9.0.2"}],
    "rpc_client_seconds_count": [
        {"namespace": "fab", "pod": "etch-7c5d9-aaaaa", "rpc_target": "x", "peer": "stepper:90"}
    ],
    "rpc_client_seconds_bucket": [{"namespace": "fab", "pod": "etch-7c5d9-aaaaa", "le": "1", "peer": "stepper:90"}],
    "sql_calls_total": [{"namespace": "fab", "pod": "etch-7c5d9-aaaaa", "db_host": "lots.example.com"}],
    "traces_service_graph_request_total": [{"client": "till", "server": "shopper"}],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prometheus over SERIES, as of NOW."""
    program, tool = need("prometheus", "prometheus"), need("promtool", "prometheus")
    folder, end = tmp_path_factory.mktemp("prometheus"), int(NOW.timestamp())
    lines = []
    for name, some in SERIES.items():
        for labels in some:
            shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
            lines += [f"{name}{{{shown}}} 1 {at}" for at in range(end - 600, end + 1, 60)]
    (folder / "history.om").write_text("\n".join([*lines, "# EOF", ""]))
    blocks = [tool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.om"), str(folder / "data")]
    subprocess.run(blocks, check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").write_text("")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server, url = real_prometheus.serve(program, folder, port)
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture
async def counted(address: str) -> AsyncIterator[tuple[Backend, list[str]]]:
    seen: list[str] = []

    async def note(request: Any) -> None:
        seen.append(request.url.path)

    async with httpx.AsyncClient(base_url=address, timeout=10, event_hooks={"request": [note]}) as http:
        yield Backend("prometheus", "main", address, http, match={"cluster": "eu"}), seen


async def test_a_real_prometheus_tells_who_owns_runs_and_calls(counted: tuple[Backend, list[str]]) -> None:
    server, seen = counted
    platform = joined([await map_of_metrics(server, NOW)], NOW)
    assert platform.unseen == ()
    assert calls(platform) == {
        ("Rollout fab/etch", "Service tool/stepper"),
        ("Rollout fab/etch", "Database lots.example.com"),
        ("Service till", "Service shopper"),
    }
    assert ends(platform, EdgeKind.SELECTS) == {("Service fab/wafers", "Rollout fab/etch")}
    assert ("Pod fab/etch-7c5d9-aaaaa", "Node rack-3") in ends(platform, EdgeKind.RUNS_ON)
    assert len(seen) <= asked.MOST_ASKED
    edge = next(e for e in platform.edges if e.target.name == "stepper")
    assert isinstance(edge, Edge)
    assert edge.source.cluster == "eu"


async def test_series_of_yesterday_are_not_there(counted: tuple[Backend, list[str]]) -> None:
    server, seen = counted
    part = await map_of_metrics(server, NOW + timedelta(days=1))
    assert part.nodes == {}
    assert len(seen) <= 3
