"""Signatures of Grafana and of Standard Webhooks, and what events become."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from agent.sources.events import STRUCTURED
from tests.surfaces.webhook.conftest import (
    AM,
    AT,
    EVENTS,
    EVENTS_SECRET,
    GRAFANA,
    GRAFANA_SECRET,
    JSON,
    Place,
    alert,
    is_problem,
    notification,
)

# -- signatures -------------------------------------------------------------------------------------------------------


def hex_hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


async def test_grafana_signs_the_body_or_the_time_and_the_body(place: Place) -> None:
    now = str(int(time.time()))
    for n, stamp in enumerate((None, "X-Grafana-Alerting-Signature-Timestamp", "X-Grafana-Alerting-Timestamp")):
        body = json.dumps(notification(alert(f"G{n}"), version="1", orgId=1, title="t", state="alerting")).encode()
        signed = body if stamp is None else f"{now}:".encode() + body
        headers = {**JSON, "X-Grafana-Alerting-Signature": hex_hmac(GRAFANA_SECRET, signed)}
        headers |= {} if stamp is None else {stamp: now}
        assert (await place.nobody.post(GRAFANA, content=body, headers=headers)).status_code == 202
        is_problem(await place.nobody.post(GRAFANA, content=body + b" ", headers=headers), 401)
        is_problem(await place.http.post(GRAFANA, content=body + b" ", headers=headers), 401)
        is_problem(await place.nobody.post(AM, content=body, headers=headers), 401)
    assert {one.source for entry in await place.half.entries() for one in entry.alerts} == {"grafana"}
    assert await place.half.quarantined() == []


@pytest.mark.parametrize(
    "stamp", ["", "x", "-1", "1e9", "99999999999999999999", pytest.param(str(int(time.time()) - 301), id="old")]
)
async def test_grafanas_old_or_malformed_times_are_no_signature(stamp: str, place: Place) -> None:
    body = json.dumps(notification(alert(), version="1")).encode()
    signature = hex_hmac(GRAFANA_SECRET, f"{stamp}:".encode() + body)
    headers = {**JSON, "X-Grafana-Alerting-Signature": signature, "X-Grafana-Alerting-Timestamp": stamp}
    is_problem(await place.nobody.post(GRAFANA, content=body, headers=headers), 401)


def standard(body: bytes, name: str = "msg_1", at: float | None = None, secret: str = EVENTS_SECRET) -> dict[str, str]:
    """Headers as the libraries of Standard Webhooks make them."""
    sent = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{name}.{sent}.".encode() + body
    signature = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": name, "webhook-timestamp": sent, "webhook-signature": signature}


EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "ci/web",
    "type": "com.acme.deployment.finished",
    "time": AT,
    "data": {"service": "web", "cluster": "eu-1", "version": "v2", "by": "ana", "link": "https://ci.example/1"},
}


async def test_a_signed_event_needs_no_token_and_holds_five_minutes(place: Place) -> None:
    body, kind = json.dumps(EVENT).encode(), {"Content-Type": STRUCTURED}
    fresh = standard(body)
    rotated = {**fresh, "webhook-signature": f"v1a,x v1,AAAA {fresh['webhook-signature']}"}
    assert (await place.nobody.post(EVENTS, content=body, headers=kind | rotated)).status_code == 202
    replay = await place.nobody.post(EVENTS, content=body, headers=kind | rotated)
    assert (replay.status_code, replay.json()["duplicate"]) == (200, True)
    refused = [
        standard(body, at=time.time() - 301),
        standard(body, at=time.time() + 301),
        standard(b"other"),
        standard(body, secret="whsec_AAAA"),
        {**fresh, "webhook-id": "other"},
        {**fresh, "webhook-timestamp": "soon"},
        {**fresh, "webhook-signature": ""},
        {**fresh, "webhook-signature": "v1,é"},
        {"webhook-signature": fresh["webhook-signature"]},
    ]
    for headers in refused:
        raw = {name: value.encode("latin-1") for name, value in (kind | headers).items()}
        is_problem(await place.nobody.post(EVENTS, content=body, headers=raw), 401)


# -- events -----------------------------------------------------------------------------------------------------------


async def test_an_event_in_either_mode_is_the_same_change(place: Place) -> None:
    first = await place.http.post(EVENTS, content=json.dumps(EVENT), headers={"Content-Type": STRUCTURED})
    attributes = {f"ce-{k}": str(EVENT[k]) for k in ("specversion", "id", "source", "type", "time")}
    second = await place.http.post(EVENTS, json=EVENT["data"], headers=attributes)
    assert (first.status_code, second.status_code) == (202, 200)
    (entry,) = await place.half.entries()
    (change,) = entry.changes
    assert (change.kind, change.service, change.cluster, change.by) == ("deployment", "web", "eu-1", "ana")
    assert change.what == "com.acme.deployment.finished web v2"
    assert (change.source, change.link, change.detail["event"]) == ("ci/web", "https://ci.example/1", "e-1")


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("dev.cdevents.service.upgraded.0.2.0", "deployment"),
        ("stanch.rollback", "deployment"),
        ("mlops.model.promoted", "model_promotion"),
        ("mlflow.model_version_alias.created", "model_promotion"),
        ("evidently.drift.detected", "data"),
        ("airflow.dataset.updated", "data"),
        ("flags.changed", "config"),
        ("hpa.scaled", "scaling"),
        ("ops.restarted", "restart"),
        ("something.else", "other"),
    ],
)
async def test_the_type_says_what_kind_of_change_it_is(type_: str, kind: str, place: Place) -> None:
    assert (await place.http.post(EVENTS, json=EVENT | {"type": type_})).status_code == 202
    assert (await place.half.entries())[0].changes[0].kind == kind


async def test_a_drift_event_may_ring(place: Place) -> None:
    rings = {"labels": {"alertname": "FeatureDrift", "model": "forecast"}, "annotations": {"summary": "psi 0.4"}}
    event_ = EVENT | {"id": "d-1", "type": "evidently.drift.detected", "data": {"model": "forecast", "alert": rings}}
    assert (await place.http.post(EVENTS, json=event_)).json()["alerts"] == 1
    (entry,) = await place.half.entries()
    (rung,) = entry.alerts
    assert (rung.source, rung.name, rung.summary) == ("event", "FeatureDrift", "psi 0.4")
    assert rung.starts_at == entry.changes[0].at


async def test_an_event_whose_alert_cannot_be_read_is_a_change_and_kept_for_a_person(place: Place) -> None:
    answer = await place.http.post(EVENTS, json=EVENT | {"data": {"alert": {"labels": {}}}})
    assert (answer.status_code, answer.json()["alerts"]) == (202, 0)
    assert "data.alert cannot be read" in (await place.half.quarantined())[0]
    assert len((await place.half.entries())[0].changes) == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "no CloudEvent"),
        (7, "no CloudEvent"),
        ({}, "specversion"),
        (EVENT | {"specversion": "0.3"}, "specversion"),
        (EVENT | {"id": ""}, "id"),
        (EVENT | {"type": 7}, "type"),
        (EVENT | {"time": 7}, "time"),
        (EVENT | {"time": "0001-01-01T00:00:00+14:00"}, "years"),
        (EVENT | {"data_base64": "!"}, "data_base64"),
    ],
)
async def test_what_is_no_event_is_refused_with_what_to_mend(body: Any, says: str, place: Place) -> None:
    assert says in is_problem(await place.http.post(EVENTS, json=body), 400)
