"""The clean-up after sub-centers, as a pure function of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import DataError
from workbench.models.heads.subcenter_cleanup import clean


def around(centre: np.ndarray, count: int, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Vectors of any length at just `degrees` from a unit vector."""
    side = rng.normal(size=(count, len(centre)))
    side -= np.outer(side @ centre, centre)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    radians = np.radians(degrees)
    return (np.cos(radians) * centre + np.sin(radians) * side) * rng.uniform(0.1, 9, (count, 1))


def test_it_keeps_what_lies_near_the_center_that_most_images_have() -> None:
    rng = np.random.default_rng(0)
    axes = np.eye(12)
    centers = np.stack([[axes[3 * c + k] * (k + 1) for k in range(3)] for c in range(4)])
    parts, labels, wanted = [], [], []
    for identity in range(4):
        main = identity % 3  # which of its centers is the dominant one
        for k, count, degrees, kept in (
            (main, 20, 20, True),
            (main, 3, 50, True),
            ((main + 1) % 3, 6, 10, False),
            ((main + 2) % 3, 5, 15, False),
        ):
            parts.append(around(axes[3 * identity + k], count, degrees, rng))
            labels += [identity] * count
            wanted += [kept] * count
    order = rng.permutation(len(labels))
    found = clean(np.concatenate(parts)[order], np.array(labels)[order], centers)
    np.testing.assert_array_equal(found.kept, np.array(wanted)[order])
    np.testing.assert_array_equal(found.dominant, [0, 1, 2, 0])
    near = found.angles[found.kept]
    assert np.all(np.isclose(near, 20, atol=1e-4) | np.isclose(near, 50, atol=1e-4))
    np.testing.assert_array_equal(found.centers, [centers[c, k] for c, k in enumerate([0, 1, 2, 0])])


def test_the_angle_decides_and_its_edge_belongs_to_the_kept() -> None:
    centers = np.array([[[1.0, 0.0]]])
    embeddings = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [np.cos(1.3), np.sin(1.3)]])
    labels = np.zeros(4, int)
    np.testing.assert_allclose(clean(embeddings, labels, centers).angles, [0, 90, 180, np.degrees(1.3)])
    assert clean(embeddings, labels, centers).kept.tolist() == [True, False, False, True]
    assert clean(embeddings, labels, centers, angle=90).kept.tolist() == [True, True, False, True]
    assert clean(embeddings, labels, centers, angle=74).kept.tolist() == [True, False, False, False]


def test_many_images_are_gone_through_in_pieces() -> None:
    rng = np.random.default_rng(0)
    embeddings, labels, centers = (
        rng.normal(size=(10001, 4)),
        rng.integers(0, 7, 10001),
        rng.normal(size=(7, 2, 4)),
    )
    found = clean(embeddings, labels, centers, angle=60)
    for i in (0, 4095, 4096, 5000, 10000):
        own = centers[labels[i], found.dominant[labels[i]]]
        cosine = embeddings[i] @ own / np.linalg.norm(embeddings[i]) / np.linalg.norm(own)
        assert found.angles[i] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-6)


def test_identities_without_images_and_arrays_that_do_not_fit() -> None:
    found = clean(np.ones((1, 2)), np.array([1]), np.ones((3, 2, 2)))
    assert found.dominant.tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="do not fit"):
        clean(np.ones((4, 3)), np.zeros(4, int), np.ones((3, 2, 2)))
    with pytest.raises(DataError, match="labels do not fit"):
        clean(np.ones((4, 2)), np.full(4, 3), np.ones((3, 2, 2)))
    with pytest.raises(DataError, match="not finite"):
        clean(np.full((4, 2), np.nan), np.zeros(4, int), np.ones((3, 2, 2)))
