"""One stage with nothing left to inherit: what the runner works from."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.spec.devices import Devices
from workbench.spec.interfaces import Augmentation, Loss, Sampler, Source
from workbench.spec.optimization import Optimizer, Schedule, WeightDecay


@dataclass(frozen=True)
class Plan:
    """One stage with every inherited setting filled in: what the runner works from.

    Epochs are global and 1-based: the stage runs epochs `first_epoch` .. `last_epoch`.
    `schedule_offset` is the t of the schedule at the stage's start.
    """

    number: int
    name: str
    loss: Loss
    epochs: int
    first_epoch: int
    last_epoch: int
    train: str | tuple[str, ...]
    schedule: Schedule
    schedule_offset: float
    advances_schedule: bool
    optimizer: Optimizer
    optimizer_state: str
    weight_decay: WeightDecay | None
    label_smoothing: float
    augment: tuple[Augmentation, ...]
    batch_size: int
    data: Source
    sampler: Sampler | None
    devices: Devices
