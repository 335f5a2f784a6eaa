"""Every study at work in its small form: one variant of each is run, and every variant is shown to change a step.

A variant is compared with the variant before it that it differs least from: one step at the first stage in which
the two differ, from the same first weights and on the same images, must give another loss or other weights. What
the small form hides is put back: batches keep their ratio, each data source has people of its own, and where two
schedules differ the step is taken at the moment at which they differ most. What shows later than in a first step, as
Lookahead does, and as all does where half precision skips steps until its scale fits, is shown after a few steps on the
same images. Of a sweep the variants are its base and, one at a time, each value of its space. Run with `-s` to read
how each is shown.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import Constant, OneDevice
from workbench.cli import main
from workbench.commands.dry_run_networks import Networks
from workbench.data.sources.builtin import small_faces
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Source
from workbench.spec.plan import Plan
from workbench.spec.variant import Variant
from workbench.sweep.load_sweeps import load_sweeps, variants_or_bases

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
SWEEPS = [study for study in STUDIES if study.endswith("_sweep")]
LATER = 12  # steps, where the first one is the same
MIXED = ("distillation_casia", "mobilenet_emore_bs256", "ghostnet_ms1m")  # dropout, samplers, half precision
IMAGES = 16  # of the largest batch of a pair in its small form
pytestmark = pytest.mark.tensorflow

Step = tuple[float, np.ndarray]  # the mean loss of the steps, and all trained weights after them


def file_of(study: str) -> Path:
    return ROOT / "experiments" / f"{study}.py"


def variants_of(study: str) -> list[Variant]:
    """Return the variants of a study; of a sweep its base and each value of its space, one at a time."""
    variants = variants_or_bases(file_of(study))
    if study not in SWEEPS:
        return variants
    variants = [dataclasses.replace(variant, experiment=short(variant.experiment)) for variant in variants]
    for sweep, base in load_sweeps(file_of(study)):
        for name, raw in [(name, raw) for name, domain in sweep.space for raw in domain.candidates()]:
            experiment = short(sweep.experiment({name: raw}))
            if all(experiment.diff(other.experiment) for other in variants):
                named = f"{base.name}: {name}={raw}"
                variants.append(dataclasses.replace(base, name=named, experiment=experiment))
    return variants


def short(experiment: Experiment) -> Experiment:
    """Return an experiment with stages of an epoch each: sweeps of one study differ in their lengths."""
    return experiment.but(stages=tuple(stage.but(epochs=1) for stage in experiment.stages))


@pytest.mark.timeout(1800)
def test_all_studies_check_with_every_network_at_full_size(project: Path):
    specs = [str(file_of(study)) for study in STUDIES]
    words = [sys.executable, "-m", "workbench", "check", *specs]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "  network ResNeSt + GDC: " in done.stdout


@pytest.fixture
def _cleared() -> Iterator[None]:
    yield
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.backend.clear_session()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_cleared")
@pytest.mark.parametrize("study", STUDIES)
def test_one_variant_of_each_study_runs_quick(study: str, project: Path, capsys: pytest.CaptureFixture[str]):
    if study in SWEEPS:
        name = load_sweeps(file_of(study))[-1][1].name
        words, runs = ["sweep", str(file_of(study)), name, "--trials", "2"], 2
    else:
        words, runs = ["run", str(file_of(study)), variants_of(study)[-1].name], 1
    assert main([*words, "--quick", "--json"]) == 0
    assert capsys.readouterr().out.count('"status": "finished"') == runs


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_cleared")
@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_changes_a_step(study: str, project: Path):
    variants, steps = variants_of(study), Steps(project)
    same = []
    for number, variant in enumerate(variants[1:], start=1):
        nearest = min(variants[:number], key=lambda other: len(other.experiment.diff(variant.experiment)))
        shown = difference(nearest.experiment, variant.experiment, steps)
        print(f"{study}/{variant.name} and {nearest.name}: {shown}")
        same += [variant.name] if shown is None else []
    assert same == []


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_cleared")
@pytest.mark.parametrize("study", MIXED)
def test_the_same_step_twice_is_the_same(study: str, project: Path):
    """What differs between two variants is theirs: without a difference nothing differs."""
    for variant in variants_of(study)[-2:]:
        plans = variant.experiment.plans()
        form = small(variant.experiment, plans[0].batch_size, sources(variant.experiment), [])
        used, fresh = Steps(project), Steps(project)
        for number in range(1, len(plans)):
            used(form, number, 1)
        one, other = used(form, len(plans), 3), fresh(form, len(plans), 3)
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
        assert compared(one, other) is None
        control = variant.experiment.but(name="control")
        assert difference(variant.experiment, control, Steps(project)) is None


# ---------------------------------------------------------------- two variants


def difference(one: Experiment, other: Experiment, step: Callable[..., Step]) -> str | None:
    """Say in what a step of two experiments differs first, None where nothing does."""
    most = max(plan.batch_size for e in (one, other) for plan in e.plans())
    moments = differing_rates(one, other)
    people = sources(one, other)
    left, right = small(one, most, people, moments), small(other, most, people, moments)
    left, right = as_different(left, right, one, other), as_different(right, left, other, one)
    network = (one.backbone, one.embedding, one.precision) != (
        other.backbone,
        other.embedding,
        other.precision,
    )
    for number, (ours, theirs) in enumerate(zip(left.plans(), right.plans()), start=1):
        if network or content(ours) != content(theirs):
            moment = f", {moments[number - 1]:g} epochs into it" if moments[number - 1] else ""
            for count in (1, LATER):
                said = compared(step(left, number, count), step(right, number, count))
                if said:
                    return f"stage {number}{moment}, step {count}: {said}"
    if len(one.stages) != len(other.stages):
        short, long = sorted((left, right), key=lambda form: len(form.stages))
        last = len(short.stages)
        said = compared(step(short, last, 1), step(long, last + 1, 1)) or "the same step, trained for longer"
        return f"stage {last + 1} and one more epoch of stage {last}: {said}"
    if held_out(one) != held_out(other):
        return f"trained without {len(held_out(one) ^ held_out(other))} others of the people"
    return None


def compared(ours: Step, theirs: Step) -> str | None:
    if ours[0] != theirs[0]:
        return f"loss {ours[0]:.6g} and {theirs[0]:.6g}"
    if ours[1].shape != theirs[1].shape:
        return f"{len(ours[1])} and {len(theirs[1])} weights"
    most = float(np.max(np.abs(ours[1] - theirs[1])))
    return f"the same loss, weights up to {most:.2g} apart after the step" if most else None


def content(plan: Plan) -> dict[str, Any]:
    """Return what a stage's step depends on."""
    places = ("number", "name", "first_epoch", "last_epoch", "schedule_offset", "advances_schedule")
    return {
        field.name: getattr(plan, field.name)
        for field in dataclasses.fields(plan)
        if field.name not in places
    }


def held_out(experiment: Experiment) -> set[str]:
    """Return the people of the training data that a variant keeps for its evaluation."""
    return {name for pairs in experiment.sets for name in getattr(pairs, "identities", None) or ()}


def differing_rates(one: Experiment, other: Experiment) -> list[float]:
    """Return for each stage the t, from its start, at which the two rates differ most in ratio; 0 if nowhere."""
    found = []
    for ours, theirs in zip(one.plans(), other.plans()):
        times = [step / 4 for step in range(4 * min(ours.epochs, theirs.epochs))]
        found.append(max(times, key=lambda t: apart(rate(ours, t), rate(theirs, t))))
    return found


def apart(one: float, other: float) -> float:
    """Return how far two positive numbers are apart: the share of the larger that the smaller lacks."""
    return 0.0 if one == other else abs(one - other) / max(abs(one), abs(other))


def rate(plan: Plan, t: float) -> float:
    return float(plan.schedule.at(plan.schedule_offset + (t if plan.advances_schedule else 0.0)))


# ---------------------------------------------------------------- the small form and its step


def sources(*experiments: Experiment) -> dict[Source, Source]:
    """Return a small stand-in with people of its own for every source."""
    found = dict.fromkeys(plan.data for e in experiments for plan in e.plans())
    return {source: stand_in(source).but(first=100 * number) for number, source in enumerate(found)}


def stand_in(source: Source) -> Any:
    return small_faces(0.0, getattr(source, "teacher", None), getattr(source, "identities", None))


def small(
    experiment: Experiment, most: int, people: dict[Source, Source], moments: list[float]
) -> Experiment:
    """Return the small form, with batches in their ratio and each stage's rate at its moment."""
    stages = []
    for number, plan in enumerate(experiment.plans()):
        t = moments[number] if number < len(moments) else 0.0
        changes: dict[str, Any] = {
            "data": people[plan.data],
            "learning_rate": Constant(rate(plan, t)),
            "epochs": 1,
            "batch_size": max(4, IMAGES * plan.batch_size // most),
            "schedule_start": None,
        }
        if plan.sampler is not None:
            sampler = plan.sampler.quick()
            changes |= {"sampler": sampler, "batch_size": sampler.identities * sampler.images}
        stages.append(experiment.stages[number].but(**changes))
    return experiment.but(
        data=stages[0].data,
        evaluate=(),
        stages=tuple(stages),
        backbone=experiment.backbone.quick(),
        embedding=experiment.embedding.quick(),
        trunk=None,
        devices=OneDevice(),
    )


def as_different(form: Experiment, beside: Experiment, whole: Experiment, other: Experiment) -> Experiment:
    """Return a small form with those settings of its network put back that differ in the whole ones alone."""
    changes: dict[str, Any] = {}
    for name in ("backbone", "embedding"):
        mine, theirs = getattr(whole, name), getattr(other, name)
        if type(mine) is type(theirs):
            alike = getattr(beside, name)
            changes[name] = getattr(form, name).but(
                **{
                    setting: value
                    for setting, value in mine.settings().items()
                    if value != getattr(theirs, setting)
                    and getattr(form, name).settings()[setting] == getattr(alike, setting)
                }
            )
    return form.but(**changes)


class Steps:
    """A step or more of a stage of an experiment in its small form, as its first stage; each is made once.

    A network is built once and given its first weights and random numbers again before each use, and
    images are drawn once: what a step depends on is the same as in a fresh one.
    """

    def __init__(self, project: Path) -> None:
        self.where = default_places(project)
        self.made: dict[Any, Step] = {}
        self.networks = Networks()
        self.batches: dict[Any, Any] = {}

    def __call__(self, experiment: Experiment, number: int, count: int) -> Step:
        alone = experiment.but(stages=(experiment.stages[number - 1],), name=None)
        if (alone, count) not in self.made:
            self.made[(alone, count)] = self._step(alone, count)
        return self.made[(alone, count)]

    def _step(self, experiment: Experiment, count: int) -> Step:
        from workbench.distribute import setup
        from workbench.train.run_data import RunData
        from workbench.train.trainer import Trainer

        setup.prepare(experiment)
        data, plan = RunData(experiment, self.where, limit=1), experiment.plans()[0]
        trainer = Trainer(self.networks.small(experiment))
        setup.prepare(experiment)
        trainer.begin_stage(plan, 1, data.classes(plan), data.teacher_size(plan))
        trainer.run_eagerly = True
        images = (plan.data, plan.augment, plan.sampler, plan.batch_size, data.size, data.held_out)
        if images not in self.batches:
            self.batches[images] = next(iter(data.training(plan, 0, 0)))
        loss = [float(trainer.train_step(self.batches[images])["loss"]) for _ in range(count)][-1]
        return loss, np.concatenate([np.ravel(v.numpy().astype(np.float64)) for v in trainer.trained()])
