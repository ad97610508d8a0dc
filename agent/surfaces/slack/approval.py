"""The approval card: made by code from the sealed proposal, in full. Settled, the same card says who, when and what ran."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from agent.domain.events import EffectChecked, OutcomeKnown
from agent.domain.text import exact
from agent.domain.timeline import Event, EventOf
from agent.gate.approver_warnings import cautions
from agent.gate.proposal import Proposal, ProposalState
from agent.surfaces.slack.blocks import (
    NOTICE,
    Block,
    Part,
    actions,
    button,
    code,
    confirmation,
    context,
    header,
    lines,
    rows,
    span,
)
from agent.surfaces.slack.card_context import Scene, clock, lasted, words
from agent.surfaces.slack.charts import course

APPROVE, EDIT, DENY, EXPLAIN = "stanch_approve", "stanch_edit", "stanch_deny", "stanch_explain"
_S = ProposalState
_TITLES = {
    _S.OPEN: "⏳ Approve?",
    _S.APPROVED: "👍 Approved",
    _S.ALLOWED: "🔧 Allowed by policy",
    _S.CLAIMED: "🔧 Running",
    _S.DONE: "🔧 Done",
    _S.NOT_DONE: "⚠️ Not done",
    _S.UNKNOWN: "🚨 UNKNOWN whether it happened",
    _S.DENIED: "🚫 Denied",
    _S.REVOKED: "🚫 Revoked",
    _S.EXPIRED: "⌛ Expired",
    _S.SUPERSEDED: "↪️ Replaced",
    _S.VOIDED: "⬜ No longer needed",
    _S.SUGGESTED: "💡 Suggested",
    _S.SHADOWED: "💡 Would have proposed",
    _S.DENIED_BY_POLICY: "⛔ Policy denies",
}
_CITED = re.compile(r" \[E\d+\]$")  # the links say it
_BY_HAND = {_S.SUGGESTED, _S.SHADOWED, _S.DENIED_BY_POLICY}


def approval_notice(proposal: Proposal) -> str:
    """`Approve? forecast-server replicas 3→5, undoable, until 16:47 UTC`: one line for a locked phone."""
    undo = "undoable" if proposal.undo else "no undo"
    end = f", {undo}, until {clock(proposal.approve_by)}" if proposal.state is _S.OPEN else ""
    start = _TITLES[proposal.state].split(" ", 1)[1]
    changed = ", ".join(f"{name} {before}→{after}" for name, before, after in _diff(proposal))
    short = f"{words(proposal.action)} of {exact(proposal.target.name)}"
    full = f"{start}{'' if start.endswith('?') else ':'} {exact(proposal.target.name)} {changed}{end}"
    return full if len(full) <= NOTICE else f"{start} {short}{end}"


def approval(scene: Scene, proposal: Proposal) -> list[Part]:
    """What is to be decided stands before the buttons, what proves it after them; settled, what became of it comes first."""
    colon = "" if proposal.state is _S.OPEN else ":"
    parts: list[Part] = [
        header(f"{_TITLES[proposal.state]}{colon} {words(proposal.action)} of {exact(proposal.target.name)}")
    ]
    if proposal.state is _S.OPEN:
        parts += rows([*_essential(scene, proposal), *_decided(scene, proposal)])
        parts.append(buttons(proposal))
    else:
        parts += rows([*_decided(scene, proposal), *_settled(scene, proposal)])
        parts += [*course(scene, proposal), *rows(_essential(scene, proposal))]
    if proposal.state in _BY_HAND:
        parts += lines([span("To do it yourself", "bold")])
    parts += code(proposal.command)
    parts += rows(_details(proposal))
    return [*parts, *context(f"{proposal.id} · digest {proposal.digest[:16]} · policy rule: {proposal.rule or 'none'}")]


def buttons(proposal: Proposal) -> Block:
    """Each carries the proposal and the digest that was shown, so that nothing else can be approved with it."""
    value = json.dumps({"p": proposal.id, "d": proposal.digest}, separators=(",", ":"))
    changed = "; ".join(f"{name} {before} → {after}" for name, before, after in _diff(proposal))
    undo = "It can be undone." if proposal.undo else "Stanch cannot undo it."
    asked = confirmation(
        "Run this now?", f"{exact(str(proposal.target))}: {changed}. {proposal.risk}. {undo}", "Approve", "Not yet"
    )
    return actions(
        f"stanch:{proposal.id}",
        button(APPROVE, "Approve", value, "primary", asked),
        button(EDIT, "Edit", value),
        button(DENY, "Deny", value, "danger"),
        button(EXPLAIN, "Explain", value),
    )


Row = tuple[str, Sequence[Block]]


def _essential(scene: Scene, proposal: Proposal) -> Iterator[Row]:
    target = proposal.target
    yield (
        "Target",
        [span(exact(str(target)), "bold"), *([span(f", {target.environment}")] if target.environment else [])],
    )
    yield "Cluster", [span(exact(target.cluster) or "none named")]
    for name, before, after in _diff(proposal):
        yield "Change", [span(f"{name} "), span(before), span(" → "), span(after, "bold")]
    yield "Risk", [span(str(proposal.risk))]
    if proposal.undo:
        covered = "approved together with this" if proposal.undo_covered else "asked for again"
        yield "Undo", [span(exact(proposal.undo.command) or words(proposal.undo.action), "code"), span(f", {covered}")]
    else:
        yield "Undo", [span("Stanch cannot undo it", "bold")]
    also = scene.catalog.dependents(target.service) if target.service else ()
    yield "Also touches", [span(", ".join(also) or "nothing the catalog knows of")]
    for caution in cautions(proposal, scene.stopped, scene.incident_view.events):
        yield "Mind", [span(caution, "bold")]
    yield "Why", [span(proposal.why)]
    if proposal.state is _S.OPEN:
        yield "May approve", [span(_approvers(proposal))]
        begin = lasted(proposal.execute_within)
        yield "Until", [span(f"{clock(proposal.approve_by)} to approve", "bold"), span(f", then {begin} to begin")]


def _approvers(proposal: Proposal) -> str:
    who = ", ".join(proposal.approvers) or "nobody: add people to catalog.yaml"
    return f"{proposal.quorum} of {who}" if proposal.quorum > 1 else who


def _details(proposal: Proposal) -> Iterator[Row]:
    yield "Dry run", [span(proposal.dry_run or "the target offers none")]
    for line in proposal.success.lines:
        yield "Success", [span(line)]


def _diff(proposal: Proposal) -> Iterator[tuple[str, str, str]]:
    for name, after in proposal.after.fields.items():
        before = proposal.before.fields.get(name)
        if before != after:
            yield exact(name), exact(_value(before)), exact(_value(after))


def _value(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- settled ----------------------------------------------------------------------------------------------------------


def _decided(scene: Scene, proposal: Proposal) -> Iterator[Row]:
    """Who has answered, and how many more have to."""
    people = set()
    for event in scene.incident_view.decisions:
        made = event.payload
        if made.proposal == proposal.id:
            reason = f": {made.reason}" if made.reason else ""
            yield (
                _DECIDED.get(made.answer, made.answer),
                [
                    span(scene.who(made), "bold"),
                    span(f" at {event.at:%H:%M} UTC{reason}"),
                ],
            )
            people.add(scene.who(made))
    if proposal.state is _S.OPEN and people:
        yield "Still needed", [span(f"{max(proposal.quorum - len(people), 1)} more approval", "bold")]


def _settled(scene: Scene, proposal: Proposal) -> Iterator[Row]:
    incident_view = scene.incident_view
    outcome = incident_view.outcomes.get(proposal.id)
    if outcome is not None:
        yield "Ran", _ran(incident_view.intents.get(proposal.id), outcome)
    elif proposal.state not in (_S.APPROVED, _S.CLAIMED, _S.ALLOWED) and proposal.note:
        yield "Because", [span(proposal.note)]
    if proposal.state is _S.UNKNOWN:
        yield "Now", [span("A person has to look at the target. Stanch does not try again.", "bold")]
    for seen in incident_view.verifications.get(proposal.id, [])[-1:]:
        yield "Verified" if seen.payload.final else "Verifying", _verified(scene, seen)


_DECIDED = {"approve": "Approved by", "deny": "Denied by", "edit": "Edited by", "revoke": "Revoked by"}


def _ran(intent: Event | None, outcome: EventOf[OutcomeKnown]) -> list[Block]:
    began = f"at {intent.at:%H:%M:%S} UTC, took {lasted(outcome.at - intent.at)}: " if intent else ""
    why = outcome.payload.why or ""
    return [span(began), span(outcome.payload.outcome, "bold"), span(f" {why}".rstrip() or ".")]


def _verified(scene: Scene, seen: EventOf[EffectChecked]) -> list[Block]:
    word = {True: "recovered", False: "not recovered", None: "not yet known"}[seen.payload.recovered]
    measured = "; ".join(_CITED.sub("", one) for one in seen.payload.measured)
    text = f" at {seen.at:%H:%M:%S} UTC: {measured or seen.payload.why}"
    links = scene.evidence_links(seen.payload.evidence)
    return [span(word, "bold"), span(text), *links]
