"""Where a setting comes from: flag, environment, file, user's file, default, in that order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, SecretStr

from agent.domain.redact import Redactor
from agent.errors import BadConfiguration
from agent.settings import Settings, read, scopes


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stanch.yaml").write_text("data: from-file\n")
    assert read({}, tmp_path).data == tmp_path / "from-file"
    monkeypatch.setenv("STANCH_DATA", "from-env")
    assert read({}, tmp_path).data == tmp_path / "from-env"
    assert read({"data": "from-flag"}, tmp_path).data == tmp_path / "from-flag"


def test_a_catalog_beside_the_settings_is_found(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text("services: {}\n")
    assert read({}, tmp_path).catalog == tmp_path / "catalog.yaml"
    assert read({}, tmp_path).policy is None


@pytest.mark.parametrize(
    ("environment", "reasoner"),
    [
        ({}, "runbook"),
        ({"OPENAI_API_KEY": "sk-x"}, "openai"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai"),
        ({"OPENAI_API_KEY": "sk-x", "STANCH_REASONER": "runbook"}, "runbook"),
    ],
)
def test_auto_takes_a_language_model_only_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], reasoner: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert read({}, tmp_path).reasoner == reasoner


def test_the_limit_of_a_models_answer_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read({}, tmp_path).llm.answer_tokens == 2_500
    (tmp_path / "stanch.yaml").write_text("llm: {answer_tokens: 8000}\n")
    assert read({}, tmp_path).llm.answer_tokens == 8_000
    monkeypatch.setenv("STANCH_LLM_ANSWER_TOKENS", "16000")
    assert read({}, tmp_path).llm.answer_tokens == 16_000
    monkeypatch.setenv("STANCH_LLM_ANSWER_TOKENS", "plenty")
    with pytest.raises(BadConfiguration, match="STANCH_LLM_ANSWER_TOKENS is 'plenty'"):
        read({}, tmp_path)


@pytest.mark.parametrize("address", ["postgresql://u:pass-word@db/x", "postgres://db/x", "PostgreSQL+psycopg://db/x"])
def test_postgresql_is_refused_with_the_reason_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(BadConfiguration, match=r"checkpoints .* file on this machine.* Unset DATABASE_URL") as refused:
        read({}, tmp_path)
    assert "pass-word" not in str(refused.value)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///elsewhere.db")
    assert read({}, tmp_path).database_url == "sqlite:///elsewhere.db"


def test_an_address_in_the_environment_is_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCH_PROMETHEUS_URL", "http://127.0.0.1:9090/")
    monkeypatch.setenv("STANCH_PROMETHEUS_TOKEN", "let-me-in-please")
    settings = read({}, tmp_path)
    (entry,) = settings.backends["prometheus"]
    assert entry.url == "http://127.0.0.1:9090"
    assert settings.secrets["STANCH_PROMETHEUS_TOKEN"].get_secret_value() == "let-me-in-please"
    assert "let-me-in-please" not in repr(settings)


def test_a_drift_folder_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCH_DRIFT_URL", "reports")
    settings = read({}, tmp_path)
    assert settings.drift_folders == (tmp_path / "reports",)
    assert settings.backends["drift"] == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reasonner: auto\n", "stanch.yaml:1: reasonner: unknown key. Did you mean 'reasoner'?"),
        ("reasoner: gpt\n", "stanch.yaml:1: reasoner"),
        ("backends:\n  prometheus:\n    - {url: http://x, tocken_env: A}\n", "Did you mean 'token_env'?"),
        ("llm: {budget: {steps: 0}}\n", "greater than or equal to 1"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "stanch.yaml").write_text(text)
    with pytest.raises(BadConfiguration) as refused:
        read({}, tmp_path)
    assert says in str(refused.value)


def test_a_token_opens_everything_unless_it_says_for_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "plain-token, alerts:for-alertmanager,events+metrics:two,all:with:colon,Odd1:kept-whole,a-b:kept"
    monkeypatch.setenv("STANCH_WEBHOOK_TOKENS", told)
    settings = read({}, tmp_path)
    assert [(one.secret.get_secret_value(), set(one.scopes)) for one in settings.door.tokens] == [
        ("plain-token", set(scopes())),
        ("for-alertmanager", {"alerts"}),
        ("two", {"events", "metrics"}),
        ("with:colon", set(scopes())),
        ("Odd1:kept-whole", set(scopes())),
        ("a-b:kept", set(scopes())),
    ]
    assert {"plain-token", "for-alertmanager", "two", "with:colon"} <= set(settings.every_secret)
    assert "for-alertmanager" not in repr(settings)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("alert:x-token", "'alert' is no scope"),
        ("alerts+metric:x-token", "'metric' is no scope"),
        ("alerts:", "alerts: is followed by no token"),
        ("user:secret", "needs `all:` before it"),
    ],
)
def test_a_scope_that_is_none_is_refused_with_the_mend_and_without_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, says: str
) -> None:
    monkeypatch.setenv("STANCH_WEBHOOK_TOKENS", f"good-token,{told}")
    with pytest.raises(BadConfiguration) as refused:
        read({}, tmp_path)
    assert says in str(refused.value)
    assert "alerts, events, metrics, docs" in str(refused.value)
    assert not any(word in str(refused.value) for word in ("x-token", "secret", "good-token"))


class Planted:
    """Settings with a value of its own in each place that their types say holds a secret."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def within(self, hint: Any, value: Any) -> Any:
        """`value` of the type `hint` with every secret replaced, and with one where there could be one and is none."""
        if hint is SecretStr:
            self.values.append(f"planted-secret-{len(self.values)}")
            return SecretStr(self.values[-1])
        if hint == Mapping[str, Any]:  # each surface's settings are of its own class
            return {name: self.within(type(one), one) for name, one in (value or {}).items()}
        if not holds_secret(hint):
            return value
        inner = get_args(hint)
        if get_origin(hint) is tuple:
            return (self.within(inner[0], None),)
        if get_origin(hint) is Mapping:
            return {"X": self.within(inner[1], None)}
        if inner:  # an optional one
            return next(self.within(one, value) for one in inner if holds_secret(one))
        made = object.__new__(hint)
        for name, inside in parts(hint).items():
            object.__setattr__(made, name, self.within(inside, getattr(value, name, None)))
        return made


def parts(hint: Any) -> dict[str, Any]:
    """The fields of a class of settings and their types; {} for anything else."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return {name: field.annotation for name, field in hint.model_fields.items()}
    return get_type_hints(hint) if is_dataclass(hint) else {}


def holds_secret(hint: Any) -> bool:
    return hint is SecretStr or any(holds_secret(one) for one in (*parts(hint).values(), *get_args(hint)))


def test_every_secret_that_settings_can_hold_is_redacted(tmp_path: Path) -> None:
    planted = Planted()
    settings = planted.within(Settings, read({}, tmp_path))
    assert len(planted.values) >= 8, "the model's key, Slack's three, the doors' three and the named variables"
    redact = Redactor(settings.every_secret)
    assert [value for value in planted.values if value in redact(f"it was {value}.")] == []


def test_a_password_in_any_address_of_the_settings_is_redacted(tmp_path: Path) -> None:
    (tmp_path / "stanch.yaml").write_text(
        """grafana_url: http://u:grafana-pass@grafana
retraining_url: http://u:retraining-pass@jobs
backends: {loki: [{url: "http://u:loki%2Dpass@loki", public_url: "https://u:public-pass@loki"}]}
llm: {base_url: "http://u:model-pass@llm/v1"}
actions: [{name: x, url: "http://u:action-pass@api"}]
"""
    )
    redact = Redactor(read({}, tmp_path).every_secret)
    words = ("grafana-pass", "retraining-pass", "loki-pass", "public-pass", "model-pass", "action-pass")
    assert [word for word in words if word in redact(f"it was {word}.")] == []
