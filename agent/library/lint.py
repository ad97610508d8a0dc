"""What is wrong with runbooks, before three in the morning: blocks, tools, arguments, PromQL, headings, review dates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ValidationError

from agent.domain.cause import Fault
from agent.domain.check import Check
from agent.errors import UnusableInput
from agent.library.parse import read_folder
from agent.library.render import PROMQL_ARGUMENTS, Names, render_action, render_check
from agent.library.runbook import ActionBlock, CheckBlock, Runbook
from tools.context import Json

HEADINGS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "Verify", "Rollback", "Escalation")
STALE_AFTER = timedelta(days=180)
_BEFORE = re.compile(r"\bbefore\.(\w+)")

Schemas = Mapping[str, type[BaseModel]]


class Level(StrEnum):
    ERROR = "error"  # it will not work
    WARNING = "warning"  # somebody should look


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `line` is 0 where the whole file is meant."""

    path: str
    line: int
    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.level}: {self.text}"


def lint(folders: Sequence[Path], reads: Schemas, actions: Schemas, today: date) -> list[Problem]:
    """All problems of all runbooks, by file and line. `reads` and `actions`: name → model of its arguments.

    A foreign file (without our front matter) is only asked to be readable.
    """
    found: list[Problem] = []
    for folder in folders:
        books, passed = read_folder(folder)
        for one in passed:
            found += [_broken(str(one.path), why) for why in one.why.split("; line ")]
        for book in books:
            if _ours(book):
                found += lint_book(book, reads, actions, today)
    return sorted(found, key=lambda p: (p.path, p.line))


def lint_book(book: Runbook, reads: Schemas, actions: Schemas, today: date) -> list[Problem]:
    """Problems of one runbook of ours."""
    found = [*_review(book, today), *_headings(book), *_faults(book)]
    for check in book.checks:
        found += _check(book, check, reads)
    for action in book.actions:
        found += _action(book, action, reads, actions)
    return found


def _ours(book: Runbook) -> bool:
    return bool(book.kind.value != "unknown")


def _broken(path: str, why: str) -> Problem:
    found = re.match(r"(?:line )?(\d+): (.*)", why, re.DOTALL)
    return Problem(path, int(found[1]) if found else 0, Level.ERROR, found[2] if found else why)


def _error(book: Runbook, line: int, text: str) -> Problem:
    return Problem(book.path, line, Level.ERROR, text)


def _warning(book: Runbook, line: int, text: str) -> Problem:
    return Problem(book.path, line, Level.WARNING, text)


def _review(book: Runbook, today: date) -> Iterator[Problem]:
    if not book.owner:
        yield _warning(book, 0, "names no owner. Add stanch.owner.")
    if book.reviewed is None:
        yield _warning(book, 0, "says nowhere when it was reviewed. Add stanch.reviewed.")
    elif book.reviewed > today:
        yield _warning(book, 0, f"was reviewed on {book.reviewed}, which is yet to come. Correct stanch.reviewed.")
    elif today - book.reviewed > STALE_AFTER:
        yield _warning(
            book, 0, f"was last reviewed {(today - book.reviewed).days} days ago. Read it and set stanch.reviewed."
        )


def _headings(book: Runbook) -> Iterator[Problem]:
    there = {section.heading.split(" / ")[0].lower() for section in book.sections}
    for heading in HEADINGS:
        if heading.lower() not in there:
            what = "an action without a way back" if heading == "Rollback" and book.actions else "or an empty one"
            yield _error(book, 0, f"has no section ## {heading} ({what}). Write it, if only to say that there is none.")


def _faults(book: Runbook) -> Iterator[Problem]:
    """That checks and Mitigation speak of the same faults."""
    topics = [s.heading.split(" / ", 1)[1] for s in book.sections if s.heading.lower().startswith("mitigation / ")]
    known = [str(fault) for fault in Fault]
    for topic in topics:
        if topic not in known and (close := difflib.get_close_matches(topic.lower(), known, 1)):
            yield _warning(book, 0, f"### {topic} is no fault. Did you mean {close[0]}?")
    suggested = {check.suggests for check in book.checks if check.suggests}
    for fault in sorted(suggested - {Fault(t) for t in topics if t in known}):
        yield _warning(
            book, 0, f"checks suggest {fault}, and Mitigation has no ### {fault}. Say what to do, or whom to call."
        )
    for action in book.actions:
        if action.fault not in suggested:
            yield _warning(
                book, action.line, f"no check suggests {action.fault}, so this action is never proposed. Add a check."
            )


def _check(book: Runbook, block: CheckBlock, reads: Schemas) -> Iterator[Problem]:
    if block.suggests is None and block.rules_out is None:
        yield _warning(book, block.line, "this check tells nothing. Add suggests or rules_out.")
    if not block.title:
        yield _warning(book, block.line, "this check has no line above it that says what it asks. Write one.")
    try:
        check = render_check(block, _sample(block.args), book.name)
    except UnusableInput as error:
        yield _error(book, block.line, str(error))
        return
    yield from _read(book, block.line, check, reads)


def _read(book: Runbook, line: int, check: Check, reads: Schemas) -> Iterator[Problem]:
    yield from _arguments(book, line, "read", check.read, check.args, reads)
    for promql in _promql(check.args):
        if why := promql_mistake(promql):
            yield _error(book, line, f"PromQL does not parse: {why}. In: {promql}")


def _action(book: Runbook, block: ActionBlock, reads: Schemas, actions: Schemas) -> Iterator[Problem]:
    try:
        name, args, success = render_action(block, _sample([block.args, block.success, *block.guards]), book.name)
    except UnusableInput as error:
        yield _error(book, block.line, str(error))
        return
    yield from _arguments(book, block.line, "action", name, args, actions)
    for check in (*success.checks, *(guard.check for guard in success.guards)):
        yield from _read(book, block.line, check, reads)


def _arguments(
    book: Runbook, line: int, what: str, name: str, args: Mapping[str, Json], schemas: Schemas
) -> Iterator[Problem]:
    if name not in schemas:
        close = difflib.get_close_matches(name, list(schemas), 1)
        mend = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(schemas)) or 'none'}."
        yield _error(book, line, f"there is no {what} {name}. {mend}")
        return
    schema = schemas[name]
    try:
        schema.model_validate(dict(args))
    except ValidationError as error:
        for one in error.errors(include_url=False):
            where = ".".join(str(part) for part in one["loc"]) or "arguments"
            yield _error(book, line, f"{name}: {where}: {one['msg']}. It takes: {', '.join(schema.model_fields)}.")


def _promql(value: Json) -> list[str]:
    if isinstance(value, Mapping):
        own = [one for key, one in value.items() if key in PROMQL_ARGUMENTS and isinstance(one, str)]
        return own + [text for key, one in value.items() if key not in PROMQL_ARGUMENTS for text in _promql(one)]
    return [text for one in value for text in _promql(one)] if isinstance(value, list | tuple) else []


def promql_mistake(promql: str) -> str:
    """What the PromQL parser says against it, in one line; "" when it parses."""
    import promql_parser

    try:
        promql_parser.parse(promql)
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def _sample(block: Json) -> Names:
    """Names with values of the right kind, whatever the block asks of the state before."""
    before = {name: "3" if "version" in name or "image" in name else 3 for name in _BEFORE.findall(str(block))}
    return Names("sample", "cluster-1/space/sample", "sample-model", "space", "cluster-1", before)
