"""The stages of the studies, one by one: loss, weights, epochs, the head alone, batches and devices, as they were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import Mirrored, OneDevice
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import Weighted, terms
from workbench.spec.load import load_variants
from workbench.spec.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
LADDER = "ArcFace/16 5 | ArcFace/32 5 | ArcFace/64 10 | ArcFace/64 10 | ArcFace/64 {}"
COSINES = "ArcFace/16 5 | ArcFace/32 5 | ArcFace/64 7 | ArcFace/64 33"
TAUGHT = " | ".join(
    f"ArcFace/{s}+{{0}}*DistillEmbedding {n}" for s, n in ((16, 5), (32, 5), (64, 10), (64, 10), (64, "{1}"))
)
STARTS = "Softmax 15 | MarginSoftmax 10 | ArcFace/64 4 head | ArcFace/64"
DEEP = "Softmax 25 {0} | ArcFace/64 4 head {0} | ArcFace/64 {2} {1} | " + " | ".join(
    f"Triplet@{alpha} 10 {{1}}" for alpha in (0.35, 0.3, 0.25)
)
FALLING = " | ".join(
    f"ArcFace/64+{{0}}*Triplet@{alpha} {epochs}"
    for alpha, epochs in ((0.35, 10), (0.3, 10), (0.25, 10), (0.2, 10), (0.15, 50))
)

OUTLINES = {  # (study, variant): batch of the run, then its own stages (those after its trunk)
    ("loss_functions_mobilenet", "original"): (128, "ArcFace/64 6"),
    ("loss_functions_mobilenet", "softmax"): (128, "Softmax 1"),
    ("loss_functions_mobilenet", "margin-softmax"): (128, "MarginSoftmax 1"),
    ("loss_functions_mobilenet", "scaled-softmax"): (128, "ScaledSoftmax/64 1"),
    ("loss_functions_mobilenet", "arcface"): (128, "ArcFace/64 1"),
    ("loss_functions_mobilenet", "center-arcface"): (128, "ArcFace/64+Center 1"),
    ("loss_functions_mobilenet", "batch-hard"): (128, "Triplet@0.35 1"),
    ("loss_functions_mobilenet", "batch-all"): (128, "Triplet:all-pairs@0.35 1"),
    ("loss_functions_mobilenet", "semi-hard"): (128, "Triplet:semi-hard@1 1"),
    ("mobilefacenet_emore", "bs160"): (160, f"{STARTS} 35"),
    ("mobilefacenet_emore", "bs768"): (768, f"{STARTS} 35"),
    ("mobilefacenet_emore", "se-softmax"): (640, "Softmax 15 | MarginSoftmax 10"),
    ("mobilefacenet_emore", "se-bs640"): (
        640,
        "ArcFace/64 4 head | ArcFace/64 30 | Triplet@0.35 10 1440 | Triplet@0.3 10 1440 | Triplet@0.25 10 1440 | Triplet@0.2 20 1440",
    ),
    ("mobilefacenet_epoch44", "scale32-fixed"): (160, "ArcFace/32 10"),
    ("mobilefacenet_epoch44", "scale32-decay"): (160, "ArcFace/32 10"),
    ("mobilefacenet_epoch44", "scale64-sgd"): (160, "ArcFace/64 10"),
    ("mobilefacenet_epoch44", "from54-adam"): (160, "ArcFace/64 10"),
    ("resnet101v2_emore", "bs896"): (896, DEEP.format("", "", 35)),
    ("resnet101v2_emore", "bs1792"): (896, DEEP.format("", 1792, 35)),
    ("efficientnetb4_emore", "bs420"): (420, DEEP.format("", "", 35)),
    ("efficientnetb4_emore", "bs840"): (420, DEEP.format("", 840, 35)),
    ("resnest101_emore", "bs600"): (600, DEEP.format("", "", 65)),
    ("resnest101_emore", "bs1024"): (600, DEEP.format("", 1024, 65).replace("4 head", "4 head 1024")),
    ("resnet34_casia", "sgd"): (512, "ArcFace/32 5 | ArcFace/64 36"),
    ("resnet34_casia", "mxnet"): (512, "ArcFace/64 62"),
    ("resnet34_casia", "sgdw-5e-4-head-10"): (512, "ArcFace/32 1 | ArcFace/64 40"),
    ("subcenter_casia", "k3"): (400, LADDER.format(40)),
    ("subcenter_casia", "head-first"): (400, "ArcFace/16 1 head | " + LADDER.format(40)),
    ("distillation_casia", "r34-7"): (400, TAUGHT.format(7, 40)),
    ("distillation_casia", "r100-128-256-dropout"): (400, TAUGHT.format(128, 40)),
    ("distillation_ms1m", "r100-32"): (400, TAUGHT.format(32, 60)),
    ("nesterov_casia", "nesterov"): (400, LADDER.format(40)),
    ("label_smoothing_casia", "smooth"): (400, LADDER.format(40)),
    ("weight_decay_casia", "5e-5-head-4.5"): (400, LADDER.format(40)),
    ("label_smoothing_emore", "smooth-softmax"): (256, "Softmax 3 | ArcFace/64 5"),
    ("label_smoothing_emore", "then-0.1-random-3"): (256, "ArcFace/64 5"),
    ("mobilenet_emore_bs256", "softmax-center"): (
        256,
        "Softmax+Center 10 | "
        + " | ".join(f"Softmax+{w}*Center 10" for w in range(10, 60, 10))
        + " | Softmax+60*Center 5 | Softmax+60*Center 5 | Softmax+70*Center 10",  # the rate skips an epoch there
    ),
    ("mobilenet_emore_bs256", "arcface"): (256, "ArcFace/64 2 head | ArcFace/64 40"),
    ("mobilenet_emore_bs256", "triplet-32"): (256, "ArcFace/64 2 head | " + FALLING.format(32)),
    ("mobilenet_emore_bs256", "triplet-64-falling"): (256, "ArcFace/64 2 head | " + FALLING.format(64)),
    ("mobilenet_emore_bs256", "triplet-128-falling"): (256, "ArcFace/64 2 head | " + FALLING.format(128)),
    ("mobilenet_emore_bs256", "scratch"): (
        256,
        "Softmax+64*Triplet@0.35 20 | ArcFace/64 2 head | "
        + " | ".join(f"ArcFace/64+64*Triplet@{alpha} 20" for alpha in (0.35, 0.3, 0.25, 0.2)),
    ),
    ("mobilenet_emore_bs1024", "adam"): (1024, "Softmax 25 | ArcFace/64 4 head | ArcFace/64 35"),
    ("mobilenet_emore_bs1024", "adamw"): (
        1024,
        "Softmax+Center 25 | Softmax+10*Center 25 | Softmax+32*Center 20 | Softmax+64*Center 35",
    ),
    ("mobilenet_emore_bs1024", "adamw-105-triplet-32"): (1024, "Softmax+32*Triplet@0.3 25"),
    ("mobilenet_emore_bs1024", "v3-large-triplet-64"): (1024, "ArcFace/64 2 head | " + FALLING.format(64)),
    ("mobilenet_curricular", "arc-sgdw"): (512, LADDER.format(80)),
    ("mobilenet_curricular", "casia-curricular"): (
        400,
        LADDER.format(40).replace("ArcFace", "CurricularFace"),
    ),
    ("mobilenet_randaug", "random-0"): (512, f"{COSINES} | ArcFace/64 80"),
    ("mobilenet_scale_bias", "scale"): (512, "ArcFace/16 5 | ArcFace/32 5 | ArcFace/64 30"),
    ("mobilenet_activation", "prelu"): (512, COSINES),
    ("ghostnet_ms1m", "l2-cosine16"): (1024, LADDER.format(20)),
    ("botnet50_ms1m", "swish"): (
        1024,
        "ArcFace/32 1 | ArcFace/64 17 | ArcFace/64 17 | ArcFace/64 17 | ArcFace/64 20",
    ),
    ("resnet101v2_ms1m", "relu"): (1024, COSINES),
    ("euclidean_head_casia", "margin-softmax"): (
        400,
        "MarginSoftmax 5 | MarginSoftmax 5 | MarginSoftmax 10 | MarginSoftmax 10 | MarginSoftmax 40",
    ),
    ("adacos_casia", "adacos"): (400, "AdaCos 5 | AdaCos 5 | AdaCos 10 | AdaCos 10 | AdaCos 40"),
    ("embedding_regression", "squared"): (400, "DistillEmbedding 70"),
    ("small_distillation", "student-taught"): (32, "DistillLogits 15"),
}


def of_term(term: Weighted) -> str:
    """Return weight, loss, scale, mining and alpha where they say something: `64*Triplet@0.3`."""
    loss, weight = term.loss, "" if term.weight == 1 else f"{term.weight:g}*"
    mining = getattr(loss, "mining", "hard")
    scale = f"/{loss.scale:g}" if hasattr(loss, "scale") and type(loss).__name__ != "MarginSoftmax" else ""
    alpha = f"@{loss.alpha:g}" if type(loss).__name__ == "Triplet" else ""
    return f"{weight}{type(loss).__name__}{'' if mining == 'hard' else ':' + mining}{scale}{alpha}"


def of_stage(plan: Plan, batch: int) -> str:
    size = f" {plan.batch_size}" if plan.batch_size != batch else ""
    head = " head" if plan.train == "head" else ""
    return f"{'+'.join(map(of_term, terms(plan.loss)))} {plan.epochs}{head}{size}"


def experiment(study: str, name: str) -> Experiment:
    variants = load_variants(ROOT / "experiments" / f"{study}.py")
    return next(variant.experiment for variant in variants if variant.name == name)


@pytest.mark.parametrize(("study", "name"), OUTLINES, ids="/".join)
def test_stages(study: str, name: str):
    found = experiment(study, name)
    own = found.plans()[found.trunk.stages if found.trunk else 0 :]
    batch, wanted = OUTLINES[(study, name)]
    assert found.batch_size == batch
    assert [of_stage(plan, batch) for plan in own] == [" ".join(text.split()) for text in wanted.split("|")]


@pytest.mark.parametrize("study", ["resnet101v2_emore", "efficientnetb4_emore", "resnest101_emore"])
def test_the_larger_batch_is_that_of_two_gpus(study: str):
    one, two, *_ = load_variants(ROOT / "experiments" / f"{study}.py")
    assert (one.experiment.devices, two.experiment.devices) == (OneDevice(), Mirrored(count=2))
    assert two.experiment.id == two.experiment.but(devices=OneDevice()).id, "the same experiment on one"
