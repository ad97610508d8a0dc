"""policy.yaml as people write it. What a condition cannot know it answers with None, never with a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tools.context import Json
from tools.spec import Risk

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Verdict(StrEnum):
    """From the strictest to the loosest."""

    DENY = "deny"
    SHADOW = "shadow"
    SUGGEST = "suggest"
    ASK = "ask"
    ALLOW = "allow"

    @property
    def looseness(self) -> int:
        return list(Verdict).index(self)


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", value)):
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError("write a duration such as 30s, 15m, 2h or 1d")


def _wall_time(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return time(value // 60, value % 60)  # YAML reads an unquoted 18:30 as a number of minutes
    if isinstance(value, time) or (isinstance(value, str) and re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value)):
        return value if isinstance(value, time) else time.fromisoformat(value.zfill(5))
    raise ValueError("write a time such as 09:00")


def _zone(value: Any) -> Any:
    try:
        return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone; write one such as Europe/Berlin or UTC") from None


def _moment(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
WallTime = Annotated[time, BeforeValidator(_wall_time)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Globs = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)


class Limit(_Entry):
    """What an argument may be. `at_most_times` and `at_least_times` are multiples of what it is now."""

    min: float | None = None
    max: float | None = None
    at_most_times: float | None = None
    at_least_times: float | None = None
    one_of: list[str | int | float | bool] | None = None

    def holds(self, value: Json, now: Json) -> bool | None:
        """None where a number is asked for and there is none."""
        answers = [self.one_of is None or any(type(v) is type(value) and v == value for v in self.one_of)]
        if self.min is not None or self.max is not None:
            if not _is_number(value):
                return None
            answers += [self.min is None or value >= self.min, self.max is None or value <= self.max]
        if self.at_most_times is not None or self.at_least_times is not None:
            if not _is_number(value) or not _is_number(now):
                return None
            answers += [self.at_most_times is None or value <= now * self.at_most_times]
            answers += [self.at_least_times is None or value >= now * self.at_least_times]
        return all(answers)


class Hours(_Entry):
    """Days and a span of local time; a span over midnight belongs to the day on which it begins."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(default_factory=lambda: list(DAYS))  # type: ignore[arg-type]
    from_: WallTime = Field(time(0), alias="from")
    to: WallTime = time(0)  # 00:00 is the end of the day
    zone: Zone = ZoneInfo("UTC")

    def hold(self, at: datetime) -> bool:
        local = at.astimezone(self.zone)
        today, yesterday = (DAYS[(local.weekday() - back) % 7] in self.days for back in (0, 1))
        clock = local.time()
        if self.from_ < self.to:
            return today and self.from_ <= clock < self.to
        return (today and clock >= self.from_) or (yesterday and clock < self.to)


class Rule(_Entry):
    """Every condition that is written must hold; the first rule whose conditions hold gives the verdict."""

    name: str = ""
    action: Globs = Field(default_factory=lambda: ["*"])
    risk: Annotated[list[Risk], BeforeValidator(_listed)] | None = None
    environment: Globs | None = None
    cluster: Globs | None = None
    service: Globs | None = None
    hours: Hours | None = None
    arguments: dict[str, Limit] = Field(default_factory=dict)
    verdict: Verdict
    approvers: Globs | None = Field(None, description="groups or people of the catalog; default: the file's")
    quorum: int = Field(1, ge=1, le=20)
    approve_within: Duration = timedelta(hours=1)
    execute_within: Duration = timedelta(minutes=15)
    requester_may_approve: bool = False
    allow_untrusted: Literal["deny", "two_people"] = "deny"
    cover_undo: bool = Field(True, description="whether an approval also covers the sealed undo")


class Freeze(_Entry):
    """A time in which nothing is started, but for the actions in `except`."""

    from_: Moment = Field(alias="from")
    to: Moment
    zone: Zone = ZoneInfo("UTC")
    reason: str = Field(min_length=1)
    except_: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list, alias="except")

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Freeze:
        if self._aware(self.from_) >= self._aware(self.to):
            raise ValueError("the freeze ends before it begins; swap from and to")
        return self

    def holds(self, at: datetime, action: str) -> bool:
        within = self._aware(self.from_) <= at < self._aware(self.to)
        return within and not any(fnmatchcase(action, glob) for glob in self.except_)

    def _aware(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)


class Budgets(_Entry):
    """How much may be started. An undo that an approval covered counts, but is never held up by a budget."""

    per_hour: int | None = Field(None, ge=0)
    per_target_per_hour: int | None = Field(None, ge=0)

    def spent(self, this_hour: int, on_target: int) -> str | None:
        """Which budget has no room for one more action."""
        if self.per_hour is not None and this_hour >= self.per_hour:
            return f"{this_hour} actions ran in the last hour; the budget is {self.per_hour}"
        if self.per_target_per_hour is not None and on_target >= self.per_target_per_hour:
            return f"{on_target} actions ran on this target in the last hour; the budget is {self.per_target_per_hour}"
        return None


class PolicyFile(_Entry):
    """policy.yaml. The first rule that fits decides, and what no rule fits is denied."""

    approvers: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    rules: list[Rule] = Field(default_factory=list)
    freezes: list[Freeze] = Field(default_factory=list)
    budgets: Budgets = Budgets()
    kill_switch: bool = False
    kill_switch_file: Path | None = Field(None, description="while this file exists nothing is started")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def matches(globs: list[str] | None, value: str) -> bool | None:
    """None where the value is not known."""
    if globs is None or globs == ["*"]:
        return True
    return any(fnmatchcase(value, glob) for glob in globs) if value else None


def answers_of(rule: Rule, action: str, risk: Risk, where: Mapping[str, str], at: datetime) -> dict[str, bool | None]:
    """The answers of a rule's conditions but for its arguments, by the condition's name."""
    return {
        "action": matches(rule.action, action),
        "risk": rule.risk is None or risk in rule.risk,
        "environment": matches(rule.environment, where["environment"]),
        "cluster": matches(rule.cluster, where["cluster"]),
        "service": matches(rule.service, where["service"]),
        "hours": rule.hours is None or rule.hours.hold(at),
    }
