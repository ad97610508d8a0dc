"""`stanch runbooks`: list, search, check and begin runbooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.clock import RealClock
from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, out, out_json, run

if TYPE_CHECKING:
    from agent.library.index import Library


@click.group()
def runbooks() -> None:
    """List, search, check and begin runbooks."""


def _library(session: Session, folder: str | None) -> Library:
    from agent.library.index import Library

    settings = session.settings()
    if folder is not None and not Path(folder).is_dir():
        raise UnusableInput(f"{folder} is not a folder. Give --dir a folder with Markdown files.")
    folders = (Path(folder),) if folder else settings.runbooks
    return Library.open(folders, settings.data / "index")


@runbooks.command("list")
@click.option("--json", "as_json", is_flag=True)
@click.option("--dir", "folder", type=click.Path(), default=None)
@click.pass_obj
def listing(session: Session, as_json: bool, folder: str | None) -> int:
    """Every runbook there is, and the files that were passed over."""
    return run(_list(session, as_json, folder))


async def _list(session: Session, as_json: bool, folder: str | None) -> int:
    library = _library(session, folder)
    books = [book for name in library.names() if (book := library.book(name)) is not None]
    if as_json:
        out_json(
            [
                {"name": b.name, "kind": str(b.kind), "alerts": list(b.alerts), "description": b.description}
                for b in books
            ]
        )
    else:
        for book in books:
            out(f"{book.name:24} {book.kind:7} {book.description or book.title}")
        for one in library.broken:
            out(f"passed over {one.path}: {one.why}")
    return Exit.OK


@runbooks.command()
@click.argument("text", required=False)
@click.option("--queries", type=click.Path(), help="JSONL with query_id and text; prints one ranked list a line.")
@click.option("--dir", "folder", type=click.Path(), default=None, help="Search this folder instead.")
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 100))
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def search(
    session: Session, text: str | None, queries: str | None, folder: str | None, limit: int, as_json: bool
) -> int:
    """Runbooks for a text or an alert's name; nothing relevant gives nothing."""
    if (text is None) == (queries is None):
        raise UnusableInput("Give a text to search for, or --queries FILE, one of the two.")
    return run(
        _bulk(session, queries, folder, limit) if queries else _search(session, text or "", folder, limit, as_json)
    )


async def _search(session: Session, text: str, folder: str | None, limit: int, as_json: bool) -> int:
    library = _library(session, folder)
    found = library.search(text, limit)
    if as_json:
        out_json([{"name": m.name, "score": round(m.score, 4), "section": m.section, "why": m.why} for m in found])
    else:
        for match in found:
            out(f"{match.score:.2f}  {match.name}  ({match.section}; {match.why})")
        if not found:
            out("No runbook fits.")
    return Exit.OK


async def _bulk(session: Session, queries: str, folder: str | None, limit: int) -> int:
    rows = [_query(line, n) for n, line in enumerate(_lines(queries), 1) if line.strip()]
    library = _library(session, folder)
    for row, found in zip(rows, library.search_many([row["text"] for row in rows], limit), strict=True):
        ranked = list(dict.fromkeys(match.name for match in found))
        out_json({"query_id": row["query_id"], "ranked": ranked}, None)
    return Exit.OK


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableInput(f"{path} cannot be read: {error}. Give a JSONL file.") from None


def _query(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or "query_id" not in row or not isinstance(row.get("text"), str):
        raise UnusableInput(f'Line {number} is not {{"query_id": …, "text": "…"}}.')
    return row


@runbooks.command()
@click.argument("folders", nargs=-1, type=click.Path())
@click.pass_obj
def lint(session: Session, folders: tuple[str, ...]) -> int:
    """Check runbooks: blocks, tools, arguments, PromQL, headings, review dates. Exit 7 when something is wrong."""
    return run(_lint(session, folders))


async def _lint(session: Session, folders: tuple[str, ...]) -> int:
    from agent.library.lint import lint as check
    from tools.listing import TOOLS

    places = [Path(folder) for folder in folders] or list(session.settings().runbooks)
    if missing := [str(place) for place in places if not place.is_dir()]:
        raise UnusableInput(f"{', '.join(missing)} is no folder. Give the folders that hold the runbooks.")
    reads = {read.name: read.arguments for read in TOOLS.reads}
    problems = check(places, reads, dict(TOOLS.by_name()), RealClock().now().date())
    for problem in problems:
        out(str(problem))
    errors = [p for p in problems if p.level == "error"]
    out(f"{len(errors)} errors, {len(problems) - len(errors)} warnings in {', '.join(map(str, places))}")
    return Exit.FOUND if errors else Exit.OK


@runbooks.command()
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(), default="runbooks", show_default=True)
def new(name: str, folder: str) -> int:
    """Begin a runbook from the template."""
    from agent.library.new import write

    out(
        f"{write(Path(folder), name, RealClock().now().date())} written. Fill it in, then: stanch runbooks lint {folder}"
    )
    return Exit.OK
