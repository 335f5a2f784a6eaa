"""An experiment made in Python as a spec file, so that another process can run, resume and repeat it.

Own parts from a notebook, a script or a spec file go along with all that they name: the statements of
their module that define it, as they were written.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import workbench
from workbench.errors import SpecError
from workbench.spec.custom_source import defined, is_custom, named, namespace_of
from workbench.spec.load import load_module
from workbench.spec.part import REGISTRY, Part
from workbench.spec.source_text import SourceText, read_source, segment
from workbench.spec.to_source import named_parts, source

PRIVATE = re.compile(r"__\w+__")


def write_spec_file(
    folder: Path, study: str, name: str, value: Part, question: str = "", word: str = "experiment"
) -> Path:
    """Write an experiment (or, as `word` "sweep", a sweep) as a spec file of the study; return its path.

    Raises `SpecError` where the file would not mean the same: the value needs this process then.
    """
    path = folder / value.id / f"{study}.py"  # type: ignore[attr-defined]
    text = spec_text(value if word == "sweep" else value.but(name=name), question, word)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    known = dict(REGISTRY)
    try:
        again = getattr(load_module(path), word)
    finally:
        REGISTRY.update(known)  # what was defined here stays what it is here
    if again.id != value.id:  # type: ignore[attr-defined]
        raise SpecError(
            "cannot be carried into a process of its own",
            where=f"{study}/{name}",
            expected="own parts that are made of functions, classes and values of one file or notebook",
            do="run it in this process: process=False",
        )
    return path


def spec_text(value: Part, question: str = "", word: str = "experiment") -> str:
    """Return the text of a spec file that makes `value`, with the definitions of its own parts."""
    body = source(value)
    used = named_parts(value, body)
    public = [cls.__name__ for cls in used if cls.__name__ in workbench.PARTS and not is_custom(cls)]
    if "INHERIT" in body:
        public.append("INHERIT")
    own = sorted((cls for cls in used if is_custom(cls)), key=_place)
    found = Definitions()
    for cls in own:
        found.add(cls.__name__, namespace_of(cls))
    parts = [f'"""{question}"""' if question else "", "from __future__ import annotations\n"]
    parts += [f"from workbench import {', '.join(public)}" if public else "", *found.texts]
    return "\n\n".join(part for part in [*parts, f"{word} = {body}"] if part) + "\n"


def _place(cls: type) -> tuple[int, str]:
    found = defined(cls)
    return (found.line if found else 0, cls.__name__)


class Definitions:
    """The statements that define some names, those that they need before them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._seen: set[str] = set()

    def add(self, name: str, space: Any) -> None:
        """Add what defines `name` in a module's namespace, after what that names itself."""
        if name in self._seen or name not in space or PRIVATE.fullmatch(name):
            return
        self._seen.add(name)
        value = space[name]
        text, node = _statement(name, value, space)
        if node is not None:
            for inner, _ in named(node):
                self.add(inner, space)
        self.texts.append(text)


def _statement(name: str, value: Any, space: Any) -> tuple[str, Any]:
    """Return the text that defines a name, and its syntax tree where that may name more."""
    kept = defined(value) if isinstance(value, type) else None
    for origin in (kept.source if kept else None, _written(value, space)):
        found = origin.binding(name) if origin is not None else []
        if found and origin is not None:
            return "\n".join(segment(origin, node) for node in _last(found)), found[-1]
    if name in workbench.WHERE and getattr(workbench, name) is value:  # of `from workbench import *`
        return f"from workbench import {name}", None
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}", None
    if isinstance(value, (type, FunctionType)):
        return f"from {value.__module__} import {value.__qualname__} as {name}", None
    return f"{name} = {value!r}", None


def _last(found: list[Any]) -> list[Any]:
    """Return what counts of several statements that give a name its value: all, or the last definition."""
    definitions = [node for node in found if hasattr(node, "name") or hasattr(node, "names")]
    return definitions[-1:] or found


def _written(value: Any, space: Any) -> SourceText | None:
    """Return the text of a function's own cell, else that of its module or of all cells."""
    if isinstance(value, FunctionType) and value.__globals__ is space:
        found = read_source(value.__code__.co_filename, space)
        if found is not None:
            return found
    return read_source(str(space.get("__file__") or ""), space)
