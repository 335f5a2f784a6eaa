"""Folds in a spec: one experiment times the sets of an evaluation list, as View 2 of LFW wants it.

Each fold is tested on one set and trained without the people of that set. `Fold` beside the settings says which
fold of which experiment a run is, so that tables show ten runs as the one result that they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from workbench.errors import SpecError
from workbench.parts import Inherit, Part, part, setting

if TYPE_CHECKING:
    from workbench.experiment import Experiment

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


def folds(experiment: Experiment, count: int) -> tuple[Experiment, ...]:
    """Return the folds of `experiment`; see `Experiment.folds`."""
    from workbench.data.pairs import Pairs

    lists = [pairs for pairs in experiment.sets if isinstance(pairs, Pairs) and pairs.is_view2()]
    if len(lists) != 1 or lists[0].sets:
        raise SpecError(
            f"{len(lists)} evaluation sets that are lists with sets", where="folds",
            expected='one whole list, such as Pairs("lfw/pairs.txt")',
        )  # fmt: skip
    return tuple(_fold(experiment, lists[0], number, count) for number in range(1, count + 1))


def _fold(experiment: Experiment, whole: Any, number: int, count: int) -> Experiment:
    tested = whole.but(sets=(number,))
    sets = tuple(tested if pairs is whole else pairs for pairs in experiment.sets)
    stages = tuple(
        stage if isinstance(stage.data, Inherit) else stage.but(data=_without(stage.data, tested))
        for stage in experiment.stages
    )
    fold = Fold(number=number, count=count, recipe=experiment.id, name=experiment.name)
    name = f"{experiment.name or 'fold'}-{number}"
    return experiment.but(
        data=_without(experiment.data, tested), evaluate=sets, stages=stages, fold=fold, name=name
    )


def _without(source: Any, tested: Any) -> Any:
    """Return a source of images without the people of an evaluation set."""
    from workbench.data.people import PeopleOf

    if "leave_out" not in source.settings():
        raise SpecError(
            f"{type(source).__name__} cannot leave people out", where="folds", expected="an ImageFolder"
        )
    already = source.leave_out if isinstance(source.leave_out, tuple) else (source.leave_out,)
    return source.but(leave_out=(*already, PeopleOf(tested)) if already else PeopleOf(tested))
