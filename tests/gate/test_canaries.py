"""Canaries: a secret that comes in anywhere comes out nowhere. Whole data folders are searched, byte by byte."""

from __future__ import annotations

import base64
import functools
import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.api import App, Listener
from agent.app import open_app
from agent.domain.alert import Alert, AlertStatus
from agent.domain.redact import Redactor
from agent.domain.timeline import EventKind
from agent.errors import BadArguments, StanchError
from agent.reasoner.protocol import AskPerson
from agent.service.inbox import Inbox
from agent.settings import Settings
from agent.store import inbox
from agent.store.database import Database
from agent.surfaces.cli import demo_env
from agent.surfaces.cli.logs import JsonLines
from agent.surfaces.cli.session import Session
from agent.surfaces.slack.redacting_client import DiscreetClient
from agent.surfaces.slack.replies import Place, Replies
from agent.surfaces.webhook import Readiness, build
from tests.fake_slack import FakeSlack
from tests.gate.world import NOON, LateClock
from tests.graph.test_graph import END, LOOK, Scripted, finish, me, scale
from tests.reasoner.cases import Case
from tests.reasoner.test_openai_reasoner import QUERY, thought
from tests.scripted_llm import look
from tools.context import Clock

CONFIGURED = "zq-Configured/Secret+7781"
CANARIES = {
    "AWS key": "AKIACANARY7CANARY7AB",
    "bearer": "Authorization: Bearer canaryBearer9canaryBearer9",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nCANARYKEYBODY\n-----END RSA PRIVATE KEY-----",
    "Slack": "xoxb-424242424242-canaryslacktoken",
    "Slack app": "xapp-1-A0CANARY-424242-canaryapptoken",
    "address": "postgresql://canary:canaryPassw0rd@db.internal/x",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiJ5ZXMifQ.canarySignature12",
    "GitHub": "ghp_canaryCanaryCanaryCanaryCanary12345",
    "password": "password=canaryPlainPassword",
    "configured": f"it is {CONFIGURED} they say",
    "camel": "connect failed: dbPassword: canaryCamel12345",
    "environment": "PGPASSWORD=canaryEnv123 psql -h db",
    "connection": "Server=db;User Id=sa;Pwd=canaryDsn1x;",
    "query": "GET https://blob.example/c?sv=1&sig=canarySig1234567%3D -> 403",
    "account key": "AccountName=a;AccountKey=canaryAzure0123456789==;",
    "kubeconfig": "client-key-data: canaryKubeconfig0123456789",
    "comma": "password=canaryComma,canaryAfterComma1 refused",
    "option": "psql --password canaryOption1x -h db",
    "redis": "redis-cli -a canaryRedis1x ping",
    "scheme": "> Authorization: Token canaryScheme0123456789",
    "cookie": "Cookie: sid=canaryCookie0123; theme=dark",
    "Stripe": "sk_" + "live_canaryStripe0123456789",
    "Vault": "hvs." + "canaryVault0123456789abcd",
    "npm": "npm_" + "canaryNpmCanaryNpm0123456789",
    "SendGrid": "SG." + "canarySendgrid0123.canarySendgrid0123456",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\ncanaryPgpBody\n-----END PGP PRIVATE KEY BLOCK-----",
    "phrase": "passphrase='canary horse battery staple'",
    "slash": "postgres://app:canary/Slash1x@db.internal/x",
    "base64": f"auth {base64.b64encode(f'user:{CONFIGURED}'.encode()).decode()}",
}
HIDDEN = (
    "AKIACANARY7CANARY7AB",
    "canaryBearer9",
    "CANARYKEYBODY",
    "canaryslacktoken",
    "canaryapptoken",
    "canaryPassw0rd",
    "canarySignature12",
    "ghp_canary",
    "canaryPlainPassword",
    CONFIGURED,
    base64.b64encode(CONFIGURED.encode()).decode().rstrip("="),
    "canaryCamel",
    "canaryEnv",
    "canaryDsn",
    "canarySig1234567",
    "canaryAzure",
    "canaryKubeconfig",
    "canaryComma",
    "canaryAfterComma",
    "canaryOption",
    "canaryRedis",
    "canaryScheme",
    "canaryCookie",
    "canaryStripe",
    "canaryVault",
    "canaryNpm",
    "canarySendgrid",
    "canaryPgpBody",
    "horse battery",
    "canary/Slash",
    "Slash1x",
    base64.b64encode(f"user:{CONFIGURED}".encode()).decode()[8:-4],
)
ALL = " | ".join(CANARIES.values())


def leaked(text: str) -> list[str]:
    return [one for one in HIDDEN if one in text]


# -- the redactor -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES.keys())
def test_every_kind_of_secret_is_taken_out(canary: str) -> None:
    redact = Redactor([CONFIGURED])
    for text in (canary, f"before {canary} after", json.dumps({"x": canary}), json.dumps(json.dumps({"x": canary}))):
        assert leaked(redact(text)) == []
        assert "[redacted: " in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        'kube_secret_info{secret="checkout-tls"}',
        "tokens: 1234",
        "the secret is out",
        "basic checks passed",
        "https://grafana.example/d/abc?from=now-1h",
        "rate(token_requests_total[5m]) > 3",
        "ratio 0.5: password reset mails",
        '{"tokens": 120000, "secret": "checkout-tls"}',
        "bearer of bad news",
        "asks on-call, sk-1",
    ],
)
def test_words_of_the_trade_stay(text: str) -> None:
    assert Redactor(["short"])(text) == text


def test_a_secret_is_found_as_others_spell_it() -> None:
    redact = Redactor([CONFIGURED, 'quo"te\\d secret'])
    for text in (
        "zq-Configured%2FSecret%2B7781",
        base64.b64encode(CONFIGURED.encode()).decode(),
        json.dumps('quo"te\\d secret'),
    ):
        assert "[redacted: configured secret]" in redact(text)


def test_a_secret_is_found_in_base64_of_either_alphabet() -> None:
    secret = "~~~???>>>-7781"
    plain, of_urls = (encode(secret.encode()).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode))
    assert plain != of_urls
    for text in (plain, of_urls):
        assert Redactor([secret])(f"data: {text}") == "data: [redacted: configured secret]" + "=" * text.count("=")


def test_what_stands_under_a_key_that_names_a_secret_is_taken_out() -> None:
    value = {"db": {"Password": "plainwords", "user": "ann"}, "x_api_key": ["plainwords"], "labels": {"secret": "tls"}}
    assert Redactor().value(value) == {
        "db": {"Password": "[redacted: secret value]", "user": "ann"},
        "x_api_key": ["[redacted: secret value]"],
        "labels": {"secret": "tls"},
    }


@given(st.text(max_size=60), st.sampled_from(sorted(CANARIES.values())), st.text(max_size=60))
def test_redacting_twice_is_redacting_once(before: str, canary: str, after: str) -> None:
    redact = Redactor([CONFIGURED])
    once = redact(f"{before} {canary} {after}")
    assert redact(once) == once


# -- a whole incident -------------------------------------------------------------------------------------------------


def with_secret(
    reasoner: Scripted, settings: Settings, clock: Clock | None = None, listeners: Sequence[Listener] = ()
) -> AbstractAsyncContextManager[App]:
    return open_app(replace(settings, api_key=SecretStr(CONFIGURED)), clock, listeners, reasoner)


@asynccontextmanager
async def poisoned(tmp_path: Path, reasoner: Scripted) -> AsyncIterator[tuple[App, str]]:
    """An incident whose alert carries every canary."""
    session = Session(functools.partial(with_secret, reasoner), {"data": str(tmp_path)})
    async with demo_env.begun(session, [], "forecast-contention", 1) as (app, alerts, _):
        (received,) = await app.api.receive([_with_canaries(alerts[0])])
        assert received.incident is not None
        yield app, received.incident


def _with_canaries(alert: Alert) -> Alert:
    return replace(
        alert,
        annotations={**alert.annotations, "description": ALL, "password": "canaryPlainPassword"},
        labels={**alert.labels, "note": ALL},
        extra={"seen": [ALL]},
    )


def everything_in(folder: Path) -> str:
    """Every file of a data folder: database, checkpoints, anchors, reports."""
    return "\n".join(p.read_bytes().decode("latin-1") for p in folder.rglob("*") if p.is_file())


async def test_secrets_that_came_in_are_nowhere_in_the_data_folder(tmp_path: Path) -> None:
    ask = AskPerson(f"Is this it? {ALL}")
    reasoner = Scripted([LOOK, scale(), ask, END])
    async with poisoned(tmp_path, reasoner) as (app, identity):
        rest = await app.api.work(identity)
        await app.api.ask(f"what of {ALL}", me(app), identity)
        proposal = await app.api.proposal(str(rest.proposal))
        await app.api.decide(proposal.id, proposal.digest, me(app), "deny", f"no: {ALL}")
        await app.api.work(identity)
        await app.api.steer(identity, me(app), f"use {ALL}")
        _, incident_view = await finish(app, identity)
        events = json.dumps([e.to_json() for e in await app.api.events(identity)], ensure_ascii=False)
        bodies = [str(await app.api.evidence_body(identity, one)) for one in incident_view.evidence]
        prompts = json.dumps([[e.to_json() for e in view.events] for view in reasoner.views], ensure_ascii=False)
        alerts = str([(a.labels, a.annotations, a.extra) for view in reasoner.views for a in view.alerts])
        assert incident_view.report is not None
        for where in (events, "\n".join(bodies), prompts, alerts, Path(incident_view.report).read_text()):
            assert leaked(where) == []
        assert events.count("[redacted: ") > 20
        assert await app.api.audit() == []
    searched = everything_in(tmp_path / "demo")
    assert "[redacted: configured secret]" in searched
    assert leaked(searched) == []


async def test_secrets_in_an_alert_that_comes_through_the_door_are_nowhere(tmp_path: Path) -> None:
    """Posted as Alertmanager posts it, worked by serve's own watch; beside it a part that cannot be read and is set aside."""
    reasoner = Scripted([LOOK, AskPerson("Is this it?"), END])
    session = Session(functools.partial(with_secret, reasoner), {"data": str(tmp_path)})
    async with demo_env.begun(session, [], "forecast-contention", 1) as (app, alerts, _):
        ill = _with_canaries(alerts[0])
        body = {
            "labels": dict(ill.labels),
            "annotations": dict(ill.annotations),
            "startsAt": ill.starts_at.isoformat(),
            "generatorURL": f"http://p/graph?g0.expr=up&password=canaryPlainPassword#{CONFIGURED}",
            "seen": [ALL],
        }
        web = build(app, Readiness(ready=True), loopback=True)
        transport = httpx.ASGITransport(app=web)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            answer = await http.post(
                "/v1/webhooks/alertmanager", json={"version": CANARIES["AWS key"], "alerts": [body, {"odd": ALL}]}
            )
            assert (answer.status_code, answer.json()["alerts"], len(answer.json()["set_aside"])) == (202, 1, 2)
        assert leaked(everything_in(tmp_path / "demo")) == [], "it waits in the inbox"
        assert await app.watch.take_in() == 1
        (incident,) = await app.api.incidents()
        await app.api.work(incident.id)
        prompts = json.dumps([[e.to_json() for e in view.events] for view in reasoner.views], ensure_ascii=False)
        prompts += str(
            [(a.labels, a.annotations, a.extra, a.generator_url) for view in reasoner.views for a in view.alerts]
        )
        assert leaked(prompts) == []
        assert prompts.count("[redacted: ") > 20
        ((_, _, _, why),) = await app.inbox.quarantined(5)
        assert "[redacted: AWS key]" in why
        assert leaked(why) == []
    assert leaked(everything_in(tmp_path / "demo")) == []


async def test_a_proposal_that_holds_a_secret_is_not_made(tmp_path: Path) -> None:
    silence = replace(
        scale(),
        action="silence_alert",
        args={
            "alertname": "ForecastLatencyHigh",
            "labels": {"service": "demand-forecast", "cluster": "eu-1"},
            "minutes": 15,
            "reason": "being mended",
        },
    )
    async with poisoned(tmp_path, Scripted([LOOK, silence, END])) as (app, identity):
        await app.api.steer(identity, me(app), "silence ForecastLatencyHigh if you must")
        rest = await app.api.work(identity)
        proposal = await app.api.proposal(str(rest.proposal))
        with pytest.raises(BadArguments, match=r"silence_alert: arguments, .*holds what looks like a secret"):
            await app.api.edit(proposal.id, me(app), {"reason": CANARIES["AWS key"]})
        assert [p.id for p in await app.api.proposals()] == [proposal.id], "the one that waits still does"


async def test_a_move_whose_target_shows_a_secret_is_not_sealed(tmp_path: Path) -> None:
    """Arguments come out of the timeline, which holds none; what is seen of the target does not."""
    secret = CANARIES["AWS key"]
    silence = replace(
        scale(), action="silence_alert", args={"alertname": "ForecastLatencyHigh", "minutes": 15, "reason": secret}
    )
    async with poisoned(tmp_path, Scripted([LOOK, END])) as (app, identity):
        await app.api.work(identity)
        incident_view = await app.api.incident_view(identity)
        context = app.api.run_context.context(incident_view)
        with pytest.raises(BadArguments, match="holds what looks like a secret"):
            await app.api.judge.seal(incident_view, silence, 9, "scripted", 1, context)
        assert await app.api.proposals(only_open=False) == []


async def test_what_waits_in_the_inbox_is_kept_without_secrets(tmp_path: Path) -> None:
    db = await Database.open("", tmp_path, Redactor([CONFIGURED]))
    box = Inbox(db, LateClock(NOON))
    alert = Alert("alertmanager", "f1", AlertStatus.FIRING, {"alertname": "A"}, {"description": ALL}, NOON)
    await box.accept("alertmanager", [alert])
    await box.close()
    async with db.read() as tx:
        (entry,) = await inbox.fresh(tx, 9)
    await db.close()
    assert leaked(str(entry.alerts[0].annotations)) == []
    assert entry.alerts[0].fingerprint == "f1"


# -- prompt, log, traceback, Slack ------------------------------------------------------------------------------------


async def test_no_secret_reaches_a_language_model() -> None:
    case = Case(book=f"---\nname: slow\ndescription: d\n---\n## Meaning\n{ALL}\n")
    case.note(EventKind.NOTE, {"text": ALL, "steer": ALL}, "os:ann")
    _, llm = await thought([look(QUERY)], case, redact=Redactor([CONFIGURED]))
    sent = json.dumps(llm.requests, ensure_ascii=False)
    assert leaked(sent) == []
    assert "[redacted: AWS key]" in sent


def test_no_secret_reaches_a_log_line_or_the_traceback_in_it() -> None:
    lines = JsonLines(Redactor([CONFIGURED]))
    try:
        raise StanchError(ALL)
    except StanchError:
        record = logging.LogRecord("stanch", logging.ERROR, "f", 1, "failed with %s", (ALL,), sys.exc_info())
    record.detail = {"password": "canaryPlainPassword", "said": [ALL]}
    line = lines.format(record)
    assert leaked(line) == []
    assert set(json.loads(line)) >= {"at", "level", "message", "traceback", "detail"}


async def test_no_secret_is_said_in_slack() -> None:
    async with FakeSlack.start() as slack:
        client = DiscreetClient(Redactor([CONFIGURED]), "xoxb-test", slack.url)
        block = {"type": "section", "text": {"type": "mrkdwn", "text": ALL}}
        await client.chat_postMessage(channel="C1", text=ALL, blocks=[block])
        await Replies(client).privately(Place("C1", "U1"), ALL)
        said = json.dumps([call.body for call in slack.calls], ensure_ascii=False)
        assert leaked(said) == []
        assert said.count("[redacted: configured secret]") >= 3
