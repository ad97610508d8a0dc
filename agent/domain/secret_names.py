"""Secrets that stand behind a name: `dbPassword: …`, `PGPASSWORD=…`, `"client_secret": "…"`, `--token …`.

A name is read by its last words, whatever its spelling. Some names mean a secret whatever follows (`password`); others are
also what objects are called (`secret`, `token`) and count only before a value that no object is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    SURE = "secret value"
    MAYBE = "secret word"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# words at the end of a name that leave it what it was
_TAILS = _set("data value base64 b64 plain plaintext text old new current previous prod dev base raw input")
_SURE = (
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "mnemonic",
    "seedphrase",
    "pgpass",
)
_SHORT = _set("pass pwd pw passw psk")
# what makes a secret of a word that alone may be the name of an object
_BEFORE = {
    "token": _set(
        "auth access refresh id bearer session secret security sas api bot deploy webhook csrf xsrf personal oauth user "
        "service app reset verification github gitlab slack npm pypi vault consul registry account gh jwt"
    ),
    "secret": _set("client app consumer shared webhook signing jwt session api oauth token cookie hmac slack stripe"),
    "key": _set(
        "api private account access secret encryption encrypt signing sign master storage subscription functions function "
        "license application app consumer auth rest admin service ssh hmac aes deploy webhook client shared integration "
        "project decryption jwt cipher crypto gpg pgp tls ssl session cookie fernet sas management reset"
    ),
    "signature": _set("amz goog access"),
}
_RUN_TOGETHER = (
    "apikey",
    "accesskey",
    "secretkey",
    "accountkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "authkey",
    "licensekey",
    "storagekey",
    "authtoken",
    "accesstoken",
    "refreshtoken",
    "sessiontoken",
    "bearertoken",
    "clientsecret",
    "appsecret",
    "sharedsecret",
    "sastoken",
)
_MAYBE = _set(
    "secret secrets token auth credential credentials cred creds sig signature jwt sid jsessionid phpsessid sessid sessionid"
)
HINTS = (
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "sig",
    "jwt",
    "phrase",
    "mnemonic",
    "sess",
    "sid",
    "psk",
    "kennwort",
)
_QUOTE = r"(?:\\*[\"'`]|%2[27])"  # also of a text within a text, and of one in an address
# from a name to its value, as code, YAML, JSON and addresses write it
_TO = r"\s{0,3}(?::=|=>|->|[:=]|%3[AaDd])\s{0,8}(?:\[\s?|!!\w+\s|[|>][+-]?[ \t]*(?:\n|\\n)\s*)?"
_FOUND = re.compile(rf"(?:{'|'.join(HINTS)})[\w.-]{{0,24}}(?:{_QUOTE})?\]?(?P<to>{_TO})(?P<quote>{_QUOTE})?", re.I)
_OPTION = re.compile(
    rf"-(?<![\w-]-)-?(?P<name>[\w-]{{0,40}}?(?:{'|'.join(HINTS)})[\w-]{{0,16}})(?:[\"'],)?(?P<to>[ ])(?P<quote>{_QUOTE})?(?!-)",
    re.I,
)
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_BEGIN = re.compile(r"(?:[A-Za-z][\w-]{0,20} )?[\w.$-]{0,60}$")
# An unquoted value ends at a blank, a quote or a bracket, and at a sign behind which nothing follows or the next pair begins.
_PLAIN = re.compile(
    r"(?:[^\s\"'`<>\\,;&)\]}]|\\(?![\\\"'nrtu])|[,;&)\]}](?=[^\s\"'`<>\\,;&)\]}])(?![\w.-]{1,40}\s?[=:]))+"
)
_CLOSED = {'"': re.compile(r'(?:[^"\\\n]|\\.)*'), "'": re.compile(r"(?:[^'\\\n]|\\.|'')*"), "`": re.compile(r"[^`\n]*")}
_PLACEHOLDER = re.compile(
    r"\[redacted|\$[\w({]|\{\{|%[(sdv]|\*{3}|<|[xX]{4,}$|\.{3}|…|(?:none|null|nil|true|false|undefined|yes|no)$", re.I
)
_CODE = re.compile(
    r"[a-z]+|[a-z]+(?:[_.\[(]+[a-z]+)+[)\]]*"
)  # password=self.password: the source says it, not the secret
_PATH = re.compile(
    r"(?:[~.]{0,2}/(?:[\w.@-]+/)*[\w.@-]*|file:.*|[\w-]+\.(?:pem|key|crt|p12|jks|txt|json|ya?ml|py|go|js|java))(?::\d+)?"
)
# what people write behind `password:` when they do not write one
_PROSE = _set(
    "required missing invalid expired incorrect authentication changed failed failure enabled disabled policy "
    "rotation rejected accepted unknown denied optional ignored cannot should must stored reset provided mismatch "
    "mounted updated deleted created rotated string boolean number integer object default hidden masked secret "
    "unset wrong empty value field from input prompt strength length verified protected refused unavailable "
    "successful attempt attempts authorized expiring present absent configured unauthorized forbidden renewed "
    "refreshed revoked loaded generated found redacted unchanged permission permissions error warning success "
    "incomplete unsupported sha256 bcrypt scram-sha-256 "
)
LONGEST = 2_000  # characters of a value


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind | None:
    """What a value under this name is; None for a name of something else."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and (words[-1] in _TAILS or words[-1].isdigit()):
        words.pop()
    if not words:
        return None
    last, before, joined = words[-1], words[-2] if len(words) > 1 else "", "".join(words)
    if (
        joined.endswith(_SURE)
        or last in _SHORT
        or (last.endswith(("pass", "pwd")) and not last.endswith(("bypass", "compass")))
    ):
        return Kind.SURE
    if before == "public" or joined.endswith("publickey"):
        return None
    if before in _BEFORE.get(last, ()) or joined.endswith(_RUN_TOGETHER):
        return Kind.SURE
    shouted = last == "key" and re.fullmatch(r"[A-Z0-9]+(?:_[A-Z0-9]+)*_KEY(?:_\w+)?", name) is not None
    return Kind.MAYBE if last in _MAYBE or (before == "session" and last == "id") or shouted else None


def random(value: str) -> bool:
    """Whether no object, and no word, is called so."""
    if len(value) < 8 or not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value):
        return False
    if re.search(r"[a-z]", value) and re.search(r"[A-Z]", value) and not re.fullmatch(r"[A-Z]?[a-z.-]+\d*", value):
        return True
    if re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", value, re.I):
        return True
    return re.fullmatch(r"[A-Za-z0-9+/=_%.~]{16,}", value) is not None


def is_secret(kind: Kind, name: str, value: str, quoted: bool = True) -> bool:
    """Whether what stands behind the name is one, and no placeholder, no path, no word about it."""
    if _PLACEHOLDER.match(value):
        return False
    if kind is Kind.MAYBE:
        return random(value) and not _PATH.fullmatch(value)
    if len(value) < 6 and not (len(value) >= 4 and re.search(r"\d", value) and "pass" in name.lower()):
        return False
    words = value.lower().split(maxsplit=3)
    if (not quoted or len(words) > 2) and any(word.rstrip(".!?:,") in _PROSE for word in words[:2]):
        return False
    if re.fullmatch(r"[A-Za-z_][\w.]*[\[(]", value) or (
        _CODE.fullmatch(value) and kind_of(value.rstrip(")]")) is not None
    ):
        return False
    short = name.lower().endswith(("pass", "pw"))
    if short and not quoted and not re.search(r"[A-Za-z]", value):
        return False
    return not _PATH.fullmatch(value) and not (name.lower().endswith("pwd") and value.startswith("/"))


def _lower(text: str) -> str:
    """Letter by letter, so that places stay: some letters become two where the whole alphabet is taken."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _places(text: str) -> list[int]:
    """Where a word begins that may be the end of a secret's name; looking for words is faster than any pattern of them."""
    lower, found = _lower(text), []
    for hint in HINTS:
        place = lower.find(hint)
        while place >= 0:
            found.append(place)
            place = lower.find(hint, place + 1)
    return sorted(found)


def _values(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Where secrets stand behind a name: from, to (exclusive)."""
    told = -1
    for place in _places(text):
        found = _FOUND.match(text, place)
        if found is None or found.start("to") == told:
            continue
        told = found.start("to")
        before = _BEGIN.search(text[max(0, place - 80) : place])
        name = (before[0] if before else "") + text[place:told].rstrip("\\\"'`]27% ")
        yield from _value(text, found, name)
    for found in _OPTION.finditer(text):
        yield from _value(text, found, found["name"])


def _value(text: str, found: re.Match[str], name: str) -> Iterator[tuple[int, int, Kind]]:
    kind, begin = kind_of(name), found.end()
    if kind is None or name.endswith((".", "-")):
        return
    end = _end(text, begin, found["quote"])
    if is_secret(kind, name, text[begin:end], bool(found["quote"])):
        yield begin, end, kind


def _end(text: str, begin: int, quote: str | None) -> int:
    """Where the value that begins here is over. One whose closing quote is missing ends with its line."""
    if quote is None:
        plain = _PLAIN.match(text, begin, begin + LONGEST)
        return plain.end() if plain else begin
    if len(quote) > 1:  # in a text within a text, so is the closing one
        sought = rf"{quote}|\s" if quote[0] == "%" else rf"\\+{quote[-1]}|\n"
        closing = re.compile(sought).search(text, begin, begin + LONGEST)
        return closing.start() if closing else min(len(text), begin + LONGEST)
    inside = _CLOSED[quote].match(text, begin, begin + LONGEST)
    assert inside is not None
    return inside.end()


def hide(text: str) -> str:
    """The text without the secrets that stand behind names."""
    lower = text.lower()
    if not any(hint in lower for hint in HINTS):
        return text
    parts, done = [], 0
    for begin, end, kind in sorted(_values(text), key=lambda one: one[:2]):
        if begin < done:
            continue
        parts += [text[done:begin], f"[redacted: {kind.value}]"]
        done = end
    return "".join([*parts, text[done:]])
