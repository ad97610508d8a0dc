"""Grafana's webhook: a body much like Alertmanager's, and a signature of its own."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from agent.sources.alertmanager import SCHEMA, Dialect, delivered, delivering
from agent.sources.portions import Steps
from agent.sources.source import Delivery, Incoming, Signing, Source

GRAFANA = Dialect("grafana", "1", "a Grafana webhook")
HEADER = "x-grafana-alerting-signature"
# Grafana names no default for the header with the time; these are the names its own documents use
TIMES = ("x-grafana-alerting-signature-timestamp", "x-grafana-alerting-timestamp")
AGE_S = 300
_HEX = re.compile(r"[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def parse(body: bytes, now: datetime) -> Delivery:
    """UnusableInput when no alert can be read."""
    return delivered(body, now, GRAFANA)


def read_incoming(incoming: Incoming, now: datetime) -> Steps[Delivery]:
    return (yield from delivering(incoming.body, now, GRAFANA, incoming.most))


def genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Hex of HMAC-SHA256 over the body, or over `time:body` where a header carries the Unix time, then at most 5 minutes old."""
    signature = headers.get(HEADER, "")
    if not secret or not _HEX.fullmatch(signature):
        return False
    sent = next((headers[name] for name in TIMES if name in headers), None)
    if sent is not None and (not _SECONDS.fullmatch(sent) or abs(now - int(sent)) > AGE_S):
        return False
    signed = body if sent is None else sent.encode() + b":" + body
    return hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest(), signature)


SOURCE = Source(
    "grafana",
    "/v1/webhooks/grafana",
    "alerts",
    read_incoming,
    SCHEMA,
    "The body of a Grafana webhook, with a token or with `X-Grafana-Alerting-Signature`.",
    signs=Signing(HEADER, genuine),
)
