"""Patterns of log lines."""

from __future__ import annotations

import pytest

from tools.logs.patterns import LONGEST, Pattern, mask, patterns


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("took 12.5ms for 3 rows", "took <n>ms for <n> rows"),
        ("2026-11-24T03:04:05.123Z WARN slow", "<time> WARN slow"),
        ("2026-11-24 03:04:05,123 WARN slow", "<time> WARN slow"),
        ("dial tcp 10.0.3.17:5432: refused", "dial tcp <address>: refused"),
        ("peer fe80::1:2 gone", "peer <address> gone"),
        ("request 3f2504e0-4f89-11d3-9a0c-0305e82c3301 failed", "request <id> failed"),
        ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <id>"),
        ("pod web-7d9f8c6b5d-x2k4p evicted", "pod web-<id> evicted"),
        ("mail to ann.lee@example.org bounced", "mail to <address> bounced"),
        ("model v41 loaded over http2, p99 high", "model v41 loaded over http2, p99 high"),
        ("deadbeef and feedface are words here", "deadbeef and feedface are words here"),
        ("commit deadbee1f0 at 0xfe12", "commit <id> at <id>"),
        ("trace_id=1234567890123456 and 1763393949123 ms", "trace_id=<id> and <n> ms"),
        ("loss 1e-05", "loss <n>"),
        ("balance -17", "balance -<n>"),
    ],
)
def test_what_varies_is_masked_and_words_are_kept(line: str, masked: str) -> None:
    assert mask(line) == masked


def test_lines_are_counted_by_pattern_most_frequent_first() -> None:
    lines = [(3000, "timeout after 31 ms"), (1000, "started"), (2000, "timeout after 30 ms"), (2500, "   ")]
    assert patterns(lines) == [
        Pattern("timeout after <n> ms", 2, 2000, 3000, "timeout after 31 ms"),
        Pattern("started", 1, 1000, 1000, "started"),
    ]


def test_terminal_escapes_and_endless_lines_do_not_get_through() -> None:
    (one,) = patterns([(0, "\x1b[31mred\x1b[0m\x07 " + "x" * 10_000)])
    assert one.example.startswith("red xxx")
    assert len(one.example) == LONGEST


def test_no_lines_no_patterns() -> None:
    assert patterns([]) == []
