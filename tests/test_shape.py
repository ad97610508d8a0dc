"""The shape of the code: arrows point down, modules and functions stay short, one module reads the environment."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(p for top in ("agent", "tools") for p in (ROOT / top).rglob("*.py"))

# Lower numbers lie lower; a module may import from its own layer or below.
LAYERS = {
    "tools.errors": 0,
    "tools.context": 1,
    "tools.spec": 2,
    "tools": 3,
    "agent": 4,
    "agent.errors": 4,
    "agent.clock": 4,
    "agent.yaml_file": 5,
    "agent.domain": 6,
    "agent.settings_file": 6,
    "agent.sources": 6,
    "agent.surfaces.table": 6,
    "agent.surfaces.slack.settings": 6,
    "agent.settings": 7,
    "agent.store": 8,
    "agent.library": 9,
    "agent.platform": 9,
    "agent.diagnosis": 10,
    "agent.gate": 11,
    "agent.reasoner": 11,
    "agent.graph": 12,
    "agent.service": 13,
    "agent.api": 14,
    "agent.lab": 16,
    "agent.surfaces": 17,
    "agent.app": 18,
    "agent.__main__": 19,
}
LAB_MAY_IMPORT = ("agent.lab", "agent.errors", "agent.clock", "agent.yaml_file", "agent.domain.cause", "tools")
MAY_READ_ENVIRONMENT = {"agent/settings.py", "agent/__init__.py"}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def layer(module: str) -> int | None:
    parts = module.split(".")
    return next((LAYERS[".".join(parts[:n])] for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in LAYERS), None)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("agent", "tools")}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_arrows_point_down(path: Path) -> None:
    mine = layer(dotted(path))
    assert mine is not None, "every module is in a layer"
    wrong = {name for name in imports(path) if (theirs := layer(name)) is not None and theirs > mine}
    assert not wrong, f"{dotted(path)} imports from above: {sorted(wrong)}"


@pytest.mark.parametrize("path", [p for p in MODULES if "tools" in p.relative_to(ROOT).parts[:1]], ids=dotted)
def test_tools_know_nothing_of_the_agent(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("agent")}


def test_tools_import_in_no_circle() -> None:
    modules = {dotted(p): p for p in MODULES if p.is_relative_to(ROOT / "tools") and p.name != "__init__.py"}
    TopologicalSorter({name: imports(p) & set(modules) for name, p in modules.items()}).prepare()


@pytest.mark.parametrize("path", [p for p in MODULES if dotted(p).startswith("agent.lab")], ids=dotted)
def test_the_lab_imports_none_of_the_reasoning(path: Path) -> None:
    assert not {name for name in imports(path) if name != "agent" and not name.startswith(LAB_MAY_IMPORT)}


@pytest.mark.parametrize("path", [p for p in MODULES if dotted(p).startswith("agent.surfaces")], ids=dotted)
def test_a_surface_never_touches_the_store(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("agent.store")}


def test_only_the_executor_applies_an_action() -> None:
    callers = {dotted(p) for p in MODULES if re.search(r"\.apply\(", p.read_text()) and dotted(p).startswith("agent")}
    callers = {name for name in callers if not name.startswith("agent.lab")}  # the lab's own `apply` is the world's
    assert callers <= {"agent.gate.executor"}


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= 60, f"{node.name} has {size} lines"


def test_one_module_reads_the_environment() -> None:
    readers = {str(p.relative_to(ROOT)) for p in MODULES if re.search(r"os\.(environ|getenv)", p.read_text())}
    assert readers <= MAY_READ_ENVIRONMENT


def test_one_alert_is_followed_through_files_that_exist() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text().split("## Follow one alert")[1].split("\n## ")[0]
    followed = re.findall(r"^\d+\. `(agent/[^`]+)`", told, re.M)
    assert 20 <= len(followed) <= 25
    assert [path for path in followed if not (ROOT / path).is_file()] == []
