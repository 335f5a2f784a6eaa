"""Every study at work in its small form: one variant of each is run, and every variant changes a first step.

A variant is walked stage by stage beside the first variant of its study, one step each, until loss or weights
differ. What the small form hides is put back: batches keep their ratio, each data source has people of its own,
and a stage's step is taken at a rate of the whole schedule, where the two schedules differ.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import Constant, OneDevice, catalog
from workbench.data.embedded import small_faces
from workbench.experiment import Experiment
from workbench.families import Source

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
IMAGES = 16  # of the largest batch of a study in its small form
pytestmark = pytest.mark.tensorflow


@pytest.mark.timeout(1800)
def test_all_studies_check_with_every_network_at_full_size(project: Path):
    specs = [str(ROOT / "experiments" / f"{study}.py") for study in STUDIES]
    words = [sys.executable, "-m", "workbench", "check", *specs]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "  network ResNeSt + GDC: " in done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("study", STUDIES)
def test_one_variant_of_each_study_runs_quick(study: str, project: Path):
    spec = ROOT / "experiments" / f"{study}.py"
    name = catalog.load(spec)[-1].name
    words = [sys.executable, "-m", "workbench", "run", str(spec), name, "--quick", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"status": "finished"' in done.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_changes_a_first_step(study: str, project: Path):
    variants = catalog.load(ROOT / "experiments" / f"{study}.py")
    first = variants[0]
    control = differs(first, first.experiment.but(name="control"), project)
    assert control is None, "the same experiment twice gives the same steps"
    same = [v.name for v in variants[1:] if differs(first, v.experiment, project) is None]
    assert same == []


def differs(first: catalog.Variant, other: Experiment, project: Path) -> int | None:
    """Return the number of the first stage whose step differs between two experiments; None if none does."""
    base = first.experiment
    most = max(plan.batch_size for e in (base, other) for plan in e.plans())
    epochs = differing_rates(base, other)
    numbers = functools.partial(small, most=most, sources=sources(base, other), epochs=epochs)
    one, two = (walk(numbers(e), catalog.places(project)) for e in (base, other))
    for number, (ours, theirs) in enumerate(zip(one, two), start=1):
        if ours[0] != theirs[0] or not np.array_equal(ours[1], theirs[1]):
            return number
    return None if len(base.stages) == len(other.stages) else min(len(base.stages), len(other.stages)) + 1


def differing_rates(base: Experiment, other: Experiment) -> list[float]:
    """Return for each stage the t, from its start, at which the two schedules first differ; else 0."""
    found = []
    for one, two in zip(base.plans(), other.plans()):
        times = [step / 4 for step in range(4 * min(one.epochs, two.epochs))]
        at = [
            t
            for t in times
            if one.schedule.at(one.schedule_offset + t) != two.schedule.at(two.schedule_offset + t)
        ]
        found.append(at[0] if at else 0.0)
    return found


def sources(*experiments: Experiment) -> dict[Source, Source]:
    """Return a small stand-in with people of its own for every source."""
    found = dict.fromkeys(plan.data for e in experiments for plan in e.plans())
    return {
        source: small_faces(0.0, *known(source)).but(first=100 * number)
        for number, source in enumerate(found)
    }


def known(source: Source) -> tuple[int | None, int | None]:
    """Return the size of a source's teacher and its number of identities, where it states them."""
    return getattr(source, "teacher", None), getattr(source, "identities", None)


def small(
    experiment: Experiment, most: int, sources: dict[Source, Source], epochs: list[float]
) -> Experiment:
    """Return the small form, with batches in their ratio and the rate of a stage at its epoch of `epochs`."""
    stages = []
    for number, plan in enumerate(experiment.plans()):
        stage = experiment.stages[number]
        t = epochs[number] if number < len(epochs) else 0.0
        size = max(4, IMAGES * plan.batch_size // most)
        changes: dict[str, Any] = {
            "data": sources[plan.data], "learning_rate": Constant(plan.schedule.at(plan.schedule_offset + t)),
            "batch_size": size, "schedule_start": None,
        }  # fmt: skip
        if plan.sampler is not None:
            sampler = plan.sampler.quick()
            changes |= {"sampler": sampler, "batch_size": sampler.identities * sampler.images}
        stages.append(stage.but(**changes))
    return experiment.but(
        data=stages[0].data, evaluate=(), stages=tuple(stages), backbone=experiment.backbone.quick(),
        embedding=experiment.embedding.quick(), trunk=None, devices=OneDevice(),
    )  # fmt: skip


def walk(experiment: Experiment, where: Any) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the loss of one step of each stage, and all weights after it as one vector."""
    from workbench import devices, model
    from workbench.layers import Trainer
    from workbench.material import Material

    devices.prepare(experiment)
    data = Material(experiment, where, limit=1)
    trainer = Trainer(model.build(experiment))
    for plan in experiment.plans():
        devices.prepare(experiment)
        trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
        trainer.run_eagerly = True
        step = trainer.make_train_function(force=True)
        loss = float(step(iter(data.training(plan, 0, 0)))["loss"])
        yield loss, np.concatenate([np.ravel(v.numpy().astype(np.float64)) for v in trainer.trained()])
