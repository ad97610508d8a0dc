"""Explain: why this is proposed, what it changes, which rule of policy it stands under, who may approve, on what evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from agent.domain.catalog import Catalog
from agent.domain.evidence import Evidence
from agent.domain.finding import Finding
from agent.domain.incident_view import IncidentView
from agent.gate.proposal import WAITING, Proposal
from agent.surfaces.slack.replies import code, escaped

MOST = 10  # of each list; how many more there are is said


def explained(proposal: Proposal, incident_view: IncidentView, catalog: Catalog, problems: list[str]) -> str:
    """mrkdwn. `problems` are user groups that cannot be read just now."""
    return "\n".join(_lines(proposal, incident_view, catalog, problems))


def _lines(proposal: Proposal, incident_view: IncidentView, catalog: Catalog, problems: list[str]) -> Iterator[str]:
    yield f"*{escaped(proposal.id)}* is {str(proposal.state).replace('_', ' ')}: {code(proposal.command)}"
    yield f"*Why* {escaped(proposal.why, 1_500)} Cause: {escaped(str(proposal.cause))}."
    yield f"*What it changes* on {escaped(str(proposal.target))} ({proposal.risk}):"
    yield from changes(proposal)
    yield f"*Undo* {_undo(proposal)}"
    touched = catalog.dependents(proposal.target.service) if proposal.target.service else ()
    yield f"*Also touches* {escaped(', '.join(touched)) or 'nothing the catalog knows of'}"
    yield f"*Policy* {_policy(proposal, incident_view)}"
    yield f"*Who may approve* {who(proposal, catalog)}, by {clock(proposal.approve_by)}."
    yield from (escaped(problem) for problem in problems)
    if proposal.state not in WAITING:
        yield f"It can no longer be decided: {escaped(proposal.note or str(proposal.state), 300)}."
    yield "*Evidence*"
    yield from listed([_finding(one, incident_view) for one in incident_view.findings], "findings")
    if incident_view.ruled_out:
        yield "*Ruled out*"
        yield from listed([f"{escaped(r.cause)}: {escaped(r.why, 400)}" for r in incident_view.ruled_out], "causes")
    if incident_view.not_checked:
        yield "*Not checked*"
        yield from listed([f"{escaped(n.what, 200)}: {escaped(n.why, 300)}" for n in incident_view.not_checked], "gaps")


def changes(proposal: Proposal) -> Iterator[str]:
    for name in sorted(proposal.altered):
        before, after = (
            json.dumps(state.fields.get(name), ensure_ascii=False) for state in (proposal.before, proposal.after)
        )
        yield f"• {escaped(name)}: {code(before, 500)} → {code(after, 500)}"


def who(proposal: Proposal, catalog: Catalog) -> str:
    """`1 of on-call (ann, bob)`: by today's catalog and what its user groups hold just now."""
    if not proposal.approvers:
        return "nobody: policy names no approvers"
    people = [n for n in catalog.people if {n, *catalog.groups_of(n)} & set(proposal.approvers)]
    if not proposal.requester_may_approve:
        people = [n for n in people if n != proposal.requester_person]
    return f"{proposal.quorum} of {escaped(', '.join(proposal.approvers))} ({escaped(', '.join(people)) or 'nobody just now'})"


def clock(when: datetime) -> str:
    """A time that Slack shows in each reader's own zone."""
    return f"<!date^{int(when.timestamp())}^{{time}}|{when:%H:%M} UTC>"


def source(one: Evidence) -> str:
    """One piece of evidence in a line, with what opens it."""
    what = f"{escaped(one.why, 100)} ({escaped(one.read)}" if one.why else f"({escaped(one.read)}"
    return f"[{_linked(one)}] {what}, as of {one.as_of:%H:%M:%S} UTC)"


def listed(lines: list[str], what: str) -> Iterator[str]:
    yield from (f"• {line}" for line in lines[:MOST])
    if len(lines) > MOST:
        yield f"… and {len(lines) - MOST} more {what}: stanch incidents show has them all."
    if not lines:
        yield "none"


def _finding(finding: Finding, incident_view: IncidentView) -> str:
    known = [incident_view.evidence[i] for i in finding.evidence if i in incident_view.evidence]
    return f"{escaped(finding.text, 600)} [{' '.join(_linked(one) for one in known)}]"


def _linked(one: Evidence) -> str:
    link = (one.link or "").replace("|", "%7C").replace(" ", "%20")
    return f"<{escaped(link)}|{one.id}>" if link.startswith(("http://", "https://")) else one.id


def _undo(proposal: Proposal) -> str:
    if proposal.undo is None:
        return "none: Stanch cannot take it back."
    covered = "approved together with this" if proposal.undo_covered else "asked for again when it is needed"
    return f"{code(proposal.undo.command)}, {covered}."


def _policy(proposal: Proposal, incident_view: IncidentView) -> str:
    verdict = incident_view.verdicts.get(proposal.id)
    why = escaped(verdict.why if verdict else "", 400)
    return f"says {proposal.verdict} by rule {code(proposal.rule or 'none')}: {why}"
