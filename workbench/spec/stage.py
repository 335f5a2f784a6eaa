"""One stage of a training, and the schedule of stages that an experiment holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Union

from workbench.spec.devices import Devices
from workbench.spec.interfaces import Augmentation, Loss, Sampler, Source
from workbench.spec.optimization import Optimizer, Schedule, WeightDecay
from workbench.spec.part import INHERIT, Inherit, Part, part, setting


class _Scheduled:
    """What a stage and a schedule of stages have in common: they concatenate with `+` and repeat with `*`."""

    def __add__(self, other: Any) -> Stages:
        return Stages((*flat(self), *flat(other)))

    def __radd__(self, other: Any) -> Stages:
        return Stages((*flat(other), *flat(self)))

    def __mul__(self, times: Any) -> Stages:
        return Stages((*flat(self),) * times)

    __rmul__ = __mul__


class Stages(_Scheduled, tuple):  # type: ignore[type-arg,misc]
    """A schedule of stages; it concatenates with `+` and repeats with `*`."""


@part
class Stage(_Scheduled, Part):
    """A part of a training with one loss: what it trains, for how long, and what it changes.

    A setting left at `INHERIT` is the experiment's; `None` always means off.
    """

    loss: Loss = setting(doc="one loss or a weighted sum of losses")
    epochs: int = setting(at_least=1, doc="epochs of the stage")
    train: Union[Literal["all", "head"], tuple[str, ...]] = setting(
        "all",
        doc="which weights are trained: all, head, or layers by patterns such as ('stage4_*',) and the head",
    )
    advances_schedule: bool = setting(True, doc="whether its epochs move the run's learning-rate schedule")
    schedule_start: Union[float, None] = setting(
        None, at_least=0, doc="epoch of the run's schedule to go on from"
    )
    optimizer_state: Literal["keep", "reset"] = setting("keep", doc="keep or drop momentum and moments")
    sampler: Union[Sampler, None] = setting(None, doc="identities x images of a batch")
    data: Union[Source, Inherit] = setting(INHERIT)
    learning_rate: Union[Schedule, Inherit] = setting(INHERIT, doc="a schedule that starts with the stage")
    optimizer: Union[Optimizer, Inherit] = setting(INHERIT)
    weight_decay: Union[WeightDecay, Inherit, None] = setting(INHERIT)
    label_smoothing: Union[float, Inherit] = setting(INHERIT, at_least=0, below=1)
    augment: Union[Augmentation, tuple[Augmentation, ...], Inherit, None] = setting(INHERIT)
    batch_size: Union[int, Inherit] = setting(INHERIT, at_least=1)
    devices: Union[Devices, Inherit] = setting(INHERIT, place=True)
    name: Union[str, None] = setting(None, place=True)


def flat(value: Any) -> Iterator[Any]:
    """Yield the stages in a stage, a tuple, a list or any nesting of them."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from flat(item)
    else:
        yield value


def stage_name(stage: Stage) -> str:
    """Return a short name of a stage for screens and figures: `ArcFace 32`, `ArcFace, head`."""
    return str(stage.loss) + {"all": "", "head": ", head"}.get(str(stage.train), ", some layers")
