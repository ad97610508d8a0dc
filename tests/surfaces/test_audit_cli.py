"""`stanch audit verify` and `stanch audit settle` as a person types them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.command_line import stanch


def test_a_restore_is_told_in_plain_words_and_settled_by_a_person(stopped_demo: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(stopped_demo, data)
    name = next((data / "demo").glob("anchors.log")).read_text().split('"incident":"inc-')[1].split('"')[0]
    with closing(sqlite3.connect(data / "demo" / "stanch.db")) as raw:
        raw.execute("DELETE FROM wakes WHERE incident LIKE 'inc-%'")
        raw.execute("DELETE FROM events WHERE incident LIKE 'inc-%' AND n > 20")
        raw.execute("DELETE FROM proposals")
        raw.commit()
    told = stanch("--data", data, "audit", "verify")
    assert told.code == 7
    assert f"inc-{name}, event 21: it is missing" in told.out
    assert "stanch audit settle --reason" in told.out
    assert stanch("--data", data, "incidents", "resume", f"inc-{name}").code == 3
    assert stanch("--data", data, "audit", "settle").code == 2
    settled = stanch("--data", data, "audit", "settle", "--reason", "the disk was changed")
    assert settled.code == 0, settled.err
    assert f"inc-{name}: events 21 to" in settled.out
    verified = stanch("--data", data, "audit", "verify")
    assert verified.code == 0, verified.out
    assert stanch("--data", data, "audit", "settle", "--reason", "again").code == 2
