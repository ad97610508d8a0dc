"""The Slack app, as Slack's own manifest: what `stanch slack manifest` prints to be pasted under "From a manifest"."""

from __future__ import annotations

from typing import Any

# scope → what does not work without it
SCOPES = {
    "app_mentions:read": "mentions outside an incident's thread",
    "assistant:write": "talking in the app's own messages (agent view)",
    "channels:history": "what people say in an incident's thread in a public channel",
    "chat:write": "posting and editing threads, and answers that only one person sees",
    "commands": "the slash command",
    "groups:history": "what people say in an incident's thread in a private channel",
    "im:history": "what people say in the app's own messages",
}
USER_GROUPS = {"usergroups:read": "approvers that are a Slack user group"}
EVENTS = ("app_mention", "message.channels", "message.groups", "message.im")
PROMPTS = (
    ("What is open?", "incidents"),
    ("What can I ask?", "help"),
)
DESCRIPTION = "Finds what is wrong with evidence, proposes a fix, does what was approved, checks that it is over."


def manifest(mode: str, url: str = "", command: str = "/stanch", user_groups: bool = False) -> dict[str, Any]:
    """`mode` is socket or http; `url` is the public address of `/slack/events`, for http. `user_groups` adds the scope
    that reads them. Field names and limits are those of Slack's manifest schema 1."""
    request = {"request_url": url} if mode == "http" else {}
    slash = {
        "command": command,
        "description": "Ask about an incident, steer it, pause it, hand it over",
        "usage_hint": "[incident] question | steer …  | pause | hand over | incidents",
        "should_escape": True,
        **({"url": url} if mode == "http" else {}),
    }
    return {
        "display_information": {"name": "Stanch", "description": DESCRIPTION, "background_color": "#1f2937"},
        "features": {
            "bot_user": {"display_name": "stanch", "always_online": True},
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "agent_view": {
                "agent_description": DESCRIPTION,
                "suggested_prompts": [{"title": title, "message": message} for title, message in PROMPTS],
            },
            "slash_commands": [slash],
        },
        "oauth_config": {"scopes": {"bot": sorted([*SCOPES, *(USER_GROUPS if user_groups else ())])}},
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }
