"""kill -9 all along one incident, from the first event to the report: it is gone on with, ends, and acted once.

What runs is the command line itself (`stanch demo --approve`, then `incidents resume` and, where the kill came before the
approval, `approvals approve`), in children that fork from a warm process. The table of kills is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.gate import audit
from agent.store.database import Database
from tests.command_line import PATIENCE_S
from tests.warm import Warm

INCIDENTS = 6
LOOK_S = 0.002
MOST_CALLS = 20


@dataclass(frozen=True)
class Moment:
    """When to kill: `seen` has happened, and then so many milliseconds have passed."""

    seen: str  # "event 12", a kind of event, "effect", "report", or "next": the first event that this process appends
    after_ms: float = 0.0


EARLY = range(1, 43)  # numbers of events until an approval is awaited
LATE = range(48, 104)  # and of those from the outcome on to the last verification
TIGHT = (  # thickest around intent, effect and outcome, where a mistake would act twice
    (Moment("decision"), Moment("next"), Moment("outcome", 1)),
    (Moment("intent"), Moment("next")),
    (Moment("intent", 4), Moment("outcome")),
    (Moment("effect"), Moment("next", 2)),
    (Moment("effect", 3), Moment("next")),
    (Moment("decision", 10), Moment("intent", 1), Moment("outcome", 6)),
)


def moments(incident: int) -> list[Moment]:
    """Where one of the incidents is killed, in order: together they cover the whole of it."""
    chance = random.Random(incident)
    early = [Moment(f"event {n}", chance.uniform(0, 30)) for n in EARLY[incident * 2 :: INCIDENTS * 3]]
    late = [Moment(f"event {n}", chance.uniform(0, 30)) for n in LATE[incident * 3 :: INCIDENTS * 5]]
    return [*early, *TIGHT[incident], *late, *([Moment("report")] if incident % 3 == 0 else [])]


@dataclass
class Story:
    """One incident that was killed again and again, and what came of it."""

    kills: list[str] = field(default_factory=list)  # what ran, what was seen, how far the timeline was
    lost: list[str] = field(default_factory=list)  # events that were there at a kill and are not any more
    asked: bool = False  # a person approved, because no kill came after the demo's own approval
    state: str = ""
    outcome: str = ""
    effects: int = 0
    decisions: list[str] = field(default_factory=list)
    broken: int = 0


class Watched:
    """The data folder of a demo as another process sees it."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "demo"

    def events(self) -> list[tuple[int, str, str]]:
        """Number, kind and hash of each event of the incident that is committed; the gate's own record is none."""
        return self._asked("SELECT n, kind, hash FROM events WHERE incident LIKE 'inc-%' ORDER BY n")

    def _holds(self, where: str, value: int | str) -> bool:
        return bool(self._asked(f"SELECT 1 FROM events WHERE incident LIKE 'inc-%' AND {where} LIMIT 1", value))

    def _asked(self, query: str, *values: int | str) -> list[Any]:
        path = self.folder / "stanch.db"
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
                return list(connection.execute(query, values))
        except sqlite3.OperationalError:  # the tables are being made
            return []

    def effects(self) -> int:
        """Changes that were made to the platform."""
        path = self.folder / "lab" / "lab-changes.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def saw(self, moment: Moment, beyond: int) -> bool:
        """Whether the moment has come, for a process that began when there were `beyond` events."""
        if moment.seen == "effect":
            return self.effects() > 0
        if moment.seen == "report":
            return any((self.folder / "reports").glob("*.md"))
        if moment.seen == "next":
            return self._holds("n > ?", beyond)
        if moment.seen.startswith("event "):
            return self._holds("n >= ?", int(moment.seen.split()[1]))
        return self._holds("kind = ?", moment.seen)

    def kill_at(self, moment: Moment) -> Callable[[int], None]:
        """Kills a process when it has come that far. One that ended by itself before is left alone."""
        beyond = len(self.events())

        def watch(pid: int) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and running(pid):
                if self.saw(moment, beyond):
                    time.sleep(moment.after_ms / 1000)
                    break
                time.sleep(LOOK_S)
            if running(pid):
                os.kill(pid, signal.SIGKILL)

        return watch


def running(pid: int) -> bool:
    """Whether it still runs: not gone, and not a zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may go between opening and reading
        return False


def told(warm: Warm, folder: Path, ahead: list[Moment]) -> Story:
    """Begin an incident and go on with it as a person would, while each process dies at the next of the moments."""
    data, story = folder / "data", Story()
    watched = Watched(data)
    command: list[str] = ["demo", "--approve"]
    for _ in range(MOST_CALLS):
        if ahead and ahead[0].seen != "next" and watched.saw(ahead[0], 0):  # it came while the last process died
            ahead[0] = replace(ahead[0], seen="next")
        meanwhile = watched.kill_at(ahead[0]) if ahead else None
        run = warm.stanch("--data", data, *command, "--json", meanwhile=meanwhile)
        if run.code == -signal.SIGKILL:
            there = watched.events()
            story.kills.append(f"{' '.join(command):28} {ahead.pop(0).seen:12} at {len(there):3} {there[-1][1]}")
            story.lost += [digest for _, _, digest in story_so_far(folder, there)]
            command = ["incidents", "resume"]
            continue
        ended = shown(warm, data) if run.code == 2 else run.json  # 2: it had ended before the kill came
        if run.code == 3 and ended["incident"]["state"] == "awaiting_approval":
            command = ["approvals", "approve", ended["proposal"]["id"]]
            story.asked = True
            continue
        return finished(story, ended, watched, folder)
    raise AssertionError(f"it did not end: {run.out}{run.err}")


def story_so_far(folder: Path, there: list[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
    """Events that were there at an earlier kill and are gone; keeps what is there now."""
    kept = folder / "events.json"
    before = {tuple(one) for one in json.loads(kept.read_text())} if kept.exists() else set()
    kept.write_text(json.dumps(there))
    return before - set(there)


def finished(story: Story, ended: Any, watched: Watched, folder: Path) -> Story:
    story.state = ended["incident"]["state"]
    story.outcome = (ended["execution"] or {}).get("outcome") or ""
    story.decisions = [f"{one['by']} {one['answer']}" for one in ended["decisions"] or []]
    story.effects = watched.effects()
    story.lost += [digest for _, _, digest in story_so_far(folder, watched.events())]
    story.broken = asyncio.run(breaks(watched.folder))
    return story


def shown(warm: Warm, data: Path) -> Any:
    (one,) = warm.stanch("--data", data, "incidents", "list", "--json").json
    return warm.stanch("--data", data, "incidents", "show", one["id"], "--json").json


async def breaks(folder: Path) -> int:
    db = await Database.open("", folder)
    found = await audit.verify(db)
    await db.close()
    return len(found)


@pytest.fixture(scope="module")
def pair(quiet_data_folder: None) -> Iterator[Sequence[Warm]]:
    two = [Warm(), Warm()]
    yield two
    for one in two:
        one.close()


def test_killed_all_along_the_incident_it_ends_and_acts_once(pair: Sequence[Warm], tmp_path: Path) -> None:
    def work(process: Warm, share: Sequence[int]) -> list[Story]:
        return [told(process, tmp_path / str(number), moments(number)) for number in share]

    with ThreadPoolExecutor(len(pair)) as pool:
        shares = [range(INCIDENTS)[n :: len(pair)] for n in range(len(pair))]
        stories = [s for some in pool.map(work, pair, shares) for s in some]
    for story in stories:
        print(f"\n{story.state}, {story.outcome}, {story.effects} change, approved by {', '.join(story.decisions)}")
        print("\n".join(f"    killed {kill}" for kill in story.kills))
    assert sum(len(story.kills) for story in stories) >= 30
    for story in stories:
        assert story.effects == 1, story
        assert story.broken == 0, story
        assert story.lost == [], f"what was written stays: {story}"
        assert all(decision.endswith(" approve") for decision in story.decisions), story
        assert story.asked or story.decisions == ["demo:--approve approve"], f"an approval is not lost: {story}"
        assert (story.state, story.outcome) == ("recovered", "DONE"), story


def test_an_approval_that_was_given_before_the_kill_is_not_asked_for_again(warm: Warm, tmp_path: Path) -> None:
    story = told(warm, tmp_path, [Moment("decision")])
    assert story.decisions[0] == "demo:--approve approve"
    assert not story.asked or story.kills[0].endswith("intent"), (
        "only an action that was lost on its way is proposed anew"
    )
    assert (story.state, story.outcome, story.effects) == ("recovered", "DONE", 1)
    verified = warm.stanch("--data", tmp_path / "data", "audit", "verify")
    assert verified.code == 0, verified.out
