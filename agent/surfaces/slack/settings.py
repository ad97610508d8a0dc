"""What is set about Slack: tokens by the environment alone, the rest in stanch.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

NO_SECRET = SecretStr("")


class SlackSection(BaseModel):
    """Tokens come from STANCH_SLACK_BOT_TOKEN, _APP_TOKEN and _SIGNING_SECRET alone."""

    model_config = ConfigDict(extra="forbid")

    channel: str = Field("", description="where threads are opened: a channel's id, or its name with #")
    team: str = Field("", description="id of the workspace; requests from any other are refused")
    mode: Literal["socket", "http"] = "socket"


@dataclass(frozen=True)
class SlackSettings:
    """`channel` "" is: no Slack. Without a bot token nothing is posted."""

    bot_token: SecretStr = NO_SECRET
    app_token: SecretStr = NO_SECRET
    signing_secret: SecretStr = NO_SECRET
    api_url: str = "https://slack.com/api/"
    channel: str = ""
    team: str = ""
    mode: str = "socket"

    @property
    def configured(self) -> bool:
        return bool(self.bot_token.get_secret_value() and self.channel)

    @property
    def begun(self) -> bool:
        return bool(self.bot_token.get_secret_value() or self.channel)


def slack_settings(env: Mapping[str, str], section: SlackSection) -> SlackSettings:
    url = env.get("SLACK_API_URL", SlackSettings.api_url)
    return SlackSettings(
        bot_token=SecretStr(env.get("SLACK_BOT_TOKEN", "")),
        app_token=SecretStr(env.get("SLACK_APP_TOKEN", "")),
        signing_secret=SecretStr(env.get("SLACK_SIGNING_SECRET", "")),
        api_url=url if url.endswith("/") else f"{url}/",
        channel=env.get("SLACK_CHANNEL", "") or section.channel,
        team=section.team,
        mode=section.mode,
    )
