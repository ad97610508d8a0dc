"""`stanch approvals`: proposals that wait, and people's decisions on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import yaml

from agent.errors import UnusableInput
from agent.surfaces.cli.exit_codes import Exit
from agent.surfaces.cli.investigate import followers, output, shown_json
from agent.surfaces.cli.session import Session, holding, lock_or_busy, opened, out, out_json, places, run

if TYPE_CHECKING:
    from agent.api import App
    from agent.gate.proposal import Proposal


@click.group()
def approvals() -> None:
    """List, show, approve, edit, deny, revoke and settle proposals."""


@approvals.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that are settled.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def listing(session: Session, every: bool, as_json: bool) -> int:
    """Proposals that wait for a decision."""
    return run(_list(session, every, as_json))


async def _list(session: Session, every: bool, as_json: bool) -> int:
    from agent.domain.text import visible

    found: list[tuple[Proposal, dict[str, Any]]] = []
    for demo in places(session.settings()):
        async with opened(session, demo=demo) as app:
            for proposal in await app.api.proposals(only_open=not every):
                found.append((proposal, await app.api.approval_json(proposal)))
    if as_json:
        out_json([listed for _, listed in found])
        return Exit.OK
    for one, _ in found:
        out(f"{one.id}  {one.state!s:11}  {one.risk!s:11}  {visible(one.command, 100)}")
    if not found:
        out("Nothing waits for a decision.")
    return Exit.OK


@approvals.command()
@click.argument("proposal")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def show(session: Session, proposal: str, as_json: bool) -> int:
    """One proposal in full, as it is sealed."""
    return run(_show(session, proposal, as_json))


async def _show(session: Session, prefix: str, as_json: bool) -> int:
    from rich.console import Console

    from agent.surfaces.cli import cards

    async with holding(session, lambda app: app.api.proposal(prefix)) as (app, proposal):
        if as_json:
            out_json(await app.api.approval_json(proposal))
        else:
            await cards.show(Console(highlight=False), app, proposal)
    return Exit.OK


@approvals.command()
@click.argument("proposal")
@click.pass_obj
def explain(session: Session, proposal: str) -> int:
    """Why it is proposed, why it got its verdict, and the evidence it rests on."""
    return run(_explain(session, proposal))


async def _explain(session: Session, prefix: str) -> int:
    from agent.domain.text import visible

    async with holding(session, lambda app: app.api.proposal(prefix)) as (app, proposal):
        incident_view = await app.api.incident_view(proposal.incident)
        verdict = incident_view.verdicts.get(proposal.id)
        said, rule, why = (verdict.verdict, verdict.rule, verdict.why) if verdict else (None, None, "")
        out(f"{proposal.id}: {visible(proposal.command)}")
        out(f"Cause: {incident_view.cause}. {visible(proposal.why)}")
        out(f"Policy: {said} by {rule}: {visible(why)}")
        for finding in incident_view.findings:
            out(f"  {visible(finding.text)} [{' '.join(finding.evidence)}]")
        for missing in incident_view.not_checked:
            out(f"  not checked: {visible(missing.what)}: {visible(missing.why)}")
    return Exit.OK


@approvals.command()
@click.argument("proposal")
@click.option("--digest", default="", help="Refuse unless the proposal still has this digest (or begins so).")
@output
@click.pass_obj
def approve(session: Session, proposal: str, digest: str, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Approve exactly this proposal, run it, and wait through its verification."""
    return run(_decide(session, proposal, "approve", "", digest, as_json, jsonl, no_wait))


@approvals.command()
@click.argument("proposal")
@click.option("--reason", default="", help="Kept on the timeline; the reasoner is told.")
@output
@click.pass_obj
def deny(session: Session, proposal: str, reason: str, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Refuse a proposal."""
    return run(_decide(session, proposal, "deny", reason, "", as_json, jsonl, no_wait))


@approvals.command()
@click.argument("proposal")
@click.option("--reason", default="")
@output
@click.pass_obj
def revoke(session: Session, proposal: str, reason: str, as_json: bool, jsonl: bool, no_wait: bool) -> int:
    """Take an approval back; possible until the action starts."""
    return run(_decide(session, proposal, "revoke", reason, "", as_json, jsonl, no_wait))


@approvals.command()
@click.argument("proposal")
@click.option("--done/--not-done", "done", default=None, help="What became of it, as you have seen it.")
@click.option("--reason", required=True, help="How you know. Kept on the timeline as your word.")
@output
@click.pass_obj
def settle(
    session: Session, proposal: str, done: bool | None, reason: str, as_json: bool, jsonl: bool, no_wait: bool
) -> int:
    """Say what became of an action whose outcome is UNKNOWN. Nothing is run again by it; the incident goes on."""
    if done is None:
        raise UnusableInput("Say --done or --not-done, as you have seen it at the target.")
    return run(_settle(session, proposal, done, reason, as_json, jsonl, no_wait))


async def _settle(
    session: Session, prefix: str, done: bool, reason: str, as_json: bool, jsonl: bool, no_wait: bool
) -> int:
    listeners, screen = followers(session, jsonl)
    async with holding(session, lambda app: app.api.proposal(prefix), listeners) as (app, proposal):
        person = app.api.person(f"os:{app.settings.os_user}")
        settled = await app.api.settle(proposal.id, person, done, reason)
        return await _go_on(app, session, settled, screen, as_json, no_wait)


async def _decide(
    session: Session, prefix: str, answer: str, reason: str, digest: str, as_json: bool, jsonl: bool, no_wait: bool
) -> int:
    listeners, screen = followers(session, jsonl)
    async with holding(session, lambda app: app.api.proposal(prefix), listeners) as (app, proposal):
        if digest and not proposal.digest.startswith(digest):
            raise UnusableInput(
                f"{proposal.id} now has digest {proposal.digest[:16]}, not {digest}. Look at it again: approvals show."
            )
        person = app.api.person(f"os:{app.settings.os_user}")
        await app.api.decide(proposal.id, proposal.digest, person, answer, reason)
        return await _go_on(app, session, proposal, screen, as_json, no_wait)


async def _go_on(app: App, session: Session, proposal: Proposal, screen: Any, as_json: bool, no_wait: bool) -> int:
    from agent.surfaces.cli.run_loop import Driver

    lock_or_busy(app)
    person = app.api.person(f"os:{app.settings.os_user}")
    driver = Driver(app, screen, person, wait=not no_wait, interactive=session.interactive)
    code = await driver.drive(proposal.incident)
    if as_json:
        out_json(await shown_json(app, proposal.incident))
    return code


@approvals.command()
@click.argument("proposal")
@click.option(
    "--set", "sets", multiple=True, required=True, metavar="KEY=VALUE", help="An argument with its new value."
)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def edit(session: Session, proposal: str, sets: tuple[str, ...], as_json: bool) -> int:
    """Make a new proposal with some arguments changed; the old one is superseded and cannot be approved any more."""
    return run(_edit(session, proposal, sets, as_json))


async def _edit(session: Session, prefix: str, sets: tuple[str, ...], as_json: bool) -> int:
    from rich.console import Console

    from agent.surfaces.cli import cards

    async with holding(session, lambda app: app.api.proposal(prefix)) as (app, proposal):
        person = app.api.person(f"os:{app.settings.os_user}")
        edited = await app.api.edit(proposal.id, person, assignments(sets))
        if as_json:
            out_json(await app.api.approval_json(edited))
        else:
            await cards.show(Console(highlight=False), app, edited)
    return Exit.WAITS


def assignments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`k=v` as people type them: v is read as YAML, so that 8 is a number and "8" a text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UnusableInput(f"{pair!r} is not KEY=VALUE.")
        try:
            found[key] = (
                yaml.safe_load(value) if value[:1] not in ("{", "[") or value.startswith(('["', '{"')) else value
            )
        except yaml.YAMLError:
            found[key] = value
    return found
