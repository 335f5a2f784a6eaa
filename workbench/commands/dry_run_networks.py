"""Networks that are built once in a call of `workbench check`, and are as they were built whenever they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.lazy import tf, with_keras_2
from workbench.spec.experiment import Experiment


class Networks:
    """The networks of a call: the last one at full size, and the small ones of trial steps."""

    def __init__(self) -> None:
        self._backbone: Any = None  # the last one at full size, and its inputs and feature maps
        self._maps: Any = None
        self._small: dict[Any, Callable[[], Any]] = {}

    def full(self, experiment: Experiment) -> Any:
        """Return the network at full size, on the feature maps of the backbone before where it is the same."""
        if experiment.backbone != self._backbone:
            tf.keras.backend.clear_session()
            size = experiment.backbone.image_size
            inputs = tf.keras.Input([size, size, 3], name="images")
            with with_keras_2():
                self._backbone, self._maps = experiment.backbone, (inputs, experiment.backbone.build(inputs))
        inputs, features = self._maps
        with with_keras_2():
            return tf.keras.Model(inputs, experiment.embedding.build(features), name="embedder")

    def small(self, experiment: Experiment) -> Any:
        """Return the network of a small form: weights, random numbers and what is trained are as when just built."""
        wanted = (experiment.backbone, experiment.embedding, experiment.precision, experiment.seed)
        if wanted not in self._small:
            self._small[wanted] = fresh(experiment)
        return self._small[wanted]()


def fresh(experiment: Experiment) -> Callable[[], Any]:
    """Build the network of an experiment; return what gives it back as it is now, whatever it was used for."""
    from workbench.distribute import setup
    from workbench.models.build import build_model
    from workbench.surgery import freezing
    from workbench.train import checkpoint

    setup.prepare(experiment)
    network = build_model(experiment)
    open_layers, weights = freezing.opener(network), network.get_weights()
    states = [(state, state.numpy()) for state in checkpoint.generators(network)]

    def as_built() -> Any:
        open_layers("all", "the network")
        network.set_weights(weights)
        for state, value in states:
            state.assign(value)
        return network

    return as_built
