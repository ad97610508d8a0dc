"""How an action is declared in configuration: the file's shape, its templates, and every mistake in it found at start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

import jmespath
from jinja2 import StrictUndefined, TemplateError, Undefined, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tools.context import Json
from tools.errors import BadArguments
from tools.spec import Risk

ArgumentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
# Names a template may use beside the arguments, by the place it stands in.
KNOWN: Mapping[str, frozenset[str]] = {
    "target": frozenset(),
    "observe": frozenset(),
    "command": frozenset(),
    "undo": frozenset({"before"}),
    "change": frozenset({"before", "key"}),
    "probe": frozenset({"key"}),
    "apply": frozenset({"before", "key", "version"}),
    "headers": frozenset({"before", "key", "version", "secrets"}),
}
_WHOLE = re.compile(r"^\s*\{\{(.*)\}\}\s*$", re.DOTALL)


def _in_url(value: object) -> str:
    text = str(value)
    if text in ("", ".", ".."):
        raise BadArguments(f"{text!r} cannot stand in an address.")
    return quote(text, safe="")


def _environment(finalize: Callable[[Any], Any] | None = None) -> ImmutableSandboxedEnvironment:
    # no HTML is made here: addresses are percent-quoted, commands shell-quoted, bodies are JSON values
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=finalize, autoescape=False)


_PLAIN, _URL, _SHELL = _environment(), _environment(_in_url), _environment(lambda value: shlex.quote(str(value)))


def text(template: str, names: Mapping[str, Any]) -> str:
    return _render(_PLAIN, template, names)


def address(base: str, template: str, names: Mapping[str, Any]) -> str:
    """An address at the declared host; what is filled in is one path part or query value, whatever it holds."""
    url = base.rstrip("/") + _render(_URL, template, names)
    if any(part in (".", "..") for part in unquote(urlsplit(url).path).split("/")):
        raise BadArguments(f"{url} leaves its path.")
    return url


def command(template: str, names: Mapping[str, Any]) -> str:
    """A command line in which every value is one word."""
    return _render(_SHELL, template, names)


def value(template: Json, names: Mapping[str, Any]) -> Json:
    """JSON with its templates filled in. A string that is one `{{ expression }}` keeps the expression's type."""
    if isinstance(template, dict):
        return {name: value(item, names) for name, item in template.items()}
    if isinstance(template, list):
        return [value(item, names) for item in template]
    if not isinstance(template, str):
        return template
    whole = _WHOLE.match(template)
    if whole is None or "{{" in whole[1] or "}}" in whole[1]:
        return text(template, names)
    try:
        found = _PLAIN.compile_expression(whole[1], undefined_to_none=False)(**names)
    except (TemplateError, TypeError, ArithmeticError, LookupError) as error:
        raise BadArguments(f"{template}: {error}") from None
    if isinstance(found, Undefined):
        raise BadArguments(f"{template}: there is no such value.")
    return found


def _render(environment: ImmutableSandboxedEnvironment, template: str, names: Mapping[str, Any]) -> str:
    try:
        return environment.from_string(template).render(**names)
    except (TemplateError, SecurityError, TypeError, ArithmeticError) as error:
        raise BadArguments(f"{template}: {error}") from None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArgumentSpec(_Part):
    """A subset of JSON schema. `identifier` says what kind of thing it names, so that the gate asks where it came from."""

    type: Literal["string", "integer", "number", "boolean"] = "string"
    description: str = ""
    enum: list[str | int | float] | None = Field(None, min_length=1)
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = Field(None, ge=0)
    max_length: int | None = Field(None, ge=1)
    pattern: str | None = None
    default: str | int | float | bool | None = None
    identifier: str = ""

    @model_validator(mode="after")
    def _limits_fit(self) -> ArgumentSpec:
        numeric = self.type in ("integer", "number")
        if not numeric and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"minimum and maximum go with numbers, not with {self.type}")
        if self.type != "string" and (self.pattern or self.min_length is not None or self.max_length is not None):
            raise ValueError(f"pattern and lengths go with strings, not with {self.type}")
        if self.pattern:
            re.compile(self.pattern)
        return self


class TargetSpec(_Part):
    """What it acts on. `cluster` is fixed: an action declared here works in one place."""

    name: str
    cluster: str = Field(min_length=1)
    namespace: str = ""
    environment: str = ""
    service: str = ""


class ObserveSpec(_Part):
    """A GET and what to take from its JSON, by JMESPath."""

    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    fields: dict[str, str] = Field(min_length=1)
    version: str | None = None


class RequestSpec(_Part):
    """`body` is JSON; templates may stand in its strings. `receipt` takes names for the undo from the answer."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    body: Json = None
    receipt: dict[str, str] = Field(default_factory=dict)


class ProbeSpec(_Part):
    """Did it happen? Without `path`: the GET answers 2xx. With it: the value there is `equals`, or a list that holds it."""

    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    path: str | None = None
    equals: str = "{{ key }}"


class UndoSpec(_Part):
    action: str
    arguments: dict[str, Json] = Field(default_factory=dict)


class HttpActionSpec(_Part):
    """One entry of `actions:` in stanch.yaml. See tools.http_action.action for a whole example."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,62}$")
    description: str = Field(min_length=10)
    risk: Risk
    base: str = Field(pattern=r"^https?://[^/{}?#@\s]+(/[^{}?#\s]*)?$", description="where all its addresses begin")
    arguments: dict[ArgumentName, ArgumentSpec] = Field(default_factory=dict)
    target: TargetSpec
    observe: ObserveSpec
    change: dict[str, Json] = Field(min_length=1, description="the fields as they should be afterwards")
    apply: RequestSpec
    dry_run: RequestSpec | None = None
    probe: ProbeSpec | None = None
    undo: UndoSpec | None = None
    command: str
    settle: timedelta | None = Field(timedelta(seconds=30), description="seconds until seen; null = never seen")
    undo_only: bool = False
    mitigates: bool = Field(True, description="false: nobody asks whether it recovered")
    secrets: list[str] = Field(default_factory=list, description="environment variables that headers may name")

    @model_validator(mode="after")
    def _hangs_together(self) -> HttpActionSpec:
        if unknown := sorted(self.change.keys() - self.observe.fields.keys()):
            raise ValueError(f"change names {', '.join(unknown)}, which observe does not read")
        for place, one in _templates(self):
            _check_template(place, one, set(self.arguments) | KNOWN[place], set(self.secrets))
        for url in (self.observe.url, *(part.url for part in (self.apply, self.dry_run, self.probe) if part)):
            if not url.startswith("/"):
                raise ValueError(f"url {url!r} must begin with /: it is a path under base")
        for path in _paths(self):
            jmespath.compile(path)
        return self


def _templates(spec: HttpActionSpec) -> list[tuple[str, str]]:
    """Every template with the place it stands in."""
    found = [
        ("target", t) for t in (spec.target.name, spec.target.namespace, spec.target.environment, spec.target.service)
    ]
    found += [("observe", spec.observe.url), ("command", spec.command)]
    found += [("change", leaf) for leaf in _leaves(spec.change)]
    for request in filter(None, (spec.apply, spec.dry_run)):
        found += [("apply", request.url), *(("apply", leaf) for leaf in _leaves(request.body))]
        found += [("headers", header) for header in request.headers.values()]
    if spec.probe:
        found += [("probe", spec.probe.url), ("probe", spec.probe.equals)]
    looks = [spec.observe.headers, spec.probe.headers if spec.probe else {}]
    found += [("headers", header) for headers in looks for header in headers.values()]
    return found + [("undo", leaf) for leaf in _leaves(spec.undo.arguments if spec.undo else None)]


def _paths(spec: HttpActionSpec) -> list[str]:
    paths = [*spec.observe.fields.values(), *spec.apply.receipt.values()]
    return paths + [path for path in (spec.observe.version, spec.probe and spec.probe.path) if path]


def _leaves(template: Json) -> list[str]:
    if isinstance(template, dict):
        return [leaf for item in template.values() for leaf in _leaves(item)]
    if isinstance(template, list):
        return [leaf for item in template for leaf in _leaves(item)]
    return [template] if isinstance(template, str) else []


def _check_template(place: str, template: str, known: set[str], secrets: set[str]) -> None:
    try:
        tree = _PLAIN.parse(template)
    except TemplateError as error:
        raise ValueError(f"{place}: {template!r}: {error}") from None
    if unknown := sorted(meta.find_undeclared_variables(tree) - known):
        raise ValueError(f"{place}: {template!r} uses {', '.join(unknown)}; known here: {', '.join(sorted(known))}")
    named = set(re.findall(r"\bsecrets\s*(?:\.\s*|\[\s*['\"])(\w+)", template))
    if place == "headers" and (missing := sorted(named - secrets)):
        raise ValueError(f"headers name the secrets {', '.join(missing)}; list them under `secrets`")
