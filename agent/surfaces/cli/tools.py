"""`stanch tools`: what there is, and trying a read by hand. An action called here only shows its preview and verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.errors import Refused, UnusableInput
from agent.surfaces.cli.approvals import assignments
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, places, run

if TYPE_CHECKING:
    from agent.api import App


@click.group()
def tools() -> None:
    """List tools, and try a read by hand."""


@tools.command("list")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def listing(session: Session, as_json: bool) -> int:
    """Every tool, whether its backend is configured, and what it takes."""
    return run(_list(session, as_json))


async def _list(session: Session, as_json: bool) -> int:
    async with opened(session) as app:
        offered = app.tools.offered(app.backends)
        rows = [_row("read", r.name, r.doc, r.arguments_schema(), r in offered.reads, r.needs) for r in app.tools.reads]
        rows += [
            _row("action", a.name(), a.doc(), a.arguments_schema(), a in offered.actions, a.needs)
            | {"risk": str(a.risk)}
            for a in app.tools.actions
            if not a.undo_only
        ]
    if as_json:
        out_json(rows)
        return Exit.OK
    for row in rows:
        missing = "" if row["offered"] else f"  (no {row['needs']} configured)"
        out(
            f"{row['kind']:6} {row['name']}({', '.join(row['arguments'])}){missing}\n       {row['doc'].splitlines()[0]}"
        )
    return Exit.OK


def _row(kind: str, name: str, doc: str, schema: dict[str, Any], offered: bool, needs: str) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    names = [key if key in required else f"{key}?" for key in schema.get("properties", {})]
    return {
        "kind": kind,
        "name": name,
        "doc": doc,
        "arguments": names,
        "schema": schema,
        "offered": offered,
        "needs": needs,
    }


@tools.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True)
@click.option("--demo", "in_demo", is_flag=True, help="Ask the demo's platform instead of yours.")
@click.pass_obj
def call(session: Session, name: str, arguments: tuple[str, ...], as_json: bool, in_demo: bool) -> int:
    """Call a read with arguments, or preview an action: its change, dry run and verdict. Nothing is changed."""
    return run(_call(session, name, assignments(arguments), as_json, in_demo and True in places(session.settings())))


async def _call(session: Session, name: str, arguments: dict[str, Any], as_json: bool, demo: bool) -> int:
    async with opened(session, demo=demo) as app:
        if name in app.tools.by_name():
            return await _preview(app, name, arguments, as_json)
        read = app.tools.read(name)
        if read.maps:
            await app.api.run_context.knowledge.refresh(app.api.context())
        context = app.api.context()
        if source := arguments.get("source"):  # a path that a person types is theirs to read
            context = replace(context, backends=_with_folder(context.backends, str(source)))
        answer = await read(context, **arguments)
    from agent.domain.evidence import fact_json

    if as_json:
        facts = [fact_json(fact) for fact in answer.facts]
        out_json({"summary": answer.summary, "facts": facts, "data": answer.data, "link": answer.link})
        return Exit.OK
    out(answer.summary)
    for fact in answer.facts:
        out(f"  {fact.id} = {fact.value} {fact.unit}  {dict(fact.labels) or ''}".rstrip())
    if answer.link:
        out(answer.link)
    return Exit.OK


def _with_folder(backends: Any, source: str) -> Any:
    path = Path(source)
    if "://" in source or not path.exists():
        return backends
    folder = (path if path.is_dir() else path.parent).resolve()
    return replace(backends, drift_folders=(folder, *backends.drift_folders))


async def _preview(app: App, name: str, arguments: dict[str, Any], as_json: bool) -> int:
    from agent.surfaces.cli import cards

    person = app.api.person(f"os:{app.settings.os_user}")
    try:
        prepared = await app.api.preview(name, arguments, person)
    except Refused as error:  # nothing was to be done, so nothing was NOT_DONE: it cannot be asked for like this
        raise UnusableInput(str(error)) from None
    changes = [line.plain for line in cards.diff(prepared.proposal)]
    if as_json:
        verdict = {"verdict": str(prepared.ruling.verdict), "why": prepared.ruling.why}
        whole = {key: value for key, value in prepared.proposal.to_json().items() if key not in ("id", "digest", "key")}
        out_json({"summary": "; ".join(changes), "facts": [], "data": whole | verdict, "link": None})
        return Exit.OK
    for line in changes:
        out(line)
    out(f"verdict: {prepared.ruling.verdict}: {prepared.ruling.why}")
    out(f"command: {prepared.proposal.command}")
    return Exit.OK
