"""What a scorecard would justify: one step of the ladder of trust, as a diff of the policy file that cites its figures.

Nothing is changed: an operator reads it, and applies it or does not.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import yaml

from agent.errors import BadConfiguration
from agent.gate.policy import Policy, parse
from agent.gate.scorecard import Row
from agent.yaml_file import Loader, line_in

ENOUGH_TO_ASK, ENOUGH_TO_ALLOW = 5, 20  # proposals that people judged
AGREED_TO_ASK, AGREED_TO_ALLOW = 0.8, 0.95
DISTRUSTED = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """`diff` is "" where the file cannot be changed by one line; then the words say what to write."""

    action: str
    environment: str
    before: str
    after: str
    why: str
    diff: str


def steps(rows: Sequence[Row], policy: Policy, text: str, name: str, today: date) -> list[Step]:
    """One step for each row that has earned it, up or down."""
    found = []
    for row in rows:
        if (after := earned(row)) is not None:
            why = figures(row)
            diff = _diff(row, after, f"scorecard of {today.isoformat()}: {why}", policy, text, name)
            found.append(Step(row.action, row.environment, row.verdict, after, why, diff))
    return found


def earned(row: Row) -> str | None:
    """The next verdict up or down the ladder, or None. No step is ever longer than one."""
    agreed, unknown = row.agreement or 0.0, row.outcomes["UNKNOWN"]
    clean = not (row.wrong_causes or row.undos or unknown)
    if row.verdict == "allow" and (row.undos or unknown or row.not_recovered):
        return "ask"
    if row.verdict == "ask" and row.judged >= ENOUGH_TO_ASK and agreed < DISTRUSTED:
        return "suggest"
    if row.verdict in ("shadow", "suggest") and row.judged >= ENOUGH_TO_ASK:
        trusted = agreed >= AGREED_TO_ASK and not row.wrong_causes
        return {"shadow": "suggest", "suggest": "ask"}[row.verdict] if trusted else None
    ready = row.verdict == "ask" and row.risk == "reversible" and row.judged >= ENOUGH_TO_ALLOW
    return "allow" if ready and agreed >= AGREED_TO_ALLOW and clean and not row.not_recovered else None


def figures(row: Row) -> str:
    """`12 proposals, people agreed with 11 of 12 (92 %), 0 wrong causes, …`: what a promotion cites."""
    agreed = round((row.agreement or 0.0) * row.judged)
    share = "" if row.agreement is None else f" ({row.agreement:.0%})"
    waited = "" if row.minutes_to_approve is None else f", {row.minutes_to_approve:g} min to approve (median)"
    ran = ", ".join(f"{count} {name}" for name, count in sorted(row.outcomes.items()))
    return (
        f"{len(row.records)} proposals, people agreed with {agreed} of {row.judged}{share}, "
        f"{row.wrong_causes} wrong causes, {row.undos} undone{waited}{f', {ran}' if ran else ''}"
    )


def _diff(row: Row, after: str, cited: str, policy: Policy, text: str, name: str) -> str:
    """A rule for this action and environment before the one that decides now, with that one's other conditions: what
    stands above keeps its say, and no limit is lost."""
    places = [i for i, rule in enumerate(policy.file.rules) if (rule.name or f"rule {i + 1}") == row.rule]
    lines = text.splitlines(keepends=True)
    if len(places) != 1:
        return ""
    at = line_in(text, ("rules", places[0])) - 1
    dash = re.match(r"( *)- ", lines[at])
    if dash is None:
        return ""
    raw = yaml.load(text, Loader=Loader)["rules"][places[0]]
    where = {"environment": row.environment} if row.environment else {}
    rule = {
        **raw,
        "name": f"{row.action}{f' in {row.environment}' if row.environment else ''}",
        "action": row.action,
        **where,
        "verdict": after,
    }
    written = yaml.safe_dump(rule, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True).strip()
    changed = [*lines[:at], f"{dash[1]}# {cited}\n", f"{dash[1]}- {written}\n", *lines[at:]]
    try:
        parse("".join(changed), name)
    except BadConfiguration:
        return ""
    return "".join(difflib.unified_diff(lines, changed, f"a/{name}", f"b/{name}"))
