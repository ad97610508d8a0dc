"""Claims that have no volume, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tools.kubernetes.client import quantity
from tools.kubernetes.symptoms.objects import (
    Object,
    Seen,
    at,
    created,
    dicts,
    event_time,
    event_words,
    labels_of,
    moment,
    name_of,
    namespace_of,
    texts,
)
from tools.kubernetes.symptoms.policies import selects
from tools.kubernetes.symptoms.signs import decisive, fit, mended, seconds
from tools.symptoms import HURTS, TELLS, Symptom

_YOUNG_S, _FRESH_S = 30.0, 900.0
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


def claim_symptoms(seen: Seen) -> list[Symptom]:
    """Claims that wait for a volume, or have lost theirs."""
    return [one for claim in seen.kind("PersistentVolumeClaim") if (one := _of_claim(seen, claim))]


def _of_claim(seen: Seen, claim: Object) -> Symptom | None:
    phase, subject = at(claim, "status", "phase"), seen.subject_of("PersistentVolumeClaim", claim)
    name = mended(name_of(claim))
    if at(claim, "metadata", "deletionTimestamp") or phase == "Bound" or seen.age(claim) < _YOUNG_S:
        return None
    if phase == "Lost":
        text = f"claim {name} has lost its volume {mended(at(claim, 'spec', 'volumeName'))}"
        return Symptom(subject, "claim_pending", fit(text), HURTS, "volume_missing")
    if phase != "Pending":
        return None
    events = seen.events("PersistentVolumeClaim", claim)
    events = [one for one in events if (seen.now - event_time(one)).total_seconds() <= _FRESH_S]
    words = event_words(events[0]) if events else ""
    reason, says, severity = _why(seen, claim, events[0].get("reason") if events else "", words)
    text = f"claim {name} is not bound: {says}"
    labels = {"class": str(at(claim, "spec", "storageClassName") or "")}
    since = seconds(moment(claim, "metadata", "creationTimestamp") or created(claim))
    return Symptom(
        subject, "claim_pending", fit(text), severity, reason, since, None, {k: v for k, v in labels.items() if v}
    )


def _why(seen: Seen, claim: Object, told: object, words: str) -> tuple[str, str, int]:
    """(reason, words, severity) by what is there, and by the newest event."""
    storage_class, wanted = at(claim, "spec", "storageClassName"), at(claim, "spec", "volumeName")
    if re.search(r'storageclass\S* "[^"]+" not found', words, re.I) or (
        storage_class and seen.lacks("StorageClass", "", str(storage_class)) and not _static(seen, claim)
    ):
        known = ", ".join(name_of(one) for one in seen.kind("StorageClass"))
        has = f" (there are {mended(known, 90)})" if known else ""
        return "class_missing", f"storage class {mended(storage_class)} does not exist{has}", HURTS
    if wanted and (volume := seen.find("PersistentVolume", "", str(wanted))) is not None:
        if at(volume, "spec", "claimRef", "name") not in (None, name_of(claim)):
            other = at(volume, "spec", "claimRef")
            return (
                "already_bound",
                f"volume {mended(wanted)} is bound to {other.get('namespace')}/{other.get('name')}",
                HURTS,
            )
        return (*_mismatch(claim, volume), HURTS)
    if wanted and (seen.lacks("PersistentVolume", "", str(wanted)) or "not found" in words):
        return "volume_missing", f"volume {mended(wanted)}, which it names, does not exist", HURTS
    if told == "WaitForFirstConsumer" or "waiting for first consumer" in words:
        used = _consumers(seen, claim)
        return "waits_for_consumer", f"it waits for a pod that mounts it{' to be scheduled' if used else ''}", TELLS
    if told == "ProvisioningFailed" or "failed to provision" in words:
        return "provisioning", decisive(words, r"rpc error|quota|not found|denied|exceeded|invalid", 170), HURTS
    if told == "ExternalProvisioning" or "waiting for a volume to be created" in words:
        return "provisioning", f"its provisioner has made no volume yet: {mended(words, 130)}", HURTS
    return (*_no_volume(seen, claim, words), HURTS)


def _static(seen: Seen, claim: Object) -> bool:
    """Whether there are volumes of the claim's class, so that no object of the class is needed."""
    chosen = at(claim, "spec", "storageClassName")
    return any(at(one, "spec", "storageClassName") == chosen for one in seen.kind("PersistentVolume"))


def _no_volume(seen: Seen, claim: Object, words: str) -> tuple[str, str]:
    chosen = at(claim, "spec", "storageClassName") or ""
    free = [
        one
        for one in seen.kind("PersistentVolume")
        if (at(one, "spec", "storageClassName") or "") == chosen and at(one, "status", "phase") in ("Available", None)
    ]
    if free:
        return _mismatch(claim, free[0])
    said = f" ({mended(words, 120)})" if words else ""
    return (
        "no_volume",
        f"no volume is free for it and no class makes one{said}",
    )


def _mismatch(claim: Object, volume: Object) -> tuple[str, str]:
    """What of a volume does not fit a claim."""
    name = mended(name_of(volume))
    modes, has = texts(claim, "spec", "accessModes"), texts(volume, "spec", "accessModes")
    if not set(modes) <= set(has):
        return "access_mode", f"it wants {', '.join(modes)} and volume {name} offers {', '.join(has)}"
    asked = str(at(claim, "spec", "resources", "requests", "storage") or "0")
    size = str(at(volume, "spec", "capacity", "storage") or "0")
    if (quantity(asked) or 0) > (quantity(size) or 0):
        return "capacity", f"it wants {asked} and volume {name} has {size}"
    selector = at(claim, "spec", "selector")
    if isinstance(selector, Mapping) and not selects(selector, labels_of(volume)):
        return "selector", f"its selector does not fit the labels of volume {name}"
    return "no_volume", f"volume {name} is not given to it"


def _consumers(seen: Seen, claim: Object) -> list[Object]:
    return [
        pod
        for pod in seen.kind("Pod", namespace_of(claim))
        if any(
            at(volume, "persistentVolumeClaim", "claimName") == name_of(claim)
            for volume in dicts(at(pod, "spec", "volumes"))
        )
    ]
