"""Policy: the operator's rules decide what may happen. Whatever is not written is denied.

1. The first rule whose conditions hold gives the ruling; none ⇒ deny. A rule whose conditions cannot all be told (an
   unknown environment, an argument that is no number) counts as well, and the stricter of it and what follows holds.
2. Floors then only make it stricter; no file loosens them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from agent import yaml_file
from agent.errors import BadConfiguration
from agent.gate.policy_file import Budgets, PolicyFile, Rule, Verdict, answers_of
from tools.context import Json, Target
from tools.spec import Risk

__all__ = ["SUGGEST_EVERYTHING", "Policy", "Request", "Ruling", "Verdict", "load", "parse", "stricter"]


@dataclass(frozen=True, slots=True)
class Request:
    """What policy is asked about. `before` holds the fields the action owns, `untrusted` the arguments whose names stand
    only in text that anybody may have written; `aside`: its target is not what the incident's alerts are about."""

    action: str
    arguments: Mapping[str, Json]
    target: Target
    risk: Risk
    at: datetime
    before: Mapping[str, Json] = field(default_factory=dict)
    untrusted: tuple[str, ...] = ()
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """The verdict and why; the rest says how to ask. `rule` is "" when no rule fitted."""

    verdict: Verdict
    rule: str
    why: str
    approvers: tuple[str, ...] = ()
    quorum: int = 1
    approve_within: timedelta = timedelta(hours=1)
    execute_within: timedelta = timedelta(minutes=15)
    requester_may_approve: bool = False
    allow_untrusted: str = "deny"
    cover_undo: bool = True

    def no_looser_than(self, verdict: Verdict, why: str) -> Ruling:
        if self.verdict.looseness <= verdict.looseness:
            return self
        return replace(self, verdict=verdict, why=f"{self.why}; {why}")


@dataclass(frozen=True, slots=True)
class Policy:
    """`version` is a hash of the file's text: two policies of one version are one policy."""

    file: PolicyFile
    version: str
    missing: str = ""  # why there is none, if that is so: then everything is denied

    @classmethod
    def none(cls, why: str = "no policy: nothing may run. `stanch init` writes one to start from") -> Policy:
        return cls(PolicyFile(), "none", missing=why)

    @property
    def budgets(self) -> Budgets:
        return self.file.budgets

    def rule(self, request: Request) -> Ruling:
        """The ruling; it depends on nothing but the file and the request."""
        if self.missing:
            return Ruling(Verdict.DENY, "", self.missing)
        return self.course(request)[-1]

    def course(self, request: Request) -> tuple[Ruling, ...]:
        """What the rules alone say, and then what each floor made of it, in order."""
        rulings = [self._by_rules(request)]
        for floor in _FLOORS:
            rulings.append(floor(self.file, request, rulings[-1]))
        return tuple(rulings)

    def stopped(self) -> str | None:
        """Why nothing may start at all, if that is so."""
        if self.file.kill_switch:
            return "the policy's kill switch is on"
        path = self.file.kill_switch_file
        return f"the kill switch {path} exists" if path is not None and path.exists() else None

    def _by_rules(self, request: Request) -> Ruling:
        doubtful: list[Ruling] = []
        for number, rule in enumerate(self.file.rules, 1):
            told = answers(rule, request).values()
            if False in told:
                continue
            ruling = _ruling(rule, number, self.file)
            if None not in told:
                return stricter(ruling, *doubtful)
            doubtful.append(replace(ruling, why=f"{ruling.why}, which cannot be told to hold or not"))
        return Ruling(Verdict.DENY, "", f"no rule allows {request.action} here")


def stricter(first: Ruling, *others: Ruling) -> Ruling:
    """What satisfies all of them: the strictest verdict, and of several that ask, everything they ask for."""
    for other in others:
        if other.verdict is not first.verdict:
            first = min(first, other, key=lambda r: r.verdict.looseness)
        elif first.verdict is Verdict.ASK:
            first = replace(
                first,
                approvers=tuple(a for a in first.approvers if a in other.approvers),
                quorum=max(first.quorum, other.quorum),
                approve_within=min(first.approve_within, other.approve_within),
                execute_within=min(first.execute_within, other.execute_within),
                requester_may_approve=first.requester_may_approve and other.requester_may_approve,
                cover_undo=first.cover_undo and other.cover_undo,
            )
        if "deny" in (first.allow_untrusted, other.allow_untrusted):
            first = replace(first, allow_untrusted="deny")
    return first


def answers(rule: Rule, request: Request) -> dict[str, bool | None]:
    """Whether each condition holds; None: it cannot be told. An argument's limit stands under `arguments.NAME`."""
    where = {name: getattr(request.target, name) for name in ("environment", "cluster", "service")}
    return answers_of(rule, request.action, request.risk, where, request.at) | {
        f"arguments.{name}": limit.holds(request.arguments.get(name), request.before.get(name))
        for name, limit in rule.arguments.items()
    }


def _ruling(rule: Rule, number: int, file: PolicyFile) -> Ruling:
    name = rule.name or f"rule {number}"
    approvers = rule.approvers if rule.approvers is not None else file.approvers
    return Ruling(
        rule.verdict,
        name,
        f"{name} says {rule.verdict}",
        tuple(approvers),
        rule.quorum,
        rule.approve_within,
        rule.execute_within,
        rule.requester_may_approve,
        rule.allow_untrusted,
        rule.cover_undo,
    )


def _needs_a_cluster(_file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    return ruling if request.target.cluster else ruling.no_looser_than(Verdict.DENY, "its target names no cluster")


def _needs_a_confirmed_target(_file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    why = f"{request.target} is a draft in the catalog that nobody has confirmed"
    return ruling if request.target.confirmed else ruling.no_looser_than(Verdict.SUGGEST, why)


def _risk_floor(_file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    if request.risk is Risk.REVERSIBLE:
        return ruling
    asked = ruling.no_looser_than(Verdict.ASK, f"{request.risk} actions are never run without asking")
    return replace(asked, quorum=max(asked.quorum, 2)) if request.risk is Risk.DESTRUCTIVE else asked


def _untrusted_names(_file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    """A name that only untrusted text knows: not even a command to copy, unless the rule lets two people decide."""
    if not request.untrusted:
        return ruling
    named = f"{', '.join(request.untrusted)} stand(s) only in untrusted text"
    if ruling.allow_untrusted == "two_people":
        asked = ruling.no_looser_than(Verdict.ASK, f"{named}: two people decide")
        return replace(asked, quorum=max(asked.quorum, 2))
    return ruling if ruling.verdict is Verdict.SHADOW else ruling.no_looser_than(Verdict.DENY, named)


def _beside_the_incident(_file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    """A name is trusted wherever the catalog knows it, and any text may write it down: what nobody is asked about has to
    be about the thing that is ill."""
    why = f"{request.target} is not what this incident's alerts are about"
    return ruling.no_looser_than(Verdict.ASK, why) if request.aside else ruling


def _freezes(file: PolicyFile, request: Request, ruling: Ruling) -> Ruling:
    freeze = next((f for f in file.freezes if f.holds(request.at, request.action)), None)
    if freeze is None or ruling.verdict.looseness < Verdict.ASK.looseness:
        return ruling
    return ruling.no_looser_than(Verdict.DENY, f"there is a freeze: {freeze.reason}")


def _somebody_to_ask(_file: PolicyFile, _request: Request, ruling: Ruling) -> Ruling:
    if ruling.verdict is not Verdict.ASK or ruling.approvers:
        return ruling
    return ruling.no_looser_than(Verdict.DENY, "it has to be asked for and nobody is named as approver")


_FLOORS = (
    _needs_a_cluster,
    _needs_a_confirmed_target,
    _risk_floor,
    _untrusted_names,
    _beside_the_incident,
    _freezes,
    _somebody_to_ask,
)


def load(path: Path) -> Policy:
    """The policy of a file; BadConfiguration names every mistake by file, line and mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: cannot be read: {error}. Give a readable UTF-8 file.") from None
    return parse(text, str(path))


def parse(text: str, name: str = "policy.yaml") -> Policy:
    file = yaml_file.parse(text, PolicyFile, name)
    nobody = [
        f"{name}:{yaml_file.line_in(text, ('rules', i))}: {rule.name or f'rule {i + 1}'}: asks nobody. "
        "Name approvers in the rule, or for all rules at the top."
        for i, rule in enumerate(file.rules)
        if rule.verdict is Verdict.ASK and not (rule.approvers or file.approvers)
    ]
    if nobody:
        raise BadConfiguration("\n".join(nobody))
    return Policy(file, hashlib.sha256(text.encode()).hexdigest()[:16])


SUGGEST_EVERYTHING = """\
# What Stanch may do. The first rule that fits decides; what no rule fits is denied.
# Verdicts, from the strictest: deny, shadow (record only), suggest (show it with the command to copy), ask, allow.
# Disruptive actions are always asked for and destructive ones need two people, whatever is written here.
# `stanch policy check` names every mistake here, `policy explain` says why something gets its verdict, `policy test FILE`
# runs your own cases. A change holds at once, also for what already waits: the stricter of then and now.

# Who may approve where a rule does not say: groups or people of catalog.yaml.
approvers: [oncall]

rules:
  # Everything is shown and nothing is run. Widen this rule by rule, as trust grows.
  - name: suggest everything
    action: "*"
    verdict: suggest

  # - name: scaling out in production, by day
  #   action: scale_workload
  #   environment: production
  #   hours: {days: [mon, tue, wed, thu, fri], from: "08:00", to: "20:00", zone: Europe/Berlin}
  #   arguments: {replicas: {max: 20, at_most_times: 3}}     # never more than three times what runs now
  #   verdict: ask
  #   approvers: [oncall]
  #   quorum: 1                      # how many people
  #   approve_within: 1h
  #   execute_within: 15m
  #   requester_may_approve: false
  #   allow_untrusted: deny          # or two_people

# Nothing is started in these times.
# freezes:
#   - {from: 2026-12-20, to: 2027-01-02, zone: Europe/Berlin, reason: end of year, except: [roll_back_*]}

# How much may be started at most. An undo that was approved together with its action counts, but is never held up by it.
budgets: {per_hour: 10, per_target_per_hour: 3}

# true: nothing is started until it is false again. So does a file, while it exists.
kill_switch: false
# kill_switch_file: /etc/stanch/stop
"""
