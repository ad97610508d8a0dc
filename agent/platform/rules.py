"""Alerting and recording rules as they are written: which of them an alert is from, and what the recorded ones stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from agent import yaml_file
from tools.alerts.expression import expression_in
from tools.context import Labels
from tools.errors import BadArguments
from tools.prometheus import promql as pql


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert's rule: its expression, and the labels that it writes itself."""

    expression: str = ""
    labels: Labels = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules of a platform. `recorded` are the expressions of recording rules by name."""

    alerting: Sequence[Rule] = ()
    recorded: Mapping[str, str] = field(default_factory=dict)

    def of(self, labels: Labels, given: str = "") -> Rule:
        """The rule that an alert with these labels is from. Of several with its name the one with the expression that the
        alert brought (`given`: PromQL, or a generator URL that holds it). Not known: what the alert brought."""
        brought = expression_in(given) if given else ""
        brought = "" if brought == given and "://" in given else brought
        named = [one for one in self.alerting if one.name == labels.get("alertname")]
        fitting = [one for one in named if all(labels.get(k) == v for k, v in one.labels.items() if "{{" not in v)]
        same = [one for one in fitting if brought and _same(one.expression, brought)]
        if same or (fitting and not brought):
            return (same or fitting)[0]
        return Rule(brought)


def _same(one: str, other: str) -> bool:
    try:
        return one == other or pql.render(pql.parse(one)) == pql.render(pql.parse(other))
    except BadArguments:
        return False


class _Written(BaseModel):
    """A rule as a file has it, or as Prometheus lists it (`name`, `query`)."""

    alert: str = ""
    record: str = ""
    expr: str | int | float = ""
    type: str = ""
    name: str = ""
    query: str = ""
    labels: dict[str, Any] = Field(default_factory=dict)


class _Group(BaseModel):
    rules: list[_Written] = Field(default_factory=list)


class _Groups(BaseModel):
    groups: list[_Group] = Field(default_factory=list)


class _File(_Groups):
    spec: _Groups | None = None  # a PrometheusRule
    data: _Groups | None = None  # the answer of /api/v1/rules


def read_rules(path: Path) -> RuleBook:
    """The rules of a file: Prometheus' own format, a PrometheusRule, or what /api/v1/rules answers. BadConfiguration says
    what is wrong in it."""
    file = yaml_file.load(path, _File)
    groups = [*file.groups, *(file.spec.groups if file.spec else []), *(file.data.groups if file.data else [])]
    return _book(rule for group in groups for rule in group.rules)


def rules_listed(listed: Iterable[Mapping[str, Any]]) -> RuleBook:
    """The rules that Prometheus lists; what is not a rule is passed over."""
    return _book(
        _Written(
            type=str(one.get("type")),
            name=str(one["name"]),
            query=str(one["query"]),
            labels=_mapping(one.get("labels")),
        )
        for one in listed
        if one.get("name") and one.get("query")
    )


def _book(rules: Iterable[_Written]) -> RuleBook:
    alerting: list[Rule] = []
    recorded: dict[str, str] = {}
    for one in rules:
        expression = str(one.expr or one.query)
        if record := one.record or (one.name if one.type == "recording" else ""):
            recorded.setdefault(record, expression)
        elif alert := one.alert or one.name:
            alerting.append(Rule(expression, {k: str(v) for k, v in one.labels.items()}, alert))
    return RuleBook(alerting, recorded)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
