"""The form of an edit: every kind of argument out and back, and what is wrong said beside its input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from agent.gate.proposal import Proposal
from agent.surfaces.slack import modals
from agent.surfaces.slack.modals import Ticket
from agent.surfaces.slack.payloads import Input
from tests.slack_limits import problems
from tests.surfaces.slack.house import house
from tools.context import Context, Target
from tools.spec import Action, Receipt, Risk, State

TICKET = Ticket(p="p1", d="0" * 64, c="C1", t="1.1")


class Everything(Action):
    """One argument of every kind."""

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    name_: str = Field(max_length=10)
    count: Annotated[int, Field(ge=1, le=50)]
    share: Annotated[float, Field(ge=0)] = 0.5
    now: bool = False
    how: Literal["slow", "fast"] = "slow"
    most: int | None = None
    hosts: list[str] = Field(default_factory=list)
    note: str = ""

    def target(self, context: Context) -> Target:
        raise LookupError

    async def observe(self, context: Context) -> State:
        raise LookupError

    def change(self, before: State, key: str) -> State:
        return before

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        raise LookupError

    def command(self, context: Context) -> str:
        return "true"


@pytest.fixture(scope="module")
async def sealed(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    folder: Path = tmp_path_factory.mktemp("form")
    async with house(folder) as home:
        return home.proposal


NOW: dict[str, Any] = {
    "name_": "web",
    "count": 3,
    "share": 0.5,
    "now": False,
    "how": "slow",
    "most": None,
    "hosts": ["a", "b"],
    "note": "",
}


def of(sealed: Proposal, **arguments: Any) -> Proposal:
    return replace(sealed, arguments={**NOW, **arguments})


def untouched(view: dict[str, Any]) -> dict[str, dict[str, Input]]:
    """What Slack sends when nobody has touched the form."""
    values = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            element = block["element"]
            option = element.get("initial_option")
            given = {"selected_option": option and {"value": option["value"]}, "value": element.get("initial_value")}
            values[block["block_id"]] = {"value": Input.model_validate({"type": element["type"], **given})}
    return values


def typed(view: dict[str, Any], **values: str | None) -> dict[str, dict[str, Input]]:
    given = untouched(view)
    for name, value in values.items():
        given[f"argument:{name}"] = {"value": Input(value=value)}
    return given


async def test_every_kind_of_argument_goes_out_and_comes_back(sealed: Proposal) -> None:
    proposal = of(sealed)
    view = modals.edit(proposal, Everything, TICKET)
    assert problems(view["blocks"], 100) == []
    assert Ticket.of(view["private_metadata"]) == TICKET
    kinds = {b["block_id"].partition(":")[2]: b["element"]["type"] for b in view["blocks"] if b["type"] == "input"}
    assert kinds == {
        "name_": "plain_text_input",
        "count": "number_input",
        "share": "number_input",
        "now": "static_select",
        "how": "static_select",
        "most": "number_input",
        "hosts": "plain_text_input",
        "note": "plain_text_input",
    }
    assert "Nothing is changed" in str(modals.entered(untouched(view), proposal, Everything).errors)
    fast, true = (
        next(
            o["value"]
            for b in view["blocks"]
            if b.get("block_id") == f"argument:{name}"
            for o in b["element"]["options"]
            if o["text"]["text"] == text
        )
        for name, text in (("how", "fast"), ("now", "true"))
    )
    new = {
        "name_": "db",
        "count": "4",
        "share": "0.25",
        "now": true,
        "how": fast,
        "most": "7",
        "hosts": '["c"]',
        "note": "x",
    }
    entered = modals.entered(typed(view, **new), proposal, Everything)
    assert entered.errors == {}
    assert entered.changes == {
        "name_": "db",
        "count": 4,
        "share": 0.25,
        "now": True,
        "how": "fast",
        "most": 7,
        "hosts": ["c"],
        "note": "x",
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", "four", "whole number"),
        ("count", "4.5", "whole number"),
        ("count", "99", "less than or equal to 50"),
        ("count", None, "valid integer"),
        ("share", "-1", "greater than or equal"),
        ("share", "nan", "finite"),
        ("how", "7", "slow"),
        ("how", "x", "choices"),
        ("hosts", "a, b", "JSON"),
        ("hosts", "5", "valid list"),
        ("name_", "x" * 11, "at most 10"),
    ],
)
async def test_a_wrong_value_is_said_beside_its_input(
    sealed: Proposal, name: str, value: str | None, words: str
) -> None:
    proposal = of(sealed)
    view = modals.edit(proposal, Everything, TICKET)
    found = modals.entered(typed(view, **{name: value}), proposal, Everything)
    assert words in found.errors[f"argument:{name}"]
    assert list(found.errors) == [f"argument:{name}"]


async def test_what_is_too_long_for_a_form_is_left_alone_and_said(sealed: Proposal) -> None:
    proposal = of(sealed, hosts=["h" * 4_000], note="n" * 4_000)
    view = modals.edit(proposal, Everything, TICKET)
    assert problems(view["blocks"], 100) == []
    assert json.dumps(view).count("is too long to change here") == 2
    assert modals.entered(typed(view, count="4"), proposal, Everything).changes == {"count": 4}


async def test_an_optional_argument_can_be_emptied(sealed: Proposal) -> None:
    proposal = of(sealed, most=7)
    view = modals.edit(proposal, Everything, TICKET)
    assert modals.entered(typed(view, most=None), proposal, Everything).changes == {"most": None}
