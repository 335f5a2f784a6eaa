"""The studies of `experiments/`: what every spec says and keeps to, and the settings that each was asked for."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import terms
from workbench.spec.load import load_variants
from workbench.spec.part import Part

ROOT = Path(__file__).resolve().parents[2]
SPECS = {path.stem: path for path in sorted((ROOT / "experiments").glob("*.py"))}
LONGEST = 120


@functools.cache
def variants(study: str) -> dict[str, Experiment]:
    return {variant.name: variant.experiment for variant in load_variants(SPECS[study])}


@pytest.mark.parametrize("study", SPECS)
def test_a_spec_says_what_it_asks_costs_and_expects(study: str):
    text = SPECS[study].read_text(encoding="utf-8")
    question, *rest = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    assert question.endswith("?")
    assert "Cost:" in " ".join(rest)
    assert any(word in " ".join(rest) for word in ("Expected:", "network .8922")), (
        "what is expected, or was found"
    )
    assert len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("study", SPECS)
def test_variants_differ_and_a_variant_is_one_difference(study: str):
    ids = [experiment.id for experiment in variants(study).values()]
    assert len(set(ids)) == len(ids)
    chained = [
        node.lineno
        for node in ast.walk(ast.parse(SPECS[study].read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _is_but(node.func) and _calls_but(node.func.value)
    ]
    assert chained == [], "but().but(): a variant is one difference from a named experiment"


def _is_but(node: Any) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "but"


def _calls_but(node: Any) -> bool:
    return isinstance(node, ast.Call) and _is_but(node.func)


def lengths(experiment: Experiment) -> tuple[int, ...]:
    return tuple(stage.epochs for stage in experiment.stages)


def own(experiment: Experiment) -> tuple[int, ...]:
    return lengths(experiment)[experiment.trunk.stages :] if experiment.trunk else lengths(experiment)


LENGTHS: dict[str, list[tuple[int, ...]]] = {  # the numbers in brackets of the notebook's list, own stages
    "loss_functions_mobilenet": [(6,), (1,)],
    "mobilefacenet_emore": [(15, 10, 4, 35), (15, 10, 4, 30, 10, 10, 10, 20)],
    "mobilefacenet_epoch44": [(10,)],
    "resnet101v2_emore": [(25, 4, 35, 10, 10, 10)],
    "efficientnetb4_emore": [(25, 4, 35, 10, 10, 10)],
    "resnest101_emore": [(25, 4, 65, 10, 10, 10)],
    "resnet34_casia": [(1, 40)],
    "subcenter_casia": [(5, 5, 10, 10, 40)],
    "distillation_casia": [(5, 5, 10, 10, 40)],
    "label_smoothing_emore": [(3, 5), (3,)],
    "mobilenet_emore_bs256": [(10,) * 8, (2, 10, 10, 10, 10, 50), (20, 2, 20, 20, 20, 20)],
    "mobilenet_emore_bs1024": [(25, 4, 35), (60, 4, 40, 20)],
    "mobilenet_curricular": [(5, 5, 10, 10, 80)],
    "mobilenet_randaug": [(5, 5, 7, 33, 80)],
    "mobilenet_scale_bias": [(5, 5, 30)],
    "mobilenet_activation": [(5, 5, 7, 33)],
    "ghostnet_ms1m": [(5, 5, 10, 10, 20)],
    "botnet50_ms1m": [(1, 17, 17, 17, 20)],
    "resnet101v2_ms1m": [(5, 5, 7, 33)],
}


@pytest.mark.parametrize("study", LENGTHS)
def test_stage_lengths_are_those_that_were_asked_for(study: str):
    found = {own(experiment) for experiment in variants(study).values()}
    assert set(LENGTHS[study]) <= found


def batches(study: str) -> set[int]:
    return {plan.batch_size for experiment in variants(study).values() for plan in experiment.plans()}


@pytest.mark.parametrize(
    ("study", "sizes"),
    [
        ("mobilefacenet_emore", {160, 768, 640, 1440}),
        ("resnet101v2_emore", {896, 1792}),
        ("efficientnetb4_emore", {420, 840}),
        ("resnest101_emore", {600, 1024}),
        ("subcenter_casia", {400}),
        ("mobilenet_emore_bs256", {256}),
        ("mobilenet_emore_bs1024", {1024}),
        ("ghostnet_ms1m", {512, 1024}),
    ],
)
def test_batch_sizes(study: str, sizes: set[int]):
    assert batches(study) == sizes


def rates(experiment: Experiment) -> Iterator[float]:
    """Yield the rate of every epoch of an experiment."""
    for plan in experiment.plans():
        for epoch in range(plan.epochs):
            moved = epoch if plan.advances_schedule else 0
            yield plan.schedule.at(plan.schedule_offset + moved)


@pytest.mark.parametrize("study", ["subcenter_casia", "resnet34_casia", "nesterov_casia"])
def test_the_ladders_rates(study: str):
    found = list(rates(next(iter(variants(study).values()))))
    assert found[:20] == pytest.approx([0.1] * 20)
    assert found[20:30] == pytest.approx([0.01] * 10)
    assert found[30:] == pytest.approx([0.001] * (len(found) - 30))


def test_botnets_peaks_halve_from_the_third_stage_on():
    base = variants("botnet50_ms1m")["relu"]
    starts = [plan.schedule.at(plan.schedule_offset) for plan in base.plans()]
    assert starts == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125], rel=1e-3)  # half the way above the floor


def all_of(study: str, kind: str, setting: str) -> set[Any]:
    """Return the values of a setting of all parts of a kind in a study."""

    def parts(value: Any) -> Iterator[Part]:
        if isinstance(value, Part):
            yield value
            for inner in value.settings().values():
                yield from parts(inner)
        elif isinstance(value, tuple):
            for item in value:
                yield from parts(item)

    found = [part for experiment in variants(study).values() for part in parts(experiment)]
    return {getattr(part, setting) for part in found if type(part).__name__ == kind}


@pytest.mark.parametrize(
    ("study", "kind", "setting", "values"),
    [
        ("mobilefacenet_emore", "Triplet", "alpha", {0.35, 0.3, 0.25, 0.2}),
        ("mobilenet_emore_bs256", "Triplet", "alpha", {0.35, 0.3, 0.25, 0.2, 0.15}),
        ("subcenter_casia", "SubCenter", "centers", {3}),
        ("subcenter_casia", "ArcFace", "scale", {16, 32, 64}),
        ("resnet34_casia", "ArcFace", "form", {"trig"}),
        ("resnet34_casia", "L2", "value", {5e-4, 1e-3}),
        ("weight_decay_casia", "Decoupled", "head", {1, 4.5, 10}),
        ("weight_decay_casia", "L2", "head", {1, 4.5, 10}),
        ("mobilenet_randaug", "RandAugment", "magnitude", {5, 15}),
        ("mobilenet_scale_bias", "GDC", "norm_scale", {True, False}),
        ("mobilenet_activation", "MobileNet", "activation", {"relu", "prelu", "swish"}),
        ("small_distillation", "DistillLogits", "temperature", {10}),
        ("small_distillation", "DistillLogits", "alpha", {0.1}),
        ("distillation_casia", "GDC", "dropout", {0, 0.4}),
        ("distillation_casia", "GDC", "size", {256, 512}),
        ("distillation_ms1m", "GDC", "size", {256, 512}),
        ("mobilefacenet_epoch44", "ArcFace", "scale", {32, 64}),
        ("botnet50_ms1m", "BoTNet", "last_stride", {1, 2}),
    ],
)
def test_what_varies(study: str, kind: str, setting: str, values: set[Any]):
    assert all_of(study, kind, setting) == values


@pytest.mark.parametrize(
    ("study", "name", "weights"),
    [
        ("distillation_casia", "DistillEmbedding", {7, 32, 64, 128}),
        ("distillation_ms1m", "DistillEmbedding", {7, 32, 64, 128}),
        ("mobilenet_emore_bs256", "Center", {1, 10, 20, 30, 40, 50, 60, 70}),
        ("mobilenet_emore_bs256", "Triplet", {32, 64, 128}),
        ("mobilenet_emore_bs1024", "Center", {1, 10, 32, 64, 128}),
    ],
)
def test_weights_of_terms(study: str, name: str, weights: set[float]):
    stages = [stage for experiment in variants(study).values() for stage in experiment.stages]
    found = {t.weight for stage in stages for t in terms(stage.loss) if type(t.loss).__name__ == name}
    assert found == weights


def test_branches_leave_their_trunk_where_the_notebook_did():
    at44 = variants("mobilefacenet_epoch44")
    assert {name: experiment.epochs - sum(own(experiment)) for name, experiment in at44.items()} == {
        "scale32-fixed": 44, "scale32-decay": 44, "scale64-sgd": 44, "scale64-nadam": 44,
        "from54-nadam": 54, "from54-adam": 54,
    }  # fmt: skip
    trunk = variants("mobilenet_emore_bs256")["softmax-center"]
    assert trunk.epochs == 80
    branches = [e for e in variants("mobilenet_emore_bs256").values() if e.trunk]
    assert len(branches) == 7
    assert all(e.stages[:8] == trunk.stages for e in branches)


def test_the_recorded_rates_of_the_emore_branches():
    """The first own epochs of the notebook's branches: 1e-3 for the head alone, then 6.08e-5."""
    found = list(rates(variants("mobilenet_emore_bs256")["triplet-64-falling"]))[80:84]
    assert found == pytest.approx([1e-3, 1e-3, 6.081e-5, 5.784e-5], rel=1e-3)
