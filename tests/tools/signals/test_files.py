"""What a file of signals must hold, whoever adds to it: checked by data alone, without a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.prometheus.promql import Node, parse, walk

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tools/signals").glob("*.yaml"))
VOCABULARY = yaml.safe_load((ROOT / "agent/platform/vocabulary.yaml").read_text())
KINDS = {kind["kind"] for kind in VOCABULARY["kinds"]}
UNITS = {"s", "ms", "1/s", "bytes", "bytes/s", "cores", "ratio", "count", "unix", "celsius"}
SIGNAL_KEYS = {"signal", "meaning", "unit", "worse", "across", "floor", "dialects"}
DIALECT_KEYS = {"name", "source", "proved", "subject", "query"}
SCALES = {"_milliseconds_": "/ 1000", "_ms_": "/ 1000", "_microseconds": "/ 1000000", "_us[": "/ 1000000"}

SIGNALS: list[dict[str, Any]] = [signal for file in FILES for signal in yaml.safe_load(file.read_text())]
every_signal = pytest.mark.parametrize("signal", SIGNALS, ids=[signal["signal"] for signal in SIGNALS])


def naming_labels(dialect: dict[str, Any]) -> list[str]:
    """The labels that tell one series of the answer from another: the subject's, then the peer's."""
    subject = dialect["subject"]
    names = ["job", "instance"] if subject == "scrape" else next(iter(subject.values()))
    return [*names, *dialect.get("peer", [])]


def filled(dialect: dict[str, Any], match: str) -> str:
    query = dialect["query"].replace("<by>", ", ".join(naming_labels(dialect))).replace("<w>", "5m")
    return re.sub(r"\{,", "{", query.replace("<match>", match))


def labels_left(node: Node) -> set[str] | None:
    """The labels that an expression's answer has; None where nothing says so (a raw selector, a number)."""
    match type(node).__name__:
        case "AggregateExpr":
            return set(node.modifier.labels) if node.modifier else set()
        case "BinaryExpr":
            left, right = labels_left(node.lhs), labels_left(node.rhs)
            return right if left is None else left
        case "Call":
            known = [labels_left(argument) for argument in node.args]
            return next((labels - {"le"} for labels in known if labels is not None), None)
        case "ParenExpr" | "UnaryExpr":
            return labels_left(node.expr)
        case _:
            return None


def selectors(tree: Node) -> list[Node]:
    return [node for node in walk(tree) if type(node).__name__ == "VectorSelector"]


def test_no_two_signals_share_an_id() -> None:
    ids = [signal["signal"] for signal in SIGNALS]
    assert sorted(ids) == sorted(set(ids))


@every_signal
def test_a_signal_says_what_it_means_in_known_words(signal: dict[str, Any]) -> None:
    assert set(signal) - {"limit", "loses", "words", "of"} == SIGNAL_KEYS
    assert re.fullmatch(r"[a-z][a-z0-9_]+", signal["signal"])
    assert signal["meaning"][0] != " "
    assert not signal["meaning"].endswith(".")
    assert signal["unit"] in UNITS
    assert signal["worse"] in {"up", "down", "both"}
    assert signal["across"] in {"max", "min", "sum", "mean"}
    assert signal["floor"] >= 0


@every_signal
def test_a_limit_lies_where_its_unit_and_direction_allow(signal: dict[str, Any]) -> None:
    limit = signal.get("limit")
    if limit is None:
        return
    assert signal["worse"] in {"up", "down"}
    assert limit > 0
    assert signal["unit"] != "ratio" or limit < 1


@every_signal
def test_the_dialects_of_a_signal_differ_in_name_and_in_what_they_ask(signal: dict[str, Any]) -> None:
    names = [dialect["name"] for dialect in signal["dialects"]]
    asked = [(str(dialect["subject"]), dialect["query"], str(dialect.get("peer"))) for dialect in signal["dialects"]]
    assert sorted(names) == sorted(set(names))
    assert sorted(asked) == sorted(set(asked))


@every_signal
def test_a_dialect_has_its_source_and_names_its_subject(signal: dict[str, Any]) -> None:
    for dialect in signal["dialects"]:
        labels = naming_labels(dialect)
        assert set(dialect) - {"peer"} == DIALECT_KEYS, dialect["name"]
        assert re.fullmatch(r"https://[^\s/]+/\S*", dialect["source"]), dialect["name"]
        assert isinstance(dialect["proved"], bool), dialect["name"]
        assert dialect["subject"] == "scrape" or set(dialect["subject"]) < KINDS, dialect["name"]
        assert signal["signal"].startswith("peer_") == ("peer" in dialect), dialect["name"]
        assert sorted(labels) == sorted(set(labels)) != [], dialect["name"]


@every_signal
@pytest.mark.parametrize("match", ["", 'job="a",instance=~"b|c"'], ids=["for all", "for some"])
def test_a_query_is_promql_once_its_blanks_are_filled(signal: dict[str, Any], match: str) -> None:
    for dialect in signal["dialects"]:
        query = filled(dialect, match)
        assert not re.search(r"<\w+>", query), query
        assert selectors(parse(query)), query


@every_signal
def test_an_answer_is_told_apart_by_exactly_the_labels_that_name(signal: dict[str, Any]) -> None:
    for dialect in signal["dialects"]:
        query = filled(dialect, "")
        assert labels_left(parse(query)) == set(naming_labels(dialect)), query


@every_signal
def test_every_metric_of_a_query_can_be_narrowed_to_its_subjects(signal: dict[str, Any]) -> None:
    for dialect in signal["dialects"]:
        blanks = re.findall(r"\{<match>[,}]", dialect["query"])
        assert len(blanks) == len(selectors(parse(filled(dialect, "")))), dialect["query"]


@every_signal
def test_a_rate_is_taken_over_the_window_that_is_asked_for(signal: dict[str, Any]) -> None:
    for dialect in signal["dialects"]:
        windows = re.findall(r"\b(?:rate|increase|changes|delta)\([^\[]*\[([^\]]+)\]", dialect["query"])
        assert set(windows) <= {"<w>"}, dialect["query"]


@every_signal
def test_a_duration_comes_in_seconds(signal: dict[str, Any]) -> None:
    for dialect in signal["dialects"] if signal["unit"] == "s" else ():
        for word, scale in SCALES.items():
            assert word not in dialect["query"] or scale in dialect["query"], dialect["query"]


@every_signal
def test_no_error_yet_reads_as_zero_and_not_as_nothing(signal: dict[str, Any]) -> None:
    if signal["signal"].endswith("error_ratio"):
        for dialect in signal["dialects"]:
            assert " or 0 * " in dialect["query"], dialect["query"]
