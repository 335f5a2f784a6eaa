"""Questions about single settings of an experiment, by their dotted names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.spec.part import Part, walk

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment


def is_default(experiment: Experiment, name: str) -> bool:
    """Tell whether the setting `name`, such as `stages.1.loss.scale`, has the default of its part."""
    parent, _, last = name.rpartition(".")
    owner: Any = dict(walk(experiment)).get(parent)
    if not isinstance(owner, Part) or last not in type(owner).__dataclass_fields__:  # type: ignore[attr-defined]
        return False
    return bool(getattr(owner, last) == type(owner).__dataclass_fields__[last].default)  # type: ignore[attr-defined]
