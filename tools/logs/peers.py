"""Whom a log line names where the words of its error do not: an address, a URL, a field that holds a host."""

from __future__ import annotations

import re

_ITSELF = re.compile(r"localhost(?:\..{1,100})?|127\.[\d.]{1,12}|0\.0\.0\.0|::1?|.{1,100}\.localhost", re.IGNORECASE)
_FILE = re.compile(
    r".{1,200}\.(?:java|go|py|js|ts|tsx|rb|cs|c|cc|cpp|h|rs|php|kt|scala|ex|exs|yaml|yml|json|conf|xml)$"
)
_HOST = r"([a-z0-9](?:[\w.-]{0,250}\w)?)"
_UPSTREAM = re.compile(rf"upstream: \"\w{{1,10}}://{_HOST}", re.IGNORECASE)
_URL = re.compile(rf"\b(?!file\b)[a-z][a-z0-9+.]{{1,20}}://(?:[^\s/@\"']{{1,120}}@)?{_HOST}", re.IGNORECASE)
_TOLD = re.compile(
    r"(?:\bsee\b|\bat:|visit|refer|information|\bdocs?\b|\bhelp\b|guide|background|\btry\b)[^\n]{0,20}$", re.IGNORECASE
)
_FIELD = re.compile(
    r"\b(?:db[_.]?host|hostname|upstream(?:_host)?|server[._]address|net\.peer\.name|broker|endpoint|peer|target|remote[_.]?addr|addr|address|host)"
    rf"\"?(?:=|: ?)\"?{_HOST}(?::\d{{2,5}})?(?![\w/(])",
    re.IGNORECASE,
)
_PORT = re.compile(
    r"(?<![\w./@-])(\d{1,3}(?:\.\d{1,3}){3}|[a-z](?:[\w-]{0,62}\w)?(?:\.[a-z0-9](?:[\w-]{0,62}\w)?){0,8})"
    r"(?:/\d{1,3}(?:\.\d{1,3}){3})?:(5432|6432|3306|6379|26379|27017|9092|9093|9094|5672|5671|9200|2379|80|443|8080|8443|11211|1433|1521|4222"
    r"|50051|8000|3000|5000|9000|2181|9042|7687|8086|8123|8200|8500)\b(?!\.\d)",
    re.IGNORECASE,
)
_AT = re.compile(rf"connection to server at \"{_HOST}\"", re.IGNORECASE)
_WORDS = frozenset({"null", "none", "unknown", "undefined", "true", "false", "nil", "the", "of", "is", "not", "and"})


def is_itself(host: str) -> bool:
    """Whether a host is the machine of the one who says it."""
    return bool(_ITSELF.fullmatch(host))


def peer_in(text: str, whole: str) -> str:
    """The host that the decisive line names, else the lines around it; "" for none."""
    return _peer(text) or (_peer(whole[:8000].replace('\\"', '"')) if whole != text else "")


def _peer(text: str) -> str:
    for pattern in (_UPSTREAM, _AT):
        if found := pattern.search(text):
            return found[1]
    for url in _URL.finditer(text):
        if not _TOLD.search(text[max(0, url.start() - 40) : url.start()]):
            return url[1]
    for pattern in (_FIELD, _PORT):
        for found in pattern.finditer(text):
            if found[1].lower() not in _WORDS and not _FILE.fullmatch(found[1].lower()) and not found[1].isdigit():
                return found[1]
    return ""
