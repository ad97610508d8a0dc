"""How a subject is set up, as a person who looks for a mistake wants to see it. No content of a Secret or a ConfigMap."""

from __future__ import annotations

from collections.abc import Sequence

from tools.context import Json, Subject
from tools.kubernetes.concerned import loads_meant
from tools.kubernetes.symptoms.objects import Load, Object, Seen, at, dicts, is_ready, labels_of, mapping, name_of
from tools.kubernetes.symptoms.services import behind, selected

_MOST = 20
_DULL = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/", "meta.helm.sh/", "checksum/")


def configuration(seen: Seen, loads: Sequence[Load], subject: Subject) -> Json:
    """The configuration of a subject: of a workload its containers and Services, of another kind its spec."""
    mine = loads_meant(seen, loads, subject)
    found: dict[str, Json] = {}
    whole = seen.find(subject.kind, subject.namespace, subject.name)
    if whole is not None and subject.kind not in (
        "Secret",
        "ConfigMap",
        "Pod",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
    ):
        found[subject.kind] = {"spec": whole.get("spec"), "annotations": _annotations(whole)}
    services = [one for one in seen.kind("Service") if any(behind(one, [load]) for load in mine)]
    if subject.kind == "Service" and whole is not None and whole not in services:
        services.append(whole)
    found["services"] = [_service(seen, one) for one in services[:_MOST]]
    found["workloads"] = [_workload(load) for load in mine[:5]]
    return found


def _service(seen: Seen, service: Object) -> Json:
    pods = selected(seen, service)
    ports = [
        {key: one[key] for key in ("name", "port", "targetPort", "protocol") if key in one}
        for one in dicts(at(service, "spec", "ports"))
    ]
    return {
        "name": name_of(service),
        "type": at(service, "spec", "type") or "ClusterIP",
        "selector": at(service, "spec", "selector"),
        "ports": ports,
        "ready": [name_of(pod) for pod in pods if is_ready(pod)][:_MOST],
        "not_ready": [name_of(pod) for pod in pods if not is_ready(pod)][:_MOST],
    }


def _workload(load: Load) -> Json:
    spec = mapping(load.template, "spec")
    return {
        "kind": load.subject.kind,
        "name": load.subject.name,
        "replicas": load.wanted,
        "pods": {
            name_of(pod): "ready" if is_ready(pod) else str(at(pod, "status", "phase")) for pod in load.pods[:_MOST]
        },
        "labels": dict(labels_of(load.template)),
        "annotations": {**_annotations(load.whole), **_annotations(load.template)},
        "strategy": at(load.whole, "spec", "strategy") or at(load.whole, "spec", "updateStrategy"),
        "containers": [_container(one) for one in dicts(spec.get("containers"))],
        "init_containers": [_container(one) for one in dicts(spec.get("initContainers"))],
        "volumes": [_volume(one) for one in dicts(spec.get("volumes"))],
        **{
            key: spec[key]
            for key in ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "securityContext")
            if spec.get(key)
        },
        **{key: spec[key] for key in ("serviceAccountName", "hostNetwork", "priorityClassName") if spec.get(key)},
    }


def _container(one: Object) -> Json:
    keys = ("image", "command", "args", "ports", "resources", "securityContext", "workingDir", "volumeMounts")
    probes = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
    return {
        "name": one.get("name"),
        **{key: one[key] for key in (*keys, *probes) if one.get(key)},
        "env": {str(each.get("name")): _value(each) for each in dicts(one.get("env"))},
        "env_from": [_source(each) for each in dicts(one.get("envFrom"))],
    }


def _value(one: Object) -> Json:
    source = one.get("valueFrom")
    if not isinstance(source, dict):
        return one.get("value")
    for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if at(source, key):
            return f"from {kind} {at(source, key, 'name')}, key {at(source, key, 'key')}"
    return f"from {', '.join(source)}"


def _source(one: Object) -> str:
    for key, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
        if name := at(one, key, "name"):
            return f"{kind} {name}"
    return ""


def _volume(one: Object) -> Json:
    kind = next((key for key in one if key != "name"), "")
    held = one.get(kind)
    names = ("claimName", "secretName", "name", "path", "server")
    about = {key: held[key] for key in names if key in held} if isinstance(held, dict) else {}
    return {"name": one.get("name"), "is": kind, **({"of": about} if about else {})}


def _annotations(one: Object) -> dict[str, str]:
    told = mapping(one, "metadata", "annotations")
    return {key: str(value)[:300] for key, value in told.items() if not key.startswith(_DULL)}
