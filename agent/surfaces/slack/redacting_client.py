"""Slack's client as we use it: whatever is said through it has passed the redactor."""

from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from agent.domain.redact import Redactor

TIMEOUT_S = 10


class DiscreetClient(AsyncWebClient):
    """Every call goes through `api_call`; what it carries as JSON is what people will see."""

    def __init__(self, redact: Redactor, token: str, base_url: str, **more: Any) -> None:
        super().__init__(token=token, base_url=base_url, timeout=TIMEOUT_S, **more)
        self.redact = redact

    async def api_call(self, api_method: str, *, json: dict[str, Any] | None = None, **more: Any) -> AsyncSlackResponse:
        return await super().api_call(api_method, json=None if json is None else self.redact.value(json), **more)
