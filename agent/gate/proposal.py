"""A proposal: one action with exact arguments, the state it was decided on, its success test and its undo, sealed.

suggested  shadowed  denied_by_policy                          it ends where it began
open ──► approved ──► claimed ──► done | not_done | unknown    (allowed ──► claimed, without asking)
any that waits ──► denied | revoked | expired | superseded | voided | denied_by_policy
unknown ──► done | not_done                                    (a person's word; nothing is started by it)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from agent.clock import iso, parse_time
from agent.domain.cause import Cause, Fault
from agent.domain.check import SuccessTest, success_from_json
from agent.domain.timeline import canonical
from agent.errors import IllegalTransition
from agent.gate.policy import Request, Verdict
from tools.context import Json, Target
from tools.spec import Risk, State


class ProposalState(StrEnum):
    SUGGESTED = "suggested"
    SHADOWED = "shadowed"
    DENIED_BY_POLICY = "denied_by_policy"
    OPEN = "open"
    APPROVED = "approved"
    ALLOWED = "allowed"
    CLAIMED = "claimed"
    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"
    DENIED = "denied"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    VOIDED = "voided"


_S = ProposalState
WAITING = frozenset({_S.OPEN, _S.APPROVED, _S.ALLOWED})  # not started, and may still be
_STOPPED = {_S.DENIED, _S.REVOKED, _S.EXPIRED, _S.SUPERSEDED, _S.VOIDED, _S.DENIED_BY_POLICY}
NEXT: Mapping[ProposalState, frozenset[ProposalState]] = {
    _S.OPEN: frozenset({_S.APPROVED} | _STOPPED),
    _S.APPROVED: frozenset({_S.CLAIMED} | _STOPPED),
    _S.ALLOWED: frozenset({_S.CLAIMED} | _STOPPED),
    _S.CLAIMED: frozenset({_S.DONE, _S.NOT_DONE, _S.UNKNOWN, _S.VOIDED}),
    _S.UNKNOWN: frozenset({_S.DONE, _S.NOT_DONE}),
}
BEGINS_AS = {
    Verdict.DENY: _S.DENIED_BY_POLICY,
    Verdict.SHADOW: _S.SHADOWED,
    Verdict.SUGGEST: _S.SUGGESTED,
    Verdict.ASK: _S.OPEN,
    Verdict.ALLOW: _S.ALLOWED,
}


@dataclass(frozen=True, slots=True)
class Undo:
    """What takes the action back. Values may be `{receipt.NAME}`, which the executor fills in from the target's answer."""

    action: str
    arguments: Mapping[str, Json]
    command: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything but `digest`, `state`, `note` and `execute_by` is sealed by the digest.

    `execute_by` is None until it may run, and counts from then. `baseline` are the guards' values at sealing.
    """

    id: str
    incident: str
    n: int
    parent: str | None
    action: str
    arguments: Mapping[str, Json]
    target: Target
    risk: Risk
    before: State
    after: State
    key: str  # the target gets it with the effect
    success: SuccessTest
    baseline: tuple[float | None, ...]
    undo: Undo | None
    undo_covered: bool  # an approval of this one also covers its undo
    covered: bool  # this one is an undo that its parent's approval covers
    untrusted: tuple[str, ...]
    policy_version: str
    verdict: Verdict  # of policy at sealing
    rule: str
    command: str
    dry_run: str | None
    why: str
    cause: Cause
    requester: str  # a reasoner's name or a person's principal
    requester_person: str | None
    created_at: datetime
    approve_by: datetime
    execute_within: timedelta
    quorum: int
    approvers: tuple[str, ...]
    requester_may_approve: bool
    aside: bool = False  # its target is not what the incident's alerts are about
    digest: str = ""
    state: ProposalState = ProposalState.OPEN
    note: str = ""
    execute_by: datetime | None = None

    @property
    def intact(self) -> bool:
        """Whether it is still exactly what was sealed."""
        return self.digest == digest_of(self.sealed())

    @property
    def altered(self) -> frozenset[str]:
        """The fields that the action changes."""
        return frozenset(
            name
            for name, value in self.after.fields.items()
            if name not in self.before.fields or self.before.fields[name] != value
        )

    def to(self, state: ProposalState, note: str = "", execute_by: datetime | None = None) -> Proposal:
        if state not in NEXT.get(self.state, frozenset()):
            raise IllegalTransition(f"Proposal {self.id} cannot go from {self.state} to {state}.")
        return replace(self, state=state, note=note, execute_by=execute_by or self.execute_by)

    def request(self, at: datetime) -> Request:
        """What policy is asked about it."""
        return Request(
            self.action,
            self.arguments,
            self.target,
            self.risk,
            at,
            dict(self.before.fields),
            self.untrusted,
            self.aside,
        )

    def sealed(self) -> dict[str, Json]:
        """What the digest covers, as plain JSON."""
        return {
            "id": self.id,
            "incident": self.incident,
            "n": self.n,
            "parent": self.parent,
            "action": self.action,
            "arguments": dict(self.arguments),
            "target": _target_json(self.target),
            "risk": str(self.risk),
            "before": _state_json(self.before),
            "after": _state_json(self.after),
            "key": self.key,
            "success": self.success.to_json(),
            "baseline": list(self.baseline),
            "undo": {"action": self.undo.action, "arguments": dict(self.undo.arguments), "command": self.undo.command}
            if self.undo
            else None,
            "undo_covered": self.undo_covered,
            "covered": self.covered,
            "untrusted": list(self.untrusted),
            "policy_version": self.policy_version,
            "verdict": str(self.verdict),
            "rule": self.rule,
            "command": self.command,
            "dry_run": self.dry_run,
            "why": self.why,
            "cause": {
                "component": self.cause.component,
                "fault": str(self.cause.fault),
                "confidence": self.cause.confidence,
            },
            "requester": self.requester,
            "requester_person": self.requester_person,
            "created_at": iso(self.created_at),
            "approve_by": iso(self.approve_by),
            "execute_within_s": self.execute_within.total_seconds(),
            "quorum": self.quorum,
            "approvers": list(self.approvers),
            "requester_may_approve": self.requester_may_approve,
        } | ({"aside": True} if self.aside else {})

    def to_json(self) -> dict[str, Json]:
        """For the timeline and `approvals show`: what was sealed, with the target as words, and what has become of it."""
        last = self.execute_by or self.approve_by + self.execute_within
        return self.sealed() | {
            "target": str(self.target),
            "place": _target_json(self.target),
            "digest": self.digest,
            "state": str(self.state),
            "note": self.note,
            "execute_by": iso(last),
        }

    def listed(self, decisions: list[Json]) -> dict[str, Json]:
        """One entry of `approvals list --json`."""
        whole = self.to_json()
        keys = (
            "id",
            "incident",
            "action",
            "arguments",
            "target",
            "risk",
            "digest",
            "state",
            "approve_by",
            "execute_by",
            "quorum",
        )
        return {key: whole[key] for key in keys} | {"decisions": decisions}


def seal(proposal: Proposal) -> Proposal:
    """The proposal with its digest; times are cut to what JSON keeps, so that it reads back as it was sealed."""
    exact = replace(
        proposal, created_at=parse_time(iso(proposal.created_at)), approve_by=parse_time(iso(proposal.approve_by))
    )
    return replace(exact, digest=digest_of(exact.sealed()))


def digest_of(sealed: Mapping[str, Json]) -> str:
    """SHA-256 over the canonical JSON. One value has one spelling and one spelling one value: what is no plain JSON
    (a tuple, a number as key, NaN) is refused rather than made to look like something else."""
    _plain(sealed)
    return hashlib.sha256(b"stanch proposal 1\n" + canonical(sealed)).hexdigest()


def from_sealed(
    sealed: Mapping[str, Json], digest: str, state: str, note: str, execute_by: datetime | None
) -> Proposal:
    """The inverse of `sealed`, with what has become of it."""
    values: dict[str, Any] = dict(sealed)
    values["target"] = Target(**values["target"])
    values["risk"], values["verdict"] = Risk(values["risk"]), Verdict(values["verdict"])
    for name in ("before", "after"):
        values[name] = State(**values[name])
    values["success"] = success_from_json(values["success"])
    values["undo"] = Undo(**values["undo"]) if values["undo"] else None
    values["cause"] = Cause(**values["cause"] | {"fault": Fault(values["cause"]["fault"])})
    for name in ("created_at", "approve_by"):
        values[name] = parse_time(values[name])
    values["execute_within"] = timedelta(seconds=values.pop("execute_within_s"))
    for name in ("baseline", "untrusted", "approvers"):
        values[name] = tuple(values[name])
    return Proposal(**values, digest=digest, state=ProposalState(state), note=note, execute_by=execute_by)


def _target_json(target: Target) -> dict[str, Json]:
    return {field.name: getattr(target, field.name) for field in fields(target)}


def _state_json(state: State) -> dict[str, Json]:
    return {"fields": dict(state.fields), "version": state.version}


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Json) -> None:
    if type(value) in _SCALARS:
        return
    if type(value) is list:
        for inner in value:
            _plain(inner)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if type(key) is not str:
                raise TypeError(f"{key!r} is no JSON key")
            _plain(inner)
    else:
        raise TypeError(f"{value!r} is no plain JSON")
