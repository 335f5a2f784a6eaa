"""The best settings of a sweep as a variant that can be trained in full or written as a spec."""

from __future__ import annotations

from dataclasses import replace

from workbench.errors import RecordError
from workbench.spec.variant import Variant
from workbench.sweep.trials import TrialRunner
from workbench.tracking import sweeps


def best_variant(runner: TrialRunner) -> Variant:
    """Return the best trial's settings as a variant, all epochs of the spec; raises `RecordError` if none."""
    record = sweeps.read(runner.store, runner.run)
    best = record.best()
    if best is None:
        raise RecordError(
            "no trial succeeded", where=f"sweep {runner.name}", do="see why with `workbench list`"
        )
    variant = runner.trial_variant(best.request)
    words = f"{record.objective} {best.score:.4g} at epoch {best.epoch} of {best.request.epochs}"
    question = (
        f"How far do the best settings of the sweep {runner.name} go? Trial {best.request.chain} had {words}."
    )
    return replace(variant, name=f"{runner.name}-best", question=question)
