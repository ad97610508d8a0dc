"""stanch.yaml: what may stand in it, section by section. A word that is not known here is refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

import agent.surfaces.table as table
from tools import backends as kinds


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BackendEntry(_Section):
    """One server. `match` are label values that select it among several of its kind."""

    name: str = ""
    url: str = ""
    public_url: str = Field("", description="where a person's browser reaches it")
    match: dict[str, str] = Field(default_factory=dict)
    token_env: str = Field("", description="name of the environment variable that holds a bearer token")
    user: str = Field("", description="basic authentication; the password stands in the variable password_env names")
    password_env: str = ""
    token_file: Path | None = Field(None, description="holds a bearer token; read again for each request")
    headers: dict[str, str] = Field(default_factory=dict, description="such as {X-Scope-OrgID: team-a}")
    headers_env: dict[str, str] = Field(
        default_factory=dict, description="headers whose values stand in environment variables: {X-Api-Key: VARIABLE}"
    )
    ca_file: Path | None = Field(None, description="certificate authorities in PEM, instead of the system's")
    cert_file: Path | None = Field(None, description="client certificate in PEM")
    key_file: Path | None = Field(None, description="its key, unless it stands in cert_file")
    server_name: str = Field("", description="that the server's certificate bears, where it is not the address's host")
    proxy: str = Field("", description="instead of HTTPS_PROXY and its like")
    kubeconfig: Path | None = None
    context: str | None = None
    timeout_s: float = Field(10.0, gt=0, le=120)


class BackendsSection(_Section):
    """A list of entries for each kind of backend there is; `file_type` puts them in."""

    def of(self, kind: str) -> list[BackendEntry]:
        found: list[BackendEntry] = getattr(self, kind)
        return found


class Prices(_Section):
    """Money for a million tokens; 0 when the model costs nothing."""

    prompt: float = Field(0.0, ge=0)
    completion: float = Field(0.0, ge=0)
    currency: str = "USD"


class BudgetSection(_Section):
    """What one incident, and one day, may cost. When it is spent the runbook reasoner goes on and says so."""

    steps: int = Field(25, ge=1)
    tokens: int = Field(200_000, ge=1)
    seconds: float = Field(600.0, gt=0)
    money: float = Field(2.0, ge=0)
    money_a_day: float = Field(50.0, ge=0)


class LlmSection(_Section):
    model: str = "gpt-4.1-mini"
    base_url: str = ""
    timeout_s: float = Field(
        60.0, gt=0, description="for one answer; waiting for a server that asks for it comes on top"
    )
    answer_tokens: int = Field(
        2_500,
        ge=100,
        le=1_000_000,
        description="limit of one answer, with its thinking; raised fourfold once where that eats it up",
    )
    prices: Prices = Prices()
    budget: BudgetSection = BudgetSection()


class RouteEntry(_Section):
    """Whom an alert may disturb. The first whose matchers all hold counts."""

    match: list[str] = Field(
        default_factory=list, description='Alertmanager matchers such as severity=~"critical|page"'
    )
    depth: Literal["ignore", "digest", "card", "investigate"] = "investigate"
    channel: str = Field("", description="instead of slack.channel")
    mentions: list[str] = Field(default_factory=list, description="Slack users (U…) or user groups (S…) to mention")


class ServeSection(_Section):
    """The always-on service."""

    remind_minutes: float = Field(10.0, gt=0, description="after which a person is called through Alertmanager")
    max_body_mb: float = Field(8.0, gt=0, le=64)
    max_connections: int = Field(512, ge=8, description="open at once; one more is answered 503")
    headers_s: float = Field(10.0, gt=0, description="within which a request's headers have to be whole")
    body_s: float = Field(30.0, gt=0, description="and within which, after them, its body")
    max_alerts: int = Field(
        25_000, ge=1, description="in one notification; what is refused is found by reconciling with Alertmanager"
    )
    max_threads: int = Field(
        3, ge=1, description="threads opened within ten minutes; what comes then goes into the digest"
    )
    runners: int = Field(2, ge=1, le=32, description="incidents that are worked at the same time")
    public_url: str = Field("", description="where people's browsers reach this service")


class AuditSection(_Section):
    """Where the key of the audit chain and its anchors lie; the data folder where nothing is said. STANCH_AUDIT_KEY holds the
    key itself, as 64 hexadecimal digits."""

    key_file: Path | None = Field(None, description="32 bytes that nobody but Stanch's user may read")
    anchors: list[str] = Field(
        default_factory=list, description="files or folders in which anchors are kept as well, or: log"
    )


class StanchFile(_Section):
    """stanch.yaml but for the kinds of backend and the surfaces: see `file_type`."""

    data: Path | None = None
    catalog: Path | None = None
    policy: Path | None = None
    runbooks: list[Path] = Field(default_factory=list)
    reasoner: Literal["auto", "runbook", "openai"] = "auto"
    backends: BackendsSection = BackendsSection()
    drift_folders: list[Path] = Field(default_factory=list)
    grafana_url: str = ""
    retraining_url: str = ""
    llm: LlmSection = LlmSection()
    serve: ServeSection = ServeSection()
    audit: AuditSection = AuditSection()
    routes: list[RouteEntry] = Field(default_factory=list)
    actions: list[dict[str, Any]] = Field(default_factory=list, description="actions declared here (http_action)")


def file_type() -> type[StanchFile]:
    """stanch.yaml, with every kind of backend that is installed and a section for each surface that has one."""
    lists: dict[str, Any] = {kind.kind: (list[BackendEntry], Field(default_factory=list)) for kind in kinds.installed()}
    section = create_model("BackendsSection", __base__=BackendsSection, **lists)
    surfaces: dict[str, Any] = {name: (one.section, one.section()) for name, one in table.remotes().items()}
    told = "stanch.yaml."
    return create_model("StanchFile", __base__=StanchFile, __doc__=told, backends=(section, section()), **surfaces)
