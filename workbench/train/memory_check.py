"""Whether a batch fits this machine's memory, asked before the first step: afterwards nobody is left to say it.

TensorFlow on a processor answers a refused allocation with a segmentation fault, and Linux ends who takes too much.
What is counted is only what a step surely keeps at once: the images, the output of each layer that the way back
needs, and the weights with their gradients. A step takes more than that, up to twice.
"""

from __future__ import annotations

import math
from typing import Any

from workbench import names
from workbench.lazy import tf
from workbench.security.free_memory import available_bytes, gigabytes
from workbench.spec.plan import Plan
from workbench.surgery.freezing import leaves
from workbench.train.request import StopTraining


def require_memory(trainer: Any, plan: Plan, workers: int = 1) -> None:
    """Raise `StopTraining` for a batch that cannot fit; GPUs have memory of their own, and TensorFlow says when."""
    if tf.config.get_visible_devices("GPU"):
        return
    own = -(-plan.batch_size // workers)
    taken, there = needed_bytes(trainer.embedder, own, plan.train != "head"), available_bytes()
    if taken > there:
        raise StopTraining(
            names.FAILED,
            f"out of memory: a step with {own} images takes at least {gigabytes(taken)}, "
            f"{gigabytes(there)} are free; try a smaller batch_size or network",
        )


def needed_bytes(network: Any, batch_size: int, deep: bool) -> int:
    """Return the bytes that a step keeps at the least; without `deep` only the head is trained.

    Counted are layers with weights: activations and sums may work in the memory of what they are given.
    """
    kept = [_numbers(layer) for layer in leaves(network)]
    kept = kept if deep else [max(kept, default=0)]
    size = 2 if tf.keras.mixed_precision.global_policy().compute_dtype in ("float16", "bfloat16") else 4
    image = math.prod(network.input_shape[1:])
    each = image * (1 + size) + size * sum(kept)
    weights = sum(math.prod(variable.shape) for variable in network.trainable_variables) if deep else 0
    return batch_size * each + 4 * weights  # gradients; the weights themselves are there already


def _numbers(layer: Any) -> int:
    """Return how many numbers a layer gives for one image; 0 where that is open."""
    shapes = getattr(layer, "output_shape", None)
    found = [shapes] if isinstance(shapes, tuple) and not isinstance(shapes[0], tuple) else list(shapes or ())
    return sum(math.prod(shape[1:]) for shape in found if None not in shape[1:])
