"""The evaluator against a plain loop over pairs, and what it says of sets and models it cannot use."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data.pairs import HeldOutPairs, Pairs
from workbench.data.sources.builtin import SyntheticFaces
from workbench.errors import DataError
from workbench.spec.interfaces import PairImages, Places

pytestmark = pytest.mark.tensorflow

SIZE = 16
FACES = SyntheticFaces(identities=8, images=6, image_size=24)


def places(folder: Path) -> Places:
    return Places((folder,), None)


@pytest.fixture(scope="module")
def model():
    import tensorflow as tf

    tf.keras.utils.set_random_seed(1)
    inputs = tf.keras.Input([SIZE, SIZE, 3])
    outputs = tf.keras.layers.Conv2D(4, 5, 3)(inputs)
    outputs = tf.keras.layers.BatchNormalization()(outputs)
    return tf.keras.Model(inputs, tf.keras.layers.Dense(10)(tf.keras.layers.Flatten()(outputs)))


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_a_bin_against_a_loop_over_its_pairs(tmp_path: Path, model) -> None:
    from workbench.verification.evaluator import Evaluator

    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
    order = rng.integers(0, 9, 120)
    flags = [bool(a == b or rng.random() < 0.3) for a, b in order.reshape(-1, 2)]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps(([encoded(pictures[k]) for k in order], flags)))
    evaluator = Evaluator.open(Pairs("lfw.bin"), places(tmp_path), FACES, SIZE)
    assert len(evaluator.pixels) == len(set(order.tolist()))
    found = evaluator.evaluate(model)

    def embedding(picture: np.ndarray) -> np.ndarray:
        both = np.stack([picture, picture[:, ::-1]]).astype(np.float32)
        one = model((both - 127.5) / 128, training=False).numpy().astype(float).sum(axis=0)
        return one / np.linalg.norm(one)

    expected = [embedding(pictures[a]) @ embedding(pictures[b]) for a, b in order.reshape(-1, 2)]
    np.testing.assert_allclose(found.scores, expected, atol=2e-6)
    assert found.scores.dtype == np.float32
    assert list(found.metrics) == ["lfw", "lfw_thresh", "lfw_tenfold", "lfw_tenfold_std"]
    assert found.metrics["lfw"] == np.mean((found.scores >= found.metrics["lfw_thresh"]) == flags)
    assert found.message is None


def test_a_set_larger_than_a_batch(model) -> None:
    from workbench.verification.embedders import ImageSet
    from workbench.verification.models import from_keras

    pixels = np.random.default_rng(1).integers(0, 256, (301, SIZE, SIZE, 3), np.uint8)
    network = from_keras(model, "model")

    def embed(images: np.ndarray):
        return network.embed(ImageSet([""] * len(images), lambda size: images))

    found = embed(pixels)
    assert found.plain.shape == (301, 10)
    np.testing.assert_allclose(found.plain[-3:], embed(pixels[-3:]).plain, atol=1e-5)
    turned = embed(pixels[:, :, ::-1])
    np.testing.assert_allclose(turned.plain, found.mirrored, atol=1e-5)
    np.testing.assert_allclose(turned.summed, found.summed, atol=1e-5)


def pairs_of(count: int, same: np.ndarray | None = None) -> PairImages:
    pixels = np.random.default_rng(2).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    rows = np.arange(0, count, 2)
    flags = rows % 4 == 0 if same is None else same
    return PairImages(encoded=list(pixels), first=rows, second=rows + 1, same=flags)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "60 of 60 embeddings are not finite; no accuracy"),
        (np.inf, "60 of 60 embeddings are not finite"),
        (0.0, "60 of 60 embeddings are zero; no accuracy"),
    ],
)
def test_unusable_embeddings_are_reported_not_averaged(value: float, message: str) -> None:
    import tensorflow as tf

    from workbench.verification.evaluator import Evaluator

    inputs = tf.keras.Input([SIZE, SIZE, 3])
    layer = tf.keras.layers.Dense(
        4, kernel_initializer="zeros", bias_initializer=tf.constant_initializer(value)
    )
    broken = tf.keras.Model(inputs, layer(tf.keras.layers.Flatten()(inputs)))
    found = Evaluator("lfw", pairs_of(60), SIZE).evaluate(broken)
    assert found.metrics == {}
    assert message in found.message
    assert np.isnan(found.scores).all()


def test_one_class_only(model) -> None:
    from workbench.verification.evaluator import Evaluator

    found = Evaluator("lfw", pairs_of(60, np.ones(30, bool)), SIZE).evaluate(model)
    assert found.metrics == {}
    assert Evaluator("lfw", pairs_of(10), SIZE).notes == ("lfw: 5 pairs are too few for 10 folds",)
    assert found.message == "all 30 pairs are genuine pairs: no accuracy, it needs both kinds"


def test_truncated_and_empty_sets_are_refused(tmp_path: Path) -> None:
    from workbench.verification.evaluator import Evaluator

    whole = encoded(np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8))
    (tmp_path / "cut.bin").write_bytes(pickle.dumps(([whole, whole[:-20]], [True])))
    with pytest.raises(DataError, match="cut: image 1 cannot be decoded; expected a complete JPEG"):
        Evaluator.open(Pairs("cut.bin"), places(tmp_path), FACES, SIZE)
    with pytest.raises(DataError, match=r"Pairs\('none\.bin'\).*is not there"):
        Evaluator.open(Pairs("none.bin"), places(tmp_path), FACES, SIZE)


def test_held_out_people(tmp_path: Path, model) -> None:
    from workbench.verification.evaluator import Evaluator

    part = HeldOutPairs(identities=3, pairs=60, seed=5, name="mine")
    where = places(tmp_path)
    images = FACES.open(where)
    held = part.held_out(images)
    assert len(held) == 3
    evaluator = Evaluator.open(part, where, FACES, SIZE)
    assert evaluator.pairs.held_out == held
    assert set(evaluator.pairs.identities) == held
    assert len(evaluator.same) == 60
    assert "mine" in evaluator.evaluate(model).metrics
    people = np.array(evaluator.pairs.identities)
    np.testing.assert_array_equal(
        people[evaluator.pairs.first] == people[evaluator.pairs.second], evaluator.pairs.same
    )
    named = HeldOutPairs(identities=("person0001", "person0004"), pairs=20)
    assert named.held_out(images) == {"person0001", "person0004"}
    with pytest.raises(DataError, match=r"no identity 'person9999'.*did you mean"):
        HeldOutPairs(identities=("person9999", "person0001")).held_out(images)
    with pytest.raises(DataError, match="7 of 8 identities; expected at most 6, two must be left"):
        HeldOutPairs(identities=7).held_out(images)


def test_people_in_training_and_evaluation_are_said_loudly(tmp_path: Path) -> None:
    from workbench.verification.evaluator import Evaluator

    where = places(tmp_path)
    part = HeldOutPairs(FACES.but(first=6), name="other")
    with pytest.raises(
        DataError, match="2 identities are in training and in evaluation: person0006, person0007"
    ):
        Evaluator.open(part, where, FACES, SIZE)
    allowed = Evaluator.open(part.but(overlap="warn"), where, FACES, SIZE)
    assert "2 identities are in training and in evaluation" in allowed.notes[0]
    assert part.held_out(FACES.open(where)) == frozenset()
    apart = Evaluator.open(HeldOutPairs(FACES.but(first=8), name="other"), where, FACES, SIZE)
    assert apart.notes == ()


def test_the_small_form(tmp_path: Path, model) -> None:
    from workbench.verification.evaluator import Evaluator

    for part in (HeldOutPairs(identities=("s31", "s32")).quick(), Pairs("lfw.bin").stand_in()):
        assert Evaluator.open(part, places(tmp_path), FACES.quick(), SIZE).evaluate(model).metrics


def test_the_real_faces(real_data: Path, model) -> None:
    from workbench.data.sources.folder import ImageFolder
    from workbench.verification.evaluator import Evaluator

    people = ImageFolder("orl_faces", only=tuple(f"s{number}" for number in range(31, 41)))
    evaluator = Evaluator.open(HeldOutPairs(people), places(real_data), FACES, SIZE)
    assert len(evaluator.pixels) == 100
    assert evaluator.same.sum() == 450
    accuracy = evaluator.evaluate(model).metrics["held_out"]
    assert 0.6 < accuracy < 1  # even an untrained network tells more than half of these right
