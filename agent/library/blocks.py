"""What a runbook's front matter and blocks may hold, as pydantic models: the door through which files come in."""

from __future__ import annotations

import difflib
import re
from datetime import date
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from agent.domain.cause import Fault
from agent.domain.check import expectation
from agent.domain.duration import duration
from agent.domain.incident import Kind
from agent.errors import BadArguments, UnusableInput
from agent.library.render import check_templates
from tools.signals.dialects import signal_named

SKILL_NAME = re.compile(r"^(?=.{1,64}$)[a-z0-9]+(-[a-z0-9]+)*$")
_MATCHER = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=(?:"([^"]*)"|([^\s",]+))')
_TOOL = r"^[a-z][a-z0-9_]{0,63}$"


def _template(value: Any) -> Any:
    try:
        check_templates(value)
    except UnusableInput as error:
        raise ValueError(str(error)) from None
    return value


def _duration(value: str) -> str:
    try:
        duration(value)
    except UnusableInput as error:
        raise ValueError(str(error)) from None
    return value


def _expect(value: str) -> str:
    _template(value)
    try:
        return value if "{{" in value else str(expectation(value))
    except UnusableInput as error:
        raise ValueError(str(error)) from None


Args: TypeAlias = Annotated[dict[str, JsonValue], AfterValidator(_template)]
Text: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_template)]
Expect: TypeAlias = Annotated[str, AfterValidator(_expect)]
Length: TypeAlias = Annotated[str, AfterValidator(_duration)]
ToolName: TypeAlias = Annotated[str, Field(pattern=_TOOL)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckModel(Strict):
    read: ToolName
    args: Args = {}
    expect: Expect
    suggests: Fault | None = None
    rules_out: Fault | None = None
    fact: str = ""


class SuccessCheck(Strict):
    read: ToolName
    args: Args = {}
    expect: Expect
    fact: str = ""


class Success(Strict):
    """Either one PromQL expression or a list of checks."""

    promql: Text | None = None
    expect: Expect | None = None
    checks: Annotated[list[SuccessCheck], Field(min_length=1)] | None = None
    hold: Length = "2m"
    within: Length = "10m"

    @model_validator(mode="after")
    def _one_of_two(self) -> Success:
        if (self.promql is None) == (self.checks is None) or (self.promql is None) != (self.expect is None):
            raise ValueError("give either promql and expect, or checks")
        if duration(self.within) < duration(self.hold):
            raise ValueError("within is shorter than hold; nothing could ever succeed")
        return self


class GuardModel(Strict):
    promql: Text
    at_least: Annotated[float, Field(ge=0)] | None = None
    at_most: Annotated[float, Field(ge=0)] | None = None
    name: str = "traffic"


class ActionModel(Strict):
    action: ToolName
    args: Args = {}
    success: Success
    guards: list[GuardModel] = []


def words_of(text: str) -> tuple[str, ...]:
    """The words of a list that is written with spaces or commas."""
    return tuple(text.replace(",", " ").split())


class Metadata(BaseModel):
    """`stanch.*` keys are ours and known; other keys belong to other agents."""

    model_config = ConfigDict(extra="allow", frozen=True)

    alerts: Annotated[str, Field(alias="stanch.alerts")] = ""
    matchers: Annotated[str, Field(alias="stanch.matchers")] = ""
    faults: Annotated[str, Field(alias="stanch.faults")] = ""
    signals: Annotated[str, Field(alias="stanch.signals")] = ""
    kind: Annotated[Literal["infra", "model", "joint"], Field(alias="stanch.kind")]
    owner: Annotated[str, Field(alias="stanch.owner")] = ""
    reviewed: Annotated[date | None, Field(alias="stanch.reviewed")] = None

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        known = [str(info.alias) for info in cls.model_fields.values()]
        for key in data if isinstance(data, dict) else ():
            if str(key).startswith("stanch.") and key not in known:
                close = difflib.get_close_matches(str(key), known, 1)
                raise ValueError(
                    f"unknown key {key}. " + (f"Did you mean {close[0]}?" if close else f"Known: {known}.")
                )
        return data

    @field_validator("matchers")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        if _MATCHER.sub("", value).strip(" ,\t\n"):
            raise ValueError(f'{value!r} is not a list of label="value"')
        return value

    @property
    def alert_names(self) -> tuple[str, ...]:
        return words_of(self.alerts)

    @field_validator("faults")
    @classmethod
    def _known_faults(cls, value: str) -> str:
        known = [str(fault) for fault in Fault]
        for word in words_of(value):
            if word not in known:
                near = difflib.get_close_matches(word, known, 1)
                raise ValueError(
                    f"{word!r} is no fault. " + (f"Did you mean {near[0]}?" if near else f"Known: {known}.")
                )
        return value

    @field_validator("signals")
    @classmethod
    def _known_signals(cls, value: str) -> str:
        for word in words_of(value):
            try:
                signal_named(word)
            except BadArguments as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def fault_names(self) -> tuple[Fault, ...]:
        return tuple(Fault(word) for word in words_of(self.faults))

    @property
    def signal_names(self) -> tuple[str, ...]:
        return words_of(self.signals)

    @property
    def labels(self) -> dict[str, str]:
        return {name: quoted or plain for name, quoted, plain in _MATCHER.findall(self.matchers)}

    @property
    def incident_kind(self) -> Kind:
        return Kind(self.kind)


class FrontMatter(Strict):
    """The keys of the Agent Skills format, so that the same file serves other agents."""

    name: str
    description: Annotated[str, Field(min_length=1, max_length=1024)]
    metadata: Metadata
    license: str = ""
    compatibility: str = ""
    allowed_tools: Annotated[str, Field(alias="allowed-tools")] = ""

    @field_validator("name")
    @classmethod
    def _skill_name(cls, value: str) -> str:
        if not SKILL_NAME.match(value):
            raise ValueError(
                f"{value!r} is no name for a runbook: 1 to 64 lower-case letters, digits and single hyphens"
            )
        return value
