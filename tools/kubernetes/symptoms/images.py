"""Images that cannot be pulled, and why: containerd, CRI-O and docker word it each in their own way, and registries too."""

from __future__ import annotations

import re

from tools.kubernetes.symptoms.objects import (
    Load,
    Object,
    at,
    created,
    dicts,
    event_time,
    event_words,
    mapping,
    name_of,
)
from tools.kubernetes.symptoms.signs import Sign, decisive, exactly, mended

WAITS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed", "ImageGCFailed"}
)
# What pulling says: (pattern, reason). The first that fits counts, so what is more exact stands first.
_REASONS = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (
            r"invalid ?(?:image name|reference format)|couldn't parse image|could not parse reference|InvalidImageName",
            "invalid_name",
        ),
        (r"pull policy of never|ErrImageNeverPull", "never_pull"),
        (r"too ?many ?requests|429|rate limit|pull limit", "rate_limited"),
        (
            r"no match(?:ing manifest)? for (?:platform|linux|windows)|no image found in (?:image index|manifest list)",
            "platform",
        ),
        (r"no such host|server misbehaving|name resolution|lookup \S+ on \S+: .*(?:timeout|refused)", "registry_dns"),
        (
            r"name.unknown|repository (?:name )?not known|repository (?:with name )?\S* ?(?:does not exist|not found) in",
            "name",
        ),
        (r"does not exist or (?:may require|no pull access)", "denied"),
        (
            r"no basic auth credentials|unauthorized|authorization (?:failed|token)|authentication (?:is )?required",
            "credentials",
        ),
        (r"invalid username/password|access (?:forbidden|to the resource is denied)|\bdenied\b|403|401", "credentials"),
        (
            r"manifest.unknown|manifest for \S+ not found|failed to find manifest|: not found|was deleted or has expired",
            "tag_unknown",
        ),
        (
            r"dial tcp|i/o timeout|TLS handshake|x509|HTTP response to HTTPS|connection re|deadline exceeded",
            "registry_unreachable",
        ),
        (
            r"no route to host|unexpected EOF|: EOF|\b50[0234]\b|pinging container registry|RegistryUnavailable",
            "registry_unreachable",
        ),
    )
)
_DECISIVE = (
    r"(?i)toomanyrequests|too many requests|no match|no image found|no such host|server misbehaving|dial tcp|x509|name.unknown"
    r"|does not exist|unauthorized|denied|authorization failed|403|401|manifest.unknown|: not found|invalid reference"
    r"|pull policy of Never|no basic auth|i/o timeout|TLS handshake"
)
_SAYS = {
    "name": "the registry has no such repository",
    "tag_unknown": "the registry has no such tag",
    "credentials": "the registry does not let it in",
    "registry_unreachable": "the registry does not answer",
    "registry_dns": "the registry's name is not found",
    "rate_limited": "the registry allows no more pulls for now",
    "platform": "the image is not built for the node's processor",
    "never_pull": "it is not on the node and its pull policy is Never",
    "invalid_name": "this is no valid name of an image",
}


def reason_of(message: str, with_secret: bool = False) -> str:
    """Why an image cannot be pulled. Registries say "does not exist or may require authorization" where they do not tell
    which; a pod that brings credentials then has wrong ones, and one without means another name."""
    found = next((reason for pattern, reason in _REASONS if pattern.search(message)), "other")
    if found == "denied":
        return "credentials" if with_secret else "name"
    return found


def unpulled(load: Load, pod: Object, spec: Object, status: Object) -> Sign | None:
    """The sign of a container that waits for its image."""
    waiting = mapping(status, "state", "waiting")
    state = str(waiting.get("reason") or "")
    if state not in WAITS:
        return None
    image = str(spec.get("image") or status.get("image") or "")
    message, since = str(waiting.get("message") or ""), None
    events = [one for one in load.seen.events("Pod", pod, "Failed", "InspectFailed") if _about(one, pod, image, spec)]
    known = [one for one in events if reason_of(event_words(one)) != "other"]
    if known and (reason_of(message) == "other" or len(event_words(known[0])) > len(message)):
        message = event_words(known[0])
    if events:
        since = min(event_time(one) for one in events)
    with_secret = bool(dicts(at(pod, "spec", "imagePullSecrets")))
    whole = f"{state} {message}"
    # only the words after the image's name tell: a name may hold "429" or "denied"
    told = whole.replace(image, "IMAGE") if image else whole
    reason = reason_of(told, with_secret)
    container = str(spec.get("name"))
    why = decisive(message.replace(f'"{image}"', "it") if image else message, _DECISIVE, 90)
    head = f" cannot pull image {mended(image, 70)}"
    says = f"{head}: {_SAYS[reason]}" if reason in _SAYS else head
    says += f" ({why})" if why and not why.startswith("Back-off pulling") else ""
    labels = {"container": container, "image": image, "node": str(at(pod, "spec", "nodeName") or "")}
    began = since or created(pod)
    return Sign(name_of(pod), "image_pull", reason, says, labels["node"], began=exactly(began), labels=labels)


def _about(event: Object, pod: Object, image: str, spec: Object) -> bool:
    """Whether an event speaks of this container's present image."""
    if event_time(event) < created(pod):
        return False
    words, path = event_words(event), str(at(event, "involvedObject", "fieldPath") or "")
    return image in words or (
        f"{{{spec.get('name')}}}" in path and not words.startswith(("Failed to pull", "Back-off"))
    )
