"""Layers that a saved Keras model may name and that Keras does not find by itself.

A saved model names the classes of its layers. BoTNet and ResNeSt have layers of this package, ConvNeXt and
InceptionResNetV2 private ones of keras.applications that Keras itself does not find again.
"""

from __future__ import annotations

import sys
from typing import Any

from workbench.lazy import tf

# a public function of the Keras module that holds a layer: the layer's class
PRIVATE = {"ConvNeXtTiny": ("LayerScale", "StochasticDepth"), "InceptionResNetV2": ("CustomScaleLayer",)}


def layers() -> dict[str, Any]:
    """Return the classes by the names under which saved models may mention them."""
    import workbench.models.backbones.attention  # noqa: F401  (registers its layers with Keras)

    found = {}
    for function, names in PRIVATE.items():
        module = sys.modules[getattr(tf.keras.applications, function).__module__]
        found.update({name: getattr(module, name) for name in names})
    return found
