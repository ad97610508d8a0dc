"""Services that lead nowhere, and what is told to call or to route to what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tools.context import Subject
from tools.kubernetes.symptoms.addresses import Call, calls_of
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    condition,
    dicts,
    is_ready,
    labels_of,
    mapping,
    moment,
    name_of,
    namespace_of,
    phase_of,
    whole_number,
)
from tools.kubernetes.symptoms.scheduling import YOUNG_S
from tools.kubernetes.symptoms.signs import fit, mended
from tools.symptoms import HURTS, WARNS, Symptom


def service_symptoms(seen: Seen, loads: Sequence[Load]) -> list[Symptom]:
    """Services without a pod that answers, and ports that lead to none."""
    found: list[Symptom] = []
    for service in seen.kind("Service"):
        selector = at(service, "spec", "selector")
        if not isinstance(selector, Mapping) or not selector or at(service, "spec", "type") == "ExternalName":
            continue
        if not seen.knows("Pod", namespace_of(service)):
            continue
        pods = selected(seen, service)
        found += _ports(seen, service, pods) if pods else []
        found += _without_pods(seen, service, pods, loads)
    return found


def selected(seen: Seen, service: Object) -> list[Object]:
    """The pods, not ended, that a Service's selector fits."""
    found = seen.pods_with(namespace_of(service), mapping(service, "spec", "selector"))
    return [pod for pod in found if phase_of(pod) not in ("Succeeded", "Failed")]


def fits(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in selector.items())


def behind(service: Object, loads: Sequence[Load]) -> list[Load]:
    """The workloads whose pods a Service selects, by their templates and by the pods there are."""
    selector, namespace = mapping(service, "spec", "selector"), namespace_of(service)
    if not selector or not loads:
        return []
    chosen = {id(pod) for pod in loads[0].seen.pods_with(namespace, selector)}
    return [
        load
        for load in loads
        if load.subject.namespace == namespace
        and (fits(selector, labels_of(load.template)) or any(id(pod) in chosen for pod in load.pods))
    ]


def _without_pods(seen: Seen, service: Object, pods: Sequence[Object], loads: Sequence[Load]) -> list[Symptom]:
    subject, chosen = seen.subject_of("Service", service), _selector_text(service)
    if any(is_ready(pod) and not at(pod, "metadata", "deletionTimestamp") for pod in pods):
        return []
    if pods:
        if at(service, "spec", "publishNotReadyAddresses") or all(seen.age(pod) < YOUNG_S for pod in pods):
            return []
        text = f"none of the {len(pods)} pods that Service {mended(subject.name)} selects ({chosen}) is ready"
        since = [moment(condition(pod, "Ready"), "lastTransitionTime") for pod in pods]
        times = [one.timestamp() for one in since if one]
        began = (min(times), max(times)) if times else None
        return [Symptom(subject, "service_without_pods", fit(text), HURTS, "none_ready", began)]
    owners = behind(service, loads)
    if owners:
        names = ", ".join(f"{load.subject.kind} {load.subject.name}" for load in owners[:3])
        text = f"Service {mended(subject.name)} has no pods: {names} runs none"
        return [Symptom(subject, "service_without_pods", fit(text), HURTS, "no_pods")]
    near = _nearly(service, loads)
    text = f"Service {mended(subject.name)} selects no pod: its selector {chosen} fits none"
    if near:
        text += f"; pods of {near.subject.kind} {mended(near.subject.name)} have {_labels_text(near, service)}"
    labels = {"selector": chosen}
    if near:
        labels["nearly"] = f"{near.subject.kind}/{near.subject.name}"
    return [Symptom(subject, "service_without_pods", fit(text), HURTS, "selector", None, None, labels)]


def _nearly(service: Object, loads: Sequence[Load]) -> Load | None:
    """The workload that a selector may have meant: of its name, or with some of its labels."""
    selector, name = mapping(service, "spec", "selector"), name_of(service)
    beside = [load for load in loads if load.subject.namespace == namespace_of(service)]

    def likeness(load: Load) -> int:
        labels = labels_of(load.template)
        same = [key for key, value in selector.items() if labels.get(key) == value]
        return len(same) + (2 if load.subject.name == name else 0)

    best = max(beside, key=likeness, default=None)
    return best if best and likeness(best) else None


def _labels_text(load: Load, service: Object) -> str:
    labels, keys = labels_of(load.template), mapping(service, "spec", "selector")
    shown = {key: labels[key] for key in keys if key in labels} or dict(list(labels.items())[:3])
    return mended(", ".join(f"{key}={value}" for key, value in shown.items()) or "no labels", 80)


def _selector_text(service: Object) -> str:
    return mended(", ".join(f"{key}={value}" for key, value in mapping(service, "spec", "selector").items()), 80)


# -- ports ------------------------------------------------------------------------------------------------------------


def _ports(seen: Seen, service: Object, pods: Sequence[Object]) -> list[Symptom]:
    """Ports of a Service behind which the pods open nothing. Where pods declare no port, nothing is known."""
    subject, found = seen.subject_of("Service", service), []
    opened = [_opened(pod) for pod in pods[:20]]
    declared = {(number, protocol) for ports in opened for number, _, protocol in ports}
    names = {name for ports in opened for _, name, _ in ports if name}
    every = dicts(at(service, "spec", "ports"))
    for port in every:
        target, protocol = port.get("targetPort", port.get("port")), str(port.get("protocol") or "TCP")
        where = f"port {port.get('port')} of Service {mended(subject.name)}"
        labels = {"port": str(port.get("port")), "target_port": str(target)}
        number = int(target) if isinstance(target, str) and target.isdigit() else target
        if isinstance(number, str):
            if number not in names:
                has = ", ".join(sorted(names)) or "none with a name"
                text = f"{where} leads to a port called {mended(number)} that its pods do not have (they have {mended(has, 80)})"
                found.append(Symptom(subject, "service_port", fit(text), HURTS, "port_name", None, None, labels))
            continue
        if not declared or not isinstance(number, int) or (number, protocol) in declared:
            continue
        numbers = {one for one, _ in declared}
        if number in numbers:
            text = f"{where} speaks {protocol}, and its pods open {number} for another protocol"
            found.append(Symptom(subject, "service_port", fit(text), HURTS, "protocol", None, None, labels))
            continue
        has = ", ".join(str(one) for one in sorted(numbers))
        text = f"{where} leads to {number}, and its pods open {has}"
        severity = HURTS if len(every) == 1 or not numbers & _targets(every) else WARNS
        found.append(Symptom(subject, "service_port", fit(text), severity, "target_port", None, None, labels))
    return found


def _targets(ports: Sequence[Object]) -> set[int]:
    return {whole_number(port.get("targetPort", port.get("port"))) for port in ports}


def _opened(pod: Object) -> list[tuple[int, str, str]]:
    containers = [*dicts(at(pod, "spec", "containers")), *dicts(at(pod, "spec", "initContainers"))]
    declared = [
        (whole_number(port.get("containerPort")), str(port.get("name") or ""), str(port.get("protocol") or "TCP"))
        for container in containers
        for port in dicts(container.get("ports"))
    ]
    return [*declared, *((port, "", "TCP") for port in _probed(containers))] if declared else []


def _probed(containers: Sequence[Object]) -> Iterator[int]:
    """Ports that probes ask, and so are open where the pods are ready."""
    for container in containers:
        for probe in ("readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket", "grpc"):
                port = at(container, probe, how, "port")
                if isinstance(port, int) and not isinstance(port, bool):
                    yield port


# -- what is told to call ---------------------------------------------------------------------------------------------


def dangling_references(seen: Seen, loads: Sequence[Load]) -> list[Symptom]:
    """Workloads that are told to call a Service, or a port of one, that does not exist."""
    return [one for load in loads if load.whole for call in calls_of(load) if (one := _dangling(seen, load, call))]


def _dangling(seen: Seen, load: Load, call: Call) -> Symptom | None:
    service = seen.find("Service", call.namespace, call.name)
    accused = seen.subject("Service", call.namespace, call.name)
    labels = {"where": call.where} | ({"port": str(call.port)} if call.port else {})
    if service is None:
        if not seen.lacks("Service", call.namespace, call.name):
            return None
        text = f"{mended(call.where)} names {mended(call.name)}, and there is no such Service in {call.namespace}"
        return Symptom(load.subject, "reference_dangling", fit(text), HURTS, "env_service", None, accused, labels)
    ports = [whole_number(port.get("port")) for port in dicts(at(service, "spec", "ports"))]
    headless = at(service, "spec", "clusterIP") == "None" or at(service, "spec", "type") == "ExternalName"
    if call.port and ports and call.port not in ports and not headless:
        has = ", ".join(map(str, ports))
        text = f"{mended(call.where)} names port {call.port} of Service {mended(call.name)}, which has {has}"
        return Symptom(load.subject, "reference_dangling", fit(text), HURTS, "env_port", None, accused, labels)
    return None


# -- routes -----------------------------------------------------------------------------------------------------------


def dangling_routes(seen: Seen) -> list[Symptom]:
    """Ingresses and HTTPRoutes to Services, ports, certificates and classes that do not exist."""
    found = [one for ingress in seen.kind("Ingress") for one in _of_ingress(seen, ingress)]
    return [*found, *(one for route in seen.kind("HTTPRoute") for one in _of_route(seen, route))]


def _of_ingress(seen: Seen, ingress: Object) -> list[Symptom]:
    subject, space, found = seen.subject_of("Ingress", ingress), namespace_of(ingress), []
    rules = dicts(at(ingress, "spec", "rules"))
    backends = [path.get("backend") for rule in rules for path in dicts(at(rule, "http", "paths"))]
    for backend in (at(ingress, "spec", "defaultBackend"), *backends):
        if name := at(backend, "service", "name"):
            found += _to_service(seen, subject, space, str(name), mapping(backend, "service", "port"))
    for tls in dicts(at(ingress, "spec", "tls")):
        secret = str(tls.get("secretName") or "")
        if secret and seen.lacks("Secret", space, secret):
            accused = seen.subject("Secret", space, secret)
            text = (
                f"Ingress {mended(subject.name)} wants the certificate in Secret {mended(secret)}, which does not exist"
            )
            found.append(Symptom(subject, "route_dangling", fit(text), WARNS, "tls_secret", None, accused))
    named = str(at(ingress, "spec", "ingressClassName") or "")
    if named and seen.lacks("IngressClass", "", named):
        text = f"Ingress {mended(subject.name)} is of class {mended(named)}, which does not exist: nobody serves it"
        found.append(Symptom(subject, "route_dangling", fit(text), HURTS, "class", None, None, {"class": named}))
    return list({one.text: one for one in found}.values())


def _of_route(seen: Seen, route: Object) -> list[Symptom]:
    subject, found = seen.subject_of("HTTPRoute", route), []
    for rule in dicts(at(route, "spec", "rules")):
        for backend in dicts(rule.get("backendRefs")):
            if backend.get("kind", "Service") == "Service" and backend.get("name"):
                space = str(backend.get("namespace") or namespace_of(route))
                port = {"number": backend["port"]} if "port" in backend else {}
                found += _to_service(seen, subject, space, str(backend["name"]), port)
    return list({one.text: one for one in found}.values())


def _to_service(seen: Seen, subject: Subject, space: str, name: str, port: Object) -> list[Symptom]:
    service, accused = seen.find("Service", space, name), seen.subject("Service", space, name)
    if service is None:
        if not seen.lacks("Service", space, name):
            return []
        text = f"{subject.kind} {mended(subject.name)} leads to Service {mended(name)}, which does not exist in {space}"
        return [Symptom(subject, "route_dangling", fit(text), HURTS, "service", None, accused)]
    ports = dicts(at(service, "spec", "ports"))
    known = {str(one[key]) for one in ports for key in ("port", "name") if one.get(key)}
    wanted = str(port.get("number") or port.get("name") or "")
    if wanted and known and wanted not in known:
        has = ", ".join(str(one.get("port")) for one in ports)
        text = (
            f"{subject.kind} {mended(subject.name)} leads to port {wanted} of Service {mended(name)}, which has {has}"
        )
        return [Symptom(subject, "route_dangling", fit(text), HURTS, "port", None, accused, {"port": str(wanted)})]
    return []
