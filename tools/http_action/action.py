"""Actions declared in configuration, for platforms we have no client for: teams write what to call, and no code.

An entry of `actions:` in stanch.yaml, whole (a Nomad job; only `probe`, `dry_run`, `undo`, `secrets`, `settle` and `mitigates` may be left out):

```yaml
actions:
  - name: scale_nomad_job
    description: Set how many instances of a Nomad task group run.
    risk: reversible                      # reversible | disruptive | destructive
    base: https://nomad.eu-1.example:4646 # every address begins with it; nothing an argument holds can leave it
    secrets: [NOMAD_TOKEN]                # environment variables that headers may name
    arguments:
      job: {type: string, max_length: 64, pattern: '^[a-z0-9-]+$', identifier: workload, description: name of the job}
      count: {type: integer, minimum: 1, maximum: 30}
    target: {name: '{{ job }}', cluster: eu-1, environment: production, service: '{{ job }}'}
    observe:                              # a GET, and what to take from its JSON by JMESPath
      url: /v1/job/{{ job }}
      headers: {X-Nomad-Token: '{{ secrets.NOMAD_TOKEN }}'}
      fields: {count: 'TaskGroups[0].Count'}
      version: JobModifyIndex             # what the platform counts up with each change
    change: {count: '{{ count }}'}        # the fields as they should be: what people approve
    apply:
      method: POST
      url: /v1/job/{{ job }}/scale
      headers: {X-Nomad-Token: '{{ secrets.NOMAD_TOKEN }}', Idempotency-Key: '{{ key }}'}
      body: {Count: '{{ count }}', Target: {Group: '{{ job }}'}, Message: 'stanch {{ key }}', Meta: {from: '{{ before.count }}'}}
      receipt: {evaluation: EvalID}       # names the undo may use as '{receipt.evaluation}'
    probe:                                # did it happen? the value at path is `equals`, or a list that holds it
      url: /v1/job/{{ job }}/scale
      headers: {X-Nomad-Token: '{{ secrets.NOMAD_TOKEN }}'}
      path: 'TaskGroups.*.Events[].Message'
      equals: stanch {{ key }}
    undo: {action: scale_nomad_job, arguments: {job: '{{ job }}', count: '{{ before.count }}'}}
    command: nomad job scale {{ job }} {{ count }}
    settle: 20                            # seconds until the effect is seen; null = it can never be seen
    mitigates: true                       # false: it changes nothing of what ails, so nobody asks whether it recovered
```

Templates are jinja2 in an immutable sandbox. Names: the arguments everywhere; `before.*` (observed fields) in change, apply
and undo; `version` in apply; `key` (the execution's) in change, apply and probe; `secrets.*` in headers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import httpx
import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import Field, SecretStr, create_model

from tools.context import Context, Json, Target
from tools.errors import BadArguments, NotConfigured, Refused, ToolFailed
from tools.http_action import http_spec
from tools.http_action.http_spec import ArgumentSpec, HttpActionSpec, ProbeSpec, RequestSpec
from tools.http_write import answered_json, look, send
from tools.spec import Action, Identifier, Receipt, State

__all__ = ["HttpAction", "HttpActionSpec", "declare", "declare_all"]

_TYPES: Mapping[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}


class HttpAction(Action):
    """What every declared action can do. `declare` makes the class for one specification."""

    spec: ClassVar[HttpActionSpec]
    secret_values: ClassVar[Mapping[str, SecretStr]]
    declared: ClassVar[Mapping[str, type[Action]]]  # by name: where an undo is looked up

    @classmethod
    def name(cls) -> str:
        return cls.spec.name

    def target(self, context: Context) -> Target:
        where, names = self.spec.target, self._names()
        namespace, environment, service = (
            http_spec.text(t, names) for t in (where.namespace, where.environment, where.service)
        )
        return Target("http", http_spec.text(where.name, names), where.cluster, namespace, environment, service)

    async def observe(self, context: Context) -> State:
        spec, names = self.spec.observe, self._names()
        headers = self._headers(spec.headers, names)
        found = await look(_http(context), self._url(spec.url, names), at=self._at, headers=headers)
        if found is None:
            raise Refused(f"{self._at} knows no {self.target(context).name} (404). Check the arguments.")
        version = _search(spec.version, found) if spec.version else ""
        return State(
            {name: _search(path, found) for name, path in spec.fields.items()}, "" if version is None else str(version)
        )

    def change(self, before: State, key: str) -> State:
        wanted = http_spec.value(self.spec.change, self._names(before=dict(before.fields), key=key))
        return State({**before.fields, **wanted}, before.version)

    async def dry_run(self, context: Context, before: State) -> str | None:
        if self.spec.dry_run is None:
            return None
        await self._send(context, self.spec.dry_run, before, "dry-run")
        return f"{self._at} accepts it (dry run)"

    async def apply(self, context: Context, before: State, key: str) -> Receipt:
        response = await self._send(context, self.spec.apply, before, key)
        text = f"{self._at} answered HTTP {response.status_code}"
        if not self.spec.apply.receipt:
            return Receipt(text)
        answer = answered_json(response, self._at)
        values = {name: _search(path, answer) for name, path in self.spec.apply.receipt.items()}
        return Receipt(text, {name: str(value) for name, value in values.items() if value is not None})

    async def probe(self, context: Context, key: str) -> bool | None:
        if self.spec.probe is None:
            return None
        return await self._probed(context, self.spec.probe, self._names(key=key))

    def undo(self, before: State) -> Action | None:
        """None where nothing is declared, or where what was before lies outside the undo's own limits."""
        if self.spec.undo is None:
            return None
        try:
            arguments = http_spec.value(self.spec.undo.arguments, self._names(before=dict(before.fields)))
            return self.declared[self.spec.undo.action].parse(arguments)
        except BadArguments:
            return None

    def command(self, context: Context) -> str:
        return http_spec.command(self.spec.command, self._names())

    async def _probed(self, context: Context, probe: ProbeSpec, names: Mapping[str, Any]) -> bool:
        headers = self._headers(probe.headers, names)
        found = await look(_http(context), self._url(probe.url, names), at=self._at, headers=headers)
        if found is None or probe.path is None:
            return found is not None
        value, wanted = _search(probe.path, found), http_spec.value(probe.equals, names)
        return wanted in value if isinstance(value, list) else bool(value == wanted)

    async def _send(self, context: Context, request: RequestSpec, before: State, key: str) -> httpx.Response:
        names = self._names(before=dict(before.fields), key=key, version=before.version)
        how: dict[str, Any] = {"headers": self._headers(request.headers, names)}
        if request.body is not None:
            how["json"] = http_spec.value(request.body, names)
        return await send(_http(context), request.method, self._url(request.url, names), to=self._at, **how)

    def _headers(self, templates: Mapping[str, str], names: Mapping[str, Any]) -> dict[str, str]:
        needed = {name for name in self.spec.secrets if any(name in template for template in templates.values())}
        if missing := sorted(needed - self.secret_values.keys()):
            raise NotConfigured(f"{self.name()} needs the secret {', '.join(missing)}: set the environment variable.")
        known = {"before": {}, "key": "", "version": "", **names}
        known["secrets"] = {name: secret.get_secret_value() for name, secret in self.secret_values.items()}
        headers = {name: http_spec.text(template, known) for name, template in templates.items()}
        if wrong := next((name for name, value in headers.items() if not value.isprintable()), None):
            raise BadArguments(f"{self.name()}: the header {wrong} would hold a line break or control character.")
        return headers

    def _names(self, **more: Any) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in self.spec.arguments}, **more}

    def _url(self, template: str, names: Mapping[str, Any]) -> str:
        return http_spec.address(self.spec.base, template, names)

    @property
    def _at(self) -> str:
        return f"{self.name()} at {self.spec.base}"


def declare(spec: HttpActionSpec, secrets: Mapping[str, SecretStr] | None = None) -> type[Action]:
    """The action one specification declares. Its undo can only be itself; use declare_all where one undoes another."""
    return declare_all((spec,), secrets)[0]


def declare_all(
    specs: Sequence[HttpActionSpec], secrets: Mapping[str, SecretStr] | None = None
) -> tuple[type[Action], ...]:
    """The declared actions, which may name each other as undo. BadArguments for a name that stands twice or nowhere.

    `secrets` are the values of the environment variables that the specifications name.
    """
    declared: dict[str, type[Action]] = {}
    for spec in specs:
        if spec.name in declared:
            raise BadArguments(f"The action {spec.name} is declared twice.")
        declared[spec.name] = _class_of(spec, secrets or {}, declared)
    for spec in specs:
        if spec.undo and spec.undo.action not in declared:
            raise BadArguments(
                f"{spec.name}: its undo {spec.undo.action!r} is not declared. There are: {', '.join(declared)}."
            )
        if spec.undo and (unknown := spec.undo.arguments.keys() - declared[spec.undo.action].model_fields.keys()):
            raise BadArguments(f"{spec.name}: its undo {spec.undo.action} takes no {', '.join(sorted(unknown))}.")
    return tuple(declared.values())


def _class_of(
    spec: HttpActionSpec, secrets: Mapping[str, SecretStr], declared: Mapping[str, type[Action]]
) -> type[Action]:
    if taken := sorted(
        name for name in spec.arguments if hasattr(HttpAction, name) or name in http_spec.KNOWN["headers"]
    ):
        raise BadArguments(f"{spec.name}: an argument cannot be called {', '.join(taken)}; choose another name.")
    fields: dict[str, Any] = {name: _field(argument) for name, argument in spec.arguments.items()}
    made: type[HttpAction] = create_model(
        "".join(part.capitalize() for part in spec.name.split("_")),
        __base__=HttpAction,
        __doc__=spec.description,
        **fields,
    )
    made.spec, made.declared = spec, declared
    made.risk, made.settle, made.undo_only, made.mitigates = spec.risk, spec.settle, spec.undo_only, spec.mitigates
    made.secret_values = {name: secrets[name] for name in spec.secrets if name in secrets}
    return made


def _field(argument: ArgumentSpec) -> tuple[Any, Any]:
    kind: Any = Literal[tuple(argument.enum)] if argument.enum else _TYPES[argument.type]
    limits: dict[str, Any] = {
        "ge": argument.minimum,
        "le": argument.maximum,
        "min_length": argument.min_length,
        "max_length": argument.max_length,
        "pattern": argument.pattern,
        "description": argument.description or None,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    info = Field(**given) if argument.default is None else Field(argument.default, **given)
    marks = (Identifier(argument.identifier),) if argument.identifier else ()
    return (Annotated[(kind, *marks)] if marks else kind, info)


def _http(context: Context) -> httpx.AsyncClient:
    if context.http is None:
        raise NotConfigured("There is no network here: a declared action can be shown and not run.")
    return context.http


def _search(path: str, found: Json) -> Json:
    try:
        return jmespath.search(path, found)
    except JMESPathError as error:
        raise ToolFailed(f"{path!r} cannot be read from the answer: {error}. Correct the path in `actions`.") from None
