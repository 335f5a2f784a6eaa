"""Is a difference more than noise? Intervals, paired and unpaired tests, Holm's correction, optimism.

Accuracies are shares of right decisions among n pairs, so their noise is known before anything is
repeated. Two runs measured on the same pairs are compared pair by pair (McNemar, paired bootstrap),
groups of seeds by Welch's test (few) or permutation, bare published numbers by their counts. Every verdict is one of BETTER,
WORSE and SAME, after Holm's correction over the table that it stands in.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.errors import RecordError

BETTER, WORSE, SAME = "better", "worse", "indistinguishable"
LEVEL = 0.05  # the chance of a false call in a whole table
NORMAL_POINT = 1.959964  # 97.5 % point of the standard normal
# Below six seeds in a group a permutation test has too few splits to call anything in a table of several rows (3 against 3:
# p is .1 at best), so few seeds are taken for normally distributed; from six on nothing need be assumed.
FEW_SEEDS = 6
EXACT_SPLITS = 20_000  # so many splits of two groups are all tried; beyond, as many random ones


class Comparison(NamedTuple):
    """One row against the baseline: difference, its 95 % interval, and the uncorrected p value."""

    difference: float
    low: float
    high: float
    p: float
    method: str


def accuracy_interval(accuracy: float, pairs: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share `accuracy` of `pairs` (Wilson, JASA 22, 1927).

    Raises `RecordError` for a share outside 0..1 or no pairs.
    """
    if not 0 <= accuracy <= 1 or pairs < 1:
        raise RecordError(
            f"accuracy {accuracy} of {pairs} pairs", expected="a share from 0 to 1 of 1 pair or more"
        )
    z2 = NORMAL_POINT**2
    middle = (accuracy + z2 / (2 * pairs)) / (1 + z2 / pairs)
    half = (
        NORMAL_POINT / (1 + z2 / pairs) * math.sqrt(accuracy * (1 - accuracy) / pairs + z2 / (4 * pairs**2))
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the exact two-sided p value of McNemar's test on right decisions (bool [P], paired).

    Of the pairs that one run alone decides rightly each is a fair coin under the null hypothesis
    (McNemar, Psychometrika 12, 1947); the p value is the binomial tail, doubled.
    """
    ours, theirs = _paired(ours, theirs)
    only_ours, only_theirs = int(np.sum(ours & ~theirs)), int(np.sum(~ours & theirs))
    return sign_test(only_ours, only_theirs)


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p value of `wins` against `losses` of a fair coin."""
    from scipy import stats  # half a second: only tables with verdicts wait for it

    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, rng: np.random.Generator, repeats: int = 2000
) -> tuple[float, float, float]:
    """Return the difference of two accuracies on the same pairs and its 95 % percentile interval.

    Resampling pairs is drawing the counts of won, lost and even pairs from a multinomial.
    """
    ours, theirs = _paired(ours, theirs)
    won, lost, count = np.sum(ours & ~theirs), np.sum(~ours & theirs), len(ours)
    draws = rng.multinomial(count, [won / count, lost / count, 1 - (won + lost) / count], size=repeats)
    differences = (draws[:, 0] - draws[:, 1]) / count
    low, high = np.quantile(differences, [0.025, 0.975])
    return float((won - lost) / count), float(low), float(high)


def _paired(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if ours.shape != theirs.shape or not len(ours):
        raise RecordError(
            f"scores of {len(ours)} and of {len(theirs)} pairs", expected="the same pairs in both runs"
        )
    return np.asarray(ours, bool), np.asarray(theirs, bool)


def unpaired(ours: float, theirs: float, pairs: int, other_pairs: int | None = None) -> Comparison:
    """Compare two published accuracies of which only the values and numbers of pairs are known.

    The two-proportion z test; on the same pairs it is conservative, because right decisions go together.
    Raises `RecordError` for a share outside 0..1.
    """
    if not (0 <= ours <= 1 and 0 <= theirs <= 1):
        raise RecordError(f"accuracies {ours} and {theirs}", expected="shares from 0 to 1")
    other = other_pairs or pairs
    pooled = (ours * pairs + theirs * other) / (pairs + other)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / pairs + 1 / other))
    own = math.sqrt(ours * (1 - ours) / pairs + theirs * (1 - theirs) / other)
    difference = ours - theirs
    p = math.erfc(abs(difference) / spread / math.sqrt(2)) if spread else float(difference == 0)
    half = NORMAL_POINT * own
    return Comparison(difference, difference - half, difference + half, p, "two proportions")


def between_seeds(ours: Sequence[float], theirs: Sequence[float], rng: np.random.Generator) -> Comparison:
    """Compare the values of two groups of seeds; the interval of the difference is Welch's.

    With fewer than `FEW_SEEDS` in a group the p value is that of Welch's t test (Welch, Biometrika 34, 1947), which
    takes each group's noise for normal, not for equal; with more, of a permutation.
    Raises `RecordError` for a group of one: it has no spread to compare with.
    """
    _two_or_more(ours, theirs)
    difference = float(np.mean(ours) - np.mean(theirs))
    if np.std(ours) + np.std(theirs) == 0:  # no noise is seen: nothing but the splits themselves to judge by
        p = permutation(ours, theirs, rng)
        return Comparison(difference, difference, difference, p, "permutation of seeds")
    from scipy import stats

    with warnings.catch_warnings():  # seeds that all reach the same value are no loss of precision
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.ttest_ind(ours, theirs, equal_var=False)
        low, high = (float(bound) for bound in found.confidence_interval(0.95))
    if min(len(ours), len(theirs)) < FEW_SEEDS:
        return Comparison(difference, low, high, float(found.pvalue), "Welch's t of seeds")
    return Comparison(difference, low, high, permutation(ours, theirs, rng), "permutation of seeds")


def _two_or_more(ours: Sequence[float], theirs: Sequence[float]) -> None:
    if min(len(ours), len(theirs)) < 2:
        raise RecordError(
            f"groups of {len(ours)} and {len(theirs)} seeds", expected="two seeds or more in each"
        )


def permutation(ours: Sequence[float], theirs: Sequence[float], rng: np.random.Generator) -> float:
    """Return the two-sided p value of the difference of two groups' means under exchange of members.

    SciPy's `permutation_test`: all splits where there are at most `EXACT_SPLITS`, else so many random ones (Phipson
    and Smyth, 2010).
    Raises `RecordError` for a group of one: it has no spread to compare with.
    """
    _two_or_more(ours, theirs)
    from scipy import stats

    def difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        apart: np.ndarray = np.mean(one, axis=axis) - np.mean(other, axis=axis)
        return apart

    groups = (np.asarray(ours, float), np.asarray(theirs, float))
    found = stats.permutation_test(groups, difference, n_resamples=EXACT_SPLITS, vectorized=True, rng=rng)
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for all being looked at together (Holm, 1979), in their order."""
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = highest
    return corrected


def verdicts(comparisons: Sequence[Comparison | None], lower: bool = False) -> list[str]:
    """Return BETTER, WORSE or SAME for each row against the baseline (`None`: the baseline, "").

    `lower` tells that small values are good. Corrected over all rows together.
    """
    corrected = iter(holm([row.p for row in comparisons if row is not None]))
    said = []
    for row in comparisons:
        if row is None:
            said.append("")
        elif next(corrected) > LEVEL:
            said.append(SAME)
        else:
            said.append(BETTER if (row.difference < 0) == lower else WORSE)
    return said


def optimism(deviation: float, epochs: int) -> float:
    """Return by how much the best of `epochs` measurements exceeds a typical one through noise alone.

    That is the expected largest of `epochs` independent normal draws of standard `deviation`.
    """
    return deviation * _mean_largest(epochs) if epochs > 1 else 0.0


@functools.cache
def _mean_largest(count: int) -> float:
    """Return the mean of the largest of `count` standard normal draws: the integral of x dPhi(x)^count."""
    from scipy import integrate

    x = np.linspace(-8, 8, 4001)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return float(integrate.trapezoid(x * count * below ** (count - 1) * density, x))
