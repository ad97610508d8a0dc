"""The command line's contract: streams, exit codes and formats, command by command, over one demo that waits for approval."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.domain.timeline import EventKind
from tests.command_line import Run, stanch
from tests.warm import Warm

INCIDENT_KEYS = {
    "schema",
    "incident",
    "subjects",
    "cause",
    "candidates",
    "symptoms",
    "runbooks",
    "findings",
    "ruled_out",
    "not_checked",
    "proposal",
    "decisions",
    "execution",
    "verification",
    "undo",
    "reasoner",
    "counts",
    "report",
    "seconds",
}
APPROVAL_KEYS = {
    "id",
    "incident",
    "action",
    "arguments",
    "target",
    "risk",
    "digest",
    "state",
    "approve_by",
    "execute_by",
    "quorum",
    "decisions",
}
EVENT_KEYS = {"n", "incident", "run", "at", "kind", "actor", "data", "prev", "hash"}
KINDS = {str(kind) for kind in EventKind}


class Demo:
    """A copy of the demo that waits, and the command line over it."""

    def __init__(self, warm: Warm, data: Path) -> None:
        self._warm, self.data = warm, data
        self.shown: Any = json.loads((data / "shown.json").read_text())
        self.incident: str = self.shown["incident"]["id"]
        self.proposal: str = self.shown["proposal"]["id"]

    def __call__(self, *args: str | Path, code: int = 0) -> Run:
        run = self._warm.stanch("--data", self.data, *args)
        assert run.code == code, f"{args}: {run.code}\n{run.out}\n{run.err}"
        return run

    def effects(self) -> int:
        path = self.data / "demo" / "lab" / "lab-changes.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture(scope="module")
def waiting(warm: Warm, stopped_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """For tests that only look."""
    folder = tmp_path_factory.mktemp("looked-at")
    return Demo(warm, shutil.copytree(stopped_demo, folder / "data"))


@pytest.fixture
def demo(warm: Warm, stopped_demo: Path, tmp_path: Path) -> Demo:
    """For tests that decide."""
    return Demo(warm, shutil.copytree(stopped_demo, tmp_path / "data"))


# -- looking ----------------------------------------------------------------------------------------------------------


def test_a_demo_without_a_terminal_stops_at_the_approval(waiting: Demo) -> None:
    shown = waiting.shown
    assert set(shown) == INCIDENT_KEYS
    assert set(shown["incident"]) == {"id", "state", "kind", "title", "since", "alerts"}
    assert shown["incident"]["state"] == "awaiting_approval"
    assert set(shown["cause"]) == {"component", "fault", "confidence", "subject"}
    assert shown["cause"]["subject"]["name"] == shown["cause"]["component"]
    assert {"kind", "cluster", "namespace", "name", "how"} == set(shown["subjects"][0])
    first, known = shown["candidates"][0], {one["id"] for one in shown["symptoms"]}
    assert (first["fault"], first["subject"]) == (shown["cause"]["fault"], shown["cause"]["subject"])
    assert set(first["for"]) <= known
    assert shown["cause"]["fault"] == "cpu_contention"
    assert set(shown["runbooks"][0]) == {"name", "score", "why"}
    assert all(set(finding) == {"text", "evidence"} and finding["evidence"] for finding in shown["findings"])
    assert all(set(one) == {"cause", "why", "evidence"} for one in shown["ruled_out"])
    assert all(set(one) == {"what", "why"} for one in shown["not_checked"])
    assert set(shown["proposal"]) == {"id", "action", "arguments", "target", "risk", "verdict", "digest", "command"}
    assert (shown["proposal"]["action"], shown["proposal"]["verdict"]) == ("scale_workload", "ask")
    assert [shown[part] for part in ("execution", "verification", "undo")] == [None, None, None]
    assert set(shown["counts"]) == {"reads", "tokens", "cost", "dropped_claims"}
    assert shown["reasoner"] == "runbook"
    assert waiting.effects() == 0


def test_incidents_list(waiting: Demo) -> None:
    (one,) = waiting("incidents", "list", "--json").json
    assert (one["id"], one["state"], one["demo"]) == (waiting.incident, "awaiting_approval", True)
    assert waiting.incident in waiting("incidents", "list", "--open").out


def test_incidents_show_has_the_schema_of_demo(waiting: Demo) -> None:
    shown = waiting("incidents", "show", waiting.incident, "--json", code=3).json
    assert {k: v for k, v in shown.items() if k != "seconds"} == {
        k: v for k, v in waiting.shown.items() if k != "seconds"
    }
    page = waiting("incidents", "show", waiting.incident[:8], code=3).out
    assert page.startswith("# ")
    assert "awaiting approval" in page


def test_incidents_timeline_is_the_chain(waiting: Demo) -> None:
    events = waiting("incidents", "timeline", waiting.incident, "--jsonl").lines
    assert all(set(event) == EVENT_KEYS and event["kind"] in KINDS for event in events)
    assert [event["n"] for event in events] == list(range(1, len(events) + 1))
    assert [event["prev"] for event in events[1:]] == [event["hash"] for event in events[:-1]]
    assert "evidence by" in waiting("incidents", "timeline", waiting.incident).err


def test_incidents_report_is_a_draft_while_it_is_open(waiting: Demo) -> None:
    page = waiting("incidents", "report", waiting.incident).out
    for title in ("## Cause", "## Findings", "## What was done", "## Timeline", "## Evidence"):
        assert title in page


def test_approvals_list(waiting: Demo) -> None:
    (one,) = waiting("approvals", "list", "--json").json
    assert set(one) == APPROVAL_KEYS
    assert (one["id"], one["incident"], one["state"], one["decisions"]) == (
        waiting.proposal,
        waiting.incident,
        "open",
        [],
    )
    assert re.fullmatch("[0-9a-f]{64}", one["digest"])
    assert waiting.proposal in waiting("approvals", "list").out


def test_approvals_show_and_explain(waiting: Demo) -> None:
    shown = waiting("approvals", "show", waiting.proposal, "--json").json
    assert set(shown) == APPROVAL_KEYS
    card = waiting("approvals", "show", waiting.proposal).out
    assert waiting.shown["proposal"]["command"].split()[0] in card
    assert shown["digest"][:16] in card
    explained = waiting("approvals", "explain", waiting.proposal).out
    assert "cpu_contention" in explained
    assert "Policy: ask by ask for everything" in explained
    assert all(finding["text"] in explained for finding in waiting.shown["findings"])


def test_tools_list(waiting: Demo) -> None:
    rows = {row["name"]: row for row in waiting("tools", "list", "--json").json}
    assert rows["query_metrics"]["kind"] == "read"
    assert not rows["query_metrics"]["offered"], "no Prometheus of one's own is configured"
    assert (rows["scale_workload"]["kind"], rows["scale_workload"]["risk"]) == ("action", "reversible")
    assert "query_metrics(promql, " in waiting("tools", "list").out


def test_tools_call_of_a_read(waiting: Demo) -> None:
    answer = waiting(
        "tools", "call", "query_metrics", 'promql=up{service="checkout"}', "minutes=10", "--demo", "--json"
    ).json
    assert set(answer) == {"summary", "facts", "data", "link"}
    assert answer["facts"]
    assert all(set(fact) == {"id", "name", "value", "unit", "labels", "window"} for fact in answer["facts"])
    assert "last" in waiting("tools", "call", "query_metrics", "promql=sum(up)", "--demo").out


def test_tools_call_of_an_action_is_a_preview(waiting: Demo) -> None:
    shown = waiting(
        "tools", "call", "scale_workload", "workload=eu-1/ml/forecast-server", "replicas=7", "--demo", "--json"
    ).json
    assert set(shown) == {"summary", "facts", "data", "link"}
    assert "replicas: 3 → 7" in shown["summary"]
    assert shown["data"]["verdict"] == "ask"
    assert waiting.effects() == 0
    assert len(waiting("approvals", "list", "--json").json) == 1, "a preview leaves nothing behind"


def test_audit_verify(waiting: Demo) -> None:
    assert "every timeline reads as it was written" in waiting("audit", "verify").out


# -- deciding ---------------------------------------------------------------------------------------------------------


def test_approve_runs_it_and_waits_through_verification(demo: Demo) -> None:
    run = demo("approvals", "approve", demo.proposal, "--digest", demo.shown["proposal"]["digest"][:12], "--json")
    told = run.json
    assert told["incident"]["state"] == "recovered"
    assert told["execution"]["outcome"] == "DONE"
    assert told["verification"]["recovered"] is True
    assert [(one["answer"], set(one)) for one in told["decisions"]] == [("approve", {"by", "at", "answer"})]
    assert told["decisions"][0]["by"].startswith("os:")
    assert demo.effects() == 1
    assert demo("incidents", "report", demo.incident).out == Path(told["report"]).read_text()
    assert demo("approvals", "list", "--json").json == []
    assert [one["state"] for one in demo("approvals", "list", "--all", "--json").json] == ["done"]
    demo("approvals", "approve", demo.proposal)  # the same answer by the same person again changes nothing
    assert demo.effects() == 1
    demo("audit", "verify")


def test_no_wait_leaves_at_the_first_clock_and_resume_goes_on(demo: Demo) -> None:
    left = demo("approvals", "approve", demo.proposal, "--no-wait", "--json", code=3)
    assert left.json["incident"]["state"] == "verifying"
    assert re.search(r"for its verification by \d\d:\d\d:\d\d UTC", left.said)
    went_on = demo("incidents", "resume", "--jsonl")
    assert all(set(event) == EVENT_KEYS for event in went_on.lines)
    assert went_on.lines[-1]["kind"] in ("state", "note")
    assert demo("incidents", "show", demo.incident, "--json").json["incident"]["state"] == "recovered"
    assert demo.effects() == 1


def test_deny_is_kept_with_its_reason_and_nothing_runs(demo: Demo) -> None:
    run = demo("approvals", "deny", demo.proposal, "--reason", "not during the sale", "--json", code=3)
    assert [one["answer"] for one in run.json["decisions"]] == ["deny"]
    decisions = [e for e in demo("incidents", "timeline", demo.incident, "--jsonl").lines if e["kind"] == "decision"]
    assert [e["data"]["reason"] for e in decisions] == ["not during the sale"]
    assert demo.effects() == 0
    assert demo("approvals", "approve", demo.proposal, code=2).out == ""
    assert demo.effects() == 0


def test_edit_makes_a_new_proposal_and_the_old_one_cannot_be_approved(demo: Demo) -> None:
    edited = demo("approvals", "edit", demo.proposal, "--set", "replicas=6", "--json", code=3).json
    assert set(edited) == APPROVAL_KEYS
    assert edited["arguments"]["replicas"] == 6
    assert edited["id"] != demo.proposal
    assert edited["digest"] != demo.shown["proposal"]["digest"]
    states = {one["id"]: one["state"] for one in demo("approvals", "list", "--all", "--json").json}
    assert states == {demo.proposal: "superseded", edited["id"]: "open"}
    demo("approvals", "approve", demo.proposal, code=2)
    assert demo.effects() == 0
    demo("approvals", "edit", edited["id"], "--set", "replicos=6", code=2)
    told = demo("approvals", "approve", edited["id"], "--json").json
    assert told["execution"]["outcome"] == "DONE"
    assert demo.effects() == 1


def test_revoke_takes_it_back_and_it_never_starts(demo: Demo) -> None:
    run = demo("approvals", "revoke", demo.proposal, "--reason", "wrong cluster", "--json", code=3)
    assert [one["answer"] for one in run.json["decisions"]] == ["revoke"]
    assert [one["state"] for one in demo("approvals", "list", "--all", "--json").json] == ["revoked"]
    demo("approvals", "approve", demo.proposal, code=2)
    assert demo.effects() == 0


def test_an_approval_of_another_digest_is_refused(demo: Demo) -> None:
    outdated = demo("approvals", "approve", demo.proposal, "--digest", "00000000", code=2)
    assert "Look at it again: approvals show." in outdated.said
    assert [one["state"] for one in demo("approvals", "list", "--json").json] == ["open"]
    assert demo.effects() == 0


# -- without a demo ---------------------------------------------------------------------------------------------------


def test_runbooks_search(warm: Warm, indexed: Path, tmp_path: Path) -> None:
    found = warm.stanch("--data", indexed, "runbooks", "search", "CPUThrottlingHigh", "--json").json
    assert found[0]["name"] == "cpu-contention"
    assert all(set(one) == {"name", "score", "section", "why"} for one in found)
    queries = tmp_path / "queries.jsonl"
    rows = [{"query_id": 1, "text": "the disk of a node is filling"}, {"query_id": "b", "text": "zzgl qwrt plmk"}]
    queries.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = warm.stanch("--data", indexed, "runbooks", "search", "--queries", queries, "--limit", "3").lines
    assert first["query_id"] == 1
    assert first["ranked"][0] == "disk-filling"
    assert second == {"query_id": "b", "ranked": []}


def test_runbooks_lint(warm: Warm, tmp_path: Path) -> None:
    own = warm.stanch("--data", tmp_path, "runbooks", "lint")
    assert own.code == 0, own.out
    assert "0 errors" in own.out
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "bad.md").write_text(
        "---\nname: bad\ndescription: d\nmetadata:\n  stanch.kind: infra\n---\n# Bad\n\n## Diagnosis\n~~~yaml check\nread: query_metricks\nargs: {promql: 'up'}\nexpect: '> 1'\nsuggests: quota\n~~~\n"
    )
    wrong = warm.stanch("--data", tmp_path, "runbooks", "lint", tmp_path / "books")
    assert wrong.code == 7
    assert re.search(r"bad\.md:\d+: .*query_metricks", wrong.out)


def test_policy_check(warm: Warm, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("rules:\n  - {name: everything, action: '*', verdict: suggest}\n")
    run = warm.stanch("--data", tmp_path, "policy", "check", policy)
    assert run.code == 0, run.err
    assert "1 rules" in run.out or "1 rule" in run.out


def test_a_broken_chain_is_found(demo: Demo) -> None:
    import sqlite3

    with sqlite3.connect(demo.data / "demo" / "stanch.db") as connection:
        connection.execute("UPDATE events SET data = replace(data, 'ForecastLatencyHigh', 'SomethingElse') WHERE n = 1")
    connection.close()
    found = demo("audit", "verify", code=7)
    assert demo.incident in found.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(warm: Warm, tmp_path: Path, shell: str) -> None:
    run = warm.stanch("completion", shell)
    assert run.code == 0
    assert "_STANCH_COMPLETE" in run.out


def test_completion_completes(tmp_path: Path) -> None:
    environment = {"_STANCH_COMPLETE": "bash_complete", "COMP_WORDS": "stanch appr", "COMP_CWORD": "1"}
    assert "approvals" in stanch(env=environment, cwd=tmp_path).out


def test_version_and_help(tmp_path: Path) -> None:
    version = stanch("version", cwd=tmp_path)
    assert version.code == 0
    assert re.fullmatch(r"stanch \d+\.\d+\.\d+\n", version.out)
    helped = stanch("--help", cwd=tmp_path)
    assert helped.code == 0
    assert "investigate" in helped.out
