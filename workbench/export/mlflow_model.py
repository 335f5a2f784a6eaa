"""A network as an MLflow model: a SavedModel that TensorFlow alone opens, with signature, example and settings.

`mlflow.pyfunc.load_model` and `mlflow models serve` need TensorFlow and MLflow, and nothing of this package: the graph
holds own layers as operations. Images go in as bytes, as they come from files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.export import linked_weights
from workbench.export.formats import quiet
from workbench.lazy import tf
from workbench.surgery.wrap import wrapped
from workbench.tracking.logged_models import GRAPH
from workbench.tracking.mlflow_client import quiet_mlflow

SERVING_EXAMPLE = "serving_input_example.json"


def write(
    network: tf.keras.Model,
    folder: Path,
    image: np.ndarray,
    facts: Mapping[str, Any],
    unit_length: bool,
    checkpoint: Path | None = None,
) -> None:
    """Write `network`, which takes float images of -1..1, into the new `folder`.

    Args:
        network: A Keras model with one input and one output.
        folder: Where the files go; it must not be there yet.
        image: The input example, uint8 [s, s, 3].
        facts: JSON values that say where the model comes from; they are the model's metadata.
        unit_length: Return vectors of length 1, as embeddings are compared; not for logits.
        checkpoint: The file that the network's weights are from, to be linked instead of copied where that can be.
    """
    quiet_mlflow()
    import mlflow.tensorflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    quiet_mlflow()  # the import sets the level of its logger anew
    with quiet():
        model = wrapped(network, unit_length=unit_length)
        shape, size = (-1, *model.input_shape[1:]), int(model.output_shape[-1])
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype("uint8"), shape)]),
            outputs=Schema([TensorSpec(np.dtype("float32"), (-1, size))]),
        )
        mlflow.tensorflow.save_model(
            _module(model),
            str(folder),
            signature=signature,
            input_example=image[None],
            pip_requirements=[f"tensorflow=={tf.__version__}"],
            metadata=dict(facts),
        )
    if checkpoint is not None:
        linked_weights.link(folder / GRAPH, checkpoint)
    # MLflow writes each of the example's numbers on a line of its own, five times what they need.
    example = folder / SERVING_EXAMPLE
    example.write_text(json.dumps(json.loads(example.read_text(encoding="utf-8"))), encoding="utf-8")


def _module(model: tf.keras.Model) -> tf.Module:
    """Return what is saved: the variables and one function. With the Keras model itself TensorFlow would trace each
    of its layers, which takes ten times as long and asks for this package's layers on loading."""
    module = tf.Module()
    module.variables_of_model = list(model.variables)
    images = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")
    module.__call__ = tf.function(
        lambda images: tf.cast(model(images, training=False), tf.float32), input_signature=[images]
    )
    return module
