"""Training steps of our backbones against keras.applications' own; TFLite against Keras, image by image."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from paired import Row, compare, compare_measured, main

from workbench.export.formats import Target, write
from workbench.models.backbones.count_ops import network
from workbench.models.backbones.keras_nets import (
    EfficientNet,
    EfficientNetV2,
    KerasApplication,
    MobileNetV2,
    MobileNetV3,
    ResNet,
    ResNetV2,
)
from workbench.models.backbones.mobilenet import MobileNet
from workbench.models.embeddings import GDC
from workbench.spec.interfaces import Backbone

SIZE, BATCH = 112, 16


def training_step(model: tf.keras.Model) -> Callable[[], Any]:
    """Return one SGD step of `model` on a fixed batch, compiled."""
    optimizer = tf.keras.optimizers.legacy.SGD(0.01, momentum=0.9)
    images = tf.random.stateless_uniform([BATCH, SIZE, SIZE, 3], [1, 2], -1.0, 1.0)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, training=True)))
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        )
        return loss

    return lambda: step().numpy()


def keras(name: str) -> tf.keras.Model:
    """Return keras.applications' own network."""
    scaling = {"include_preprocessing": False} if name.startswith(("MobileNetV3", "EfficientNetV2")) else {}
    return getattr(tf.keras.applications, name)(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), **scaling
    )


def tflite_row() -> Row:
    """Return the time of a float TFLite model against Keras's `predict`, one image a call."""
    inputs = tf.keras.Input([SIZE, SIZE, 3])
    model = tf.keras.Model(inputs, GDC(size=512).build(MobileNet().build(inputs)), name="embedder")
    image = np.random.default_rng(0).uniform(-1, 1, [1, SIZE, SIZE, 3]).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        write(model, Target("tflite"), path, None)
        interpreter = tf.lite.Interpreter(str(path), num_threads=2)
    interpreter.allocate_tensors()
    entry, end = (
        details[0]["index"] for details in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def lite() -> None:
        interpreter.set_tensor(entry, image)
        interpreter.invoke()
        interpreter.get_tensor(end)

    ratio = compare(lite, lambda: model.predict(image, verbose=0), repeats=9, number=5)
    return Row("TFLite float / Keras predict, MobileNet, batch of one", ratio, note="for information")


PAIRS: dict[str, Callable[[], Backbone]] = {  # MobileNet is built here, the others are copies of Keras's
    "MobileNet": lambda: MobileNet(activation="relu6", norm_momentum=0.99, norm_epsilon=1e-3),
    "MobileNetV2": MobileNetV2,
    "MobileNetV3Large": MobileNetV3,
    "ResNet50": ResNet,
    "ResNet50V2": ResNetV2,
    "EfficientNetB0": EfficientNet,
    "EfficientNetV2B0": EfficientNetV2,
    "DenseNet121": lambda: KerasApplication("DenseNet121"),
}


def training_row(name: str, repeats: int = 9) -> Row:
    """Return the processor time of our training step to that of keras.applications, wall clock beside it.

    Wall clock alone says little on a machine that does other work: equal networks differed by half.
    """
    ours, reference = training_step(network(PAIRS[name]())), training_step(keras(name))
    wall = []

    def timed(step: Callable[[], Any]) -> float:
        began = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - began[0])
        return time.process_time() - began[1]

    ours(), reference()
    ratio = compare_measured(lambda: timed(ours), lambda: timed(reference), repeats)
    tf.keras.backend.clear_session()
    first, second = wall[0::2], wall[1::2]  # ours goes first in every other pair
    walls = statistics.median(a / b if n % 2 == 0 else b / a for n, (a, b) in enumerate(zip(first, second)))
    note = f"processor time; wall clock {walls:.2f}x; {BATCH} images of {SIZE} x {SIZE}"
    return Row(f"training step of {name} / keras.applications'", ratio, at_most=1.05, note=note)


def rows() -> list[Row]:
    """Measure every pair."""
    return [*map(training_row, PAIRS), tflite_row()]


if __name__ == "__main__":
    main(rows)
