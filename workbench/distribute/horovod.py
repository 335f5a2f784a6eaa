"""Horovod's processes: no strategy of TensorFlow, the same step, sums by Horovod (Gloo, MPI or NCCL)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from workbench.distribute import collectives
from workbench.distribute.group import Group
from workbench.errors import InputError
from workbench.lazy import tf

# The newest TensorFlow at the time of Horovod 0.28.1, its last release, that it was tried with.
BUILDS_UP_TO = (2, 15)


def engine() -> Any:
    """Return Horovod's module, started; raises `InputError` where it cannot be."""
    try:
        import horovod.tensorflow as module
    except ImportError as error:
        minor = tf.__version__.rpartition(".")[0]
        if tuple(map(int, minor.split("."))) > BUILDS_UP_TO:
            raise InputError(
                f"its last release is older than TensorFlow {minor} and not built for it",
                where="Horovod",
                do="take MultiWorker(), or Python 3.10 or 3.11 with TensorFlow 2.15 (docs/devices.md)",
            ) from error
        raise InputError(
            "Horovod is not installed", where="Horovod", do="build it with `make horovod` (docs/devices.md)"
        ) from error
    if "HOROVOD_SIZE" not in os.environ and "OMPI_COMM_WORLD_SIZE" not in os.environ:
        raise InputError(
            "was started by hand",
            where="Horovod",
            expected="horovodrun -np 2 workbench run SPEC",
        )
    # Before any device is asked for: the local rank, which chooses this process's GPU, is known only after it.
    module.init()
    return module


class HorovodGroup(Group):
    """One replica a process."""

    def __init__(self, device: str, module: Any, sync_norms: bool) -> None:
        super().__init__(device)
        self.module, self.sync_norms = module, sync_norms
        self.rank, self.workers = int(module.rank()), int(module.size())
        self.replicas = self.workers
        collectives.use_horovod(module)

    def ready(self, embedder: tf.keras.Model) -> None:
        if self.sync_norms:
            from workbench.distribute.sync_batch_norm import synchronise

            synchronise(embedder)

    def feed(self, make: Any) -> Any:
        return make((self.rank, self.workers))

    def share(self, content: bytes | None) -> bytes:
        given = (content or b"") if self.chief else b""
        # The length first: the others must hand in a buffer of the right size.
        length = int(self.module.broadcast(tf.constant(len(given), tf.int64), 0, name="workbench.length"))
        bytes_ = np.frombuffer(given, np.uint8) if self.chief else np.zeros(length, np.uint8)
        # The length is part of the name: Horovod pairs the processes' messages by
        # name and keeps what it knows of them.
        result = self.module.broadcast(tf.constant(bytes_), 0, name=f"workbench.bytes.{length}")
        return bytes(result.numpy().tobytes())

    def lost(self, error: BaseException) -> bool:
        # Horovod has no class for a lost process; these are the three that its operations raise then.
        return isinstance(error, (tf.errors.UnknownError, tf.errors.InternalError, tf.errors.AbortedError))

    def settle(self, states: Iterable[tf.Variable]) -> None:
        for state in states:  # each process draws numbers of its own, as the replicas of a strategy do
            key = np.array(state.numpy())
            # The last word is the key of the generator, the others its counter, which must stay equal for a resume.
            key[-1] += self.rank
            state.assign(key)


def gather_facts(module: Any, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what every process says of itself, in the order of their ranks."""
    import json

    mine = np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)
    lengths = module.allgather(tf.constant([len(mine)], tf.int64), name="workbench.lengths").numpy()
    every = module.allgather(tf.constant(mine), name="workbench.facts").numpy().tobytes()
    ends = np.cumsum(lengths)
    return [json.loads(every[int(end - length) : int(end)]) for end, length in zip(ends, lengths)]
