"""What every backbone must do: build, forward, backward, save, load with equal outputs, mixed precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from workbench.models.backbones import custom_objects
from workbench.models.embeddings import E
from workbench.spec.interfaces import Backbone


def model_of(backbone: Backbone) -> tf.keras.Model:
    """Return the backbone with a small embedding head."""
    inputs = tf.keras.Input((backbone.image_size, backbone.image_size, 3), name="images")
    return tf.keras.Model(inputs, E(size=8).build(backbone.build(inputs)), name="embedder")


def images(backbone: Backbone, count: int = 2) -> tf.Tensor:
    """Return the same random images at every call."""
    shape = [count, backbone.image_size, backbone.image_size, 3]
    return tf.random.stateless_uniform(shape, [1, 2], -1.0, 1.0)


def check(backbone: Backbone, folder: Path) -> tf.keras.Model:
    """Assert the contract of one backbone; return its model."""
    model, batch = model_of(backbone), images(backbone)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(batch, training=True) - 1.0))
    gradients = tape.gradient(loss, model.trainable_variables)
    lost = [v.name for v, g in zip(model.trainable_variables, gradients) if g is None]
    assert not lost, f"no gradient reaches {lost}"
    assert np.isfinite([float(tf.reduce_max(tf.abs(g))) for g in gradients]).all()
    before = model(batch, training=False).numpy()
    assert before.shape == (2, 8) and np.isfinite(before).all()
    path = str(folder / "model.h5")
    model.save(path, include_optimizer=False)
    loaded = tf.keras.models.load_model(path, compile=False, custom_objects=custom_objects.layers())
    np.testing.assert_allclose(loaded(batch, training=False), before, rtol=1e-5, atol=1e-5)
    again = check_mixed_precision(backbone)
    names = [[w.name.split("/")[0] for w in m.weights] for m in (model, again)]
    assert names[0] == names[1], "layer names change from one building to the next"
    return model


def check_mixed_precision(backbone: Backbone) -> tf.keras.Model:
    """Assert that half-precision layers give finite float32 embeddings from float32 weights."""
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = model_of(backbone)
        found = model(images(backbone), training=True)
        assert found.dtype == tf.float32 and np.isfinite(found).all()
        assert {w.dtype for w in model.trainable_weights} == {tf.float32}
        assert any(layer.compute_dtype == "float16" for layer in model.layers)
        return model
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
