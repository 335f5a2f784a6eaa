"""Several machines under TensorFlow's MultiWorkerMirroredStrategy, and what its workers tell each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.distribute.group import CHUNK, MirroredGroup, as_bytes, as_numbers
from workbench.lazy import tf


class WorkersGroup(MirroredGroup):
    """One process a machine; a lost worker ends the step on the others with an error."""

    def __init__(
        self, device: str, strategy: tf.distribute.Strategy, sync_norms: bool, rank: int, workers: int
    ) -> None:
        super().__init__(device, strategy, sync_norms)
        self.rank, self.workers = rank, workers

    def share(self, content: bytes | None) -> bytes:
        given = (content or b"") if self.chief else b""
        # Two halves: a float32 counts exactly only up to 2^24, and states are larger.
        size = self._summed(np.array([len(given) % 65536, len(given) // 65536], np.float32))
        length = int(size[0]) + 65536 * int(size[1])
        # Sharing by summing: the strategy offers no broadcast, and zeros of the others leave the chief's numbers.
        numbers = as_numbers(given) if self.chief else np.zeros((length + 1) // 2, np.float32)
        parts = [self._summed(numbers[at : at + CHUNK]) for at in range(0, len(numbers), CHUNK)]
        return as_bytes(np.concatenate(parts) if parts else np.zeros(0, np.float32), length)

    def _summed(self, numbers: np.ndarray) -> np.ndarray:
        """Return the sum over all workers; on the others the numbers are 0."""

        def step(value: tf.Tensor) -> Any:
            context: Any = tf.distribute.get_replica_context()
            # On the chief only its first device hands the numbers in, else they would be summed once a GPU.
            first = tf.equal(context.replica_id_in_sync_group, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, value, 0.0))

        result = self.strategy.run(step, args=(tf.constant(numbers),))
        return np.asarray(self.strategy.experimental_local_results(result)[0])

    def lost(self, error: BaseException) -> bool:
        kinds = tf.errors
        # A lost worker shows up as whichever of these the collective was waiting in; a mistake of the step itself is
        # an InvalidArgumentError and is not among them.
        return isinstance(
            error,
            (
                kinds.UnavailableError,
                kinds.AbortedError,
                kinds.InternalError,
                kinds.CancelledError,
                kinds.DeadlineExceededError,
                kinds.UnknownError,
                kinds.FailedPreconditionError,
            ),
        )
