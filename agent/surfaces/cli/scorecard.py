"""`stanch scorecard`: how proposals fared, and which step of trust their figures would justify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, opened, out, out_json, run

if TYPE_CHECKING:
    from agent.gate.policy_suggestion import Step
    from agent.gate.scorecard import Row


@click.command()
@click.option("--json", "as_json", is_flag=True)
@click.option("--demo", "in_demo", is_flag=True, help="The demo's incidents instead of yours.")
@click.pass_obj
def scorecard(session: Session, as_json: bool, in_demo: bool) -> int:
    """By action and environment: proposals, agreement with what people then did, wrong causes, time to approve, overrides,
    undos, outcomes; and a diff of the policy where the figures would justify one. Nothing is changed."""
    return run(_scorecard(session, as_json, in_demo))


async def _scorecard(session: Session, as_json: bool, in_demo: bool) -> int:
    from agent.gate import policy_suggestion

    async with opened(session, demo=in_demo) as app:
        rows = await app.api.scorecard()
        path = app.settings.policy
        steps: list[Step] = []
        if path is not None:
            text = path.read_text(encoding="utf-8")
            steps = policy_suggestion.steps(rows, app.policy(), text, path.name, app.clock.now().date())
    if as_json:
        out_json({"rows": [row.to_json() for row in rows], "steps": [_step_json(one) for one in steps]})
    else:
        _show(rows, steps)
    return Exit.OK


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "action": step.action,
        "environment": step.environment or None,
        "from": step.before,
        "to": step.after,
        "why": step.why,
        "diff": step.diff or None,
    }


def _show(rows: list[Row], steps: list[Step]) -> None:
    from agent.domain.text import visible
    from agent.gate.policy_suggestion import figures

    if not rows:
        out("No proposal yet: there is nothing to score. `stanch demo` makes one on a simulated platform.")
    for row in rows:
        out(f"{visible(row.action)} in {visible(row.environment) or 'an unknown environment'} ({row.verdict} today)")
        out(f"  {figures(row)}")
        told = (
            (fate.value, sum(one.fate is fate for one in row.records))
            for fate in dict.fromkeys(r.fate for r in row.records)
        )
        out(
            f"  {', '.join(f'{count} {name}' for name, count in told)}; {row.overrides} overridden, {row.not_recovered} not recovered"
        )
    for step in steps:
        out(f"\nThese figures would justify {step.before} → {step.after} for {visible(step.action)}:")
        out(
            step.diff
            or f"  write a rule for {visible(step.action)} with verdict {step.after} above the one that decides now."
        )
