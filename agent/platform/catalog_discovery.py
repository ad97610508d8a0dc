"""Drafting a catalog from what a platform says of itself. A draft groups alerts and steers reads; it authorises nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tools.backends import SERVICE_LABELS, Seen, installed

HEAD = """\
# What runs where, what needs what, and who may decide. Drafted by `stanch init` from what the platform says of itself.
# An entry with `confirmed: false` groups alerts and steers reads; no action on it runs until you set it to true.
# Fill in depends_on, owner and environment: they decide what is looked at, whom to call, and what policy says.
"""


def catalog(seen: Seen, os_user: str) -> str:
    """The text of a catalog.yaml."""
    label = next((name for name in SERVICE_LABELS if seen.services.get(name)), "job")
    names = sorted(set(seen.services.get(label, ())) | {t[label] for t in seen.targets if t.get(label)})
    body = {
        "services": {name: _service(name, label, seen) for name in names},
        "models": {m["name"]: _model(m) for m in seen.models},
        "people": {os_user: {"os_user": os_user}},
        "groups": {"oncall": [os_user]},
    }
    return HEAD + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)


def _service(name: str, label: str, seen: Seen) -> dict[str, Any]:
    entry: dict[str, Any] = {"match": {label: name}, "confirmed": False}
    loads = []
    for deployment in seen.deployments:
        if deployment.get("deployment") == name or deployment.get(label) == name:
            load = {"name": deployment["deployment"], "namespace": deployment.get("namespace", "")}
            load["cluster"] = deployment.get("cluster") or seen.cluster or "unknown"
            if load not in loads:  # Prometheus and Kubernetes may both tell of it
                loads.append(load)
    if loads:
        entry["workloads"] = loads
    return entry | {"depends_on": [], "owner": "", "environment": ""}


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    aliases = sorted(model.get("aliases", ())) or ["champion"]
    return {
        "registry_name": model["name"],
        "alias": "champion" if "champion" in aliases else aliases[0],
        "confirmed": False,
    }


def settings(backends: Mapping[str, str]) -> str:
    """The text of a stanch.yaml that names these backends, with everything else there as a comment."""
    lines = ["# Stanch. Order: a flag, then STANCH_*, then this file, then the user's own, then defaults.", "backends:"]
    for kind in installed():
        if place := backends.get(kind.kind):
            lines.append(f"  {kind.kind}:\n    - {kind.address}: {yaml.safe_dump(place, width=1000).splitlines()[0]}")
        else:
            example = {"url": "http://…", "kubeconfig": "~/.kube/config"}[kind.address]
            lines.append(f"  # {kind.kind}:\n  #   - {kind.address}: {example}")
    return "\n".join(lines) + REST


REST = """
#     A backend may also have: name, public_url (where browsers reach it), match (labels that select it among several,
#     such as {cluster: eu-1}), token_env (the variable that holds a bearer token) or token_file, user
#     and password_env, headers ({X-Scope-OrgID: team}) and headers_env, ca_file, cert_file and key_file, server_name, proxy,
#     timeout_s. `stanch schema stanch` describes each.
# catalog: catalog.yaml        # beside this file unless named
# policy: policy.yaml
# runbooks: [runbooks]         # your own folders; they win over the shipped runbooks of the same name
# drift_folders: [reports]     # folders with drift reports
# grafana_url: https://grafana.example
# retraining_url: https://…    # where request_retraining posts its CloudEvent
# reasoner: auto               # auto | runbook | openai (auto: openai when OPENAI_API_KEY or OPENAI_BASE_URL is set)
# llm:
#   model: gpt-4.1-mini
#   answer_tokens: 2500                             # limit of one answer; a model that thinks much needs more
#   prices: {prompt: 0.4, completion: 1.6}          # money for a million tokens
#   budget: {steps: 25, tokens: 200000, seconds: 600, money: 2, money_a_day: 50}
# actions: []                  # actions of your own over HTTP; see the README
"""
