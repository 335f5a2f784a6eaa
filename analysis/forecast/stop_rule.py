"""When a run may be stopped: where the rule's own back-test says that good runs would have been spared.

The rule is replayed on finished runs, each asked for exactly what it reached: the hardest success there is. A run whose
chance falls below the limit at any point up to `LATEST` would have been stopped wrongly. The public curves' record comes with the
population (each source replayed by networks that do not know it); the study's own finished runs are replayed
when a training starts. A limit at which more than `PRICE` of the good runs are stopped, or more than `WORST` of a family's,
is not used, and where none is left the rule stops nothing and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.curve import Curve
from analysis.forecast.forecaster import forecast
from analysis.forecast.population import Population, population
from analysis.forecast.settings import DEFAULT, Settings

Array = np.ndarray
PRICE = 0.05  # of the runs that would succeed, the share that may be lost, as a mean of families
WORST = 0.1  # the same in the worst family: a new study may be like that one
LATEST = 0.6  # of a run: later nothing is stopped, for little is saved by then and a late fall may still come
ORIGINS = (0.1, 0.2, 0.3, 0.4, 0.5, LATEST)  # of a run, at which the rule is replayed
# Chances below which it might stop.
LIMITS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.007, 0.01, 0.02, 0.03, 0.05)
ENOUGH = 4  # other runs from which on the record with others counts
MOST = 12  # of the study's finished runs that are replayed at the start
ALONE, WITH_OTHERS = "alone", "with other runs"


@dataclass(frozen=True)
class StopRule:
    """Stop below the chance `limit`, or never where it is None; `words` say on what evidence."""

    limit: float | None
    words: str


def replay(
    curve: Curve,
    target: float,
    group: CrossRunPrior | tuple[()] = (),
    known: Population | None = None,
    settings: Settings = DEFAULT,
    origins: Sequence[float] = ORIGINS,
) -> Array:
    """Return the chance to end better than `target` as forecast at each of `origins` (1.0 where there is no forecast)."""
    chances = []
    for origin in origins:
        seen = max(settings.fewest, round(origin * len(curve.values)))
        made = forecast(curve.until(curve.first + seen - 1), curve.last, group, settings, known=known)
        # No forecast never stops a run, so that here it counts as certain of success.
        chances.append(made.chance(target) if made.known else 1.0)
    return np.array(chances)


def stop_rule(
    stop_below: float,
    others: Sequence[Curve] = (),
    known: Population | None = None,
    settings: Settings = DEFAULT,
) -> StopRule:
    """Return the rule for a run of a study whose finished runs are `others`."""
    known = known or population()
    # With a few other runs forecasts are sharper and err otherwise: the record of the same kind has to answer
    # for them.
    kind = WITH_OTHERS if len(others) >= ENOUGH else ALONE
    record = known.record.get(kind)
    # Never above what the user asked for: evidence may only make the rule more careful.
    supported = [limit for limit in supported_limits(record) if limit <= stop_below]
    if record is None or not supported:
        return StopRule(None, _unsupported(record))
    limit, own = max(supported), ""
    if kind == WITH_OTHERS:
        # Replayed once when a training starts: it costs a forecast for each finished run.
        least = _least_chances(others, known, settings)
        lost = [int((least < each).sum()) for each in supported]
        # The study's own runs have the last word: they are nearer than any public curve.
        fine = [each for each, count in zip(supported, lost, strict=True) if count <= PRICE * len(least)]
        if not fine:
            return StopRule(
                None, f"{lost[0]} of {len(least)} finished runs of this study would have been lost"
            )
        limit = max(fine)
        own = (
            f"; of {len(least)} finished runs of this study {int((least < limit).sum())} would have been lost"
        )
    place = LIMITS.index(limit)
    words = (
        f"stops below a chance of {limit:.1%}: on {record['curves']} public curves that reached what was asked "
        f"{record['wrong'][place]:.1%} would have been lost ({record['worst'][place]:.0%} in the worst family), and {record['hopeless'][place]:.0%} of the hopeless ones "
        f"ended by half{own}"
    )
    return StopRule(limit, words)


def supported_limits(record: Mapping[str, Any] | None) -> list[float]:
    """Return the limits at which few enough successes would have been lost, over all families and in the worst."""
    if record is None:
        return []
    # Strict: the record in population.json was made for these very limits.
    lost = zip(LIMITS, record["wrong"], record["worst"], strict=True)
    return [limit for limit, wrong, worst in lost if wrong <= PRICE and worst <= WORST]


def _unsupported(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "no record of the rule comes with this population"
    return (
        f"on {record['curves']} public curves that reached what was asked the rule would have lost "
        f"{record['wrong'][0]:.1%}, and {record['worst'][0]:.0%} in the worst family, at its most careful; "
        f"at most {PRICE:.0%} and {WORST:.0%} are allowed ({ENOUGH} finished runs of the study would help)"
    )


def _least_chances(others: Sequence[Curve], known: Population, settings: Settings) -> Array:
    """Return the least chance that each of the study's runs was given of what it reached, the others as prior."""
    group = CrossRunPrior(others, settings, known)
    # The newest: they are nearest to what is trained now.
    picked = list(others)[-MOST:]
    return np.array([replay(one, one.values[-1], group, known, settings).min() for one in picked])
