"""Wrappers around a trained model: images as they come, embeddings as they are compared."""

from __future__ import annotations

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.pixels import MIDDLE, SCALE


def wrapped(model: tf.keras.Model, uint8: bool = True, unit_length: bool = True) -> tf.keras.Model:
    """Return `model` that takes images as they come and returns embeddings as they are compared.

    Args:
        model: From images [B, h, w, 3] of about -1 to 1 to embeddings [B, d].
        uint8: Take uint8 images, 0 to 255, which become what training has (`workbench.pixels`).
        unit_length: Return embeddings of length 1.
    """
    layers = tf.keras.layers
    inputs = tf.keras.Input(model.input_shape[1:], dtype="uint8" if uint8 else None, name="images")
    x = layers.Rescaling(SCALE, -MIDDLE * SCALE, name="to_unit")(inputs) if uint8 else inputs
    x = model(x)
    if unit_length:
        x = layers.UnitNormalization(name="unit_length", dtype="float32")(x)
    return tf.keras.Model(inputs, x, name=f"{model.name}_wrapped")


def dynamic_size(model: tf.keras.Model) -> tf.keras.Model:
    """Return `model`, same weights, for images of any size; raises `SpecError` where a layer fixes the size."""
    inputs = tf.keras.Input((None, None, model.input_shape[-1]), name="images")
    try:
        copy = tf.keras.models.clone_model(model, input_tensors=inputs)
        copy.set_weights(model.get_weights())
    except (ValueError, TypeError, SpecError) as error:
        raise SpecError(
            f"a layer fixes the size of the input: {error}",
            where=model.name,
            do="build the model with GAP and a convolutional backbone",
        ) from error
    return copy
