"""Copy a Keras model layer by layer, some layers replaced, every other weight carried over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.errors import SpecError
from workbench.lazy import Lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = Lazy("tensorflow")

Replace = Callable[[Any], Any]  # a layer -> the layer to stand in its place, or None to copy it


def rewrite(model: tf.keras.Model, replace: Replace, missing: str) -> tf.keras.Model:
    """Return a copy of a functional `model` in which `replace` was asked about every layer.

    A replacement keeps the name of what it replaces and comes with its weights; layers within nested
    models are asked about too. Raises `SpecError` with the words `missing` where nothing was replaced.
    """
    replaced: set[int] = set()

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        new = replace(layer)
        if new is None:
            return type(layer).from_config(layer.get_config())
        replaced.add(id(layer))
        return new

    copy = tf.keras.models.clone_model(model, clone_function=clone)
    if not replaced:
        raise SpecError(missing, where=model.name, do="leave this step out")
    _carry(model, copy, replaced)
    return copy


def _carry(source: tf.keras.Model, target: tf.keras.Model, replaced: set[int]) -> None:
    twins = {layer.name: layer for layer in target.layers}
    for layer in source.layers:
        if id(layer) in replaced or not layer.weights:
            continue
        if isinstance(layer, tf.keras.Model):
            _carry(layer, twins[layer.name], replaced)
        else:
            twins[layer.name].set_weights(layer.get_weights())


def reconfigured(layer: tf.keras.layers.Layer, **changes: Any) -> tf.keras.layers.Layer:
    """Return a built copy of `layer` with some of its configuration changed and the same weights."""
    new = type(layer).from_config({**layer.get_config(), **changes})
    new.build(layer.input_shape)
    new.set_weights(layer.get_weights())
    return new
