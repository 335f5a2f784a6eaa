"""What the rule tests share: the project's files, their syntax trees, and the parts defined in them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from tracked import tracked_files

ROOT = Path(__file__).resolve().parents[2]


def files(*folders: str, suffix: str = ".py") -> list[Path]:
    """Return the project's files with `suffix` below `folders` (everywhere, when none is given)."""
    names = tracked_files(ROOT)
    inside = [name for name in names if not folders or name.startswith(tuple(f"{f}/" for f in folders))]
    return [ROOT / name for name in inside if name.endswith(suffix)]


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_name(path: Path) -> str:
    """Return the dotted name under which a file of a package is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_level: bool = False) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of everything a file imports; `from a import b` gives a and a.b.

    With `top_level` only what runs when the file is imported: not inside functions, not for type
    checkers only.
    """
    for node in _when_imported(tree(path)) if top_level else ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _when_imported(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from _when_imported(other)
            continue
        yield child
        yield from _when_imported(child)


@functools.cache
def part_definitions() -> list[tuple[Path, ast.ClassDef]]:
    """Return every class of the engine that is made with `@part`."""
    return [
        (path, node)
        for path in files("workbench")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any(_is_part(item) for item in node.decorator_list)
    ]


def _is_part(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Name) and decorator.id == "part"


def shown(path: Path, line: int | None = None) -> str:
    """Return a place as a person reads it: `workbench/cli.py:12`."""
    name = path.relative_to(ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def nothing(found: Iterable[str], rule: str) -> None:
    """Fail with `rule` and every place in `found`, one a line, unless there is none."""
    places = list(found)
    assert not places, "\n  ".join([f"{rule}:", *places])
