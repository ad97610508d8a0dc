from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.cause import Fault
from agent.domain.incident import Kind
from agent.errors import UnusableInput
from agent.library.parse import advice, parse, read_folder

FRONT = """---
name: slow
description: Mend slowness. Use when Slow fires.
metadata:
  stanch.alerts: "Slow VerySlow"
  stanch.matchers: 'team="ml ops" tier=1'
  stanch.kind: joint
  stanch.owner: ml
  stanch.reviewed: "2026-11-01"
---
"""
BODY = """# Slow
## Diagnosis
Some prose.
Is it starved?
~~~yaml check
read: query_metrics
args: {promql: 'x{service={{ service }}}'}
expect: "> 0.25"
suggests: cpu_contention
~~~
## Mitigation
### cpu_contention
~~~yaml action
action: scale_workload
args: {workload: "{{ workload }}", replicas: "{{ before.replicas + 2 }}"}
success: {promql: 'x', expect: "< 0.3", hold: 2m, within: 10m}
~~~
### data_bug
Call Ann.
"""


def fails(text: str) -> str:
    with pytest.raises(UnusableInput) as caught:
        parse(text, "slow", "slow.md")
    return str(caught.value)


def test_a_runbook_of_ours_is_read_whole() -> None:
    book = parse(FRONT + BODY, "slow", "slow.md")
    assert (book.title, book.alerts, book.kind, book.owner) == ("Slow", ("Slow", "VerySlow"), Kind.JOINT, "ml")
    assert book.matchers == {"team": "ml ops", "tier": "1"}
    assert book.reviewed == date(2026, 11, 1)
    (check,) = book.checks
    assert (check.title, check.suggests, check.line) == ("Is it starved?", Fault.CPU_CONTENTION, 16)
    (action,) = book.actions
    assert (action.fault, action.action, action.line) == (Fault.CPU_CONTENTION, "scale_workload", 24)
    assert advice(book, Fault.DATA_BUG) == "Call Ann."
    assert [s.heading for s in book.sections] == ["Diagnosis", "Mitigation / cpu_contention", "Mitigation / data_bug"]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow.md").write_bytes(b"\xef\xbb\xbf" + (FRONT + BODY).replace("\n", "\r\n").encode())
    (book,), broken = read_folder(tmp_path)
    assert not broken
    assert book.checks[0].line == 16


def test_a_foreign_file_is_read_as_it_is() -> None:
    book = parse("# KubeFoo\n\nFoo is down.\n\n## Fix\n```yaml check\n: broken {{\n```\n", "KubeFoo")
    assert (book.title, book.description, book.kind, book.checks) == ("KubeFoo", "Foo is down.", Kind.UNKNOWN, ())
    assert "broken" in book.text


@pytest.mark.parametrize(
    "text", ["---\n# Title\nA rule of dashes above prose\n---\nmore\n", "", "---", "no heading", "\x00"]
)
def test_text_that_only_looks_like_front_matter_is_text(text: str) -> None:
    assert parse(text, "odd").text == text


def test_foreign_front_matter_gives_title_and_description() -> None:
    book = parse("---\ntitle: Foo\ndescription: Bar\nweight: 20\n---\ntext\n", "foo")
    assert (book.title, book.description, book.text.strip()) == ("Foo", "Bar", "text")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("suggests: cpu_contention", "suggests: cpu_contetion", "line 19: suggests"),
        ("suggests: cpu_contention", "sugests: cpu_contention", "Did you mean 'suggests'?"),
        ('expect: "> 0.25"', 'expect: "about 3"', "line 18: expect"),
        ('expect: "> 0.25"', "expect: > 0.25", "Quote what is expected"),
        ("promql: 'x{service={{ service }}}'", "promql: {{ service }}", "line 17: not YAML"),
        ("{{ service }}", "{{ srvice }}", "'srvice' is no name of blocks"),
        ("{{ service }}", "{% for a in b %}", "not a template"),
        ("{{ service }}", "{{ service.__class__ }}{% set x = 1 %}", "not allowed"),
        ("hold: 2m", "hold: 2 minutes", "is not a duration"),
        ("hold: 2m", "hold: 20m", "within is shorter than hold"),
        ("promql: 'x', expect:", "promql: 'x', exspect:", "unknown key"),
        ("### cpu_contention", "### cpu_contetion", "line 23: an action stands under"),
        ("## Diagnosis", "## Diagnoses", "line 15: a check stands under 'Diagnoses'"),
        ("yaml check", "yaml chekc", "unknown block"),
        ("stanch.kind: joint", "stanch.kind: both", "stanch.kind"),
        ("stanch.owner: ml", "stanch.onwer: ml", "Did you mean stanch.owner?"),
        ("name: slow", "name: fast", "line 2: name 'fast' is not the file's name"),
        ("name: slow", "name: slow\nauthor: me", "line 3: author: unknown key"),
        ("metadata:\n", "metadata: [\n", "not YAML"),
        ('expect: "> 0.25"', 'expect: "> 0.25"\nargs: {}', "stands twice"),
        ("read: query_metrics\n", "read: &a query_metrics\nfact: *a\n", "aliases"),
        ("args: {promql: 'x{service={{ service }}}'}", "args: {day: 2026-13-45}", "not YAML"),
        ("args: {promql: 'x{service={{ service }}}'}", "args: {day: 2026-10-01}", "line 17: args.day"),
        ("args: {promql: 'x{service={{ service }}}'}", "args: " + "[" * 5000 + "]" * 5000, "nested more than"),
        ("args: {promql: 'x{service={{ service }}}'}", "args: {n: " + "9" * 5000 + "}", "not YAML"),
        ("---\n# Slow", "# Slow", "has no end"),
    ],
)
def test_a_mistake_is_named_by_line_with_a_mend(old: str, new: str, says: str) -> None:
    text = FRONT + BODY
    assert old in text
    assert says in fails(text.replace(old, new, 1))


def test_what_cannot_be_read_is_passed_over_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "slow.md").write_text(FRONT + BODY)
    (tmp_path / "broken.md").write_text("---\nname: broken\nmetadata: [unclosed\n---\n# Broken\n")
    (tmp_path / "latin.md").write_bytes(b"# Caf\xe9\n")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "huge.md").write_bytes(b"#" * 1_000_001)
    (tmp_path / "dangling.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "slow.md").write_text("# another\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "hidden.md").write_text("# hidden\n")
    books, broken = read_folder(tmp_path)
    assert len(books) == 1
    assert {p.path.name for p in broken} == {"broken.md", "latin.md", "folder.md", "huge.md", "dangling.md", "slow.md"}
    assert all(p.why.strip() for p in broken)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    books, (passed,) = read_folder(tmp_path / "nowhere")
    assert not books
    assert "no folder" in passed.why


PIECES = st.sampled_from(
    [
        "---\n",
        "name: slow\n",
        "metadata:\n",
        "  stanch.kind: infra\n",
        "# A\n",
        "## Diagnosis\n",
        "~~~yaml check\n",
        "~~~\n",
        "read: x\n",
        "expect: '> 1'\n",
        "args: {a: {{ b }}\n",
        "args: &x [*x]\n",
        "- !!python/object:os.system x\n",
        "? [a]\n: b\n",
        "\t",
        "\ufeff",
        "\x07",
        "description: d\n",
        "## Mitigation\n### disk_full\n~~~yaml action\naction: a\n",
        "\U0001f4a5",
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=25))
def test_no_file_whatsoever_raises_anything_else(pieces: list[str]) -> None:
    text = "".join(pieces)
    with suppress(UnusableInput):
        book = parse(text, "slow")
        assert book.text in text.replace("\r\n", "\n").replace("\r", "\n")
