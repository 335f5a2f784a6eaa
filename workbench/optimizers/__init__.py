"""Optimizers and weight decay: the rules of updating weights, and what each form of decay means."""

from workbench.optimizers.equivalents import equivalents
from workbench.optimizers.keras_optimizer import (
    apply,
    build,
    copy_state,
    make,
    scaled,
    state,
    taken,
    unscaled,
)
from workbench.optimizers.rules import (
    LAMB,
    SGD,
    SGDW,
    Adam,
    Adamax,
    AdamW,
    LazyAdam,
    Lookahead,
    Nadam,
    RectifiedAdam,
)
from workbench.optimizers.weight_decay import (
    L2,
    Coupled,
    Decayed,
    Decoupled,
    add_decay,
    decayed,
    has_regulariser,
    regulariser,
    shrink,
)

__all__ = [
    "L2", "LAMB", "SGD", "SGDW", "Adam", "AdamW", "Adamax", "Coupled", "Decayed", "Decoupled", "LazyAdam",
    "Lookahead", "Nadam", "RectifiedAdam", "add_decay", "apply", "build", "copy_state", "decayed", "equivalents", "has_regulariser",
    "make", "regulariser", "scaled", "shrink", "state", "taken", "unscaled",
]  # fmt: skip
