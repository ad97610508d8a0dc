"""What a log line says and how loudly, whatever it is written in: JSON, logfmt, or the plain text of some twenty loggers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tools.context import Json, Labels

_LEVEL_LABELS = ("level", "detected_level", "severity", "lvl")
_ERROR = re.compile(
    r"\b(error|err|fatal|critical|crit|panic|severe|alert|emerg(ency)?|exception|traceback|oomkilled)\b"
    r"|(Error|Exception)\b|\blevel=(error|fatal|crit)",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(r"\b(0|no|without) (errors?|exceptions?)\b", re.IGNORECASE)
_BAD_LEVELS = {"error", "err", "fatal", "critical", "crit", "panic", "emerg", "emergency", "alert", "severe"}

QUIET, LOUD = frozenset({"debug", "info"}), frozenset({"error", "fatal"})
_SPELLED: Mapping[str, str] = {
    **dict.fromkeys(("trace", "debug", "dbg", "verbose", "d", "10", "20", "finest", "finer", "fine"), "debug"),
    **dict.fromkeys(("info", "information", "inf", "notice", "log", "i", "30", "detail", "hint", "statement"), "info"),
    **dict.fromkeys(("warn", "warning", "wrn", "w", "40", "retry"), "warn"),
    **dict.fromkeys(("error", "err", "severe", "e", "50", "eror", "fail", "failure"), "error"),
    **dict.fromkeys(("fatal", "critical", "crit", "panic", "alert", "emerg", "emergency", "f", "60", "ftl"), "fatal"),
}
_UPPER = re.compile(
    r"(?:^|[\s\[(|:<\",=>])(TRACE|DEBUG|VERBOSE|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|FATAL|CRITICAL|CRIT|PANIC|ALERT|EMERG"
    r"|LOG|DETAIL|HINT|STATEMENT|DBG|INF|WRN|ERR|FTL|FINE|FINER|FINEST)(?=$|[\s\])|:>\",])"
)
_LOWER = re.compile(
    r"\b(?:level|lvl|severity|loglevel)=\"?(\w{1,12})|[\[<](trace|debug|info|notice|warn|warning|error|crit|alert|emerg|fatal)[\]>]"
    r"|^(?:\S{1,40} )?(trce|dbug|debug|info|warn|fail|crit|error|fatal|panic): |\t(debug|info|warn|error|fatal|panic)\t"
)
_JSON_LEVEL = re.compile(
    r"\"(?:level|severity|lvl|levelname|log\.level|loglevel|@l|s)\" ?: ?\"?(\w{1,12})", re.IGNORECASE
)
_LETTER = re.compile(r"^(?:%(?P<syslog>[0-7])\||(?P<letter>[DIWEF])(?:\d{4} \d\d:|, \[))")
_SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")
_HEAD = 160  # a logger writes its level near the start
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel", "Level", "LogLevel", "@l", "s")
_SAYING_KEYS = ("message", "msg", "event", "@m", "@mt", "Message", "error", "err", "exception", "error.message", "@x")
_DEEP_KEYS = ("message", "msg", "reason", "type", "stacktrace", "stack_trace", "stack", "exc_info", "traceback")
_MOST = 32_000  # characters of one line that are looked at


@dataclass(frozen=True, slots=True)
class Said:
    """`text` is the message with its error, several lines where the line holds a trace; `level` is debug, info, warn,
    error or fatal, "" where the line tells none; `whole` is the line itself."""

    text: str
    level: str
    whole: str


def said(line: str) -> Said:
    """What one line says."""
    line = line[:_MOST]
    start = line.find("{", 0, _HEAD)
    if start >= 0 and (start == 0 or line[start - 1] in " \t") and line.rstrip().endswith("}"):
        try:
            fields = json.loads(line[start:])
        except ValueError:
            fields = None
        if isinstance(fields, dict) and (text := "\n".join(_texts(fields))):
            return Said(text, _level_of(fields) or _level_in(line[:start]), line)
    return Said(line.replace('\\"', '"'), _level_in(line[:_HEAD]), line)


def is_quiet(line: str) -> bool:
    """Whether a line calls itself information or less: a look that costs little."""
    head = line[:_HEAD]
    if "{" in head and (found := _JSON_LEVEL.search(line[:_MOST])):
        return _SPELLED.get(found[1].lower()) in QUIET
    return _level_in(head) in QUIET


def is_error(line: str, labels: Labels) -> bool:
    """By the stream's level label where it has one, else by words in the line."""
    level = next((labels[name].lower() for name in _LEVEL_LABELS if labels.get(name)), "")
    if level and level != "unknown":
        return level in _BAD_LEVELS
    return bool(_ERROR.search(line[:1000])) and not _NO_ERROR.search(line[:1000])


def labelled_quiet(labels: Labels) -> bool:
    """Whether a stream's level label calls its lines information or less."""
    level = next((labels[name].lower() for name in _LEVEL_LABELS if labels.get(name)), "")
    return _SPELLED.get(level) in QUIET


def _texts(fields: Mapping[str, Json]) -> list[str]:
    found = list[str]()
    for key in (*_SAYING_KEYS, *_DEEP_KEYS):
        value = fields.get(key)
        if isinstance(value, str) and value:
            found.append(value)
        elif isinstance(value, dict) and key in _SAYING_KEYS:
            found += [str(value[deep]) for deep in _DEEP_KEYS if value.get(deep)]
    return list(dict.fromkeys(found))


def _level_of(fields: Mapping[str, Json]) -> str:
    for key in _LEVEL_KEYS:
        value = fields.get(key)
        if isinstance(value, str | int) and (level := _SPELLED.get(str(value).lower())):
            return level
    log = fields.get("log")
    return _level_of(log) if isinstance(log, dict) else ""


def _level_in(head: str) -> str:
    if found := _LETTER.match(head):
        return _SYSLOG[int(found["syslog"])] if found["syslog"] else _SPELLED[found["letter"].lower()]
    if found := _UPPER.search(head):
        return _SPELLED[found[1].lower()]
    if found := _LOWER.search(head):
        word = next(group for group in found.groups() if group)
        return {"trce": "debug", "dbug": "debug"}.get(word, _SPELLED.get(word.lower(), ""))
    return ""
