"""Two forms: why a proposal is refused, and other arguments for it, made from the action's schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.domain.text import visible
from agent.gate.proposal import Proposal
from agent.surfaces.slack.payloads import Input
from tools.spec import Action

EDIT, DENY = "stanch_edit_form", "stanch_deny_form"
REASON = "reason"
LONGEST = 3_000  # characters of one text input
Schema = Mapping[str, Any]


class Ticket(BaseModel):
    """What a button or a form carries: the proposal, its digest, and where its card stands."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    p: str
    d: str
    c: str = ""
    t: str = ""

    @classmethod
    def of(cls, text: str | None) -> Ticket | None:
        try:
            return cls.model_validate_json(text or "")
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Entered:
    """What a form says: the arguments that differ, and what is wrong by block."""

    changes: Mapping[str, Any]
    errors: Mapping[str, str]


def deny(proposal: Proposal, ticket: Ticket) -> dict[str, Any]:
    element = {
        "type": "plain_text_input",
        "action_id": "value",
        "multiline": True,
        "max_length": 1_000,
        "focus_on_load": True,
    }
    return _modal(
        DENY,
        "Deny",
        "Deny",
        ticket,
        [
            _said(f"{proposal.id}: {proposal.command}"),
            {
                "type": "input",
                "block_id": REASON,
                "optional": True,
                "element": element,
                "label": _plain("Why not?"),
                "hint": _plain("Stanch is told, and looks for something else."),
            },
        ],
    )


def edit(proposal: Proposal, action: type[Action], ticket: Ticket) -> dict[str, Any]:
    """One input an argument, with its type, its limits and what it is now."""
    whole = action.arguments_schema()
    inputs = [
        _argument(proposal, name, _resolved(schema, whole), name in whole.get("required", ()))
        for name, schema in whole.get("properties", {}).items()
    ]
    head = _said(
        f"{proposal.id} on {proposal.target}. What you change becomes a new proposal, which needs its own approval."
    )
    return _modal(EDIT, "Edit the proposal", "Propose this", ticket, [head, *inputs])


def entered(values: Mapping[str, Mapping[str, Input]], proposal: Proposal, action: type[Action]) -> Entered:
    """The changes, checked against the action as the gate will."""
    whole = action.arguments_schema()
    now = dict(proposal.arguments)
    errors: dict[str, str] = {}
    changes: dict[str, Any] = {}
    for name, schema in whole.get("properties", {}).items():
        given = next((one.given for one in values.get(_block(name), {}).values()), None)
        if _block(name) not in values:
            continue
        try:
            value = _value(given, _resolved(schema, whole))
        except ValueError:
            errors[_block(name)] = f"{visible(given or '', 80)!r} is not {_wanted(_resolved(schema, whole))}."
            continue
        if value != now.get(name):
            changes[name] = value
    if not errors and not changes:
        first = next(iter(values), _block(""))
        return Entered({}, {first: "Nothing is changed. Close this form to leave the proposal as it is."})
    return Entered(changes, errors or _wrong(action, {**now, **changes}))


def reason(values: Mapping[str, Mapping[str, Input]]) -> str:
    return next((one.given or "" for one in values.get(REASON, {}).values()), "").strip()


def _wrong(action: type[Action], arguments: Mapping[str, Any]) -> dict[str, str]:
    try:
        action.model_validate(dict(arguments))
    except ValidationError as error:
        found: dict[str, str] = {}
        for one in error.errors(include_url=False, include_input=False):
            name = str(one["loc"][0]) if one["loc"] else next(iter(action.model_fields))
            found.setdefault(_block(name), f"{one['msg']}."[:150])
        return found
    return {}


def _block(name: str) -> str:
    return f"argument:{name}"


def _resolved(schema: Schema, whole: Schema) -> dict[str, Any]:
    """The schema without references and without `or null`; `optional` says that null was allowed."""
    if "$ref" in schema:
        schema = {**whole.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {}), **schema}
    kinds = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if "anyOf" in schema:
        only = _resolved(kinds[0], whole) if len(kinds) == 1 else {}
        return {
            **only,
            **{k: v for k, v in schema.items() if k != "anyOf"},
            "optional": len(kinds) < len(schema["anyOf"]),
        }
    return dict(schema)


def _argument(proposal: Proposal, name: str, schema: Schema, required: bool) -> dict[str, Any]:
    now = proposal.arguments.get(name)
    if isinstance(now, str | list | dict) and len(_typed(now, schema)) > min(schema.get("maxLength", LONGEST), LONGEST):
        return _said(f"{name} is too long to change here: stanch approvals edit {proposal.id} --set {name}=…")
    return _input(name, schema, required, now)


def _typed(now: Any, schema: Schema) -> str:
    """The value as it stands in a text input."""
    plain = schema.get("type") == "string" and isinstance(now, str)
    return "" if now is None else now if plain else json.dumps(now, ensure_ascii=False)


def _input(name: str, schema: Schema, required: bool, now: Any) -> dict[str, Any]:
    hint = " ".join(filter(None, [schema.get("description", ""), _limits(schema)]))
    block: dict[str, Any] = {
        "type": "input",
        "block_id": _block(name),
        "label": _plain(name),
        "element": _element(schema, now),
        "optional": not required or bool(schema.get("optional")),
    }
    return {**block, "hint": _plain(visible(hint, 1_500))} if hint else block


def _element(schema: Schema, now: Any) -> dict[str, Any]:
    kind = schema.get("type")
    if choices := _choices(schema):
        options = [{"text": _plain(_spelled(one)[:75] or "(empty)"), "value": str(i)} for i, one in enumerate(choices)]
        chosen = next(
            (o for o, one in zip(options, choices, strict=True) if one == now and type(one) is type(now)), None
        )
        return {
            "type": "static_select",
            "action_id": "value",
            "options": options,
            **({"initial_option": chosen} if chosen else {}),
        }
    if kind in ("integer", "number"):
        bounds = {"min_value": schema.get("minimum"), "max_value": schema.get("maximum"), "initial_value": now}
        return {
            "type": "number_input",
            "action_id": "value",
            "is_decimal_allowed": kind == "number",
            **{k: str(v) for k, v in bounds.items() if isinstance(v, int | float) and not isinstance(v, bool)},
        }
    text = _typed(now, schema)
    most = min(schema.get("maxLength", LONGEST), LONGEST)
    element = {
        "type": "plain_text_input",
        "action_id": "value",
        "multiline": len(text) > 120 or "\n" in text,
        "max_length": max(most, 1),
    }
    return {**element, "initial_value": text} if text else element


def _choices(schema: Schema) -> list[Any]:
    """What there is to choose from, where it is few enough for a list."""
    found = [schema["const"]] if "const" in schema else schema.get("enum") or []
    found = [True, False] if schema.get("type") == "boolean" else list(found)
    return found if len(found) <= 100 else []


def _value(given: str | None, schema: Schema) -> Any:
    """What was typed, as the schema's type; ValueError where it is none."""
    if given is None or given == "":
        return None if schema.get("type") != "string" or schema.get("optional") else given or ""
    if choices := _choices(schema):
        return dict(enumerate(choices)).get(int(given))
    match schema.get("type"):
        case "integer":
            return int(given)
        case "number":
            return float(given)
        case "string":
            return given
        case _:
            return json.loads(given)


def _wanted(schema: Schema) -> str:
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    return names.get(schema.get("type", ""), "one of the choices" if schema.get("enum") else "JSON")


def _limits(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    return (
        f"From {low} to {high}."
        if None not in (low, high)
        else f"At least {low}."
        if high is None
        else f"At most {high}."
    )


def _spelled(value: Any) -> str:
    return visible(value if isinstance(value, str) else json.dumps(value))


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _said(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(visible(text, 2_900))}


def _modal(callback: str, title: str, submit: str, ticket: Ticket, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain("Back"),
        "private_metadata": ticket.model_dump_json(),
        "blocks": blocks,
    }
