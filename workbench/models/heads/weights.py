"""How a head or a loss asks for its weights, and how it is called: known to parts and to the layers that hold them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Slot(NamedTuple):
    """A weight that a head or a loss asks for: its shape, where it starts, and whether it is trained.

    `start` is a number (all entries alike), the name of a Keras initializer or such an initializer. A
    state that is not trained is written alike on all devices: from what `distribute.collectives` gathers.
    """

    shape: tuple[int, ...]
    start: Any = "glorot_uniform"
    trained: bool = True
    dtype: str = "float32"


class Step(NamedTuple):
    """How a head is called: in training or not, and whether operations unknown to XLA may be used."""

    training: bool
    native: bool = False
