"""Text from outside cannot drive a terminal, hide itself, or be cut in silence; secrets do not pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.redact import Redactor
from agent.domain.text import paragraph, rounded, visible


@given(st.text())
def test_nothing_that_drives_a_terminal_passes(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()


def test_hidden_characters_are_spelled_out() -> None:
    assert visible("a\u202eb\u200bc\x1b[31m\nd") == "a⟨U+202E⟩b⟨U+200B⟩c␛[31m⏎d"


def test_a_cut_says_how_much_is_missing() -> None:
    shown = visible("x" * 1000, 90)
    assert "910 more characters" in shown


def test_paragraphs_keep_their_lines() -> None:
    assert paragraph("a\r\nb\x07") == "a\nb␇"


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("token is hunter2hunter2", "hunter2hunter2"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("postgres://ann:s3cretpw@db/x", "s3cretpw"),
        ('{"api_key": "abcd-efgh-1234"}', "abcd-efgh-1234"),
        ("xoxb-1234567890-abcdef", "xoxb-1234567890"),
        ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "abc"),
    ],
)
def test_a_secret_does_not_pass_the_redactor(text: str, gone: str) -> None:
    shown = Redactor(["hunter2hunter2"])(text)
    assert gone not in shown
    assert "[redacted: " in shown


def test_words_that_only_sound_secret_stay() -> None:
    text = "passwordless login works; rate(http_requests_total[5m]) is 3"
    assert Redactor(["ab"])(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("p99 is 2.1251639344262383 s", "p99 is 2.125 s"),
        ("a share 0.033333333333 of calls", "a share 0.03333 of calls"),
        ("version 1.19.10000000 and 10.0.0.123456", "version 1.19.10000000 and 10.0.0.123456"),
        ("0.25 and 12.3456", "0.25 and 12.3456"),
        ("1.234567e+09 bytes", "1.235e+09 bytes"),
    ],
)
def test_long_decimals_are_shown_short_and_names_are_left_alone(text: str, shown: str) -> None:
    assert rounded(text) == shown
