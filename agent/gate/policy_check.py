"""What a policy says that can never matter here: right as a file, and not what its author meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from agent.domain.catalog import Catalog
from agent.domain.people import is_group_elsewhere
from agent.gate.policy import Policy
from agent.gate.policy_file import Rule, Verdict
from agent.yaml_file import line_in
from tools.spec import Action

Place = tuple[str | int, ...]
Found = Iterator[tuple[Place, str]]


def findings(
    text: str, name: str, policy: Policy, actions: Mapping[str, type[Action]], catalog: Catalog | None
) -> list[str]:
    """`file:line: what: mend` for each; with a catalog also who is named and whether enough people may answer."""
    found = [*_rules(policy, actions)]
    if catalog is not None:
        found += [*_people(policy, catalog), *_places(policy, catalog)]
    return [f"{name}:{line}: {what}" for line, what in sorted((line_in(text, place), what) for place, what in found)]


def _rules(policy: Policy, actions: Mapping[str, type[Action]]) -> Found:
    everything = 0
    for i, rule in enumerate(policy.file.rules):
        if everything:
            yield ("rules", i), f"this rule is never reached: rule {everything} fits everything. Move it above."
        elif _fits_everything(rule):
            everything = i + 1
        for glob in rule.action:
            if not any(fnmatchcase(action, glob) for action in actions):
                yield ("rules", i, "action"), f"no action is called {glob!r}.{_nearest(glob, actions)}"
        meant = [kind for action, kind in actions.items() if any(fnmatchcase(action, g) for g in rule.action)]
        for argument in rule.arguments:
            takes = {field for kind in meant for field in kind.model_fields}
            if meant and argument not in takes:
                yield (
                    ("rules", i, "arguments", argument),
                    f"no action here takes {argument!r}.{_nearest(argument, takes)}",
                )
        if rule.risk is not None and meant and not any(kind.risk in rule.risk for kind in meant):
            risks = ", ".join(sorted({str(kind.risk) for kind in meant}))
            yield ("rules", i, "risk"), f"the actions named here are {risks}, so this never fits."


def _fits_everything(rule: Rule) -> bool:
    conditions = (rule.risk, rule.environment, rule.cluster, rule.service, rule.hours)
    return "*" in rule.action and all(one is None for one in conditions) and not rule.arguments


def _people(policy: Policy, catalog: Catalog) -> Found:
    known = {*catalog.people, *catalog.groups}
    for place, names in (
        (("approvers",), policy.file.approvers),
        *((("rules", i, "approvers"), rule.approvers or []) for i, rule in enumerate(policy.file.rules)),
    ):
        for name in names:
            if name not in known:
                yield place, f"{name!r} is neither a person nor a group of the catalog.{_nearest(name, known)}"
    for i, rule in enumerate(policy.file.rules):
        approvers = policy.file.approvers if rule.approvers is None else rule.approvers
        members = {m for name in approvers for m in catalog.groups.get(name, [name])}
        elsewhere = any(map(is_group_elsewhere, members))
        if rule.verdict is Verdict.ASK and not elsewhere and len(members & {*catalog.people}) < rule.quorum:
            count = len(members & {*catalog.people})
            yield ("rules", i, "quorum"), f"{rule.quorum} people have to approve and {count} may. Add approvers."


def _places(policy: Policy, catalog: Catalog) -> Found:
    services = catalog.services()
    for what, known in (
        ("environment", {s.environment for s in services} - {""}),
        ("cluster", {w.cluster for s in services for w in s.workloads} - {""}),
        ("service", {s.name for s in services}),
    ):
        for i, rule in enumerate(policy.file.rules):
            for glob in getattr(rule, what) or []:
                if known and not any(fnmatchcase(name, glob) for name in known):
                    yield ("rules", i, what), f"the catalog has no {what} {glob!r}.{_nearest(glob, known)}"


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(sorted(known)) or 'none'}."
