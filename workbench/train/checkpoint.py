"""Exact state in, exact state out: what a run needs to go on as if nothing had happened.

A state is arrays (weights, optimizer, centers, random states, the epoch's running means) and facts (stage, epoch,
step, best so far). Its file is `checkpoint_file`'s.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import RecordError
from workbench.lazy import tf
from workbench.security.masking import masked

if TYPE_CHECKING:
    from workbench.train.trainer import Trainer


@dataclass(frozen=True)
class State:
    """All of a run at one step: `arrays` by name, and `facts` as JSON values."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any] = field(default_factory=dict)


def variables(trainer: Trainer) -> dict[str, tf.Variable]:
    """Return every variable whose value a resume needs, under a name that depends on order alone."""
    from workbench.optimizers import keras_optimizer

    groups: dict[str, list[tf.Variable]] = {"embedder": list(trainer.embedder.variables)}
    if trainer.head is not None:
        groups["head"] = list(trainer.head.variables)
    # Sorted, and numbered within each group: names of Keras carry counters that differ from process to process.
    for term, layer in sorted(trainer.losses_by_term.items()):
        groups[f"loss.{term}"] = list(layer.variables)
    if trainer.plan is not None:
        groups["optimizer"] = list(keras_optimizer.state(trainer.optimizer))
    for name, mean in sorted(trainer.means.items()):
        groups[f"mean.{name}"] = list(mean.variables)
    # The memory for a post-mortem too: a NaN right after a resume is explained by steps before it.
    groups["recent"] = [value for _, value in sorted(trainer.recent.items())]
    groups["random"] = generators(trainer)
    groups["step"] = [trainer.stage_step]
    return {f"{group}/{i:05d}": v for group, members in groups.items() for i, v in enumerate(members)}


def generators(model: tf.keras.Model) -> list[tf.Variable]:
    """Return the states of the layers' own random generators, which Keras leaves out of its weights."""
    found = []
    # Keras keeps these states out of `variables`; without them dropout after a resume draws other masks.
    for layer in model._flatten_layers():
        generator = getattr(getattr(layer, "_random_generator", None), "_generator", None)
        if generator is not None:
            found.append(generator.state)
    return found


def capture(trainer: Trainer, facts: Mapping[str, Any]) -> State:
    """Copy the state out of TensorFlow: the only part of saving that training waits for."""
    arrays = {name: np.asarray(value.numpy()) for name, value in variables(trainer).items()}
    arrays["random/numpy"] = np.random.get_state()[1].astype(np.uint32)  # type: ignore[union-attr,index]
    arrays["random/python"] = np.array(random.getstate()[1], np.uint64)
    # Where NumPy stands within its block of 624 words: the words alone do not say which comes next.
    position = int(np.random.get_state()[2])  # type: ignore[arg-type,index]
    return State(arrays, masked({**facts, "numpy_position": position}))


def restore(trainer: Trainer, state: State) -> None:
    """Put a state back into a trainer that stands in the same stage; raises `RecordError` on a misfit."""
    wanted = variables(trainer)
    given = {name: array for name, array in state.arrays.items() if name not in _OUTSIDE}
    # All names before any value is assigned: a state that does not fit leaves the trainer as it was built.
    if set(wanted) != set(given):
        odd = sorted(set(wanted) ^ set(given))
        raise RecordError(f"the checkpoint does not fit the spec: {odd[0]} is in only one of them")
    for name, variable in wanted.items():
        if tuple(variable.shape) != given[name].shape:
            raise RecordError(
                f"the checkpoint does not fit the spec: {name} ({variable.name}) has shape "
                f"{given[name].shape}",
                expected=str(tuple(variable.shape)),
            )
        variable.assign(given[name])
    words = state.arrays["random/numpy"].astype(np.uint32)
    np.random.set_state(("MT19937", words, int(state.facts["numpy_position"]), 0, 0.0))
    random.setstate((3, tuple(int(word) for word in state.arrays["random/python"]), None))


_OUTSIDE = ("random/numpy", "random/python")


def restore_embedder(embedder: tf.keras.Model, state: State) -> None:
    """Put only the embedding model's weights back; raises `RecordError` naming what does not fit."""
    for i, variable in enumerate(embedder.variables):
        array = state.arrays.get(f"embedder/{i:05d}")
        if array is None or array.shape != tuple(variable.shape):
            shape = None if array is None else array.shape
            raise RecordError(
                f"the checkpoint does not fit: {variable.name} has shape {shape}",
                expected=str(tuple(variable.shape)),
            )
        variable.assign(array)


def epoch_of(state: State) -> int:
    """Return the epoch a state was taken after, or within."""
    return int(state.facts.get("epoch", 0)) + bool(state.facts.get("epoch_step", 0))
