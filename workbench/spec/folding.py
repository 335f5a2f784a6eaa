"""Folds in a spec: one experiment times the sets of an evaluation list, as View 2 of LFW wants it.

Each fold is tested on one set and trained without the people of that set. `Fold` beside the settings says which
fold of which experiment a run is, so that tables show ten runs as the one result that they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from workbench.errors import SpecError
from workbench.spec.part import Part, part, setting

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment
    from workbench.spec.interfaces import PairSet

COUNT = 10  # sets of View 2


@part
class Fold(Part):
    """Which fold of which experiment a run is; made by `Experiment.folds()`."""

    number: int = setting(at_least=1, doc="the set that the fold is tested on, counted from 1")
    count: int = setting(at_least=2, doc="how many folds there are")
    recipe: str = setting(doc="identity of the experiment that the folds are made of")
    name: Union[str, None] = setting(None, doc="name of that experiment")

    def check(self) -> None:
        if self.number > self.count:
            raise SpecError(f"fold {self.number} of {self.count}", where="Fold.number")
        if len(self.recipe) != 12:
            raise SpecError(f"{self.recipe!r}", where="Fold.recipe", expected="an identity: 12 hex digits")


def folds(experiment: Experiment, count: int) -> tuple[Experiment, ...]:
    """Return the folds of `experiment`; see `Experiment.folds`."""
    lists = [pairs for pairs in experiment.sets if pairs.one_set(1) is not None]
    if len(lists) != 1:
        raise SpecError(
            f"{len(lists)} evaluation sets that are whole lists with sets",
            where="folds",
            expected='one, such as Pairs("lfw/pairs.txt")',
        )
    return tuple(_fold(experiment, lists[0], number, count) for number in range(1, count + 1))


def _fold(experiment: Experiment, whole: PairSet, number: int, count: int) -> Experiment:
    tested = whole.one_set(number)
    assert tested is not None
    sets = tuple(tested if pairs is whole else pairs for pairs in experiment.sets)
    fold = Fold(number=number, count=count, recipe=experiment.id, name=experiment.name)
    name = f"{experiment.name or 'fold'}-{number}"
    return experiment.with_sources(lambda source: source.without(tested), evaluate=sets, fold=fold, name=name)
