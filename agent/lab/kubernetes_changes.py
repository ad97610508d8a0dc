"""What a request to change a Deployment means for the lab's world, and the answers when it cannot be. All is pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import UnusableInput
from agent.lab import kubernetes_objects as objects
from agent.lab import patches
from agent.lab.ports import Deployment

Document = dict[str, Any]

PATCHES: Mapping[str, Callable[[Document, Any], Document]] = {
    "application/merge-patch+json": patches.merge,
    "application/strategic-merge-patch+json": patches.strategic,
    "application/json-patch+json": patches.json_patch,
}


class Failure(Exception):
    """An answer other than 2xx, as the Status object Kubernetes would send."""

    def __init__(self, code: int, reason: str, message: str, details: Document | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "code": code,
        }


def changed(method: str, kind: str, before: Document, body: Any, d: Deployment) -> Document:
    """What a PATCH or PUT of this content type makes of the document. 409 where it names a resourceVersion that is no longer the current one."""
    change = PATCHES.get(kind)
    if method == "PATCH" and change is None:
        raise Failure(
            415, "UnsupportedMediaType", f"this PATCH body has the content type {kind!r}; it takes {list(PATCHES)}"
        )
    try:
        after = body if change is None or method == "PUT" else change(before, body)
    except UnusableInput as error:
        message = f"the server rejected our request due to an error in our request: {error}"
        raise Failure(422, "Invalid", message) from None
    if (
        not isinstance(after, dict)
        or not isinstance(after.get("metadata"), dict)
        or not isinstance(after.get("spec"), dict)
    ):
        raise Failure(400, "BadRequest", "the object has no metadata or no spec")
    if after["metadata"].get("resourceVersion", "") not in ("", str(d.resource_version)):
        message = (
            f'Operation cannot be fulfilled on deployments.apps "{d.name}": the object has been modified; '
            "please apply your changes to the latest version and try again"
        )
        raise Failure(409, "Conflict", message, {"name": d.name, "group": "apps", "kind": "deployments"})
    return after


def changes(before: Document, after: Document, d: Deployment) -> Document:
    """The difference in the world's words. A part of a Deployment that the lab does not simulate is refused by name."""
    wanted: Document = {}
    if (replicas := replicas_of(after, d)) != d.replicas:
        wanted["replicas"] = replicas
    old, new = before["spec"]["template"], after["spec"].get("template")
    if not _is_template(new):
        raise _invalid(d, "spec.template", "Required value: one container with a name and an image")
    if template := _template_changes(old, new, d):
        wanted["template"] = template
    kept = dict(before["metadata"]["annotations"])
    annotations = _difference(kept, after["metadata"].get("annotations") or {}, d, "metadata.annotations")
    cause = annotations.pop(objects.CAUSE, None)
    annotations.pop(objects.REVISION, None)  # the controller's own, put back by it
    if template and cause:
        template["change_cause"] = cause
    elif cause:
        annotations[objects.CAUSE] = cause
    if annotations:
        wanted["annotations"] = annotations
    _refuse_the_rest(before, after, d)
    return wanted


def replicas_of(after: Document, d: Deployment) -> int:
    value = after["spec"].get("replicas", 1)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Failure(400, "BadRequest", f"spec.replicas: {value!r} is not a whole number")
    if value < 0:
        raise _invalid(d, "spec.replicas", f"Invalid value: {value}: must be greater than or equal to 0")
    return value


def _invalid(d: Deployment, field: str, why: str) -> Failure:
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": field}]
    details = {"name": d.name, "group": "apps", "kind": "Deployment", "causes": causes}
    return Failure(422, "Invalid", f'Deployment.apps "{d.name}" is invalid: {field}: {why}', details)


def _is_template(value: Any) -> bool:
    containers = value.get("spec", {}).get("containers") if isinstance(value, dict) else None
    return (
        isinstance(containers, list)
        and len(containers) == 1
        and isinstance(containers[0], dict)
        and all(isinstance(containers[0].get(key), str) and containers[0][key] for key in ("name", "image"))
        and all(isinstance(one, dict) and "name" in one for one in containers[0].get("env") or [])
    )


def _template_changes(old: Document, new: Document, d: Deployment) -> Document:
    found: Document = {}
    (was,), (now,) = old["spec"]["containers"], new["spec"]["containers"]
    if was["image"] != now["image"]:
        found["image"] = now["image"]
    before, after = ((one.get("metadata") or {}).get("annotations") or {} for one in (old, new))
    if difference := _difference(before, after, d, "spec.template.metadata.annotations"):
        found["annotations"] = difference
    if difference := _difference(_env(was), _env(now), d, "spec.template.spec.containers[0].env"):
        found["env"] = difference
    return found


def _env(container: Document) -> Document:
    return {one["name"]: one.get("value", "") for one in container.get("env") or []}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], d: Deployment, field: str) -> dict[str, str | None]:
    """Names whose text changed; None for those that are gone."""
    if not isinstance(new, dict):
        raise _invalid(d, field, f"Invalid value: {new!r}: must be a map")
    if wrong := next((name for name, value in new.items() if not isinstance(value, str)), None):
        raise _invalid(d, f"{field}.{wrong}", f"Invalid value: {new[wrong]!r}: must be a string")
    gone = {name: None for name in old if name not in new}
    return {**{name: value for name, value in new.items() if old.get(name) != value}, **gone}


def _refuse_the_rest(before: Document, after: Document, d: Deployment) -> None:
    if (place := _first_difference(_simulated_apart(before), _simulated_apart(after), "")) is not None:
        raise _invalid(d, place, "Forbidden: the lab does not simulate a change of this field")


def _simulated_apart(document: Document) -> Document:
    """The document without what the lab can change, and without what a server ignores in a request."""
    rest = copy.deepcopy({key: value for key, value in document.items() if key != "status"})
    rest["metadata"] = {key: rest["metadata"].get(key) for key in ("name", "namespace", "labels")}
    rest["spec"].pop("replicas", None)
    template = rest["spec"]["template"]
    (template.get("metadata") or {}).pop("annotations", None)
    for name in ("image", "env"):
        template["spec"]["containers"][0].pop(name, None)
    return rest


def _first_difference(old: Any, new: Any, place: str) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        places = ((key, _first_difference(old.get(key), new.get(key), f"{place}.{key}")) for key in {**old, **new})
        return next((found for _, found in places if found is not None), None)
    return None if old == new else place.lstrip(".")
