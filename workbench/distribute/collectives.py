"""What the replicas of one training step do together: sum, average and gather, inside the graph.

A replica is one device's share of a step. Within a strategy of TensorFlow the replica context knows the
others; within Horovod every process is a replica. On one device these functions return their argument
itself, so that the graph is what it was without them.

Losses use them in training only: evaluation is the chief's alone, and must never wait for the others.
All replicas receive the same bits, so a state computed from them stays equal everywhere. Gradients pass
through: the step sums gradients over replicas, each of which counts its loss as `shared` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.lazy import tf

# A million floats, 4 MB: beyond it copying into one tensor costs more than the round of messages it saves.
PACKED = 1 << 20  # numbers; gradients up to this size are summed together
_engine: list[Any] = []  # Horovod's module while a Horovod group is at work


def use_horovod(module: Any | None) -> None:
    """Let all steps of this process work through Horovod's `module`, or (None) no longer."""
    _engine[:] = [] if module is None else [module]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let the steps that are traced within be those of this process by itself."""
    # `profile` traces a step of one process inside a group; the group's engine comes back whatever happens.
    kept = list(_engine)
    _engine.clear()
    try:
        yield
    finally:
        _engine[:] = kept


def _horovod() -> Any:
    return _engine[0] if _engine else None


def _context() -> Any:
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def count() -> int:
    """Return how many replicas do the step that is being traced; 1 outside a step of several."""
    if _horovod() is not None:
        return int(_horovod().size())
    # Asked while the step is traced, so the graph holds the number: it cannot change within a strategy's life.
    context = _context()
    return int(context.num_replicas_in_sync) if context is not None else 1


def total(value: tf.Tensor) -> tf.Tensor:
    """Return the sum of `value` over all replicas."""
    if count() == 1:
        return value
    if _horovod() is not None:
        return _horovod().allreduce(value, op=_horovod().Sum)
    return _context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def mean(value: tf.Tensor) -> tf.Tensor:
    """Return the mean of `value` over all replicas."""
    # Sum, then division, for strategies and Horovod alike: their own means need not round alike.
    return value if count() == 1 else total(value) / float(count())


def gather(value: tf.Tensor) -> tf.Tensor:
    """Return [n * B, ...]: the `value` [B, ...] of all replicas, one after another."""
    if count() == 1:
        return value
    if _horovod() is not None:
        return _gathered_by_horovod(value)
    here = tf.identity(value)  # what comes straight from the data set has no device yet, and is refused
    return _context().all_gather(here, axis=0)


def shared(loss: tf.Tensor) -> tf.Tensor:
    """Return a replica's share of the loss: the mean over replicas is the loss of the global batch."""
    return loss if count() == 1 else loss / float(count())


def total_gradients(gradients: Sequence[Any], same_rows: bool = False) -> list[Any]:
    """Return the sums over replicas of a step's gradients; None stays None.

    With `same_rows` a gradient of some rows has the same rows on all replicas, so that its values are
    summed as they are; else rows are gathered, n times as many as one replica has.
    """
    if count() == 1:
        return list(gradients)
    # A variable that the loss does not reach has no gradient on any replica; a collective over None would hang.
    places = [i for i, gradient in enumerate(gradients) if gradient is not None]
    sparse = {i: gradients[i] for i in places if same_rows and isinstance(gradients[i], tf.IndexedSlices)}
    given = [sparse[i].values if i in sparse else gradients[i] for i in places]
    if _horovod() is not None:
        sums = _horovod().grouped_allreduce(given, op=_horovod().Sum)
    else:
        sums = _sums_packed(given)
    result: list[Any] = [None] * len(gradients)
    for i, value in zip(places, sums):
        rows = sparse.get(i)
        result[i] = value if rows is None else tf.IndexedSlices(value, rows.indices, rows.dense_shape)
    return result


def stacked(value: tf.Tensor) -> tf.Tensor:
    """Return [n, ...]: the `value` [...] of all replicas. For small ones: a sum of n times the size, sent once.

    (TensorFlow's own gathering first asks everybody for the size.)
    """
    if _horovod() is not None or count() == 1:
        return gather(value[tf.newaxis])
    place = tf.convert_to_tensor(_context().replica_id_in_sync_group)
    # Zeros everywhere but in one's own place: the sum puts the parts side by side without asking for sizes.
    mine = tf.reshape(tf.equal(tf.range(count()), place), [count()] + [1] * value.shape.rank)
    return total(tf.where(mine, value[tf.newaxis], tf.zeros_like(value)[tf.newaxis]))


def _sums_packed(given: Sequence[Any]) -> list[Any]:
    """Return the sums over a strategy's replicas; small tensors travel together, for each sum costs a round."""
    # The order of the tensors is the same on all replicas, as it is that of the variables: packs must match.
    small = [i for i, value in enumerate(given) if _is_small(value)]
    if len(small) < 2:
        return list(_context().all_reduce(tf.distribute.ReduceOp.SUM, list(given)))
    sizes = [given[i].shape.num_elements() for i in small]
    pack = tf.concat([tf.reshape(given[i], [-1]) for i in small], 0)
    large = [i for i in range(len(given)) if i not in set(small)]
    sums = _context().all_reduce(tf.distribute.ReduceOp.SUM, [pack, *(given[i] for i in large)])
    result: list[Any] = [None] * len(given)
    for i, part in zip(small, tf.split(sums[0], sizes)):
        result[i] = tf.reshape(part, given[i].shape)
    for i, value in zip(large, sums[1:]):
        result[i] = value
    return result


def _is_small(value: Any) -> bool:
    # float32 of a known size only: rows of a sampled head have no fixed size, and mixed types do not concatenate.
    known = isinstance(value, tf.Tensor) and value.dtype == tf.float32 and value.shape.is_fully_defined()
    return bool(known and value.shape.num_elements() <= PACKED)


def _gathered_by_horovod(value: tf.Tensor) -> tf.Tensor:
    """Gather as a strategy does. (Horovod's own gradient of it is the mean over processes, not the sum.)"""
    engine = _horovod()

    @tf.custom_gradient
    def function(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            rows = tf.shape(x)[0]
            first = int(engine.rank()) * rows
            return engine.allreduce(upstream, op=engine.Sum)[first : first + rows]

        return engine.allgather(x), gradient

    return function(value)
