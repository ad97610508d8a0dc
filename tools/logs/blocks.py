"""Lines that belong together: a log line with the trace under it, and which of its lines decides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.logs.causes import Match, cause_in
from tools.logs.lines import LOUD, is_quiet, said

MOST_UNDER = 400  # lines of one trace that are read

_UNDER = re.compile(
    r"\s(?!\s*\[?\d{2,4}[-:/]\d)|Caused by:|During handling of|The above exception|Traceback \(|\.\.\. \d+ more|goroutine \d|$"
)
_EXCEPTION = re.compile(
    r"[A-Za-z_][\w.$]{0,200}(?:Error|Exception|Timeout|Exit|Fault|Interrupt|Refused|Failure)\b(?::|$| )"
)
_DETAIL = re.compile(r".{0,120}?\b(?:DETAIL|HINT|CONTEXT|STATEMENT):  ")  # PostgreSQL's, under the line before
_FRAME = re.compile(r"\s*(?:at [\w.$<]|File \"|\.\.\. \d+ |from /|#\d+ )")
_CAUSED = re.compile(r"\s*(?:Caused by|---> |Suppressed):? ?")
_ACCESS = re.compile(r'"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT) [^"]{1,3000} HTTP/[\d.]{1,3}"? \d{3}')
_FINE = re.compile(
    r"\b(?:0|no|zero|without|any) (?:\w{1,20} )?(?:errors?|exceptions?|failures?|timeouts?)\b(?! (?:message|detail|code))"
    r"|\b(?:errors?|failures?|failed|error_(?:rate|count)|exceptions?|timeouts?)\"?[=:] ?0(?:\.0*)?(?![\w.])"
    r"|(?<!not )(?<!never )(?<!n't )\b(?:succeeded|successful|successfully|reconnected|re-established|restored)\b"
    r"|\bexpect(?:s|ed)? (?:an? )?(?:exception|error|failure)|\b(?:the )?test expects\b|\bintentional(?:ly)?\b"
    r"|TLS handshake error from [^\s]{1,80}: (?:EOF|read tcp|write tcp|tls: first record)"
    r"|failed \(2: No such file or directory\), client:|kube-probe/|HealthChecker/|client-side throttling"
    r"|Connection pool is full, discarding|deprecat|\bDeprecationWarning\b|=== RUN|--- PASS|^\s*ok\s+\S+\s+[\d.]+s",
    re.IGNORECASE,
)
_SHOUTS = re.compile(
    r"(?-i:(?:^|\b)(?:panic|fatal error): )|Exception in thread \"|segmentation fault|SIGSEGV|(?-i:^Unhandled exception)"
    r"|uncaughtException|unhandledRejection|(?-i:thread '[^']{1,60}' panicked at)",
    re.IGNORECASE,
)
_NAMES_ERROR = re.compile(
    r"\b(?:error|fatal|panic|critical|severe|exception|traceback|failed|failure|abort(?:ed|ing)?)\b|(?:Error|Exception|Failure)\b",
    re.IGNORECASE,
)
_LIKE_SHOUT = ("panic", "fatal error", "exception", "segmentation", "sigsegv", "rejection")
_LIKE_ERROR = (
    "error",
    "fatal",
    "panic",
    "exception",
    "critical",
    "severe",
    "traceback",
    "fail",
    "abort",
    "segfault",
    "sigsegv",
)


@dataclass(frozen=True, slots=True)
class Block:
    """`at` and `end` are the places of its first and last line among all lines. `text` is the decisive line, `match` the
    cause in it (None: an error that no pattern knows), `whole` everything that was written. `dies`: a process ends so."""

    at: int
    end: int
    level: str
    text: str
    match: Match | None
    whole: str
    dies: bool


def blocks(lines: Sequence[str]) -> tuple[list[Block], int]:
    """The blocks that tell of a trouble, in order, and where the last five blocks of any kind begin."""
    found, starts = list[Block](), list[int]()
    for at, end in _grouped(lines):
        starts.append(at)
        if one := _block(lines, at, end):
            found.append(one)
    return found, starts[-5] if len(starts) >= 5 else 0


def _grouped(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(first, last) of each group of lines."""
    start, in_trace, loud = 0, False, False
    for n, line in enumerate(lines):
        under = bool(_UNDER.match(line))
        exception = not under and bool(_EXCEPTION.match(line))
        frame = under and line[:1] in (" ", "\t")
        belongs = n > 0 and (frame or ((under or exception) and (loud or (in_trace and not is_quiet(lines[start])))))
        belongs = belongs or (loud and bool(_DETAIL.match(line)))
        if n and not belongs:
            yield start, n - 1
            start = n
        if not belongs:
            loud = not under and not exception and said(line).level in LOUD | {"warn"} if _may_head(line) else False
        in_trace = under or exception or (belongs and in_trace)
        if exception and not belongs:
            in_trace = False  # exceptions of one line each, one after the other
    if lines:
        yield start, len(lines) - 1


def _may_head(line: str) -> bool:
    lowered = line[:200].lower()
    return (
        any(word in lowered for word in ("err", "fatal", "crit", "panic", "severe", "warn", "e,", "f,", "fail"))
        or line[:1] in "EFW"
    )


def _block(lines: Sequence[str], at: int, end: int) -> Block | None:
    if is_quiet(lines[at]):
        return None
    whole = "\n".join(lines[at : min(end, at + MOST_UNDER) + 1])
    if _ACCESS.search(whole):
        return None
    head = said(lines[at])
    texts = head.text.split("\n")
    for line in lines[at + 1 : min(end, at + MOST_UNDER) + 1]:
        texts += said(line).text.split("\n")
    return _decided(at, end, head.level, [text for text in texts if text.strip()], whole)


def _decided(at: int, end: int, level: str, texts: Sequence[str], whole: str) -> Block | None:
    matches = list[tuple[Match, str]]()
    caused = list[tuple[Match, str]]()
    for text in texts:
        if _FRAME.match(text):
            continue
        if (match := cause_in(text, text.lower())) and not _FINE.search(text):
            matches.append((match, text))
            if _CAUSED.match(text):
                caused.append((match, text))
    lowered = whole.lower()
    dies = any(word in lowered for word in _LIKE_SHOUT) and bool(_SHOUTS.search(whole))
    if caused or matches:
        match, text = caused[-1] if caused else min(matches, key=lambda one: one[0].rank)
        more = [one.named for one, _ in matches if one.reason == match.reason]
        named = {k: v for names in (*more, match.named) for k, v in names.items()}
        whole_match = Match(match.rank, match.reason, match.accuses_peer, match.hurts, match.start, match.end, named)
        return Block(at, end, level, text, whole_match, whole, dies)
    if level == "warn" or not (level in LOUD or dies or _names_error(whole, lowered)) or _FINE.search(whole):
        return None
    return Block(at, end, level, _last_words(texts), None, whole, dies)


def _names_error(whole: str, lowered: str) -> bool:
    return any(word in lowered for word in _LIKE_ERROR) and bool(_NAMES_ERROR.search(whole))


def _last_words(texts: Sequence[str]) -> str:
    """Of a trace the innermost cause, else the last exception, else the first line."""
    told = [text for text in texts if not _FRAME.match(text)]
    caused = [text for text in told if _CAUSED.match(text)]
    exceptions = [text for text in told if _EXCEPTION.match(text)]
    return (caused or exceptions or told or list(texts) or [""])[-1 if caused or exceptions else 0]
