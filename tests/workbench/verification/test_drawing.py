"""Drawn pairs: different, balanced, the same for a seed, as many as there are."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.data import pair_sampling
from workbench.errors import DataError

LABELS = np.repeat(np.arange(10), 10)


def test_all_pairs() -> None:
    drawn = pair_sampling.all_pairs(LABELS)
    assert len(drawn.same) == 4950
    assert drawn.same.sum() == 450
    assert len({*zip(drawn.first, drawn.second, strict=True)}) == 4950


@pytest.mark.parametrize("pairs", [None, 2, 21, 400, 900])
def test_balanced_pairs_are_different_and_labelled_right(pairs: int | None) -> None:
    labels = np.random.default_rng(0).permutation(LABELS)
    drawn = pair_sampling.balanced(labels, pairs, seed=3)
    count = 900 if pairs is None else pairs
    assert len(drawn.same) == count
    assert drawn.same.sum() == (count + 1) // 2
    assert len({frozenset(pair) for pair in zip(drawn.first, drawn.second, strict=True)}) == count
    np.testing.assert_array_equal(labels[drawn.first] == labels[drawn.second], drawn.same)
    for fold in np.array_split(drawn.same, 10):
        assert abs(2 * fold.sum() - len(fold)) <= 1
    again = pair_sampling.balanced(labels, pairs, seed=3)
    np.testing.assert_array_equal(again.first, drawn.first)
    if pairs != 2:
        assert not np.array_equal(pair_sampling.balanced(labels, pairs, seed=4).first, drawn.first)


def test_every_impostor_pair_is_as_likely() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    counts: dict[tuple[int, int], int] = {}
    for seed in range(2000):
        drawn = pair_sampling.balanced(labels, 6, seed)
        for pair in zip(drawn.first[~drawn.same], drawn.second[~drawn.same], strict=True):
            counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 40
    found = np.array(list(counts.values()))
    assert abs(found - 150).max() < 5 * np.sqrt(150)


def test_too_many_pairs_are_refused() -> None:
    with pytest.raises(
        DataError, match="450 genuine pairs among 100 images of 10 identities; expected at least 451"
    ):
        pair_sampling.balanced(LABELS, 902, 0)
    with pytest.raises(DataError, match="0 genuine pairs"):
        pair_sampling.balanced(np.arange(5), None, 0)
    with pytest.raises(DataError, match="0 impostor pairs"):
        pair_sampling.balanced(np.zeros(5, int), None, 0)
