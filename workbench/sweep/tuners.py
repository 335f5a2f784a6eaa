"""How a sweep chooses what to try: Keras Tuner's searches as parts of a spec. No Keras Tuner at import."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from workbench.errors import SpecError
from workbench.spec.part import Part, part, setting

if TYPE_CHECKING:
    from workbench.sweep.oracles import ResumableOracle

RUNGS = "tuner/epochs"  # Keras Tuner's name of the epochs that a Hyperband trial may use


@part
class Tuner(Part):
    """How a sweep chooses what to try next."""

    @abc.abstractmethod
    def oracle(self, **common: Any) -> ResumableOracle:
        """Return Keras Tuner's search; `common` are its objective, space and seed."""

    def epochs(self, values: Mapping[str, Any], whole: int) -> int:
        """Return up to which global epoch a trial trains; `whole` is the number its spec has."""
        return whole

    def refuse(self, longest: int, combinations: int | None) -> None:
        """Raise `SpecError` for a search that does not fit: `longest` is the most epochs of any trial,
        `combinations` the number of distinct trials, None where it is unlimited."""

    def planned(self, whole: int, combinations: int | None) -> tuple[int, int]:
        """Return about how many trials and how many epochs of `whole`-epoch trials the search will do."""
        trials = min(filter(None, (getattr(self, "max_trials", None), combinations)), default=0)
        return trials, trials * whole


@part
class RandomSearch(Tuner):
    """Random values, no combination twice."""

    max_trials: int = setting(10, at_least=1, doc="trials at most")

    def oracle(self, **common: Any) -> ResumableOracle:
        from workbench.sweep.oracles import RandomOracle

        return RandomOracle(**common)


@part
class BayesianOptimization(Tuner):
    """A Gaussian process over the trials so far proposes the next, after some random ones."""

    max_trials: int = setting(10, at_least=1, doc="trials at most")
    num_initial_points: Union[int, None] = setting(
        None, at_least=1, doc="random trials first; None: three for each setting"
    )
    alpha: float = setting(1e-4, above=0, doc="variance of the objective's noise, in its standard deviations")
    beta: float = setting(2.6, at_least=0, doc="weight of what is unknown against what is good")

    def oracle(self, **common: Any) -> ResumableOracle:
        from workbench.sweep.oracles import BayesianOracle

        return BayesianOracle(
            num_initial_points=self.num_initial_points, alpha=self.alpha, beta=self.beta, **common
        )


@part
class GridSearch(Tuner):
    """Every combination, in order; a range without a step is taken at ten places."""

    max_trials: Union[int, None] = setting(None, at_least=1, doc="trials at most; None: all combinations")

    def oracle(self, **common: Any) -> ResumableOracle:
        from workbench.sweep.oracles import GridOracle

        return GridOracle(**common)


@part
class Hyperband(Tuner):
    """Many short trials, of which the best go on for longer (Li et al., JMLR 18, 2018).

    Epochs are global ones of the spec's stages: a trial stops where its rung ends, under the schedule
    of the whole spec, and a promotion continues the same run.
    """

    max_epochs: int = setting(
        at_least=1, doc="epochs of the longest trials, at most those of the spec's stages"
    )
    factor: int = setting(3, at_least=2, doc="of epochs from rung to rung, and of trials that are dropped")
    hyperband_iterations: int = setting(1, at_least=1, doc="how often the whole scheme is gone through")

    def oracle(self, **common: Any) -> ResumableOracle:
        from workbench.sweep.oracles import HyperbandOracle

        return HyperbandOracle(
            max_epochs=self.max_epochs,
            factor=self.factor,
            hyperband_iterations=self.hyperband_iterations,
            **common,
        )

    def epochs(self, values: Mapping[str, Any], whole: int) -> int:
        return min(int(values[RUNGS]), whole)  # a spec's --quick form may be shorter

    def refuse(self, longest: int, combinations: int | None) -> None:
        if self.max_epochs > longest:
            raise SpecError(
                f"max_epochs={self.max_epochs} is more than the {longest} epochs of the spec's stages",
                where="Hyperband",
                do="lengthen the stages or lower max_epochs",
            )

    def planned(self, whole: int, combinations: int | None) -> tuple[int, int]:
        """Count rung by rung, as Keras Tuner sizes them; fewer where the combinations run out."""
        # Its own formulas (`_get_size`, `_get_epochs`, `_get_num_brackets`), asked before there is an oracle to ask.
        count, epochs, left = 0, 0, combinations
        for bracket in list(reversed(range(self._brackets()))) * self.hyperband_iterations:
            first = self._size(bracket, 0)
            share = 1.0 if left is None else min(1.0, left / first)
            left = None if left is None else max(0, left - first)
            for rung in range(bracket + 1 if share else 0):
                size = math.ceil(self._size(bracket, rung) * share)
                before = self._rung_epochs(bracket, rung - 1) if rung else 0
                count, epochs = count + size, epochs + size * (self._rung_epochs(bracket, rung) - before)
        return count, epochs

    def _brackets(self) -> int:
        epochs, brackets = float(self.max_epochs), 0
        while epochs >= 1:
            epochs, brackets = epochs / self.factor, brackets + 1
        return brackets

    def _size(self, bracket: int, rung: int) -> int:
        last = math.ceil(1 + math.log(self.max_epochs, self.factor)) / (bracket + 1)
        return math.ceil(last * self.factor ** (bracket - rung))

    def _rung_epochs(self, bracket: int, rung: int) -> int:
        return math.ceil(self.max_epochs / self.factor ** (bracket - rung))
