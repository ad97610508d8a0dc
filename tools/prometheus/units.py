"""The unit of a query's values, read off Prometheus' naming conventions. "" where they do not say."""

from __future__ import annotations

from tools.prometheus.promql import Node, metric_of, selectors

_SUFFIXES = (
    ("_timestamp_seconds", "unix"),
    ("_start_time_seconds", "unix"),
    ("_last_updated_seconds", "unix"),
    ("_until_seconds", "unix"),
    ("_cert_expiry", "unix"),
    ("_created", "unix"),
    ("_start_time", "unix"),
    ("_completion_time", "unix"),
    ("_timestamp", "unix"),
    ("_seconds", "s"),
    ("_milliseconds", "ms"),
    ("_ms", "ms"),
    ("_bytes", "bytes"),
    ("_ratio", "ratio"),
    ("_celsius", "°C"),
    ("_percent", "%"),
)
_SAME = {
    "max_over_time",
    "min_over_time",
    "avg_over_time",
    "last_over_time",
    "quantile_over_time",
    "sum_over_time",
    "abs",
    "ceil",
    "floor",
    "round",
    "clamp",
    "clamp_min",
    "clamp_max",
    "sort",
    "sort_desc",
    "delta",
    "idelta",
    "label_replace",
    "label_join",
    "predict_linear",
    "stddev_over_time",
}
_RATES = {"rate", "irate", "deriv"}
_COUNTS = {"count_over_time", "changes", "resets", "absent", "absent_over_time"}


def unit_of(node: Node) -> str:
    """s, ms, 1/s, bytes, ratio, count, unix …; "" when unsure."""
    match type(node).__name__:
        case "VectorSelector":
            return _unit_of_name(metric_of(node))
        case "MatrixSelector":
            return unit_of(node.vector_selector)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            return unit_of(node.expr)
        case "AggregateExpr":
            return "count" if str(node.op) in ("count", "count_values") else unit_of(node.expr)
        case "Call":
            return _unit_of_call(node)
        case "BinaryExpr":
            return _unit_of_pair(str(node.op), unit_of(node.lhs), unit_of(node.rhs), node)
        case _:
            return ""


def _unit_of_name(name: str) -> str:
    base = name.removesuffix("_total").removesuffix("_sum").removesuffix("_bucket")
    if (
        name.endswith(("_count", "_total"))
        and base == name.removesuffix("_total")
        and not base.endswith(("_seconds", "_bytes"))
    ):
        return "count"
    return next((unit for suffix, unit in _SUFFIXES if base.endswith(suffix)), "")


def _unit_of_call(node: Node) -> str:
    name = node.func.name
    if name in ("time", "timestamp"):
        return "unix"
    if name in _COUNTS:
        return "count"
    if not node.args:
        return ""
    if name == "histogram_quantile":
        return next((_unit_of_name(metric_of(part)) for part in selectors(node.args[1])), "")
    argument = next((a for a in node.args if type(a).__name__ not in ("NumberLiteral", "StringLiteral")), node.args[0])
    inner = unit_of(argument)
    if name in _RATES:
        return {"count": "1/s", "bytes": "bytes/s", "s": "s/s"}.get(inner, "")
    return inner if name in _SAME or name == "increase" else ""


def _unit_of_pair(op: str, left: str, right: str, node: Node) -> str:
    if op in (">", "<", ">=", "<=", "==", "!="):
        return "" if node.modifier and node.modifier.return_bool else left
    if op in ("and", "or", "unless"):
        return left
    if op == "/":
        if left and left == right:
            return "ratio"
        return {("s/s", "1/s"): "s", ("bytes/s", "1/s"): "bytes"}.get((left, right), "")
    if op == "-":
        if left == "unix":  # whatever a moment is taken from is one too, but for a number
            return "unix" if type(node.rhs).__name__ == "NumberLiteral" or right == "s" else "s"
        return left if left == right or not right else ""
    return left if op == "+" and left == right else ""
