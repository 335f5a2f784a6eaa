"""Build a Keras model a second time, some layers replaced, every other weight carried over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.errors import SpecError
from workbench.lazy import tf

# a layer -> what stands in its place (a layer, or a function of its input), or None to copy it
Replace = Callable[[Any], Any]


class _Again:
    """Hands out the same tensor as often as Keras pops it from its list of uses.

    `map_arguments` of a Keras node takes a list with a copy of the tensor for each of its uses; here the uses
    need not be counted.
    """

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def pop(self) -> Any:
        return self.tensor


class _Walk:
    """One pass over the calls of a functional model, in the order in which they were made."""

    def __init__(self, replace: Replace) -> None:
        self.replace, self.replaced = replace, 0
        self.made: dict[int, Any] = {}  # by the old layer's id: it may be called several times

    def rebuild(self, model: tf.keras.Model, inputs: list[Any]) -> list[Any]:
        """Return the outputs of `model` built again on `inputs`."""
        known = {str(id(old)): _Again(new) for old, new in zip(model.inputs, inputs, strict=True)}
        depths = sorted(model._nodes_by_depth, reverse=True)
        for node in (node for depth in depths for node in model._nodes_by_depth[depth]):
            if node.is_input:
                continue
            args, kwargs = node.map_arguments(known)
            twin = self._twin(node.layer)
            found = twin(*args, **kwargs)  # which builds it: only then it has weights to be given
            if type(twin) is type(node.layer) and not isinstance(twin, tf.keras.Model):
                carry(node.layer, twin)
            for old, new in zip(tf.nest.flatten(node.outputs), tf.nest.flatten(found), strict=True):
                known[str(id(old))] = _Again(new)
        return [known[str(id(output))].tensor for output in model.outputs]

    def _twin(self, layer: Any) -> Any:
        if id(layer) not in self.made:
            new = self.replace(layer)
            self.replaced += new is not None
            if new is None and isinstance(layer, tf.keras.Model):
                inputs = [_entry(old) for old in layer.inputs]
                new = tf.keras.Model(_one(inputs), _one(self.rebuild(layer, inputs)), name=layer.name)
            self.made[id(layer)] = new if new is not None else type(layer).from_config(layer.get_config())
        return self.made[id(layer)]


def carry(old: tf.keras.layers.Layer, new: tf.keras.layers.Layer) -> None:
    """Give `new` the weights of `old`; where only some are alike (another bias), those by their names."""
    if [w.shape for w in new.weights] == [w.shape for w in old.weights]:
        new.set_weights(old.get_weights())
        return
    values = {weight.name.split("/")[-1]: weight for weight in old.weights}
    for weight in new.weights:
        value = values.get(weight.name.split("/")[-1])
        if value is not None and value.shape == weight.shape:
            weight.assign(value)


def _entry(old: Any) -> Any:
    return tf.keras.Input(old.shape[1:], dtype=old.dtype, name=old._keras_history.layer.name)


def _one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def rebuilt(model: tf.keras.Model, inputs: Any, replace: Replace) -> Any:
    """Return the output of a functional `model` of one input, built again on the Keras tensor `inputs`."""
    return _one(_Walk(replace).rebuild(model, [inputs]))


def rewrite(model: tf.keras.Model, replace: Replace, missing: str) -> tf.keras.Model:
    """Return a copy of a functional `model` in which `replace` was asked about every layer.

    Layers within nested models are asked about too. What keeps a layer's class and shapes keeps its
    weights. Raises `SpecError` with the words `missing` where nothing was replaced.
    """
    walk = _Walk(replace)
    inputs = [_entry(old) for old in model.inputs]
    outputs = walk.rebuild(model, inputs)
    if not walk.replaced:
        raise SpecError(missing, where=model.name, do="leave this step out")
    return tf.keras.Model(_one(inputs), _one(outputs), name=model.name)


def reconfigured(layer: tf.keras.layers.Layer, **changes: Any) -> tf.keras.layers.Layer:
    """Return a copy of `layer` with some of its configuration changed; its weights follow in `rewrite`."""
    return type(layer).from_config({**layer.get_config(), **changes})


def unfused(
    layer: tf.keras.layers.Layer, after: Callable[[Any], Any], **changes: Any
) -> Callable[[Any], Any]:
    """Return what stands for a layer with an activation of its own: the layer without it, then `after`."""
    plain = reconfigured(layer, activation="linear", **changes)

    def parts(x: tf.Tensor) -> tf.Tensor:
        y = plain(x)
        carry(layer, plain)
        return after(y)

    return parts
