"""`stanch eval`: the reasoner on every scenario, scored against the truth that no reasoner sees."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, out, out_json

if TYPE_CHECKING:
    from rich.console import Console

    from agent.lab.server import Lab
    from agent.surfaces.cli.scores import Mark

MINUTES = 5


@click.command("eval")
@click.argument("folder", type=click.Path(), required=False)
@click.option("--reasoner", type=click.Choice(["runbook", "openai"]), default="runbook", show_default=True)
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option("--first-seed", default=1, show_default=True, type=click.IntRange(1))
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1, 64), help="Processes side by side.")
@click.option("--blind", is_flag=True, help="Alerts with names that tell nothing, and no runbook_url.")
@click.option("--only", multiple=True, help="Only these scenarios.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def evaluate(
    session: Session,
    folder: str | None,
    reasoner: str,
    seeds: int,
    first_seed: int,
    jobs: int,
    blind: bool,
    only: tuple[str, ...],
    as_json: bool,
) -> int:
    """Score the reasoner on the scenarios (of FOLDER, or the shipped ones): cause, component, action, harm, abstention."""
    from agent.surfaces.cli.scores import report

    names = _names(folder)
    if unknown := set(only) - set(names):
        raise UnusableInput(
            f"There is no scenario {', '.join(sorted(unknown))}. There are: {', '.join(sorted(names))}."
        )
    wanted = {name: source for name, source in names.items() if not only or name in only}
    runs = [(name, source, seed) for seed in range(first_seed, first_seed + seeds) for name, source in wanted.items()]
    marks = []
    for one in _marks(session, runs, reasoner, jobs, blind):
        marks.append(one)
        if not as_json:
            _say(one)
    whole = report(reasoner, seeds, marks)
    if as_json:
        out_json(whole)
    else:
        _table(whole)
    return Exit.OK


def _marks(
    session: Session, runs: Sequence[tuple[str, str, int]], reasoner: str, jobs: int, blind: bool
) -> Iterator[Mark]:
    """The marks in the order of the runs, however many processes make them."""
    if jobs == 1 or len(runs) == 1:
        yield from (_mark(session, *one, reasoner, blind) for one in runs)
        return
    with ProcessPoolExecutor(min(jobs, len(runs)), multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(_mark, session, *one, reasoner, blind) for one in runs]
        yield from (one.result() for one in waiting)


def _mark(session: Session, name: str, source: str, seed: int, reasoner: str, blind: bool) -> Mark:
    return asyncio.run(marked(session, name, source, seed, reasoner, blind))


def _names(folder: str | None) -> dict[str, str]:
    """Scenario name → what the lab loads it by."""
    from agent.lab import scenario

    if folder is None:
        return {name: name for name in scenario.names()}
    found = {path.stem: str(path) for path in sorted(Path(folder).glob("*.yaml"))}
    if not found:
        raise UnusableInput(f"{folder} holds no scenario (*.yaml).")
    return found


async def marked(session: Session, name: str, source: str, seed: int, reasoner: str, blind: bool = False) -> Mark:
    """One incident from alert to end, every proposal approved, in a folder of its own."""
    from agent.domain.catalog import Person
    from agent.surfaces.cli import demo_env
    from agent.surfaces.cli.run_loop import Driver
    from agent.surfaces.cli.scores import mark
    from agent.surfaces.cli.screen import Screen

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stanch-eval-") as place:
        quiet = Session(session.open, {**session.flags, "data": place, "reasoner": reasoner})
        async with demo_env.begun(quiet, [], source, seed, blind=blind) as (app, alerts, lab):
            screen = Screen(_nowhere())
            by = Person("demo:--approve", None)
            driver = Driver(app, screen, by, wait=True, interactive=False, auto=True)
            received = await app.api.receive(alerts)
            incident = next(r.incident for r in received if r.incident)
            await driver.drive(incident)
            incident_view, took = await app.api.incident_view(incident), time.monotonic() - began
            return mark(name, seed, incident_view, lab.truth, took, _over(lab))


def _over(lab: Lab) -> bool:
    """Whether the alert is over by the time the scenario grants: error and restarts are counted over windows that end later."""
    from agent.lab.clock import LabClock

    for _ in range(int(lab.truth.recovery_minutes // MINUTES)):
        if lab.recovered():
            return True
        if isinstance(lab.clock, LabClock):
            lab.clock.advance(timedelta(minutes=MINUTES))
    return lab.recovered()


def _nowhere() -> Console:
    import io

    from rich.console import Console

    return Console(file=io.StringIO())


def _say(one: Mark) -> None:
    ok = "✓" if one.cause_right and one.action_right and not one.harmful else "✗"
    out(
        f"{ok} {one.scenario:26} seed {one.seed}: {one.cause}{'' if one.action_right else '; wrong action'}{'; HARMFUL' if one.harmful else ''} ({one.seconds:.1f} s)"
    )


_SHOWN = ("cause_right", "component_right", "action_right", "recovered", "reads", "seconds")  # what fits 80 columns


def _table(whole: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    from agent.surfaces.cli.scores import COUNTS, SHARES

    table = Table(title=f"reasoner {whole['reasoner']}, {whole['scenarios']} scenarios, {whole['seeds']} seeds")
    table.add_column("scenario", no_wrap=True)
    for name in _SHOWN:
        table.add_column(name.replace("_", "\n"), justify="right")
    per_kind = whole["per_kind"]
    assert isinstance(per_kind, dict)
    worst_first = sorted(
        per_kind.items(), key=lambda item: (item[1]["cause_right"] or 0) + (item[1]["action_right"] or 0)
    )
    for kind, row in [*worst_first, ("all", whole)]:
        table.add_row(kind, *(_cell(row[name]) for name in _SHOWN))
    Console().print(table)
    for name in (*SHARES, *COUNTS):
        out(f"{name.replace('_', ' '):18} {_cell(whole[name])}")


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.2f}" if isinstance(value, float) and value <= 1 else f"{value:g}"
