"""Forecasts during a training: metrics of each epoch, and an end for a run that has no chance any more.

The watcher is handed to the runner; it sees plain numbers and needs no TensorFlow. It records

    forecast.<metric>            the median for the run's last epoch
    forecast.<metric>_low/_high  the 80 percent interval
    forecast.<metric>_chance     the probability of beating the wanted value
    forecast.<metric>_beat       that value
    forecast.<metric>_stop       1 at the epoch at which it asked for the end

so that a decision can be scored later (analysis.forecast.recorded_forecasts). It stops a run only where the rule's
own record allows it (analysis.forecast.stop_rule), and says at the start what that record is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.forecast.cross_run_prior import CrossRunPrior
from analysis.forecast.curve import Curve
from analysis.forecast.forecaster import FORECAST, forecast
from analysis.forecast.plans import Planned, planned
from analysis.forecast.population import Population
from analysis.forecast.settings import DEFAULT, Settings
from analysis.forecast.stop_rule import LATEST, StopRule, stop_rule
from workbench.errors import InputError, StoreError
from workbench.names import FORECAST_PREFIX, is_better, lower_is_better


@dataclass(frozen=True)
class Observation:
    """What an epoch's forecast adds to the record, and why the run should end (None: it should not)."""

    metrics: dict[str, float]
    stop: str | None = None


@dataclass
class ForecastStopping:
    """Forecast `metric` at every epoch, by default of the run's selecting kind, from epoch `fewest` on.

    With `beat` and `stop_below` it asks for the end of a run whose chance to end better than `beat` has been below
    the rule's limit for `patience` epochs in a row, after the first `grace` epochs and before `LATEST` of the run. The limit is
    at most `stop_below`, and no more than what the back-tests of the rule support; where they support none, the run
    goes on. A "no forecast" never stops a run. `others` are curves of other runs of the study, used as prior.
    """

    metric: str
    beat: float | None = None
    stop_below: float | None = None
    grace: int = 10
    patience: int = 2
    others: Sequence[Curve] = ()
    settings: Settings = field(default=DEFAULT)
    known: Population | None = None
    _rule: StopRule | None = field(default=None, init=False, repr=False)
    _group: CrossRunPrior | None = field(default=None, init=False, repr=False)
    _hopeless: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.stop_below is not None and self.beat is None:
            raise InputError("a threshold without a value to beat", do="say what the run has to beat")
        if self.stop_below is not None and not 0 < self.stop_below < 1:
            raise InputError(f"a chance of {self.stop_below:g}", expected="a probability between 0 and 1")
        if self.grace < 0 or self.patience < 1:
            raise InputError("a grace below 0 or a patience below 1", expected="numbers of epochs")

    @property
    def rule(self) -> StopRule:
        """When it may stop a run, and on what evidence; replayed once, on the study's finished runs."""
        if self._rule is None:
            if self.stop_below is None:
                self._rule = StopRule(None, "no run is stopped: no stop=CHANCE was asked for")
            else:
                self._rule = stop_rule(self.stop_below, self.others, self.known, self.settings)
        return self._rule

    def opening(self) -> str:
        """Return the line to print when a training starts: what the rule may do, and its record."""
        learnt = f"forecast of {self.metric} from {len(self.others)} finished runs of the study as prior"
        if self.stop_below is None:
            return f"{learnt}; no run is stopped"
        if self.rule.limit is None:
            return f"{learnt}; not enough evidence to stop: {self.rule.words}"
        return f"{learnt}; {self.rule.words}"

    def epoch(
        self, history: Mapping[str, list[float]], facts: Mapping[str, Any]
    ) -> tuple[dict[str, float], str | None]:
        """Return metrics to record with the epoch, and the reason to end the run or None.

        `history` holds the values so far by metric, one an epoch; `facts` the runner's "epochs" and "plans".
        """
        seen = self.observe(history, planned(facts["plans"]))
        return seen.metrics, seen.stop

    def observe(self, history: Mapping[str, list[float]], plan: Planned) -> Observation:
        """Forecast the run's last epoch from its history so far."""
        values = history.get(self.metric, [])
        if not values:
            return Observation({})
        # Made once and kept: it remembers its forecasts of the other runs from epoch to epoch.
        if self._group is None:
            self._group = CrossRunPrior(self.others, self.settings, self.known)
        # Metrics measured every few epochs have shorter lists; the longest tells the epoch.
        last = max(len(each) for each in history.values())
        curve = Curve(
            metric=self.metric,
            values=values,
            epochs=range(last - len(values) + 1, last + 1),
            total=plan.total,
            rates=plan.rates[last - len(values) :],
            stages=plan.stages,
        )
        # After the last epoch there is nothing left to forecast.
        if last >= plan.total:
            return Observation({})
        made = forecast(curve, plan.total, self._group, self.settings, known=self.known)
        # No forecast breaks the row of hopeless epochs: only those that follow each other count.
        if not made.known:
            self._hopeless = 0
            return Observation({})
        prefix = f"{FORECAST_PREFIX}{self.metric}"
        low, high = made.interval(0.8)
        metrics = {prefix: float(made.median[-1]), f"{prefix}_low": float(low[-1])}
        metrics[f"{prefix}_high"] = float(high[-1])
        if self.beat is None:
            return Observation(metrics)
        chance = made.chance(self.beat)
        # The value to beat stands beside each chance, so that the record alone is enough to score it later.
        metrics |= {f"{prefix}_chance": chance, f"{prefix}_beat": float(self.beat)}
        # A loss is forecast to the end of its stage only: that says nothing about the run's end.
        reached_end = made.to == plan.total
        stop = self._decide(chance, plan.total - last, last, made.verdict == FORECAST and reached_end, values)
        if self.stop_below is not None:
            metrics[f"{prefix}_stop"] = float(stop is not None)
        return Observation(metrics, stop)

    def _decide(self, chance: float, left: int, last: int, sure: bool, values: Sequence[float]) -> str | None:
        # The rule was never replayed later than this, so nothing is known of its mistakes there.
        late = last > LATEST * (last + left)
        if self.stop_below is None or self.beat is None or last <= self.grace or late:
            return None
        limit = self.rule.limit
        if limit is None:
            return None
        low = lower_is_better(self.metric)
        # A run that has been better once is not hopeless, whatever its end looks like.
        ahead = any(is_better(self.metric, value, self.beat) for value in values)
        hopeless = sure and not ahead and chance < limit
        # In a row: one hopeless epoch may be an unlucky evaluation.
        self._hopeless = self._hopeless + 1 if hopeless else 0
        if self._hopeless < self.patience:
            return None
        word = "below" if low else "above"
        return (
            f"forecast: the chance that {self.metric} ends {word} {self.beat:g} is {chance:.1%}, less than {limit:.1%} "
            f"for {self.patience} epochs; ending now saves {left} epochs, at the price of that chance"
        )


WORDS = {"beat": float, "stop": float, "grace": int, "patience": int}


def watch(
    text: str, study: str = "", store: str | None = None, parameters: Mapping[str, Any] | None = None
) -> ForecastStopping:
    """Return the watcher that a line such as "agedb_30 beat=0.94 stop=0.05 grace=10" asks for.

    The finished runs of `study` in `store` are its prior, those on the same data where the run's `parameters` tell
    its data. Raises `InputError` for anything else than a metric and
    the words beat, stop, grace and patience.
    """
    metric, *words = text.replace(",", " ").split() or [""]
    given: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            given[name] = WORDS[name](value)
        except (KeyError, ValueError) as error:
            expected = "a metric, then beat=VALUE stop=CHANCE grace=EPOCHS patience=EPOCHS"
            raise InputError(f"{word!r} is not understood", where="--forecast", expected=expected) from error
    if not metric or "=" in metric:
        raise InputError("no metric", where="--forecast", expected="the name of a metric first")
    # Called `stop` in the words of a person, `stop_below` in the code: "stop" there would read as a switch.
    stop = given.pop("stop", None)
    others = _finished(metric, study, store, parameters or {})
    return ForecastStopping(metric, stop_below=stop, others=others, **given)


def _finished(metric: str, study: str, store: str | None, parameters: Mapping[str, Any]) -> list[Curve]:
    from analysis.forecast.runs import data_set, priors, study_curves

    try:
        # Read here, when a training starts: during it the study's other runs may end, and the prior would
        # change under the rule's feet.
        found = study_curves(study, metric, store) if study else []
    except StoreError:  # the first run of a new store has no others to learn from
        return []
    data = data_set(parameters)
    usable, _ = priors(found)
    # Runs that do not say their data stay: old imports have no such setting.
    return [curve for curve in usable if not data or not curve.data or curve.data == data]
