"""What a state says of itself beside its arrays: judged where it is read, for it may have come with a merged run."""

from __future__ import annotations

import math
from typing import Any

from workbench.security.foreign_names import is_run
from workbench.tracking.row_types import LARGEST

COUNTS = ("attempt", "stage", "epoch", "epoch_step", "step", "rows", "numpy_position")


def are_possible(facts: Any) -> bool:
    """Tell whether all that is there of a state's facts is of the kind that a training writes."""
    if not isinstance(facts, dict) or not all(_is_count(facts[name]) for name in COUNTS if name in facts):
        return False
    if not all(isinstance(facts[name], str) for name in ("run", "id") if name in facts):
        return False
    best, trunk, spent = facts.get("best"), facts.get("trunk"), facts.get("spent", 0)
    return (
        (best is None or _is_best(best))
        and (trunk is None or (_is_place(trunk) and is_run(trunk.get("run"))))
        and isinstance(facts.get("inside", {}), dict)
        and type(spent) in (int, float)
        and math.isfinite(spent)
    )


def _is_best(best: Any) -> bool:
    return _is_place(best) and isinstance(best.get("metric"), str) and type(best.get("value")) in (int, float)


def _is_place(value: Any) -> bool:
    """Tell an object that names an epoch and, where it does, a step."""
    return isinstance(value, dict) and _is_count(value.get("epoch")) and _is_count(value.get("step", 0))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST
