"""What may go wrong with a query, with the errorType and the words that Prometheus would use.

QueryError
├── BadQuery        bad_data    it does not parse, or its types do not fit
├── NotComputable   execution   it parses, but these samples cannot answer it (a many-to-many match …)
└── Unsupported     execution   valid PromQL that the lab's evaluator does not speak; it refuses rather than guesses
"""

from __future__ import annotations

from agent.errors import StanchError


class QueryError(StanchError):
    kind = "execution"


class BadQuery(QueryError):
    kind = "bad_data"


class NotComputable(QueryError):
    pass


class Unsupported(QueryError):
    pass
