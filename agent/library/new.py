"""A new runbook to fill in: it parses and works from the first minute, and its texts say what belongs where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from agent.errors import UnusableInput
from agent.library.blocks import SKILL_NAME

_TEMPLATE = """\
---
name: {name}
description: Say in one sentence what this mends. Use when {alerts_or_name} fires.
metadata:
  stanch.alerts: "{alerts}"
  stanch.kind: {kind}
  stanch.owner: {owner}
  stanch.reviewed: "{today}"
---
# {title}

## Meaning
What the alert says, for somebody who has never seen this service.

## Impact
Who notices what, and how soon. When can it wait until the morning?

## Diagnosis
Ask one question above each check. `expect` holds when every series of the answer meets it; no data is "unknown".

Is the service kept from running for want of CPU?
~~~yaml check
read: query_metrics
args:
  promql: 'sum(rate(container_cpu_cfs_throttled_periods_total{{service={{{{ service }}}}}}[5m])) / sum(rate(container_cpu_cfs_periods_total{{service={{{{ service }}}}}}[5m]))'
  minutes: 30
expect: "> 0.25"
suggests: cpu_contention
~~~

Was nothing deployed?
~~~yaml check
read: recent_changes
args: {{service: "{{{{ service }}}}", hours: 24}}
fact: deployments.count
expect: "== 0"
rules_out: bad_deploy
~~~

## Mitigation
One heading a fault. An action block proposes; people and policy decide. Where no action helps, say whom to call.

### cpu_contention
~~~yaml action
action: scale_workload
args: {{workload: "{{{{ workload }}}}", replicas: "{{{{ before.replicas + 2 }}}}"}}
success:
  promql: 'sum(rate(container_cpu_cfs_throttled_periods_total{{service={{{{ service }}}}}}[5m])) / sum(rate(container_cpu_cfs_periods_total{{service={{{{ service }}}}}}[5m]))'
  expect: "< 0.25"
  hold: 3m
  within: 15m
guards:
  - promql: 'sum(rate(http_requests_total{{service={{{{ service }}}}}}[5m]))'
    at_least: 0.7
~~~

## Verify
What a person looks at to be sure. Fewer requests also make a service healthy: look at traffic first.

## Rollback
How to take the action back, and when.

## Escalation
Whom to call when this page does not help, and what to have ready.
"""


def template(name: str, today: date, alerts: Sequence[str] = (), kind: str = "infra", owner: str = "nobody-yet") -> str:
    """The text of a new runbook; UnusableInput for a name that the Agent Skills format does not take."""
    if not SKILL_NAME.match(name):
        raise UnusableInput(f"{name!r} is no name for a runbook. Take lower-case letters, digits and single hyphens.")
    return _TEMPLATE.format(
        name=name,
        title=name.replace("-", " ").capitalize(),
        alerts=" ".join(alerts),
        kind=kind,
        owner=owner,
        alerts_or_name=" or ".join(alerts) or name,
        today=today.isoformat(),
    )


def write(folder: Path, name: str, today: date, alerts: Sequence[str] = (), kind: str = "infra") -> Path:
    """Write a new runbook into a folder and say where; never over one that is there."""
    text = template(name, today, alerts, kind)
    path = folder / f"{name}.md"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UnusableInput(f"{path} is there already. Take another name, or edit it.") from None
    return path
