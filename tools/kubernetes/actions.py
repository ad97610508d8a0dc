"""Actions on workloads: scale, restart, roll back. Each is one JSON patch whose tests are its precondition.

The version is `metadata.generation`: it counts changes of the specification and nothing else, so that a pod's coming and
going does not void a proposal. The patch tests it in the same call as it sets the key, so that both happen or neither.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tools.context import Context, Json, Target, Workload
from tools.errors import BadArguments, Refused, ToolError, ToolFailed
from tools.kubernetes.client import KEY, Cluster, backend_of, cluster_of, path_of
from tools.kubernetes.rollouts import (
    CAUSE,
    RESTARTED,
    REVISION,
    Revision,
    images_of,
    kept_by,
    revisions_of,
    template_digest,
)
from tools.kubernetes.status import autoscaler_of, controller_of
from tools.spec import Action, Receipt, Risk, State, WorkloadName

Object = Mapping[str, Any]
Operations = list[dict[str, Json]]


class _WorkloadAction(Action):
    """What the three have in common: one workload of the catalog, in exactly one cluster."""

    needs: ClassVar[str] = "kubernetes"
    workload: WorkloadName

    def target(self, context: Context) -> Target:
        which = context.catalog.workload(self.workload)
        backend_of(context, which)
        entry = context.catalog.service(which.service) if which.service else None
        return Target(
            "workload",
            which.name,
            which.cluster,
            which.namespace,
            which.environment,
            which.service,
            entry is not None and entry.confirmed,
        )

    def resolved(self, context: Context) -> Action:
        return self.model_copy(update={"workload": str(context.catalog.workload(self.workload))})

    async def probe(self, context: Context, key: str) -> bool | None:
        """True: our key stands there. None: another execution's key does, which may have come after ours."""
        try:
            _, _, whole = await _found(context, self.workload)
        except Refused:  # it is gone, and with it whatever would tell
            return None
        held = _annotations(whole).get(KEY)
        return True if held == key else False if held is None else None

    def _kubectl(self, context: Context, before: Sequence[str], *after: str) -> str:
        """The command for a person. Context, namespace and kind are the catalog's, else the reference's own, else left to be
        filled in."""
        cluster, namespace, name = ["", "", *self.workload.split("/")][-3:]
        kind, place = "deployment", cluster
        try:
            which = context.catalog.workload(self.workload)
            namespace, name, kind, place = which.namespace, which.name, which.kind.lower(), which.cluster
            place = backend_of(context, which).kube_context or place
        except ToolError:
            pass
        where = ["--context", place or "CLUSTER", "-n", namespace or "NAMESPACE"]
        return shlex.join(["kubectl", *where, *before, f"{kind}/{name}", *after])


class ScaleWorkload(_WorkloadAction):
    """Set how many replicas a workload runs. Refused where an autoscaler sets them."""

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    settle: ClassVar[timedelta | None] = timedelta(seconds=30)
    replicas: Annotated[int, Field(ge=1, le=50)]

    async def observe(self, context: Context) -> State:
        which, cluster, whole = await _found(context, self.workload)
        scalers = f"/apis/autoscaling/v2/namespaces/{which.namespace}/horizontalpodautoscalers"
        scaler = autoscaler_of(await cluster.list(scalers), which.kind, which.name)
        if scaler is not None:
            raise Refused(
                f"The replicas of {which} belong to the autoscaler {scaler.name} ({scaler.least} to {scaler.most}), which "
                f"would set them back. Change its limits instead: kubectl edit hpa {scaler.name} -n {which.namespace}."
            )
        return State({"replicas": _replicas(whole)}, _version(whole))

    def change(self, before: State, key: str) -> State:
        return State({**before.fields, "replicas": self.replicas}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        return await _patch(context, self.workload, before, "dry-run", self._operations(before), dry_run=True)

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        return Receipt(await _patch(context, self.workload, before, key, self._operations(before)))

    def undo(self, before: State) -> Action | None:
        replicas = before.fields["replicas"]
        return ScaleWorkload(workload=self.workload, replicas=replicas) if 1 <= replicas <= 50 else None

    def command(self, context: Context) -> str:
        return self._kubectl(context, ["scale"], f"--replicas={self.replicas}")

    def _operations(self, before: State) -> Operations:
        return [
            {"op": "test", "path": "/spec/replicas", "value": before.fields["replicas"]},
            {"op": "replace", "path": "/spec/replicas", "value": self.replicas},
        ]


class RestartWorkload(_WorkloadAction):
    """Restart a workload: replace its pods one after the other, as `kubectl rollout restart` does. It cannot be undone."""

    risk: ClassVar[Risk] = Risk.DISRUPTIVE
    settle: ClassVar[timedelta | None] = timedelta(seconds=30)

    async def observe(self, context: Context) -> State:
        _, _, whole = await _found(context, self.workload)
        return State({"restartedAt": _template_annotations(whole).get(RESTARTED)}, _version(whole))

    def change(self, before: State, key: str) -> State:
        """A restart is an event. Its state is the annotation that causes it, which then holds the execution's key."""
        return State({"restartedAt": key}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        return await self._restart(context, before, "dry-run", dry_run=True)

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        return Receipt(await self._restart(context, before, key))

    def command(self, context: Context) -> str:
        return self._kubectl(context, ["rollout", "restart"])

    async def _restart(self, context: Context, before: State, key: str, dry_run: bool = False) -> str:
        _, _, whole = await _found(context, self.workload)
        template = "/spec/template/metadata"
        operations = _annotate(_template_annotations(whole), f"{template}/annotations", {RESTARTED: key})
        if "metadata" not in whole["spec"]["template"]:
            operations = [{"op": "add", "path": template, "value": {"annotations": {RESTARTED: key}}}]
        return await _patch(context, self.workload, before, key, operations, dry_run=dry_run)


class RollBackWorkload(_WorkloadAction):
    """Give a workload the pod template of another recorded revision (see rollout_history): roll it back, or forward again."""

    risk: ClassVar[Risk] = Risk.DISRUPTIVE
    settle: ClassVar[timedelta | None] = timedelta(seconds=30)
    revision: Annotated[int, Field(ge=1, le=1_000_000)]

    async def observe(self, context: Context) -> State:
        """The template now and the one wanted, by image and digest. `wanted` is None where the cluster keeps it no longer."""
        which, cluster, whole = await _found(context, self.workload)
        wanted = await self._wanted(cluster, which, whole)
        template = whole["spec"]["template"]
        return State(
            {
                "image": ", ".join(images_of(template)),
                "template": template_digest(template),
                "change_cause": _annotations(whole).get(CAUSE),
                "revision": _annotations(whole).get(REVISION),
                "wanted": {"image": wanted.image, "template": wanted.digest} if wanted else None,
            },
            _version(whole),
        )

    def change(self, before: State, key: str) -> State:
        """Image, template and cause alter. The number the platform gives to what comes back is its own affair."""
        wanted = before.fields["wanted"]
        if wanted is None:
            raise BadArguments(
                f"{self.workload} has no recorded revision {self.revision} to go to. rollout_history lists those there are."
            )
        return State({**before.fields, **wanted, "change_cause": self._cause()}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        return await self._roll(context, before, "dry-run", dry_run=True)

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        return Receipt(await self._roll(context, before, key))

    def undo(self, before: State) -> Action | None:
        present = str(before.fields["revision"] or "")
        return RollBackWorkload(workload=self.workload, revision=int(present)) if present.isdigit() else None

    def command(self, context: Context) -> str:
        return self._kubectl(context, ["rollout", "undo"], f"--to-revision={self.revision}")

    def _cause(self) -> str:
        return f"roll back to revision {self.revision}"

    async def _roll(self, context: Context, before: State, key: str, dry_run: bool = False) -> str:
        which, cluster, whole = await _found(context, self.workload)
        found = await self._wanted(cluster, which, whole)
        agreed = before.fields["wanted"] or {}
        if found is None or found.digest != agreed.get("template"):
            raise Refused(f"Revision {self.revision} of {which} is no longer what was agreed on. See rollout_history.")
        operations: Operations = [{"op": "replace", "path": "/spec/template", "value": dict(found.template)}]
        notes = {CAUSE: self._cause()}
        return await _patch(context, self.workload, before, key, operations, notes=notes, dry_run=dry_run)

    async def _wanted(self, cluster: Cluster, which: Workload, whole: Object) -> Revision | None:
        if which.kind != "Deployment":
            raise Refused(f"{which} is a {which.kind}; only Deployments are rolled back. Use kubectl rollout undo.")
        found = revisions_of(which, whole, await kept_by(cluster, which))
        return next((one for one in found if one.number == self.revision), None)


async def _found(context: Context, reference: str) -> tuple[Workload, Cluster, dict[str, Any]]:
    """The workload, its cluster and its object. Refused where it is not there or another controller owns it."""
    which = context.catalog.workload(reference)
    cluster = await cluster_of(context, which)
    whole = await cluster.get(path_of(which))
    if whole is None:
        raise Refused(f"There is no {which.kind} {which}: it was deleted, or the catalog names another place.")
    if not isinstance(whole, dict) or not isinstance((whole.get("spec") or {}).get("template"), dict):
        raise ToolFailed(f"The cluster {which.cluster} answered for {which} with something that is no workload.")
    if owner := controller_of(whole):
        raise Refused(f"{which} is controlled by {owner}, which would change it back. Change that instead.")
    return which, cluster, whole


async def _patch(
    context: Context,
    reference: str,
    before: State,
    key: str,
    operations: Sequence[Mapping[str, Json]],
    *,
    notes: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> str:
    """One patch: only if the specification is still the one that was decided on, with the key in the same call."""
    which, cluster, whole = await _found(context, reference)
    guard = {"op": "test", "path": "/metadata/generation", "value": int(before.version)}
    marked = _annotate(_annotations(whole), "/metadata/annotations", {KEY: key, **(notes or {})})
    after = await cluster.patch(path_of(which), [guard, *operations, *marked], dry_run=dry_run)
    generation = (after.get("metadata") or {}).get("generation") if isinstance(after, dict) else None
    return (
        f"{which.cluster} accepts the change of {which} (dry run)"
        if dry_run
        else f"{which} is at generation {generation}"
    )


def _annotate(present: Mapping[str, str], path: str, wanted: Mapping[str, str]) -> Operations:
    """Operations that set annotations. Where there is none yet the map is added, unless somebody adds one meanwhile."""
    if not present:
        return [
            {"op": "test", "path": path, "value": None},
            {"op": "add", "path": path, "value": dict(wanted)},
        ]
    escaped = {name.replace("~", "~0").replace("/", "~1"): value for name, value in wanted.items()}
    return [{"op": "add", "path": f"{path}/{name}", "value": value} for name, value in escaped.items()]


def _annotations(whole: Object) -> dict[str, str]:
    return (whole.get("metadata") or {}).get("annotations") or {}


def _template_annotations(whole: Object) -> dict[str, str]:
    return (whole["spec"]["template"].get("metadata") or {}).get("annotations") or {}


def _replicas(whole: Object) -> int:
    return int((whole.get("spec") or {}).get("replicas", 1))


def _version(whole: Object) -> str:
    return str((whole.get("metadata") or {}).get("generation", 0))
