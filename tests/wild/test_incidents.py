"""The incidents of the wild are whole: what they name is there, what they say lies in the past, and both halves are fair."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from agent.domain.cause import Fault
from tests.wild import incidents

Document = dict[str, Any]
ALL = incidents()


def by_name(one: Document) -> str:
    return str(one["name"])


def each(thing: Any, key: str) -> list[Any]:
    """All values under a key, however deep."""
    if isinstance(thing, dict):
        return [v for k, v in thing.items() if k == key] + [x for v in thing.values() for x in each(v, key)]
    return [x for v in thing for x in each(v, key)] if isinstance(thing, list) else []


def key(one: Document) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_an_incident_has_all_its_parts(incident: Document) -> None:
    assert len(incident["about"]) > 60
    assert "https://" in incident["about"]
    assert incident["alert"]["labels"]["alertname"]
    assert incident["alert"]["annotations"]["summary"]
    assert sum(one["kind"] == "Node" for one in incident["objects"]) >= 2
    assert (
        len({key(one) for one in incident["objects"] if one["kind"] in ("Deployment", "StatefulSet", "DaemonSet")}) >= 3
    )
    for one in incident["objects"]:
        assert one["apiVersion"]
        assert one["metadata"]["uid"]
        assert one["metadata"]["creationTimestamp"]
    json.dumps(incident)


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_the_truth_is_an_answer_one_can_give(incident: Document) -> None:
    truth = incident["truth"]
    faults = {Fault(truth["fault"])} | {Fault(one["fault"]) for one in truth["also"]}
    assert truth["abstain"] == (truth["fault"] in ("none", "unknown"))
    assert truth["abstain"] or truth["decisive"]
    assert truth["abstain"] or not faults & {Fault.NONE, Fault.UNKNOWN}
    assert truth["subject"]["kind"]
    assert truth["subject"]["name"]


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_the_decisive_words_are_in_the_cluster(incident: Document) -> None:
    shown = json.dumps([incident["objects"], incident["events"], incident["logs"]])
    words = json.dumps(incident["truth"]["decisive"]).strip('"')
    assert incident["truth"]["abstain"] or words in shown


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_every_name_is_used_once_and_every_owner_exists(incident: Document) -> None:
    names = Counter(key(one) for one in incident["objects"])
    assert [one for one, times in names.items() if times > 1] == []
    uids = {one["metadata"]["uid"]: one for one in incident["objects"]}
    for one in incident["objects"]:
        for owner in one["metadata"].get("ownerReferences", []):
            assert uids[owner["uid"]]["metadata"]["name"] == owner["name"]
    for event in incident["events"]:
        assert event["involvedObject"]["uid"] in uids


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_nothing_happens_after_now(incident: Document) -> None:
    now = datetime.fromisoformat(incident["now"])
    keys = (
        "creationTimestamp",
        "lastTransitionTime",
        "firstTimestamp",
        "lastTimestamp",
        "startedAt",
        "finishedAt",
        "startsAt",
    )
    stamps = [stamp for name in keys for stamp in each(incident, name)]
    assert stamps
    assert all(datetime.fromisoformat(stamp) <= now for stamp in stamps)
    for event in incident["events"]:
        assert event["firstTimestamp"] <= event["lastTimestamp"]
        assert (now - datetime.fromisoformat(event["lastTimestamp"])).total_seconds() <= 3600, (
            "the API server forgets after an hour"
        )


@pytest.mark.parametrize("incident", ALL, ids=by_name)
def test_logs_and_alert_belong_to_what_exists(incident: Document) -> None:
    pods = {key(one)[1:]: one for one in incident["objects"] if one["kind"] == "Pod"}
    for path, log in incident["logs"].items():
        namespace, pod, container = path.split("/")
        spec = pods[namespace, pod]["spec"]
        assert container in [one["name"] for one in [*spec["containers"], *spec.get("initContainers", [])]]
        assert len(log["current"].splitlines()) <= 250
    nodes = {key(one)[2] for one in incident["objects"] if one["kind"] == "Node"}
    assert all(one["spec"].get("nodeName", next(iter(nodes))) in nodes for one in pods.values())


def test_both_halves_are_alike() -> None:
    halves = [[one for one in ALL if one["number"] % 2 == odd] for odd in (0, 1)]
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    for told in (
        lambda one: one["truth"]["abstain"],
        lambda one: one["tags"]["elsewhere"],
        lambda one: bool(one["tags"]["herring"]),
    ):
        counts = [sum(map(told, half)) for half in halves]
        assert abs(counts[0] - counts[1]) <= 5
