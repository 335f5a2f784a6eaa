"""Orders of records: what each batch holds, and that nothing but seed and epoch decides it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import Balanced, Identities, MinedTriplets
from workbench.data import hard_negatives, samplers
from workbench.errors import DataError


def test_shuffled_is_a_permutation_of_its_own_each_epoch() -> None:
    records = np.arange(100, 160)
    draw = samplers.shuffled(records, 60, seed=3)
    np.testing.assert_array_equal(np.sort(draw(1)), records)
    assert (draw(1) != draw(2)).any()
    np.testing.assert_array_equal(draw(7), samplers.shuffled(records, 60, seed=3)(7))
    assert (draw(1) != samplers.shuffled(records, 60, seed=4)(1)).any()


def test_every_record_comes_to_every_place() -> None:
    draw = samplers.shuffled(np.arange(12), 12, seed=0)
    counts = np.zeros((12, 12))
    for epoch in range(2400):
        counts[np.arange(12), draw(epoch)] += 1
    # chi-square over 11 x 11 degrees of freedom: mean 121, standard deviation 15.6
    assert ((counts - 200) ** 2 / 200).sum() < 200


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=3, max_size=12),
    people=st.integers(2, 3),
    images=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_identities_times_images(sizes: list[int], people: int, images: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)) * 2, sizes)
    records = np.flatnonzero(np.ones(len(labels)))
    batch, steps = people * images, 7
    draw = Identities(identities=people, images=images).draw(labels, records, steps * batch, batch, seed)
    epoch = draw(4)
    np.testing.assert_array_equal(epoch, draw(4))
    for row in epoch.reshape(steps, batch):
        groups = labels[row].reshape(people, images)
        assert (groups == groups[:, :1]).all()
        assert len(np.unique(groups[:, 0])) == people
        for own in row.reshape(people, images):
            there = (labels == labels[own[0]]).sum()
            assert len(np.unique(own)) == min(images, there)
    used = np.bincount(labels[epoch], minlength=labels.max() + 1)[::2] // images
    assert used.max() - used.min() <= 2


def test_identities_uses_all_images_before_it_repeats_one() -> None:
    labels = np.repeat(np.arange(4), 8)
    draw = Identities(identities=4, images=2).draw(labels, np.arange(32), 32, 8, 0)
    np.testing.assert_array_equal(np.sort(draw(1)), np.arange(32))


def test_identities_refuses_what_does_not_fit() -> None:
    labels = np.repeat(np.arange(4), 8)
    with pytest.raises(DataError, match="identities \\* images = 10"):
        Identities(identities=4, images=2).draw(labels, np.arange(32), 30, 10, 0)
    with pytest.raises(DataError, match="4 identities in the data"):
        Identities(identities=5, images=2).draw(labels, np.arange(32), 30, 10, 0)


def test_balanced_draws_every_identity_equally_often() -> None:
    labels = np.repeat(np.arange(3), [1, 5, 60])
    draw = Balanced().draw(labels, np.arange(66), 60, 6, 0)
    epoch = draw(1)
    np.testing.assert_array_equal(np.bincount(labels[epoch]), [20, 20, 20])
    assert np.bincount(epoch[labels[epoch] == 1] - 1).tolist() == [4] * 5  # its images in turn
    assert len(np.unique(epoch[labels[epoch] == 2])) == 20


def brute(x: np.ndarray, y: np.ndarray, alpha: float) -> dict[tuple[int, int], set[int]]:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = {}
    for a in range(len(x)):
        for p in range(a + 1, len(x)):
            if y[a] == y[p]:
                wrong = {
                    n for n in range(len(x)) if y[n] != y[a] and unit[a] @ unit[p] - unit[a] @ unit[n] < alpha
                }
                if wrong:
                    found[a, p] = wrong
    return found


@pytest.mark.parametrize("hardest", [False, True])
def test_mining_against_brute_force(hardest: bool) -> None:
    chance = np.random.default_rng(2)
    y = np.repeat(np.arange(6), 5)
    x = chance.standard_normal((30, 8)) + 0.8 * chance.standard_normal((6, 8))[y]
    wanted = brute(x, y, 0.2)
    found = hard_negatives.triplets(x, y, 0.2, np.random.default_rng(0), hardest)
    assert {(a, p) for a, p, _ in found} == set(wanted)
    assert len(found) == len(wanted)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for a, p, n in found:
        assert n in wanted[a, p]
        if hardest:
            assert unit[a] @ unit[n] == max(unit[a] @ unit[k] for k in wanted[a, p])


def test_random_negatives_are_spread_over_all_that_violate() -> None:
    x = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, 0.05], [0.98, 0.0], [-1.0, 0.0]])
    y = np.array([0, 0, 1, 2, 3])
    drawn = [hard_negatives.triplets(x, y, 0.2, np.random.default_rng(k))[0, 2] for k in range(60)]
    assert set(drawn) == {2, 3}


def test_embeddings_that_are_not_finite_take_no_part() -> None:
    chance = np.random.default_rng(1)
    x, y = chance.standard_normal((12, 4)), np.repeat(np.arange(3), 4)
    x[2], x[7], x[9] = np.nan, np.inf, 0.0
    found = hard_negatives.triplets(x, y, 2.0, np.random.default_rng(0))
    assert len(found)
    assert not np.isin(found, (2, 7, 9)).any()


def test_sample_takes_people_with_pairs() -> None:
    labels = np.repeat(np.arange(5), [1, 2, 3, 9, 4])
    chosen = hard_negatives.sample(labels, np.arange(19), 3, 3, np.random.default_rng(0))
    counts = np.bincount(labels[chosen], minlength=5)
    assert counts[0] == 0
    assert (counts > 0).sum() == 3
    assert counts.max() == 3


def test_mined_triplets_are_drawn_whole() -> None:
    labels = np.repeat(np.arange(10), 6)
    records = np.arange(3, 60)
    x = np.random.default_rng(0).standard_normal((60, 16))
    sampler = MinedTriplets(identities=8, images=4)
    mined = sampler.mine(lambda numbers: x[numbers], labels, records, seed=1, epoch=4)
    assert np.isin(mined, records).all()
    assert (labels[mined[:, 0]] == labels[mined[:, 1]]).all()
    assert (labels[mined[:, 0]] != labels[mined[:, 2]]).all()
    np.testing.assert_array_equal(mined, sampler.mine(lambda n: x[n], labels, records, seed=1, epoch=4))
    rows = samplers.shuffled(mined, 30, seed=1)(4).reshape(-1, 3)
    assert {tuple(row) for row in rows} <= {tuple(row) for row in mined}
    apart = np.eye(10)[labels]
    with pytest.raises(DataError, match="no triplet"):
        sampler.mine(lambda numbers: apart[numbers], labels, records, seed=1, epoch=4)


def test_the_small_form_of_mined_triplets_holds_whole_ones():
    from workbench import GDC, Adam, Experiment, MobileNet, Softmax, Stage, SyntheticFaces, Triplet
    from workbench.spec.datasets import Places
    from workbench.spec.quick import quick_variant
    from workbench.spec.variant import Variant

    mined = Stage(loss=Triplet(), epochs=1, sampler=MinedTriplets(), batch_size=192)
    spec = Experiment(
        data=SyntheticFaces(),
        backbone=MobileNet(),
        embedding=GDC(),
        stages=(Stage(loss=Softmax(), epochs=1), mined),
        optimizer=Adam(),
        learning_rate=0.1,
        batch_size=64,
    )
    small = quick_variant(Variant("s", spec), Places(roots=(), cache=Path("cache"))).experiment
    assert [plan.batch_size for plan in small.plans()] == [16, 15]
