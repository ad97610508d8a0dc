"""The redactor measured both ways: of what tools print, which secrets are found, and which ordinary texts are touched.

`python -m tests.domain.test_redact` prints the figures, and each text that counts against them.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.domain.redact import Redactor
from agent.domain.secret_names import Kind, kind_of
from tests.domain.fake_secrets import CALM, cases, of
from tests.domain.ordinary_texts import LINES, of_rules, of_the_repository
from tests.shared_data import shared_data

GIVEN = Path(__file__).parents[1] / "fixtures/redaction/strings.json"
FOUND, TOUCHED = 0.98, 0.01
Case = tuple[str, str, str]  # what it is, the text, the secret that must not be found in it


def given_cases() -> list[Case]:
    told = json.loads(GIVEN.read_text())
    rows = [*told["cases"], *told["held"]]
    return [(one["id"], one["text"].replace("~", ""), one["secret"].replace("~", "")) for one in rows]


def missed(found: Iterable[Case], redact: Callable[[str], str]) -> tuple[list[Case], int]:
    """Those whose secret still stands in the text, and of how many."""
    every = [one for one in found if one[2]]
    return [one for one in every if one[2] in redact(one[1])], len(every)


def touched(texts: Iterable[str], redact: Callable[[str], str]) -> tuple[list[str], int]:
    every = [text for text in dict.fromkeys(texts) if text.strip()]
    return [text for text in every if redact(text) != text], len(every)


def test_at_least_98_percent_of_secrets_that_tools_print_are_found() -> None:
    left, count = missed([*given_cases(), *cases()], Redactor())
    assert count >= 400
    assert len(left) <= (1 - FOUND) * count, left


def test_every_given_case_is_found_and_the_rest_of_its_text_stays() -> None:
    redact = Redactor()
    for what, text, secret in given_cases():
        hidden = redact(text)
        if secret:
            assert secret not in hidden, what
            assert hidden.split("[redacted")[0] == text[: len(hidden.split("[redacted")[0])], what
            assert hidden.startswith(text.split(" ")[0].split("=")[0][:8]), what
        else:
            assert hidden == text, what


@pytest.mark.parametrize("kind", ["phrase", "sign", "address", "block", "header", "token"])
def test_no_kind_is_missed_for_the_sake_of_the_others(kind: str) -> None:
    left, count = missed((one for one in cases() if one[0].startswith(kind)), Redactor())
    assert count >= 8
    assert left == []


@pytest.mark.parametrize("seed", range(3))
def test_whichever_secrets_are_drawn(seed: int) -> None:
    left, count = missed(cases(seed), Redactor())
    assert len(left) <= (1 - FOUND) * count, left


def test_at_most_one_percent_of_ordinary_lines_are_touched() -> None:
    left, count = touched(LINES, Redactor())
    assert count > 200
    assert len(left) <= TOUCHED * count, left


def test_at_most_one_percent_of_what_the_lab_the_runbooks_and_the_recordings_say_is_touched() -> None:
    left, count = touched(of_the_repository(), Redactor())
    assert count > 3_000
    assert len(left) <= TOUCHED * count, left


def test_at_most_one_percent_of_public_rules_and_alerts_is_touched() -> None:
    left, count = touched(of_rules(shared_data("rules")), Redactor())
    assert count > 1_000
    assert len(left) <= TOUCHED * count, left


def test_what_was_redacted_once_stays_as_it_is() -> None:
    redact = Redactor()
    for what, text, _ in [*given_cases(), *cases()]:
        once = redact(text)
        assert redact(once) == once, what


@given(st.text(max_size=300))
def test_any_text_gets_an_answer_and_the_same_the_second_time(text: str) -> None:
    redact = Redactor(["hunter2hunter2"])
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "sign",
    [
        "=",
        ":",
        '"',
        "\\",
        "-",
        "/",
        "password=",
        "://a:",
        "token ",
        "eyJ",
        "name=",
        "curl -u ",
        "A",
        "%3D",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_no_text_however_odd_takes_long(sign: str) -> None:
    """A pattern that tries every way to read a text would take minutes for this one."""
    text = "password= token: http:// secret -----BEGIN PGP " + sign * (60_000 // len(sign))
    began = time.process_time()
    Redactor(["hunter2hunter2"])(text)
    assert time.process_time() - began < 2.0


# -- names ------------------------------------------------------------------------------------------------------------

SURE = (
    "password",
    "dbPassword",
    "PGPASSWORD",
    "MYSQL_PWD",
    "Pwd",
    "db.pass",
    "spring.datasource.password",
    "client_secret",
    "clientSecret",
    "AccountKey",
    "client-key-data",
    "x-api-key",
    "API key",
    "aws_secret_access_key",
    "SECRET_KEY_BASE",
    "accessToken",
    "X-Amz-Signature",
    "REDIS_PASS",
)
MAYBE = ("secret", "token", "TOKEN", "auth", "redis.auth", "credentials", "sig", "STRIPE_KEY", "session_id", "webToken")
NEITHER = (
    "tokens",
    "max_tokens",
    "secretName",
    "secretKeyRef",
    "passwordSecretRef",
    "password_file",
    "password-reset",
    "token_ttl",
    "key",
    "cache_key",
    "primary key",
    "partition_key",
    "groupKey",
    "public_key",
    "SSH_PUBLIC_KEY",
    "author",
    "authority",
    "monkey",
    "bypass",
    "compass",
    "passenger",
    "design",
    "keyboard",
    "authorization-mode",
)


def test_a_name_is_read_by_its_last_words_in_any_spelling() -> None:
    assert {name for name in SURE if kind_of(name) is not Kind.SURE} == set()
    assert {name for name in MAYBE if kind_of(name) is not Kind.MAYBE} == set()
    assert {name for name in NEITHER if kind_of(name) is not None} == set()


def test_values_under_such_names_are_taken_out_of_structured_data_too() -> None:
    value = {
        "dbPassword": "plainwords",
        "secret": "checkout-tls",
        "token": "Zq7fakeVal1x9",
        "tokens": 120_000,
        "passwordFile": "/run/x",
        "env": [{"name": "DB_PASSWORD", "value": "plainwords"}, {"name": "LOG_LEVEL", "value": "plainwords"}],
    }
    hidden = "[redacted: secret value]"
    assert Redactor().value(value) == {
        **value,
        "dbPassword": hidden,
        "token": "[redacted: secret word]",
        "env": [{"name": "DB_PASSWORD", "value": hidden}, {"name": "LOG_LEVEL", "value": "plainwords"}],
    }


# -- configured secrets -----------------------------------------------------------------------------------------------

OWN = ["zq-Configured/Secret+7781", "hunter2-hunter2", "é-päss?wörd~99", "abc>>>???xyz~~~"]


@pytest.mark.parametrize("secret", OWN)
@pytest.mark.parametrize("before", ["", "a", "ab", "user:", "abcd", "{'x': '"])
@pytest.mark.parametrize("after", ["", "z", "zz", "\n"])
def test_a_configured_secret_is_found_in_base64_wherever_it_begins(secret: str, before: str, after: str) -> None:
    raw = (before + secret + after).encode()
    redact = Redactor(OWN)
    for encoded in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        for text in (encoded, f"auth {encoded.rstrip('=')} end", json.dumps({"x": encoded})):
            assert "[redacted: configured secret]" in redact(text), text


@pytest.mark.parametrize("width", [16, 20, 64, 76])
@pytest.mark.parametrize("break_", ["\n", "\r\n", "\\n", "\n    "])
def test_and_however_its_base64_is_broken_into_lines(width: int, break_: str) -> None:
    dice = random.Random(width)
    redact = Redactor(OWN)
    for secret in OWN:
        for shift in range(40):
            whole = base64.b64encode((of(CALM, shift + 4)(dice) + secret + of(CALM, 90)(dice)).encode()).decode()
            text = break_.join(whole[at : at + width] for at in range(0, len(whole), width))
            hidden = redact(f"data: {text} end")
            joined = hidden.replace("\\n", "").replace("\\r", "").translate({ord(sign): None for sign in " \r\n"})
            decoded = "".join(
                base64.b64decode(part + "=" * (-len(part) % 4)).decode("latin-1")
                for part in [joined.removeprefix("data:").removesuffix("end").split("[")[0]]
            )
            assert secret.encode().decode("latin-1") not in decoded
            assert "[redacted: configured secret]" in hidden


def test_a_configured_secret_is_found_as_addresses_json_and_hex_spell_it() -> None:
    redact = Redactor(OWN)
    for text in (
        "zq-Configured%2FSecret%2B7781",
        "zq-Configured%2fSecret%2b7781",
        json.dumps("é-päss?wörd~99"),
        "é-päss?wörd~99",
        b"zq-Configured/Secret+7781".hex(),
    ):
        assert redact(text) in ("[redacted: configured secret]", '"[redacted: configured secret]"'), text


def test_other_base64_and_words_in_lines_stay() -> None:
    redact = Redactor(OWN)
    for text in (base64.encodebytes(bytes(range(200))).decode(), "a-long-word-in-a-line\nanother-long-word-of-it\n"):
        assert redact(text) == text


if __name__ == "__main__":
    one = Redactor()
    for name, left, count in (
        ("given, missed", *missed(given_cases(), one)),
        ("own, missed", *missed(cases(), one)),
        ("lines, touched", *touched(LINES, one)),
        ("repository, touched", *touched(of_the_repository(), one)),
        ("rules, touched", *touched(of_rules(shared_data("rules")), one)),
    ):
        print(f"{name}: {len(left)} of {count} ({len(left) / count:.2%})", *left, sep="\n    ")  # type: ignore[call-overload]
