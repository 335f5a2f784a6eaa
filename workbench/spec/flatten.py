"""Settings as flat parameters by dotted names, as MLflow and TensorBoard show them."""

from __future__ import annotations

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
    if isinstance(value, Fold):
        found[path] = value.number
        _within(found, path, value, but="number")
    elif isinstance(value, WeightDecay):
        found[path], found[f"{path}.form"] = value.value, type(value).__name__
        _within(found, path, value, but="value")
    elif isinstance(value, Sum):
        found[path] = " + ".join(f"{t.weight:g}*{type(t.loss).__name__}" for t in value.terms)
        for term in value.terms:
            key = f"{path}.{term.name or type(term.loss).__name__.lower()}"
            found[f"{key}.weight"] = term.weight
            _within(found, key, term.loss)
    elif isinstance(value, Part):
        found[path] = type(value).__name__
        _within(found, path, value)
    elif not isinstance(value, tuple):
        found[path] = value
    elif not all(isinstance(item, Part) for item in value):
        found[path] = ", ".join(str(item) for item in value)
    elif value:
        names = [item.label() if isinstance(item, PairSet) else type(item).__name__ for item in value]
        found[path] = ", ".join(names)
        for name, item in zip(names, value):
            _within(found, f"{path}.{name.lower()}", item)


def _within(found: dict[str, Any], path: str, part: Part, but: str = "") -> None:
    """Put the settings of a part into `found`, and what the source of one of the user's own was."""
    if is_custom(type(part)):
        found[f"{path}.{CODE}"] = code_of(type(part))
    for name, item in part.settings().items():
        if name != but:
            flatten(found, f"{path}.{name}", item)
