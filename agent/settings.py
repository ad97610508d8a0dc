"""One Settings: flag > STANCH_* > ./stanch.yaml > user config > defaults. The only module that reads the environment."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

from pydantic import BaseModel, SecretStr, ValidationError

import agent.surfaces.table as table
from agent import sources, yaml_file
from agent.errors import BadConfiguration
from agent.settings_file import BackendEntry, LlmSection, RouteEntry, ServeSection, StanchFile, file_type
from agent.surfaces.slack.settings import SlackSettings
from tools import backends as kinds

NO_SECRET: Final = SecretStr("")


METRICS, DOCS = "metrics", "docs"  # scopes: of /metrics, and of /docs with /openapi.json


def scopes() -> tuple[str, ...]:
    """What a token may be good for: the sources of alerts, the metrics, the documentation."""
    return tuple(dict.fromkeys([*(source.scope for source in sources.SOURCES), METRICS, DOCS]))


def everything() -> frozenset[str]:
    return frozenset(scopes())


@dataclass(frozen=True)
class Token:
    """A bearer token, and what it opens."""

    secret: SecretStr
    scopes: frozenset[str] = field(default_factory=everything)

    @classmethod
    def parse(cls, text: str) -> Token:
        """`alerts+metrics:TOKEN`; one without scopes, or with `all:`, opens everything. BadConfiguration for another word."""
        words, colon, secret = text.partition(":")
        if not colon or not re.fullmatch(r"[a-z]+(\+[a-z]+)*", words):
            return cls(SecretStr(text))
        wrong = [word for word in words.split("+") if word != "all" and word not in scopes()]
        if wrong or not secret:
            raise BadConfiguration(
                f"STANCH_WEBHOOK_TOKENS: {f'{wrong[0]!r} is no scope' if wrong else f'{words}: is followed by no token'}. "
                f"Write {', '.join(scopes())}, several with a +, or all, before a colon and the token. A token that has a "
                "colon in itself needs `all:` before it."
            )
        return cls(SecretStr(secret), everything() if "all" in words.split("+") else frozenset(words.split("+")))


@dataclass(frozen=True)
class DoorSettings:
    """Who may knock: bearer tokens (any of them), and by the names of sources that sign the secret of each."""

    tokens: tuple[Token, ...] = ()
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)

    def secret_of(self, source: str) -> SecretStr:
        return self.secrets.get(source, NO_SECRET)


@dataclass(frozen=True)
class AuditSettings:
    """Where the key of the audit chain lies, and where anchors are kept beside the data folder."""

    key: SecretStr = NO_SECRET
    key_file: Path | None = None
    anchors: tuple[Path, ...] = ()
    to_log: bool = False


@dataclass(frozen=True)
class Settings:
    data: Path
    catalog: Path | None
    policy: Path | None
    runbooks: tuple[Path, ...]
    reasoner: str  # runbook | openai, already decided
    backends: Mapping[str, tuple[BackendEntry, ...]]
    drift_folders: tuple[Path, ...]
    grafana_url: str
    retraining_url: str
    llm: LlmSection
    api_key: SecretStr
    actions: tuple[Mapping[str, Any], ...]
    os_user: str
    database_url: str = ""
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)  # environment variables the configuration names
    file: Path | None = None  # the stanch.yaml that was read
    serve: ServeSection = field(default_factory=ServeSection)
    surfaces: Mapping[str, Any] = field(default_factory=dict)  # what each is set to, by its name
    door: DoorSettings = DoorSettings()
    routes: tuple[RouteEntry, ...] = ()
    audit: AuditSettings = AuditSettings()
    proxies: Mapping[str, str] = field(default_factory=dict)  # of the environment: {https: URL, all: URL, no: hosts}
    certificates: Path | None = None  # authorities that the environment names (SSL_CERT_FILE, SSL_CERT_DIR)
    demo: bool = False  # over the lab: here alone `demo:--approve` counts as an approver

    @property
    def slack(self) -> SlackSettings:
        found: SlackSettings = self.surfaces["slack"]
        return found

    @property
    def every_secret(self) -> tuple[str, ...]:
        """What must never be shown: each SecretStr of these settings, wherever it stands, and passwords in addresses."""
        return tuple(dict.fromkeys(one for one in _secrets_in(self) if one))


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield _password(value) if "://" in value else ""
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner)
    elif isinstance(value, BaseModel):
        yield from _secrets_in(dict(value))
    elif is_dataclass(value):
        yield from _secrets_in([getattr(value, one.name) for one in fields(value)])


def _password(url: str) -> str:
    """The password in an address, as it is meant; "" for none."""
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


def user_config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "stanch" / "stanch.yaml"


def default_data() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "stanch"


def read(flags: Mapping[str, Any] | None = None, cwd: Path | None = None) -> Settings:
    """Settings as a person at this terminal gets them. `flags` are given options, by field name (None = not given)."""
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    here = cwd or Path.cwd()
    path, file = _file(given.get("config"), here)
    env = {
        key.removeprefix("STANCH_"): value for key, value in os.environ.items() if key.startswith("STANCH_") and value
    }
    base = path.parent if path else here

    def place(name: str, default: Path | None) -> Path | None:
        value = given.get(name) or env.get(name.upper())
        if value:
            return here / Path(value)
        from_file = getattr(file, name)
        return base / from_file if from_file else default

    beside = {
        name: base / f"{name}.yaml" if (base / f"{name}.yaml").exists() else None for name in ("catalog", "policy")
    }
    base_url = os.environ.get("OPENAI_BASE_URL") or file.llm.base_url
    key = os.environ.get("OPENAI_API_KEY", "")
    llm = _llm(env, file, base_url)
    wanted = given.get("reasoner") or env.get("REASONER") or file.reasoner
    if wanted not in ("auto", "runbook", "openai"):
        raise BadConfiguration(f"STANCH_REASONER is {wanted!r}; it takes auto, runbook or openai.")
    return Settings(
        data=place("data", None) or default_data(),
        catalog=place("catalog", beside["catalog"]),
        policy=place("policy", beside["policy"]),
        runbooks=_runbooks(given, env, file, here, base),
        reasoner=("openai" if key or base_url else "runbook") if wanted == "auto" else str(wanted),
        backends=_backends(env, file, base),
        drift_folders=_drift_folders(env, file, here, base),
        grafana_url=env.get("GRAFANA_URL", "") or file.grafana_url,
        retraining_url=env.get("RETRAINING_URL", "") or file.retraining_url,
        llm=llm,
        api_key=SecretStr(key or ("none" if base_url else "")),
        actions=tuple(file.actions),
        os_user=_os_user(),
        database_url=_database_url(os.environ.get("DATABASE_URL", "")),
        secrets={name: SecretStr(os.environ[name]) for name in _secret_names(file) if name in os.environ},
        serve=file.serve,
        surfaces={name: one.read(env, getattr(file, name)) for name, one in table.remotes().items()},
        door=_door(env),
        routes=tuple(file.routes),
        file=path,
        audit=_audit(env, file, here, base),
        proxies=getproxies_environment(),
        certificates=next((Path(os.environ[n]) for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), None),
    )


def _llm(env: Mapping[str, str], file: StanchFile, base_url: str) -> LlmSection:
    given = {name: env[f"LLM_{name.upper()}"] for name in ("model", "answer_tokens") if env.get(f"LLM_{name.upper()}")}
    try:
        return LlmSection.model_validate({**file.llm.model_dump(), "base_url": base_url, **given})
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise BadConfiguration(f"STANCH_LLM_ANSWER_TOKENS is {given.get('answer_tokens')!r}: {why}.") from None


def _door(env: Mapping[str, str]) -> DoorSettings:
    tokens = [one.strip() for one in env.get("WEBHOOK_TOKENS", "").split(",")]
    variables = {one.name: one.secret_variable.removeprefix("STANCH_") for one in sources.SOURCES if one.signs}
    secrets = {name: SecretStr(env[variable]) for name, variable in variables.items() if variable in env}
    return DoorSettings(tuple(Token.parse(one) for one in tokens if one), secrets)


def _database_url(url: str) -> str:
    """BadConfiguration for PostgreSQL: an incident's checkpoints would stay behind on this machine."""
    if url.strip().lower().startswith("postgres"):
        raise BadConfiguration(
            "DATABASE_URL names PostgreSQL, on which Stanch does not run yet: the checkpoints of its incidents would still "
            "lie in a file on this machine, and no other could go on with them. Unset DATABASE_URL: everything is then "
            "kept in the data folder (STANCH_DATA)."
        )
    return url


def _audit(env: Mapping[str, str], file: StanchFile, here: Path, base: Path) -> AuditSettings:
    key_file = here / env["AUDIT_KEY_FILE"] if "AUDIT_KEY_FILE" in env else None
    if key_file is None and file.audit.key_file is not None:
        key_file = base / file.audit.key_file
    named = [(here, name) for name in env.get("ANCHORS", "").split(os.pathsep) if name]
    named = named or [(base, name) for name in file.audit.anchors]
    return AuditSettings(
        SecretStr(env.get("AUDIT_KEY", "")),
        key_file,
        tuple(place / name for place, name in named if name != "log"),
        any(name == "log" for _, name in named),
    )


def _os_user() -> str:
    """Who runs this process, as the operating system knows it. USER and LOGNAME are words that anybody can set."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user without a name, as containers have them
        return str(uid)


def _file(config: Any, here: Path) -> tuple[Path | None, StanchFile]:
    if config:
        return here / Path(config), yaml_file.load(here / Path(config), file_type())
    for path in (here / "stanch.yaml", user_config()):
        if path.exists():
            return path, yaml_file.load(path, file_type())
    return None, file_type()()


def _backends(env: Mapping[str, str], file: StanchFile, base: Path) -> dict[str, tuple[BackendEntry, ...]]:
    """`STANCH_X_URL` replaces the file's list of that kind; `STANCH_X_TOKEN` goes with it."""
    found: dict[str, tuple[BackendEntry, ...]] = {}
    for one in kinds.installed():
        kind, url = one.kind, env.get(one.url_variable.removeprefix("STANCH_"), "")
        entries = tuple(_with_whole_paths(entry, base) for entry in file.backends.of(kind))
        if url and not (one.folders and "://" not in url):
            token = one.token_variable if one.token_variable in os.environ else ""
            entries = (BackendEntry(name=kind, url=url.rstrip("/"), token_env=token),)
        if one.address == "kubeconfig" and env.get("KUBECONFIG"):
            entries = (BackendEntry(name=kind, kubeconfig=Path(env["KUBECONFIG"])),)
        found[kind] = entries
    return found


def _with_whole_paths(entry: BackendEntry, base: Path) -> BackendEntry:
    """Paths are written as seen from the file that names them."""
    return entry.model_copy(
        update={name: base / value for name, value in entry if isinstance(value, Path)}  # an absolute one stays
    )


def _drift_folders(env: Mapping[str, str], file: StanchFile, here: Path, base: Path) -> tuple[Path, ...]:
    url = env.get("DRIFT_URL", "")
    named = (here / url.removeprefix("file://"),) if url and not url.startswith(("http://", "https://")) else ()
    return named or tuple(base / folder for folder in file.drift_folders)


def _runbooks(
    given: Mapping[str, Any], env: Mapping[str, str], file: StanchFile, here: Path, base: Path
) -> tuple[Path, ...]:
    """The operator's own folders first, then the shipped ones, so that an own runbook of the same name wins."""
    if named := given.get("runbooks") or env.get("RUNBOOKS"):
        parts = named if isinstance(named, list | tuple) else str(named).split(os.pathsep)
        return (*(here / Path(p) for p in parts), shipped("runbooks"))
    return (*(base / folder for folder in file.runbooks), shipped("runbooks"))


def shipped(folder: str) -> Path:
    """`prompts` or `runbooks`: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / folder
    return inside if inside.is_dir() else Path(__file__).parent.parent / folder


def _secret_names(file: StanchFile) -> set[str]:
    entries = [entry for kind in kinds.installed() for entry in file.backends.of(kind.kind)]
    named = {
        name for entry in entries for name in (entry.token_env, entry.password_env, *entry.headers_env.values()) if name
    }
    named |= {kind.token_variable for kind in kinds.installed()}
    return named | {name for action in file.actions for name in action.get("secrets", [])}
