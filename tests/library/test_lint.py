from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from agent.domain.cause import Fault
from agent.errors import UnusableInput
from agent.library.lint import Level, Problem, lint
from agent.library.new import template, write
from agent.library.parse import advice, read_folder
from agent.library.render import Names, render_action, render_check
from tools.listing import TOOLS

OURS = Path(__file__).parents[2] / "runbooks"
TODAY = date(2026, 11, 24)
READS = {one.name: one.arguments for one in TOOLS.reads}
ACTIONS = {one.name(): one for one in TOOLS.actions}
EXPECTED = {
    "infra": {
        "cpu-contention",
        "memory-leak",
        "crash-loop",
        "bad-deploy",
        "latency-high",
        "error-rate-high",
        "dependency-down",
        "disk-filling",
        "queue-backlog",
        "certificate-expiry",
    },
    "model": {
        "forecast-latency-high",
        "feature-drift",
        "concept-drift",
        "stale-features",
        "upstream-data-bug",
        "bad-model-version",
    },
}
NAMES = Names(
    "demand-forecast",
    "eu-1/ml/forecast-server",
    "demand-forecast",
    "ml",
    "eu-1",
    {"replicas": 3, "previous_revision": 4, "previous_version": "6"},
    "sum(rate(x[5m]))",
)


def problems(folder: Path, today: date = TODAY) -> list[Problem]:
    return lint([folder], READS, ACTIONS, today)


def test_our_own_runbooks_are_all_there_and_clean() -> None:
    assert {f: {p.stem for p in (OURS / f).glob("*.md")} for f in EXPECTED} == EXPECTED
    assert [str(p) for p in problems(OURS)] == []


def test_every_block_of_ours_renders() -> None:
    books, _ = read_folder(OURS)
    for book in books:
        for check in book.checks:
            assert "{{" not in str(render_check(check, NAMES, book.name).to_json())
        for action in book.actions:
            _, args, success = render_action(action, NAMES, book.name)
            assert "{{" not in str(args) + str(success.to_json())
            assert success.guards


def test_where_no_action_helps_the_runbook_says_whom_to_call() -> None:
    books = {book.name: book for book in read_folder(OURS)[0]}
    for name, fault in (
        ("upstream-data-bug", Fault.DATA_BUG),
        ("stale-features", Fault.STALE_FEATURES),
        ("disk-filling", Fault.DISK_FULL),
        ("certificate-expiry", Fault.CERTIFICATE_EXPIRY),
    ):
        assert not [a for a in books[name].actions if a.fault is fault]
        assert "owner" in books[name].text
        assert advice(books[name], fault)


def test_runbooks_grow_stale() -> None:
    (stale, *_) = problems(OURS, date(2027, 6, 1))
    assert (stale.level, "203 days ago" in stale.text) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("old", "new", "level", "says"),
    [
        ("read: query_metrics", "read: query_metric", Level.ERROR, "Did you mean query_metrics?"),
        ("action: scale_workload", "action: scale", Level.ERROR, "there is no action scale"),
        ("minutes: 30", "minuts: 30", Level.ERROR, "query_metrics: minuts"),
        ("hours: 24", "hours: 0", Level.ERROR, "greater than or equal to 1"),
        ("before.replicas + 2", "before.replicas + 200", Level.ERROR, "scale_workload: replicas"),
        ("sum(rate(container", "sum(rate((container", Level.ERROR, "PromQL does not parse"),
        ("## Rollback", "## Undo", Level.ERROR, "an action without a way back"),
        ("suggests: cpu_contention\n", "", Level.WARNING, "tells nothing"),
        ("suggests: cpu_contention\n", "suggests: disk_full\n", Level.WARNING, "Mitigation has no ### disk_full"),
        ("suggests: cpu_contention\n", "suggests: disk_full\n", Level.WARNING, "never proposed"),
        (
            "### cpu_contention",
            "### cpu_contention\n### cpu_contetion\nx\n### cpu_contention",
            Level.WARNING,
            "Did you mean cpu_contention?",
        ),
        ("stanch.owner: me", "x: y", Level.WARNING, "names no owner"),
        ("  stanch.reviewed", "  reviewed", Level.WARNING, "Add stanch.reviewed"),
        ('expect: "> 0.25"', 'expect: "> a lot"', Level.ERROR, "only == and != go with words"),
        ("at_least: 0.7", "atleast: 0.7", Level.ERROR, "unknown key"),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, old: str, new: str, level: Level, says: str) -> None:
    text = template("my-book", TODAY, ["MyAlert"], owner="me")
    assert old in text
    (tmp_path / "my-book.md").write_text(text.replace(old, new, 1))
    assert [p for p in problems(tmp_path) if p.level is level and says in p.text and p.path.endswith("my-book.md")]


def test_a_foreign_file_is_only_asked_to_be_readable(tmp_path: Path) -> None:
    (tmp_path / "KubeFoo.md").write_text("# Foo\n\nSomething.\n")
    assert problems(tmp_path) == []


def test_a_new_runbook_is_clean_and_never_overwrites(tmp_path: Path) -> None:
    path = write(tmp_path / "mine", "my-book", TODAY, ["MyAlert", "Other"])
    assert problems(tmp_path / "mine") == []
    (book,), _ = read_folder(tmp_path / "mine")
    assert (book.alerts, book.reviewed, len(book.actions)) == (("MyAlert", "Other"), TODAY, 1)
    before = path.read_text()
    with pytest.raises(UnusableInput, match="is there already"):
        write(tmp_path / "mine", "my-book", TODAY)
    assert path.read_text() == before
    with pytest.raises(UnusableInput, match="is no name"):
        write(tmp_path, "../Evil", TODAY)
