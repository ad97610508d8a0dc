"""`stanch signals`: what the platform measures of a subject, whatever it is called there; and a trial of a file of signals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.errors import NotConfigured, StanchError, UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, places, run

if TYPE_CHECKING:
    from tools.context import Context
    from tools.signals.dialects import Dialect, Signal


@click.command()
@click.argument("words", nargs=-1, metavar="[SUBJECT | test FILE]")
@click.option("--minutes", type=click.IntRange(5, 720), default=20, show_default=True, help="What counts as now.")
@click.option("--all", "every", is_flag=True, help="Also signals that say nothing here, and why.")
@click.option(
    "--coverage", "covered", is_flag=True, help="Which dialects come with Stanch, and which of them are proved."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list on stdout.")
@click.option("--demo", "in_demo", is_flag=True, help="Ask the demo's platform instead of yours.")
@click.pass_obj
def signals(
    session: Session, words: tuple[str, ...], minutes: int, every: bool, covered: bool, as_json: bool, in_demo: bool
) -> int:
    """What is measured of SUBJECT ([Kind/][namespace/]name): now, before, its usual band, and since when it is out of it.

    Without SUBJECT: which signals resolve here, and through which exporters. `test FILE` tries a file of signals of your own
    (the form is that of tools/signals/*.yaml) against the configured Prometheus. `--coverage` asks nobody: a dialect is proved where its values were those
    of queries by hand, on the real exporter, server or application."""
    if covered:
        return _coverage(as_json)
    if words[:1] == ("test",) and len(words) == 2:
        return run(_test(session, Path(words[1]), as_json))
    if len(words) > 1:
        raise UnusableInput(
            f"One subject at a time: {' '.join(words)!r} are {len(words)} words. Write [Kind/][namespace/]name."
        )
    demo = in_demo and True in places(session.settings())
    if words:
        return run(_show(session, words[0], minutes, every, as_json, demo))
    return run(_resolve(session, every, as_json, demo))


async def _show(session: Session, subject: str, minutes: int, every: bool, as_json: bool, demo: bool) -> int:
    from tools.signals.dialects import shipped
    from tools.signals.signal import line_of, read_signals, server_of, subjects_meant

    async with opened(session, demo=demo) as app:
        await app.api.run_context.knowledge.refresh(app.api.context())
        context = app.api.context()
        meant = subjects_meant(context, subject)
        found = await read_signals(await server_of(context), shipped(), meant, minutes)
    told = [one for one in found if every or one.nothing is None or one.last_seen]
    if as_json:
        out_json([one.to_json() for one in told])
    else:
        for one in told:
            out(("! " if one.bad else "  ") + line_of(one, context.as_of))
        if not told:
            out(f"No signal is known of {subject}. `stanch signals --all` says what this Prometheus could tell.")
    return Exit.OK if told else Exit.NO_CAUSE


def _coverage(as_json: bool) -> int:
    from tools.signals.dialects import shipped

    if as_json:
        out_json([_row(one, one.dialects) for one in shipped()])
        return Exit.OK
    for one in shipped():
        proved = [dialect.name for dialect in one.dialects if dialect.proved]
        rest = [dialect.name for dialect in one.dialects if not dialect.proved]
        texts = [f"{sign} {', '.join(names)}" for sign, names in (("✓", proved), ("–", rest)) if names]
        out(f"{one.signal:28} {len(proved):2} of {len(one.dialects):2}  {'  '.join(texts)}")
    every = [dialect.proved for one in shipped() for dialect in one.dialects]
    told = sum(any(dialect.proved for dialect in one.dialects) for one in shipped())
    out(f"{sum(every)} of {len(every)} dialects are proved, of {told} of {len(shipped())} signals.")
    return Exit.OK


async def _resolve(session: Session, every: bool, as_json: bool, demo: bool) -> int:
    from tools.signals.dialects import shipped, spoken
    from tools.signals.signal import server_of

    async with opened(session, demo=demo) as app:
        server = await server_of(app.api.context())
    rows = [(one, here.dialects if (here := spoken(one, server.names)) else ()) for one in shipped()]
    if as_json:
        out_json([_row(one, dialects) for one, dialects in rows if every or dialects])
        return Exit.OK
    for one, dialects in rows:
        if dialects:
            out(f"{one.signal:28} {', '.join(d.name + ('' if d.proved else ' (unproved)') for d in dialects)}")
        elif every:
            out(f"{one.signal:28} -")
    out(
        f"{sum(bool(d) for _, d in rows)} of {len(rows)} signals can be read here, of {len(server.targets.by_place)} targets."
    )
    return Exit.OK


def _row(signal: Signal, dialects: Sequence[Dialect]) -> dict[str, Any]:
    named = [{"name": one.name, "proved": one.proved, "source": one.source} for one in dialects]
    return {"signal": signal.signal, "meaning": signal.meaning, "unit": signal.unit, "dialects": named}


async def _test(session: Session, path: Path, as_json: bool) -> int:
    from tools.signals.dialects import read_signals

    try:
        found = read_signals(path.read_text(), path.name)
    except OSError as error:
        raise UnusableInput(f"{path} cannot be read: {error.strerror}.") from None
    except NotConfigured as error:
        raise UnusableInput(str(error)) from None
    async with opened(session) as app:
        rows = [await _trial(app.api.context(), one, dialect) for one in found for dialect in one.dialects]
    if as_json:
        out_json(rows)
    else:
        for row in rows:
            out(f"{row['signal']:28} {row['dialect']:24} {row['says']}")
    return Exit.FOUND if any(row["series"] is None for row in rows) else Exit.OK


async def _trial(context: Context, signal: Signal, dialect: Dialect) -> dict[str, Any]:
    """How many series a dialect's query brings at present, and one of its values."""
    from tools.formatting import labels_text, number
    from tools.prometheus.client import prometheus

    row: dict[str, Any] = {"signal": signal.signal, "dialect": dialect.name, "query": dialect.filled("")}
    try:
        series = (await prometheus(context).instant(dialect.filled(""))).series
    except StanchError as error:
        return row | {"series": None, "says": str(error)}
    first = f", {labels_text(series[0].labels)}: {number(series[0].last, signal.unit)}" if series else ""
    return row | {"series": len(series), "says": f"{len(series)} series{first}"}
