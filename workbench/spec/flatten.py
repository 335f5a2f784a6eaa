"""Settings as flat parameters by dotted names, as MLflow and TensorBoard show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.spec.custom_source import code_of, is_custom
from workbench.spec.folding import Fold
from workbench.spec.interfaces import PairSet, Sum
from workbench.spec.optimization import WeightDecay
from workbench.spec.part import CODE, Inherit, Part


def flatten(found: dict[str, Any], path: str, value: Any) -> None:
    """Put the setting `value` and all within it into `found`, under names that begin with `path`."""
    if value is None or isinstance(value, Inherit):
        return
    if isinstance(value, Part) and is_custom(type(value)):
        found[f"{path}.{CODE}"] = code_of(type(value))
    if isinstance(value, Fold):
        found[path] = value.number
        inner = {name: item for name, item in value.settings().items() if name != "number"}
    elif isinstance(value, WeightDecay):
        found[path], found[f"{path}.form"] = value.value, type(value).__name__
        inner = {name: item for name, item in value.settings().items() if name != "value"}
    elif isinstance(value, Sum):
        found[path] = " + ".join(f"{t.weight:g}*{type(t.loss).__name__}" for t in value.terms)
        inner = {}
        for term in value.terms:
            key = f"{path}.{term.name or type(term.loss).__name__.lower()}"
            found[f"{key}.weight"] = term.weight
            if is_custom(type(term.loss)):
                found[f"{key}.{CODE}"] = code_of(type(term.loss))
            for name, item in term.loss.settings().items():
                flatten(found, f"{key}.{name}", item)
    elif isinstance(value, Part):
        found[path] = type(value).__name__
        inner = value.settings()
    elif isinstance(value, tuple):
        _flatten_tuple(found, path, value)
        return
    else:
        found[path] = value
        return
    for name, item in inner.items():
        flatten(found, f"{path}.{name}", item)


def _flatten_tuple(found: dict[str, Any], path: str, values: Iterable[Any]) -> None:
    items = list(values)
    if not items:
        return
    if not all(isinstance(item, Part) for item in items):
        found[path] = ", ".join(str(item) for item in items)
        return
    names = [item.label() if isinstance(item, PairSet) else type(item).__name__ for item in items]
    found[path] = ", ".join(names)
    for name, item in zip(names, items):
        if is_custom(type(item)):
            found[f"{path}.{name.lower()}.{CODE}"] = code_of(type(item))
        for inner_name, inner in item.settings().items():
            flatten(found, f"{path}.{name.lower()}.{inner_name}", inner)
