"""Every operation against Pillow's of the same name, pixel for pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

pytestmark = pytest.mark.tensorflow

FILL = (128, 128, 128)


def pictures() -> list[np.ndarray]:
    chance = np.random.default_rng(0)
    y, x = np.mgrid[:112, :112]
    smooth = np.stack([x * 2, y * 2, (x + y)], -1).clip(0, 255).astype(np.uint8)
    return [
        smooth,
        chance.integers(0, 256, (50, 70, 3), dtype=np.uint8),
        chance.integers(100, 140, (37, 31, 3), dtype=np.uint8),
        (chance.integers(0, 4, (30, 31, 3)) * 80).astype(np.uint8),
        np.full((20, 20, 3), 7, np.uint8),
    ]


def same(ours: Callable[[Any], Any], pillow: Callable[[Image.Image], Image.Image]) -> None:
    import tensorflow as tf

    for picture in pictures():
        got = np.asarray(ours(tf.constant(picture)[None]))[0]
        wanted = np.asarray(pillow(Image.fromarray(picture)))
        np.testing.assert_array_equal(got, wanted)


def f32(value: float) -> Any:
    import tensorflow as tf

    return tf.constant([value], tf.float32)


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "invert"])
def test_without_argument(name: str) -> None:
    from workbench.augment import operations

    same(getattr(operations, name), getattr(ImageOps, name))


@pytest.mark.parametrize("name", ["Color", "Contrast", "Brightness", "Sharpness"])
@pytest.mark.parametrize("factor", [0.0, 0.1, 0.37, 1.0, 1.63, 1.9, 2.8])
def test_enhancement(name: str, factor: float) -> None:
    from workbench.augment import operations

    ours = getattr(operations, name.lower())
    same(lambda x: ours(x, f32(factor)), lambda x: getattr(ImageEnhance, name)(x).enhance(factor))


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterize(bits: int) -> None:
    from workbench.augment import operations

    same(lambda x: operations.posterize(x, bits), lambda x: ImageOps.posterize(x, bits))


@pytest.mark.parametrize("threshold", [0, 51, 128, 256])
def test_solarize(threshold: int) -> None:
    from workbench.augment import operations

    same(lambda x: operations.solarize(x, threshold), lambda x: ImageOps.solarize(x, threshold))


@pytest.mark.parametrize("amount", [-0.3, -0.09, 0.03, 0.27, 0.45])
def test_shear_and_translate(amount: float) -> None:
    from workbench.augment import operations

    exact = float(np.float32(amount))

    def moved(*matrix: float) -> Callable[[Image.Image], Image.Image]:
        return lambda x: x.transform(x.size, Image.Transform.AFFINE, matrix, fillcolor=FILL)

    def translated(x: Image.Image, axis: int) -> Image.Image:
        way = float(np.float32(amount) * np.float32(x.size[axis]))
        return moved(*((1, 0, way, 0, 1, 0) if axis == 0 else (1, 0, 0, 0, 1, way)))(x)

    same(lambda x: operations.shear_x(x, f32(amount)), moved(1, exact, 0, 0, 1, 0))
    same(lambda x: operations.shear_y(x, f32(amount)), moved(1, 0, 0, exact, 1, 0))
    same(lambda x: operations.translate_x(x, f32(amount)), lambda x: translated(x, 0))
    same(lambda x: operations.translate_y(x, f32(amount)), lambda x: translated(x, 1))


@pytest.mark.parametrize("degrees", [-30.0, -3.0, 7.5, 15.0, 45.0])
def test_rotate(degrees: float) -> None:
    from workbench.augment import operations

    same(lambda x: operations.rotate(x, f32(degrees)), lambda x: x.rotate(degrees, fillcolor=FILL))


def test_solarize_add_against_its_definition() -> None:
    from workbench.augment import operations

    def literal(x: Image.Image) -> Image.Image:
        levels = np.asarray(x).astype(int)
        return Image.fromarray(np.where(levels < 128, np.clip(levels + 55, 0, 255), levels).astype(np.uint8))

    same(lambda x: operations.solarize_add(x, 55), literal)


@pytest.mark.parametrize(
    ("name", "level", "pillow"),
    [
        (
            "ShearX",
            10,
            lambda x: x.transform(x.size, Image.Transform.AFFINE, (1, 0.3, 0, 0, 1, 0), fillcolor=FILL),
        ),
        ("Color", 5, lambda x: ImageEnhance.Color(x).enhance(1.0)),
        ("Brightness", 10, lambda x: ImageEnhance.Brightness(x).enhance(1.9)),
        ("Contrast", 0, lambda x: ImageEnhance.Contrast(x).enhance(0.1)),
        ("Posterize", 10, lambda x: ImageOps.posterize(x, 4)),
        ("Solarize", 5, lambda x: ImageOps.solarize(x, 128)),
        ("Rotate", 5, lambda x: x.rotate(15, fillcolor=FILL)),
    ],
)
def test_levels_are_those_of_the_papers(name: str, level: float, pillow: Callable[[Any], Any]) -> None:
    from workbench.augment import operations

    same(lambda x: operations.LEVELS[name](x, f32(level), f32(1)), pillow)


def test_a_batch_gives_each_image_its_own_operation() -> None:
    import tensorflow as tf

    from workbench.augment import operations

    chance = np.random.default_rng(3)
    images = tf.constant(chance.integers(0, 256, (40, 24, 20, 3), dtype=np.uint8))
    names = tuple(operations.LEVELS)
    which = chance.integers(-1, len(names), 40)
    sign = f32(1)[0] * tf.constant(chance.choice([-1.0, 1.0], 40), tf.float32)
    for level in (5.0, 9.0, tf.constant(chance.uniform(0, 10, 40), tf.float32)):
        got = tf.function(operations.apply)(images, names, tf.constant(which, tf.int32), level, sign)
        for k, number in enumerate(which):
            own = level if isinstance(level, float) else level[k : k + 1]
            wanted = images[k : k + 1]
            if number >= 0:
                wanted = operations.LEVELS[names[number]](wanted, own, sign[k : k + 1])
            np.testing.assert_array_equal(got[k], wanted[0])
