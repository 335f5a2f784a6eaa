"""Specs beside the recorded histories of the very trainings that they describe: rates, stages, weights and losses.

A history is possible under a spec when it has the spec's learning rate in every epoch, when its loss rises only
where the spec begins a stage, and when what is left of the loss beside the recorded terms, each at the spec's
weight, lies above the least value that the spec's loss can have and below what a network that knows nothing has.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import terms
from workbench.spec.load import load_variants
from workbench.spec.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
HISTORIES = {  # file: study, variant, epochs before the history's first
    "mobilefacenet_emore/bs160_lr_decay_01": ("mobilefacenet_emore", "bs160", 0),
    "mobilefacenet_emore/bs768_lr_decay_005": ("mobilefacenet_emore", "bs768", 0),
    "mobilefacenet_emore/E44_scale_32_lr_5e_5": ("mobilefacenet_epoch44", "scale32-fixed", 44),
    "mobilefacenet_emore/E44_scale_32_lr_decay": ("mobilefacenet_epoch44", "scale32-decay", 44),
    "mobilefacenet_emore/E44_scale_64_lr_decay_sgd": ("mobilefacenet_epoch44", "scale64-sgd", 44),
    "mobilenet_emore_bs256/softmax_center_E80": ("mobilenet_emore_bs256", "softmax-center", 0),
    "mobilenet_emore_bs256/soft_E80_arc_E40": ("mobilenet_emore_bs256", "arcface", 80),
    "mobilenet_emore_bs256/soft_E80_arc_trip_32_E20_arc_trip_64_alpha0_3_E40": (
        "mobilenet_emore_bs256",
        "triplet-32-then-64",
        80,
    ),
    "mobilenet_emore_bs256/soft_E80_arc_trip_64_alpha0_3_E40": ("mobilenet_emore_bs256", "triplet-64", 80),
    "mobilenet_emore_bs256/soft_E80_arc_trip_64_alpha_decay_E40": (
        "mobilenet_emore_bs256",
        "triplet-64-falling",
        80,
    ),
    "mobilenet_emore_bs256/soft_E80_arc_trip_128_alpha0_3_E40": ("mobilenet_emore_bs256", "triplet-128", 80),
    "resnet34_casia/mxnet_r34": ("resnet34_casia", "mxnet", 0),
    "resnet34_casia/tf_sgd_baseline": ("resnet34_casia", "sgd", 0),
    "resnet34_casia/tf_sgd_l2_5e4": ("resnet34_casia", "l2-5e-4", 0),
    "resnet34_casia/tf_sgdw_1e3": ("resnet34_casia", "sgdw-1e-3", 0),
    "subcenter_casia/base_topk1": ("subcenter_casia", "base", 0),
    "subcenter_casia/topk3": ("subcenter_casia", "k3", 0),
    "subcenter_casia/topk3_to_1": ("subcenter_casia", "k3-to-1", 0),
}
CLASSES = {"faces_emore_112x112_folders": 85742, "faces_casia_112x112_folders": 10572}
RISE = 1.05  # more than noise: MXNet's losses, of one batch each, rise by up to 1.073 within a stage


@functools.cache
def experiment(study: str, name: str) -> Experiment:
    variants = load_variants(ROOT / "experiments" / f"{study}.py")
    return next(variant.experiment for variant in variants if variant.name == name)


def history(real_data: Path, file: str) -> dict[str, list[float]]:
    return json.loads((real_data / "histories" / f"{file}_hist.json").read_text(encoding="utf-8"))


def plan_of(spec: Experiment, epoch: int) -> Plan:
    """Return the plan of a global epoch; fails where the history is longer than the spec."""
    return next(plan for plan in spec.plans() if plan.first_epoch <= epoch <= plan.last_epoch)


def test_every_history_is_of_a_variant(real_data: Path):
    files = {
        str(path.relative_to(real_data / "histories")).removesuffix("_hist.json")
        for path in (real_data / "histories").glob("*/*_hist.json")
    }
    assert files == set(HISTORIES)


@pytest.mark.parametrize("file", HISTORIES)
def test_the_rate_of_every_epoch_is_the_specs(file: str, real_data: Path):
    study, name, before = HISTORIES[file]
    spec = experiment(study, name)
    for epoch, recorded in enumerate(history(real_data, file)["lr"], start=before + 1):
        plan = plan_of(spec, epoch)
        done = epoch - plan.first_epoch if plan.advances_schedule else 0
        rate = plan.schedule.at(plan.schedule_offset + done)
        assert rate == pytest.approx(recorded, abs=1e-8), f"epoch {epoch}"  # as they were written down


@pytest.mark.parametrize("file", HISTORIES)
def test_the_loss_rises_only_where_a_stage_begins(file: str, real_data: Path):
    study, name, before = HISTORIES[file]
    spec, losses = experiment(study, name), history(real_data, file)["loss"]
    rise = 1.08 if name == "mxnet" else RISE
    starts = {plan.first_epoch for plan in spec.plans()}
    risen = {before + i + 1 for i in range(1, len(losses)) if losses[i] > rise * losses[i - 1]}
    assert risen <= starts


@pytest.mark.parametrize("file", HISTORIES)
def test_the_losses_are_possible_under_the_specs_losses(file: str, real_data: Path):
    study, name, before = HISTORIES[file]
    spec, found = experiment(study, name), history(real_data, file)
    last: tuple[Any, float] = (None, math.inf)
    for epoch, rest in beside_terms(spec, found, before):
        plan = plan_of(spec, epoch)
        loss = terms(plan.loss)[0].loss
        classes = CLASSES[plan.data.path] if hasattr(plan.data, "path") else 0
        assert floor(loss, plan.label_smoothing, classes) <= rest <= chance(loss, classes) + 1, (
            f"epoch {epoch}"
        )
        # the same loss as in the epoch before, whatever weight its terms have now: no jump beyond a new weight's jolt
        if last[0] == loss and plan.train == "all":
            assert rest < last[1] * 1.15, f"epoch {epoch}"
        last = (loss, rest)


def beside_terms(spec: Experiment, found: dict[str, list[float]], before: int) -> list[tuple[int, float]]:
    """Return (global epoch, loss without its recorded terms at the spec's weights); lists are aligned at the end."""
    losses = found["loss"]
    result = []
    for i, loss in enumerate(losses):
        epoch = before + i + 1
        for term in terms(plan_of(spec, epoch).loss)[1:]:
            recorded = found[term.loss.term]
            loss -= term.weight * recorded[i - (len(losses) - len(recorded))]
        result.append((epoch, loss))
    return result


def floor(loss: Any, smoothing: float, classes: int) -> float:
    """Return the least value of a loss: that of a network that is as sure as its labels are."""
    kind = type(loss).__name__
    other = smoothing / classes
    entropy = (
        -(1 - smoothing + other) * math.log(1 - smoothing + other) - (classes - 1) * other * math.log(other)
        if smoothing
        else 0.0
    )
    if kind == "MarginSoftmax" and not loss.renormalised:
        return entropy - math.log((1 + loss.scale) / 2)  # p = 1 becomes (1 + scale) / 2
    return entropy


def chance(loss: Any, classes: int) -> float:
    """Return the loss of embeddings that say nothing of a class: orthogonal to all of them."""
    scale = getattr(loss, "scale", 0.0) if type(loss).__name__ != "MarginSoftmax" else 0.0
    lost = scale * math.sin(loss.margin) if hasattr(loss, "margin") else 0.0
    doubt = math.log(classes) + (-math.log(0.2) if type(loss).__name__ == "MarginSoftmax" else 0.0)
    return doubt + lost


def test_wrong_specs_are_found(real_data: Path):
    """What was wrong before is seen: smoothing in softmax, another margin softmax, and other weights."""
    classes = CLASSES["faces_emore_112x112_folders"]
    softmax = experiment("mobilefacenet_emore", "bs160").stages[0].loss
    least = min(history(real_data, "mobilefacenet_emore/bs160_lr_decay_01")["loss"][:15])
    assert floor(softmax, 0.1, classes) > least
    margin = experiment("mobilefacenet_emore", "bs768").stages[1].loss.but(renormalised=False)
    assert floor(margin, 0.0, classes) > min(
        history(real_data, "mobilefacenet_emore/bs768_lr_decay_005")["loss"][15:25]
    )
    trunk = experiment("mobilenet_emore_bs256", "softmax-center")
    found = history(real_data, "mobilenet_emore_bs256/softmax_center_E80")
    doubled = trunk.but(
        stages=tuple(
            s.but(loss=s.loss.terms[0].loss + 2 * s.loss.terms[1].weight * s.loss.terms[1].loss)
            for s in trunk.stages
        )
    )
    assert min(rest for _, rest in beside_terms(doubled, found, 0)) < floor(softmax, 0.1, classes)
