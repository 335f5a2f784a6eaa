"""Every setting is read by something, has its meaning written down, and is in the table of parts."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from pathlib import Path

from source import files, nothing, part_definitions, shown, tree

BASES = {
    "interfaces.py",
    "devices.py",
    "optimization.py",
    "part.py",
    "experiment.py",
    "watchers.py",
}  # bases of families are not imported by specs


def settings_of(node: ast.ClassDef) -> dict[str, ast.AnnAssign]:
    """Return the settings that a class itself declares."""
    return {
        item.target.id: item
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and not ast.unparse(item.annotation).startswith("ClassVar")
    }


@functools.cache
def readings() -> tuple[dict[str, set[str]], set[str]]:
    """Return who reads what: names read as `self.x` by class, and names read of anything else.

    A name given as text counts where the same function calls `getattr`; reading all settings at once
    (`settings()`, to record them) is not a use of any of them.
    """
    own: dict[str, set[str]] = defaultdict(set)
    foreign: set[str] = set()
    for path in files("workbench"):
        collect(tree(path), None, own, foreign)
    return own, foreign


def collect(node: ast.AST, cls: str | None, own: dict[str, set[str]], foreign: set[str]) -> None:
    """Walk a tree, noting each attribute read and each text in a function that calls `getattr`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            collect(child, child.name, own, foreign)
            continue
        if isinstance(child, ast.FunctionDef) and "getattr(" in ast.unparse(child):
            foreign |= {
                n.value for n in ast.walk(child) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            }
        if isinstance(child, ast.Subscript) and ast.unparse(child.value).endswith("settings()"):
            foreign |= {n.value for n in ast.walk(child.slice) if isinstance(n, ast.Constant)}
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
            mine = cls is not None and isinstance(child.value, ast.Name) and child.value.id == "self"
            (own[cls] if mine and cls else foreign).add(child.attr)
        collect(child, cls, own, foreign)


def relatives() -> dict[str, set[str]]:
    """Return for each part the classes that share its settings: itself, its bases and its subclasses."""
    bases = {node.name: {ast.unparse(base) for base in node.bases} for _, node in part_definitions()}
    above: dict[str, set[str]] = {}
    for name in bases:
        todo, above[name] = [name], {name}
        while todo:
            fresh = bases.get(todo.pop(), set()) - above[name]
            above[name] |= fresh
            todo += fresh
    return {name: above[name] | {other for other in bases if name in above[other]} for name in bases}


def test_every_setting_is_read():
    own, foreign = readings()
    related = relatives()
    unread = []
    for path, node in part_definitions():
        for name, item in settings_of(node).items():
            if name not in foreign and not any(name in own[cls] for cls in related[node.name]):
                unread.append(f"{shown(path, item.lineno)} {node.name}.{name}")
    nothing(unread, "a setting that nothing reads promises what it does not do")


def test_every_setting_is_documented():
    silent = []
    for path, node in part_definitions():
        for name, item in settings_of(node).items():
            inherits = item.value is not None and "INHERIT" in ast.unparse(item.value)
            if not inherits and name != "name" and not documented(item, name, node):
                silent.append(f"{shown(path, item.lineno)} {node.name}.{name}")
    nothing(silent, "give setting(..., doc=...) or name it in the class's docstring")


def documented(item: ast.AnnAssign, name: str, node: ast.ClassDef) -> bool:
    """Tell whether a setting has a `doc=` or is named in its class's docstring."""
    given = isinstance(item.value, ast.Call) and any(keyword.arg == "doc" for keyword in item.value.keywords)
    return given or f"`{name}`" in (ast.get_docstring(node) or "")


def test_every_part_can_be_imported_by_a_spec():
    import workbench

    hidden = [
        f"{shown(path, node.lineno)} {node.name}"
        for path, node in part_definitions()
        if path.name not in BASES
        and not node.name.startswith("_")
        and node.name not in workbench.PARTS
        and not has_subclass(node.name)
    ]
    nothing(hidden, "add it to workbench.PARTS")


def has_subclass(name: str) -> bool:
    """Tell whether a part is the base of others, so that specs use those."""
    return any(name in {ast.unparse(base) for base in node.bases} for _, node in part_definitions())


def test_every_name_of_the_table_exists():
    import workbench

    for name in workbench.PARTS:
        assert getattr(workbench, name) is not None
    assert set(workbench.PARTS) <= set(workbench.__all__)


def test_the_search_for_unread_settings_finds_one(tmp_path: Path):
    own: dict[str, set[str]] = defaultdict(set)
    foreign: set[str] = set()
    text = "class A:\n    def f(self):\n        return self.used + other.far + getattr(self, 'named')\n"
    collect(ast.parse(text), None, own, foreign)
    assert own == {"A": {"used"}}
    assert foreign == {"far", "named"}
