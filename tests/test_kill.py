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
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.gate import audit
from agent.store.database import Database
from tests.command_line import PATIENCE_S, Run
from tests.warm import Warm

EVENTS = 30  # kills spread over the whole timeline by number of event
LOOK_S = 0.001
MOST_RESUMES = 6


@dataclass(frozen=True)
class Moment:
    """When to kill: `seen` happened, and then so many milliseconds."""

    seen: str  # "event 12", "intent", "effect", …
    after_ms: float = 0.0
    again: str = ""  # the moment at which the process that goes on is killed too

    def __str__(self) -> str:
        return f"{self.seen} + {self.after_ms:.0f} ms" + (f", then {self.again}" if self.again else "")


def moments(events: int) -> list[Moment]:
    """All over the incident, thickest around intent, effect and outcome, where a mistake would act twice."""
    chance = random.Random(20261117)
    numbers = sorted({1 + round(i * (events - 1) / (EVENTS - 1)) for i in range(EVENTS)})
    spread = [Moment(f"event {n}", chance.uniform(0, 40)) for n in numbers]
    tight = [
        Moment("decision"), Moment("decision", 8, "intent"), Moment("intent"), Moment("intent", 2, "event 1"),
        Moment("intent", 6), Moment("effect", 0, "event 1"), Moment("effect", 1), Moment("effect", 5, "outcome"),
        Moment("outcome", 0, "verification"), Moment("outcome", 10), Moment("report"),
    ]  # fmt: skip
    return [*spread, *tight]


@dataclass
class Killed:
    """One incident that was killed, and what came of it."""

    moment: Moment
    at: int = 0  # events there were
    last: str = ""
    kills: int = 0
    state: str = ""
    outcome: str = ""
    effects: int = 0
    decisions: list[str] = field(default_factory=list)
    broken: int = 0
    before: dict[str, str] = field(default_factory=dict)  # hash of each event there was at the first kill
    after: dict[str, str] = field(default_factory=dict)

    def row(self) -> str:
        return (
            f"{self.moment!s:38} {self.at:3} {self.last:13} {self.kills:2} {self.state:10} {self.outcome:8} "
            f"{self.effects} {','.join(self.decisions)}"
        )


class Watched:
    """The data folder of a demo as another process sees it."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "demo"

    def events(self) -> list[tuple[int, str, str]]:
        """Number, kind and hash of each event that is committed."""
        path = self.folder / "stanch.db"
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_S)) as connection:
                return list(connection.execute("SELECT n, kind, hash FROM events ORDER BY n"))
        except sqlite3.OperationalError:  # the tables are being made
            return []

    def effects(self) -> int:
        """Changes that were made to the platform."""
        path = self.folder / "lab" / "lab-changes.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def saw(self, what: str, beyond: int) -> bool:
        """Whether `what` has happened since there were `beyond` events."""
        if what == "effect":
            return self.effects() > 0
        if what == "report":
            return any((self.folder / "reports").glob("*.md"))
        found = [kind for n, kind, _ in self.events() if n > beyond]
        return len(found) >= int(what.split()[1]) if what.startswith("event ") else what in found

    def kill_at(self, what: str, after_ms: float, beyond: int = 0) -> Callable[[int], None]:
        """Kills a process when it has come that far. One that ended by itself before is left alone."""

        def watch(pid: int) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline and running(pid):
                if self.saw(what, beyond):
                    time.sleep(after_ms / 1000)
                    break
                time.sleep(LOOK_S)
            if running(pid):
                os.kill(pid, signal.SIGKILL)

        return watch


def running(pid: int) -> bool:
    """Whether it still runs: not gone, and not a zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def killed_at(warm: Warm, folder: Path, moment: Moment) -> Killed:
    """Begin an incident, kill it at the moment, and go on with it as a person would until it ends."""
    data, logs = folder / "data", folder / "logs"
    watched, told = Watched(data), Killed(moment)
    first = warm.stanch(
        logs, "--data", data, "demo", "--approve", "--json", meanwhile=watched.kill_at(moment.seen, moment.after_ms)
    )
    told.kills += first.code == -signal.SIGKILL
    there = watched.events()
    told.at, told.last = len(there), there[-1][1]
    told.before = {str(n): digest for n, _, digest in there}
    if moment.again:
        second = warm.stanch(
            logs, "--data", data, "incidents", "resume", meanwhile=watched.kill_at(moment.again, 0, len(there))
        )
        told.kills += second.code == -signal.SIGKILL
    ended = go_on(warm, logs, data)
    told.state = ended["incident"]["state"]
    told.outcome = (ended["execution"] or {}).get("outcome") or ""
    told.decisions = [f"{one['by']}:{one['answer']}" for one in ended["decisions"] or []]
    told.effects = watched.effects()
    told.after = {str(n): digest for n, _, digest in watched.events()}
    told.broken = asyncio.run(breaks(data / "demo"))
    return told


def go_on(warm: Warm, logs: Path, data: Path) -> dict[str, object] | dict:  # type: ignore[type-arg]
    """`incidents resume` until it ends; an approval that was not given before the kill is given now."""
    for _ in range(MOST_RESUMES):
        run = warm.stanch(logs, "--data", data, "incidents", "resume", "--json")
        if run.code == 2:  # it had ended before the kill came
            return shown(warm, logs, data)
        told = run.json
        if told["incident"]["state"] == "awaiting_approval":
            assert run.code == 3, run.err
            approved = warm.stanch(logs, "--data", data, "approvals", "approve", told["proposal"]["id"], "--json")
            assert approved.code in (0, 5), approved.err
            told = approved.json
        if told["incident"]["state"] in ("recovered", "needs_input"):
            return dict(told)
    raise AssertionError(f"it did not end: {run.out}{run.err}")


def shown(warm: Warm, logs: Path, data: Path) -> dict:  # type: ignore[type-arg]
    (one,) = warm.stanch(logs, "--data", data, "incidents", "list", "--json").json
    return dict(warm.stanch(logs, "--data", data, "incidents", "show", one["id"], "--json").json)


async def breaks(folder: Path) -> int:
    db = await Database.open("", folder)
    found = await audit.verify(db)
    await db.close()
    return len(found)


@pytest.fixture(scope="module")
def warm() -> Iterator[Sequence[Warm]]:
    pair = [Warm(), Warm()]
    yield pair
    for one in pair:
        one.close()


@pytest.fixture(scope="module")
def whole(warm: Sequence[Warm], tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """The same incident, left alone."""
    data = tmp_path_factory.mktemp("whole")
    return warm[0].stanch(data / "logs", "--data", data, "demo", "--approve", "--json"), data


def test_killed_all_along_the_incident_it_ends_and_acts_once(
    warm: Sequence[Warm], whole: tuple[Run, Path], tmp_path: Path
) -> None:
    run, data = whole
    assert run.code == 0, run.err
    there = Watched(data).events()
    wanted = moments(len(there))
    every: list[Killed] = []

    def work(process: Warm, share: Sequence[tuple[int, Moment]]) -> None:
        for number, moment in share:
            every.append(killed_at(process, tmp_path / str(number), moment))

    shares = [list(enumerate(wanted))[n :: len(warm)] for n in range(len(warm))]
    with ThreadPoolExecutor(len(warm)) as pool:
        for done in [pool.submit(work, process, share) for process, share in zip(warm, shares, strict=True)]:
            done.result()
    print(f"\n{'killed at':38} {'events, last':17} kills state outcome effects decisions")
    print("\n".join(one.row() for one in sorted(every, key=lambda one: (one.at, one.moment.seen))))
    assert sum(one.kills for one in every) >= 30
    for one in every:
        assert one.effects == 1, one.row()
        assert one.broken == 0, one.row()
        assert one.before.items() <= one.after.items(), f"what was written is still there: {one.row()}"
        assert len(one.decisions) == 1, one.row()
        if "decision" in {kind for n, kind, _ in there if n <= one.at and str(n) in one.before}:
            assert one.decisions == ["demo:--approve:approve"], f"an approval given before is kept: {one.row()}"
        assert (one.state, one.outcome) in (("recovered", "DONE"), ("needs_input", "UNKNOWN")), one.row()
    assert {one.outcome for one in every} == {"DONE"}, "a workload can be observed: nothing stays unknown"


def test_the_chain_verifies_on_the_command_line_and_the_lock_is_free(
    warm: Sequence[Warm], whole: tuple[Run, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    killed = warm[0].stanch(
        tmp_path / "logs", "--data", data, "demo", "--approve", meanwhile=Watched(data).kill_at("event 6", 0)
    )
    assert killed.code == -signal.SIGKILL
    verified = warm[0].stanch(tmp_path / "logs", "--data", data, "audit", "verify")
    assert verified.code == 0, verified.out
    listed = warm[0].stanch(tmp_path / "logs", "--data", data, "incidents", "list", "--json").json
    assert [one["state"] for one in listed] == ["investigating"]
    again = warm[0].stanch(tmp_path / "logs", "--data", data, "incidents", "resume", "--no-wait", "--json")
    assert again.code == 3, again.err
    assert json.loads(again.out)["proposal"]["digest"] == whole[0].json["proposal"]["digest"]
