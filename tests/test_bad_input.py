"""What a person or a script gets wrong, and what a platform does not give: a clear message with what to do, the right exit
code, no traceback, nothing lost. Through the command line itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Run, stanch
from tests.warm import Warm

FIXTURES = Path(__file__).parent / "fixtures" / "alertmanager" / "0.25"
FIRING = FIXTURES / "first-firing.json"
DRIVES_A_TERMINAL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b]")


def alert(**changes: Any) -> dict[str, Any]:
    labels = {"alertname": "CheckoutSlow", "service": "checkout", **changes.pop("labels", {})}
    annotations = {"summary": "checkout is slow", **changes.pop("annotations", {})}
    body = {"status": "firing", "labels": labels, "annotations": annotations, "startsAt": "2026-11-23T06:42:42Z"}
    return {**body, **changes}


def webhook(*alerts: dict[str, Any], **more: Any) -> str:
    return json.dumps({"version": "4", "status": "firing", "alerts": list(alerts), **more})


class Place:
    """A folder in which somebody works, with a data folder of its own."""

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder, self._warm = folder, warm

    def run(self, *args: str | Path, **more: Any) -> Run:
        return self._warm.stanch("--data", self.folder / "data", *args, cwd=self.folder, **more)

    def incidents(self) -> list[dict[str, Any]]:
        run = self.run("incidents", "list", "--json")
        assert run.code == 0
        return list(run.json)


@pytest.fixture
def place(tmp_path: Path, warm: Warm, indexed: Path) -> Place:
    shutil.copytree(indexed, tmp_path / "data")
    return Place(tmp_path, warm)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "nope",
            "This is not JSON (Expecting value: line 1 column 1 (char 0)); it starts with 'nope'. Give the body of",
        ),
        ("", "The input is empty. Give the body of an Alertmanager webhook"),
        (b"\xff\xfe\x00", "This is not JSON"),
        ("[" * 100_000, "This is not JSON"),
        ('{"hello": 1}', "The JSON has no `alerts` (it has hello). Give the body of an Alertmanager webhook."),
        ('{"version": "4", "alerts": []}', "The body holds no alerts"),
        ('{"version": "3", "alerts": []}', "This is webhook version '3'; Stanch reads version 4"),
        ('{"alerts": [{"labels": {"alertname": "X"}, "startsAt": "yesterday"}]}', "alerts.0.startsAt: "),
        ('{"alerts": [{"labels": {}, "startsAt": "2026-11-23T06:42:42Z"}]}', "every alert needs at least `alertname`"),
    ],
    ids=["no JSON", "empty", "bytes", "deep", "other JSON", "no alert", "version 3", "no time", "no labels"],
)
def test_unusable_input_says_what_was_seen_and_what_to_send(place: Place, body: str | bytes, says: str) -> None:
    run = place.run("investigate", "-", "--json", stdin=body)
    assert run.code == 2
    assert says in run.said
    assert run.out == ""


def test_it_is_the_same_for_a_process_that_starts_cold(tmp_path: Path) -> None:
    run = stanch("--data", tmp_path, "investigate", "-", "--json", stdin="nope")
    assert (run.code, run.out) == (2, "")
    assert run.said.startswith("stanch: This is not JSON")


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(place: Place, name: str) -> None:
    run = place.run("investigate", name)
    assert run.code == 2
    assert f"stanch: {name} cannot be read: " in run.said
    assert "Give a file with an alert, or - for stdin." in run.said


def test_an_alert_that_is_over_already_needs_nothing(place: Place) -> None:
    run = place.run("investigate", FIXTURES / "all-resolved.json", "--json")
    assert run.code == 0
    assert run.json["incident"]["state"] == "closed"
    assert run.json["proposal"] is None
    assert "already resolved; there is nothing to do" in run.said
    assert place.incidents() == []


def test_keys_that_nobody_knows_do_no_harm(place: Place) -> None:
    body = webhook(alert(shinyNew={"deep": [1, None]}), truncatedAlerts=3, theirs=None)
    run = place.run("investigate", "-", "--json", stdin=body)
    assert run.code == 6
    assert run.json["incident"]["alerts"][0]["name"] == "CheckoutSlow"


def test_an_annotation_of_five_megabytes_is_kept_and_not_poured_over_anybody(place: Place) -> None:
    run = place.run("investigate", "-", "--json", stdin=webhook(alert(annotations={"description": "x" * 5_000_000})))
    assert run.code == 6
    assert len(run.err) < 20_000
    (one,) = place.incidents()
    timeline = place.run("incidents", "timeline", one["id"], "--jsonl")
    assert timeline.code == 0
    assert len(timeline.out) < 100_000, "the timeline cuts it and says so"
    assert "more characters" in timeline.lines[0]["data"]["annotations"]["description"]
    assert len(place.run("incidents", "report", one["id"]).out) < 100_000


def test_what_a_label_says_cannot_drive_a_terminal_call_a_channel_or_hide(place: Place) -> None:
    evil = "he said \"no\"\n# rm -rf 'x' <!channel> \x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u2066 \u200b{{ 7 * 7 }} \x00"
    body = webhook(alert(labels={"pod": evil, 'odd"\nname': "x", "service": evil}, annotations={"summary": evil}))
    run = place.run("investigate", "-", stdin=body)
    assert run.code == 6
    (one,) = place.incidents()
    shown = [
        run,
        *(
            place.run("incidents", *args)
            for args in (("list",), ("show", one["id"]), ("timeline", one["id"]), ("report", one["id"]))
        ),
    ]
    for screen in shown:
        for stream in (screen.out, screen.err):
            assert not DRIVES_A_TERMINAL.search(stream), repr(stream)
            assert "\n# rm" not in stream, "a line break in a label starts no line"
    assert "␛" in run.err, "it is shown for what it is"
    whole = place.run("incidents", "show", one["id"], "--json").json
    assert whole["incident"]["alerts"][0]["labels"]["pod"].replace("\ufffd", "\x00") == evil, (
        "and nothing of it is lost"
    )


def test_a_runbook_with_broken_yaml_is_passed_over_and_named(place: Place) -> None:
    books = place.folder / "books"
    books.mkdir()
    (books / "broken.md").write_text("---\nname: broken\ndescription: [never closed\n---\n# Broken\n")
    (books / "checkout.md").write_text(
        '---\nname: checkout\ndescription: When CheckoutSlow fires.\nmetadata:\n  stanch.alerts: "CheckoutSlow"\n  stanch.kind: infra\n---\n# Checkout\n'
    )
    run = place.run("--runbooks", books, "investigate", "-", "--json", stdin=webhook(alert()))
    assert run.code == 6
    assert run.json["runbooks"][0]["name"] == "checkout"
    (named,) = [one for one in run.json["not_checked"] if one["what"] == "runbook broken.md"]
    assert named["why"].startswith("passed over: ")
    report = place.run("incidents", "report", run.json["incident"]["id"]).out
    assert "runbook broken.md" in report


CONFIGURATIONS: dict[str, tuple[str, str, str]] = {
    "policy": (
        "policy.yaml",
        "rules:\n  - name: scale\n    action: scale_workload\n    verdict: aks\n",
        r"policy\.yaml:4: rules\.0\.verdict: .*Did you mean 'ask'\?",
    ),
    "policy key": (
        "policy.yaml",
        "rules:\n  - name: scale\n    actoin: scale_workload\n    verdict: ask\n",
        r"policy\.yaml:3: rules\.0\.actoin: unknown key\. Did you mean 'action'\?",
    ),
    "policy YAML": ("policy.yaml", "rules:\n  - {name: scale\n", r"policy\.yaml:\d+: not YAML: "),
    "catalog": (
        "catalog.yaml",
        "services:\n  checkout:\n    match: {service: checkout}\n    dependson: [payments]\n",
        r"catalog\.yaml:4: services\.checkout\.dependson: unknown key\. Did you mean 'depends_on'\?",
    ),
    "settings": (
        "stanch.yaml",
        "backends:\n  promtheus:\n    - {url: 'http://127.0.0.1:9'}\n",
        r"stanch\.yaml:2: backends\.promtheus: unknown key\. Did you mean 'prometheus'\?",
    ),
}


@pytest.mark.parametrize("what", CONFIGURATIONS)
def test_a_mistake_in_the_configuration_is_named_by_file_line_and_mend(place: Place, what: str) -> None:
    name, text, says = CONFIGURATIONS[what]
    (place.folder / name).write_text(text)
    run = place.run("investigate", FIRING, "--json")
    assert run.code == 4
    assert re.search(says, run.said), run.err
    assert run.out == ""
    if name == "policy.yaml":
        checked = place.run("policy", "check", name)
        assert checked.code == 4
        assert re.search(says, checked.said), checked.err
    (place.folder / name).unlink()
    assert place.run("investigate", FIRING).code == 6, "once it is mended the alert is worked"


def test_a_database_that_stanch_does_not_run_on_is_refused_with_what_to_do(place: Place) -> None:
    run = place.run("incidents", "list", env={"DATABASE_URL": "postgresql://u:pass-word@db/x"})
    assert (run.code, run.out) == (4, "")
    assert "Unset DATABASE_URL" in run.said
    assert "pass-word" not in run.said


@pytest.mark.parametrize("flag", ["--config", "--catalog", "--policy"])
def test_a_configuration_that_is_not_there_is_no_default(place: Place, flag: str) -> None:
    run = place.run(flag, "nowhere.yaml", "incidents", "list")
    assert run.code == 4
    assert "nowhere.yaml" in run.said


def test_a_prometheus_that_does_not_answer_is_named_and_nothing_is_made_up(
    place: Place, free_port: Callable[[], int]
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    run = place.run("investigate", FIRING, "--json", env={"STANCH_PROMETHEUS_URL": address})
    assert run.code == 6
    told = run.json
    assert told["incident"]["state"] == "inconclusive"
    assert (told["findings"], told["proposal"]) == ([], None)
    unchecked = " ".join(one["why"] for one in told["not_checked"])
    assert address in unchecked
    assert "stanch doctor" in unchecked
    (one,) = place.incidents()
    assert one["id"] == told["incident"]["id"]
    doctor = place.run("doctor", env={"STANCH_PROMETHEUS_URL": address})
    assert doctor.code == 7
    assert address in doctor.out


def test_the_same_alert_again_is_known_and_opens_nothing(place: Place) -> None:
    first = place.run("investigate", FIRING, "--json").json["incident"]["id"]
    again = place.run("investigate", FIRING, "--json")
    assert again.code == 6
    assert again.json["incident"]["id"] == first
    assert f"this alert came in before: {first}, inconclusive" in again.said
    assert len(place.incidents()) == 1


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (
            ["incidents", "show", "inc-nope"],
            2,
            "No incident has an id that starts with 'inc-nope'. `stanch incidents list`",
        ),
        (["incidents", "resume", "inc-nope"], 2, "No incident has an id that starts with 'inc-nope'"),
        (["incidents", "resume"], 2, "No incident is open."),
        (
            ["approvals", "approve", "inc-nope-p1"],
            2,
            "No proposal has an id that starts with 'inc-nope-p1'. `stanch approvals list`",
        ),
        (["approvals", "show", "inc-nope-p1"], 2, "No proposal has an id that starts with"),
        (["approvals", "edit", "inc-nope-p1", "--set", "replicas"], 2, "No proposal has"),
        (["tools", "call", "query_metricks", "promql=up"], 2, "query_metrics"),
        (["tools", "call", "query_metrics", "promql"], 2, "'promql' is not KEY=VALUE."),
        (["tools", "call", "query_metrics", "promql=up"], 4, "prometheus"),
        (["demo", "--scenario", "nope"], 2, "forecast-contention"),
        (["runbooks", "search"], 2, "Give a text to search for"),
        (["runbooks", "lint", "nowhere"], 2, "nowhere is no folder"),
        (["chat"], 2, "chat needs a terminal"),
        (["policy", "check"], 4, "There is no policy.yaml here. `stanch init` writes one"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_name_that_nobody_knows_is_answered_with_what_there_is(
    place: Place, args: list[str], code: int, says: str
) -> None:
    run = place.run(*args)
    assert run.code == code, run.err
    assert says in run.said
    assert run.out == ""


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (["model_versions", "model=nope"], 2, "nope"),
        (["served_version", "model=nope"], 2, "nope"),
        (["point_model_alias", "model=demand-forecast", "alias=nope", "version=3"], 2, "nope"),
        (["point_model_alias", "model=nope", "alias=champion", "version=3"], 2, "nope"),
        (["scale_workload", "workload=nope", "replicas=3"], 2, "nope"),
        (["scale_workload", "workload=eu-1/ml/forecast-server", "replicas=5000"], 2, "50"),
        (["query_metrics", "promql=up{"], 2, "up{"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_alias_model_or_workload_that_does_not_exist_is_a_clear_answer(
    stopped_demo: Path, tmp_path: Path, warm: Warm, call: list[str], code: int, says: str
) -> None:
    data = shutil.copytree(stopped_demo, tmp_path / "data")
    run = warm.stanch("--data", data, "tools", "call", *call, "--demo", "--json")
    assert run.code == code, run.err
    assert says in run.said
    assert run.out == ""


def test_who_is_not_in_the_catalog_cannot_approve(stopped_demo: Path, tmp_path: Path, warm: Warm) -> None:
    data = shutil.copytree(stopped_demo / "demo", tmp_path / "data")
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("people:\n  ann: {os_user: somebody-else}\ngroups:\n  on-call: [ann]\n")
    options = ("--data", data, "--catalog", catalog, "--policy", data / "policy.yaml")
    (waiting,) = warm.stanch(*options, "approvals", "list", "--json").json
    for name in ("somebody-else", "ann"):
        run = warm.stanch(*options, "approvals", "approve", waiting["id"], env={"USER": name, "LOGNAME": name})
        assert run.code == 4, "the operating system says who one is, not a variable"
        assert "catalog" in run.said
    (still,) = warm.stanch(*options, "approvals", "list", "--json").json
    assert (still["state"], still["decisions"]) == ("open", [])


def test_without_a_terminal_nobody_is_asked(stopped_demo: Path) -> None:
    said = (stopped_demo / "said.txt").read_text()
    assert "Approve this?" not in said
    shown = json.loads((stopped_demo / "shown.json").read_text())
    assert shown["incident"]["state"] == "awaiting_approval"
    assert shown["decisions"] in (None, [])
    assert f"stanch approvals approve {shown['proposal']['id']}" in " ".join(said.split())
