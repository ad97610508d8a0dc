"""Log lines as symptoms: whom they accuse, in what order, and what they say nothing of."""

from __future__ import annotations

import json

import pytest

from tests.tools.logs.made_up import HELD_OUT, MET_IN_ISSUES, MET_LATER, NOISE, MadeUp
from tools.context import Subject
from tools.logs.accusations import LONGEST, symptoms_of_lines
from tools.symptoms import HURTS, WARNS, Symptom, symptom_facts, symptoms_of

MAILER = Subject("Deployment", "eu", "shop", "mailer")
ORDERS_DB = Subject("StatefulSet", "eu", "shop", "orders-db")
KNOWN = {"orders-db": ORDERS_DB, "orders-db.shop.svc": ORDERS_DB, "10.0.0.5": ORDERS_DB, "mailer": MAILER}


def told(*lines: str, before: tuple[str, ...] = (), siblings: tuple[str, ...] = ()) -> list[Symptom]:
    return symptoms_of_lines(lines, MAILER, KNOWN.get, before, siblings)


def reasons(*lines: str) -> list[str]:
    return [one.reason for one in told(*lines)]


@pytest.mark.parametrize(
    "case", [*HELD_OUT, *MET_IN_ISSUES, *MET_LATER], ids=lambda case: f"{case.app}-{case.reason}-{case.told[-24:]}"
)
def test_one_decisive_line_among_three_hundred_is_told_first(case: MadeUp) -> None:
    found = symptoms_of_lines(case.lines, MAILER, lambda _: None)
    first = found[0] if found else None
    accused = first.accuses.name if first and first.accuses else ""
    assert (first.reason if first else "", accused) == (case.reason, case.accused)


@pytest.mark.parametrize("app", NOISE)
def test_noise_tells_nothing(app: str) -> None:
    assert told(*(NOISE[app](n) for n in range(300))) == []


def test_a_known_host_is_accused_as_what_it_is_and_an_unknown_one_by_its_name() -> None:
    known, unknown = (
        told(f"dial tcp {host}:5432: connect: connection refused")[0].accuses for host in ("10.0.0.5", "10.9.9.9")
    )
    assert known == ORDERS_DB
    assert unknown == Subject("Service", "", "", "10.9.9.9")


def test_who_names_itself_or_its_own_machine_accuses_nobody() -> None:
    for host in ("localhost", "127.0.0.1", "mailer"):
        (found,) = told(f"dial tcp {host}:5432: connect: connection refused")
        assert (found.accuses, found.labels["peer"]) == (None, host)


def test_a_database_that_refuses_a_user_is_accused_where_it_is_named_and_the_caller_is_not() -> None:
    (named,) = told("Access denied for user 'shop'@'10.244.1.9' to database 'ledger'")
    assert named.accuses == Subject("Database", "", "", "ledger")
    assert (named.labels["user"], named.labels["database"]) == ("shop", "ledger")
    (unnamed,) = told("Access denied for user 'shop'@'10.244.1.9' (using password: YES)")
    assert unnamed.accuses is None


def test_no_space_is_the_loggers_own_unless_a_database_answered_so() -> None:
    own = "ERROR OSError: [Errno 28] No space left on device: '/tmp/x'"
    answered = 'psycopg2.errors.DiskFull: could not extend file "base/1/2": No space left on device, connection to server at "orders-db"'
    assert told(own)[0].accuses is None
    assert told(answered)[0].accuses == ORDERS_DB


def test_one_symptom_for_one_reason_and_accused_with_its_count() -> None:
    lines = [f"ERROR call {n}: dial tcp 10.0.0.5:5432: connect: connection refused" for n in range(7)]
    lines += ["ERROR dial tcp 10.8.8.8:6379: connect: connection refused"]
    found = told(*lines)
    assert [(one.accuses and one.accuses.name, one.labels["count"]) for one in found] == [
        ("10.8.8.8", "1"),
        ("orders-db", "7"),
    ]


def test_lines_that_name_nobody_are_counted_with_the_one_whom_their_reason_accuses() -> None:
    (found,) = told("ERROR connect ECONNREFUSED 10.0.0.5:5432", "ERROR java.net.ConnectException: Connection refused")
    assert (found.accuses, found.labels["count"]) == (ORDERS_DB, "2")


def test_the_rare_specific_line_comes_before_the_frequent_vague_one() -> None:
    noise = [f"ERROR request {n} failed: context deadline exceeded" for n in range(200)]
    assert reasons(*noise[:100], 'FATAL: database "ledger" does not exist', *noise[100:]) == ["schema", "timeout"]


def test_what_stood_there_before_is_no_news() -> None:
    old = 'ERROR relation "audit" does not exist'
    found = told(old, "ERROR context deadline exceeded", before=(old, "ERROR something else"))
    assert [(one.reason, one.severity) for one in found] == [("timeout", HURTS), ("schema", WARNS)]


def test_an_error_that_healthy_siblings_do_not_have_is_new() -> None:
    usual, odd = "ERROR cart 12 is empty", "ERROR ledger 7 is not balanced"
    (found,) = told(odd, *(["fine"] * 20), usual, siblings=("ERROR cart 3 is empty",))
    assert (found.reason, found.labels["line"]) == ("new_error", odd)


def test_an_unexplained_error_counts_alone_only_as_last_words() -> None:
    assert reasons("ERROR ledger 7 is not balanced", *(["fine"] * 20)) == []
    assert reasons(*(["fine"] * 20), "ERROR ledger 7 is not balanced") == ["new_error"]
    assert reasons(*(["fine"] * 20), "panic: nil map", *(["started"] * 9)) == ["new_error"]


def test_of_a_trace_the_innermost_cause_decides_and_the_peer_may_stand_around_it() -> None:
    (found,) = told(
        '2026-11-24 ERROR [main] c.a.Stock : I/O error on GET request for "http://orders-db.shop.svc:8080/x": failed',
        "org.springframework.web.client.ResourceAccessException: Read timed out",
        "\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)",
        "Caused by: java.net.ConnectException: Connection refused (Connection refused)",
        "\tat java.base/sun.nio.ch.Net.connect0(Native Method)",
    )
    assert (found.reason, found.accuses) == ("refused", ORDERS_DB)
    assert found.labels["line"].startswith("Caused by: java.net.ConnectException")


def test_the_decisive_words_are_never_cut_away() -> None:
    line = "ERROR " + "x" * 3000 + " dial tcp: lookup orders-db on 10.96.0.10:53: no such host " + "y" * 3000
    (found,) = told(line)
    assert "lookup orders-db on 10.96.0.10:53: no such host" in found.labels["line"]
    assert len(found.labels["line"]) <= LONGEST
    assert found.labels["line"] in found.text


@pytest.mark.parametrize("size", range(180, 300, 7))
def test_an_address_with_a_password_is_told_whole_or_not_at_all(size: int) -> None:
    address = "postgres://app:hunter2@10.0.0.5:5432/orders"
    for line in (
        f"{address} {'x' * size} ECONNREFUSED 10.0.0.5:5432",
        f"ECONNREFUSED 10.0.0.5:5432 {'x' * size} {address}",
    ):
        shown = told(line + " " + "y" * 300)[0].labels["line"]
        assert "ECONNREFUSED 10.0.0.5:5432" in shown
        assert ("hunter2" in shown) == (address in shown)
        assert len(shown) <= LONGEST


def test_a_user_in_an_address_is_no_peer() -> None:
    (found,) = told(
        "requests.exceptions.HTTPError: 503 Server Error: Unavailable for url: http://app:pw@orders-db.shop.svc/x"
    )
    assert found.accuses == ORDERS_DB


@pytest.mark.parametrize("key", ["msg", "message", "error", "err", "exception"])
def test_json_is_read_under_the_keys_that_loggers_use(key: str) -> None:
    line = json.dumps({"level": "error", "ts": 1, key: "connect ECONNREFUSED 10.0.0.5:5432"})
    assert [(one.reason, one.accuses) for one in told(line)] == [("refused", ORDERS_DB)]
    assert reasons(line.replace('"error", "ts"', '"info", "ts"')) == []


def test_a_trace_within_json_is_read_too() -> None:
    trace = "Error: boom\n    at a (b.js:1:2)\nCaused by: getaddrinfo ENOTFOUND orders-db\n    at c (d.js:1:2)"
    assert reasons(json.dumps({"level": 50, "msg": "failed", "err": {"message": "boom", "stack": trace}})) == [
        "unknown_host"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "finished with 0 errors",
        "job done error_rate=0 timeouts=0",
        "attempt 2 after connection refused succeeded",
        "INFO dial tcp 10.0.0.5:5432: connect: connection refused, trying the next one",
        "[debug] ECONNREFUSED 10.0.0.5:5432",
        'level=info msg="no such host is not cached"',
        '{"level":"info","msg":"Deadlock found when trying to get lock"}',
        "I1124 11:00:00.000000 1 x.go:1] no space left on device is handled",
        "test_refuses: expected exception ConnectionRefusedError: connection refused",
        '10.0.0.1 - - [24/Nov/2026:11:00:00 +0000] "GET /x HTTP/1.1" 500 12 "-" "curl"',
        '10.0.0.1 - - [24/Nov/2026:11:00:00 +0000] "GET /permission-denied HTTP/1.1" 403 12 "-" "kube-probe/1.31"',
        "http: TLS handshake error from 10.0.0.9:40112: EOF",
        "2026-11-24 11:00:00 UTC [1] LOG:  listening on port 5432, too many clients is 100",
        "--- PASS: TestConnectionRefused (0.00s)",
        "WARN DeprecationWarning: permission denied for table x will be raised",
        "reconnected to redis after ECONNREFUSED 10.0.0.5:6379",
    ],
)
def test_what_is_no_trouble_tells_nothing(line: str) -> None:
    assert told(line) == []


def test_a_warning_and_what_is_tried_again_only_warn() -> None:
    for line in ("WARN dial tcp 10.0.0.5:1: i/o timeout", "ERROR connect ECONNREFUSED 10.0.0.5:1, retrying in 5 s"):
        assert [one.severity for one in told(line)] == [WARNS]
    assert [one.severity for one in told("ERROR connect ECONNREFUSED 10.0.0.5:1")] == [HURTS]


def test_an_address_of_documentation_is_no_peer() -> None:
    line = "sqlalchemy.exc.OperationalError: connection refused (Background on this error at: https://sqlalche.me/e/20/e3q8)"
    assert told(line)[0].accuses is None


def test_symptoms_travel_as_facts_and_come_back() -> None:
    found = told("ERROR dial tcp: lookup orders-db on 10.96.0.10:53: no such host")
    assert [one for _, one in symptoms_of(symptom_facts(found, ""))] == found


def test_no_lines_tell_nothing() -> None:
    assert told() == told("") == []
