"""The walk over an expression's tree, and the two ways to ask: at one moment, or at every step of a range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from agent.lab.ports import Floats, Millis, Samples
from agent.lab.promql import aggregate, functions, windows
from agent.lab.promql.binary import ARITHMETIC, COMPARISONS, SETS, combined, matching_of
from agent.lab.promql.errors import BadQuery, NotComputable, Unsupported
from agent.lab.promql.histogram import histogram_quantile
from agent.lab.promql.parse import parse
from agent.lab.promql.select import (
    looked_at,
    matchers_of,
    matching,
    milliseconds,
    newest,
    subquery_windows,
    windows_of,
)
from agent.lab.promql.values import (
    Frame,
    Labels,
    Options,
    Value,
    Vector,
    Windows,
    inhabited,
    nameless,
    ordered,
    relabelled,
)

DEFAULT = Options()
KINDS = {Vector: "instant vector", Windows: "range vector", str: "string", np.ndarray: "scalar"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's value: a `Vector` (in the order it is to be shown), scalars, a string, or the raw `Windows` of a range."""

    steps: Millis
    value: Value


def instant(samples: Samples, query: str, at_ms: int, options: Options = DEFAULT) -> Answer:
    """The query at one moment. Raises QueryError."""
    steps = np.array([at_ms], dtype=np.int64)
    expr = parse(query)
    value = evaluated(expr, Frame(samples, steps, at_ms, at_ms, options))
    if isinstance(value, Vector):
        value = inhabited(value)
        value = value if keeps_order(expr) else ordered(value)
    return Answer(steps, value)


def ranged(
    samples: Samples, query: str, start_ms: int, end_ms: int, step_ms: int, options: Options = DEFAULT
) -> Answer:
    """The query at every step from start to end, both inclusive. Series are sorted by labels. Raises QueryError."""
    steps = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
    value = evaluated(parse(query), Frame(samples, steps, start_ms, end_ms, options))
    if isinstance(value, Windows | str):
        raise BadQuery(
            f'invalid expression type "{KINDS[type(value)]}" for range query, must be Scalar or instant Vector'
        )
    return Answer(steps, ordered(inhabited(value)) if isinstance(value, Vector) else value)


def keeps_order(expr: Expr) -> bool:
    """sort(), and topk() whose result Prometheus shows best first."""
    if isinstance(expr, ParenExpr):
        return keeps_order(expr.expr)
    if isinstance(expr, Call):
        return expr.func.name in ("sort", "sort_desc")
    return isinstance(expr, AggregateExpr) and str(expr.op) in ("topk", "bottomk") and expr.modifier is None


def evaluated(expr: Expr, frame: Frame) -> Value:
    match expr:
        case NumberLiteral():
            return np.full(frame.steps.size, expr.val)
        case StringLiteral():
            return expr.val
        case ParenExpr():
            return evaluated(expr.expr, frame)
        case UnaryExpr():
            return negated(evaluated(expr.expr, frame))
        case VectorSelector():
            return newest(frame, expr)[0]
        case MatrixSelector():
            return selected(expr, frame)
        case SubqueryExpr():
            return subquery(expr, frame)
        case AggregateExpr():
            return aggregation(expr, frame)
        case BinaryExpr():
            return operation(expr, frame)
        case Call():
            return called(expr, frame)
    raise Unsupported(f"{type(expr).__name__} is not known to this evaluator: {expr.prettify()}")


def vector_of(expr: Expr, frame: Frame) -> Vector:
    value = evaluated(expr, frame)
    if not isinstance(value, Vector):
        raise BadQuery(f"expected type instant vector, got {KINDS[type(value)]}: {expr.prettify()}")
    return value


def scalar_of(expr: Expr, frame: Frame) -> Floats:
    value = evaluated(expr, frame)
    if not isinstance(value, np.ndarray):
        raise BadQuery(f"expected type scalar, got {KINDS[type(value)]}: {expr.prettify()}")
    return value


def string_of(expr: Expr) -> str:
    while isinstance(expr, ParenExpr):
        expr = expr.expr
    if not isinstance(expr, StringLiteral):
        raise BadQuery(f"expected type string: {expr.prettify()}")
    return expr.val


def windows_for(expr: Expr, frame: Frame) -> Windows:
    value = evaluated(expr, frame)
    if not isinstance(value, Windows):
        raise BadQuery(f"expected type range vector, got {KINDS[type(value)]}: {expr.prettify()}")
    return value


def negated(value: Value) -> Value:
    if isinstance(value, Vector):
        labels = [nameless(labels) for labels in value.labels]
        return relabelled(Vector(labels, -value.values, value.present), labels, whole=True)
    if isinstance(value, np.ndarray):
        return -value
    raise BadQuery(
        f"unary expression only allowed on expressions of type scalar or instant vector, got {KINDS[type(value)]}"
    )


def selected(expr: MatrixSelector, frame: Frame) -> Windows:
    selector, range_ms = expr.vector_selector, milliseconds(expr.range)
    ends = looked_at(frame, selector.at, milliseconds(selector.offset))
    within = (int(ends.min()) - range_ms, int(ends.max()))
    found = matching(frame.samples, matchers_of(selector), within)
    return windows_of(found, ends - range_ms, ends, range_ms, frame)


def subquery(expr: SubqueryExpr, frame: Frame) -> Windows:
    """The inner expression on a grid of its own, whose steps are multiples of the step since 1970."""
    range_ms = milliseconds(expr.range)
    step = milliseconds(expr.step) or frame.options.default_step_ms
    ends = looked_at(frame, expr.at, milliseconds(expr.offset))
    starts = ends - range_ms
    first = int(starts.min())
    begin = first // step * step
    if begin < first or (begin == first and frame.options.left_open):
        begin += step
    grid = np.arange(begin, int(ends.max()) + 1, step, dtype=np.int64)
    frame.admit(grid.size)
    if not grid.size:
        return windows_of([], starts, ends, range_ms, frame)
    inner = evaluated(expr.expr, replace(frame, steps=grid))
    if isinstance(inner, np.ndarray):
        inner = functions.one_series(inner)
    if not isinstance(inner, Vector):
        raise BadQuery(f"subquery is only allowed on instant vector, got {KINDS[type(inner)]}: {expr.prettify()}")
    return subquery_windows(ordered(inner), grid, starts, ends, range_ms, frame)


def aggregation(expr: AggregateExpr, frame: Frame) -> Vector:
    name, modifier = str(expr.op), expr.modifier
    parameter: Any = expr.param  # the parser has seen to it that it is there
    excluding = modifier is not None and str(modifier.type).endswith("Without")
    group_of = aggregate.grouping(modifier.labels if modifier else None, excluding)
    vector = vector_of(expr.expr, frame)
    if name in aggregate.AGGREGATES:
        return aggregate.aggregated(name, vector, group_of)
    match name:
        case "topk" | "bottomk":
            best = aggregate.extremes(scalar_of(parameter, frame), vector, group_of, largest=name == "topk")
            return functions.sort(inhabited(best), descending=name == "topk")
        case "quantile":
            return aggregate.quantiles(scalar_of(parameter, frame), vector, group_of)
        case "count_values":
            label = string_of(parameter)
            if functions.LABEL_NAME.fullmatch(label) is None:
                raise NotComputable(f'invalid label name "{label}"')
            return aggregate.count_values(label, vector, group_of)
    raise Unsupported(f"the aggregation {name} is not known to this evaluator")


def operation(expr: BinaryExpr, frame: Frame) -> Value:
    op = str(expr.op)
    if op not in ARITHMETIC and op not in COMPARISONS and op not in SETS:
        raise Unsupported(f"the operator {op} is not known to this evaluator")
    left, right = evaluated(expr.lhs, frame), evaluated(expr.rhs, frame)
    if isinstance(left, str | Windows) or isinstance(right, str | Windows):
        raise BadQuery("binary expression must contain only scalar and instant vector types")
    return combined(op, matching_of(expr), left, right)


def called(expr: Call, frame: Frame) -> Value:
    with np.errstate(all="ignore"):
        name, args = expr.func.name, expr.args
        if name in windows.FUNCTIONS:
            return range_call(name, args, frame)
        if name in functions.ELEMENTWISE:
            vector = vector_of(args[0], frame)
            return functions.mapped(vector, functions.ELEMENTWISE[name](vector.values))
        if name in functions.CALENDAR:
            vector = vector_of(args[0], frame) if args else functions.one_series(frame.steps / 1000)
            return functions.calendar(name, vector)
        if name in SPECIAL:
            return SPECIAL[name](args, frame)
    raise Unsupported(f"the function {name}() is not known to this evaluator")


def range_call(name: str, args: list[Expr], frame: Frame) -> Vector:
    place = 1 if name == "quantile_over_time" else 0
    others = [scalar_of(arg, frame) for number, arg in enumerate(args) if number != place]
    return windows.over_windows(name, windows_for(args[place], frame), others[0] if others else None, frame)


def timestamp(args: list[Expr], frame: Frame) -> Vector:
    """A selector tells when its samples were taken; anything else is as of now."""
    inner = args[0]
    while isinstance(inner, ParenExpr):
        inner = inner.expr
    if isinstance(inner, VectorSelector):
        vector, times = newest(frame, inner)
        return functions.mapped(vector, times / 1000)
    vector = vector_of(inner, frame)
    return functions.mapped(vector, np.broadcast_to(frame.steps / 1000, vector.values.shape))


def clamp(args: list[Expr], frame: Frame) -> Vector:
    return functions.clamped(vector_of(args[0], frame), scalar_of(args[1], frame), scalar_of(args[2], frame))


def clamp_min(args: list[Expr], frame: Frame) -> Vector:
    vector = vector_of(args[0], frame)
    return functions.mapped(vector, functions.greater(vector.values, scalar_of(args[1], frame)))


def clamp_max(args: list[Expr], frame: Frame) -> Vector:
    vector = vector_of(args[0], frame)
    return functions.mapped(vector, functions.lesser(vector.values, scalar_of(args[1], frame)))


def round_(args: list[Expr], frame: Frame) -> Vector:
    nearest = scalar_of(args[1], frame) if len(args) > 1 else np.ones(frame.steps.size)
    return functions.rounded(vector_of(args[0], frame), nearest)


SPECIAL: Mapping[str, Callable[[list[Expr], Frame], Value]] = {
    "time": lambda args, frame: frame.steps / 1000,
    "pi": lambda args, frame: np.full(frame.steps.size, np.pi),
    "vector": lambda args, frame: functions.one_series(scalar_of(args[0], frame)),
    "scalar": lambda args, frame: functions.scalar(vector_of(args[0], frame)),
    "timestamp": timestamp,
    "absent": lambda args, frame: functions.absent(vector_of(args[0], frame), args[0]),
    "absent_over_time": lambda args, frame: functions.absent_over_time(windows_for(args[0], frame), args[0]),
    "sort": lambda args, frame: functions.sort(vector_of(args[0], frame), descending=False),
    "sort_desc": lambda args, frame: functions.sort(vector_of(args[0], frame), descending=True),
    "clamp": clamp,
    "clamp_min": clamp_min,
    "clamp_max": clamp_max,
    "round": round_,
    "histogram_quantile": lambda args, frame: histogram_quantile(scalar_of(args[0], frame), vector_of(args[1], frame)),
    "label_replace": lambda args, frame: functions.label_replace(vector_of(args[0], frame), *map(string_of, args[1:])),
    "label_join": lambda args, frame: functions.label_join(vector_of(args[0], frame), *map(string_of, args[1:])),
}


def series_of(answer: Answer) -> list[tuple[Labels, Millis, Floats]]:
    """The answer's series with the times and values of their samples."""
    value = answer.value
    if isinstance(value, Vector):
        return [
            (labels, answer.steps[here], row[here])
            for labels, row, here in zip(value.labels, value.values, value.present, strict=True)
        ]
    if isinstance(value, Windows):
        cuts = [slice(int(low), int(high)) for low, high in zip(value.low[:, 0], value.high[:, 0], strict=True)]
        return [(labels, value.times[cut], value.values[cut]) for labels, cut in zip(value.labels, cuts, strict=True)]
    return [] if isinstance(value, str) else [((), answer.steps, value)]
