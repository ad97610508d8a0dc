"""Chain heads kept outside the database, so that what was cut off or put back shows. One JSON line a commit and incident.

`{"hash","incident","n","mac"}`, and of an intent also `"start": {"proposal","target","at"}`. The mac is HMAC-SHA-256 over the
line without it, so that nobody without the key writes one. Of an incident the line with the greatest number counts. What
vouches for other lines stands in lines too: `cut` for the fragment that a crash left, `accepts` for everything before it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path

from agent.clock import iso, parse_time
from agent.domain.timeline import canonical
from agent.errors import Unsettled
from agent.store import anchor_file
from tools.context import Json

FILE = "anchors.log"
DAY = timedelta(days=1)
log = logging.getLogger("stanch.anchors")
UNREADABLE = "cannot be read"
_KEYED = re.compile(rb'(\{.*),"mac":"([0-9a-f]{64})"\}')


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a timeline: its number and its hash."""

    n: int
    hash: str


@dataclass(frozen=True, slots=True)
class Start:
    """What an intent was about to do, and when."""

    proposal: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    incident: str
    head: Head
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line that vouches for nothing: its number in its file, and why."""

    path: Path
    number: int
    what: str

    def __str__(self) -> str:
        return f"line {self.number} of {self.path} {self.what}"


@dataclass
class Reading:
    """What one file says, read on from where it was left."""

    path: Path
    key: bytes
    take: Callable[[Line], None]
    wrong: list[Wrong] = field(default_factory=list)
    founded: bool = False  # whether it says that keyed lines began in it
    offset: int = 0
    _number: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    _old: list[Line] = field(default_factory=list)  # unkeyed, as Stanch wrote them once; nobody vouches for them yet
    _torn: list[bytes] = field(default_factory=list)  # of the last lines those that no line behind them vouches for

    def on(self) -> None:
        """Read what was added since. A last line without an end is left for the next time."""
        for line in anchor_file.lines_from(self.path, self.offset):
            self._number += 1
            self._line(line[:-1])
            self._digest.update(line)
            self.offset += len(line)

    def torn(self, fragment: bytes) -> bytes:
        """What crashes have left at the end: the fragment, and before it lines that begin as ours and go no further, since
        one that was to vouch for a fragment may have been cut itself."""
        begun = reversed(list(takewhile(lambda raw: raw.startswith(b"{"), reversed(self._torn))))
        return b"\n".join([*begun, *([fragment] if fragment else [])])

    def accepting(self, how: str, fragment: bytes) -> dict[str, Json]:
        """The body of the line that vouches for everything in the file up to now, a fragment at its end included."""
        digest, last = self._digest.copy(), fragment + b"\n" if fragment else b""
        digest.update(last)
        return {"accepts": {"how": how, "bytes": self.offset + len(last), "sha256": digest.hexdigest()}}

    def _line(self, raw: bytes) -> None:
        body = self._genuine(raw)
        if body is None:
            why = self._why(raw)
            self.wrong.append(Wrong(self.path, self._number, why))
            self._torn = [*self._torn, raw] if why == UNREADABLE else []
            return
        torn, self._torn = self._torn, []
        self.founded = self.founded or "founded" in body
        if (accepts := body.get("accepts")) is not None:
            self._accept(accepts)
            return
        lengths = range(1, len(torn) + 1)
        vouched = next((n for n in lengths if body.get("cut") == _sha(b"\n".join(torn[-n:]))), 0)
        del self.wrong[len(self.wrong) - vouched :]
        if "incident" in body:
            self.take(_line(body))

    def _genuine(self, raw: bytes) -> Mapping[str, Json] | None:
        found = _KEYED.fullmatch(raw)
        if found is None or not hmac.compare_digest(_mac(self.key, found[1] + b"}"), found[2]):
            return None
        body: Mapping[str, Json] = json.loads(found[1] + b"}")
        return body

    def _why(self, raw: bytes) -> str:
        if _KEYED.fullmatch(raw):
            return "is forged: its key is not ours"
        try:
            self._old.append(_line(json.loads(raw)))
        except (ValueError, KeyError, TypeError):
            return UNREADABLE
        return "is not keyed"

    def _accept(self, said: Mapping[str, Json]) -> None:
        if (said["bytes"], said["sha256"]) != (self.offset, self._digest.hexdigest()):
            self.wrong.append(Wrong(self.path, self._number, "vouches for lines that are no longer there"))
            return
        self.wrong.clear()
        if said["how"] == "adopted":
            for line in self._old:
                self.take(line)
        self._old.clear()


class Anchors:
    """All files of lines together; `to_log` tells each line to the log as well. What was once read is never forgotten."""

    def __init__(self, key: bytes, paths: Sequence[Path], to_log: bool = False) -> None:
        self._key = hmac.digest(key, b"stanch anchors", "sha256")
        self.paths = tuple(paths)
        self._to_log = to_log
        self._last: dict[str, Head] = {}
        self._twice: set[str] = set()  # incidents with two hashes for their last number
        self._starts: dict[str, Line] = {}
        self._founded = False
        self._readings = [self._reading(path, self._take) for path in self.paths]
        self._seen = [(0, 0)] * len(self.paths)

    # -- writing ------------------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[Line], sync: bool = False) -> None:
        """Note what a transaction has committed. `sync` waits until it is on disk."""
        if not lines:
            return
        bodies = [_body(line) for line in lines]
        for path, reading in zip(self.paths, self._readings, strict=True):
            self._write(path, partial(self._lines, bodies, reading), sync)
        for body in bodies if self._to_log else ():
            log.info("anchor", extra={"anchor": _keyed(self._key, body)[:-1].decode()})

    def accept(self, how: str) -> None:
        """Vouch for every file as it stands: `adopted` counts lines of before there were keys, `settled` passes over what
        is wrong."""
        for path in self.paths:
            reading = self._reading(path, lambda _line: None)
            reading.on()
            if reading.wrong:
                self._write(path, lambda fragment, read=reading: self._accepting(read, how, fragment), sync=True)  # type: ignore[misc]

    def _accepting(self, reading: Reading, how: str, fragment: bytes) -> bytes:
        reading.on()  # what came meanwhile: now nobody else writes
        return _keyed(self._key, reading.accepting(how, fragment))

    def found(self) -> None:
        """Say in every file that lines are kept in it from now on. One that is gone later is missed."""
        for path, reading in zip(self.paths, self._readings, strict=True):
            self._write(path, partial(self._lines, [{"founded": True}], reading), sync=True)

    def even(self) -> None:
        """Give each file the lines that only another one has: a place that was configured later starts with all of them."""
        if len(self.paths) < 2:
            return
        whole: list[list[Line]] = [[] for _ in self.paths]
        readings = [self._reading(path, lines.append) for path, lines in zip(self.paths, whole, strict=True)]
        for reading in readings:
            reading.on()
        for reading, lines in zip(readings, whole, strict=True):
            known = set(lines)
            lacking = [
                _body(line) for line in dict.fromkeys(one for other in whole for one in other if one not in known)
            ]
            first = [{"founded": True}] if not reading.founded and any(one.founded for one in readings) else []
            if first or lacking:
                self._write(reading.path, partial(self._lines, [*first, *lacking], reading), sync=True)

    def _lines(self, bodies: Sequence[Mapping[str, Json]], reading: Reading, fragment: bytes) -> bytes:
        reading.on()  # what came meanwhile: now nobody else writes
        first, *rest = bodies
        torn = reading.torn(fragment)
        cut = {"cut": _sha(torn)} if torn else {}
        return b"".join(_keyed(self._key, body) for body in ({**first, **cut}, *rest))

    def _write(self, path: Path, lines: Callable[[bytes], bytes], sync: bool) -> None:
        try:
            anchor_file.append(path, lines, sync)
        except OSError as error:
            raise Unsettled(
                f"The anchors {path} cannot be written: {error}. What was committed is kept; nothing starts before they can."
            ) from None

    # -- reading ------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read on. A file that was replaced is read anew; what it said before stays known."""
        for place, path in enumerate(self.paths):
            state = anchor_file.state(path)
            if state == self._seen[place]:
                continue
            if state[0] != self._seen[place][0] or state[1] < self._readings[place].offset:
                self._readings[place] = self._reading(path, self._take)
            self._readings[place].on()
            self._seen[place] = state

    def last(self, incident: str) -> Head | None:
        """The head with the greatest number. Unsettled where two were anchored under it."""
        self.refresh()
        if incident in self._twice:
            raise Unsettled(
                f"Two different events {self._last[incident].n} of {incident} were anchored: two copies of this folder have "
                "worked, or one was put back and written over. Look at `stanch audit verify`; then: stanch audit settle --reason …"
            )
        return self._last.get(incident)

    def known(self, incidents: Collection[str]) -> set[str]:
        """Those of these that were ever anchored; the events of one that was lost would contradict its anchor."""
        self.refresh()
        return {one for one in incidents if one in self._last}

    def incidents(self) -> list[str]:
        self.refresh()
        return sorted(self._last)

    def start(self, proposal: str) -> Start | None:
        """The anchored intent of a proposal: it may have been sent."""
        self.refresh()
        line = self._starts.get(proposal)
        return line.start if line else None

    def starts_of(self, incident: str) -> dict[int, Start]:
        """All anchored intents of one incident, by the number of their event."""
        self.refresh()
        return {line.head.n: line.start for line in self._starts.values() if line.incident == incident and line.start}

    def starts_since(self, since: datetime) -> dict[str, str]:
        """Of each proposal that was started after `since`, its target."""
        self.refresh()
        found: dict[str, str] = {}
        for line in reversed(self._starts.values()):
            assert line.start is not None
            if line.start.at > since:
                found[line.start.proposal] = line.start.target
            elif line.start.at < since - DAY:  # they were written in the order of their times
                break
        return found

    @property
    def wrong(self) -> list[Wrong]:
        self.refresh()
        return [one for reading in self._readings for one in reading.wrong]

    @property
    def founded(self) -> bool:
        """Whether the files are those in which keyed lines began, or were settled to go on."""
        self.refresh()
        self._founded = self._founded or any(reading.founded for reading in self._readings)
        return self._founded

    def read(self) -> dict[str, dict[int, frozenset[str]]]:
        """Every anchored hash by incident and number, read from the beginning."""
        found: dict[str, dict[int, set[str]]] = {}

        def take(line: Line) -> None:
            found.setdefault(line.incident, {}).setdefault(line.head.n, set()).add(line.head.hash)

        for path in self.paths:
            self._reading(path, take).on()
        return {incident: {n: frozenset(heads[n]) for n in sorted(heads)} for incident, heads in sorted(found.items())}

    def _reading(self, path: Path, take: Callable[[Line], None]) -> Reading:
        return Reading(path, self._key, take)

    def _take(self, line: Line) -> None:
        known = self._last.get(line.incident)
        if known is None or line.head.n > known.n:
            self._last[line.incident] = line.head
            self._twice.discard(line.incident)
        elif line.head.n == known.n and line.head.hash != known.hash:
            self._twice.add(line.incident)
        if line.start is not None:
            self._starts.setdefault(line.start.proposal, line)


def heads_to_lines(heads: Mapping[str, Head], named: Iterable[Line]) -> list[Line]:
    """One line an incident, and one for each event that names a start."""
    named = list(named)
    told = {(line.incident, line.head.n) for line in named}
    return [*named, *(Line(name, head) for name, head in heads.items() if (name, head.n) not in told)]


def _body(line: Line) -> dict[str, Json]:
    body: dict[str, Json] = {"incident": line.incident, "n": line.head.n, "hash": line.head.hash}
    if line.start is not None:
        body["start"] = {"proposal": line.start.proposal, "target": line.start.target, "at": iso(line.start.at)}
    return body


def _line(body: Mapping[str, Json]) -> Line:
    start: Mapping[str, Json] | None = body.get("start")
    told = Start(str(start["proposal"]), str(start["target"]), parse_time(str(start["at"]))) if start else None
    return Line(str(body["incident"]), Head(int(body["n"]), str(body["hash"])), told)


def _keyed(key: bytes, body: Mapping[str, Json]) -> bytes:
    text = canonical(body)
    return text[:-1] + b',"mac":"' + _mac(key, text) + b'"}\n'


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256").hex().encode()


def _sha(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
