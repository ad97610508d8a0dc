"""`stanch policy`: check the file, test it against a table of cases, explain a verdict."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.errors import BadConfiguration, UnusableInput
from agent.surfaces.cli.approvals import assignments
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.session import Session, holding, opened, out, out_json, run

if TYPE_CHECKING:
    from agent.domain.catalog import Catalog
    from agent.gate.explain import Explanation
    from agent.gate.policy_tests import Tested
    from agent.settings import Settings

MARK = {"decides": "→", "counts": "?", "passed": " ", "later": " "}
PART = {
    "decides": "decides",
    "counts": "counts too, for it cannot be told to fit or not",
    "passed": "does not fit",
    "later": "would fit, and comes after the rule that decided",
}


@click.group()
def policy() -> None:
    """Check, test and explain the policy file."""


@policy.command()
@click.argument("file", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def check(session: Session, file: str | None, as_json: bool) -> int:
    """Read a policy file and name every mistake by file, line and mend (exit 4), and what can never matter here (exit 7)."""
    from agent.gate import policy_check
    from agent.gate.known_tools import known
    from agent.gate.policy import load

    settings = session.settings()
    path = _path(settings, file)
    found = load(path)
    text = path.read_text(encoding="utf-8")
    odd = policy_check.findings(text, str(path), found, known(settings).by_name(), _catalog(settings))
    if as_json:
        out_json({"policy": str(path), "version": found.version, "rules": len(found.file.rules), "findings": odd})
        return Exit.FOUND if odd else Exit.OK
    for one in odd:
        out(one)
    out(f"{path}: {len(found.file.rules)} rules, version {found.version[:12]}; what no rule matches is denied.")
    return Exit.FOUND if odd else Exit.OK


def _path(settings: Settings, file: str | None) -> Path:
    path = Path(file) if file else settings.policy
    if path is None:
        raise BadConfiguration(
            "There is no policy.yaml here. `stanch init` writes one that suggests everything and runs nothing."
        )
    return path


def _catalog(settings: Settings) -> Catalog | None:
    from agent.domain import catalog

    return catalog.load(settings.catalog) if settings.catalog else None


# -- test -------------------------------------------------------------------------------------------------------------


@policy.command()
@click.argument("file", type=click.Path())
@click.option("--policy", "policy_file", type=click.Path(), help="The policy to test instead of the configured one.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def test(session: Session, file: str, policy_file: str | None, as_json: bool) -> int:
    """Put each case of a YAML list to the policy: {name, action, arguments, circumstances: {environment, cluster, service,
    at}, expect}. Exit 7 when one gets another verdict; rules that no case reaches are listed."""
    from agent.gate import policy_tests
    from agent.gate.known_tools import known
    from agent.gate.policy import load

    settings = session.settings()
    path = _path(settings, policy_file)
    found = load(path)
    tested = policy_tests.run(found, policy_tests.load(Path(file)), known(settings).by_name(), datetime.now(UTC))
    if as_json:
        out_json({"policy": str(path), "version": found.version, **_tested_json(tested)})
    else:
        _table(tested)
    return Exit.FOUND if tested.failed else Exit.OK


def _tested_json(tested: Tested) -> dict[str, Any]:
    listed = [
        {
            "name": c.case.name,
            "action": c.case.action,
            "expect": str(c.case.expect),
            "verdict": str(c.verdict),
            "quorum": c.quorum,
            "rule": c.rule,
            "why": c.why,
            "passed": not c.wrong,
        }
        for c in tested.checked
    ]
    return {
        "cases": listed,
        "passed": len(listed) - tested.failed,
        "failed": tested.failed,
        "rules": list(tested.rules),
        "unreached": list(tested.unreached),
    }


def _table(tested: Tested) -> None:
    from agent.domain.text import visible

    wide = min(max(len(visible(one.case.name)) for one in tested.checked), 48)
    for one in tested.checked:
        said = f"{one.verdict!s:8}{visible(one.rule) or 'no rule'}"
        out(f"{'✗' if one.wrong else '✓'} {visible(one.case.name):{wide}}  {said}")
        if one.wrong:
            out(f"  {'':{wide}}  {one.wrong}: {visible(one.why)}")
    out(f"{len(tested.checked)} cases, {tested.failed} failed.")
    reached = len(tested.rules) - len(tested.unreached)
    out(f"{reached} of {len(tested.rules)} rules are reached by a case.")
    for name in tested.unreached:
        out(f"  no case reaches: {visible(name)}")


# -- explain ----------------------------------------------------------------------------------------------------------


@policy.command()
@click.argument("what", metavar="PROPOSAL|ACTION")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--environment", default="", help="Instead of the catalog's.")
@click.option("--cluster", default="", help="Instead of the catalog's.")
@click.option("--service", default="", help="Instead of the catalog's.")
@click.option("--at", default="", help="A time such as 2026-11-24T09:00+01:00; default: now.")
@click.option("--now", "present", multiple=True, metavar="KEY=VALUE", help="What an argument is at present.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def explain(
    session: Session,
    what: str,
    arguments: tuple[str, ...],
    environment: str,
    cluster: str,
    service: str,
    at: str,
    present: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say why a proposal gets its verdict, or would get one: each rule in order, then freezes, budgets and the kill switch."""
    where = {"environment": environment, "cluster": cluster, "service": service}
    return run(_explain(session, what, assignments(arguments), where, _moment(at), assignments(present), as_json))


async def _explain(
    session: Session,
    what: str,
    arguments: dict[str, Any],
    where: dict[str, str],
    at: datetime | None,
    present: dict[str, Any],
    as_json: bool,
) -> int:
    async with opened(session) as app:
        if what in app.tools.by_name():
            request = app.api.request(what, arguments, where, at, present)
            _show(await app.api.explain(request), as_json)
            return Exit.OK
    try:
        async with holding(session, lambda app: app.api.proposal(what)) as (app, proposal):
            told = await app.api.explain(proposal.request(at or app.clock.now()))
            _show(told, as_json, f"{proposal.id} was sealed with {proposal.verdict}, and is {proposal.state}.")
    except UnusableInput as error:
        known = ", ".join(sorted(app.tools.by_name()))
        raise UnusableInput(f"{error} Or name an action: {known}.") from None
    return Exit.OK


def _show(told: Explanation, as_json: bool, head: str = "") -> None:
    from agent.domain.text import visible

    if as_json:
        out_json(_explained_json(told, head))
        return
    if head:
        out(head)
    ruling = told.ruling
    asks = f", {ruling.quorum} of {', '.join(ruling.approvers)}" if ruling.verdict == "ask" else ""
    out(f"Policy says {ruling.verdict}{asks}: {visible(ruling.why)}")
    for step in told.steps:
        out(f"{MARK[step.part]} {step.number}. {visible(step.name)} ({step.verdict}): {PART[step.part]}")
        out(f"     {visible(step.why)}")
    for floor in told.floors:
        out(f"! whatever the file says: {visible(floor)}")
    for one in told.standing:
        out(f"{'!' if one.stops else ' '} {one.what}: {visible(one.text)}")


def _explained_json(told: Explanation, head: str) -> dict[str, Any]:
    ruling = told.ruling
    return {
        "about": head or None,
        "verdict": str(ruling.verdict),
        "rule": ruling.rule,
        "why": ruling.why,
        "approvers": list(ruling.approvers),
        "quorum": ruling.quorum,
        "rules": [
            {"number": s.number, "name": s.name, "verdict": str(s.verdict), "part": s.part, "why": s.why}
            for s in told.steps
        ],
        "floors": list(told.floors),
        "standing": [{"what": s.what, "text": s.text, "stops": s.stops} for s in told.standing],
    }


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UnusableInput(f"{text!r} is no time. Write one such as 2026-11-24T09:00+01:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
