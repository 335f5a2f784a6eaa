"""A variant as the text of a spec file that a person would have written: defaults left out."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import workbench
from workbench.spec.interfaces import Sum
from workbench.spec.part import Inherit, Part, walk
from workbench.spec.variant import Variant

WIDTH = 100
INDENT = "    "
SUMS = ("Sum", "Weighted")  # written as `a + 2 * b`


def write_spec(path: Path, variant: Variant) -> None:
    """Write a variant as a spec file."""
    path.write_text(spec_text(variant), encoding="utf-8")


def spec_text(variant: Variant) -> str:
    """Return the text of a spec file that holds `variant`."""
    experiment = variant.experiment.but(name=variant.name)
    body = source(experiment)
    lines = [f'"""{variant.question}"""', "", *_imports(experiment, body), "", f"experiment = {body}"]
    return "\n".join(lines) + "\n"


def named_parts(value: Part, body: str) -> list[type[Part]]:
    """Return the classes that the text `body` of a value calls, by name; sums are written with signs."""
    used = {type(part) for _, part in walk(value)}
    called = [cls for cls in used if re.search(rf"\b{cls.__name__}\(", body)]
    return sorted((cls for cls in called if cls.__name__ not in SUMS), key=lambda cls: cls.__name__)


def _imports(experiment: Part, body: str) -> list[str]:
    """Return the imports of what the text of an experiment names."""
    used = named_parts(experiment, body)
    public = [cls.__name__ for cls in used if cls.__name__ in workbench.PARTS]
    lines = [f"from workbench import {', '.join(public)}"]
    if len(lines[0]) > WIDTH:
        lines = ["from workbench import (", *(f"{INDENT}{name}," for name in public), ")"]
    own = [cls for cls in used if cls.__name__ not in workbench.PARTS]  # parts of the spec file itself
    modules = [cls.__module__.removeprefix("workbench_spec_") for cls in own]
    return [*lines, *(f"from {module} import {cls.__name__}" for module, cls in zip(modules, own))]


def source(value: Any, depth: int = 0) -> str:
    """Return Python text that makes `value` again, settings at their default left out."""
    if isinstance(value, Inherit):
        return "INHERIT"
    if isinstance(value, Sum):
        return " + ".join(_term(term, depth) for term in value.terms)
    if isinstance(value, Part):
        return _call(value, depth)
    if isinstance(value, tuple):
        items = [source(item, depth + 1) for item in value]
        return _wrapped("(", [*items, ""] if len(items) == 1 else items, ")", depth)
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _term(term: Any, depth: int) -> str:
    text = source(term.loss, depth)
    text = text if term.name is None else f"{text}.named({json.dumps(term.name)})"
    return text if term.weight == 1 else f"{term.weight!r} * {text}"


def _call(part: Part, depth: int) -> str:
    words = []
    for field in dataclasses.fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        if field.default is not dataclasses.MISSING and value == field.default:
            continue
        if field.name == part.variadic:  # `Choice(64, 256)`: each value without a name
            words += [source(item, depth + 1) for item in value]
            continue
        text = source(value, depth + 1)
        words.append(f"{field.name}={text}" if field.kw_only else text)
    return _wrapped(f"{type(part).__name__}(", words, ")", depth)


def _wrapped(head: str, items: list[str], tail: str, depth: int) -> str:
    short = head + ", ".join(items).rstrip() + tail
    if len(short) + len(INDENT) * depth <= WIDTH and "\n" not in short and depth:
        return short
    inner = INDENT * (depth + 1)
    return head + "\n" + "".join(f"{inner}{item},\n" for item in items if item) + INDENT * depth + tail
