"""A small model of what the gate promises, written from DESIGN.md and not from the gate's code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agent.gate.proposal import Proposal

LADDER = ("deny", "shadow", "suggest", "ask", "allow")
RISKS = {"restart": "disruptive", "destroy": "destructive"}  # the others are reversible
BEGINS = {"deny": "denied_by_policy", "shadow": "shadowed", "suggest": "suggested", "ask": "open", "allow": "allowed"}

# What has to be told of an undisturbed run, by how the target takes it; and whether there is an effect. A late one comes
# within the time that the action gives it to be seen; where nothing can be seen it may come long after all was told.
SEEN = {
    "well": ("DONE", 1), "refuse": ("NOT_DONE", 0), "done, no answer": ("DONE", 1), "lost": ("NOT_DONE", 0),
    "swallowed": ("UNKNOWN", 0), "late": ("DONE", 1), "late, no answer": ("DONE", 1),
    "dark afterwards": ("UNKNOWN", 1), "overwritten": ("UNKNOWN", 1),
}  # fmt: skip
PROBED = SEEN | {"dark afterwards": ("DONE", 1), "overwritten": ("DONE", 1)}
BLIND = {
    "well": ("DONE", 1), "refuse": ("NOT_DONE", 0), "done, no answer": ("UNKNOWN", 1), "lost": ("UNKNOWN", 0),
    "dark afterwards": ("UNKNOWN", 1), "overwritten": ("UNKNOWN", 1),
    "late": ("DONE", 1), "late, no answer": ("UNKNOWN", 1),
    "swallowed": ("DONE", 0),  # the target said that it took it, and nobody can ever see otherwise
}  # fmt: skip
OUTCOMES = {"probed": PROBED, "blind": BLIND, "blind_probed": PROBED}
PROBING, UNSEEN = ("probed", "blind_probed"), ("blind", "blind_probed")  # it knows keys; its fields show nothing


@dataclass(frozen=True)
class Said:
    verdict: str
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    requester_may: bool = False
    named: bool = True  # by a rule

    def at_most(self, verdict: str) -> Said:
        return self if LADDER.index(self.verdict) <= LADDER.index(verdict) else replace(self, verdict=verdict)


@dataclass(frozen=True)
class Rules:
    """A policy with one rule, and everything around it."""

    verdict: str = "ask"
    approvers: tuple[str, ...] = ("oncall",)
    quorum: int = 1
    requester_may: bool = False
    most: int | None = None  # replicas
    untrusted: str = "deny"
    frozen: bool = False
    switched_off: bool = False
    per_hour: int | None = None
    per_target: int | None = None

    def text(self) -> str:
        limit = f"arguments: {{replicas: {{max: {self.most}}}}}, " if self.most is not None else ""
        budgets = [
            f"{name}: {n}"
            for name, n in (("per_hour", self.per_hour), ("per_target_per_hour", self.per_target))
            if n is not None
        ]
        return f"""
rules:
  - {{name: one, {limit}verdict: {self.verdict}, approvers: [{', '.join(self.approvers)}], quorum: {self.quorum},
     approve_within: 1h, execute_within: 15m, requester_may_approve: {str(self.requester_may).lower()}, allow_untrusted: {self.untrusted}}}
freezes: [{'{from: 2026-01-01, to: 2027-12-31, reason: sale}' if self.frozen else ''}]
budgets: {{{', '.join(budgets)}}}
kill_switch: {str(self.switched_off).lower()}
"""  # fmt: skip

    def says(self, action: str, arguments: Any, untrusted: bool) -> Said:
        said = Said(self.verdict, self.approvers, self.quorum, self.requester_may)
        if self.most is not None and arguments.get("replicas", self.most + 1) > self.most:
            return Said("deny", named=False)
        if action == "nowhere":
            said = said.at_most("deny")
        if action in RISKS:
            said = said.at_most("ask")
        if RISKS.get(action) == "destructive":
            said = replace(said, quorum=max(said.quorum, 2))
        if untrusted and self.untrusted == "two_people":
            said = replace(said.at_most("ask"), quorum=max(said.quorum, 2))
        elif untrusted and said.verdict != "shadow":
            said = said.at_most("deny")
        if self.frozen and said.verdict in ("ask", "allow"):
            said = said.at_most("deny")
        return said


@dataclass
class Held:
    """One proposal as people saw it, and what they answered."""

    proposal: Proposal  # as it was shown
    said: Said  # of policy when it was sealed
    state: str
    execute_by: datetime | None = None
    answers: dict[tuple[str, str], datetime] = field(default_factory=dict)  # (person, answer)
    tampered: str = ""
    parent: Held | None = None  # of an undo
    covered: bool = False
    forged: bool = False
    claimed_at: datetime | None = None
    outcome: str = ""

    @property
    def approvals(self) -> dict[str, datetime]:
        return {name: at for (name, answer), at in self.answers.items() if answer == "approve"}

    @property
    def needed(self) -> int:
        return max(self.said.quorum, 2 if RISKS.get(self.proposal.action) == "destructive" else 1)


@dataclass
class Model:
    """What holds now."""

    rules: Rules
    groups: dict[str, list[str]]
    stopped: bool = False
    held: list[Held] = field(default_factory=list)

    def entitled(self, name: str, approvers: tuple[str, ...]) -> bool:
        return name in approvers or any(
            name in members and group in approvers for group, members in self.groups.items()
        )

    def today(self, held: Held) -> Said:
        one = held.proposal
        said = self.rules.says(one.action, one.arguments, bool(one.untrusted))
        if held.covered and held.parent is not None and not said.named:
            above = held.parent.proposal
            return self.rules.says(above.action, above.arguments, bool(above.untrusted))
        return said

    def answer(self, held: Held, name: str | None, real: bool, answer: str, same_digest: bool, now: datetime) -> str:
        """What an answer leads to: "counted", "again", "outdated" or "not entitled"."""
        if name is None or not real:
            return "not entitled"
        if (name, answer) in held.answers and same_digest:
            return "again"
        expired = held.state == "open" and now > held.proposal.approve_by
        ready = ("open",) if answer == "approve" else ("open", "approved", "allowed")
        if not same_digest or held.tampered or expired or held.state not in ready:
            return "outdated"
        requester = held.proposal.requester_person == name
        involved = held.state == "allowed" or requester or any(person == name for person, _ in held.answers)
        if answer != "approve" and involved:
            return "counted"
        if not self.entitled(name, held.proposal.approvers):
            return "not entitled"
        if answer != "approve":
            return "counted"
        return "not entitled" if requester and not held.said.requester_may else self._by_today(held, name, requester)

    def _by_today(self, held: Held, name: str, requester: bool) -> str:
        """The policy of today is asked again, and the stricter of the two holds."""
        today = self.today(held)
        if today.verdict not in ("ask", "allow"):
            return "outdated"
        if today.verdict == "allow":
            return "counted"
        may = self.entitled(name, today.approvers) and (today.requester_may or not requester)
        return "counted" if may else "not entitled"

    def enough(self, held: Held) -> bool:
        """Whether as many have approved as were to by what was sealed, and as have to today."""
        today = self.today(held)
        return len(held.approvals) >= max(held.needed, today.quorum if today.verdict == "ask" else 1)

    def may_start(self, held: Held, now: datetime) -> bool:
        """Whether nothing stands in the way now, budgets apart."""
        today = self.today(held)
        if held.tampered or held.forged or held.state not in ("approved", "allowed", "claimed"):
            return False
        if self.stopped or self.rules.switched_off or held.execute_by is None or now > held.execute_by:
            return False
        if today.verdict not in ("ask", "allow") or any(a in ("deny", "revoke", "edit") for _, a in held.answers):
            return False
        if held.covered:
            return True
        if held.said.verdict == "allow":
            return today.verdict == "allow"
        return len(self.counted(held, today)) >= max(held.needed, today.quorum if today.verdict == "ask" else 1)

    def counted(self, held: Held, today: Said) -> set[str]:
        asked = today.verdict == "ask"
        requester_may = held.said.requester_may and (today.requester_may or not asked)
        return {
            name for name, at in held.approvals.items()
            if at <= held.proposal.approve_by and self.entitled(name, held.proposal.approvers)
            and (not asked or self.entitled(name, today.approvers))
            and (requester_may or name != held.proposal.requester_person)
        }  # fmt: skip

    def within_budget(self, held: Held, now: datetime) -> bool:
        """A covered undo counts and is not held up: it takes back what did not help."""
        if held.covered:
            return True
        recent = [h for h in self.held if h.claimed_at is not None and h.claimed_at > now - timedelta(hours=1)]
        here = [h for h in recent if str(h.proposal.target) == str(held.proposal.target)]
        rules = self.rules
        return (rules.per_hour is None or len(recent) < rules.per_hour) and (
            rules.per_target is None or len(here) < rules.per_target
        )
