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
from tools.errors import NotConfigured, Refused, ToolFailed, Unreachable
from tools.mlflow import registry_of
from tools.registry import ModelVersion, Registry, model_named
from tools.spec import Action, Identifier, ModelName, Receipt, Risk, State
from tools.wording import clean, iso

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
Alias = Annotated[str, Identifier("alias"), Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class PointModelAlias(Action):
    """Point an alias of a registered model (champion) at another version: rolls a model back or forward.

    Serving follows only if it loads by alias: check served_version afterwards.
    """

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    needs: ClassVar[str] = "mlflow"
    settle: ClassVar[timedelta | None] = timedelta(seconds=10)
    model: ModelName
    version: Version
    alias: Alias = "champion"

    def target(self, context: Context) -> Target:
        entry, registry, _ = self._place(context)
        return _target(context, entry, registry.name)

    async def observe(self, context: Context) -> State:
        """Which version the alias points at. An alias that does not exist is refused: we move aliases, never make them."""
        _, registry, name = self._place(context)
        return _state(await self._now(registry, name))

    def change(self, before: State, key: str) -> State:
        return State({"version": self.version}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        """That the version exists and is ready to be served; the registry itself has no dry run."""
        entry, registry, name = self._place(context)
        found = (await registry.model(name)).version(self.version)
        if found is None:
            raise Refused(f"{entry.name} has no version {self.version} in {registry.name}. See model_versions.")
        if found.status != "READY":
            raise Refused(f"Version {self.version} of {entry.name} is {found.status}, not READY: it cannot be served.")
        created = f", created {iso(found.created)}" if found.created else ""
        return f"version {self.version} of {name} exists and is READY{created}"

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        """Read, set, read again: the registry has no compare-and-set, so what lies between is a window of one call."""
        entry, registry, name = self._place(context)
        if _state(await self._now(registry, name)) != before:
            raise Refused(f"Alias {self.alias} of {entry.name} was moved by somebody else meanwhile. Look again.")
        await registry.point(name, self.alias, self.version)
        now = await registry.alias(name, self.alias)
        seen = now.version if now else "nothing"
        return Receipt(f"{registry.name}: alias {self.alias} of {name} now points at version {seen}", {"version": seen})

    async def probe(self, context: Context, key: str) -> bool | None:
        """Whether the alias points where it should. The registry keeps no key, so who moved it cannot be told."""
        _, registry, name = self._place(context)
        found = await registry.alias(name, self.alias)
        return found is not None and found.version == self.version

    def undo(self, before: State) -> Action | None:
        return PointModelAlias(model=self.model, version=str(before.fields["version"]), alias=self.alias)

    def command(self) -> str:
        asked = json.dumps({"name": self.model, "alias": self.alias, "version": self.version})
        return (
            'curl -X POST "$MLFLOW_TRACKING_URI/api/2.0/mlflow/registered-models/alias" '
            f"-H 'Content-Type: application/json' -d {shlex.quote(asked)}"
        )

    def _place(self, context: Context) -> tuple[Model, Registry, str]:
        entry = model_named(context, self.model)
        return entry, registry_of(context, entry), entry.registry_name

    async def _now(self, registry: Registry, name: str) -> ModelVersion:
        found = await registry.alias(name, self.alias)
        if found is None:
            raise Refused(
                f"{name} has no alias {self.alias!r} in {registry.name}. Stanch moves aliases and never makes one; "
                f"`stanch tools call model_versions model={self.model}` lists those there are."
            )
        return found


class RequestRetraining(Action):
    """Ask the training pipeline, by a CloudEvent, to train a model anew, with the reason and the data version to use.

    It costs machine time, cannot be called back by us, and promotes nothing by itself.
    """

    risk: ClassVar[Risk] = Risk.REVERSIBLE
    settle: ClassVar[timedelta | None] = None
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

    def command(self) -> str:
        event = self.event(Model(self.model, self.model), "<an id of your own>", "<now>")
        return (
            'curl -X POST "$RETRAINING_URL" -H "Content-Type: application/cloudevents+json" '
            f"-d {shlex.quote(json.dumps(event, ensure_ascii=False))}"
        )

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
