"""The last lines of pods that fail, read through the API and given to whoever finds symptoms in lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tools.context import Subject
from tools.errors import ToolFailed
from tools.kubernetes.client import Cluster
from tools.kubernetes.symptoms.containers import last_line
from tools.kubernetes.symptoms.objects import Load, Object, at, containers_of, name_of, whole_number
from tools.symptoms import Symptom

MOST_PODS, MOST_LINES = 4, 200
_BYTES = 500_000
_TOLD_OF = frozenset(
    {"workload", "deployment", "statefulset", "pod", "namespace", "cluster", "node", "model", "version", "alias"}
)  # labels by which a platform names objects: lines are nobody's word for a name

Find: TypeAlias = Callable[[str], Subject | None]
LineReader: TypeAlias = Callable[[Sequence[str], Subject, Find], list[Symptom]]


@dataclass(frozen=True)
class Logs:
    """Lines by (pod, container), and by the same why there are none."""

    lines: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def decisive(self) -> Mapping[tuple[str, str], str]:
        """The decisive line of each container."""
        return {where: last_line("\n".join(lines[-60:])) for where, lines in self.lines.items() if lines}


def ill_containers(load: Load, failing: Sequence[str]) -> list[tuple[Object, str, bool]]:
    """(pod, container, restarted) of what failed in these pods and has lines: the first of each pod that is not ready."""
    found = []
    for pod in load.pods:
        if name_of(pod) not in failing or not at(pod, "spec", "nodeName"):
            continue
        for spec, status, _ in containers_of(pod):
            ran = (
                at(status, "state", "running")
                or at(status, "state", "terminated")
                or at(status, "lastState", "terminated")
            )
            ill = not status.get("ready") or whole_number(status.get("restartCount"))
            ended_well = at(status, "state", "terminated", "exitCode") == 0
            if ran and ill and not ended_well:
                found.append((pod, str(spec.get("name")), bool(at(status, "lastState", "terminated"))))
                break
    return found


async def read_logs(cluster: Cluster, which: Sequence[tuple[Object, str, bool]]) -> Logs:
    """The last lines of these containers, of the run before where one was restarted first."""
    asked = which[:MOST_PODS]
    answers = await asyncio.gather(*(_lines(cluster, pod, name, before) for pod, name, before in asked))
    lines, hidden = {}, {}
    for (pod, name, _), (found, why) in zip(asked, answers, strict=True):
        if found:
            lines[name_of(pod), name] = found
        if why:
            hidden[f"log of {name_of(pod)} ({name})"] = why
    return Logs(lines, hidden)


async def _lines(cluster: Cluster, pod: Object, container: str, restarted: bool) -> tuple[list[str], str]:
    path = f"/api/v1/namespaces/{at(pod, 'metadata', 'namespace')}/pods/{name_of(pod)}/log"
    how = {"container": container, "tailLines": str(MOST_LINES), "limitBytes": str(_BYTES)}
    found, why = [], ""
    for before in (True, False) if restarted else (False,):
        try:
            text, refusal = await cluster.text(path, **how, **({"previous": "true"} if before else {}))
        except ToolFailed as error:
            why = str(error)
            continue
        if text is None:
            why = why or refusal or "the server has no log of it"
        else:
            found += text.splitlines()
    return found, "" if found else why


def log_symptoms(reader: LineReader, logs: Logs, load: Load, find: Find) -> list[Symptom]:
    """What a reader of lines finds in the lines of one workload's pods, taken together."""
    mine = {name_of(pod) for pod in load.pods}
    lines = [line for (pod, _), told in logs.lines.items() if pod in mine for line in told]
    found = reader(lines, load.subject, find) if lines else []
    return [
        Symptom(
            one.subject,
            one.kind,
            one.text,
            one.severity,
            one.reason,
            one.since,
            one.accuses,
            {key: value for key, value in one.labels.items() if key not in _TOLD_OF},
        )
        for one in found
    ]
