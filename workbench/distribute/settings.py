"""The settings of several devices: several of one machine, several machines, or Horovod's processes.

All of them mean one training with one global batch: `batch_size` is over all devices and must divide
among them, and no learning rate is changed on its account. Nothing here imports TensorFlow.
"""

from __future__ import annotations

from typing import Any, Union

from workbench.distribute import cluster
from workbench.errors import SpecError
from workbench.spec.devices import Devices, ManyDevices, OneDevice
from workbench.spec.part import part, setting


@part
class Mirrored(ManyDevices):
    """All GPUs of this machine, or `count` of them, in one process (TensorFlow's MirroredStrategy).

    With `kind="cpu"` the CPU is divided into `count` logical devices: slower than one, but the same
    code, so that a spec can be tried where there is no GPU.
    """

    count: Union[int, None] = setting(None, at_least=1, at_most=64, doc="devices to use; None: all GPUs")

    def check(self) -> None:
        if self.kind == "cpu" and self.count is None:
            raise SpecError("count is missing", where='Mirrored(kind="cpu")', expected="count=2 or more")

    def quick(self) -> Any:
        """Return one device unless `kind` says which: the small form runs on any machine, with the same results."""
        return on_one(self) if self.kind is None else self


def on_one(settings: Devices) -> OneDevice:
    """Return one device with what else `settings` say."""
    return OneDevice(**{name: getattr(settings, name) for name in OneDevice().settings()})


@part
class MultiWorker(ManyDevices):
    """One process a machine, on several machines (TensorFlow's MultiWorkerMirroredStrategy).

    The machines come from the variable TF_CONFIG, or from `hosts` in the spec. With `hosts`, a machine
    finds its own place by its addresses, or by WORKBENCH_WORKER=k (0 is the chief). All GPUs of each
    machine take part; without GPUs each machine is one device.
    """

    hosts: tuple[str, ...] = setting((), doc="address:port of each worker, the chief first; (): TF_CONFIG")
    wait_seconds: float = setting(300.0, above=0, doc="how long workers wait for each other at the start")

    def check(self) -> None:
        for host in self.hosts:
            cluster.need_address(host, "MultiWorker.hosts")
        if len(set(self.hosts)) != len(self.hosts):
            raise SpecError("a worker is listed twice", where="MultiWorker.hosts", expected="one entry each")


@part
class Horovod(ManyDevices):
    """One process a device, started by `horovodrun -np N workbench run SPEC` (extra `horovod`).

    Each process uses the GPU of its local rank; without GPUs, the CPU.
    """
