"""Keras's ResNets and EfficientNets at other widths and depths than those that Keras has names for.

Keras builds these families by one general function each, which stands in the same module as the named
networks but not in its public list; a named network is that function at width and depth 1.
"""

from __future__ import annotations

import sys
from typing import Any

from workbench.lazy import tf

Shape = tuple[int, ...]
# blocks of each stage, by the layers of a ResNet (He et al. 2016, table 1); the networks of `bottleneck` have them too
REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

# width and depth of B0 to B7 (Tan and Le 2019 and 2021); S, M and L have tables of blocks of their own
COMPOUND = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1))


def resnet(layers: int, version: int, width: float, depth: float, shape: Shape) -> tf.keras.Model:
    """Return ResNet (version 1 or 2) with its blocks' filters and repeats scaled; the stem keeps 64."""
    source = _module(tf.keras.applications.ResNet50)
    stack = source.stack1 if version == 1 else source.stack2
    strides = (1, 2, 2, 2) if version == 1 else (2, 2, 2, 1)  # the second version strides in the last block
    least = version  # of a stack: there, the first and the last block differ

    def stacks(x: tf.Tensor) -> tf.Tensor:
        for number, (repeats, stride) in enumerate(zip(REPEATS[layers], strides, strict=True)):
            filters = max(8, round(64 * 2**number * width / 8) * 8)
            blocks = max(least, round(repeats * depth))
            x = stack(x, filters, blocks, stride1=stride, name=f"conv{number + 2}")
        return x

    return source.ResNet(
        stacks,
        preact=version == 2,
        use_bias=True,
        model_name=f"resnet{layers}",
        include_top=False,
        weights=None,
        input_shape=shape,
    )


def efficientnet(
    variant: str, version: int, width: float, depth: float, shape: Shape, **options: Any
) -> tf.keras.Model:
    """Return EfficientNet (version 1 or 2) with its variant's width and depth scaled once more."""
    own_width, own_depth = COMPOUND[int(variant[1])] if variant.startswith("B") else (1.0, 1.0)
    scales = (own_width * width, own_depth * depth, shape[0])
    if version == 2:
        source = _module(tf.keras.applications.EfficientNetV2B0)
        options["model_name"] = f"efficientnetv2-{variant.lower()}"
        make = source.EfficientNetV2
    else:
        make = _module(tf.keras.applications.EfficientNetB0).EfficientNet
    return make(*scales, include_top=False, weights=None, input_shape=shape, **options)


def _module(function: Any) -> Any:
    return sys.modules[function.__module__]
