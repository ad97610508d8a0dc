"""Actions declared in configuration: the documented example itself, against a small Nomad over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.clusters import Doorway
from tests.contexts import context
from tests.serving import served
from tools.context import Context
from tools.errors import BadArguments, NotConfigured, Refused, ToolFailed
from tools.http_action import action, http_spec
from tools.http_action.action import HttpActionSpec, declare, declare_all
from tools.spec import Action, Risk, State

KEY = "inc-1:p1:1"
SECRETS = {"NOMAD_TOKEN": SecretStr("s3cret")}


def example(**changes: Any) -> dict[str, Any]:
    block = re.search(r"```yaml\n(.*?)```", action.__doc__ or "", re.DOTALL)
    assert block
    (entry,) = yaml.safe_load(block[1])["actions"]
    return {**entry, **changes}


def declared(**changes: Any) -> type[Action]:
    return declare(HttpActionSpec.model_validate(example(**changes)), SECRETS)


@dataclass
class Nomad:
    count: int = 3
    index: int = 7
    events: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/job/{job}", self.job),
                Route("/v1/job/{job}/scale", self.scaling, methods=["GET", "POST"]),
            ]
        )

    async def job(self, request: Request) -> Response:
        self.asked.append(("GET", request.url.path, None))
        if request.headers.get("x-nomad-token") != "s3cret":
            return JSONResponse({"error": "ACL"}, 403)
        if request.path_params["job"] != "web":
            return JSONResponse({"error": "job not found"}, 404)
        return JSONResponse({"ID": "web", "JobModifyIndex": self.index, "TaskGroups": [{"Count": self.count}]})

    async def scaling(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"TaskGroups": {"web": {"Events": [{"Message": text} for text in self.events]}}})
        body = await request.json()
        self.asked.append(("POST", request.url.path, body))
        if body["Count"] > 20:
            return JSONResponse({"error": "over the quota"}, 400)
        self.count, self.index = body["Count"], self.index + 1
        self.events.append(body["Message"])
        return JSONResponse({"EvalID": "eval-1"})


@asynccontextmanager
async def platform(nomad: Nomad) -> AsyncIterator[tuple[Doorway, Context, str]]:
    door = Doorway(nomad.app())
    async with served(door) as url, httpx.AsyncClient(timeout=1) as http:
        yield door, context(http=http), url


PROBE = {
    "url": "/v1/job/{{ job }}/scale",
    "path": "TaskGroups.*.Events[].Message",
    "equals": "stanch {{ key }}",
}


async def test_the_documented_example_acts_is_seen_and_is_taken_back() -> None:
    nomad = Nomad()
    async with platform(nomad) as (_, place, url):
        scale = declared(base=url, probe=PROBE).parse({"job": "web", "count": 5})
        before = await scale.observe(place)
        assert (before.fields, before.version) == ({"count": 3}, "7")
        wanted = scale.change(before, KEY)
        assert wanted.fields == {"count": 5}
        assert await scale.probe(place, KEY) is False

        receipt = await scale.apply(place, before, KEY)
        assert receipt.values == {"evaluation": "eval-1"}
        assert (await scale.observe(place)).fields == wanted.fields
        assert await scale.probe(place, KEY) is True
        sent = next(body for method, _, body in nomad.asked if method == "POST")
        assert sent == {"Count": 5, "Target": {"Group": "web"}, "Message": f"stanch {KEY}", "Meta": {"from": 3}}

        undo = scale.undo(before)
        assert undo is not None
        assert undo.model_dump() == {"job": "web", "count": 3}
        await undo.apply(place, await undo.observe(place), "undo")
    assert nomad.count == 3


async def test_an_answer_lost_after_the_effect_is_not_refused_and_the_probe_finds_it() -> None:
    nomad = Nomad()
    async with platform(nomad) as (door, place, url):
        scale = declared(base=url, probe=PROBE).parse({"job": "web", "count": 5})
        before = await scale.observe(place)
        door.lose_answers_of = {"POST"}
        with pytest.raises(ToolFailed, match="may have been done all the same") as lost:
            await scale.apply(place, before, KEY)
        assert not isinstance(lost.value, Refused)
        assert (nomad.count, await scale.probe(place, KEY)) == (5, True)


@pytest.mark.parametrize(
    ("status", "refused"), [(400, True), (409, True), (429, True), (408, False), (500, False), (303, False)]
)
async def test_only_a_clear_no_is_refused(status: int, refused: bool) -> None:
    async with platform(Nomad()) as (door, place, url):
        scale = declared(base=url).parse({"job": "web", "count": 5})
        before = await scale.observe(place)
        door.refuse["POST"] = (status, b"{}")
        with pytest.raises(Refused if refused else ToolFailed) as error:
            await scale.apply(place, before, KEY)
        assert isinstance(error.value, Refused) is refused


async def test_no_connection_and_a_missing_object_are_refused(free_port: Callable[[], int]) -> None:
    async with platform(Nomad()) as (_, place, url):
        before = await declared(base=url).parse({"job": "web", "count": 5}).observe(place)
        with pytest.raises(Refused, match="404"):
            await declared(base=url).parse({"job": "api", "count": 5}).observe(place)
        nobody = declared(base=f"http://127.0.0.1:{free_port()}").parse({"job": "web", "count": 5})
        with pytest.raises(Refused, match="Nothing was sent"):
            await nobody.apply(place, before, KEY)


async def test_a_dry_run_asks_the_platform_where_one_is_declared() -> None:
    nomad = Nomad()
    dry = {"url": "/v1/job/{{ job }}/scale", "body": {"Count": 21, "Message": "dry"}}
    async with platform(nomad) as (_, place, url):
        scale = declared(base=url, dry_run=dry).parse({"job": "web", "count": 5})
        before = await scale.observe(place)
        with pytest.raises(Refused, match="over the quota"):
            await scale.dry_run(place, before)
        assert await declared(base=url).parse({"job": "web", "count": 5}).dry_run(place, before) is None
    assert nomad.count == 3


async def test_what_an_argument_holds_stays_one_part_of_the_address() -> None:
    nomad = Nomad()
    loose = {"job": {"type": "string"}, "count": {"type": "integer"}}
    async with platform(nomad) as (_, place, url):
        kind = declared(base=url, arguments=loose)
        for name in ("web?x=1#y", "http://evil.test/", "@evil.test", "a\nb"):
            with pytest.raises(Refused, match="404"):
                await kind.parse({"job": name, "count": 1}).observe(place)
        for name in ("..", ".", "", "web/../other", "../../v1/agent"):
            with pytest.raises(BadArguments, match=r"cannot stand in an address|leaves its path"):
                await kind.parse({"job": name, "count": 1}).observe(place)
    assert all(re.fullmatch(r"/v1/job/[^/]+", path) for _, path, _ in nomad.asked)
    assert len(nomad.asked) >= 3


@pytest.mark.parametrize(
    ("name", "part"), [("web/scale", "web%2Fscale"), ("a?b=1&c", "a%3Fb%3D1%26c"), ("a#b", "a%23b")]
)
def test_what_is_filled_in_is_spelt_as_one_part_of_the_address(name: str, part: str) -> None:
    assert (
        http_spec.address("https://here.test/", "/v1/job/{{ job }}", {"job": name})
        == f"https://here.test/v1/job/{part}"
    )


async def test_a_secret_goes_into_headers_and_nowhere_else() -> None:
    async with platform(Nomad()) as (_, place, url):
        spec = HttpActionSpec.model_validate(example(base=url))
        without = declare(spec).parse({"job": "web", "count": 5})
        with pytest.raises(NotConfigured, match="NOMAD_TOKEN"):
            await without.observe(place)
        scale = declare(spec, SECRETS).parse({"job": "web", "count": 5})
        shown = [scale.command(place), repr(scale), str(scale.model_dump()), str(await scale.observe(place))]
    assert not any("s3cret" in text for text in shown)
    with pytest.raises(ValidationError, match="secrets"):
        declared(command="curl -H {{ secrets.NOMAD_TOKEN }}")


async def test_without_a_network_it_can_be_shown_and_not_run() -> None:
    scale = declared().parse({"job": "web", "count": 5})
    target = scale.target(context())
    assert (target.kind, target.name, target.cluster, target.service) == ("http", "web", "eu-1", "web")
    with pytest.raises(NotConfigured, match="network"):
        await scale.observe(context())


def test_it_is_an_action_like_any_other() -> None:
    kind = declared()
    assert (kind.name(), kind.risk, kind.settle) == ("scale_nomad_job", Risk.REVERSIBLE, timedelta(seconds=20))
    assert kind.doc() == "Set how many instances of a Nomad task group run."
    assert kind.identifiers() == {"job": "workload"}
    schema = kind.arguments_schema()["properties"]
    assert schema["count"] == {"minimum": 1, "maximum": 30, "type": "integer"}
    assert declared(settle=None).settle is None


@pytest.mark.parametrize(
    "arguments",
    [{"job": "web", "count": 31}, {"job": "web"}, {"job": "WEB!", "count": 1}, {"job": "web", "count": 1, "x": 1}],
)
def test_arguments_keep_to_their_schema(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadArguments):
        declared().parse(arguments)


def test_a_choice_takes_only_what_it_lists_and_a_default_may_be_left_out() -> None:
    kinds = {
        "job": {"enum": ["web", "api"]},
        "count": {"type": "integer", "default": 2},
        "force": {"type": "boolean", "default": False},
    }
    kind = declared(arguments=kinds)
    assert kind.parse({"job": "api"}).model_dump() == {"job": "api", "count": 2, "force": False}
    with pytest.raises(BadArguments, match="job"):
        kind.parse({"job": "other"})


def test_the_command_is_quoted_word_by_word() -> None:
    loose = declared(arguments={"job": {"type": "string"}, "count": {"type": "integer"}})
    assert loose.parse({"job": "web; rm -rf /", "count": 1}).command(context()) == "nomad job scale 'web; rm -rf /' 1"


def test_an_undo_outside_its_own_limits_is_none() -> None:
    assert declared().parse({"job": "web", "count": 5}).undo(State({"count": 0}, "7")) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"change": {"color": "red"}}, "change names color"),
        ({"change": {"count": "{{ cuont }}"}}, "uses cuont"),
        ({"change": {"count": "{{ count"}}, "change"),
        ({"base": "https://{{ job }}.test"}, "base"),
        ({"base": "https://user:pass@nomad.test"}, "base"),
        ({"observe": {"url": "//evil.test", "fields": {"count": "a["}}}, "Invalid jmespath|token"),
        ({"observe": {"url": "http://evil.test", "fields": {"count": "a"}}}, "must begin with /"),
        ({"risk": "harmless"}, "risk"),
        ({"arguments": {"count": {"type": "string", "minimum": 1}}}, "go with numbers"),
        ({"secrets": []}, "list them under"),
        ({"apply": {"url": "/v1/{{ secrets.NOMAD_TOKEN }}"}}, "uses secrets"),
        ({"apply": {"url": "/v1", "body": {"token": "{{ secrets.NOMAD_TOKEN }}"}}}, "uses secrets"),
        ({"target": {"name": "x"}}, "cluster"),
        ({"aply": {}}, "aply"),
    ],
)
def test_every_mistake_is_found_when_the_configuration_is_read(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        HttpActionSpec.model_validate(example(**changes))


def test_actions_may_undo_each_other_and_a_name_stands_once() -> None:
    stop = HttpActionSpec.model_validate(
        example(name="start_job", undo={"action": "scale_nomad_job", "arguments": {"job": "{{ job }}", "count": 1}})
    )
    both = declare_all((stop, HttpActionSpec.model_validate(example())), SECRETS)
    undo = both[0].parse({"job": "web", "count": 4}).undo(_state())
    assert undo is not None
    assert undo.name() == "scale_nomad_job"
    with pytest.raises(BadArguments, match="twice"):
        declare_all((stop, stop))
    with pytest.raises(BadArguments, match="is not declared"):
        declare(stop)
    with pytest.raises(BadArguments, match="cannot be called target"):
        declare(HttpActionSpec.model_validate(example(arguments={"target": {}, "job": {}, "count": {}})))


def _state() -> State:
    return State({"count": 3}, "7")


@pytest.mark.parametrize(
    "template",
    ["{{ job.__class__.__mro__ }}", "{{ before.update({'a': 1}) }}", "{{ ''.__class__ }}", "{{ before.nothing }}"],
)
def test_templates_cannot_reach_out_of_their_sandbox_nor_fill_in_what_is_not_there(template: str) -> None:
    action = declared(change={"count": template}).parse({"job": "web", "count": 5})
    with pytest.raises(BadArguments):
        action.change(_state(), KEY)


async def test_the_version_that_was_decided_on_goes_to_the_target() -> None:
    """So that the target itself refuses what has changed meanwhile."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    apply = {
        "url": "/v1/job",
        "headers": {"If-Match": "{{ version }}"},
        "body": {"index": "{{ version }}", "key": "{{ key }}"},
    }
    place = context(http=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    await declared(apply=apply).parse({"job": "web", "count": 5}).apply(place, State({"count": 3}, "7"), KEY)
    ((request, body),) = [(one, json.loads(one.content)) for one in sent]
    assert (request.headers["if-match"], body) == ("7", {"index": "7", "key": KEY})
