"""Which layers are trained, by patterns of their names: fine-tuning in steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from workbench.errors import SpecError, nearest
from workbench.lazy import tf


def leaves(model: tf.keras.Model) -> Iterator[tf.keras.layers.Layer]:
    """Yield the layers with weights, those of nested models too."""
    for layer in model.layers:
        if isinstance(layer, tf.keras.Model):
            yield from leaves(layer)
        elif layer.weights:
            yield layer


def _matching(model: tf.keras.Model, patterns: tuple[str, ...], where: str | None = None) -> set[str]:
    names = [layer.name for layer in leaves(model)]
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in names if fnmatchcase(name, pattern)}
        if not matches:
            close = nearest(pattern.strip("*"), names)
            raise SpecError(
                f"no layer matches {pattern!r}",
                where=where or model.name,
                expected="patterns such as 'stage4_*'",
                do=f"near it are {', '.join(close or names[-3:])}",
            )
        found |= matches
    return found


def freeze(model: tf.keras.Model, *patterns: str) -> list[str]:
    """Stop training the layers whose names match any of the patterns (`*` and `?`); return their names.

    A frozen batch normalisation also uses its moving statistics in training, as Keras does it.
    """
    chosen = _matching(model, patterns)
    for layer in leaves(model):
        if layer.name in chosen:
            layer.trainable = False
    return sorted(chosen)


def train_only(model: tf.keras.Model, *patterns: str) -> list[str]:
    """Train the layers whose names match and freeze all others; return the names of the trained ones."""
    chosen = _matching(model, patterns)
    for layer in leaves(model):
        layer.trainable = layer.name in chosen
    return sorted(chosen)


def opener(model: tf.keras.Model) -> Callable[[str | tuple[str, ...], str], None]:
    """Return what sets, stage by stage, which layers of `model` are trained.

    It takes a stage's `train` and words for where that stands: patterns train the matching layers alone,
    anything else sets every layer back to what it was when this was called.
    """
    built = [(layer, layer.trainable) for layer in leaves(model)]

    def open_layers(train: str | tuple[str, ...], where: str) -> None:
        chosen = None if isinstance(train, str) else _matching(model, train, where)
        for layer, own in built:
            layer.trainable = own if chosen is None else layer.name in chosen

    return open_layers
