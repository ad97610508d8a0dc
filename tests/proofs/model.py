"""What the law speaks of: how an operator's policy reads, and how a target takes an effect. Nothing of the gate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

LADDER = ("deny", "shadow", "suggest", "ask", "allow")
RISKS = {"restart": "disruptive", "destroy": "destructive"}  # the others are reversible
BEGINS = {"deny": "denied_by_policy", "shadow": "shadowed", "suggest": "suggested", "ask": "open", "allow": "allowed"}

# What has to be told of an undisturbed run, by how the target takes it; and whether there is an effect. A late one comes
# within the time that the action gives it to be seen; where nothing can be seen it may come long after all was told.
SEEN = {
    "well": ("DONE", 1),
    "refuse": ("NOT_DONE", 0),
    "done, no answer": ("DONE", 1),
    "lost": ("NOT_DONE", 0),
    "swallowed": ("UNKNOWN", 0),
    "late": ("DONE", 1),
    "late, no answer": ("DONE", 1),
    "dark afterwards": ("UNKNOWN", 1),
    "overwritten": ("UNKNOWN", 1),
}
PROBED = SEEN | {"dark afterwards": ("DONE", 1), "overwritten": ("DONE", 1)}
BLIND = {
    "well": ("DONE", 1),
    "refuse": ("NOT_DONE", 0),
    "done, no answer": ("UNKNOWN", 1),
    "lost": ("UNKNOWN", 0),
    "dark afterwards": ("UNKNOWN", 1),
    "overwritten": ("UNKNOWN", 1),
    "late": ("DONE", 1),
    "late, no answer": ("UNKNOWN", 1),
    "swallowed": ("DONE", 0),  # the target said that it took it, and nobody can ever see otherwise
}
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
  - {{name: one, {limit}verdict: {self.verdict}, approvers: [{", ".join(self.approvers)}], quorum: {self.quorum},
     approve_within: 1h, execute_within: 15m, requester_may_approve: {str(self.requester_may).lower()}, allow_untrusted: {self.untrusted}}}
freezes: [{"{from: 2026-01-01, to: 2027-12-31, reason: sale}" if self.frozen else ""}]
budgets: {{{", ".join(budgets)}}}
kill_switch: {str(self.switched_off).lower()}
"""

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
