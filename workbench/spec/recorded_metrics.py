"""Which metrics a run will record: what may choose its best epoch, or be sought by a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import names
from workbench.errors import SpecError, suggestion
from workbench.spec.interfaces import terms
from workbench.spec.watchers import Evaluation

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment


def recorded_metrics(experiment: Experiment) -> set[str]:
    """Return the metrics that a run of `experiment` records every epoch, best values of which count."""
    found = {names.LOSS}
    for plan in experiment.plans():
        summed = [term.term for term in terms(plan.loss)]
        found |= set(summed if len(summed) > 1 else ())
        if plan.loss.classifier() is not None:
            found.add(names.ACCURACY)
        if plan.data.hold_out or experiment.validation:
            found |= {names.VAL_PREFIX + name for name in (names.LOSS, names.ACCURACY) if name in found}
    for pairs in experiment.sets:
        own = isinstance(pairs, Evaluation)
        found |= {pairs.label()} if own else {pairs.label(), pairs.label() + names.TENFOLD_SUFFIX}
    for watcher in experiment.watchers:
        found |= set(watcher.metrics())
    return found


def refuse_select(experiment: Experiment) -> None:
    """Refuse a `select` that no epoch will record: no epoch would ever be the best; raises `SpecError`."""
    known = recorded_metrics(experiment)
    if experiment.select is not None and experiment.select not in known:
        raise SpecError(
            f"no run of it records {experiment.select!r}, so no epoch could be the best",
            where="Experiment.select",
            do=suggestion(experiment.select, sorted(known)),
        )
