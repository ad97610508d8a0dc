"""Whom a program calls, out of the addresses it is given: URLs, DSNs, `host:port` and names of hosts in environment
variables and arguments. Only the host is taken; what else stands in an address may be a password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.platform.vocabulary import vocabulary

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST = re.compile(rf"(?P<host>{_NAME})\.?(?::(?P<port>\d{{2,5}}))?(?:/.*)?")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://+(?P<hosts>[^\s/?#'\"]+)")
_MYSQL = re.compile(rf"@(?:tcp|udp)\((?P<host>{_NAME})(?::(?P<port>\d+))?\)")
_KEYWORD = re.compile(rf"(?i)\b(?:host|server|data source)\s*=\s*(?:tcp:)?(?P<host>{_NAME})")
_SERVICE = re.compile(r"[a-z0-9.-]+\.svc(?:\.[a-z0-9.-]+)?\b")
_VARIABLE = re.compile(r"\$\((\w+)\)")
_ITSELF = re.compile(r"(?i)localhost(\..*)?|127\..*|0\.0\.0\.0|.*\.localhost")
_LETTER = re.compile(r"[A-Za-z]")
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is called. `sure` is False for a bare word, which is a host only where something is called so."""

    name: str
    database: bool = False
    sure: bool = True

    @property
    def kind(self) -> str:
        return "Database" if self.database else "Target"


def host_of(text: str) -> Host | None:
    """The host of one address, as a metric's label gives it: `checkout:8080`, `dns:///checkout.shop:50051`, a URL."""
    words = text.strip()
    if url := _URL.search(words):
        return next(_in_authority(url["hosts"], url["scheme"]), None)
    found = _HOST.fullmatch(words)
    return _host(found["host"], found["port"]) if found else None


def hosts_in_variable(name: str, value: str, others: Mapping[str, str]) -> Iterator[Host]:
    """The hosts that a container's environment variable names. `others` are the values that `$(NAME)` stands for."""
    words = vocabulary().addresses
    if words.names_itself(name):
        return
    text = _VARIABLE.sub(lambda found: others.get(found[1], ""), value)
    found = list(_written_out(text))
    if not found and words.holds_address(name):
        bare = words.holds_host(name)
        for one in re.split(r"[\s,;]+", text):
            match = _HOST.fullmatch(one)
            if match and (match["port"] or bare) and (host := _host(match["host"], match["port"])):
                found.append(host)
    yield from found


def hosts_in_argument(text: str) -> Iterator[Host]:
    """The hosts that a command's argument names: URLs, DSNs and Services by their names in the cluster's DNS."""
    yield from _written_out(text)


def _written_out(text: str) -> Iterator[Host]:
    """Hosts whose address says by its form that it is one."""
    rest = text
    for url in _URL.finditer(text):
        yield from _in_authority(url["hosts"], url["scheme"])
        rest = rest.replace(url[0], " ")
    for found in _MYSQL.finditer(rest):
        if host := _host(found["host"], found["port"], database=True):
            yield host
    for found in _KEYWORD.finditer(rest):
        if host := _host(found["host"], None, database=True):
            yield host
    for found in _SERVICE.finditer(rest):
        yield Host(found[0])


def _in_authority(hosts: str, scheme: str) -> Iterator[Host]:
    """`user:password@a:27017,b:27017` of a URL; none for schemes under which no host stands."""
    words = vocabulary().addresses
    if words.has_no_host(scheme):
        return
    for part in hosts.rpartition("@")[2].split(","):
        match = _HOST.fullmatch(part)
        if match and (host := _host(match["host"], match["port"], words.is_of_database(scheme), sure=True)):
            yield host


def _host(name: str, port: str | None, database: bool = False, sure: bool = False) -> Host | None:
    if _ITSELF.fullmatch(name) or not (_LETTER.search(name) or _IP.fullmatch(name)):
        return None
    database = database or vocabulary().addresses.at_database(name, port or "")
    return Host(name.lower(), database, sure or "." in name or bool(port))
