"""What every augmentation promises, and what each one does."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import workbench
from workbench.augment.autoaugment import policy
from workbench.augment.legacy_strength import numbered
from workbench.augment.randaugment import FACE, FACE_STRONG
from workbench.errors import SpecError
from workbench.spec.interfaces import Augmentation

tensorflow = pytest.mark.tensorflow

ALL = [
    workbench.Flip(),
    workbench.Colour(0),
    workbench.Colour(3, hue=True, jpeg=True),
    workbench.RandAugment(),
    workbench.RandAugment(magnitude=15, operations=FACE_STRONG),
    workbench.AutoAugment(policy="face"),
    workbench.AutoAugment(policy="imagenet"),
    workbench.AutoAugment(policy="cifar"),
    workbench.Cutout(),
    workbench.LowerFaceMask(),
    workbench.RandomErasing(),
    workbench.RandomErasing(fill="grey"),
    workbench.Affine(rotation=10, zoom=0.1, shift=0.1),
    workbench.Affine(shear=10),
    workbench.AutoAugment(((("Color", 0.4, 9), ("Equalize", 0.6, 3)),)),
]


def photo(side: int = 48) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([x * 5, y * 5, (x * y) // 8], -1).clip(0, 255).astype(np.uint8)


def seeds(count: int) -> np.ndarray:
    return np.stack([np.full(count, 77), np.arange(count)], -1).astype(np.int32)


@tensorflow
@pytest.mark.parametrize("one", ALL, ids=str)
def test_contract(one: Augmentation) -> None:
    import tensorflow as tf

    image = tf.constant(photo())
    compiled = tf.function(one.image)
    results = [compiled(image, tf.constant(seed)) for seed in seeds(12)]
    for result, seed in zip(results, seeds(12)):
        assert result.dtype == tf.uint8
        assert result.shape == image.shape
        np.testing.assert_array_equal(result, compiled(image, tf.constant(seed)))  # pure
        np.testing.assert_array_equal(result, one.image(image, tf.constant(seed)))  # eager as in a graph
    assert any((result.numpy() != image.numpy()).any() for result in results)
    assert len({result.numpy().tobytes() for result in results}) > 1  # different seeds, different changes
    together = one.images(tf.stack([image] * 12), tf.constant(seeds(12)))
    if together is not None:
        np.testing.assert_array_equal(together, tf.stack(results))


@tensorflow
def test_draws_are_even_and_independent() -> None:
    import tensorflow as tf

    from workbench.augment import random_bits

    many = np.stack([np.repeat(np.arange(-20, 20), 500), np.tile(np.arange(500), 40)], -1).astype(np.int32)
    values = random_bits.uniform(tf.constant(many), 4).numpy()
    assert values.min() >= 0
    assert values.max() < 1
    for column in values.T:  # chi-square of 20 bins: mean 19, standard deviation 6.2
        counts, _ = np.histogram(column, 20, (0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 50
    correlation = np.corrcoef(np.concatenate([values.T, np.roll(values, 1, 0).T]))
    assert np.abs(correlation - np.eye(8)).max() < 0.03
    single = [random_bits.uniform(tf.constant(seed), 4).numpy() for seed in many[:20]]
    np.testing.assert_array_equal(values[:20], single)
    folded = random_bits.fold(tf.constant(many), 3).numpy()
    assert len(np.unique(folded, axis=0)) == len(many)


@tensorflow
def test_flip_share() -> None:
    import tensorflow as tf

    images = tf.constant(np.stack([photo(8)] * 2000))
    flipped = workbench.Flip(probability=0.25).images(images, tf.constant(seeds(2000))).numpy()
    mirrored = (flipped == photo(8)[:, ::-1]).all((1, 2, 3))
    assert ((flipped == photo(8)).all((1, 2, 3)) | mirrored).all()
    assert abs(mirrored.mean() - 0.25) < 0.04


@tensorflow
def test_colour_levels_stay_within_their_bounds() -> None:
    import tensorflow as tf

    flat = tf.constant(np.full((16, 16, 3), 120, np.uint8))
    shifts = [int(workbench.Colour(1).image(flat, tf.constant(s))[0, 0, 0]) - 120 for s in seeds(200)]
    assert min(shifts) >= -13
    assert max(shifts) <= 13
    assert max(shifts) - min(shifts) > 18
    tone = np.zeros((16, 16, 3), np.uint8)
    tone[:] = (180, 100, 60)
    for seed in seeds(60):
        pixel = workbench.Colour(2).image(tf.constant(tone), tf.constant(seed)).numpy()[0, 0] / 255
        hue, saturation, _ = colorsys.rgb_to_hsv(*pixel)
        was_hue, _, _ = colorsys.rgb_to_hsv(180 / 255, 100 / 255, 60 / 255)
        assert abs(hue - was_hue) < 0.01
        # brightness (25.5 at level 2) moves all channels alike before saturation is scaled by 0.8 .. 1.2
        low, high = (120 / (180 + 25.5)) * 0.8, (120 / (180 - 25.5)) * 1.2
        assert low - 0.02 < saturation < high + 0.02


@tensorflow
def test_lower_face_mask_hides_two_fifths() -> None:
    import tensorflow as tf

    result = workbench.LowerFaceMask(probability=1).image(tf.constant(photo(50)), tf.constant([1, 2])).numpy()
    assert (result[30:] == 128).all()
    np.testing.assert_array_equal(result[:30], photo(50)[:30])


@tensorflow
def test_cutout_is_one_square() -> None:
    import tensorflow as tf

    white = tf.constant(np.full((40, 40, 3), 255, np.uint8))
    sizes = []
    for seed in seeds(50):
        rows, columns = np.nonzero(
            workbench.Cutout(size=0.25).image(white, tf.constant(seed)).numpy()[..., 0] == 128
        )
        sizes.append(len(rows))
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert max(sizes) == 100


@tensorflow
def test_erasing_area_and_noise() -> None:
    import tensorflow as tf

    image = tf.constant(np.full((60, 60, 3), 255, np.uint8))
    one = workbench.RandomErasing(probability=1, smallest=0.1, largest=0.2, aspect=0.5)
    shares = [(one.image(image, tf.constant(s)).numpy() != 255).any(-1).mean() for s in seeds(60)]
    assert min(shares) > 0.09
    assert max(shares) < 0.215
    with pytest.raises(SpecError, match="smallest"):
        workbench.RandomErasing(smallest=0.5, largest=0.1)


@tensorflow
def test_affine_against_pillow() -> None:
    import tensorflow as tf

    from workbench.augment.geometry import warped

    one = tf.constant([1.0])
    turned = warped(tf.constant(photo()[None]), one * 12, one, one * 0, one * 0)[0].numpy().astype(int)
    wanted = np.asarray(Image.fromarray(photo()).rotate(12, Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(turned - wanted)[12:-12, 12:-12].max() <= 2
    moved = warped(tf.constant(photo()[None]), one * 0, one, one * 3, one * -2)[0].numpy()
    np.testing.assert_array_equal(moved[:-2, 3:], photo()[2:, :-3])
    larger = warped(tf.constant(photo()[None]), one * 0, one * 2, one * 0, one * 0)[0].numpy().astype(int)
    centre = np.asarray(
        Image.fromarray(photo()).crop((12, 12, 36, 36)).resize((48, 48), Image.Resampling.BILINEAR)
    )
    assert np.abs(larger - centre)[2:-2, 2:-2].max() <= 2


@tensorflow
@pytest.mark.parametrize("lean", [14.0, -25.0])
def test_shear_is_that_of_keras(lean: float) -> None:
    import tensorflow as tf

    from workbench.augment.geometry import warped

    one = tf.constant([1.0])
    found = (
        warped(tf.constant(photo()[None]), one * 0, one, one * 0, one * 0, one * lean)[0].numpy().astype(int)
    )
    keras = tf.keras.preprocessing.image.apply_affine_transform(
        photo().astype(np.float32),
        shear=lean,
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        fill_mode="nearest",
        order=1,
    )
    assert np.abs(found - np.rint(keras)).max() <= 1
    assert np.abs(found - photo()).max() > 20


@tensorflow
def test_a_policy_of_ones_own_applies_its_steps() -> None:
    import tensorflow as tf

    always = workbench.AutoAugment(((("Invert", 1.0, 0), ("Invert", 0.0, 0)),))
    for seed in seeds(5):
        found = always.image(tf.constant(photo()), tf.constant(seed)).numpy()
        np.testing.assert_array_equal(found, 255 - photo())


@tensorflow
def test_mixup_blends_images_and_labels_alike() -> None:
    import tensorflow as tf

    images = tf.constant(np.random.default_rng(1).random((16, 4, 4, 3), np.float32))
    labels = tf.range(16)
    shares = []
    for number in range(200):
        mixed, (first, second, share) = workbench.Mixup(0.4).batch(images, labels, tf.constant([5, number]))
        shares.append(float(share))
        if number < 5:
            wanted = share * images + (1 - share) * tf.gather(images, second)
            np.testing.assert_allclose(mixed, wanted, atol=1e-6)
            np.testing.assert_array_equal(first, labels)
            assert sorted(second.numpy()) == list(range(16))
    # Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1))
    assert abs(np.mean(shares) - 0.5) < 0.08
    assert abs(np.var(shares) - 1 / (4 * 1.8)) < 0.03


def test_policies_and_numbers() -> None:
    assert [len(policy(name)) for name in ("imagenet", "cifar", "face")] == [25, 25, 10]
    assert policy("face")[1] == (("Color", 0.4, 9.0), ("Equalize", 0.6, 3.0))
    assert set(policy("face")) <= set(policy("imagenet"))
    flip = workbench.Flip()
    assert numbered(-1) == (flip, workbench.AutoAugment(policy="face"))
    assert [numbered(level) for level in range(4)] == [workbench.Colour(level) for level in range(4)]
    assert numbered(100) == (flip, workbench.RandAugment(magnitude=5, operations=FACE))
    assert numbered(300) == (flip, workbench.RandAugment(magnitude=15, operations=FACE_STRONG))
    stage = workbench.Stage(loss=workbench.Softmax(), epochs=1, augment=(100, workbench.Cutout()))
    assert [type(one).__name__ for one in stage.augment] == ["Flip", "RandAugment", "Cutout"]
    with pytest.raises(SpecError, match="100, 300"):
        numbered(50)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: workbench.RandAugment(operations=("Shearx",)), "ShearX"),
        (lambda: workbench.Colour(4), "at most 3"),
        (lambda: workbench.AutoAugment(policy="faces"), "face"),
        (lambda: workbench.AutoAugment(((("Colr", 0.4, 9), ("Equalize", 0.6, 3)),)), "did you mean 'Color'"),
        (
            lambda: workbench.AutoAugment(((("Color", 4, 9), ("Equalize", 0.6, 3)),)),
            "a probability from 0 to 1",
        ),
        (lambda: workbench.AutoAugment(()), "at least one"),
        (lambda: workbench.Mixup(0), "above 0"),
    ],
)
def test_impossible_settings_are_refused(make: Any, word: str) -> None:
    with pytest.raises(SpecError, match=word):
        make()
