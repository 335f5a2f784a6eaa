"""The text of a module or notebook cell as it was read, and the statements in it that define a name."""

from __future__ import annotations

import ast
import functools
import io
import linecache
import sys
import sysconfig
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_READ: dict[str, tuple[Any, SourceText]] = {}  # by file name: what tells its state, and the text read then


class SourceText:
    """A text and its syntax tree; `tree` is None where it is not Python."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    @functools.cached_property
    def tree(self) -> ast.Module | None:
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError):
            return None

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def binding(self, name: str) -> list[ast.stmt]:
        """Return the statements outside functions and classes that give `name` a value, in order."""
        return [node for node in _statements(self.tree) if name in _bound(node)] if self.tree else []


def read_source(name: str, namespace: Mapping[str, Any], fresh: bool = False) -> SourceText | None:
    """Return the text of a file or of a notebook's cell; None where there is none.

    A text is kept while its file is as it was, or until it is read `fresh`.
    """
    path = Path(name) if name else None
    if path is not None and path.is_file():
        facts = path.stat()
        state: Any = (facts.st_mtime_ns, facts.st_size)
        if fresh or name not in _READ or _READ[name][0] != state:
            _READ[name] = (state, SourceText(name, path.read_text(encoding="utf-8", errors="replace")))
        return _READ[name][1]
    text = "".join(linecache.getlines(name, dict(namespace))) if name else _cells(namespace)
    return SourceText(name, text) if text else None


def _cells(namespace: Mapping[str, Any]) -> str:
    """Return what was typed in an IPython session so far; cells that are not Python are left out."""
    cells = namespace.get("In")
    if not isinstance(cells, list):
        return ""
    return "\n".join(
        cell for cell in cells if isinstance(cell, str) and SourceText("", cell).tree is not None
    )


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)):
            yield from _statements(child)
        elif isinstance(child, ast.stmt):
            yield child


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {item.asname or item.name.partition(".")[0] for item in node.names}
    return {
        name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }


def definition(source: SourceText, qualified: str, line: int | None = None) -> ast.AST | None:
    """Return the class or function of a qualified name: that at `line`, else the last one."""
    found: list[ast.AST] = [source.tree] if source.tree else []
    for word in qualified.split("."):
        if word != "<locals>":
            found = [node for outer in found for node in _inner(outer) if node.name == word]
    at = [node for node in found if line is not None and _first_line(node) <= line <= (_last_line(node))]
    return (at or found or [None])[-1]  # type: ignore[list-item]


def _inner(node: ast.AST) -> Iterator[Any]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield child
        else:
            yield from _inner(child)


def _first_line(node: Any) -> int:
    return min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])


def _last_line(node: Any) -> int:
    return int(node.end_lineno)


def segment(source: SourceText, node: Any) -> str:
    """Return the whole lines of a statement, its decorators included."""
    if isinstance(node, ast.Module):
        return source.text
    return textwrap.dedent("\n".join(source.lines[_first_line(node) - 1 : _last_line(node)]))


def plain_text(source: SourceText, node: Any) -> str:
    """Return the lines of a statement without comments, docstrings and empty lines: what it does."""
    if node is None:
        return source.text
    lines = list(source.lines)
    for child in ast.walk(node):
        text = _docstring(child)
        if text is not None:
            only = len(child.body) == 1  # type: ignore[attr-defined]
            lines[text.lineno - 1] = (
                lines[text.lineno - 1][: text.col_offset]
                + "..." * only
                + lines[_last_line(text) - 1][text.end_col_offset :]
            )
            lines[text.lineno : _last_line(text)] = [""] * (_last_line(text) - text.lineno)
    first, last = (1, len(lines)) if isinstance(node, ast.Module) else (_first_line(node), _last_line(node))
    return "\n".join(_without_comments(textwrap.dedent("\n".join(lines[first - 1 : last])).splitlines()))


def _docstring(node: ast.AST) -> ast.expr | None:
    if (
        not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        or not node.body
    ):
        return None
    first = node.body[0]
    text = first.value if isinstance(first, ast.Expr) else None
    return text if isinstance(text, ast.Constant) and isinstance(text.value, str) else None


def _without_comments(lines: list[str]) -> list[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column]
    except (tokenize.TokenError, SyntaxError):  # a part of a statement: its comments count, then
        pass
    return [line.rstrip() for line in lines if line.strip()]


@functools.cache
def is_library(file: str) -> bool:
    """Tell whether a file belongs to Python or an installed package, not to the user's project."""
    if not file or file.startswith("<"):
        return False
    path = Path(file).resolve()
    paths = sysconfig.get_paths()
    inside = any(path.is_relative_to(Path(paths[name]).resolve()) for name in ("stdlib", "platstdlib"))
    return (
        inside
        or any(word in path.parts for word in ("site-packages", "dist-packages"))
        # Where this Python keeps its own, such as a zip of the standard library.
        or path.is_relative_to(Path(sys.base_prefix).resolve() / "lib")
    )
