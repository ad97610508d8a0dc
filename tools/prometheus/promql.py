"""PromQL as a tree: parsed before it is sent, measured against our caps, and written back with every value quoted.

promql-parser's own `str()` does not escape quotes in label values, so what we send is written by `render`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import promql_parser as pp

from tools.context import Labels
from tools.errors import BadArguments

Node: TypeAlias = Any  # promql-parser ships no types

MOST_CHARACTERS = 4000
MOST_DEPTH = 60  # promql-parser recurses on the C stack: very deep nesting ends the process
MOST_POINTS = 2000  # of one series in one answer
MOST_INNER_POINTS = 1500  # one subquery, one evaluation
MOST_EVALUATIONS = 100_000  # points over the whole query, of each selector and within subqueries
MOST_RANGE = timedelta(days=31)
MOST_WINDOW_SECONDS = 30_000_000  # evaluations times range: samples a server has to walk, in seconds of history
MOST_RELABELS = 3  # label_replace and label_join within one another: each may multiply the length of a label's value
MOST_REFERENCES = 8  # to other labels' values, in one of them
_ASSUMED_SUBQUERY_STEP = 15  # seconds, where a subquery leaves its step to the server

_NO_TIME = "{0!r} names a time or a length beyond any calendar. Write unix seconds after @, and ranges as [1h]."
_LONGEST_PATTERN = 200
_STRINGS = re.compile(r"""`[^`]*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
_FIRST_WORDS = re.compile(r"[A-Za-z:][A-Za-z0-9:]{2,}_[A-Za-z0-9:_]*(?![?*{A-Za-z0-9:_])")
_GROUPS = re.compile(r"\([^()]*\)")
_NOBODYS_NAMES = ("q", "zq9", "Zq_9x", ":q:z9")  # short, so that no pattern takes long over them

_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OR_ABSENT = re.compile(r"(?:[\w :/@-]|\\.)+\|")  # one literal value, or no such label
_OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def quote(value: str) -> str:
    """A PromQL (or LogQL) string literal. JSON quoting, with text that UTF-8 cannot hold replaced."""
    return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def selector(metric: str, labels: Labels, **patterns: str) -> str:
    """`metric{label="value", …}` in which no value can end the string. `patterns` are anchored regular expressions."""
    parts = [f"{_label(name)}={quote(value)}" for name, value in labels.items()]
    parts += [f"{_label(name)}=~{quote(pattern)}" for name, pattern in patterns.items()]
    if metric and not _NAME.fullmatch(metric):
        parts.insert(0, f"__name__={quote(metric)}")
        metric = ""
    return f"{metric}{{{', '.join(parts)}}}" if parts or not metric else metric


def selector_here(metric: str, labels: Labels, **patterns: str) -> str:
    """As `selector`, but a cluster also fits series without that label: it is often an external label, which alerts carry
    and the series in the Prometheus at hand do not."""
    if not labels.get("cluster"):
        return selector(metric, labels, **patterns)
    rest = {name: value for name, value in labels.items() if name != "cluster"}
    return selector(metric, rest, cluster=f"{literal(labels['cluster'])}|", **patterns)


def _label(name: str) -> str:
    if not _LABEL.fullmatch(name):
        raise BadArguments(f"{name!r} is not a Prometheus label name: letters, digits and _ only.")
    return name


def literal(text: str) -> str:
    """A regular expression that matches exactly this text (as `quote` sends it), in the syntax Prometheus knows."""
    return re.escape(text.encode("utf-8", "replace").decode())


def parse(promql: str, most: int = MOST_CHARACTERS) -> Node:
    """The tree of a query of at most so many characters. BadArguments says where it is wrong."""
    if len(promql) > most:
        raise BadArguments(f"The query has {len(promql)} characters; at most {most} are sent.")
    if "\x00" in promql or _depth(promql) > MOST_DEPTH:
        raise BadArguments(f"The query is nested deeper than {MOST_DEPTH} brackets. Write it flatter.")
    tree = _parsed(_STRINGS.sub(_quoted, promql.encode("utf-8", "replace").decode()))
    for depth, _ in _walk(tree):
        if depth > MOST_DEPTH:
            raise BadArguments(f"The query joins more than {MOST_DEPTH} terms in a row. Ask in several queries.")
    return tree


def _quoted(found: re.Match[str]) -> str:
    """A string in backticks, in which a backslash is one, as a string in quotes; others as they are."""
    return quote(found[0][1:-1]) if found[0].startswith("`") else found[0]


def _parsed(promql: str) -> Node:
    """Parsed, and every time and length in it read once: those beyond any calendar fail only then."""
    try:
        tree = pp.parse(promql)
        for _, node in _walk(tree):
            at = getattr(node, "at", None)
            if at is not None and at.type == pp.AtModifierType.At:
                at.at.timestamp()
            for name in ("range", "step", "offset"):
                getattr(node, name, None)
    except OverflowError:
        raise BadArguments(_NO_TIME.format(promql)) from None
    except ValueError as error:
        raise BadArguments(
            f"{promql!r} is not PromQL: {error}. Names of metrics are listed by find_metrics; ranges look like [5m]."
        ) from None
    except BaseException as error:  # a panic in the parser's Rust is no Exception: `up @ -5`, `up[1e30]`
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise BadArguments(_NO_TIME.format(promql)) from None
    return tree


def _depth(promql: str) -> int:
    """Brackets open at once, those inside strings too: an upper bound of what the parser recurses into."""
    deepest = now = 0
    for character in promql:
        now += (character in "([{") - (character in ")]}")
        deepest = max(deepest, now)
    return deepest


def children(node: Node) -> list[Node]:
    """The expressions right below one."""
    match type(node).__name__:
        case "AggregateExpr":
            return [node.expr] + ([node.param] if node.param is not None else [])
        case "BinaryExpr":
            return [node.lhs, node.rhs]
        case "Call":
            return list(node.args)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            return [node.expr]
        case "MatrixSelector":
            return [node.vector_selector]
        case _:
            return []


def _walk(tree: Node) -> Iterator[tuple[int, Node]]:
    stack = [(0, tree)]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        if depth <= MOST_DEPTH:
            stack += [(depth + 1, child) for child in reversed(children(node))]


def walk(tree: Node) -> Iterator[Node]:
    """Every expression of a tree, from the top, left before right."""
    return (node for _, node in _walk(tree))


def selectors(tree: Node) -> list[Node]:
    """All vector selectors, in the order they are written."""
    return [node for node in walk(tree) if type(node).__name__ == "VectorSelector"]


def metric_of(node: Node) -> str:
    """The metric a vector selector names, or ""."""
    if node.name:
        return str(node.name)
    return next((m.value for m in node.matchers.matchers if m.name == "__name__" and m.op == pp.MatchOp.Equal), "")


def matchers_of(node: Node) -> list[tuple[str, str, str]]:
    """(label, operator, value) of a vector selector, without the metric's name."""
    return [(m.name, _OPERATORS[str(m.op)], m.value) for m in node.matchers.matchers if m.name != "__name__"]


def equalities(tree: Node) -> dict[str, str]:
    """Labels that some selector fixes to one value (or to it and absence) and no other selector to a different one."""
    seen: dict[str, set[str]] = {}
    for node in selectors(tree):
        for name, op, value in matchers_of(node):
            if op == "=~" and _OR_ABSENT.fullmatch(value):
                seen.setdefault(name, set()).add(re.sub(r"\\(.)", r"\1", value[:-1]))
            elif op == "=" and value:
                seen.setdefault(name, set()).add(value)
    return {name: next(iter(values)) for name, values in seen.items() if len(values) == 1}


# -- caps ---------------------------------------------------------------------------------------------------------


def guard(tree: Node, points: int, as_of: datetime) -> None:
    """Refuse what could hurt a server or look past `as_of`; BadArguments says what to change."""
    if points > MOST_POINTS:
        raise BadArguments(f"That is {points} points a series; at most {MOST_POINTS} are read. Use a larger step_s.")
    if type(tree).__name__ in ("MatrixSelector", "StringLiteral", "SubqueryExpr"):
        raise BadArguments("The query is a range or a string. Wrap it: rate(x[5m]), max_over_time(x[1h]).")
    stack, points_in_all, seconds_in_all = [(tree, points, 0)], 0, 0.0
    while stack:
        node, evaluations, relabels = stack.pop()
        check = _CHECKS.get(type(node).__name__)
        inner = check(node, evaluations, as_of) if check else evaluations
        relabels += _check_relabel(node, relabels)
        stack += [(child, inner, relabels) for child in children(node)]
        points_in_all += inner if type(node).__name__ == "VectorSelector" else 0
        seconds_in_all += inner * node.range.total_seconds() if type(node).__name__ == "MatrixSelector" else 0
    if points_in_all > MOST_EVALUATIONS or seconds_in_all > MOST_WINDOW_SECONDS:
        raise BadArguments(
            f"All parts of the query together are too much for one query: {points_in_all} evaluations of selectors, "
            f"{seconds_in_all:.0f} s of history. Ask for fewer parts, shorter ranges or a larger step (step_s)."
        )


def _check_selector(node: Node, evaluations: int, as_of: datetime) -> int:
    _check_time(node, as_of)
    if metric_of(node):
        return evaluations
    if _narrows_names(node) and (_begin_with_words(node) or any(op == "=" and v for _, op, v in matchers_of(node))):
        return evaluations
    if not any(op == "=" and value for _, op, value in matchers_of(node)):
        raise BadArguments(
            f"{render(node)} may match every series. Name a metric (find_metrics lists them) or one label's value."
        )
    if evaluations > 1:  # one label's value may be that of a whole cluster
        raise BadArguments(
            f"{render(node)} names no metric and would be read at {evaluations} points. Name a metric (find_metrics "
            "lists them), or ask for one instant (minutes=0)."
        )
    return evaluations


def _narrows_names(node: Node) -> bool:
    """Whether a pattern for the metric's name leaves out names that nobody has: `.+_info` does, `.+` and `.*|up` do not."""
    for one in node.matchers.matchers:
        if one.name == "__name__" and _OPERATORS[str(one.op)] == "=~" and len(one.value) <= _LONGEST_PATTERN:
            try:
                return not any(re.fullmatch(one.value, name) for name in _NOBODYS_NAMES)
            except re.error:  # RE2 knows a little that Python does not
                return False
    return False


def _begin_with_words(node: Node) -> bool:
    """Whether every name that a pattern fits begins with the same letters, enough of them to be those of one program."""
    patterns = [one.value for one in node.matchers.matchers if one.name == "__name__"]
    return any(_FIRST_WORDS.match(one) and "|" not in _GROUPS.sub("", one) for one in patterns)


def _check_relabel(node: Node, around: int) -> int:
    """1 for label_replace and label_join: what they write is read by the next, so that nested ones multiply."""
    if type(node).__name__ != "Call" or node.func.name not in ("label_replace", "label_join"):
        return 0
    if around == MOST_RELABELS:
        raise BadArguments(f"More than {MOST_RELABELS} label_replace or label_join within one another. Drop some.")
    texts = [str(arg.val) for arg in node.args if type(arg).__name__ == "StringLiteral"]
    references = texts[1].count("$") if node.func.name == "label_replace" else len(texts) - 2
    if references > MOST_REFERENCES:
        raise BadArguments(f"{node.func.name} puts together {references} values; at most {MOST_REFERENCES} are asked.")
    return 1


def _check_range(node: Node, evaluations: int, as_of: datetime) -> int:
    seconds = node.range.total_seconds()
    if not (metric_of(node.vector_selector) or _narrows_names(node.vector_selector)):
        raise BadArguments(f"{render(node)} names no metric. A range needs one: find_metrics lists them.")
    if node.range > MOST_RANGE:
        raise BadArguments(f"A range of {node.range.days} days is too long; at most {MOST_RANGE.days} days are asked.")
    if evaluations * seconds > MOST_WINDOW_SECONDS:
        least = int(evaluations * seconds / MOST_WINDOW_SECONDS) + 1
        raise BadArguments(
            f"A range of {seconds:.0f} s at {evaluations} points is too much for one query. "
            f"Shorten the range, or make the step about {least} times larger (step_s)."
        )
    return evaluations


def _check_subquery(node: Node, evaluations: int, as_of: datetime) -> int:
    _check_time(node, as_of)
    step = node.step.total_seconds() if node.step else _ASSUMED_SUBQUERY_STEP
    seconds = node.range.total_seconds()
    if node.range > MOST_RANGE:
        raise BadArguments(f"A subquery over {node.range.days} days is too long; at most {MOST_RANGE.days} are asked.")
    inner = int(seconds / max(step, 0.001)) + 1
    if inner > MOST_INNER_POINTS:
        raise BadArguments(
            f"The subquery has {inner} inner points; at most {MOST_INNER_POINTS} are asked. "
            f"Write its step: [{seconds:.0f}s:{int(seconds / MOST_INNER_POINTS) + 1}s] or coarser."
        )
    if inner * evaluations > MOST_EVALUATIONS:
        raise BadArguments(
            f"The subquery is evaluated {inner} times at {evaluations} points. Make its step or step_s larger."
        )
    return inner * evaluations


def _check_time(node: Node, as_of: datetime) -> None:
    if node.offset is not None and node.offset < timedelta():
        raise BadArguments("A negative offset looks past the incident's time. Ask for a window that ends earlier.")
    at = getattr(node, "at", None)
    if at is not None and at.type == pp.AtModifierType.At and at.at > as_of:
        raise BadArguments("The @ time lies after the incident's time, which is as far as this read may look.")


_CHECKS: Mapping[str, Callable[[Node, int, datetime], int]] = {
    "VectorSelector": _check_selector,
    "MatrixSelector": _check_range,
    "SubqueryExpr": _check_subquery,
}


# -- writing ------------------------------------------------------------------------------------------------------


def render(node: Node, edit: Callable[[Node], str | None] = lambda _: None) -> str:
    """A tree as PromQL. `edit` may write a node itself; it answers None for those it leaves alone."""
    if (edited := edit(node)) is not None:
        return edited
    match type(node).__name__:
        case "VectorSelector":
            return selector_text(node) + _time_text(node)
        case "MatrixSelector":
            inner = node.vector_selector
            return f"{selector_text(inner)}[{_length(node.range)}]{_time_text(inner)}"
        case "SubqueryExpr":
            step = _length(node.step) if node.step else ""
            return f"{render(node.expr, edit)}[{_length(node.range)}:{step}]{_time_text(node)}"
        case "AggregateExpr":
            return aggregate_text(node, _modifier_text(node.modifier), edit)
        case "BinaryExpr":
            modifier = f" {node.modifier}" if node.modifier else ""
            return f"{render(node.lhs, edit)} {node.op}{modifier} {render(node.rhs, edit)}"
        case "Call":
            return f"{node.func.name}({', '.join(render(a, edit) for a in node.args)})"
        case "ParenExpr":
            return f"({render(node.expr, edit)})"
        case "UnaryExpr":
            return f"-{render(node.expr, edit)}"
        case "StringLiteral":
            return quote(node.val)
        case _:
            return str(node)


def _modifier_text(modifier: Any) -> str:
    if modifier is None:
        return ""
    word = "without" if modifier.type == pp.AggModifierType.Without else "by"
    return f"{word} ({', '.join(map(label_text, modifier.labels))})"


def label_text(name: str) -> str:
    """A label's name as it stands in PromQL: in quotes where it is none of the plain ones."""
    return name if _LABEL.fullmatch(name) else quote(name)


def aggregate_text(node: Node, grouping: str, edit: Callable[[Node], str | None]) -> str:
    """An aggregation with this grouping (`by (a, b)`, `without (c)` or "")."""
    param = f"{render(node.param, edit)}, " if node.param is not None else ""
    return f"{node.op} {grouping}{' ' if grouping else ''}({param}{render(node.expr, edit)})"


def selector_text(node: Node) -> str:
    """A vector selector without offset and @, as `match[]` wants it."""
    groups = [node.matchers.matchers, *node.matchers.or_matchers]
    texts = [
        ", ".join(f"{label_text(m.name)}{_OPERATORS[str(m.op)]}{quote(m.value)}" for m in group)
        for group in groups
        if group
    ]
    return f"{node.name or ''}{{{' or '.join(texts)}}}" if texts or not node.name else str(node.name)


def _time_text(node: Node) -> str:
    text = ""
    at = getattr(node, "at", None)
    if at is not None:
        text += f" @ {at.at.timestamp():.3f}" if at.type == pp.AtModifierType.At else f" {at}"
    return text + (f" offset {_length(node.offset)}" if node.offset else "")


def _length(length: timedelta) -> str:
    """A PromQL duration. Whole seconds where possible, else milliseconds."""
    milliseconds = round(length.total_seconds() * 1000)
    sign, milliseconds = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if milliseconds and milliseconds % size == 0:
            return f"{sign}{milliseconds // size}{unit}"
    return f"{sign}{milliseconds}ms"
