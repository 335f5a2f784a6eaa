"""Every constant of the forecaster in one frozen value, so that a score can name what it scored.

They were chosen on trainings of small networks on digits and on every second curve of the CIFAR-10
set, committed, and then scored (docs/forecast.md); `python tests/benchmarks/bench_forecast.py` checks
them once more by choosing among neighbours inside nested folds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a curve is fitted, how the forecasts are weighed, and which quantiles of the distribution are reported."""

    recency: float = 1.0
    """An epoch's weight is (epoch / last epoch) to this power: late epochs say more about the end."""
    border_weight: float = 0.5
    """Epochs before a stage border or a break of the learning rate weigh this much, once per border."""
    border_ratio: float = 1.8
    """A learning rate that changes by this factor from one epoch to the next is a break."""
    outlier: float = 1.5
    """Residuals beyond this many robust standard deviations lose weight (Huber)."""
    origins: tuple[float, ...] = (0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.92)
    """Where back-tests start, as shares of the part already seen."""
    level_share: float = 0.7
    """Weight of the baselines, before any back-test, when the whole run has been seen;
    it shrinks in proportion to the share of the run that has been seen."""
    backtest_prior: float = 8.0
    """Epochs' worth of back-tests that are taken to say "all members are equally good"."""
    power: float = 1.0
    """A member's weight falls with its back-test error to this power."""
    gains: tuple[float, ...] = (0.0, 1.5, 3.0, 4.5, 6.0, 8.0)
    """Gains of a full anneal that are thought possible, in standard deviations of the curve's noise."""
    gain_weights: tuple[float, ...] = (0.2, 0.2, 0.25, 0.15, 0.1, 0.1)
    """How likely each gain is before the curve has been seen to anneal."""
    loss_gains: tuple[float, ...] = (0.0, 0.1, 0.2, 0.35, 0.5)
    """The same for a loss, as shares of its present value: a mean over an epoch's batches hides the noise."""
    loss_gain_weights: tuple[float, ...] = (0.7, 0.1, 0.1, 0.05, 0.05)
    gain_cap: float = 0.4
    """No anneal is believed to take away more than this share of the present error or loss."""
    drift: float = 0.035
    """How far a curve strays from any forecast while its length doubles, as a share of its level."""
    better: float = 0.1
    worse: float = 0.22
    """The forecast lies between the quantiles 0.5 - better and 0.5 + worse of the distribution, small being good."""
    band_runs: float = 6.0
    """Other runs that halve both."""
    near_last: float = 0.52
    """Normal scores within which the last value must lie for a "no forecast"."""
    last_nearer: float = 0.5
    """"No forecast" when the end is nearer to the last value than to what the fits say with this chance."""
    fewest: int = 4
    """No forecast from fewer epochs."""


DEFAULT = Settings()
