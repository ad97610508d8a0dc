"""How often Kubernetes incidents of the wild are understood, with nothing configured but the cluster:
`python -m tests.bench_wild [even|odd|all] [NAME …]`.

Each incident of tests/wild is served by the fake API with its times moved to the present, and its alert is given to
`stanch investigate --no-wait --json` as a person would. Even ones were looked at while the tables were made; odd ones are
held out. Right: fault and subject are those of the truth, or of what a fair judge accepts too; where nothing can be told or
nothing is wrong, naming nothing is right.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.routing import Route

from tests.kubernetes_api import FakeApi
from tests.serving import served
from tests.wild import incidents

STANCH = Path(sys.executable).parent / "stanch"
AT_ONCE = 2
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_PLURALS = {
    **{"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "StorageClass": "storageclasses"},
    **{"EndpointSlice": "endpointslices", "Endpoints": "endpoints", "PriorityClass": "priorityclasses"},
}
_ALWAYS = (
    *(
        "pods",
        "deployments",
        "replicasets",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
        "services",
        "endpointslices",
    ),
    *("nodes", "events", "configmaps", "secrets", "persistentvolumeclaims", "persistentvolumes", "storageclasses"),
    *("horizontalpodautoscalers", "resourcequotas", "limitranges", "networkpolicies", "ingresses", "namespaces"),
    *("serviceaccounts", "controllerrevisions", "poddisruptionbudgets"),
)


@dataclass(frozen=True)
class Mark:
    name: str
    right: bool
    named: bool
    abstains: bool
    quoted: bool
    said: str
    wanted: str


def moved(text: str, by: timedelta) -> str:
    """The same text with every time later by so much."""

    def later(found: re.Match[str]) -> str:
        when = datetime.fromisoformat(found[0].replace("Z", "+00:00")) + by
        return when.strftime("%Y-%m-%dT%H:%M:%SZ")

    return _TIME.sub(later, text)


def api_of(incident: Mapping[str, Any]) -> FakeApi:
    objects: dict[str, list[dict[str, Any]]] = {plural: [] for plural in _ALWAYS}
    for one in [*incident["objects"], *incident.get("events", [])]:
        kind = one["kind"]
        objects.setdefault(_PLURALS.get(kind, f"{kind.lower()}s"), []).append(one)
    logs: dict[tuple[str, str, bool], str | int] = {}
    for place, told in (incident.get("logs") or {}).items():
        _, pod, container = place.split("/")
        for which, before in (("current", False), ("previous", True)):
            if told.get(which):
                logs[pod, container, before] = lines(told[which])
    return FakeApi(objects, logs=logs)


def lines(told: str | Sequence[Any]) -> str:
    if isinstance(told, str):
        return told
    found: list[str] = []
    for one in told:
        found += [one["line"]] * int(one.get("repeat", 1)) if isinstance(one, dict) else [one]
    return "\n".join(found)


async def marked(incident: Mapping[str, Any]) -> Mark:
    by = datetime.now(UTC) - datetime.fromisoformat(incident["now"].replace("Z", "+00:00"))
    now = json.loads(moved(json.dumps(incident), by))
    app = Starlette(routes=[Route("/{path:path}", api_of(now).answer, methods=["GET", "POST"])])
    with tempfile.TemporaryDirectory() as place:
        async with served(app) as url:
            folder = Path(place)
            (folder / "alert.json").write_text(json.dumps(body(now["alert"])))
            (folder / "kubeconfig").write_text(kubeconfig(url))
            out = await told(folder)
    return judged(now, json.loads(out) if out.strip() else {})


def body(alert: Mapping[str, Any]) -> dict[str, Any]:
    whole = {
        "status": "firing",
        "labels": alert["labels"],
        "annotations": alert.get("annotations", {}),
        "startsAt": alert["startsAt"],
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"http://prometheus/graph?g0.expr={alert['expr']}" if alert.get("expr") else "",
        "fingerprint": "f00d",
    }
    return {
        **{"version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "stanch"},
        **{"groupLabels": {}, "commonLabels": alert["labels"], "commonAnnotations": {}, "externalURL": ""},
        "alerts": [whole],
    }


def kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            **{"apiVersion": "v1", "kind": "Config", "current-context": "c"},
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
    )


async def told(folder: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STANCH_", "OPENAI_"))}
    asked = {**kept, "STANCH_KUBECONFIG": str(folder / "kubeconfig"), "STANCH_DATA": str(folder / "data")}
    process = await asyncio.create_subprocess_exec(
        *(str(STANCH), "investigate", "--no-wait", "--json", str(folder / "alert.json")),
        cwd=folder,
        env=asked,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    if not out.strip():
        print(errors.decode()[-600:], file=sys.stderr)
    return out.decode()


def judged(incident: Mapping[str, Any], shown: Mapping[str, Any]) -> Mark:
    truth, cause = incident["truth"], shown.get("cause") or {}
    fault, name = str(cause.get("fault") or "unknown"), str(cause.get("component") or "")
    named = fault not in ("unknown", "none")
    fitting = [one for one in [truth, *truth.get("also", [])] if one["fault"] == fault]
    right = not named if truth.get("abstain") else any(_is(one.get("subject"), name, cause) for one in fitting)
    sentences = " ".join(one["text"] for one in shown.get("findings") or [])
    quoted = str(truth.get("decisive") or "").lower() in sentences.lower()
    wanted = "abstain" if truth.get("abstain") else f"{truth['fault']} in {truth['subject']['name']}"
    return Mark(
        incident["name"],
        right,
        named,
        bool(truth.get("abstain")),
        quoted,
        f"{fault} in {name} {cause.get('confidence', '')}",
        wanted,
    )


def _is(subject: Mapping[str, str] | None, name: str, cause: Mapping[str, Any]) -> bool:
    if not subject:
        return True
    mine = cause.get("subject") or {}
    return name.partition(".")[0] == subject["name"].partition(".")[0] and (
        not mine.get("namespace") or not subject.get("namespace") or mine["namespace"] == subject["namespace"]
    )


async def all_of(chosen: Sequence[Mapping[str, Any]]) -> list[Mark]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(incident: Mapping[str, Any]) -> Mark:
        async with gate:
            return await marked(incident)

    return list(await asyncio.gather(*(one(incident) for incident in chosen)))


def main() -> None:
    half, *names = sys.argv[1:] or ["all"]
    chosen = [one for one in incidents() if half == "all" or one["number"] % 2 == (half == "odd")]
    chosen = [one for one in chosen if not names or any(name in one["name"] for name in names)]
    marks = asyncio.run(all_of(chosen))
    by = defaultdict(list)
    for one in marks:
        by["abstain" if one.abstains else "cause"].append(one)
        if half != "odd":
            print(
                f"{'ok ' if one.right else 'NO '} {'q' if one.quoted else '-'} {one.name:48} {one.said:60} wanted {one.wanted}"
            )
    named = [one for one in by["cause"] if one.named]
    print(
        f"{half}: {len(marks)} incidents; right {sum(one.right for one in marks)}; of {len(by['cause'])} with a cause "
        f"{len(named)} named, {sum(one.right for one in named)} of these rightly, decisive words in {sum(one.quoted for one in by['cause'])}; "
        f"of {len(by['abstain'])} without, {sum(one.right for one in by['abstain'])} left unnamed"
    )


if __name__ == "__main__":
    main()
