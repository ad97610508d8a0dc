"""Runbook blocks with their names filled in. Values never become PromQL: code quotes them where they stand.

A block is jinja2 in an immutable sandbox, reduced to `{{ expression }}` over the names of `Names`: no loops, no calls,
no attributes but the items of a mapping. A string that is one expression keeps the expression's type, so that
`"{{ before.replicas + 2 }}"` is a number while `"{{ service }}"` stays text whatever it looks like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.domain.check import Check, Guard, SuccessTest, expectation
from agent.domain.duration import duration
from agent.errors import UnusableInput
from agent.library.promql_text import MARK, OrAbsent, Reference, fill
from agent.library.runbook import ActionBlock, CheckBlock
from tools.context import Json, Labels, Model, Service, Workload

PROMQL_ARGUMENTS = frozenset({"promql"})
KNOWN = ("service", "workload", "model", "namespace", "cluster", "before")
RECENT_MINUTES = 5  # a success test looks at the last minutes only, so that a series that ended is no answer
_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Filter,
    nodes.List,
    nodes.Tuple,
)
_CLUSTER = re.compile(r"\bcluster\s*=\s*\{\{\s*cluster\s*\}\}")  # also the series that lack the label
_FOUND = " found"  # no name of a block can have a space
_FILTERS = frozenset({"int", "round", "abs", "min", "max", "lower", "upper"})


@dataclass(frozen=True, slots=True)
class Names:
    """What blocks may name. None = not known: a block that needs it cannot be rendered (and says so).

    `before` are the fields of the action's `observe()`; `traffic` is the catalog's PromQL for the default guard.
    """

    service: str | None = None
    workload: str | None = None
    model: str | None = None
    namespace: str | None = None
    cluster: str | None = None
    before: Mapping[str, Json] = field(default_factory=dict)
    traffic: str | None = None

    def values(self) -> dict[str, Json]:
        known = {name: getattr(self, name) for name in KNOWN if getattr(self, name) is not None}
        if self.workload is not None:
            known["workload"] = Reference(self.workload)
        if self.cluster is not None:
            known["cluster"] = OrAbsent(self.cluster)
        return known


def names_for(
    service: Service | None, model: Model | None, labels: Labels, before: Mapping[str, Json] | None = None
) -> Names:
    """The names of an incident: from the catalog and, for namespace and cluster, first from the alerts' own labels.

    With several workloads the labels choose; where none or several are left, `workload` stays unknown. With no cluster
    anywhere `cluster` is "", which after `=~` matches every series: the alert's own rule told no clusters apart either.
    """
    here = tuple(w for w in service.workloads if _agrees(w, labels)) if service else ()
    one = here[0] if len(here) == 1 else None
    return Names(
        service=service.name if service else labels.get("service"),
        workload=str(one) if one else None,
        model=model.name if model else (service.serves_model if service else None) or labels.get("model"),
        namespace=labels.get("namespace") or (one.namespace if one else None),
        cluster=labels.get("cluster") or (one.cluster if one else ""),
        before=before or {},
        traffic=service.traffic if service else None,
    )


def _agrees(workload: Workload, labels: Labels) -> bool:
    return all(labels.get(key) in (None, "", value) for key, value in _place(workload).items())


def _place(workload: Workload) -> dict[str, str]:
    return {"cluster": workload.cluster, "namespace": workload.namespace}


def render_check(block: CheckBlock, names: Names, book: str = "") -> Check:
    """The check with its values; UnusableInput says runbook, line and mend."""
    render = _renderer(names, f"{book or 'runbook'}:{block.line}")
    return Check(block.read, render(dict(block.args)), str(render(block.expect)), block.fact)


def render_action(block: ActionBlock, names: Names, book: str = "") -> tuple[str, dict[str, Json], SuccessTest]:
    """Action, arguments and success test. Without guards of its own it gets the default: the service's traffic."""
    render = _renderer(names, f"{book or 'runbook'}:{block.line}")
    success = render(dict(block.success))
    checks = tuple(_success_check(one) for one in success.get("checks", [success]))
    guards = tuple(_guard(render(dict(one))) for one in block.guards) or default_guards(names.traffic)
    return (
        block.action,
        render(dict(block.args)),
        SuccessTest(checks, duration(str(success["hold"])), duration(str(success["within"])), guards),
    )


def render_by_hand(block: ActionBlock, names: Names) -> dict[str, Json]:
    """The arguments for a person who types the action: what is not known here is the argument's name in capitals."""
    render = _renderer(names, f"runbook:{block.line}")
    found: dict[str, Json] = {}
    for name, value in block.args.items():
        try:
            found[name] = render({name: value})[name]
        except UnusableInput:
            found[name] = name.upper()
    return found


def default_guards(traffic: str | None) -> tuple[Guard, ...]:
    """Traffic stays at 70 % of before or more, where the catalog says how to measure it."""
    return (_guard({"promql": traffic, "at_least": 0.7, "name": "traffic"}),) if traffic else ()


def _success_check(one: Mapping[str, Json]) -> Check:
    expectation(str(one["expect"]))
    if "promql" in one:
        return Check("query_metrics", {"promql": one["promql"], "minutes": RECENT_MINUTES}, str(one["expect"]))
    return Check(str(one["read"]), dict(one.get("args") or {}), str(one["expect"]), str(one.get("fact") or ""))


def _guard(one: Mapping[str, Json]) -> Guard:
    check = Check("query_metrics", {"promql": one["promql"], "minutes": RECENT_MINUTES}, ">= 0")
    least = one.get("at_least")
    most = one.get("at_most")
    if least is None and most is None:
        least = 0.7
    return Guard(check, least, most, str(one.get("name") or "traffic"))


def check_templates(value: Json) -> None:
    """UnusableInput when a string in a block is no usable template; needs no values."""
    for text in _strings(value):
        _parsed(text)


def _strings(value: Json) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in _strings(one)]


def _renderer(names: Names, where: str) -> Callable[[Json], Json]:
    values = names.values()

    def render(value: Json, promql: bool = False) -> Json:
        if isinstance(value, Mapping):
            return {str(key): render(one, str(key) in PROMQL_ARGUMENTS) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [render(one, promql) for one in value]
        if not isinstance(value, str):
            return value
        try:
            return _render_text(value, values, promql)
        except UnusableInput as error:
            known = ", ".join([*(n for n in values if n != "before"), *(f"before.{n}" for n in names.before)])
            raise UnusableInput(
                f"{where}: {value!r}: {error} Known here: {known or 'nothing'}. Add what is missing to the catalog."
            ) from None

    return render


def _render_text(text: str, values: Mapping[str, Json], promql: bool) -> Json:
    if "{" not in text:
        return text
    if promql:
        text = _CLUSTER.sub("cluster=~{{ cluster }}", text)
    _parsed(text)
    found: list[Json] = []
    try:
        out = _template(text).render({**values, _FOUND: found})
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise UnusableInput(f"{error}.") from None
    if promql:
        return fill(out, found)
    if len(parts := out.split(MARK)) == 3 and not parts[0] and not parts[2]:
        whole = found[int(parts[1])]
        return str(whole) if isinstance(whole, str) else whole
    return "".join(part if n % 2 == 0 else _shown(found[int(part)]) for n, part in enumerate(parts))


def _plain(value: Any) -> Json:
    if isinstance(value, Undefined):
        str(value)  # raises UndefinedError with the name in it
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a {type(value).__name__} cannot stand in a block; name one value of it")


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Items of mappings are the only attributes, numbers the only operands of `*` and `%`: nothing runs, nothing grows."""

    intercepted_binops = frozenset({"*", "%", "**"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self.getattr(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TypeError(f"{operator} goes with numbers only")
        return super().call_binop(context, operator, left, right)


@pass_context
def _keep(context: Context, value: Any) -> str:
    """A mark in the value's place. It takes the context so that jinja2 cannot do this once and for all when it compiles."""
    found: list[Json] = context[_FOUND]
    found.append(_plain(value))
    return f"{MARK}{len(found) - 1}{MARK}"


@lru_cache(maxsize=1024)
def _template(text: str) -> Template:
    return _Sandbox(
        undefined=StrictUndefined, finalize=_keep, autoescape=False, keep_trailing_newline=True
    ).from_string(text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> None:
    if MARK in text:
        raise UnusableInput("a NUL character cannot stand in a block; remove it.")
    try:
        tree = _Sandbox(undefined=StrictUndefined).parse(text)
    except (TemplateError, RecursionError) as error:
        raise UnusableInput(f"not a template: {error}. Write {{{{ name }}}}.") from None
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Name) and node.name not in KNOWN:
            raise UnusableInput(f"{node.name!r} is no name of blocks. Known: {', '.join(KNOWN)}.")
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise UnusableInput(f"the filter {node.name!r} is not allowed. Known: {', '.join(sorted(_FILTERS))}.")
        if not isinstance(node, _ALLOWED):
            raise UnusableInput(f"{type(node).__name__} is not allowed in a block; write {{{{ expressions }}}} only.")
