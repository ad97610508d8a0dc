"""How it is shipped: no default secret, nothing fetched under a name that may mean something else tomorrow."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent


def workflows() -> list[dict[str, Any]]:
    found = [yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")]
    assert found
    return found


def dependencies() -> list[str]:
    """What a user installs: the packages that pyproject.toml names, with the optional ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return [re.split(r"[\[<>=~!;, ]", one)[0] for one in named]


def test_every_dependency_is_used_and_has_its_reason() -> None:
    source = "\n".join(path.read_text() for top in ("agent", "tools") for path in (ROOT / top).rglob("*.py"))
    reasons = (ROOT / "CONTRIBUTING.md").read_text()
    modules: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules.setdefault(package.lower().replace("_", "-"), set()).add(module)
    for package in dependencies():
        parts = (
            {package.replace("-", ".")} if package.startswith("langgraph-") else modules[package]
        )  # they share a name
        used = any(re.search(rf"(import|from) {re.escape(part)}\b", source) for part in parts)
        assert used or f'"{package}"' in source, f"nothing imports {package}"
        assert re.search(rf"^\|.*\b{re.escape(package)}\b.*\|", reasons, re.M), (
            f"CONTRIBUTING.md has no reason for {package}"
        )


def test_compose_refuses_to_start_without_a_token_of_ones_own() -> None:
    text = (ROOT / "compose.yaml").read_text()
    uses = re.findall(r"\$\{(STANCH_WEBHOOK_TOKENS[^}]*)\}", text)
    assert len(uses) == 3
    assert all(re.match(r"STANCH_WEBHOOK_TOKENS:\?\w", use) for use in uses), uses
    assert "change-me" not in text


def test_every_action_is_pinned_by_commit_and_may_only_read() -> None:
    for told in workflows():
        assert told["permissions"] == {"contents": "read"}
        for job in told["jobs"].values():
            assert "permissions" not in job
            assert not job["runs-on"].endswith("-latest")
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), step
                if "checkout" in step.get("uses", ""):
                    assert step["with"]["persist-credentials"] is False


def test_every_image_names_a_whole_version() -> None:
    docker = (ROOT / "Dockerfile").read_text()
    images = re.findall(r"^ARG PYTHON=(\S+)", docker, re.M)
    images += [
        one["image"]
        for one in yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
        if "image" in one
    ]
    assert len(images) == 3
    assert all(re.search(r":v?\d+\.\d+\.\d+(-\w+)?(@sha256:[0-9a-f]{64})?$", image) for image in images), images
    assert set(re.findall(r"^FROM (\S+)", docker, re.M)) == {"${PYTHON}"}
    assert re.search(r"pip install --no-cache-dir uv==\d+\.\d+\.\d+", docker)
