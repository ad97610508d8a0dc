"""Containers that do not come to start: configuration that is not there, volumes that cannot be mounted, commands that
cannot be run, sandboxes without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.context import Subject
from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    Seen,
    at,
    created,
    dicts,
    event_time,
    event_words,
    mapping,
    name_of,
    namespace_of,
)
from tools.kubernetes.symptoms.scheduling import claims_of
from tools.kubernetes.symptoms.signs import Sign, decisive, exactly, mended

FRESH_S = 900.0  # an event that explains why a pod does not start is repeated at least this often
_BEFORE_START = frozenset({"ContainerCreating", "PodInitializing", ""})
_MISSING = re.compile(r'(?P<kind>secret|configmap)s? "(?P<name>[^"]+)" not found', re.I)
_KEY = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?:(?P<space>[\w.-]+)/)?(?P<name>[\w.-]+)", re.I
)
_VOLUME_KEY = re.compile(r"references non-existent (?P<kind>secret|config) key: (?P<key>\S+)")
_VOLUME = re.compile(r'for volume "(?P<volume>[^"]+)"|unmounted volumes=\[(?P<unmounted>[^\]]*)\]')

# Why a container does not start, (pattern, kind, reason); the first that fits counts.
_STARTS = tuple(
    (re.compile(pattern, re.I), kind, reason)
    for pattern, kind, reason in (
        (
            r"not a directory: unknown|mount a directory onto a file|error mounting|subPath|failed to stat \"",
            "mount_failed",
            "path",
        ),
        (r"mkdir /\S+: (?:read-only|permission)", "mount_failed", "permission"),
        (r"chdir to cwd|working directory|to cwd", "start_failed", "working_dir"),
        (
            r"runAsNonRoot|run as root|permission denied|operation not permitted|unable to find user|no matching entries",
            "start_failed",
            "permission",
        ),
        (
            r"executable file not found|no such file or directory|no command specified|exec format error",
            "start_failed",
            "command_not_found",
        ),
        (r"address already in use|port is already allocated|hostPort", "start_failed", "host_port"),
    )
)
_MOUNTS = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (r"Multi-Attach|already (?:exclusively attached|used by pod)|volume is already attached", "multi_attach"),
        (r"AttachVolume|FailedAttach|attach .*failed|timed out waiting for external-attacher", "attach"),
        (r"mount\.nfs|-t nfs|nfs\S*: |stale file handle|stale nfs", "nfs"),
        (r"hostPath type check failed|is not a directory|no such file or directory|not a mount point", "path"),
        (r"permission denied|access denied|operation not permitted", "permission"),
        (r"timed out|timeout|deadline exceeded", "timeout"),
    )
)
_DECISIVE = (
    r"mount\.nfs: |Multi-Attach|exec: |chdir to cwd|runAsNonRoot|permission denied|executable file not found|address already"
    r"|hostPath type check|not found|timed out|plugin type=|failed to set up sandbox|error mounting"
)


def unstarted(load: Load, pod: Object, spec: Object, status: Object, init: bool) -> Sign | None:
    """The sign of a container that could not be made or run, from its own state."""
    waiting = mapping(status, "state", "waiting")
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason == "CreateContainerConfigError":
        return _unconfigured(load.seen, pod, spec, message) or _not_run(pod, spec, message, init)
    if reason in ("CreateContainerError", "RunContainerError", "PostStartHookError", "PreCreateHookError"):
        return _not_run(pod, spec, message, init, hook=reason == "PostStartHookError")
    for which in ("state", "lastState"):
        ended = mapping(status, which, "terminated")
        if ended.get("reason") in ("StartError", "ContainerCannotRun") and not at(status, "state", "running"):
            return _not_run(pod, spec, str(ended.get("message") or ""), init, ended)
    return None


def unmade(load: Load, pod: Object) -> Sign | None:
    """The sign of a pod on its node of which no container was made yet: mounts and the sandbox, which only events tell,
    and what it mounts that is not there."""
    if not at(pod, "spec", "nodeName") or not _waits_for_first(pod):
        return None
    seen = load.seen
    events = seen.events("Pod", pod, "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume")
    events = [one for one in events if (seen.now - event_time(one)).total_seconds() <= FRESH_S]
    events = [one for one in events if event_time(one) >= created(pod)]
    # a sentence that only says that time ran out explains least
    events.sort(
        key=lambda one: ("timed out waiting for the condition" in event_words(one), "unmounted" in event_words(one))
    )
    if missing := _missing_volume(seen, pod):
        return missing
    for event in events:
        if event.get("reason") == "FailedCreatePodSandBox":
            says = f" cannot start: the node makes no sandbox: {decisive(event_words(event), _DECISIVE, 140)}"
            return _sign(pod, "start_failed", "sandbox", says)
        return _unmounted(seen, pod, event)
    return None


def _waits_for_first(pod: Object) -> bool:
    statuses = [*dicts(at(pod, "status", "initContainerStatuses")), *dicts(at(pod, "status", "containerStatuses"))]
    states = [str(at(one, "state", "waiting", "reason") or "") for one in statuses if not one.get("started")]
    started = any(at(one, "state", "running") or at(one, "state", "terminated") for one in statuses)
    return not started and all(state in _BEFORE_START for state in states) and at(pod, "status", "phase") == "Pending"


# -- configuration ----------------------------------------------------------------------------------------------------


def _unconfigured(seen: Seen, pod: Object, spec: Object, message: str) -> Sign | None:
    container, namespace = str(spec.get("name")), namespace_of(pod)
    if found := _KEY.search(message):
        kind, name, key = _kind(found["kind"]), found["name"], found["key"]
        accused = seen.subject(kind, namespace, name)
        says = f" cannot start container {mended(container)}: {kind} {mended(name)} has no key {mended(key)}"
        labels = {"container": container, "key": key}
        return _sign(pod, "config_missing", f"{kind.lower()}_key", says, accused, labels)
    if found := _MISSING.search(message):
        kind, name = _kind(found["kind"]), found["name"]
        says = f" cannot start container {mended(container)}: {kind} {mended(name)} does not exist in {namespace}"
        accused = seen.subject(kind, namespace, name)
        return _sign(pod, "config_missing", kind.lower(), says, accused, {"container": container})
    return None


def _kind(word: str) -> str:
    return "Secret" if word.lower().startswith("secret") else "ConfigMap"


# -- starts -----------------------------------------------------------------------------------------------------------


def _not_run(
    pod: Object, spec: Object, message: str, init: bool, ended: Object | None = None, hook: bool = False
) -> Sign:
    kind, reason = next(
        ((kind, reason) for pattern, kind, reason in _STARTS if pattern.search(message)), ("start_failed", "runtime")
    )
    reason = "hook" if hook else reason
    container = str(spec.get("name"))
    labels = {"container": container, **({"init": "yes"} if init else {})}
    if ended and isinstance(ended.get("exitCode"), int):
        labels["exit_code"] = str(ended["exitCode"])
    words = decisive(message, _DECISIVE, 140) or "the runtime gives no reason"
    says = f" cannot start {'init ' if init else ''}container {mended(container)}: {words}"
    return _sign(pod, kind, reason, says, None, labels)


# -- mounts -----------------------------------------------------------------------------------------------------------


def volumes_read(pod: Object) -> Iterator[tuple[str, str, str]]:
    """(volume, kind, name) of each Secret and ConfigMap that a pod must have to mount its volumes."""
    for volume in dicts(at(pod, "spec", "volumes")):
        for source in (volume, *dicts(at(volume, "projected", "sources"))):
            secret, held = mapping(source, "secret"), mapping(source, "configMap")
            name = secret.get("secretName") or secret.get("name")
            if name and not secret.get("optional"):
                yield str(volume.get("name")), "Secret", str(name)
            if held.get("name") and not held.get("optional"):
                yield str(volume.get("name")), "ConfigMap", str(held["name"])


def _missing_volume(seen: Seen, pod: Object) -> Sign | None:
    """What a pod mounts that does not exist, by what is there now: no event is needed for it."""
    if seen.age(pod) < 5:
        return None
    for volume, kind, name in volumes_read(pod):
        if seen.lacks(kind, namespace_of(pod), name):
            says = f" cannot mount volume {mended(volume)}: {kind} {mended(name)} does not exist in {namespace_of(pod)}"
            accused = seen.subject(kind, namespace_of(pod), name)
            return _sign(pod, "mount_failed", kind.lower(), says, accused, {"volume": volume})
    return None


def _unmounted(seen: Seen, pod: Object, event: Object) -> Sign | None:
    message, namespace = event_words(event), namespace_of(pod)
    found = _VOLUME.search(message)
    volume = (found["volume"] or found["unmounted"] or "") if found else ""
    accused: Subject | None = None
    if key := _VOLUME_KEY.search(message):
        kind = _kind("secret" if key["kind"] == "secret" else "configmap")
        name = next((name for held, what, name in volumes_read(pod) if held == volume and what == kind), "")
        accused, reason = (seen.subject(kind, namespace, name) if name else None), kind.lower()
    elif missing := _MISSING.search(message):
        kind, name = _kind(missing["kind"]), missing["name"]
        if seen.find(kind, namespace, name) is not None:
            return None  # it is there by now: the event no longer holds
        accused, reason = seen.subject(kind, namespace, name), kind.lower()
    else:
        reason = next((reason for pattern, reason in _MOUNTS if pattern.search(message)), "other")
        accused = _claim_of(seen, pod, volume)
    if event.get("reason") == "FailedAttachVolume" and reason not in ("multi_attach",):
        reason = "attach"
    says = f" cannot mount volume {mended(volume, 50)}: {decisive(_without_head(message), _DECISIVE, 130)}"
    return _sign(pod, "mount_failed", reason, says, accused, {"volume": volume} if volume else {})


def _without_head(message: str) -> str:
    return re.sub(r'^(?:\(combined from similar events\): )?\w+\.\w+ failed for volume "[^"]+" ?: ', "", message)


def _claim_of(seen: Seen, pod: Object, volume: str) -> Subject | None:
    """The claim behind a volume, by the pod's name for it or by the volume's own."""
    for one in dicts(at(pod, "spec", "volumes")):
        claim = at(one, "persistentVolumeClaim", "claimName")
        if claim and one.get("name") in volume.split():
            return seen.subject("PersistentVolumeClaim", namespace_of(pod), str(claim))
    for claim in claims_of(pod):
        whole = seen.find("PersistentVolumeClaim", namespace_of(pod), claim)
        if whole and at(whole, "spec", "volumeName") == volume:
            return seen.subject("PersistentVolumeClaim", namespace_of(pod), claim)
    return None


def _sign(
    pod: Object,
    kind: str,
    reason: str,
    says: str,
    accuses: Subject | None = None,
    labels: dict[str, str] | None = None,
) -> Sign:
    """A pod that never started began to fail when it was made."""
    when = exactly(created(pod))
    node = str(at(pod, "spec", "nodeName") or "")
    return Sign(name_of(pod), kind, reason, says, node, began=when, accuses=accuses, labels=labels or {})
