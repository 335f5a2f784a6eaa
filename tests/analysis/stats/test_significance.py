"""Verdicts against theory: planted nulls, planted gains, oracles from SciPy, the notebook's own table."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from analysis.stats import noise
from analysis.stats import significance as sig
from workbench.errors import RecordError


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 5), (12, 3), (0, 9), (400, 350)])
def test_the_sign_test_is_the_doubled_tail_of_a_fair_coin(wins: int, losses: int) -> None:
    count, fewer = wins + losses, min(wins, losses)
    tail = sum(math.comb(count, k) for k in range(fewer + 1)) * 2 / 2**count
    expected = min(1.0, tail) if count else 1.0
    assert sig.sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("share", "pairs"), [(0.9838, 6000), (0.0, 10), (1.0, 10), (0.5, 3)])
def test_the_interval_is_wilsons(share: float, pairs: int) -> None:
    expected = stats.binomtest(round(share * pairs), pairs).proportion_ci(method="wilson")
    assert sig.accuracy_interval(round(share * pairs) / pairs, pairs) == pytest.approx(
        tuple(expected), abs=1e-6
    )


def test_holms_correction_by_hand() -> None:
    assert sig.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_permutation_is_exact_on_small_groups() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    values, total = [*ours, *theirs], sum([*ours, *theirs])
    splits = [
        abs(sum(chosen) / 3 - (total - sum(chosen)) / 3) for chosen in itertools.combinations(values, 3)
    ]
    expected = np.mean([split >= 3.0 for split in splits])  # 2 of 20
    assert sig.permutation(ours, theirs, rng) == pytest.approx(expected)
    with pytest.raises(RecordError, match="two seeds or more"):
        sig.permutation([1.0], [2.0, 3.0], rng)


def test_few_seeds_are_judged_by_welchs_test_and_can_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = [0.85, 0.86, 0.855], [0.80, 0.81, 0.802]
    found = sig.between_seeds(ours, theirs, rng)
    spread = [np.var(values, ddof=1) / 3 for values in (ours, theirs)]
    freedom = sum(spread) ** 2 / sum(part**2 / 2 for part in spread)  # Welch and Satterthwaite
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(spread))
    assert found.difference == pytest.approx(0.051) and found.p < 0.001
    assert (found.low, found.high) == pytest.approx((0.051 - half, 0.051 + half))
    assert sig.verdicts([found] * 3) == [sig.BETTER] * 3  # a permutation of three seeds never gets below .1
    same = sig.between_seeds([0.8, 0.8], [0.8, 0.8], rng)
    assert (same.p, same.low, same.high) == (1.0, 0.0, 0.0)
    one_flat = sig.between_seeds([0.8, 0.8], [0.7, 0.72], rng)  # no warning, and a finite interval
    assert 0 < one_flat.p < 0.2 and one_flat.low < one_flat.difference < one_flat.high
    many = sig.between_seeds([*ours, *ours], [*theirs, *theirs], rng)
    assert many.method == "permutation of seeds" and many.p == pytest.approx(2 / 924)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_table_of_noise_between_few_seeds_holds_a_false_call_in_at_most_5_of_100(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    calls = 0
    for _ in range(200):
        base, *rows = np.round(rng.normal(0.83, 0.004, (6, seeds)), 3)
        said = sig.verdicts([sig.between_seeds(row, base, rng) for row in rows])
        calls += any(word != sig.SAME for word in said)
    assert calls <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_equal_runs_are_indistinguishable_in_about_95_of_100_planted_cases() -> None:
    rng = np.random.default_rng(1)
    calls = 0
    for _ in range(400):
        common, ours, theirs = (rng.random(2000) for _ in range(3))
        p = sig.mcnemar((common < 0.9) & (ours < 0.95), (common < 0.9) & (theirs < 0.95))
        calls += p <= sig.LEVEL
    assert calls <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_a_gain_of_a_point_on_6000_pairs_is_found_as_often_as_theory_says() -> None:
    rng = np.random.default_rng(2)
    pairs, won, lost, found = 6000, 0.03, 0.02, 0
    for _ in range(300):
        counts = rng.multinomial(pairs, [won, lost, 1 - won - lost])
        found += sig.sign_test(counts[0], counts[1]) <= sig.LEVEL
    discordant = won + lost
    effect = math.sqrt(pairs) * (won - lost)
    spread = math.sqrt(discordant - (won - lost) ** 2)
    power = stats.norm.cdf((effect - 1.96 * math.sqrt(discordant)) / spread)
    assert abs(found / 300 - power) < 0.05


def test_twenty_null_rows_give_a_false_call_in_under_five_percent_of_tables() -> None:
    rng = np.random.default_rng(3)
    tables = 300
    false = 0
    for _ in range(tables):
        counts = rng.multinomial(1000, [0.03, 0.03, 0.94], size=20)
        rows = [sig.Comparison((a - b) / 1000, 0, 0, sig.sign_test(a, b), "") for a, b, _ in counts]
        false += any(said != sig.SAME for said in sig.verdicts(rows))
    assert false / tables < 0.05 + 2 * math.sqrt(0.05 * 0.95 / tables)


def test_the_bootstrap_interval_covers_the_true_difference() -> None:
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        kinds = rng.choice(3, size=3000, p=[0.04, 0.02, 0.94])
        ours, theirs = kinds != 1, kinds != 0
        _, low, high = sig.paired_bootstrap(ours, theirs, rng, repeats=500)
        covered += low <= 0.02 <= high
    assert 0.9 <= covered / 200 <= 0.99


@pytest.mark.parametrize("epochs", [2, 10, 50])
def test_optimism_on_pure_noise_is_the_order_statistic(epochs: int) -> None:
    rng = np.random.default_rng(5)
    curves = rng.normal(0.95, 0.003, size=(2000, epochs))
    excess = curves.max(1) - 0.95
    error = excess.std() / math.sqrt(len(excess))
    assert abs(sig.optimism(0.003, epochs) - excess.mean()) < 2 * error
    assert noise.of_plateau(rng.normal(0, 0.003, 5000)) == pytest.approx(0.003, rel=0.05)


def test_the_notebooks_nesterov_table_calls_almost_nothing() -> None:
    rows = {
        "plain": (0.9822, 0.8694, 0.8695),
        "512 dropout .4": (0.9837, 0.8491, 0.8745),
        "nesterov": (0.9830, 0.8739, 0.8772),
        "512 .4 nesterov": (0.9828, 0.8673, 0.8810),
    }
    called = []
    for column, pairs in enumerate((6000, 7000, 6000)):
        compared = [
            None if name == "plain" else sig.unpaired(values[column], rows["plain"][column], pairs)
            for name, values in rows.items()
        ]
        said = sig.verdicts(compared)
        called += [(name, column) for name, word in zip(rows, said) if word in (sig.BETTER, sig.WORSE)]
    assert called == [("512 dropout .4", 1)]


def test_scores_of_different_pairs_are_refused() -> None:
    with pytest.raises(RecordError, match="the same pairs"):
        sig.mcnemar(np.ones(3, bool), np.ones(4, bool))
