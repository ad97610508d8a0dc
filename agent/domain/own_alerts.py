"""Alerts about Stanch itself. They open incidents like any other; only our own call for a person comes back unworked.

A name proves nothing, so that call carries a seal: HMAC under a key derived from the audit key, over the incident and what is
said of it. Alertmanager gives annotations back as they were; whatever else it may add to labels or times is not sealed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from agent.domain.alert import Alert
from agent.domain.timeline import canonical

OURS = "stanch"  # value of the label `source`
CALL = "StanchNeedsPerson"
SEAL = "stanch_seal"  # annotation
_NAMES = re.compile(r"Stanch(?![a-z])")
_LABELS, _ANNOTATIONS = ("alertname", "source", "incident"), ("summary", "description")


def seal(audit_key: bytes, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """What our call for a person is known by, in hex."""
    said = [labels.get(name, "") for name in _LABELS] + [annotations.get(name, "") for name in _ANNOTATIONS]
    key = hmac.new(audit_key, b"stanch calls for a person 1", hashlib.sha256).digest()
    return hmac.new(key, canonical(list(said)), hashlib.sha256).hexdigest()


def ours(alert: Alert, audit_key: bytes) -> bool:
    """Whether we raised it: it says, word for word, what we sealed."""
    brought = alert.annotations.get(SEAL)
    if alert.name != CALL or brought is None:
        return False
    right = seal(audit_key, alert.labels, alert.annotations)
    return hmac.compare_digest(brought.encode("utf-8", "replace"), right.encode())


def about_us(alert: Alert) -> bool:
    """Whether it says that it is about Stanch. Anybody can say so: it only takes rights away."""
    return alert.labels.get("source") == OURS or _NAMES.match(alert.name) is not None
