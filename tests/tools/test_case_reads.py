"""Reads of evidence, runbooks and the catalog."""

from __future__ import annotations

import json

import pytest

from tests.contexts import context
from tools.case_reads import PAGE, describe_service, open_evidence, search_runbooks
from tools.context import Model, RunbookHit, Service, Workload
from tools.errors import BadArguments, ToolFailed
from tools.spec import Emptiness

BODY = json.dumps({"series": [{"labels": {"pod": f"p{n}"}, "value": n} for n in range(400)]})


async def test_evidence_is_read_page_by_page_to_its_end() -> None:
    here = context(evidence={"E1": BODY})
    first = await open_evidence(here, id="E1")
    pages = first.data["pages"]
    texts = [(await open_evidence(here, id="E1", page=n)).summary for n in range(1, pages + 1)]
    assert all(len(text) < PAGE + 500 for text in texts)
    assert all(any(f'"p{n}"' in text for text in texts) for n in range(400))
    with pytest.raises(ToolFailed, match=f"has {pages} pages"):
        await open_evidence(here, id="E1", page=pages + 1)


async def test_evidence_is_searched_by_line() -> None:
    answer = await open_evidence(context(evidence={"E1": BODY}), id="E1", find='"P399"')
    assert answer.facts[0].value == 1
    assert "p399" in answer.summary
    none = await open_evidence(context(evidence={"E1": BODY}), id="E1", find="nowhere")
    assert none.empty is Emptiness.NOTHING


@pytest.mark.parametrize("body", ["", "plain\ntext", "x" * 20_000, '{"broken": ', "a\x1b[2Jb\u202e", "[" * 5000])
async def test_any_body_can_be_opened(body: str) -> None:
    answer = await open_evidence(context(evidence={"E1": body}), id="E1")
    assert "\x1b" not in answer.summary
    assert len(answer.summary) < PAGE + 1000


async def test_unknown_evidence_is_a_clear_failure() -> None:
    with pytest.raises(ToolFailed, match="no evidence E9"):
        await open_evidence(context(), id="E9")
    with pytest.raises(BadArguments):
        await open_evidence(context(), id="../E9")


async def test_runbooks_are_found_or_said_to_be_missing() -> None:
    hits = (RunbookHit("latency-high", "Diagnosis", 0.83, "text", "p99 latency is over its objective"),)
    answer = await search_runbooks(context(runbooks=hits), text="latency")
    assert [f.value for f in answer.facts] == [1, 0.83]
    assert "latency-high, Diagnosis" in answer.summary
    assert (await search_runbooks(context(), text="latency")).empty is Emptiness.NOTHING


async def test_a_service_is_described_with_both_directions_of_dependency() -> None:
    services = (
        Service("web", depends_on=("forecast",)),
        Service(
            "forecast",
            {"service": "forecast"},
            ("features",),
            "demand",
            (Workload("forecast-server", "ml", "eu-1"),),
            owner="ml",
            confirmed=False,
        ),
    )
    answer = await describe_service(context(services=services, models=(Model("demand", "demand"),)), name="forecast")
    assert "depends on features; used by web" in answer.summary
    assert "Deployment eu-1/ml/forecast-server" in answer.summary
    assert "draft that nobody has confirmed" in answer.summary
    assert answer.data["model"]["alias"] == "champion"
    assert {f.id: f.value for f in answer.facts} == {"depends_on.count": 1, "used_by.count": 1, "workloads.count": 1}
    missing = await describe_service(context(services=services), name="nope")
    assert missing.empty is Emptiness.NOTHING
    assert "forecast, web" in missing.summary
