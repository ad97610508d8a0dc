"""Where drift reports lie: a file or folder we were allowed to read, a report server, or an artifact of an MLflow run.

Every source gives dated reports, newest first. Nothing newer than the incident's time is handed out where a date is known.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import httpx

from tools.context import Backend, Context
from tools.drift.reports.reader import MAX_BYTES
from tools.errors import BadArguments, NotConfigured, NotRecorded, TargetUnclear, ToolFailed, Unreachable
from tools.fetch import fetch_json
from tools.formatting import clean, iso
from tools.models.mlflow import Mlflow
from tools.models.registry import model_named, tag_time, visible

EARLIER = 14  # reports before the newest that may be looked at
MOST_LISTED = 5_000
SUFFIXES = (".json", ".txt")
_DATE = re.compile(r"(20\d\d)-?([01]\d)-?([0-3]\d)(?:[T_-]?([0-2]\d)[:-]?([0-5]\d)(?:[:-]?([0-5]\d))?Z?)?")


@dataclass(frozen=True, slots=True)
class Found:
    """One report that exists: a name for people, when it was made if known, and where its text is read."""

    name: str
    at: datetime | None
    place: Path | str
    backend: Backend | None = None
    run_id: str = ""
    by_file_time: bool = False  # `at` is only when the file was last written: a copy is newer than its report


async def find(context: Context, source: str) -> list[Found]:
    """The reports a source means, newest first: one for a file or artifact, up to 1 + EARLIER else.

    BadArguments for a source outside what is configured, NotRecorded where everything is newer than as_of.
    """
    source = source.strip() or _default(context)
    if source.startswith("runs:/"):
        return [_artifact(context, source)]
    if source.startswith(("http://", "https://")):
        return await _served(context, *_server(context, source))
    named = [b for b in context.backends.of("drift") if b.name == source]
    if named:
        return await _served(context, named[0], "")
    return await asyncio.to_thread(_on_disk, context, source.removeprefix("file://").removeprefix("file:"))


async def text_of(found: Found) -> str:
    """The report's text. A size over MAX_BYTES is refused before it is read."""
    if found.run_id and found.backend:
        return await Mlflow(found.backend).artifact(found.run_id, str(found.place))
    if found.backend:
        return await _download(found.backend, str(found.place))
    return await asyncio.to_thread(_read_file, Path(found.place))


def date_in(name: str) -> datetime | None:
    """A date, with or without a time, in a file's name: `drift-2026-11-24.json`, `20261124T0300.json`. UTC."""
    found = _DATE.search(name)
    if not found:
        return None
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _default(context: Context) -> str:
    """What the model's catalog entry names, else the only server or folder that is configured."""
    try:
        model = model_named(context, None)
    except TargetUnclear:
        model = None
    if model and model.drift_source:
        return model.drift_source
    if context.backends.of("drift"):
        return context.backends.pick("drift", context.labels).url
    if len(context.backends.drift_folders) == 1:
        return str(context.backends.drift_folders[0])
    raise NotConfigured(
        "No drift reports are configured: set STANCH_DRIFT_URL, or drift_folders in stanch.yaml, or drift_source on the "
        "model in catalog.yaml; or name a source (a file, a folder, an address, runs:/<run>/<path>)."
    )


def _artifact(context: Context, source: str) -> Found:
    run_id, _, path = source.removeprefix("runs:/").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id) or not path or ".." in path.split("/"):
        raise BadArguments(f"{source!r} is not runs:/<run_id>/<path of the artifact>.")
    return Found(source, date_in(path), path, context.backends.pick("mlflow", context.labels), run_id)


def _server(context: Context, url: str) -> tuple[Backend, str]:
    """The configured server an address belongs to, and what is left of the address. Any other address is refused."""
    for backend in context.backends.of("drift"):
        base = backend.url.rstrip("/")
        if url.rstrip("/") == base or url.startswith(f"{base}/"):
            return backend, url[len(base) :].strip("/")
    known = ", ".join(b.url for b in context.backends.of("drift")) or "none"
    raise BadArguments(f"{url} is not a configured drift server (configured: {known}). Add it under backends.drift.")


async def _served(context: Context, backend: Backend, name: str) -> list[Found]:
    listed = sorted(await _listing(backend), key=_age)
    if not name:
        return _newest(context, listed, backend.url)
    if ".." in name.split("/"):
        raise BadArguments(f"{name!r} is not the name of a report at {backend.url}.")
    return [next((f for f in listed if f.name == name), Found(name, date_in(name), quote(name), backend))]


async def _listing(backend: Backend) -> list[Found]:
    status, body = await fetch_json(backend, "/", what="the list of drift reports")
    if status != 200 or not isinstance(body, list):
        raise ToolFailed(
            f"{backend.url}/ answered HTTP {status} with {clean(str(body), 80)!r}; expected is a JSON list of "
            '{"name", "url", "at"}. Check the address of the drift server.'
        )
    entries = [e for e in body[-MOST_LISTED:] if isinstance(e, dict) and isinstance(e.get("name"), str)]
    return [
        Found(e["name"], tag_time(str(e.get("at") or "")) or date_in(e["name"]), _within(backend, e), backend)
        for e in entries
    ]


def _within(backend: Backend, entry: dict[str, object]) -> str:
    """The address of a listed report if it lies on the same server, else its name below the server's address."""
    base = backend.url.rstrip("/") + "/"
    try:
        url = urljoin(base, str(entry.get("url") or ""))
        same = urlsplit(url)[:2] == urlsplit(base)[:2] and entry.get("url")
    except ValueError:  # an address that is none, such as http://[::1/
        same = False
    return url if same else quote(str(entry["name"]))


async def _download(backend: Backend, path: str) -> str:
    try:
        async with backend.http.stream("GET", path, follow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ToolFailed(f"{path} at {backend.url} is larger than {MAX_BYTES >> 20} MB; not read.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"{backend.url} did not answer {path}: {type(error).__name__} {error}. Check that it runs."
        ) from None
    if response.status_code != 200:
        raise ToolFailed(
            f"{backend.url} answered {path} with HTTP {response.status_code}: {clean(body[:300].decode(errors='replace'))}."
        )
    return body.decode("utf-8", errors="replace")


def _on_disk(context: Context, source: str) -> list[Found]:
    place = _allowed(context, source)
    if place.is_file():
        return [_file(place, place.name)]
    files = [p for p in islice(place.rglob("*"), MOST_LISTED) if p.suffix in SUFFIXES and p.is_file()]
    inside = [p for p in files if p.resolve().is_relative_to(place)]  # a link may lead out
    return _newest(context, sorted((_file(p, str(p.relative_to(place))) for p in inside), key=_age), str(place))


def _file(path: Path, name: str) -> Found:
    named = date_in(path.name)
    return Found(name, named or datetime.fromtimestamp(path.stat().st_mtime, UTC), path, by_file_time=named is None)


def _allowed(context: Context, source: str) -> Path:
    """The real path a source means, which must lie in a folder we may read. Nothing is said about what lies elsewhere."""
    folders = [folder.resolve() for folder in context.backends.drift_folders]
    if "\x00" in source:
        raise BadArguments("A path holds no zero byte.")
    candidates = [Path(source).resolve(), *((folder / source).resolve() for folder in folders)]
    allowed = [c for c in candidates if any(c.is_relative_to(folder) for folder in folders)]
    known = ", ".join(str(folder) for folder in folders) or "none"
    if not allowed:
        raise BadArguments(
            f"{source!r} lies outside the drift folders (configured: {known}). Add its folder to drift_folders."
        )
    for candidate in allowed:
        if candidate.exists():
            return candidate
    raise ToolFailed(f"There is no {source!r} in the drift folders ({known}). Check the path, or leave source empty.")


def _newest(context: Context, listed: Sequence[Found], where: str) -> list[Found]:
    """Newest first, none newer than as_of."""
    seen = [found for found in reversed(listed) if visible(context, found.at)]
    if not listed:
        raise NotRecorded(f"{where} holds no drift report (looked for {' and '.join(SUFFIXES)}). Has the job run?")
    if not seen:
        raise NotRecorded(
            f"All {len(listed)} reports at {where} are newer than this incident's time {iso(context.as_of)}."
        )
    return seen[: 1 + EARLIER]


def _age(found: Found) -> tuple[datetime, str]:
    return found.at or datetime.min.replace(tzinfo=UTC), found.name


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ToolFailed(f"{path.name} is larger than {MAX_BYTES >> 20} MB; not read. Export it without raw data.")
        return path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise ToolFailed(f"{path.name} cannot be read: {error.strerror}. Check who may read it.") from None
