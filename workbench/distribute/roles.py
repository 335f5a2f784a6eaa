"""Which part this process plays in a training of several processes, known before TensorFlow starts."""

from __future__ import annotations

import os
from collections.abc import Sequence

from workbench.distribute import cluster
from workbench.distribute.settings import Horovod, MultiWorker
from workbench.errors import InputError
from workbench.spec.devices import Devices


def in_processes(settings: Devices) -> bool:
    """Tell whether a training on these devices consists of several processes."""
    return isinstance(settings, (MultiWorker, Horovod))


def is_worker(settings: Devices) -> bool:
    """Tell whether this process is not the chief: it then does what the chief was asked to run."""
    if isinstance(settings, MultiWorker):
        # From the environment alone: this is asked before TensorFlow may start.
        return cluster.find(settings.hosts).index > 0
    if isinstance(settings, Horovod):
        return int(os.environ.get("HOROVOD_RANK", "0")) > 0
    return False


def refuse_several(settings: Sequence[Devices]) -> None:
    """Refuse several experiments at once where one of them needs several processes that start together."""
    if len(settings) > 1 and any(in_processes(one) for one in settings):
        raise InputError(
            f"{len(settings)} experiments, and a training of several processes among them",
            where="devices",
            expected="one at a time",
            do="name one variant: workbench run SPEC NAME",
        )
