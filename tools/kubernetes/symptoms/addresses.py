"""Which Services a container is told to call, by what stands in its environment and its arguments. Only host and port are
taken; what else stands in an address may be a password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.context import Subject
from tools.kubernetes.symptoms.objects import Load, Object, Seen, at, dicts, mapping, namespace_of, texts

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_URL = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*):/{{2,3}}(?:[^\s/@'\"]*@)?(?P<hosts>{_NAME}(?::\d+)?(?:,{_NAME}(?::\d+)?)*)", re.I
)
_HOST = re.compile(rf"(?P<host>{_NAME})\.?(?::(?P<port>\d{{2,5}}))?", re.I)
_SVC = re.compile(rf"(?P<host>{_NAME}\.svc(?:\.{_NAME})?)(?::(?P<port>\d{{2,5}}))?")
_VARIABLE = re.compile(r"\$\((\w+)\)")
_CALLS = re.compile(
    r"(?:^|_)(?:HOSTS?|ADDR(?:ESS(?:ES)?)?|URLS?|URI|ENDPOINTS?|SERVERS?|BROKERS?|UPSTREAM|DSN|PEERS?)$", re.I
)
_OWN = re.compile(
    r"(?i)listen|bind|hostname|advertise|public|external|virtual|allowed|cors|origin|domain"
    r"|^(?:server|app|http|grpc|web|pod|node|my|local|self)?_?(?:host|addr|address)$"
)
_ITSELF = re.compile(r"localhost|127\.|0\.0\.0\.0|::1|.*\.localhost$|\d+(\.\d+){3}$")
_SCHEMES = {"http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432}
_SCHEMES |= {"mysql": 3306, "amqp": 5672, "mongodb": 27017, "nats": 4222}
_NO_HOST = frozenset({"file", "s3", "gs", "oci", "arn", "unix", "urn", "data", "sqlite", "jdbc:sqlite", "abfs", "hdfs"})


@dataclass(frozen=True, slots=True)
class Call:
    """A Service of the cluster that a container is told to call; `where` names the variable that says so."""

    name: str
    namespace: str
    port: int | None
    where: str


def calls_of(load: Load) -> list[Call]:
    """The Services that a workload's containers name, whether they exist or not, each once."""
    spec = mapping(load.template, "spec")
    namespace = load.subject.namespace
    aliases = {str(name) for alias in dicts(spec.get("hostAliases")) for name in texts(alias, "hostnames")}
    found: dict[tuple[str, str, int | None], Call] = {}
    for container in (*dicts(spec.get("containers")), *dicts(spec.get("initContainers"))):
        for host, port, where in _addresses(container):
            if host not in aliases and (place := _service(load.seen, host, namespace)):
                call = Call(place[0], place[1], port, where)
                found.setdefault((call.name, call.namespace, call.port), call)
    return list(found.values())


def service_called(seen: Seen, text: str, namespace: str) -> Subject | None:
    """The Service, or the workload, that a name or an address in a log line means; None where nothing here is called so."""
    host = _HOST.fullmatch(text.strip().lower())
    if host is None:
        return None
    name = host["host"]
    for one in seen.kind("Service"):
        if name in (at(one, "spec", "clusterIPs") or [at(one, "spec", "clusterIP")]):
            return seen.subject_of("Service", one)
    place = _service(seen, name, namespace)
    if place and seen.find("Service", place[1], place[0]) is not None:
        return seen.subject("Service", place[1], place[0])
    return None


def addresses_of(load: Load) -> frozenset[str]:
    """The addresses of a workload's pods."""
    return frozenset(str(at(pod, "status", "podIP")) for pod in load.pods if at(pod, "status", "podIP"))


def _addresses(container: Object) -> Iterator[tuple[str, int | None, str]]:
    """(host, port, where) of each address in a container's environment and arguments."""
    values = {str(one.get("name")): str(one["value"]) for one in dicts(container.get("env")) if one.get("value")}
    for name, raw in values.items():
        text = _VARIABLE.sub(lambda found: values.get(found[1], ""), raw)
        if _OWN.search(name):
            continue
        yield from ((host, port or _beside(name, values), f"variable {name}") for host, port in _hosts(name, text))
    for text in [*(texts(container, "command")), *(texts(container, "args"))]:
        yield from ((host, port, "an argument") for host, port in _hosts("", str(text)))


def _beside(name: str, values: Mapping[str, str]) -> int | None:
    """The port that the variable beside a host's gives: `DB_HOST`, `DB_PORT`."""
    port = values.get(re.sub(r"(?i)host$|addr(ess)?$|server$", "", name) + "PORT", "")
    return int(port) if port.isdigit() else None


def _hosts(variable: str, text: str) -> Iterator[tuple[str, int | None]]:
    rest = text
    for url in _URL.finditer(text):
        rest = rest.replace(url[0], " ")
        scheme = url["scheme"].lower().rpartition(":")[2]
        if scheme in _NO_HOST:
            continue
        for part in url["hosts"].split(","):
            host, _, port = part.partition(":")
            yield from _real(host, port or str(_SCHEMES.get(scheme.split("+")[0], "")))
    for found in _SVC.finditer(rest):
        yield from _real(found["host"], found["port"] or "")
        rest = rest.replace(found[0], " ")
    if variable and _CALLS.search(variable):
        for part in re.split(r"[\s,;]+", rest.strip()):
            if one := _HOST.fullmatch(part):
                yield from _real(one["host"], one["port"] or "")


def _real(host: str, port: str) -> Iterator[tuple[str, int | None]]:
    name = host.lower().rstrip(".")
    if not _ITSELF.match(name) and re.search("[a-z]", name):
        yield name, int(port) if port.isdigit() else None


def _service(seen: Seen, host: str, namespace: str) -> tuple[str, str] | None:
    """(name, namespace) of the Service that a host name would be; None for a host outside the cluster."""
    parts = host.split(".")
    if "svc" in parts[2:]:
        place = parts.index("svc", 2)
        return parts[place - 2], parts[place - 1]
    if len(parts) == 1:
        return parts[0], namespace
    spaces = {namespace, *(str(at(one, "metadata", "name")) for one in seen.kind("Namespace"))}
    spaces |= {namespace_of(one) for one in seen.kind("Service")}
    if len(parts) == 2 and seen.find("Service", namespace, parts[1]) is not None:
        return parts[1], namespace  # one pod behind a headless Service
    if len(parts) == 2 and parts[1] in spaces:
        return parts[0], parts[1]
    return (parts[1], parts[2]) if len(parts) == 3 and parts[2] in spaces else None
