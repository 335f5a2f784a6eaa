"""The small form of a variant (`--quick`): it proves that a spec runs, in seconds, and says nothing of its numbers."""

from __future__ import annotations

from typing import Any

from workbench.spec.datasets import Places
from workbench.spec.devices import Devices
from workbench.spec.experiment import Experiment
from workbench.spec.stage import Stage
from workbench.spec.variant import Variant

QUICK_STEPS = 4  # steps of an epoch
QUICK_BATCH = 16  # images of a step
QUICK_EPOCHS = 1  # epochs of a stage
HELD_OUT = 0.25  # of a stand-in's images, where a validation set or what it validates is missing


def quick_variant(variant: Variant, where: Places) -> Variant:
    """Return the small form: synthetic data where it is missing, small input, few and short epochs."""
    old = variant.experiment
    if old.validation is not None and any(s.missing(where) for s in (*old.trained_on, old.validation)):
        old = with_hold_out(old)

    def little(data: Any) -> Any:
        return (data.stand_in() if data.missing(where) else data).quick()

    backbone = old.backbone.quick()
    small = old.with_sources(
        little,
        evaluate=tuple(little(pairs) for pairs in old.sets),
        backbone=backbone,
        validation=None if old.validation is None else old.validation.quick(),
        embedding=old.embedding.quick(),
        batch_size=min(old.batch_size, QUICK_BATCH),
        devices=old.devices.quick(),
        start=old.start if backbone == old.backbone else None,  # another network has no place for the weights
    )
    small = small.but(stages=tuple(_quick_stage(stage) for stage in small.stages))
    overrides = {**variant.overrides, **dict.fromkeys(small.diff(variant.experiment), "--quick")}
    return variant.changed(small, overrides, quick=True)


def with_hold_out(experiment: Experiment, share: float = HELD_OUT) -> Experiment:
    """Return the experiment with a share of its training data held out in the place of its validation set."""
    return experiment.with_sources(lambda source: source.but(hold_out=share), validation=None)


def _quick_stage(stage: Stage) -> Stage:
    changes: dict[str, Any] = {"epochs": min(stage.epochs, QUICK_EPOCHS)}
    if isinstance(stage.batch_size, int):
        together = stage.sampler.together if stage.sampler else 1
        changes["batch_size"] = min(stage.batch_size, QUICK_BATCH // together * together)
    if isinstance(stage.devices, Devices):
        changes["devices"] = stage.devices.quick()
    if stage.sampler is not None:
        changes["sampler"] = stage.sampler.quick()
    return stage.but(**changes)
