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
    OFF,
    Coupled,
    Decayed,
    Decoupled,
    decayed_weights,
)
