"""The README's table: each sentence of the safety promise, the command that proves it, and the figures of proof.json.

`python -m tests.proofs.promises` prints it; a test holds the README against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.proofs.report import FILE

FIXED = (
    (
        "Installed, every verdict is `suggest`; what no rule matches is denied, and a mistake in a policy is refused with its line",
        "tests/surfaces/test_policy_cli.py tests/gate/test_policy.py",
    ),
    (
        "Every flipped byte, dropped or swapped row and cut-off tail of the timeline is found, with its place",
        "tests/gate/test_audit.py tests/gate/test_table_audit.py",
    ),
    (
        "Strangers at the doors, and whoever can write the database without the key, start nothing and close nothing, and the audit tells (`python -m tests.proofs.attacks` plays it)",
        "tests/proofs/test_attacks.py",
    ),
    (
        "No secret reaches a prompt, a log, a timeline, a report or Slack, and ordinary texts stay: measured both ways",
        "tests/gate/test_canaries.py tests/domain/test_redact.py",
    ),
    (
        "Every route is closed to whoever brings no key, by whatever header, method and path; who dawdles is sent away",
        "tests/surfaces/webhook/test_auth.py tests/surfaces/webhook/test_limits.py",
    ),
    (
        "Whatever column a claim reads may say another thing: nothing wrong starts, and the audit tells",
        "tests/gate/test_columns.py",
    ),
    (
        "The power may fail at any point: nothing acknowledged is lost, nothing comes twice",
        "tests/proofs/test_power.py",
    ),
)


def table(proof: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, of the two databases' figures."""
    rows = [*_rows(*proof), *((promise, test, "in CI") for promise, test in FIXED)]
    lines = [f"| {promise} | `{_command(test)}` | {said} |" for promise, test, said in rows]
    return "\n".join(["| promise | proved by | last run |", "|---|---|---|", *lines])


def _command(test: str) -> str:
    return f"pytest {test}" if "/" in test else f"pytest --prove tests/proofs/{test}"


def _rows(sqlite: Mapping[str, Any], postgresql: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    def both(name: str) -> int:
        return int(sqlite[name] + postgresql[name])

    mutants, graphs = sqlite["mutants"], (sqlite["whole_graph"], postgresql["whole_graph"])
    told, broken, at_once = sqlite["injections"], sqlite["chaos"], sqlite["at_once"]
    return [
        (
            "Nothing starts but what was approved, with exactly these arguments, by enough entitled people and not the one who asked, within both clocks; nothing after a denial, a revocation or `stanch stop`; recovery is said from data",
            "test_proofs.py",
            f"{sqlite['examples']:,} random histories and recoveries, {both('violations')} violations",
        ),
        (
            "These proofs would notice: mistakes put into the source are found ([list](tests/proofs/MUTANTS.md))",
            "test_mutants.py",
            f"{mutants['killed']} of {mutants['seeded']} found",
        ),
        (
            "At most one effect, and a true outcome or UNKNOWN, wherever the process is killed",
            "test_kills.py",
            f"{sqlite['kills']:,} kills on SQLite, {postgresql['kills']:,} on PostgreSQL; {both('unknown')} UNKNOWN where the target can be observed",
        ),
        (
            "The same from the webhook to the report: no alert and no approval is lost",
            "test_whole_graph.py",
            f"{sum(g['kills'] for g in graphs)} kills in {sum(g['incidents'] for g in graphs)} incidents; {sum(g['twice'] for g in graphs)} effects twice, {sum(g['lost'] for g in graphs)} lost",
        ),
        (
            "Of many decisions at once one counts",
            "test_concurrency.py",
            f"{at_once['decisions']:,} decisions in {at_once['rounds']} rounds by three processes, on each database",
        ),
        (
            "Text from outside starts nothing and names no target, even when the model does all that it reads",
            "test_injections.py",
            f"{told['tried']} injections, all obeyed by a stand-in: {told['unauthorised']} unauthorised effects, {told['wrong_target']} wrong targets; {told['clean_done']} of {told['clean_tried']} clean twins done",
        ),
        (
            "When a model, Prometheus, MLflow or Kubernetes hangs, errs or babbles, the incident ends or waits for a person, and what is told is true",
            "test_chaos.py",
            f"{broken['faults']} incidents: {broken['ended']} ended, {broken['waiting']} wait, {broken['stuck']} stuck; {broken['untrue']} untrue, {broken['tracebacks']} tracebacks",
        ),
        (
            "A changed checkpoint starts nothing",
            "test_tampered_checkpoints.py",
            f"{sqlite['tampered_checkpoints']} payloads",
        ),
        (
            "A label's value stays one value",
            "test_hostile_labels.py",
            f"{sqlite['hostile_labels']:,} values",
        ),
        (
            "Queries that would hurt a server are not sent",
            "test_queries_of_death.py",
            f"{sqlite['queries_of_death']} queries",
        ),
        (
            "No connection to an address that is nobody's business",
            "test_forbidden_addresses.py",
            f"{sqlite['forbidden_addresses']} spellings",
        ),
        (
            "No input ends in a traceback or hangs",
            "test_fuzz.py",
            f"{sqlite['fuzz']['inputs']:,} inputs: {sqlite['fuzz']['tracebacks']} tracebacks, {sqlite['fuzz']['hangs']} over a second",
        ),
    ]


if __name__ == "__main__":
    print(table(json.loads(FILE.read_text())))
