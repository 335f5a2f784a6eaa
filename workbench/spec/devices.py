"""Where a run executes: what every setting of devices says, and one device, the default."""

from __future__ import annotations

from typing import Literal, Union

from workbench.spec.part import Part, part, setting


@part
class Devices(Part):
    """Where and how a run executes; no part of a run's identity."""

    deterministic: bool = setting(True, doc="repeatable operations: equal seeds give equal bits")
    xla: bool = setting(False, doc="compile the training step with XLA; for GPUs, very slow on CPUs")
    steps_per_execution: int = setting(1, at_least=1, doc="steps between two returns to Python")
    memory_growth: bool = setting(True, doc="take GPU memory as needed instead of all at once")
    kind: Union[Literal["gpu", "cpu"], None] = setting(
        None, doc="what the run must execute on, or is refused; None: GPUs where there are some, else the CPU"
    )


@part
class OneDevice(Devices):
    """One device: the first GPU that TensorFlow sees, else the CPU."""


@part
class ManyDevices(Devices):
    """Several devices that train one network with one global batch."""

    sync_norms: bool = setting(
        True, doc="batch normalisation over the global batch, as on one device; False: each device's own part"
    )
