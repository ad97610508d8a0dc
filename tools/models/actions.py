"""Actions on models: move an alias to another version, and ask for a retraining."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import httpx
from pydantic import BeforeValidator, Field

from tools.context import Context, Model, Target
from tools.errors import NotConfigured, Refused, ToolError, ToolFailed, Unreachable
from tools.formatting import clean, iso
from tools.models.mlflow import registry_of
from tools.models.registry import ModelVersion, Registry, model_named
from tools.models.served_before import unfit
from tools.spec import Action, Identifier, ModelName, Receipt, Risk, State

_ID, _TIME = "@of-the-shell-id@", "@of-the-shell-time@"  # where the command has the shell fill in
EVENT_TYPE = "dev.stanch.retraining.requested"


def _as_text(value: Any) -> Any:
    """Versions are texts; a reasoner may well write 2."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Version = Annotated[
    str,
    BeforeValidator(_as_text),
    Identifier("version"),
    Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="a registered version, such as 2"),
]
Alias = Annotated[
    str,
    Identifier("alias"),
    Field(
        max_length=64,
        pattern=r"^([A-Za-z][A-Za-z0-9_-]*)?$",
        description="the one the catalog names, which is the default; no other is moved",
    ),
]


class PointModelAlias(Action):
    """Point the alias that serving of a model follows (by the catalog) at another version: rolls it back or forward.

    Serving follows only if it loads by alias: check served_version afterwards.
    """

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    needs: ClassVar[str] = "mlflow"
    settle: ClassVar[timedelta | None] = timedelta(seconds=10)
    model: ModelName
    version: Version
    alias: Alias = ""

    def target(self, context: Context) -> Target:
        entry, registry, _ = self._place(context)
        return _target(context, entry, registry.name)

    def resolved(self, context: Context) -> Action:
        """With the catalog's alias. Refused for another one: what follows it is somebody else's."""
        entry = model_named(context, self.model)
        if self.alias not in ("", entry.alias):
            raise Refused(
                f"Serving of {entry.name} follows the alias {entry.alias!r}, by the catalog; {self.alias!r} is another's. "
                f"Leave the alias out, or correct `alias` of {entry.name} in catalog.yaml."
            )
        return self.model_copy(update={"alias": entry.alias})

    async def observe(self, context: Context) -> State:
        """Which version the alias points at. An alias that does not exist is refused: we move aliases, never make them."""
        entry, registry, _ = self._place(context)
        return _state(await self._now(registry, entry))

    def change(self, before: State, key: str) -> State:
        return State({"version": self.version}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        """That the version exists and may be served, and that it is known which alias serving follows; the registry itself
        has no dry run."""
        entry, registry, name = self._place(context)
        whole = await registry.model(name)
        found = whole.version(self.version)
        if found is None:
            raise Refused(f"{entry.name} has no version {self.version} in {registry.name}. See model_versions.")
        if why := unfit(found):
            raise Refused(f"Version {self.version} of {entry.name} may not be served: {why}.")
        if not entry.alias_named and len(whole.aliases) > 1:
            raise Refused(
                f"{name} has the aliases {', '.join(sorted(whole.aliases))}, and nobody said which one serving follows. Set "
                f"`alias` of {entry.name} in catalog.yaml."
            )
        created = f", created {iso(found.created)}" if found.created else ""
        return f"version {self.version} of {name} exists and is READY{created}"

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        """Read, set, read again: the registry has no compare-and-set, so what lies between is a window of one call."""
        entry, registry, name = self._place(context)
        alias = self.alias or entry.alias
        if _state(await self._now(registry, entry)) != before:
            raise Refused(f"Alias {alias} of {entry.name} was moved by somebody else meanwhile. Look again.")
        await registry.point(name, alias, self.version)
        now = await registry.alias(name, alias)
        seen = now.version if now else "nothing"
        return Receipt(f"{registry.name}: alias {alias} of {name} now points at version {seen}", {"version": seen})

    async def probe(self, context: Context, key: str) -> bool | None:
        """Whether the alias points where it should. The registry keeps no key, so who moved it cannot be told."""
        entry, registry, name = self._place(context)
        found = await registry.alias(name, self.alias or entry.alias)
        return found is not None and found.version == self.version

    def undo(self, before: State) -> Action | None:
        return PointModelAlias(model=self.model, version=str(before.fields["version"]), alias=self.alias)

    def command(self, context: Context) -> str:
        entry, url = Model(self.model, self.model), '"$MLFLOW_TRACKING_URI"'
        try:
            entry = model_named(context, self.model)
            url = shlex.quote(context.backends.pick("mlflow", context.labels, entry.registry).link_base)
        except ToolError:
            pass
        asked = json.dumps({"name": entry.registry_name, "alias": self.alias or entry.alias, "version": self.version})
        return (
            f"curl -fsS -X POST {url}/api/2.0/mlflow/registered-models/alias "
            f"-H 'Content-Type: application/json' -d {shlex.quote(asked)}"
        )

    def _place(self, context: Context) -> tuple[Model, Registry, str]:
        entry = model_named(context, self.model)
        return entry, registry_of(context, entry), entry.registry_name

    async def _now(self, registry: Registry, entry: Model) -> ModelVersion:
        name, alias = entry.registry_name, self.alias or entry.alias
        found = await registry.alias(name, alias)
        if found is None:
            raise Refused(
                f"{name} has no alias {alias!r} in {registry.name}. Stanch moves aliases and never makes one; "
                f"`stanch tools call model_versions model={self.model}` lists those there are."
            )
        return found


class RequestRetraining(Action):
    """Ask the training pipeline, by a CloudEvent, to train a model anew, with the reason and the data version to use.

    It costs machine time, cannot be called back by us, and promotes nothing by itself.
    """

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    settle: ClassVar[timedelta | None] = None
    mitigates: ClassVar[bool] = False  # nothing is served otherwise for it
    model: ModelName
    reason: Annotated[str, Field(min_length=3, max_length=500)]
    data_version: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9._:/@=-]*$")] = ""

    def target(self, context: Context) -> Target:
        return _target(context, model_named(context, self.model), "retraining")

    async def observe(self, context: Context) -> State:
        """A request is an event: before it there is none."""
        _address(context)
        model_named(context, self.model)
        return State({"requested": None})

    def change(self, before: State, key: str) -> State:
        return State({"requested": key})

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        """One POST. The event's id is the key, by which the receiver can tell a repetition."""
        url, http = _address(context)
        entry = model_named(context, self.model)
        body = json.dumps(self.event(entry, key, iso(context.clock.now())), ensure_ascii=False)
        sent = {"content": body.encode(), "headers": {"Content-Type": "application/cloudevents+json; charset=utf-8"}}
        try:
            response = await http.post(url, follow_redirects=False, **sent)  # type: ignore[arg-type]
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Refused(f"{url} could not be reached: {error}. Check retraining_url in stanch.yaml.") from None
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{url} took the request and did not answer ({type(error).__name__}). Ask its owner."
            ) from None
        said = f"{url} answered HTTP {response.status_code}: {clean(response.text) or 'nothing'}"
        if response.is_success:
            return Receipt(said, {"id": key})
        if 400 <= response.status_code < 500:
            raise Refused(said)
        raise ToolFailed(f"{said}. Whether the request was taken is not known; ask the pipeline's owner.")

    async def probe(self, context: Context, key: str) -> bool | None:
        """A receiver may answer `GET <address>/<key>` with the request's `id`; one that does not cannot say."""
        url, http = _address(context)
        try:
            response = await http.get(f"{url.rstrip('/')}/{quote(key, safe='')}", follow_redirects=False)
            found = response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None
        return True if isinstance(found, dict) and found.get("id") == key else None

    def command(self, context: Context) -> str:
        """The id and the time are the shell's: they are of the moment at which it is typed."""
        entry = context.catalog.model(self.model) or Model(self.model, self.model)
        url = shlex.quote(context.backends.retraining_url) if context.backends.retraining_url else '"$RETRAINING_URL"'
        event = shlex.quote(json.dumps(self.event(entry, _ID, _TIME), ensure_ascii=False))
        event = event.replace(_ID, "'\"$(date -u +by-hand-%s)\"'").replace(_TIME, "'\"$(date -u +%FT%TZ)\"'")
        return f"curl -fsS -X POST {url} -H 'Content-Type: application/cloudevents+json' -d {event}"

    def event(self, model: Model, key: str, at: str) -> dict[str, Any]:
        """The CloudEvent 1.0, structured JSON."""
        return {
            "specversion": "1.0",
            "id": key,
            "source": "/stanch",
            "type": EVENT_TYPE,
            "subject": model.name,
            "time": at,
            "datacontenttype": "application/json",
            "data": {
                "model": model.name,
                "registry_name": model.registry_name,
                "reason": self.reason,
                "data_version": self.data_version or None,
            },
        }


def _state(found: ModelVersion) -> State:
    """The alias's version; created when, so that a version deleted and made anew counts as another one."""
    created = f"{found.created.timestamp():.3f}" if found.created else ""
    return State({"version": found.version}, f"{found.version}@{created}")


def _target(context: Context, model: Model, place: str) -> Target:
    service = context.catalog.service(model.served_by) if model.served_by else None
    return Target(
        kind="model",
        name=model.name,
        cluster=place,
        environment=service.environment if service else "",
        service=model.served_by,
        confirmed=model.confirmed,
    )


def _address(context: Context) -> tuple[str, httpx.AsyncClient]:
    url = context.backends.retraining_url
    if not url or context.http is None:
        raise NotConfigured("No address takes retraining requests. Set retraining_url in stanch.yaml.")
    return url, context.http
