"""Slack's requests, read at the door. What goes further is what these models hold, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.errors import UnusableInput

SPEAKS = ("message", "app_mention")
Actor: TypeAlias = tuple[str, str]  # team, user


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Team(_Part):
    id: str = Field(min_length=1)


class User(_Part):
    id: str = Field(min_length=1)
    team_id: str = ""
    is_bot: bool = False


class Channel(_Part):
    id: str = ""


class Message(_Part):
    ts: str = ""
    thread_ts: str | None = None
    user: str = ""
    bot_id: str | None = None


class Container(_Part):
    message_ts: str = ""
    channel_id: str = ""


class Press(_Part):
    """One button that was pressed."""

    type: str = "button"
    action_id: str
    action_ts: str
    block_id: str = ""
    value: str | None = None


class _Interaction(_Part):
    team: Team | None = None
    user: User
    is_enterprise_install: bool = False
    trigger_id: str = ""

    @property
    def installed_in(self) -> str:
        return self.team.id if self.team else ""

    @property
    def actor(self) -> Actor:
        return self.user.team_id or self.installed_in, self.user.id


class Click(_Interaction):
    type: Literal["block_actions"]
    channel: Channel = Channel()
    container: Container = Container()
    message: Message = Message()
    response_url: str = ""
    actions: list[Press] = Field(min_length=1, max_length=25)

    @property
    def by_bot(self) -> bool:
        """The user who posted the card is the app's own bot."""
        own = self.message.user if self.message.bot_id else ""
        return self.user.is_bot or self.user.id in ("USLACKBOT", own)

    @property
    def place(self) -> str:
        return self.channel.id or self.container.channel_id

    @property
    def key(self) -> str | None:
        """What makes two deliveries the same click."""
        press, message = self.actions[0], self.message.ts or self.container.message_ts
        return _key(
            "click", self.installed_in, self.place, message, press.action_ts, press.action_id, press.value, self.user.id
        )


class Option(_Part):
    value: str


class Input(_Part):
    type: str = ""
    value: str | None = None
    selected_option: Option | None = None

    @property
    def given(self) -> str | None:
        return self.selected_option.value if self.selected_option else self.value


class ViewState(_Part):
    values: dict[str, dict[str, Input]] = Field(default_factory=dict)


class View(_Part):
    type: Literal["modal"] = "modal"
    id: str
    hash: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: ViewState = ViewState()


class Submission(_Interaction):
    type: Literal["view_submission"]
    view: View

    @property
    def by_bot(self) -> bool:
        return self.user.is_bot or self.user.id == "USLACKBOT"

    @property
    def key(self) -> str | None:
        """None: wrong values are answered again with the same view, so it counts where the values are right."""
        return None

    @property
    def effect(self) -> str:
        return _key("submission", self.installed_in, self.view.id, self.view.hash)


class Event(_Part):
    type: str
    subtype: str | None = None
    user: str = ""
    text: str = ""
    ts: str = ""
    thread_ts: str | None = None
    channel: str = ""
    channel_type: str = ""
    bot_id: str | None = None
    team: str = ""
    user_team: str = ""

    @model_validator(mode="before")
    @classmethod
    def _only_what_is_said(cls, body: Any) -> Any:
        """Of events that nobody listens to, the type is enough."""
        if isinstance(body, dict) and body.get("type") not in SPEAKS:
            return {"type": body.get("type")}
        return {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else body


class Authorization(_Part):
    team_id: str | None = None
    user_id: str = ""
    is_bot: bool = False
    is_enterprise_install: bool = False


class EventBody(_Part):
    type: Literal["event_callback"]
    team_id: str = ""
    event_id: str = Field(min_length=1)
    event: Event
    authorizations: list[Authorization] = Field(default_factory=list)

    @property
    def installed_in(self) -> str:
        return self.team_id

    @property
    def is_enterprise_install(self) -> bool:
        return any(one.is_enterprise_install for one in self.authorizations)

    @property
    def actor(self) -> Actor:
        return self.event.user_team or self.event.team or self.team_id, self.event.user

    @property
    def bot_users(self) -> tuple[str, ...]:
        return tuple(one.user_id for one in self.authorizations if one.is_bot and one.user_id)

    @property
    def by_bot(self) -> bool:
        event = self.event
        return bool(event.bot_id) or event.subtype == "bot_message" or event.user in ("USLACKBOT", *self.bot_users)

    @property
    def key(self) -> str | None:
        return _key("event", self.team_id, self.event_id)


class Command(_Part):
    command: str = Field(min_length=2)
    text: str = ""
    user_id: str = Field(min_length=1)
    team_id: str = ""
    channel_id: str = ""
    response_url: str = ""
    trigger_id: str = ""
    is_enterprise_install: bool = False

    @property
    def installed_in(self) -> str:
        return self.team_id

    @property
    def actor(self) -> Actor:
        return self.team_id, self.user_id

    @property
    def by_bot(self) -> bool:
        return self.user_id == "USLACKBOT"

    @property
    def key(self) -> str | None:
        return _key("command", self.team_id, self.channel_id, self.user_id, self.trigger_id, self.command, self.text)


class Verification(_Part):
    """Slack asks whether this address is ours."""

    type: Literal["url_verification"]
    challenge: str


Request: TypeAlias = Click | Submission | EventBody | Command
_KINDS: Mapping[str, type[BaseModel]] = {
    "block_actions": Click,
    "view_submission": Submission,
    "event_callback": EventBody,
    "url_verification": Verification,
}


def decode(body: bytes) -> dict[str, Any]:
    """The fields of a body as Slack posts it: JSON, a form with JSON in `payload`, or a form. UnusableInput otherwise."""
    try:
        text = body.decode("utf-8")
        if text.startswith("{"):
            found = json.loads(text)
        else:
            fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
            found = json.loads(fields["payload"]) if "payload" in fields else fields
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"The body is neither JSON nor a form with JSON in payload: {error}.") from None
    if not isinstance(found, dict):
        raise UnusableInput("The body is JSON, but no object.")
    return found


def read(body: Mapping[str, Any]) -> Request | Verification | None:
    """What Slack sends; None for kinds nobody here listens to. UnusableInput says which field is not as Slack sends it."""
    kind = body.get("type")
    model = Command if "command" in body and kind is None else _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return None
    try:
        return model.model_validate({k: v for k, v in body.items() if v is not None})  # type: ignore[return-value]
    except ValidationError as error:
        where = "; ".join(
            ".".join(map(str, one["loc"])) for one in error.errors(include_url=False, include_input=False)
        )
        raise UnusableInput(f"The {kind or 'command'} is not as Slack sends it: {where}.") from None


def refusal(request: Request, team: str) -> str | None:
    """Why the request is none of ours. `team` is the one workspace that counts; "" is any."""
    if not request.installed_in:
        install = "an organisation-wide installation" if request.is_enterprise_install else "a request"
        return f"{install} names no workspace"
    if team and request.installed_in != team:
        return f"it comes from workspace {request.installed_in}, not {team}"
    if team and not isinstance(request, EventBody) and request.actor[0] != team:
        return f"the person belongs to workspace {request.actor[0]}, not {team}"
    return None


def _key(*parts: str | None) -> str:
    return json.dumps(parts)
