"""The small form of a variant (`--quick`): it proves that a spec runs, in seconds, and says nothing of its numbers."""

from __future__ import annotations

from typing import Any

from workbench.spec.datasets import Places
from workbench.spec.devices import Devices
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Source
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
    data = old.data.stand_in() if old.data.missing(where) else old.data
    sets = tuple((s.stand_in() if s.missing(where) else s).quick() for s in old.sets)
    stages = tuple(_quick_stage(stage, where) for stage in old.stages)
    backbone = old.backbone.quick()
    small = old.but(
        data=data.quick(),
        evaluate=sets,
        stages=stages,
        backbone=backbone,
        validation=None if old.validation is None else old.validation.quick(),
        embedding=old.embedding.quick(),
        batch_size=min(old.batch_size, QUICK_BATCH),
        devices=old.devices.quick(),
        start=old.start if backbone == old.backbone else None,  # another network has no place for the weights
    )
    overrides = {**variant.overrides, **dict.fromkeys(small.diff(variant.experiment), "--quick")}
    return variant.changed(small, overrides, quick=True)


def with_hold_out(experiment: Experiment) -> Experiment:
    """Return the experiment with a held out part of the training data in the place of its validation set."""
    stages = tuple(
        stage.but(data=stage.data.but(hold_out=HELD_OUT)) if isinstance(stage.data, Source) else stage
        for stage in experiment.stages
    )
    return experiment.but(validation=None, data=experiment.data.but(hold_out=HELD_OUT), stages=stages)


def _quick_stage(stage: Any, where: Places) -> Any:
    changes: dict[str, Any] = {"epochs": min(stage.epochs, QUICK_EPOCHS)}
    if isinstance(stage.batch_size, int):
        together = stage.sampler.together if stage.sampler else 1
        changes["batch_size"] = min(stage.batch_size, QUICK_BATCH // together * together)
    if isinstance(stage.data, Source):
        data = stage.data.stand_in() if stage.data.missing(where) else stage.data
        changes["data"] = data.quick()
    if isinstance(stage.devices, Devices):
        changes["devices"] = stage.devices.quick()
    if stage.sampler is not None:
        changes["sampler"] = stage.sampler.quick()
    return stage.but(**changes)
