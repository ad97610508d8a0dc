"""What was rolled out, when: revisions of a workload out of Kubernetes' own history, and as changes for recent_changes."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tools.context import Backend, Change, Context, Workload
from tools.errors import NotRecorded
from tools.formatting import clean
from tools.kubernetes.client import Cluster, backend_of, connect

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"  # numbers a ReplicaSet had before it was rolled back to
CAUSE = "kubernetes.io/change-cause"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"

Object = Mapping[str, Any]

# Last part of an annotation's name → what it tells. Who builds images writes them under many prefixes.
_TELLS = {
    "commit": "commit",
    "git-commit": "commit",
    "git-sha": "commit",
    "commit-sha": "commit",
    "sha": "commit",
    "pull-request": "pull_request",
    "pr": "pull_request",
    "pull": "pull_request",
    "merge-request": "pull_request",
    "deployed-by": "by",
    "triggered-by": "by",
    "author": "by",
}


@dataclass(frozen=True, slots=True)
class Revision:
    """One pod template a workload ran or runs. `at` is when it was last made the present one, as far as is recorded."""

    number: int
    at: datetime
    images: tuple[str, ...]
    template: Mapping[str, Any]  # without the hash label
    cause: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    rolled_back: bool = False  # an older template that was taken up again

    @property
    def image(self) -> str:
        return ", ".join(self.images)

    @property
    def digest(self) -> str:
        return template_digest(self.template)

    def tells(self, what: str) -> str:
        """`commit`, `pull_request` or `by` out of the annotations, "" where none says so."""
        for name, value in self.annotations.items():
            if _TELLS.get(name.rsplit("/", 1)[-1].replace("_", "-").lower()) == what:
                return clean(value, 100)
        return ""


def template_digest(template: Object) -> str:
    """Twelve characters that are the same for the same pod template, whichever object carries it."""
    body = json.dumps(bare_template(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def bare_template(template: Object) -> dict[str, Any]:
    """A pod template without what only ReplicaSets carry and servers leave empty."""
    bare: dict[str, Any] = copy.deepcopy(dict(template))
    metadata = bare.get("metadata") or {}
    (metadata.get("labels") or {}).pop(HASH, None)
    metadata.pop("creationTimestamp", None)
    bare["metadata"] = {name: value for name, value in metadata.items() if value}
    return bare


def time_of(text: object) -> datetime | None:
    """A Kubernetes time (RFC 3339) in UTC, None for anything else."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return None


def images_of(template: Object) -> tuple[str, ...]:
    containers = (template.get("spec") or {}).get("containers") or []
    return tuple(str(one.get("image", "")) for one in containers if isinstance(one, Mapping))


def owned_by(item: Object, kind: str, name: str) -> bool:
    owners = (item.get("metadata") or {}).get("ownerReferences") or []
    owners = [one for one in owners if isinstance(one, Mapping)]
    return any(one.get("kind") == kind and one.get("name") == name and one.get("controller") for one in owners)


def revisions_of(workload: Workload, whole: Object, kept: Sequence[Object]) -> list[Revision]:
    """The revisions of a workload, oldest number first. `kept` are its namespace's ReplicaSets or ControllerRevisions."""
    mine = [one for one in kept if owned_by(one, workload.kind, workload.name)]
    read = _of_replica_set if workload.kind == "Deployment" else _of_controller_revision
    found = [revision for one in mine if (revision := read(one, whole)) is not None]
    return sorted(found, key=lambda revision: revision.number)


def _of_replica_set(item: Object, whole: Object) -> Revision | None:
    metadata = item.get("metadata") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    at = time_of(metadata.get("creationTimestamp"))
    if at is None or not str(annotations.get(REVISION, "")).isdigit():
        return None
    template = (item.get("spec") or {}).get("template") or {}
    again = bool(annotations.get(HISTORY))
    present = ((whole.get("metadata") or {}).get("annotations") or {}).get(REVISION) == annotations[REVISION]
    if (
        again and present
    ):  # its creation says when it first ran; that it came back is seen in the rollout's own condition
        at = max(at, _rolled_out_at(whole) or at)
    own = (template.get("metadata") or {}).get("annotations") or {}
    return Revision(
        int(annotations[REVISION]),
        at,
        images_of(template),
        bare_template(template),
        clean(annotations.get(CAUSE, "")),
        {**annotations, **own},
        again,
    )


def _of_controller_revision(item: Object, whole: Object) -> Revision | None:
    metadata = item.get("metadata") or {}
    at = time_of(metadata.get("creationTimestamp"))
    if at is None or not isinstance(item.get("revision"), int):
        return None
    template = ((item.get("data") or {}).get("spec") or {}).get("template") or {}
    annotations: dict[str, str] = metadata.get("annotations") or {}
    own = (template.get("metadata") or {}).get("annotations") or {}
    return Revision(
        item["revision"],
        at,
        images_of(template),
        bare_template(template),
        clean(annotations.get(CAUSE, "")),
        {**annotations, **own},
    )


def _rolled_out_at(whole: Object) -> datetime | None:
    conditions = (whole.get("status") or {}).get("conditions") or []
    return next((time_of(one.get("lastUpdateTime")) for one in conditions if one.get("type") == "Progressing"), None)


def difference(before: Revision | None, after: Revision) -> tuple[str, ...]:
    """What changed from one revision to the next, by name: `image`, `env WORKERS`, `limits`. No values: they may be secret."""
    if before is None:
        return ("first revision",)
    changed = [] if before.images == after.images else ["image"]
    old, new = (_containers(r) for r in (before, after))
    for name in sorted(old.keys() & new.keys()):
        one, two = old[name], new[name]
        names = _env(one).keys() | _env(two).keys()
        changed += [f"env {env}" for env in sorted(names) if _env(one).get(env) != _env(two).get(env)]
        changed += [what for what in ("resources", "command", "args") if one.get(what) != two.get(what)]
    if old.keys() != new.keys():
        changed.append("containers")
    notes = [(r.template.get("metadata") or {}).get("annotations") or {} for r in (before, after)]
    changed += [
        f"annotation {n}" for n in sorted(notes[0].keys() | notes[1].keys()) if notes[0].get(n) != notes[1].get(n)
    ]
    return tuple(changed) or (() if before.digest == after.digest else ("other parts of the pod template",))


def _containers(revision: Revision) -> dict[str, Any]:
    return {str(c.get("name")): c for c in (revision.template.get("spec") or {}).get("containers") or []}


def _env(container: Object) -> dict[str, Any]:
    return {str(one.get("name")): one for one in container.get("env") or []}


async def kept_by(cluster: Cluster, workload: Workload) -> list[dict[str, Any]]:
    """The objects in which the cluster keeps revisions of a workload's kind, of its whole namespace."""
    plural = "replicasets" if workload.kind == "Deployment" else "controllerrevisions"
    return await cluster.list(f"/apis/apps/v1/namespaces/{workload.namespace}/{plural}")


async def rollouts(context: Context, service: str) -> list[Change]:
    """Every recorded rollout, restart and configuration change of a service's workloads, or of all in the catalog.

    Raises NotRecorded where the catalog names no workload, Unreachable or ToolFailed when a cluster cannot be asked: an
    empty list, or one with a hole, would read as "nothing changed".
    """
    wanted = [w for s in context.catalog.services() if service in ("", s.name) for w in s.workloads]
    if not wanted:
        raise NotRecorded(f"the catalog names no workload of {service or 'any service'}")
    places: dict[tuple[int, str], tuple[Backend, list[Workload]]] = {}
    for workload in wanted:
        if not workload.cluster:
            continue
        backend = backend_of(context, workload)
        places.setdefault((id(backend), workload.namespace), (backend, []))[1].append(workload)
    found = await asyncio.gather(*(_rollouts_in(*place) for place in places.values()))
    return [change for changes in found for change in changes]


async def _rollouts_in(backend: Backend, workloads: Sequence[Workload]) -> list[Change]:
    """Every recorded rollout of workloads of one namespace, with two lists for each kind among them."""
    cluster, changes = await connect(backend), []
    for kind in sorted({w.kind for w in workloads} & {"Deployment", "StatefulSet"}):
        mine = [w for w in workloads if w.kind == kind]
        plural = f"{kind.lower()}s"
        path = f"/apis/apps/v1/namespaces/{mine[0].namespace}/{plural}"
        wholes, kept = await asyncio.gather(cluster.list(path), kept_by(cluster, mine[0]))
        by_name = {(one.get("metadata") or {}).get("name"): one for one in wholes}
        for workload in mine:
            revisions = revisions_of(workload, by_name.get(workload.name, {}), kept)
            changes += [_change(workload, *pair) for pair in zip([None, *revisions], revisions, strict=False)]
    return changes


def _change(workload: Workload, before: Revision | None, after: Revision) -> Change:
    changed = difference(before, after)
    image = after.image if before is None or before.images == after.images else f"{before.image} → {after.image}"
    detail = {
        "revision": str(after.number),
        "image": after.image,
        "previous_image": before.image if before else "",
        "commit": after.tells("commit"),
        "pull_request": after.tells("pull_request"),
        "cause": after.cause,
        "changed": ", ".join(changed),
        "workload": str(workload),
    }
    restart = changed == (f"annotation {RESTARTED}",)
    verb = "restarted" if restart else "rolled back to an earlier template," if after.rolled_back else "rolled out"
    what = f"{workload} {verb} revision {after.number}: {image}" + (
        "" if restart else f" (changed: {', '.join(changed)})"
    )
    kind = "restart" if restart else "deployment" if "image" in changed or before is None else "config"
    return Change(
        after.at,
        kind,
        clean(what, 400),
        workload.service,
        workload.cluster,
        after.tells("by"),
        "",
        "kubernetes",
        {name: value for name, value in detail.items() if value},
    )
