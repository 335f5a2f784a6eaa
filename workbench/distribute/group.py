"""The processes and devices that do one training together, as the runner sees them.

`Group` is one device and does nothing. The chief (rank 0) measures, records and saves; the others
compute their part of each step and follow what the chief tells them: its `share`d bytes, and the
signals that travel with each step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from workbench.lazy import tf

# 16 MB a message: a state of many gigabytes is never in memory once more as one tensor.
CHUNK = 1 << 22  # numbers sent at a time


class Group:
    """One process with one device: the base of the others."""

    workers, rank, replicas = 1, 0, 1

    def __init__(self, device: str) -> None:
        self.device = device
        self.members: tuple[Mapping[str, Any], ...] = ()  # what each worker reported of itself

    @property
    def chief(self) -> bool:
        """Whether this process measures, records and saves."""
        return self.rank == 0

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which models and their variables are made."""
        return contextlib.nullcontext()

    def ready(self, embedder: tf.keras.Model) -> None:
        """Change a fresh network as the group needs it."""

    def feed(self, make: Callable[[tuple[int, int]], tf.data.Dataset]) -> Any:
        """Return what `fit` reads; `make((k, n))` gives the k-th of n parts of every batch."""
        return make((0, 1))

    def share(self, content: bytes | None) -> bytes:
        """Return the chief's `content` on every worker; what the others pass is ignored."""
        assert content is not None
        return content

    def broadcast(self, variables: Iterable[tf.Variable]) -> None:
        """Give every worker the chief's values of `variables`."""
        if self.workers == 1:
            return
        # One message for all variables: networks have hundreds, and each message waits for the slowest worker.
        every = list(variables)
        mine = [np.ascontiguousarray(variable.numpy()) for variable in every]
        # The others send what they have only for its length: `share` ignores it and returns the chief's.
        content, position = self.share(b"".join(array.tobytes() for array in mine)), 0
        for variable, array in zip(every, mine):
            part = content[position : position + array.nbytes]
            variable.assign(np.frombuffer(part, array.dtype).reshape(array.shape))
            position += array.nbytes

    def settle(self, states: Iterable[tf.Variable]) -> None:
        """Make the random `states` of layers differ between processes, after a stage is set up."""

    def lost(self, error: BaseException) -> bool:
        """Tell whether a step failed with `error` because another worker is gone."""
        return False


class MirroredGroup(Group):
    """Several devices of one process."""

    def __init__(self, device: str, strategy: tf.distribute.Strategy, sync_norms: bool) -> None:
        super().__init__(device)
        self.strategy, self.sync_norms = strategy, sync_norms
        self.replicas = int(strategy.num_replicas_in_sync)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        stack = contextlib.ExitStack()
        stack.enter_context(self.strategy.scope())
        # Entered after the strategy's scope: the innermost creator is asked first, and must
        # change ON_READ before the strategy sees it.
        stack.enter_context(tf.variable_creator_scope(_alike))
        return stack

    def ready(self, embedder: tf.keras.Model) -> None:
        if self.sync_norms:
            from workbench.distribute.sync_batch_norm import synchronise

            synchronise(embedder)

    def feed(self, make: Callable[[tuple[int, int]], tf.data.Dataset]) -> Any:
        # A worker reads its part of each batch and cuts it among its own devices: every image goes to one device.
        parts = self.replicas // self.workers

        def local(context: Any) -> tf.data.Dataset:
            return cut(make((self.rank, self.workers)), parts)

        return self.strategy.distribute_datasets_from_function(local)


def _alike(make: Callable[..., Any], **settings: Any) -> Any:
    """Create a variable that every replica writes by itself, with equal values.

    Every value that the step writes is equal on all replicas or means nothing to the others. So no
    variable is averaged when it is read: reading one must never wait for another worker. (Without
    synchronised normalisation the moving statistics are those of the first device.)
    """
    if settings.get("synchronization") == tf.VariableSynchronization.ON_READ:
        settings["synchronization"] = tf.VariableSynchronization.ON_WRITE
        settings["aggregation"] = tf.VariableAggregation.NONE
    return make(**settings)


def cut(batches: tf.data.Dataset, parts: int) -> tf.data.Dataset:
    """Return `batches` with each cut into `parts` equal ones; numbers of the whole batch are repeated."""
    if parts == 1:
        return batches

    def pieces(value: tf.Tensor) -> tf.Tensor:
        if value.shape.rank == 0:
            return tf.repeat(value, parts)
        return tf.reshape(value, [parts, value.shape[0] // parts, *value.shape[1:]])

    def several(*row: Any) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(pieces, row))

    # Prefetched behind the cut: each device asks for a piece of its own, and must not wait for the next batch.
    return batches.flat_map(several).prefetch(2 * parts)


def as_numbers(content: bytes) -> np.ndarray:
    """Return bytes as float32 numbers below 65536, which every kind of collective sums exactly."""
    # Every kind of collective sums float32. Up to 65535 nothing is rounded in it, and
    # the zeros of the other workers add nothing.
    padded = content + b"\0" * (len(content) % 2)
    return np.frombuffer(padded, "<u2").astype(np.float32)


def as_bytes(numbers: np.ndarray, length: int) -> bytes:
    """Return the bytes that `as_numbers` made numbers of."""
    return bytes(numbers.astype("<u2").tobytes()[:length])
