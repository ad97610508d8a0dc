"""The platform map: what is one thing, what lies near it, how several sources' words become one map."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.domain.moves import NotChecked
from agent.errors import UnusableInput
from agent.platform.edges import BY_NAME, CATALOG, KUBERNETES, ONLY_NAMED
from agent.platform.platform_map import Edge, EdgeKind, Part, PlatformMap, joined
from agent.platform.subjects import subjects_of
from tools.context import Subject

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
PEER = "client metrics (peer)"


def s(text: str, cluster: str = "eu") -> Subject:
    """`Kind namespace/name`; without a namespace `Kind name`."""
    kind, _, rest = text.partition(" ")
    namespace, slash, name = rest.partition("/")
    return Subject(kind, cluster, namespace if slash else "", name if slash else namespace)


def edge(source: str, kind: EdgeKind, target: str, known_from: str = KUBERNETES, cluster: str = "eu") -> Edge:
    return Edge(s(source, cluster), s(target, cluster), kind, known_from)


def part(*edges: Edge, nodes: tuple[Subject, ...] | None = None, source: str = KUBERNETES) -> Part:
    """What a source tells that lists every end of its edges, unless `nodes` says what it lists."""
    ends = [one for e in edges for one in (e.source, e.target)] if nodes is None else nodes
    return Part(dict.fromkeys(ends, source), edges)


CART = (
    edge("Service trade/cart", EdgeKind.SELECTS, "Deployment trade/cart"),
    edge("Service trade/cart-headless", EdgeKind.SELECTS, "Deployment trade/cart"),
    edge("Deployment trade/cart", EdgeKind.OWNS, "Pod trade/cart-1"),
    edge("Deployment trade/cart", EdgeKind.OWNS, "Pod trade/cart-2"),
    edge("Pod trade/cart-1", EdgeKind.RUNS_ON, "Node m1"),
    edge("Pod trade/cart-2", EdgeKind.RUNS_ON, "Node m2"),
)
LEDGER = (
    edge("Service money/ledger", EdgeKind.SELECTS, "StatefulSet money/ledger"),
    edge("StatefulSet money/ledger", EdgeKind.OWNS, "Pod money/ledger-0"),
    edge("Pod money/ledger-0", EdgeKind.RUNS_ON, "Node m2"),
    edge("Pod money/ledger-0", EdgeKind.MOUNTS, "PersistentVolumeClaim money/data-ledger-0"),
    edge("Deployment trade/cart", EdgeKind.CALLS, "Service money/ledger"),
)


@pytest.fixture
def shop() -> PlatformMap:
    return joined([part(*CART, *LEDGER)], NOW)


def names(subjects: tuple[Subject, ...]) -> set[str]:
    return {f"{one.kind} {one.name}" for one in subjects}


def test_a_service_its_workload_and_its_pods_are_one_thing_and_their_node_is_another(shop: PlatformMap) -> None:
    whole = {"Service cart", "Service cart-headless", "Deployment cart", "Pod cart-1", "Pod cart-2"}
    assert names(shop.same_as(s("Deployment trade/cart"))) == whole - {"Deployment cart"}
    assert names(shop.same_as(s("Service trade/cart"))) == whole - {"Service cart"}
    assert shop.same_as(s("Node m1")) == ()


def test_a_pod_is_its_workload_and_service_but_not_its_siblings(shop: PlatformMap) -> None:
    assert names(shop.same_as(s("Pod trade/cart-1"))) == {"Service cart", "Service cart-headless", "Deployment cart"}


def test_a_canary_behind_the_same_service_is_not_the_same_workload() -> None:
    platform = joined([part(*CART, edge("Service trade/cart", EdgeKind.SELECTS, "Deployment trade/cart-canary"))], NOW)
    assert "Deployment cart-canary" not in names(platform.same_as(s("Deployment trade/cart")))
    assert "Deployment cart-canary" in names(platform.same_as(s("Service trade/cart")))
    assert "Service cart-headless" not in names(platform.same_as(s("Service trade/cart")))


def test_members_are_the_pods_behind_a_name(shop: PlatformMap) -> None:
    pods = (s("Pod trade/cart-1"), s("Pod trade/cart-2"))
    assert shop.members(s("Service trade/cart")) == pods
    assert shop.members(s("Deployment trade/cart")) == pods
    assert shop.members(pods[1]) == (pods[1],)
    assert shop.members(s("Node m1")) == ()


def test_what_owns_a_pod_stands_for_it(shop: PlatformMap) -> None:
    assert shop.workload(s("Pod money/ledger-0")) == s("StatefulSet money/ledger")
    assert shop.workload(s("Node m1")) == s("Node m1")


def test_neighbours_come_nearest_first_and_a_callee_before_a_shared_node(shop: PlatformMap) -> None:
    found = shop.neighbours(s("Deployment trade/cart"))
    assert [hop for _, hop in found] == sorted(hop for _, hop in found)
    assert {one.name for one, hop in found if hop == 1} == {"ledger", "ledger-0", "m1", "m2"}
    assert found[0][0] == s("Service money/ledger")
    assert found[-1] == (s("PersistentVolumeClaim money/data-ledger-0"), 2)
    assert len({one for one, _ in found}) == len(found)


def test_neighbours_are_the_same_under_every_name_of_the_thing(shop: PlatformMap) -> None:
    by_workload = dict(shop.neighbours(s("Deployment trade/cart")))
    assert dict(shop.neighbours(s("Service trade/cart"))) == by_workload
    by_pod = dict(shop.neighbours(s("Pod trade/cart-2")))
    assert by_pod[s("Pod trade/cart-1")] == 1
    assert by_pod[s("Service money/ledger")] == 1


def test_a_circle_of_calls_is_walked_once() -> None:
    circle = [edge(f"Service a/{one}", EdgeKind.CALLS, f"Service a/{two}") for one, two in ("xy", "yz", "zx")]
    found = joined([part(*circle)], NOW).neighbours(s("Service a/x"), hops=9)
    assert sorted((one.name, hop) for one, hop in found) == [("y", 1), ("z", 1)]


def test_no_neighbour_is_left_out_however_many_there_are() -> None:
    many = [edge(f"Service a/caller-{n:04}", EdgeKind.CALLS, "Service a/hub") for n in range(1500)]
    assert len(joined([part(*many)], NOW).neighbours(s("Service a/hub"), 1)) == 1500


def test_the_part_around_a_subject_keeps_no_edge_without_both_its_ends(shop: PlatformMap) -> None:
    near = shop.around(s("PersistentVolumeClaim money/data-ledger-0"), 1)
    assert {one.name for one in near.nodes} == {"data-ledger-0", "ledger", "ledger-0"}
    assert {end for e in near.edges for end in (e.source, e.target)} <= near.nodes.keys()
    assert len(near.edges) == 3


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["cart", "trade/cart", "eu/trade/cart", "deploy/cart", "Deployment/trade/cart", "deployments/eu/trade/cart"],
)
def test_a_workload_goes_by_its_name_with_as_much_before_it_as_one_likes(shop: PlatformMap, text: str) -> None:
    assert shop.find(text) == s("Deployment trade/cart")


def test_a_kind_tells_a_service_from_its_workload(shop: PlatformMap) -> None:
    assert shop.find("svc/cart") == shop.find("Service/trade/cart") == s("Service trade/cart")
    assert shop.find("node/m1") == s("Node m1")


def test_a_name_that_two_things_bear_is_answered_with_both() -> None:
    platform = joined([part(*CART, edge("Deployment test/cart", EdgeKind.OWNS, "Pod test/cart-1"))], NOW)
    with pytest.raises(UnusableInput, match="Deployment/eu/test/cart, Deployment/eu/trade/cart"):
        platform.find("cart")
    assert platform.find("test/cart") == s("Deployment test/cart")


def test_configuration_of_the_same_name_does_not_make_a_name_unclear() -> None:
    platform = joined([part(*CART, edge("Deployment trade/cart", EdgeKind.READS, "ConfigMap trade/cart"))], NOW)
    assert platform.find("cart").kind == "Deployment"
    assert platform.find("cm/cart").kind == "ConfigMap"


def test_a_name_that_is_not_there_is_answered_with_the_nearest(shop: PlatformMap) -> None:
    with pytest.raises(UnusableInput, match=r"no 'legder'.*StatefulSet/eu/money/ledger"):
        shop.find("legder")


def test_a_name_may_hold_slashes_itself() -> None:
    probe = Subject("Target", "", "", "https://example.org/health")
    assert PlatformMap({probe: frozenset({"up"})}, (), NOW).find("https://example.org/health") == probe


# -- one map of several sources ---------------------------------------------------------------------------------------


def peer(caller: str, host: str, kind: str = "Target", cluster: str = "eu") -> Part:
    call = Edge(s(caller, cluster), Subject(kind, cluster, "", host), EdgeKind.CALLS, PEER)
    return part(call, nodes=(call.source,), source="metrics")


@pytest.mark.parametrize(
    ("caller", "host", "meant"),
    [
        ("Deployment trade/cart", "ledger.money.svc.cluster.local", "Service money/ledger"),
        ("Deployment trade/cart", "ledger-0.ledger.money.svc", "Service money/ledger"),
        ("Deployment trade/cart", "ledger.money", "Service money/ledger"),
        ("Deployment money/audit", "ledger", "Service money/ledger"),
        ("Deployment trade/cart", "ledger", "Service money/ledger"),
        ("Deployment trade/cart", "gone.money.svc", "Service money/gone"),
    ],
)
def test_an_address_is_the_service_that_it_means_to_its_caller(caller: str, host: str, meant: str) -> None:
    platform = joined([part(*LEDGER[:-1]), peer(caller, host)], NOW)
    assert edge(caller, EdgeKind.CALLS, meant, PEER) in platform.edges


def test_a_bare_name_means_the_service_beside_the_caller_before_any_other() -> None:
    two = part(*LEDGER, edge("Service trade/ledger", EdgeKind.SELECTS, "Deployment trade/ledger"))
    platform = joined([two, peer("Deployment trade/cart", "ledger")], NOW)
    assert edge("Deployment trade/cart", EdgeKind.CALLS, "Service trade/ledger", PEER) in platform.edges


def test_a_bare_name_that_fits_two_services_elsewhere_is_neither() -> None:
    two = part(*LEDGER, edge("Service test/ledger", EdgeKind.SELECTS, "Deployment test/ledger"))
    platform = joined([two, peer("Deployment trade/cart", "ledger", "Service")], NOW)
    assert edge("Deployment trade/cart", EdgeKind.CALLS, "Service ledger", PEER) in platform.edges


def test_a_peer_that_no_cluster_has_is_one_node_for_all_who_call_it() -> None:
    west = peer("Deployment trade/cart", "orders.db.example.com", "Database", "us")
    platform = joined([peer("Deployment trade/cart", "orders.db.example.com", "Database"), west], NOW)
    database = Subject("Database", "", "", "orders.db.example.com")
    assert platform.nodes[database] == {PEER + ONLY_NAMED}
    assert {one.cluster for one, hop in platform.neighbours(database, 1)} == {"eu", "us"}


def test_an_ip_address_is_the_pod_or_service_that_has_it_in_the_same_cluster() -> None:
    listed = Part({s("Service money/ledger"): KUBERNETES}, addresses={("eu", "10.9.0.7"): s("Service money/ledger")})
    platform = joined(
        [listed, peer("Deployment trade/cart", "10.9.0.7"), peer("Deployment b/b", "10.9.0.7", cluster="us")], NOW
    )
    targets = {e.target for e in platform.edges}
    assert targets == {s("Service money/ledger"), Subject("Target", "us", "", "10.9.0.7")}


def test_two_clusters_with_the_same_names_stay_two() -> None:
    platform = joined(
        [part(*CART), part(edge("Deployment trade/cart", EdgeKind.OWNS, "Pod trade/cart-9", cluster="us"))], NOW
    )
    assert platform.members(s("Deployment trade/cart", "us")) == (s("Pod trade/cart-9", "us"),)
    assert s("Pod trade/cart-9", "us") not in platform.members(s("Deployment trade/cart"))
    with pytest.raises(UnusableInput, match="2 subjects"):
        platform.find("trade/cart")


def test_what_names_no_cluster_is_of_none_where_there_are_two() -> None:
    unnamed = part(edge("Deployment trade/cart", EdgeKind.CALLS, "Service money/ledger", PEER, cluster=""))
    west = part(edge("Deployment trade/cart", EdgeKind.OWNS, "Pod trade/cart-9", cluster="us"))
    platform = joined([part(*LEDGER), west, unnamed], NOW)
    assert {one.cluster for one in platform.nodes} == {"eu", "us", ""}


def test_what_names_no_cluster_is_of_the_only_one_that_is_named() -> None:
    unnamed = part(
        edge("Deployment trade/cart", EdgeKind.CALLS, "Service money/ledger", PEER, cluster=""), source="metrics"
    )
    platform = joined([part(*LEDGER[:3]), unnamed], NOW)
    assert {one.cluster for one in platform.nodes} == {"eu"}
    assert platform.nodes[s("Service money/ledger")] == {KUBERNETES, "metrics"}


def test_a_workload_that_was_guessed_to_be_a_deployment_is_the_one_that_is_listed() -> None:
    call = edge("Deployment trade/cart", EdgeKind.CALLS, "Deployment money/ledger", "istio")
    platform = joined([part(*LEDGER[:2]), part(call, nodes=())], NOW)
    assert edge("Deployment trade/cart", EdgeKind.CALLS, "StatefulSet money/ledger", "istio") in platform.edges


def test_a_catalog_service_without_a_place_is_the_only_service_of_its_name() -> None:
    entry = Part({Subject("Service", "", "", "ledger"): CATALOG})
    platform = joined([part(*LEDGER), entry], NOW)
    assert platform.nodes[s("Service money/ledger")] == {KUBERNETES, CATALOG}
    assert not [one for one in platform.nodes if one.kind == "Service" and not one.namespace]


def test_an_owner_guessed_from_a_name_gives_way_to_the_one_that_is_told() -> None:
    guess = part(edge("StatefulSet money/ledger-0", EdgeKind.OWNS, "Pod money/ledger-0", BY_NAME))
    lone = part(edge("DaemonSet money/agent", EdgeKind.OWNS, "Pod money/agent-x2kqz", BY_NAME))
    owners = joined([guess, part(*LEDGER), lone], NOW).owners()
    assert owners["Pod", "money", "ledger-0"] == ("StatefulSet", "ledger")
    assert owners["Pod", "money", "agent-x2kqz"] == ("DaemonSet", "agent")


def test_an_edge_that_several_sources_tell_of_is_one_edge_that_names_them() -> None:
    call = LEDGER[-1]
    platform = joined([part(*LEDGER), part(Edge(call.source, call.target, call.kind, CATALOG))], NOW)
    (found,) = (e for e in platform.edges if e.kind is EdgeKind.CALLS)
    assert found.known_from == "catalog, Kubernetes"


def test_owners_lead_an_alert_from_a_pod_to_its_workload() -> None:
    platform = joined([part(edge("Rollout trade/cart", EdgeKind.OWNS, "Pod trade/cart-7f9c"))], NOW)
    found = subjects_of({"pod": "cart-7f9c", "namespace": "trade"}, owners=platform.owners())
    assert (found[1].kind, found[1].name) == ("Rollout", "cart")


def test_owners_on_which_two_clusters_differ_are_told_only_for_one_of_them() -> None:
    west = edge("Rollout trade/cart", EdgeKind.OWNS, "Pod trade/cart-1", cluster="us")
    platform = joined([part(*CART), part(west)], NOW)
    assert ("Pod", "trade", "cart-1") not in platform.owners()
    assert platform.owners("us")["Pod", "trade", "cart-1"] == ("Rollout", "cart")


# -- what others read -------------------------------------------------------------------------------------------------


def test_the_json_has_places_of_nodes_and_edges_the_time_and_what_was_not_seen(shop: PlatformMap) -> None:
    secret = Subject("Secret", "eu", "trade", "cart-db")
    platform = joined(
        [
            part(*CART[:1]),
            Part({secret: KUBERNETES}, unseen=(NotChecked("nodes", "forbidden"),), versions={secret: "71"}),
        ],
        NOW,
    )
    written = platform.to_json()
    cart = {"kind": "Service", "cluster": "eu", "namespace": "trade", "name": "cart"}
    assert cart | {"seen_in": ["Kubernetes"]} in written["nodes"]
    assert written["edges"] == [
        {"from": cart, "to": cart | {"kind": "Deployment"}, "kind": "selects", "source": "Kubernetes"}
    ]
    assert written["as_of"] == "2026-11-30T03:00:00Z"
    assert written["unseen"] == [{"what": "nodes", "why": "forbidden"}]
    assert written["versions"][0]["version"] == "71"


def test_a_drawing_shows_calls_and_owners_in_the_place_of_pods(shop: PlatformMap) -> None:
    drawn = shop.to_mermaid()
    assert drawn.startswith("flowchart LR\n")
    assert "-->|calls|" in drawn
    assert "cart-1" not in drawn
    assert "m1" not in drawn
    assert drawn.count("-->") == 5
    near = shop.to_mermaid(s("Pod trade/cart-1"))
    assert "-->|runs on|" in near
    assert "stroke-width" in near


def test_a_name_cannot_break_a_drawing() -> None:
    odd = Edge(s("Service a/x"), Subject("Target", "", "", 'a"] --> #b\n'), EdgeKind.CALLS, PEER)
    drawn = joined([part(odd)], NOW).to_mermaid()
    assert '"a#quot;] --> #35;b⏎<br/>Target"' in drawn
    assert len(drawn.splitlines()) == 4


@pytest.mark.parametrize(
    ("kind", "trouble"),
    [
        (EdgeKind.CALLS, "to_source"),
        (EdgeKind.RUNS_ON, "both"),
        (EdgeKind.MOUNTS, "both"),
        (EdgeKind.SCALES, "to_target"),
    ],
)
def test_each_kind_of_edge_says_which_way_trouble_runs(kind: EdgeKind, trouble: str) -> None:
    assert kind.trouble == trouble


def test_every_kind_of_edge_has_a_way_for_trouble() -> None:
    assert {kind.trouble for kind in EdgeKind} <= {"to_source", "to_target", "both", "none"}
