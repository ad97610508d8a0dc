"""Figures of the house: `python -m tests.house [CHECKOUT]`. Whoever moves walls runs it before and after."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

SHORT = 60  # lines; a file below that has to be worth its name


def modules(top: Path, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (top / folder).rglob("*.py"))


def lines(paths: list[Path]) -> int:
    return sum(path.read_text().count("\n") for path in paths)


def class_names(paths: list[Path]) -> Counter[str]:
    """Public classes by name; one and the same class that is only imported counts once."""
    found = (node for path in paths for node in ast.walk(ast.parse(path.read_text())))
    return Counter(node.name for node in found if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def imports(top: Path, paths: list[Path]) -> dict[str, set[str]]:
    """Of each module those of ours that it imports when it is loaded; what a function imports late is no circle."""
    names = {".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        wanted = {one for node in _at_load(ast.parse(path.read_text())) for one in _imported(node, names)}
        graph[name] = {one for one in wanted if one in names and one != name}
    return graph


def _at_load(tree: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _for_types(node):
            yield from _at_load(node)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def _imported(node: ast.stmt, modules: Collection[str]) -> Iterator[str]:
    """`from package import module` takes nothing of the package itself."""
    if isinstance(node, ast.ImportFrom) and node.module:
        whole = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from whole
        if not all(one in modules for one in whole):
            yield node.module
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import one another (Tarjan's strongly connected components of more than one)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in number:
            visit(name)
    return found


def figures(top: Path) -> dict[str, object]:
    every = modules(top, "agent", "tools")
    ours = [path for path in every if "lab" not in path.relative_to(top).parts[:2]]
    tests = modules(top, "tests")
    twice = {name: count for name, count in class_names(every).items() if count > 1}
    skips = sum(len(re.findall(r"# fmt: skip *$", path.read_text(), re.M)) for path in [*every, *tests])
    return {
        "files of agent and tools without the lab": len(ours),
        "their lines": lines(ours),
        "files of the lab": len(every) - len(ours),
        "its lines": lines(every) - lines(ours),
        "modules loose at the top of agent": len([p for p in (top / "agent").glob("*.py") if p.name[0] != "_"]),
        f"files under {SHORT} lines": len(
            [p for p in every if p.name != "__init__.py" and p.read_text().count("\n") < SHORT]
        ),
        "public class names borne more than once": f"{len(twice)}: {', '.join(sorted(twice))}",
        "circles of imports": circles(imports(top, every)),
        "# fmt: skip": skips,
        "lines of tests for each of code": round(lines(tests) / lines(every), 2),
    }


def main() -> None:
    top = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    for name, figure in figures(top).items():
        print(f"{name:45}  {figure}")


if __name__ == "__main__":
    main()
