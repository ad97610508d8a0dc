"""Parsing, with the words of Prometheus for what does not parse."""

from __future__ import annotations

import re
from functools import lru_cache

import promql_parser
from promql_parser import Expr

from agent.lab.promql.errors import BadQuery

# promql-parser says the same things a little differently.
WORDING: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"unknown function with name '(.*)'", r'unknown function with name "\1"'),
        (
            r"expected type (\w+) in call to function '(\w+)', got (\w+)",
            r'expected type {\1} in call to function "\2", got {\3}',
        ),
        (r"expected type (\w+) in (.*), got (\w+)", r"expected type {\1} in \2, got {\3}"),
        (
            r"expected (\d+) argument\(s\) in call to '(\w+)', got (\d+)",
            r'expected \1 argument(s) in call to "\2", got \3',
        ),
        (
            r"expected at (least|most) (\d+) argument\(s\) in call to '(\w+)', got (\d+)",
            r'expected at \1 \2 argument(s) in call to "\3", got \4',
        ),
        (r"label '(.*)' must not occur", r'label "\1" must not occur'),
        (r"set operator '(\w+)' not allowed", r'set operator "\1" not allowed'),
        (r"bad number or duration syntax: (\d*)\S*", r'bad duration syntax: "\1"'),
        (r"subquery is only allowed on vector", "subquery is only allowed on instant vector"),
        (r"unexpected right parenthesis '\)'", "unexpected right parenthesis ')'"),
    )
)
TYPES = {"vector": "instant vector", "matrix": "range vector", "scalar": "scalar", "string": "string"}


@lru_cache(maxsize=1024)
def parse(query: str) -> Expr:
    """The expression's tree. Raises BadQuery in the form `1:11: parse error: unclosed left parenthesis`."""
    try:
        return promql_parser.parse(query)
    except ValueError as error:
        message = worded(str(error))
        raise BadQuery(f"{position(query, message)}: parse error: {message}") from error


def worded(message: str) -> str:
    for pattern, words in WORDING:
        if pattern.search(message):
            message = pattern.sub(words, message)
            break
    return re.sub(r"\{(\w+)\}", lambda match: TYPES.get(match.group(1), match.group(1)), message)


def position(query: str, message: str) -> str:
    """Where the mistake is, as line:column. The parser does not tell, so it is found from what it names, or is the end."""
    if not query.strip():
        return "unknown position"
    named = re.search(r'(?:name|function|call to) "(\w+)"', message)
    offset = query.find(named.group(1)) if named and named.group(1) in query else len(query)
    line = query.count("\n", 0, offset)
    return f"{line + 1}:{offset - (query.rfind(chr(10), 0, offset) + 1) + 1}"
