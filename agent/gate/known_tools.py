"""Every tool of this installation: the shipped ones, those that other packages bring, and what stanch.yaml declares."""

from __future__ import annotations

from pydantic import ValidationError

from agent.errors import BadArguments, BadConfiguration
from agent.settings import Settings
from tools.http_action.action import declare_all
from tools.http_action.http_spec import HttpActionSpec
from tools.listing import TOOLS
from tools.spec import Action
from tools.toolbox import Tools, installed


def known(settings: Settings) -> Tools:
    """BadConfiguration names a declared action with a mistake, and the mistake."""
    return installed(TOOLS).plus(actions=_declared(settings))


def _declared(settings: Settings) -> tuple[type[Action], ...]:
    specs = []
    for place, body in enumerate(settings.actions):
        try:
            specs.append(HttpActionSpec.model_validate(body))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
            raise BadConfiguration(
                f"{settings.file}: actions.{place} ({body.get('name', 'no name')}): {problems}."
            ) from None
    try:
        return declare_all(specs, settings.secrets)
    except BadArguments as error:
        raise BadConfiguration(f"{settings.file}: actions: {error}") from None
