"""PromQL over `agent.lab.ports.Samples`: what Prometheus 2 answers, or a clear refusal, never a wrong number."""

from agent.lab.promql.errors import BadQuery, NotComputable, QueryError, Unsupported
from agent.lab.promql.evaluate import Answer, instant, ranged, series_of
from agent.lab.promql.parse import parse
from agent.lab.promql.values import NAME, STALE_MARKER, Labels, Options, Vector, Windows

__all__ = [
    "NAME",
    "STALE_MARKER",
    "Answer",
    "BadQuery",
    "Labels",
    "NotComputable",
    "Options",
    "QueryError",
    "Unsupported",
    "Vector",
    "Windows",
    "instant",
    "parse",
    "ranged",
    "series_of",
]
