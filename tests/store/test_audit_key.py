"""Where the audit key and the anchors lie, when it is not the data folder."""

from __future__ import annotations

import json
import logging
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent import settings
from agent.errors import BadConfiguration, Unsettled
from agent.gate import audit, kill_switch, proposal_store, startup_audit
from agent.gate.proposal import ProposalState
from agent.store import anchors, executions, timeline
from agent.store.audit_key import AuditKeyPlace
from agent.store.database import Database
from agent.surfaces.cli.logs import JsonLines
from tests.gate.world import Scene
from tests.warm import Warm

HEX = "0123456789abcdef" * 4
OLD = Path(__file__).parent.parent / "fixtures" / "folders" / "before-keyed-anchors.tar.gz"


async def scene_in(folder: Path, audit_key_place: AuditKeyPlace) -> Scene:
    db = await Database.open("", folder / "data", audit_key_place=audit_key_place)
    scene = Scene(db, folder / "world")
    await startup_audit.open_memory(db, scene.clock)
    return await scene.open()


async def test_a_key_from_the_environment_never_lies_in_the_folder(tmp_path: Path) -> None:
    scene = await scene_in(tmp_path, AuditKeyPlace(key=HEX))
    await scene.propose()
    assert await audit.verify(scene.db) == []
    assert not (tmp_path / "data" / "audit.key").exists()
    await scene.db.close()


@pytest.mark.parametrize("content", [bytes.fromhex(HEX), HEX.encode() + b"\n"])
async def test_a_key_file_holds_bytes_or_digits(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o440)
    assert AuditKeyPlace(key_file=path).audit_key(tmp_path) == bytes.fromhex(HEX)
    assert "its group can read it" in AuditKeyPlace(key_file=path).where(tmp_path)[2]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"k" * 32, 0o444, "open to others"),
        (b"k" * 32, 0o660, "open to others"),
        (b"k" * 31, 0o400, "31 bytes instead of 32"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_key_that_others_may_read_or_that_is_none_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, words: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(BadConfiguration, match=words):
        AuditKeyPlace(key_file=path).audit_key(tmp_path)


def test_a_second_key_in_the_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    own = AuditKeyPlace().audit_key(tmp_path)
    with pytest.raises(BadConfiguration, match="another key"):
        AuditKeyPlace(key=HEX).audit_key(tmp_path)
    assert AuditKeyPlace(key=own.hex()).audit_key(tmp_path) == own, "moving it elsewhere keeps every chain"
    with pytest.raises(BadConfiguration, match="64 hexadecimal digits"):
        AuditKeyPlace(key="secret").audit_key(tmp_path)


async def test_anchors_elsewhere_are_missed_when_the_folders_own_are_cut_with_the_database(tmp_path: Path) -> None:
    """Whoever puts back the whole folder does not reach the second place."""
    import shutil

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    audit_key_place = AuditKeyPlace(anchors=(elsewhere,))
    scene = await scene_in(tmp_path, audit_key_place)
    proposal = await scene.approve(await scene.propose())
    await scene.db.close()
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    scene = await scene_in(tmp_path, audit_key_place)
    await scene.executor.execute(proposal.id, scene.run)
    await scene.db.close()
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "backup", tmp_path / "data")
    scene.db = await Database.open("", tmp_path / "data", audit_key_place=audit_key_place)
    async with scene.db.read() as tx:
        with pytest.raises(Unsettled, match="has lost events 4 to 5"):
            await timeline.tail(tx, "inc")
    await startup_audit.open_memory(scene.db, scene.clock)
    assert "inc has lost events 4 to 5" in scene.db.unsettled["inc"]
    await scene.db.close()


async def test_a_place_that_is_configured_later_starts_with_every_line(tmp_path: Path) -> None:
    scene = await scene_in(tmp_path, AuditKeyPlace())
    await scene.approve(await scene.propose())
    await scene.db.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    scene = await scene_in(tmp_path, AuditKeyPlace(anchors=(elsewhere,)))
    (tmp_path / "data" / anchors.FILE).unlink()
    fresh = Database(scene.db._engine, scene.db.folder, *AuditKeyPlace(anchors=(elsewhere,)).open(scene.db.folder))
    assert (max(fresh.anchors.read()["inc"]), fresh.anchors.founded) == (3, True)
    assert await audit.verify(fresh) == []
    await scene.db.close()


async def test_the_log_may_be_told_of_every_anchor(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stanch.anchors")
    scene = await scene_in(tmp_path, AuditKeyPlace(to_log=True))
    await scene.approve(await scene.propose())
    await scene.db.close()
    lines = (tmp_path / "data" / anchors.FILE).read_text().splitlines()
    told = [
        json.loads(JsonLines().format(record))["anchor"] for record in caplog.records if record.name == "stanch.anchors"
    ]
    assert told == [line for line in lines if "incident" in line], "word for word: what is logged can be put back"


def test_settings_name_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stanch.yaml").write_text("audit: {key_file: keys/audit.key, anchors: [anchors, log]}\n")
    found = settings.read({}, tmp_path).audit
    assert (found.key_file, found.anchors, found.to_log) == (tmp_path / "keys/audit.key", (tmp_path / "anchors",), True)
    monkeypatch.setenv("STANCH_AUDIT_KEY", HEX)
    monkeypatch.setenv("STANCH_AUDIT_KEY_FILE", "/run/secrets/audit")
    monkeypatch.setenv("STANCH_ANCHORS", os.pathsep.join(("/var/anchors", "log")))
    every = settings.read({}, tmp_path)
    assert (every.audit.key_file, every.audit.anchors) == (Path("/run/secrets/audit"), (Path("/var/anchors"),))
    assert HEX in every.every_secret, "it is taken out of whatever is shown"


# -- folders of before ------------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder as commit 3bcde9b left it: an incident that is finished, one that was denied, one that was approved, and the
    demo's, which waits for its approval."""
    with tarfile.open(OLD) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path


async def test_a_folder_of_before_opens_verifies_and_starts_nothing_that_was_approved_then(old: Path) -> None:
    db = await Database.open("", old / "demo")
    scene = Scene(db, old / "world")
    await startup_audit.open_memory(db, scene.clock)
    assert (await audit.verify(db), db.unsettled) == ([], {})
    async with db.read() as tx:
        states = {p.id: p.state for p in await proposal_store.listing(tx, None)}
        done = await executions.get(tx, "inc-done-p1")
    assert states == {
        "inc-done-p1": ProposalState.DONE,
        "inc-denied-p1": ProposalState.DENIED,
        "inc-approved-p1": ProposalState.VOIDED,
        "inc-51c6930e-p1": ProposalState.VOIDED,
    }
    assert done is not None
    await scene.open("inc-approved")
    ended = await scene.executor.execute("inc-approved-p1", scene.run)
    assert (str(ended.outcome), scene.world.effects) == ("NOT_DONE", [])
    assert await kill_switch.stopped(db) is None
    await db.close()


async def test_a_folder_of_before_is_adopted_once(old: Path) -> None:
    path = old / "demo" / anchors.FILE
    before = path.read_bytes()
    for _ in range(2):
        db = await Database.open("", old / "demo")
        await startup_audit.open_memory(db, Scene(db, old / "world").clock)
        await db.close()
    lines = path.read_bytes()
    assert lines.startswith(before)
    assert lines.count(b'"accepts"') == 1
    path.write_bytes(lines + before.splitlines(keepends=True)[3])
    db = await Database.open("", old / "demo")
    await startup_audit.open_memory(db, Scene(db, old / "world").clock)
    assert "is not keyed" in db.unsettled[kill_switch.RECORD], "an unkeyed line behind the keyed ones is nobody's"
    await db.close()


async def test_a_cut_folder_of_before_is_not_healed_by_adopting_it(old: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(old / "demo" / "stanch.db")) as raw:
        raw.execute("DELETE FROM events WHERE incident = 'inc-approved' AND n > 3")
        raw.commit()
    db = await Database.open("", old / "demo")
    await startup_audit.open_memory(db, Scene(db, old / "world").clock)
    assert "inc-approved has lost events" in db.unsettled["inc-approved"]
    assert [one.incident for one in await audit.verify(db)] == ["inc-approved"]
    await db.close()


def test_what_waited_in_a_folder_of_before_is_asked_anew(old: Path, warm: Warm) -> None:
    def proposals() -> dict[str, Any]:
        return {
            one["id"]: one for one in json.loads(warm.stanch("--data", old, "approvals", "list", "--all", "--json").out)
        }

    before = proposals()["inc-51c6930e-p1"]
    assert before["state"] == "voided"
    refused = warm.stanch("--data", old, "approvals", "approve", "inc-51c6930e-p1")
    assert refused.code == 2, refused.err
    gone_on = warm.stanch("--data", old, "incidents", "resume", "inc-51c6930e")
    assert gone_on.code == 3, gone_on.err
    fresh = proposals()["inc-51c6930e-p2"]
    assert (fresh["state"], fresh["action"], fresh["arguments"]) == ("open", before["action"], before["arguments"])


async def test_an_unkeyed_line_is_not_adopted_where_keyed_ones_began(tmp_path: Path) -> None:
    """Whoever can take the founding event out of the database has still not made it a folder of before."""
    import sqlite3
    from contextlib import closing

    scene = await scene_in(tmp_path, AuditKeyPlace())
    await scene.propose()
    await scene.db.close()
    path = tmp_path / "data" / anchors.FILE
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"gate"' not in line]
    path.write_bytes(b"".join(lines) + b'{"hash":"%s","incident":"inc","n":2}\n' % (b"a" * 64))
    with closing(sqlite3.connect(tmp_path / "data" / "stanch.db")) as raw:
        raw.execute("DELETE FROM events WHERE incident = 'gate'")
        raw.commit()
    for _ in range(2):
        db = await Database.open("", tmp_path / "data")
        await startup_audit.open_memory(db, scene.clock)
        assert kill_switch.RECORD in db.unsettled
        assert [one.number for one in db.anchors.wrong], "it is not vouched for"
        await db.close()
