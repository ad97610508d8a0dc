"""Services, references, routes and network policies that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.tools.kubernetes.things import container, deployment, named, pod, ready_pod, seen, status
from tools.kubernetes.symptoms.addresses import calls_of, service_called
from tools.kubernetes.symptoms.objects import loads_of
from tools.kubernetes.symptoms.policies import policy_symptoms
from tools.kubernetes.symptoms.services import dangling_references, dangling_routes, service_symptoms
from tools.symptoms import HURTS, WARNS, Symptom

HTTP = container(ports=[{"containerPort": 8080, "name": "http"}])


def found(*objects: Any, of: Callable[..., list[Symptom]] = service_symptoms, listed: Any = ("Pod",)) -> list[Symptom]:
    here = seen(*objects, listed=listed)
    told = of(here) if of is dangling_routes else of(here, loads_of(here))
    assert all(len(one.text) <= 240 for one in told)
    return told


def service(name: str = "ledger", ports: Any = None, selector: Any = None, **more: Any) -> Any:
    chosen = {"app": "ledger"} if selector is None else selector
    return named(
        "Service", name, spec={"selector": chosen, "ports": ports or [{"port": 80, "targetPort": 8080}], **more}
    )


def calling(value: str, name: str = "LEDGER_URL", **more: Any) -> Any:
    spec = container("till", "acme/till:3", env=[{"name": name, "value": value}, *more.pop("env", [])])
    return deployment("till", containers=[spec], **more)


# -- services ---------------------------------------------------------------------------------------------------------


def test_a_service_whose_pods_are_ready_is_well() -> None:
    assert found(service(), deployment(containers=[HTTP]), ready_pod(containers=[HTTP])) == []


def test_a_selector_that_fits_no_pod_names_the_workload_it_may_have_meant() -> None:
    (one,) = found(service(selector={"app": "ledger", "tier": "web"}), deployment(), ready_pod())
    assert (one.kind, one.reason, one.subject.kind) == ("service_without_pods", "selector", "Service")
    assert one.text == (
        "Service ledger selects no pod: its selector app=ledger, tier=web fits none; pods of Deployment ledger have app=ledger"
    )


def test_a_service_of_a_workload_that_runs_nothing_has_no_pods() -> None:
    (one,) = found(service(), deployment(replicas=0))
    assert (one.reason, one.text) == ("no_pods", "Service ledger has no pods: Deployment ledger runs none")


def test_a_service_none_of_whose_pods_is_ready() -> None:
    (one,) = found(service(), deployment(), pod(statuses=[status(running=500)]))
    assert (one.reason, one.severity) == ("none_ready", HURTS)


def test_services_that_select_nothing_on_purpose_are_well() -> None:
    outside = named("Service", "warehouse", spec={"type": "ExternalName", "externalName": "db.acme.com"})
    by_hand = named("Service", "legacy", spec={"ports": [{"port": 80}]})
    eager = service(publishNotReadyAddresses=True)
    assert found(outside, by_hand, eager, deployment(), pod(statuses=[status(running=500)])) == []


def test_pods_that_could_not_be_listed_say_nothing_of_a_service() -> None:
    assert found(service(), listed=()) == []


@pytest.mark.parametrize(
    ("port", "reason", "words"),
    [
        (
            {"port": 80, "targetPort": 9090},
            "target_port",
            "port 80 of Service ledger leads to 9090, and its pods open 8080",
        ),
        (
            {"port": 80, "targetPort": "web"},
            "port_name",
            "leads to a port called web that its pods do not have (they have http)",
        ),
        ({"port": 8080, "protocol": "UDP"}, "protocol", "speaks UDP"),
    ],
)
def test_a_port_that_leads_nowhere(port: Any, reason: str, words: str) -> None:
    (one,) = found(service(ports=[port]), deployment(containers=[HTTP]), ready_pod(containers=[HTTP]))
    assert (one.kind, one.reason) == ("service_port", reason)
    assert words in one.text


def test_a_port_that_pods_do_not_declare_beside_one_they_do_only_warns() -> None:
    ports = [{"port": 80, "targetPort": "http"}, {"port": 9102, "name": "metrics"}, {"port": 8080}]
    (one,) = found(service(ports=ports), deployment(containers=[HTTP]), ready_pod(containers=[HTTP]))
    assert one.severity == WARNS
    assert found(service(), deployment(), ready_pod()) == [], "pods that declare no port may open any"


# -- references -------------------------------------------------------------------------------------------------------

REFERENCES = [
    ("http://ledgr:80/api", "LEDGER_URL", "env_service"),
    ("ledgr.payments.svc.cluster.local:80", "LEDGER", "env_service"),
    ("ledgr", "LEDGER_HOST", "env_service"),
    ("kafka-0.ledgr:9092,kafka-1.ledgr:9092", "KAFKA_BROKERS", ""),
    ("http://ledger:8081", "LEDGER_URL", "env_port"),
    ("postgresql+asyncpg://u:p@ledgr/db", "DB", "env_service"),
    ("http://ledger", "LEDGER_URL", ""),
    ("https://api.stripe.com/v1", "STRIPE_URL", ""),
    ("s3://bucket/key", "MODEL_URI", ""),
    ("http://localhost:9000", "SIDECAR_URL", ""),
    ("10.0.0.7:6379", "CACHE_ADDR", ""),
    ("0.0.0.0:8080", "LISTEN_ADDR", ""),
    ("till", "SERVER_HOST", ""),
    ("debug", "LOG_LEVEL", ""),
    ("till-7d9", "HOSTNAME", ""),
]


@pytest.mark.parametrize(("value", "name", "reason"), REFERENCES)
def test_what_a_variable_names_exists_or_is_told(value: str, name: str, reason: str) -> None:
    told = found(service(), calling(value, name), of=dangling_references)
    assert [one.reason for one in told] == ([reason] if reason else [])
    assert all(one.subject.name == "till" and one.accuses is not None for one in told)
    assert "u:p@" not in "".join(one.text for one in told)


def test_the_port_may_stand_in_the_variable_beside() -> None:
    (one,) = found(
        service(),
        calling("ledger", "LEDGER_HOST", env=[{"name": "LEDGER_PORT", "value": "5000"}]),
        of=dangling_references,
    )
    assert (one.reason, one.text) == (
        "env_port",
        "variable LEDGER_HOST names port 5000 of Service ledger, which has 80",
    )


def test_names_that_the_pod_itself_knows_are_no_services() -> None:
    known = calling(
        "http://vault:8200", "VAULT_URL", pod_spec={"hostAliases": [{"ip": "10.1.1.1", "hostnames": ["vault"]}]}
    )
    assert found(service(), known, of=dangling_references) == []


def test_a_namespace_that_was_not_read_accuses_nobody() -> None:
    assert found(service(), calling("http://rates.treasury.svc:80"), of=dangling_references) != []
    here = seen(service(), calling("http://rates.treasury.svc:80"))
    partly = type(here)(here.cluster, here.now, here.of, {"Service": frozenset({"payments"})})
    assert dangling_references(partly, loads_of(partly)) == []


def test_a_name_in_a_line_is_found_as_a_service() -> None:
    here = seen(service(clusterIP="10.96.4.4"))
    names = ("ledger", "ledger:80", "ledger.payments", "ledger.payments.svc.cluster.local", "10.96.4.4:80")
    assert {service_called(here, text, "payments") for text in names} == {here.subject("Service", "payments", "ledger")}
    assert service_called(here, "other", "payments") is None
    assert service_called(here, "two words", "payments") is None


def test_arguments_are_read_as_variables_are() -> None:
    spec = container("till", args=["--upstream=http://ledger.payments.svc:80", "--port=9"])
    (load,) = loads_of(seen(deployment("till", containers=[spec])))
    assert [(one.name, one.namespace, one.port) for one in calls_of(load)] == [("ledger", "payments", 80)]


# -- routes -----------------------------------------------------------------------------------------------------------


def ingress(name: str = "ledger", number: int = 80, **spec: Any) -> Any:
    backend = {"service": {"name": name, "port": {"number": number}}}
    return named("Ingress", "front", spec={"rules": [{"http": {"paths": [{"path": "/", "backend": backend}]}}], **spec})


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (ingress(), ""),
        (ingress("ledgr"), "service"),
        (ingress(number=8443), "port"),
        (ingress(tls=[{"secretName": "front-tls"}]), "tls_secret"),
        (ingress(ingressClassName="traefik"), "class"),
        (named("HTTPRoute", "front", spec={"rules": [{"backendRefs": [{"name": "ledgr", "port": 80}]}]}), "service"),
        (named("HTTPRoute", "front", spec={"rules": [{"backendRefs": [{"name": "ledger", "port": 81}]}]}), "port"),
    ],
)
def test_a_route_that_leads_nowhere(route: Any, reason: str) -> None:
    told = found(route, service(), of=dangling_routes, listed=("Secret", "IngressClass"))
    assert [one.reason for one in told] == ([reason] if reason else [])
    assert all(one.kind == "route_dangling" and one.subject.name == "front" for one in told)


# -- policies ---------------------------------------------------------------------------------------------------------


def policy(selector: Any, name: str = "guard", namespace: str = "payments", **spec: Any) -> Any:
    return named("NetworkPolicy", name, namespace, spec={"podSelector": {"matchLabels": selector}, **spec})


def from_pods(**labels: str) -> list[Any]:
    return [{"from": [{"podSelector": {"matchLabels": labels}}]}]


CALLER = calling("http://ledger:80")
DNS = {"ports": [{"port": 53, "protocol": "UDP"}]}
POLICIES = [
    (policy({"app": "ledger"}, ingress=from_pods(app="admin")), [("ingress", "till")]),
    (policy({"app": "ledger"}, ingress=from_pods(app="till")), []),
    (policy({"app": "ledger"}, ingress=[{"ports": [{"port": 9090}]}]), [("ingress", "till")]),
    (policy({"app": "ledger"}, ingress=[{"ports": [{"port": 8000, "endPort": 8100}]}]), []),
    (policy({}, policyTypes=["Ingress"]), [("ingress", "till")]),
    (policy({"app": "till"}, policyTypes=["Egress"], egress=[DNS]), [("egress", "till")]),
    (
        policy(
            {"app": "till"}, policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}], "ports": [{"port": 8080}]}]
        ),
        [("dns", "till")],
    ),
    (policy({"app": "till"}, policyTypes=["Egress"], egress=[{}]), []),
    (
        policy(
            {"app": "ledger"},
            ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}],
        ),
        [("ingress", "till")],
    ),
    (policy({"app": "ledger"}, ingress=[{"from": [{"namespaceSelector": {}}]}]), []),
    (policy({"app": "ledger"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), []),
    (policy({"app": "ledger"}, ingress=[{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]), []),
    (policy({"app": "other"}, policyTypes=["Ingress"]), []),
]


@pytest.mark.parametrize(("one", "expected"), POLICIES)
def test_whom_a_policy_shuts_out(one: Any, expected: list[tuple[str, str]]) -> None:
    told = found(one, service(), deployment(), CALLER, of=policy_symptoms)
    assert [(each.reason, each.subject.name) for each in told] == expected
    assert all(each.accuses is not None and each.accuses.kind == "NetworkPolicy" for each in told)


def test_a_second_policy_may_let_in_what_the_first_does_not() -> None:
    both = policy({"app": "ledger"}, ingress=from_pods(app="admin")), policy({}, "open", ingress=from_pods(app="till"))
    assert found(*both, service(), deployment(), CALLER, of=policy_symptoms) == []


def test_a_workload_that_nobody_may_reach_is_told_though_no_caller_is_known() -> None:
    (one,) = found(policy({}, policyTypes=["Ingress"]), service(), deployment(), of=policy_symptoms)
    assert (one.subject.name, one.severity) == ("ledger", WARNS)


def test_a_port_that_a_probe_asks_is_open_though_nobody_declared_it() -> None:
    spec = container(ports=[{"containerPort": 9102}], readinessProbe={"httpGet": {"port": 8080}})
    assert found(service(), deployment(containers=[spec]), ready_pod(containers=[spec])) == []


def test_one_pod_behind_a_headless_service_is_called_by_both_names() -> None:
    headless = service("kafka", clusterIP="None")
    (load,) = [one for one in loads_of(seen(headless, calling("kafka-0.kafka:9092", "KAFKA_BROKERS"))) if one.whole]
    assert [(one.name, one.namespace) for one in calls_of(load)] == [("kafka", "payments")]


def test_pods_of_the_last_seconds_are_given_time_before_their_service_is_blamed() -> None:
    fresh = pod(statuses=[status(running=5)], age=10)
    assert found(service(), deployment(), fresh) == []
