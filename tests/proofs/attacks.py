"""Attacks, played: `python -m tests.proofs.attacks [NAME…]` prints what came of each.

Those on the memory have somebody who can write the database, and often the anchors, and has not the key. Each works on a copy
of a folder that then goes on working, as `serve` would open it: no effect that people and policy did not want may come about,
and the audit has to tell. To add one, write an async function that takes an empty folder and gives a Played, and list it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from agent.errors import StanchError
from agent.gate import audit, kill_switch, startup_audit
from agent.gate.approval import decide
from agent.gate.proposal import Proposal
from agent.store import anchors
from agent.store.database import SQLITE_FILE, Database
from tests.gate.world import ANN, ASK, BOB, Scene
from tests.proofs.attacks_on_doors import ON_THE_DOORS, serving

BUDGET = ASK + "budgets: {per_hour: 1}\n"


@dataclass(frozen=True, slots=True)
class Played:
    """`effects` is how often the world was changed, `most` how often it may have been, `said` what the gate answered."""

    effects: int
    most: int
    said: str
    told: Sequence[str]

    @property
    def right(self) -> bool:
        return self.effects <= self.most and bool(self.told)


# -- on the memory ----------------------------------------------------------------------------------------------------


async def the_kill_switch_is_cleared_in_its_row(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await kill_switch.press(scene.db, scene.clock, ANN, True, "halt")
    return await goes_on(await meddled(scene, "UPDATE switches SET is_on = 0"), proposal)


async def the_stop_is_cut_off_its_timeline_as_well(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await kill_switch.press(scene.db, scene.clock, ANN, True, "halt")
    cut = "DELETE FROM events WHERE incident = 'gate' AND n = 2"
    return await goes_on(await meddled(scene, "UPDATE switches SET is_on = 0", cut), proposal)


async def a_denial_is_cut_off(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no!")
    cut = "DELETE FROM events WHERE key LIKE 'decision:%:bob:deny'"
    forgotten = "DELETE FROM decisions WHERE answer = 'deny'", "UPDATE proposals SET state = 'approved'"
    return await goes_on(await meddled(scene, cut, *forgotten), proposal)


async def a_backup_is_put_back_between_approval_and_execution(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    backup(scene)
    await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=2)  # somebody has taken it back by hand: it looks as if nothing had been done
    return await goes_on(await restored(scene), proposal, most=1)


async def a_backup_is_put_back_and_new_events_grow_over_the_anchors(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    backup(scene)
    await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=2)
    scene = await restored(scene)
    for step in range(4):
        try:
            await scene.propose("restart", step=f"over {step}")
        except StanchError:
            break
    return await goes_on(scene, proposal, most=1)


async def an_approval_is_made_younger(folder: Path) -> Played:
    """It was approved 35 minutes ago, and has to be started within 15."""
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    scene.clock.advance(timedelta(minutes=35))
    now = spelled(scene)
    until = spelled(scene, timedelta(minutes=10))
    younger = f"UPDATE decisions SET at = '{now}'", f"UPDATE proposals SET execute_by = '{until}'"
    return await goes_on(await meddled(scene, *younger), proposal)


async def an_execution_is_made_older_and_the_budget_is_empty_again(folder: Path) -> Played:
    scene = await opened(folder, BUDGET)
    first = await scene.approve(await scene.propose())
    await scene.executor.execute(first.id, scene.run)
    second = await scene.approve(await scene.propose(step="2", arguments={"replicas": 4}))
    older = spelled(scene, -timedelta(hours=2))
    return await goes_on(await meddled(scene, f"UPDATE executions SET claimed_at = '{older}'"), second, most=1)


async def the_tail_is_cut_and_every_state_set_back(folder: Path) -> Played:
    """As if the action had never been started: the cut goes to the approval."""
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=2)
    cut = "DELETE FROM events WHERE incident = 'inc' AND n > 3", "DELETE FROM executions"
    return await goes_on(await meddled(scene, *cut, "UPDATE proposals SET state = 'approved'"), proposal, most=1)


async def the_ledger_forgets_an_execution(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await scene.executor.execute(proposal.id, scene.run)
    scene.world.set(replicas=2)
    forgotten = "DELETE FROM executions", "UPDATE proposals SET state = 'approved'"
    return await goes_on(await meddled(scene, *forgotten), proposal, most=1)


async def the_anchors_are_deleted_and_a_denial_is_cut_off(folder: Path) -> Played:
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no!")
    cut = "DELETE FROM events WHERE key LIKE 'decision:%:bob:deny'"
    forgotten = "DELETE FROM decisions WHERE answer = 'deny'", "UPDATE proposals SET state = 'approved'"
    (scene.db.folder / anchors.FILE).unlink()
    return await goes_on(await meddled(scene, cut, *forgotten), proposal)


async def a_line_of_the_anchors_is_forged(folder: Path) -> Played:
    """The last line is made to tell of the event before it, and the database is cut there."""
    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    await decide(scene.db, scene.clock, proposal.id, proposal.digest, BOB, "deny", "no!")
    path = scene.db.folder / anchors.FILE
    *lines, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines) + last.replace(b'"n":4', b'"n":3'))
    cut = "DELETE FROM events WHERE key LIKE 'decision:%:bob:deny'"
    forgotten = "DELETE FROM decisions WHERE answer = 'deny'", "UPDATE proposals SET state = 'approved'"
    return await goes_on(await meddled(scene, cut, *forgotten), proposal)


async def a_proposal_that_was_withdrawn_is_revived(folder: Path) -> Played:
    """Under the key of its withdrawal stands another event already, so that none would be added."""
    from agent.gate import proposal_store
    from agent.gate.proposal import ProposalState

    scene = await opened(folder)
    proposal = await scene.approve(await scene.propose())
    scene = await meddled(scene, f"UPDATE events SET key = 'end:{proposal.id}' WHERE incident = 'inc' AND n = 1")
    try:
        await proposal_store.withdraw(scene.db, scene.clock, proposal.id, ProposalState.VOIDED, "its alert cleared")
    except StanchError as error:
        said = f"its withdrawal is refused: {error}"
        return Played(len(scene.world.effects), 0, said, [str(one) for one in await audit.verify(scene.db)])
    return await goes_on(await meddled(scene, "UPDATE proposals SET state = 'approved'"), proposal)


Attack = Callable[[Path], Awaitable[Played]]
ON_THE_MEMORY: tuple[Attack, ...] = (
    the_kill_switch_is_cleared_in_its_row,
    the_stop_is_cut_off_its_timeline_as_well,
    a_denial_is_cut_off,
    a_backup_is_put_back_between_approval_and_execution,
    a_backup_is_put_back_and_new_events_grow_over_the_anchors,
    an_approval_is_made_younger,
    an_execution_is_made_older_and_the_budget_is_empty_again,
    the_tail_is_cut_and_every_state_set_back,
    the_ledger_forgets_an_execution,
    the_anchors_are_deleted_and_a_denial_is_cut_off,
    a_line_of_the_anchors_is_forged,
    a_proposal_that_was_withdrawn_is_revived,
)
ATTACKS: tuple[Attack, ...] = ON_THE_MEMORY


# -- what they are played with ----------------------------------------------------------------------------------------


async def opened(folder: Path, policy: str = ASK) -> Scene:
    """A gate over a new folder, opened as the service opens it, with one incident."""
    db = await Database.open("", folder / "data")
    scene = Scene(db, folder / "world", policy)
    await startup_audit.open_memory(db, scene.clock)
    return await scene.open()


async def meddled(scene: Scene, *statements: str) -> Scene:
    """The scene over a copy of its folder in which somebody has changed the database by hand."""
    place = await _copied(scene)
    with closing(sqlite3.connect(place / SQLITE_FILE)) as raw:
        for statement in statements:
            raw.execute(statement)
        raw.commit()
    return await opened_again(scene, place)


def backup(scene: Scene) -> None:
    """As sqlite3's .backup makes one, while the service runs."""
    with (
        closing(sqlite3.connect(scene.db.folder / SQLITE_FILE)) as here,
        closing(sqlite3.connect(scene.db.folder.parent / "backup.db")) as there,
    ):
        here.backup(there)


async def restored(scene: Scene) -> Scene:
    """The scene over a copy of its folder in which the backup was put back."""
    place = await _copied(scene)
    for end in ("", "-wal", "-shm"):
        (place / f"{SQLITE_FILE}{end}").unlink(missing_ok=True)
    shutil.copy(place.parent / "backup.db", place / SQLITE_FILE)
    return await opened_again(scene, place)


async def goes_on(scene: Scene, proposal: Proposal, most: int = 0) -> Played:
    """It is opened, audited, and works on: the proposal is to be started, twice."""
    told = [str(one) for one in await audit.verify(scene.db)]
    said = ""
    for _ in range(2):
        try:
            ended = await scene.executor.execute(proposal.id, scene.run)
            said = said or f"{ended.outcome}: {ended.why}"
        except StanchError as error:
            said = said or f"{type(error).__name__}: {error}"
    found = Played(len(scene.world.effects), most, said, told)
    await scene.db.close()
    return found


def spelled(scene: Scene, later: timedelta = timedelta()) -> str:
    """Now, or later, as SQLite keeps it."""
    return f"{scene.clock.now() + later:%Y-%m-%d %H:%M:%S.%f}"


async def _copied(scene: Scene) -> Path:
    await scene.db.close()
    place = scene.db.folder.with_name(f"{scene.db.folder.name}+")
    shutil.copytree(scene.db.folder, place)
    return place


async def opened_again(before: Scene, place: Path, world: Path | None = None) -> Scene:
    """The scene over another folder, as another process opens it."""
    db = await Database.open("", place)
    scene = Scene(db, world or before.world.folder)
    scene.policy, scene.groups, scene.run = before.policy, before.groups, before.run
    scene.clock.move_to(before.clock.now())
    await startup_audit.open_memory(db, scene.clock)
    return await scene.open()


def play(attack: Attack) -> Played:
    async def one() -> Played:
        return await attack(Path(place))

    with tempfile.TemporaryDirectory(prefix="stanch-attack-") as place:
        return asyncio.run(one())


def named(attack: object) -> str:
    return str(getattr(attack, "__name__", attack)).replace("_", " ")


def wanted(attack: object) -> bool:
    return not sys.argv[1:] or any(word in named(attack) for word in sys.argv[1:])


def on_the_doors() -> tuple[int, int]:
    """How many were played against one running service, and how many of them met with what is not right."""
    chosen = [one for one in ON_THE_DOORS if wanted(one)]
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="stanch-attack-") as place:
        if chosen:
            with serving(Path(place)) as service:
                for attack in chosen:
                    met = attack(service)
                    wrong += not met.right
                    print(f"{'✓' if met.right else '✗'} {named(attack)}\n    {met.said}")
    return len(chosen), wrong


def main() -> None:
    played, wrong = on_the_doors()
    chosen = [one for one in ATTACKS if wanted(one)]
    for attack in chosen:
        came = play(attack)
        wrong += not came.right
        print(
            f"{'✓' if came.right else '✗'} {named(attack)}\n    effects {came.effects} of at most {came.most}; {came.said}"
        )
        for line in came.told or ["nothing is told"]:
            print(f"    audit: {line}")
    print(f"{played + len(chosen) - wrong} of {played + len(chosen)} repelled and told")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
