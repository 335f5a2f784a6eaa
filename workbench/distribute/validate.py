"""What is refused about devices before anything starts: batches that do not divide, stages that differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.distribute import cluster
from workbench.distribute.settings import Horovod, Mirrored, MultiWorker
from workbench.errors import InputError, SpecError
from workbench.spec.devices import Devices, ManyDevices
from workbench.spec.interfaces import terms
from workbench.spec.plan import Plan

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment


def expected_replicas(settings: Devices) -> int | None:
    """Return how many devices the settings alone speak of, GPUs uncounted; None where only a start can tell."""
    if isinstance(settings, Mirrored):
        return settings.count
    if isinstance(settings, MultiWorker):
        # WORKBENCH_WORKER is set for this look only: how many there are does not depend on which of them this is.
        known = settings.hosts or os.environ.get(cluster.VARIABLE)
        return len(cluster.find(settings.hosts, {**os.environ, cluster.PLACE: "0"}).hosts) if known else None
    if isinstance(settings, Horovod):
        size = os.environ.get("HOROVOD_SIZE")
        return int(size) if size else None
    return 1


def refuse(experiment: Experiment, replicas: int | None) -> None:
    """Refuse stages on other devices than the run's, and batches that do not divide among `replicas`."""
    if isinstance(experiment.devices, (MultiWorker, Horovod)) and experiment.trunk is not None:
        raise SpecError(
            "branches of a trunk run in one process",
            where=type(experiment.devices).__name__,
            expected="OneDevice() or Mirrored()",
            do="or leave trunk out: each run then trains it itself",
        )
    for plan in experiment.plans():
        where = f"stage {plan.number} ({plan.name})"
        _refuse_stage(plan.devices, experiment.devices, where)
        if replicas is not None:
            _refuse_batch(plan, replicas, where)


def _refuse_stage(stage: Devices, run: Devices, where: str) -> None:
    # A strategy lives as long as the run's variables; only how the step is compiled may change between stages.
    fixed = [name for name in run.settings() if name not in ("xla", "steps_per_execution")]
    same = type(stage) is type(run) and all(getattr(stage, n) == getattr(run, n) for n in fixed)
    if not same:
        raise SpecError(
            f"its devices are {stage}, those of the run {run}",
            where=where,
            expected="the same devices in all stages (xla and steps_per_execution may differ)",
        )


def _refuse_batch(plan: Plan, replicas: int, where: str) -> None:
    if plan.batch_size % replicas == 0:
        return
    lower, upper = plan.batch_size // replicas * replicas, -(-plan.batch_size // replicas) * replicas
    raise InputError(
        f"a batch of {plan.batch_size} does not divide among {replicas} devices",
        where=f"{where}.batch_size",
        expected=f"a multiple of {replicas}",
        do=f"take {lower} or {upper}" if lower else f"take {upper}",
    )


def split_line(experiment: Experiment, replicas: int) -> str:
    """Return how the batches are split, for the screen: `2 devices, batches of 400 = 2 x 200`."""
    sizes: Sequence[int] = sorted({plan.batch_size for plan in experiment.plans()})
    parts = ", ".join(f"{size} = {replicas} x {size // replicas}" for size in sizes)
    norms = isinstance(experiment.devices, ManyDevices) and experiment.devices.sync_norms
    line = f"{replicas} devices, batches of {parts}; batch normalisation {'over all' if norms else 'on each'}"
    gathered = gathering(experiment)
    return f"{line}; of the global batch: {', '.join(gathered)}" if gathered else line


def gathering(experiment: Experiment) -> list[str]:
    """Return which statistics of a batch the losses gather from all devices: `AdaFace's mean of the norms`."""
    losses = [term.loss for plan in experiment.plans() for term in terms(plan.loss)]
    found = {type(loss).__name__: loss.batch_statistics for loss in losses if loss.batch_statistics}
    return [f"{name}'s {what}" for name, what in found.items()]
