"""Settings changed from the command line, and for every setting where its value came from."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import workbench
from workbench.errors import SpecError, suggestion
from workbench.security.safe_source import UNPARSABLE
from workbench.spec.parameters import is_default
from workbench.spec.part import REGISTRY, find, replace
from workbench.spec.variant import Variant


def override_settings(variant: Variant, assignments: Sequence[str]) -> Variant:
    """Return the variant with `setting=value` texts applied, each recorded with its origin."""
    experiment, overrides = variant.experiment, dict(variant.overrides)
    for text in assignments:
        path, sign, value = text.partition("=")
        if not sign:
            raise SpecError(f"{text!r} is not an override", where="--set", expected="setting=value")
        try:
            experiment = replace(experiment, path.strip(), parse_value(value.strip()))
        except SpecError as error:
            raise SpecError(str(error), where=f"--set {text}") from error
        overrides[path.strip()] = f"--set {text}"
    return variant.changed(experiment, overrides)


def with_seed(variant: Variant, seed: int) -> Variant:
    """Return the variant with another seed."""
    return variant.changed(variant.experiment.but(seed=seed), {**variant.overrides, "seed": f"--seed {seed}"})


def parse_value(text: str) -> Any:
    """Return the value a text means: a number, True, None, a tuple, a part `ArcFace(scale=32)`, else text."""
    try:
        tree = ast.parse(text, mode="eval").body  # never evaluated: records hold such texts of other people
    except UNPARSABLE:
        return text
    return _evaluate(tree, text)


def parse_part(text: str, family: str, example: str) -> Any:
    """Return the part that a text means, with or without brackets; names of other parts may stand within it.

    Raises `SpecError` that blames the text itself, with the nearest names of the `family` (the room of its
    members, such as `workbench.losses`) and an `example` of one.
    """
    whole = text if "(" in text else f"{text}()"
    try:
        tree = ast.parse(whole, mode="eval").body
    except UNPARSABLE as error:
        words = getattr(error, "msg", error)
        raise SpecError(f"cannot be read: {words}", where=text, expected=f"such as {example}") from error
    members = [name for name, room in workbench.PARTS.items() if room.startswith(family)]
    for node in ast.walk(tree):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if name is not None and name not in REGISTRY and name not in workbench.PARTS:
            raise SpecError(f"no part {name!r}", where=text, do=suggestion(name, members))
    try:
        return _evaluate(tree, whole)
    except TypeError as error:
        raise SpecError(f"cannot be made: {error}", where=text, expected=f"such as {example}") from error


def _evaluate(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_evaluate(item, text) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand, text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _evaluate(node.left, text), _evaluate(node.right, text)
        return left + right if isinstance(node.op, ast.Add) else left * right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        cls = find(node.func.id, None)
        named = {word.arg: _evaluate(word.value, text) for word in node.keywords if word.arg}
        return cls(*[_evaluate(item, text) for item in node.args], **named)
    return text


def setting_origins(variant: Variant) -> dict[str, str]:
    """Return for every parameter where its value came from: `--set ...`, `--quick`, spec or default."""
    result = {}
    for name in variant.experiment.parameters():
        change = next((how for path, how in variant.overrides.items() if _within(name, path)), None)
        result[name] = change or ("default" if is_default(variant.experiment, name) else "spec")
    return result


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(path + ".")
