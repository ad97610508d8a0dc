"""Probes that fail, and what of them: the port, the path, the time, or the application itself."""

from __future__ import annotations

import re
from datetime import datetime

from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    at,
    condition,
    created,
    dicts,
    event_time,
    event_words,
    mapping,
    moment,
    name_of,
    whole_number,
)
from tools.kubernetes.symptoms.signs import Sign, decisive, exactly, mended

FRESH_S = 600.0  # kubelet repeats what fails; what it has not repeated for so long no longer holds
GRACE_S = 30.0
_FAILED = re.compile(
    r"^(?P<which>Readiness|Liveness|Startup) probe (?:failed|errored|warning)[^:]*: ?(?P<words>.*)", re.S
)
# What a failed probe says: (pattern, reason); the first that fits counts.
_REASONS = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (
            r"HTTP response to HTTPS|malformed HTTP|TLS handshake|first record does not look|not implement the grpc health",
            "protocol",
        ),
        (r"unknown service grpc\.health|http2: |tls: |HTTP/1\.x transport|server gave HTTP", "protocol"),
        (r"invalid syntax|couldn't find port|port number must be|unable to find port", "port"),
        (r"status ?code: ?404|status ?code: ?410", "path"),
        (r"status ?code: ?\d+|NOT_SERVING|service unhealthy", "status"),
        (r"no such file|executable file not found|not found in \$PATH|failed to exec|OCI runtime exec", "command"),
        (r"connection refused|connection reset|no route to host|network is unreachable", "refused"),
        (r"timed out|timeout|deadline exceeded", "timeout"),
        (r"\bEOF\b", "refused"),
    )
)
_OWN_PORT = re.compile(r"(?i)(?:server_|http_|app_|listen_|web_|grpc_|service_)?port")
_SAYS = {
    "port": "the probe asks a port that the container does not open",
    "path": "there is nothing at its path",
    "protocol": "it speaks another protocol",
    "timeout": "no answer in time",
    "slow_start": "the container needs longer to start than the probe waits",
    "command": "its command fails",
    "refused": "nothing listens there",
    "status": "the application says it is not well",
    "": "kubelet tells no reason",
}


def failing_probe(load: Load, pod: Object, spec: Object, status: Object) -> Sign | None:
    """The sign of a probe that keeps a container from being ready, or has it killed."""
    event = _latest(load, pod, spec, status)
    unready = bool(at(status, "state", "running")) and status.get("ready") is False
    if event is None and not (unready and spec.get("readinessProbe") and not _early(load, spec, status)):
        return None
    found = _FAILED.match(event_words(event)) if event else None
    if found is None and not unready:
        return None
    which = found["which"].lower() if found else ("startup" if _starting(spec, status) else "readiness")
    words = found["words"].strip() if found else ""
    probe = spec.get(f"{which}Probe") or {}
    reason = _reason(load, pod, spec, status, which, words, probe)
    address = _address(spec, probe)
    container = str(spec.get("name"))
    labels = {"probe": which, "container": container, **_labels(probe)}
    says = f": {which} probe of container {mended(container, 50)} fails{f' at {address}' if address else ''}: {_SAYS[reason]}"
    says += f" ({decisive(words, room=90)})" if words else ""
    ready = condition(pod, "Ready")
    began = moment(ready, "lastTransitionTime") if ready.get("status") == "False" else None
    when = exactly(began or (event_time(event) if event else created(pod)))
    node = str(at(pod, "spec", "nodeName") or "")
    return Sign(name_of(pod), "probe_failing", reason, says, node, began=when, labels=labels)


def _latest(load: Load, pod: Object, spec: Object, status: Object) -> Object | None:
    """The newest event of a failing probe that still holds: of this run of the container, or of the run that it ended."""
    restarted = at(status, "lastState", "terminated") is not None
    begun = moment(status, "state", "running", "startedAt")
    for event in load.seen.events("Pod", pod, "Unhealthy", "ProbeWarning"):
        if (load.seen.now - event_time(event)).total_seconds() > FRESH_S:
            return None
        path = str(at(event, "involvedObject", "fieldPath") or "")
        if path and f"{{{spec.get('name')}}}" not in path:
            continue
        found = _FAILED.match(event_words(event))
        if found is None:
            continue
        readiness = found["which"] == "Readiness"
        if readiness and status.get("ready"):
            continue  # it answers by now
        this_run = begun is None or event_time(event) >= begun
        if this_run and not readiness and status.get("ready") and not restarted:
            continue  # once failed and well since
        if this_run and (not readiness or not _early(load, spec, status)):
            return event
        if not this_run and not readiness and restarted:
            return event  # it is what ended the run before
    return None


def _starting(spec: Object, status: Object) -> bool:
    return bool(spec.get("startupProbe")) and status.get("started") is False


def _early(load: Load, spec: Object, status: Object) -> bool:
    """Whether a container may still be on its way: its probes have hardly had their time."""
    begun = moment(status, "state", "running", "startedAt")
    waits = whole_number(at(spec, "readinessProbe", "initialDelaySeconds"))
    return begun is not None and (load.seen.now - begun).total_seconds() < waits + GRACE_S


def _reason(load: Load, pod: Object, spec: Object, status: Object, which: str, words: str, probe: Object) -> str:
    if _names_no_port(spec, probe):
        return "port"
    reason = next(
        (reason for pattern, reason in _REASONS if pattern.search(words)), "command" if at(probe, "exec") else ""
    )
    if reason == "status" and re.search(r"status ?code: ?400", words) and _plain_on_tls(spec, probe):
        return "protocol"
    if reason in ("refused", "timeout") and _other_port(spec, probe):
        return "port"
    known = which == "startup" or _port(probe) is None or _number(probe) is None or _number(probe) in declared(spec)
    if reason in ("refused", "timeout") and which != "readiness" and known and _never_well(spec, status, which, probe):
        return "slow_start"
    return reason


def _never_well(spec: Object, status: Object, which: str, probe: Object) -> bool:
    """Whether each run ended about when the probe's patience did: it never once succeeded."""
    last = mapping(status, "lastState", "terminated")
    began, end = moment(last, "startedAt"), moment(last, "finishedAt")
    if which == "startup":
        return status.get("started") is False or bool(last)
    if began is None or end is None:
        return False
    return (end - began).total_seconds() <= patience(probe) + 45


def patience(probe: Object) -> float:
    """Seconds from a container's start until a probe that never succeeds gives up."""
    timeout = whole_number(probe.get("timeoutSeconds"), 1)
    period, most = whole_number(probe.get("periodSeconds"), 10), whole_number(probe.get("failureThreshold"), 3)
    return whole_number(probe.get("initialDelaySeconds")) + period * most + timeout


def _port(probe: Object) -> object:
    for how in ("httpGet", "tcpSocket", "grpc"):
        if (port := at(probe, how, "port")) is not None:
            return port
    return None


def declared(spec: Object) -> dict[int, str]:
    """The ports that a container declares, with their names."""
    return {
        whole_number(one.get("containerPort")): str(one.get("name") or "")
        for one in dicts(spec.get("ports"))
        if one.get("containerPort")
    }


def _names_no_port(spec: Object, probe: Object) -> bool:
    port = _port(probe)
    return isinstance(port, str) and not port.isdigit() and port not in declared(spec).values()


def _other_port(spec: Object, probe: Object) -> bool:
    """Whether the probe asks a port other than all that the container declares or is told to listen on."""
    number, ports = _number(probe), set(declared(spec)) or _told_ports(spec)
    return number is not None and bool(ports) and number not in ports


def _number(probe: Object) -> int | None:
    port = _port(probe)
    return int(port) if isinstance(port, str) and port.isdigit() else port if isinstance(port, int) else None


def _told_ports(spec: Object) -> set[int]:
    """The ports on which a container is told to listen: `PORT=3000`, `HTTP_PORT`, `SERVER_PORT`."""
    own = [one for one in dicts(spec.get("env")) if _OWN_PORT.fullmatch(str(one.get("name")))]
    return {int(value) for one in own if (value := str(one.get("value") or "")).isdigit()}


def _plain_on_tls(spec: Object, probe: Object) -> bool:
    port = _port(probe)
    name = port if isinstance(port, str) else declared(spec).get(whole_number(port), "")
    plain = str(at(probe, "httpGet", "scheme") or "HTTP").upper() == "HTTP"
    return plain and (port in (443, 8443, 9443) or "https" in name)


def _address(spec: Object, probe: Object) -> str:
    port = _port(probe)
    if at(probe, "httpGet"):
        return f"{str(at(probe, 'httpGet', 'scheme') or 'HTTP').lower()} :{port}{mended(at(probe, 'httpGet', 'path') or '/', 50)}"
    if port is not None:
        return f":{port}"
    command = at(probe, "exec", "command")
    return mended(" ".join(str(word) for word in command), 50) if isinstance(command, list) else ""


def _labels(probe: Object) -> dict[str, str]:
    labels = {}
    if (port := _port(probe)) is not None:
        labels["port"] = str(port)
    if at(probe, "httpGet"):
        labels["path"] = str(at(probe, "httpGet", "path") or "/")
    return labels


def failed_since(load: Load, pod: Object) -> datetime | None:
    """When a pod was last said to be not ready."""
    ready = condition(pod, "Ready")
    return moment(ready, "lastTransitionTime") if ready.get("status") != "True" else None
