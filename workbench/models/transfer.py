"""Weights from one network into another, layer by layer: what fits is taken, a head is dropped, a misfit is named.

The order of the layers decides, not their names, which differ from program to program. Every layer of the
backbone must fit. The layers that make the embedding are taken where all of them fit, and start anew
otherwise; whatever the other network has after them (its classification head) is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import DataError
from workbench.lazy import tf
from workbench.surgery.freezing import leaves

EMBEDDING = (  # names of the layers with weights that `workbench.models.embeddings` makes
    "pointwise_conv",
    "pointwise_bn",
    "pointwise_prelu",
    "gdc_dw",
    "gdc_bn",
    "gdc_conv",
    "embedding_bn",
    "embedding_dense",
    "embedding_prelu",
    "pre_embedding",
)


class Weights(NamedTuple):
    """The arrays of one layer, in Keras's order."""

    name: str
    arrays: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        return f"{self.name!r} {', '.join(str(array.shape) for array in self.arrays)}"


def of_model(model: tf.keras.Model) -> list[Weights]:
    """Return the layers with weights of a Keras model, in order, those of nested models too."""
    return [Weights(layer.name, tuple(layer.get_weights())) for layer in leaves(model)]


def of_saved_model(path: Path) -> list[Weights]:
    """Return the layers of a SavedModel without Keras's own description (as `export` writes it).

    Its variables are named `layer/weight`; those of one layer are gathered. Raises `DataError`.
    """
    try:
        variables = tf.saved_model.load(str(path)).variables
    except (OSError, ValueError, AttributeError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"is not a model with weights ({words})", where=path) from error
    found: dict[str, list[np.ndarray]] = {}
    for variable in variables:
        found.setdefault(variable.name.split("/")[0], []).append(variable.numpy())
    return [Weights(name, tuple(arrays)) for name, arrays in found.items()]


def of_arrays(embedder: tf.keras.Model, arrays: Sequence[np.ndarray]) -> list[Weights]:
    """Return arrays without names, in the order of a model's variables, as if its layers were those here."""
    rest, found = list(arrays), []
    for layer in leaves(embedder):
        count = len(layer.weights)
        found.append(Weights(layer.name, tuple(rest[:count])))
        rest = rest[count:]
    return [*(item for item in found if item.arrays), *(Weights("another layer", (array,)) for array in rest)]


def take(embedder: tf.keras.Model, theirs: Sequence[Weights], where: Any) -> list[str]:
    """Put the weights of another network into `embedder`; return in words what was left out.

    Raises `DataError` naming the first layer of the backbone that does not fit; then nothing is changed.
    """
    mine = list(leaves(embedder))
    border = next((i for i, layer in enumerate(mine) if layer.name in EMBEDDING), len(mine))
    for layer, other in zip(mine[:border], theirs):
        if not _fits(layer, other):
            raise DataError(
                f"its layer {other} does not fit {Weights(layer.name, tuple(layer.get_weights()))} of this network",
                where=where,
                do="start from a model of the same backbone and width",
            )
    if len(theirs) < border:
        raise DataError(
            f"has {len(theirs)} layers with weights, this network {border} before its embedding",
            where=where,
            do="start from a model of the same backbone and depth",
        )
    head = mine[border:]
    whole = len(theirs) >= len(mine) and all(_fits(a, b) for a, b in zip(head, theirs[border:]))
    taken = len(mine) if whole else border
    for layer, other in zip(mine[:taken], theirs):
        layer.set_weights(list(other.arrays))
    notes = []
    if not whole:
        notes.append(f"the embedding ({head[0].name} and after) starts anew: the one of {where} does not fit")
    if len(theirs) > taken:
        dropped = ", ".join(other.name for other in theirs[taken:][:3])
        notes.append(f"{len(theirs) - taken} layers of {where} are dropped: {dropped}")
    return notes


def _fits(layer: tf.keras.layers.Layer, other: Weights) -> bool:
    return [tuple(weight.shape) for weight in layer.weights] == [array.shape for array in other.arrays]
