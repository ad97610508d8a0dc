"""Network policies that shut a workload out: of what it is told to call, of DNS, or from everybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from tools.context import Subject
from tools.kubernetes.symptoms.addresses import calls_of
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    dicts,
    labels_of,
    mapping,
    name_of,
    namespace_of,
    texts,
)
from tools.kubernetes.symptoms.services import behind, fits
from tools.kubernetes.symptoms.signs import fit, mended
from tools.symptoms import HURTS, WARNS, Symptom

Chosen: TypeAlias = Mapping[tuple[Subject, str], Sequence[Object]]  # the policies for a workload, by direction


def policy_symptoms(seen: Seen, loads: Sequence[Load]) -> list[Symptom]:
    """Workloads that policies keep from what they call; and those behind a Service that no one may reach."""
    policies = seen.kind("NetworkPolicy")
    if not policies:
        return []
    chosen = {
        (load.subject, direction): list(_selecting(policies, load, direction))
        for load in loads
        for direction in ("Ingress", "Egress")
    }
    found = [one for load in loads for one in _of_caller(seen, load, loads, chosen)]
    shut = [one for load in loads if (one := _shut_off(seen, load, chosen[load.subject, "Ingress"]))]
    told = {(one.accuses, one.labels.get("to")) for one in found if one.reason == "ingress"}
    return [*found, *(one for one in shut if (one.accuses, one.subject.name) not in told)]


def _of_caller(seen: Seen, load: Load, loads: Sequence[Load], chosen: Chosen) -> Iterator[Symptom]:
    mine, labels, calls = chosen[load.subject, "Egress"], labels_of(load.template), calls_of(load)
    if mine and calls and not any(_lets(seen, policy, "egress", "to", None, "", 53) for policy in mine):
        name = mended(name_of(mine[0]))
        text = f"NetworkPolicy {name} lets its pods out, but to no DNS (port 53): names such as {calls[0].name} are not found"
        yield _blocked(seen, load, "dns", text, mine[0], "")
    for call in calls:
        service = seen.find("Service", call.namespace, call.name)
        for target in behind(service, loads) if service else ():
            port, theirs = _target_port(service or {}, call.port), chosen[target.subject, "Ingress"]
            to = labels_of(target.template)
            if mine and not any(_lets(seen, p, "egress", "to", to, call.namespace, port) for p in mine):
                text = f"NetworkPolicy {mended(name_of(mine[0]))} does not let its pods out to {mended(call.name)}"
                yield _blocked(seen, load, "egress", text, mine[0], target.subject.name)
            if theirs and not any(
                _lets(seen, p, "ingress", "from", labels, load.subject.namespace, port) for p in theirs
            ):
                text = f"NetworkPolicy {mended(name_of(theirs[0]))} does not let its pods in to {mended(target.subject.name)}"
                yield _blocked(seen, load, "ingress", text, theirs[0], target.subject.name)


def _shut_off(seen: Seen, load: Load, mine: Sequence[Object]) -> Symptom | None:
    """A workload behind a Service whose policies let nobody in at all."""
    if not mine or any(at(policy, "spec", "ingress") for policy in mine):
        return None
    services = [one for one in seen.kind("Service", load.subject.namespace) if behind(one, [load])]
    if not services:
        return None
    text = f"NetworkPolicy {mended(name_of(mine[0]))} lets nobody in to its pods, which Service {name_of(services[0])} offers"
    return _blocked(seen, load, "ingress", text, mine[0], "", WARNS)


def _blocked(seen: Seen, load: Load, reason: str, text: str, policy: Object, to: str, severity: int = HURTS) -> Symptom:
    accused = seen.subject_of("NetworkPolicy", policy)
    labels = {"to": to} if to else {}
    return Symptom(load.subject, "policy_blocks", fit(text), severity, reason, None, accused, labels)


def _selecting(policies: Sequence[Object], load: Load, direction: str) -> Iterator[Object]:
    """The policies of one direction that are for a workload's pods."""
    for policy in policies:
        types = texts(policy, "spec", "policyTypes") or [
            "Ingress",
            *(["Egress"] if at(policy, "spec", "egress") else []),
        ]
        mine = namespace_of(policy) == load.subject.namespace and direction in types
        if mine and selects(at(policy, "spec", "podSelector"), labels_of(load.template)):
            yield policy


def selects(selector: object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of the API fits; an empty one fits everything."""
    if not fits(mapping(selector, "matchLabels"), labels):
        return False
    for one in dicts(at(selector, "matchExpressions")):
        key, values = str(one.get("key")), texts(one, "values")
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds.get(str(one.get("operator")), True):
            return False
    return True


def _lets(
    seen: Seen, policy: Object, rules: str, peers: str, labels: Mapping[str, str] | None, space: str, port: object
) -> bool:
    """Whether a policy lets pods with these labels through on a port; labels None: whether it lets anybody at all."""
    for rule in dicts(at(policy, "spec", rules)):
        ports = dicts(rule.get("ports"))
        if ports and port is not None and not any(_covers(one, port) for one in ports):
            continue
        listed = dicts(rule.get(peers))
        if not listed or labels is None or any(_is_peer(seen, policy, peer, labels, space) for peer in listed):
            return True
    return False


def _covers(one: Object, port: object) -> bool:
    wanted, end = one.get("port"), one.get("endPort")
    if wanted is None or isinstance(wanted, str) or isinstance(port, str):
        return wanted is None or wanted == port or isinstance(wanted, str) != isinstance(port, str)
    return bool(wanted <= port <= end) if isinstance(end, int) and isinstance(port, int) else wanted == port


def _is_peer(seen: Seen, policy: Object, peer: Object, labels: Mapping[str, str], space: str) -> bool:
    if block := at(peer, "ipBlock", "cidr"):
        return _holds_pods(str(block))
    if "namespaceSelector" in peer:
        namespace = seen.find("Namespace", "", space)
        about = {"kubernetes.io/metadata.name": space, **(labels_of(namespace) if namespace else {})}
        known = namespace is not None or not (
            set(mapping(peer, "namespaceSelector", "matchLabels")) - {"kubernetes.io/metadata.name"}
        )
        if known and not selects(peer["namespaceSelector"], about):
            return False
    elif space != namespace_of(policy):
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], labels)


def _holds_pods(cidr: str) -> bool:
    """Whether a block may hold pods' addresses: all private ones may, as where a cluster puts its pods is not said."""
    try:
        return ipaddress.ip_network(cidr, strict=False).is_private or cidr in ("0.0.0.0/0", "::/0")
    except ValueError:
        return True


def _target_port(service: Object, port: int | None) -> object:
    """The pods' port behind a Service's; None where it is not known."""
    ports = dicts(at(service, "spec", "ports"))
    chosen = next((one for one in ports if one.get("port") == port), ports[0] if len(ports) == 1 else None)
    return chosen.get("targetPort", chosen.get("port")) if chosen else None
