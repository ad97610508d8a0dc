"""What changed of workloads and of what they read, when, and whether only the new pods fail. It tells; it accuses nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tools.context import Workload
from tools.formatting import span
from tools.kubernetes.rollouts import HASH, REVISION, Revision, revisions_of
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    created,
    dicts,
    labels_of,
    mapping,
    moment,
    name_of,
)
from tools.kubernetes.symptoms.pods import signs_of
from tools.kubernetes.symptoms.signs import fit, mended, seconds
from tools.kubernetes.symptoms.starts import volumes_read
from tools.symptoms import HURTS, TELLS, Symptom

WINDOW_S = 86400.0  # what is older is no news to an incident
MOST_REVISIONS = 3
_KEEPS = {"Deployment": "ReplicaSet", "StatefulSet": "ControllerRevision", "DaemonSet": "ControllerRevision"}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_OF_CONTAINER = frozenset({"name", "image", "env", "envFrom", "resources", *_PROBES})
_MAY_BE_SECRET = re.compile(r"(?i)pass|secret|token|key|credential|auth|dsn|cert|://[^/\s]*:[^/\s]*@")
_SCALES_ITSELF = frozenset({"kube-controller-manager", "keda-operator", "keda"})


def change_symptoms(load: Load) -> list[Symptom]:
    """The changes of one workload's template, replicas and configuration in the last day, the newest first."""
    found = [*_rollouts(load), *_scaled(load), *_configuration(load)]
    return sorted(found, key=lambda one: -(one.since[0] if one.since else 0.0))


def _rollouts(load: Load) -> Iterator[Symptom]:
    kept = _KEEPS.get(load.subject.kind)
    if kept is None or not load.whole:
        return
    subject = load.subject
    workload = Workload(subject.name, subject.namespace, subject.cluster, subject.kind)
    revisions = revisions_of(workload, load.whole, load.seen.kind(kept, subject.namespace))
    if revisions and at(load.whole, "metadata", "annotations", REVISION) == "1":
        return
    pairs = list(zip([None, *revisions], revisions, strict=False))[-MOST_REVISIONS:]
    for before, after in reversed(pairs):
        if (load.seen.now - after.at).total_seconds() > WINDOW_S or (before is None and after.number <= 1):
            continue
        if before is None and len(revisions) > 1:
            continue  # older ones are not kept: what it changed is not known, and a later change is
        yield from _of_revision(load, before, after, after is revisions[-1])


def _of_revision(load: Load, before: Revision | None, after: Revision, present: bool) -> Iterator[Symptom]:
    dose = dose_of(load) if present else ""
    back = "rolled back, " if after.rolled_back else ""
    ago = f"{back}revision {after.number}, {span((load.seen.now - after.at).total_seconds())} ago"
    says = {
        "new": "; its pods fail and older ones do not",
        "all": "; all pods fail",
        "some": "; some pods fail",
        "none": "; no pod fails",
    }.get(dose, "")
    for reason, what, old, new in differences(before, after):
        labels = {"revision": str(after.number), "old": old, "new": new, "dose": dose, "by": after.tells("by")}
        text = f"{what} changed ({ago}){f': {mended(old, 60)} → {mended(new, 60)}' if old or new else ''}{says}"
        told = {key: value for key, value in labels.items() if value}
        yield Symptom(load.subject, "changed", fit(text), TELLS, reason, seconds(after.at), None, told)


def dose_of(load: Load) -> str:
    """Whether only pods of the newest template fail (`new`), pods of every template (`all`), or none; `some` where some of
    one template fail and there is no other to compare with."""
    fails = {name_of(pod): any(one.severity == HURTS for one in signs_of(load, pod)) for pod in load.living}
    if not any(fails.values()):
        return "none"
    newest = _newest_hash(load)
    new = [pod for pod in load.living if newest and newest in (_hash(pod), f"{load.subject.name}-{_hash(pod)}")]
    old = [pod for pod in load.living if pod not in new]
    new_fail, old_fail = (any(fails[name_of(pod)] for pod in pods) for pods in (new, old))
    if new_fail and old and not old_fail:
        return "new"
    return "all" if all(fails.values()) or (new_fail and old_fail) else "some"


def _hash(pod: Object) -> str:
    labels = labels_of(pod)
    return labels.get(HASH) or labels.get("controller-revision-hash") or ""


def _newest_hash(load: Load) -> str:
    if told := at(load.whole, "status", "updateRevision"):
        return str(told)
    present = at(load.whole, "metadata", "annotations", REVISION)
    kind = _KEEPS.get(load.subject.kind, "")
    mine = [
        one
        for one in load.seen.kind(kind, load.subject.namespace)
        if any(owner.get("name") == load.subject.name for owner in dicts(at(one, "metadata", "ownerReferences")))
    ]
    if kind == "ControllerRevision":
        newest = max(mine, key=lambda one: one.get("revision") or 0, default={})
        return labels_of(newest).get("controller-revision-hash", "")
    now = next((one for one in mine if present and at(one, "metadata", "annotations", REVISION) == present), {})
    return labels_of(now).get(HASH, "")


# -- what differs -----------------------------------------------------------------------------------------------------


def differences(before: Revision | None, after: Revision) -> list[tuple[str, str, str, str]]:
    """(reason, what, old, new) of all that differs between two templates; values that may be secret are left out."""
    if before is None:
        return [("other", "the pod template", "", "")]
    found: list[tuple[str, str, str, str]] = []
    old, new = ({str(c.get("name")): c for c in dicts(at(r.template, "spec", "containers"))} for r in (before, after))
    for name in [*old, *(one for one in new if one not in old)]:
        found += _of_container(name, old.get(name, {}), new.get(name, {}))
    if read(before.template) != read(after.template):
        gone, come = (sorted(one) for one in (read(before.template), read(after.template)))
        found.append(("config", "the configuration that it reads", ", ".join(gone), ", ".join(come)))
    rest = [_rest(one.template) for one in (before, after)]
    if rest[0] != rest[1]:
        names = [key for key in sorted({*rest[0], *rest[1]}) if rest[0].get(key) != rest[1].get(key)]
        if found and all(name.startswith("annotation ") for name in names):
            return found  # what a pipeline notes of the change that is already told
        found.append(("other", f"the pod template ({mended(', '.join(names), 90)})", "", ""))
    return found


def _of_container(name: str, old: Object, new: Object) -> Iterator[tuple[str, str, str, str]]:
    if old.get("image") != new.get("image"):
        yield "image", f"image of {mended(name)}", str(old.get("image") or "none"), str(new.get("image") or "none")
    values = [{str(one.get("name")): one for one in dicts(each.get("env"))} for each in (old, new)]
    changed = [key for key in {**values[0], **values[1]} if values[0].get(key) != values[1].get(key)]
    if changed:
        shown = [_shown(changed, each) for each in values]
        yield "env", f"environment of {mended(name)} ({mended(', '.join(changed), 80)})", shown[0], shown[1]
    if old.get("resources") != new.get("resources"):
        yield "resources", f"resources of {mended(name)}", _flat(old.get("resources")), _flat(new.get("resources"))
    for probe in _PROBES:
        if old.get(probe) != new.get(probe):
            yield "probes", f"{probe} of {mended(name)}", _flat(old.get(probe)), _flat(new.get(probe))
    rest = [{key: value for key, value in each.items() if key not in _OF_CONTAINER} for each in (old, new)]
    if old and new and rest[0] != rest[1]:
        names = [key for key in sorted({*rest[0], *rest[1]}) if rest[0].get(key) != rest[1].get(key)]
        old_new = [_flat({key: each.get(key) for key in names if key in ("command", "args")}) for each in rest]
        yield "other", f"{mended(', '.join(names), 60)} of {mended(name)}", old_new[0], old_new[1]


def _shown(names: Sequence[str], values: Mapping[str, Object]) -> str:
    """Values of variables that are certainly no secret."""
    parts = []
    for name in names:
        value = values.get(name, {}).get("value")
        if isinstance(value, str) and not _MAY_BE_SECRET.search(name) and not _MAY_BE_SECRET.search(value):
            parts.append(f"{name}={value}")
        elif name not in values:
            parts.append(f"{name} unset")
    return ", ".join(parts)


def _flat(value: Any) -> str:
    """`{"limits": {"memory": "1Gi"}}` as `limits.memory=1Gi`."""
    if not value:
        return "none"

    def parts(prefix: str, one: Any) -> Iterator[str]:
        if isinstance(one, Mapping):
            for key, each in one.items():
                yield from parts(f"{prefix}.{key}" if prefix else str(key), each)
        else:
            yield f"{prefix}={one if isinstance(one, str | int | float) else json.dumps(one)}"

    text = ", ".join(parts("", value))
    return "(not shown)" if _MAY_BE_SECRET.search(text) else text


def read(template: Object) -> frozenset[str]:
    """`Kind/name` of each ConfigMap and Secret that the containers and volumes of a template read."""
    found = {f"{kind}/{name}" for _, kind, name in volumes_read({"spec": mapping(template, "spec")})}
    for container in (*dicts(at(template, "spec", "containers")), *dicts(at(template, "spec", "initContainers"))):
        for source in (
            *dicts(container.get("envFrom")),
            *(one.get("valueFrom") for one in dicts(container.get("env"))),
        ):
            for key, kind in (
                ("configMapRef", "ConfigMap"),
                ("secretRef", "Secret"),
                ("configMapKeyRef", "ConfigMap"),
                ("secretKeyRef", "Secret"),
            ):
                if name := at(source, key, "name"):
                    found.add(f"{kind}/{name}")
    return frozenset(found)


def _rest(template: Object) -> dict[str, Any]:
    spec = {key: value for key, value in mapping(template, "spec").items() if key not in ("containers", "volumes")}
    notes = {f"annotation {key}": value for key, value in mapping(template, "metadata", "annotations").items()}
    return {**spec, **notes}


# -- replicas and configuration ---------------------------------------------------------------------------------------


def _scaled(load: Load) -> Iterator[Symptom]:
    """That somebody, and no autoscaler, set the number of replicas."""
    for one in dicts(at(load.whole, "metadata", "managedFields")):
        when = moment(one, "time")
        if one.get("subresource") != "scale" or when is None or str(one.get("manager")) in _SCALES_ITSELF:
            continue
        if (load.seen.now - when).total_seconds() <= WINDOW_S:
            new, by = str(at(load.whole, "spec", "replicas")), str(one.get("manager") or "")
            text = f"scaled to {new} replicas {span((load.seen.now - when).total_seconds())} ago by {mended(by)}"
            labels = {"new": new, "by": by}
            yield Symptom(load.subject, "changed", fit(text), TELLS, "scale", seconds(when), None, labels)


def _configuration(load: Load) -> Iterator[Symptom]:
    """ConfigMaps and Secrets that the workload reads and that were written after they were made."""
    for named in sorted(read(load.template)):
        kind, _, name = named.partition("/")
        whole = load.seen.find(kind, load.subject.namespace, name)
        when = written(whole) if whole else None
        if whole is None or when is None or (load.seen.now - when).total_seconds() > WINDOW_S:
            continue
        subject = load.seen.subject(kind, load.subject.namespace, name)
        text = f"{kind} {mended(name)} was written {span((load.seen.now - when).total_seconds())} ago"
        yield Symptom(subject, "changed", fit(text), TELLS, "config", seconds(when))


def written(whole: Object) -> datetime | None:
    """When an object was last written to after it was made; None where it never was, or the API does not say."""
    times = [when for one in dicts(at(whole, "metadata", "managedFields")) if (when := moment(one, "time"))]
    last = max(times, default=None)
    return last if last and (last - created(whole)).total_seconds() > 60 else None


def all_changes(seen: Seen, loads: Sequence[Load]) -> list[Symptom]:
    found: dict[tuple[object, ...], Symptom] = {}
    for load in loads:
        for one in change_symptoms(load):
            found.setdefault((one.subject, one.reason, one.since, one.text), one)
    return list(found.values())
