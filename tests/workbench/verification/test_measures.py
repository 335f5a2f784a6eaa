"""Every measure against a literal loop (with ties), scikit-learn and what must hold at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import verification_oracles as oracles
from scipy import stats
from sklearn import metrics
from sklearn.model_selection import KFold

from workbench.errors import DataError
from workbench.verification import folds, intervals, legacy_accuracy, measures
from workbench.verification.report import epoch_metrics, report
from workbench.verification.sorted_scores import BLOCK, SortedScores


def draw(count: int, seed: int, steps: int | None = None, dtype: str = "float32", scale: float = 1.0):
    rng = np.random.default_rng(seed)
    same = rng.random(count) < rng.uniform(0.1, 0.9)
    same[:2] = True, False
    scores = np.clip(rng.normal(0.15 * same, 0.3), -1, 1)
    if steps:
        scores = np.round(scores * steps) / steps
    scores[rng.random(count) < 0.02] *= -0.0
    return (scores * scale).astype(dtype), same


CASES = [
    (200, 0, None, "float32", 1.0),
    (200, 1, 10, "float32", 1.0),
    (200, 2, 3, "float64", 1.0),
    (200, 3, None, "float64", 1.0),
    (200, 4, 20, "float32", 50.0),
    (200, 5, 1, "float32", 1.0),
    (37, 6, 5, "float64", -7.0),
    (2, 7, None, "float32", 1.0),
    (200, 8, 10, "float16", 1.0),
]


@pytest.mark.parametrize("case", CASES)
def test_against_the_literal_loops(case: tuple) -> None:
    scores, same = draw(*case)
    scores = scores.astype(np.float32) if scores.dtype == np.float16 else scores
    ordered = SortedScores(scores, same)
    accuracy, threshold = measures.best_accuracy(ordered)
    expected = oracles.best_accuracy(scores, same)
    assert accuracy == pytest.approx(expected[0], abs=1e-15)
    assert threshold == expected[1]
    assert measures.equal_error_rate(ordered)[0] == pytest.approx(oracles.eer(scores, same), abs=1e-12)
    assert measures.area(ordered).value == pytest.approx(oracles.auc(scores, same), abs=1e-12)
    for far in (0.5, 0.1, 0.05, 0.02):
        found = measures.tar_at_far(ordered, far)
        if far * (~same).sum() < 1:
            assert found.tar is None
            continue
        assert found.tar.value == pytest.approx(oracles.tar_at_far(scores, same, far), abs=1e-15)
        assert oracles.rates(scores, same, found.threshold) == pytest.approx(
            (found.false_accepts / (~same).sum(), found.tar.value), abs=1e-15
        )
        assert found.tar.low <= found.tar.value <= found.tar.high
    for ours, theirs in (
        (legacy_accuracy.top300, oracles.top300),
        (legacy_accuracy.top_tenth, oracles.top_tenth),
    ):
        assert tuple(ours(ordered)) == pytest.approx(theirs(scores, same), abs=1e-15)


@pytest.mark.parametrize("case", [case for case in CASES if case[0] >= 20])
def test_folds_against_the_literal_loop(case: tuple) -> None:
    scores, same = draw(*case)
    fold_of = folds.numbers(len(scores), 10)
    found = folds.cross_validated(scores, same)
    expected = oracles.folds(scores, same, fold_of)
    np.testing.assert_allclose(found.accuracies, expected, atol=1e-15)
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.spread == pytest.approx(np.std(expected))
    shuffled = np.random.default_rng(0).permutation(fold_of)
    np.testing.assert_allclose(
        folds.cross_validated(scores, same, fold_of=shuffled).accuracies,
        oracles.folds(scores, same, shuffled),
        atol=1e-15,
    )


def test_folds_are_those_of_scikit_learn() -> None:
    for count in (20, 23, 6000):
        expected = np.empty(count, int)
        for fold, (_, test) in enumerate(KFold(10).split(np.zeros(count))):
            expected[test] = fold
        np.testing.assert_array_equal(folds.numbers(count, 10), expected)


@pytest.mark.parametrize("steps", [None, 4, 500])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_scikit_learn_over_several_blocks(steps: int | None, dtype: str) -> None:
    scores, same = draw(6 * BLOCK + 17, 11, steps, dtype)
    ordered = SortedScores(scores, same)
    far, tar, _ = metrics.roc_curve(same, scores, drop_intermediate=False)
    assert measures.area(ordered).value == pytest.approx(metrics.roc_auc_score(same, scores), abs=1e-12)
    right = tar * same.sum() + (1 - far) * (~same).sum()
    assert measures.best_accuracy(ordered)[0] == pytest.approx(right.max() / len(same), abs=1e-12)
    for rate in measures.FARS[:4]:
        assert measures.tar_at_far(ordered, rate).tar.value == tar[far <= rate].max()
    rates, tars = measures.roc_at(ordered, 50)
    for rate, found in zip(rates, tars, strict=True):
        assert found == tar[far <= rate].max()


def test_one_score_in_many_blocks() -> None:
    same = np.arange(5 * BLOCK) % 3 == 0
    scores = np.where(np.arange(5 * BLOCK) % 97 == 0, 0.3, 0.25).astype(np.float32)
    scores[:40] = -0.1
    ordered = SortedScores(scores, same)
    assert measures.area(ordered).value == pytest.approx(metrics.roc_auc_score(same, scores), abs=1e-12)
    far, tar, _ = metrics.roc_curve(same, scores, drop_intermediate=False)
    rates, tars = measures.roc_at(ordered, 50)
    np.testing.assert_array_equal(tars, [tar[far <= rate].max() for rate in rates])


def test_the_variance_of_the_area_is_delongs() -> None:
    for case in CASES[:6]:
        scores, same = draw(*case)
        found = measures.area(SortedScores(scores, same))
        reach = 1.959963984540054 * math.sqrt(oracles.delong_variance(scores, same))
        assert (found.low, found.high) == pytest.approx(
            (max(0, found.value - reach), min(1, found.value + reach)), abs=1e-12
        )


def test_random_scores_have_half_the_area_within_the_interval() -> None:
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = measures.area(SortedScores(rng.normal(size=300), rng.random(300) < 0.4))
        inside += found.low <= 0.5 <= found.high
    assert 180 <= inside <= 199  # 95 % of 200, four standard errors around


def test_intervals_of_tar_hold_what_they_promise() -> None:
    truth = 1 - stats.norm.cdf(stats.norm.isf(0.05) - 1.5)  # genuine N(1.5, 1), impostors N(0, 1)
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        same = np.arange(600) < 200
        found = measures.tar_at_far(SortedScores(rng.normal(1.5 * same), same), 0.05)
        inside += found.tar.low <= truth <= found.tar.high
        assert found.threshold_low <= found.threshold <= found.threshold_high
    assert inside >= 188


def test_share_and_counts_against_scipy() -> None:
    for successes, count in ((0, 10), (3, 10), (10, 10), (2999, 3000)):
        expected = stats.binomtest(successes, count).proportion_ci(0.95, "exact")
        assert intervals.share(successes, count)[1:] == pytest.approx((expected.low, expected.high), abs=1e-9)
    for count, rate in ((10, 0.1), (3000, 1e-3), (15_600_000, 1e-6), (50, 0.5)):
        low, high = intervals.accepts_at(rate, count, 0.975)
        for end, tail in ((low, 0.0125), (high, 0.9875)):  # the least count that reaches the tail
            assert stats.binom.cdf(end, count, rate) >= tail > stats.binom.cdf(end - 1, count, rate)


def test_d_prime() -> None:
    scores, same = draw(5000, 3)
    one, zero = scores[same].astype(float), scores[~same].astype(float)
    expected = (one.mean() - zero.mean()) / math.sqrt((one.var() + zero.var()) / 2)
    assert measures.d_prime(scores, same) == pytest.approx(expected, rel=1e-12)
    assert measures.d_prime(np.float32([1, 1, 0, 0]), np.array([True, True, False, False])) == math.inf


def test_identical_embeddings_of_each_person_give_no_error() -> None:
    same = np.arange(100) < 40
    found = report(np.where(same, 1.0, 0.2), same)
    assert (found.eer, found.accuracy, found.auc.value) == (0.0, 1.0, 1.0)
    assert 0.9 < found.auc.low < 1
    assert found.threshold == 1.0


def test_rates_without_support_are_refused() -> None:
    scores, same = draw(6000, 5)
    found = report(scores, same, plain_scores=scores)
    said = {tar.far: tar for tar in found.tars}
    assert said[1e-3].tar is not None
    assert said[1e-4].tar is None
    assert said[1e-4].message == f"FAR 0.0001 needs 10,000 impostor pairs, there are {(~same).sum():,}"
    assert said[1e-4].message in found.messages
    with pytest.raises(DataError, match="false accept rate 0"):
        measures.tar_at_far(SortedScores(scores, same), 0)


@pytest.mark.parametrize("kind", [True, False])
def test_one_class_only_gives_no_accuracy_and_says_why(kind: bool) -> None:
    found = report(np.linspace(0, 1, 30), np.full(30, kind))
    assert found.accuracy is None
    assert "no accuracy, it needs both kinds" in found.messages[0]
    values, message = epoch_metrics(np.linspace(0, 1, 30), np.full(30, kind), "lfw")
    assert values == {}
    assert message.startswith("all 30 pairs are")


def test_bad_scores_are_refused() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(DataError, match="1 of 3 scores are not finite"):
            SortedScores(np.array([0.1, bad, 0.2]), [1, 0, 1])
    with pytest.raises(DataError, match="two lists of one length"):
        SortedScores([0.1, 0.2], [1])
    with pytest.raises(DataError, match="no pairs"):
        SortedScores([], [])
    with pytest.raises(DataError, match="labels other than 0 and 1"):
        SortedScores([0.1, 0.2], [1, 2])


def test_the_record_of_an_epoch() -> None:
    scores, same = draw(200, 1)
    values, message = epoch_metrics(scores, same, "lfw")
    assert list(values) == ["lfw", "lfw_thresh", "lfw_tenfold", "lfw_tenfold_std"]
    assert message is None
    few, message = epoch_metrics(scores[:12], same[:12], "lfw")
    assert list(few) == ["lfw", "lfw_thresh"]
    assert message is None  # the evaluator says once that there are no folds
