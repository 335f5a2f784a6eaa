"""A digest of the source of a part that is not the workbench's own, and of all own code that it uses.

Two runs of one class name are the same only while its source is: the class itself, and the functions,
classes, constants and modules of the project that it names, however deep. The workbench and installed
packages are recorded elsewhere. Comments, docstrings and layout do not count, nor does the module's name.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

from workbench.lazy import Lazy
from workbench.spec.source_text import SourceText, definition, is_library, plain_text, read_source

DIGITS = 12
IMPORTS = (ast.Import, ast.ImportFrom)
ENGINE = ("workbench", "analysis")
MARK = "__workbench_defined__"  # on a class: where it was defined
Namespace = Mapping[str, Any]
_KNOWN: dict[type, tuple[str, list[tuple[Namespace, str, Any]]]] = {}


def is_custom(cls: type) -> bool:
    """Tell whether a part is a user's: not one of the workbench's own classes."""
    return cls.__module__.partition(".")[0] not in ENGINE


def class_path(cls: type) -> str:
    """Return `module:QualifiedName` of a class, as it is recorded."""
    return f"{cls.__module__}:{cls.__qualname__}"


@dataclass(frozen=True)
class Defined:
    """Where a class was defined: the text of its file as it was then, and the line."""

    source: SourceText
    line: int


def remember(cls: type) -> None:
    """Keep the text of the file that defines `cls` now: an edit from here on is not what runs."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != cls.__module__:
        frame = frame.f_back
    source = read_source(frame.f_code.co_filename, frame.f_globals, fresh=True) if frame else None
    if frame is not None and source is not None:
        setattr(cls, MARK, Defined(source, frame.f_lineno))


def defined(cls: type) -> Defined | None:
    """Return what `remember` kept of a class itself (not of its base)."""
    found: Defined | None = vars(cls).get(MARK)
    return found


def custom_text(cls: type) -> str:
    """Return a class's own statement without comments and docstrings; empty where it has no text."""
    source, node = _where(cls)
    return plain_text(source, node) if source is not None and node is not None else ""


def code_of(cls: type) -> str:
    """Return 12 hex digits that tell this source of a part of the user's from any other."""
    kept = _KNOWN.get(cls)
    if kept is not None and all(_token(space.get(name)) is seen for space, name, seen in kept[1]):
        return kept[0]
    found = Closure(cls)
    _KNOWN[cls] = (found.digest(), found.uses)
    return _KNOWN[cls][0]


def _token(value: Any) -> Any:
    """Return what changes when a function is defined anew, in place (as autoreload does) or not."""
    return value.__code__ if isinstance(value, FunctionType) else value


class Closure:
    """A class with all own code that it names: `units` by name, each as text without comments."""

    def __init__(self, root: type) -> None:
        self.package = root.__module__.partition(".")[0]
        self.units: dict[str, str] = {}
        self.uses: list[tuple[Namespace, str, Any]] = []
        self._seen: set[tuple[int, str]] = set()
        self._object(root)

    def digest(self) -> str:
        """Return the hex digits over all units, in the order of their names."""
        text = "\0".join(f"{name}\n{self.units[name]}" for name in sorted(self.units))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def _object(self, value: Any) -> None:
        """Add a class or function, and what it names."""
        source, node = _where(value)
        space = namespace_of(value)
        if source is None or node is None:
            self._unit(value.__qualname__, _bytecode(value))
        else:
            self._unit(value.__qualname__, plain_text(source, node))
            self._names(node, space)
        for base in value.__mro__[1:] if isinstance(value, type) else ():
            self._value(base.__name__, base, space)
        for function in vars(value).values() if isinstance(value, type) else (value,):
            self._enclosed(function, space)

    def _enclosed(self, function: Any, space: Namespace) -> None:
        """Add what a function took along from the one around it."""
        function = inspect.unwrap(function) if callable(function) else function
        if isinstance(function, FunctionType) and function.__closure__:
            for name, cell in zip(function.__code__.co_freevars, function.__closure__):
                if name != "__class__":
                    self._value(name, cell.cell_contents, space)

    def _names(self, node: ast.AST, space: Namespace) -> None:
        for name, attribute in named(node):
            if name in space and (id(space), f"{name}.{attribute}") not in self._seen:
                self._seen.add((id(space), f"{name}.{attribute}"))
                self.uses.append((space, name, _token(space[name])))
                self._value(name, space[name], space, attribute)

    def _value(self, name: str, value: Any, space: Namespace, attribute: str = "") -> None:
        if isinstance(value, ModuleType):
            if self._is_custom(value.__name__, getattr(value, "__file__", None)):
                self._module(value, attribute)
            return
        if isinstance(value, Lazy):  # to ask it for anything would import TensorFlow
            return
        value = getattr(value, "python_function", inspect.unwrap(value) if callable(value) else value)
        if isinstance(value, (type, FunctionType)):
            if self._is_custom(value.__module__, _file_of(value)) and value.__qualname__ not in self.units:
                self._object(value)
        elif _is_plain(value):
            self._unit(name, _plain(value))
        else:
            self._statement(name, value, space)

    def _module(self, module: ModuleType, attribute: str) -> None:
        space = vars(module)
        if attribute and attribute in space:
            self.uses.append((space, attribute, _token(space[attribute])))
            self._value(attribute, space[attribute], space)
        elif module.__name__ not in self.units:
            source = read_source(str(module.__file__), space)
            self._unit(module.__name__, plain_text(source, source.tree) if source else "")
            if source and source.tree:
                self._names(source.tree, space)

    def _statement(self, name: str, value: Any, space: Namespace) -> None:
        """Add a value that has no text of its own by the statements that made it."""
        source = read_source(str(space.get("__file__") or ""), space)
        found = [node for node in source.binding(name) if not isinstance(node, IMPORTS)] if source else []
        if found or not callable(value):  # a library's own callable has no statement here
            texts = [plain_text(source, node) for node in found] if source else []
            self._unit(name, "\n".join(texts) or type(value).__name__)
        for node in found:
            self._names(node, space)

    def _unit(self, name: str, text: str) -> None:
        while name in self.units and self.units[name] != text:  # one name in two modules
            name += "'"
        self.units[name] = text

    def _is_custom(self, module: str | None, file: str | None) -> bool:
        top = (module or "").partition(".")[0]
        if top in ENGINE or top == "builtins":
            return False
        return top == self.package or (file is not None and not is_library(file))


def named(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield every name that is read below `node`, with the attribute taken of it (`helpers`, `scale`) or ""."""
    inside = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
            inside.add(id(child.value))
            yield child.value.id, child.attr
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load) and id(child) not in inside:
            yield child.id, ""


def _where(value: Any) -> tuple[SourceText | None, ast.AST | None]:
    kept = defined(value) if isinstance(value, type) else None
    source = kept.source if kept else read_source(str(_file_of(value) or ""), namespace_of(value))
    line = value.__code__.co_firstlineno if isinstance(value, FunctionType) else kept.line if kept else None
    return source, definition(source, value.__qualname__, line) if source else None


def namespace_of(value: Any) -> Namespace:
    """Return the module in which a class or function stands, as a dict."""
    if isinstance(value, FunctionType):
        return value.__globals__
    return vars(sys.modules[value.__module__]) if value.__module__ in sys.modules else {}


def _file_of(value: Any) -> str | None:
    if isinstance(value, FunctionType):
        return value.__code__.co_filename
    functions = [item for item in vars(value).values() if isinstance(item, FunctionType)]
    own = [f.__code__.co_filename for f in functions if f.__module__ == value.__module__]
    module = getattr(sys.modules.get(value.__module__), "__file__", None)
    return module or next((file for file in own if not file.startswith("<string")), None)


def _bytecode(value: Any) -> str:
    """Return what is left of code without a text, such as a class made by a call of `type`."""
    functions = vars(value).values() if isinstance(value, type) else (value,)
    codes = [f.__code__ for f in functions if isinstance(f, FunctionType)]
    return "\n".join(
        f"{code.co_name} {code.co_code.hex()} {code.co_names} {code.co_consts}" for code in codes
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes, Path))


def _plain(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return repr(value)
