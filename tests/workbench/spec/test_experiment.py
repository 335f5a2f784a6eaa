"""The experiment: inheritance by stages, stage arithmetic, identity, differences, parameters."""

from __future__ import annotations

import pytest
from specs import tiny

from workbench import (
    INHERIT,
    AdaCos,
    Affine,
    ArcFace,
    AutoAugment,
    Center,
    Constant,
    Cosine,
    Decoupled,
    DistillEmbedding,
    E,
    Exponential,
    GhostNet,
    Pairs,
    RandAugment,
    Softmax,
    Stage,
    Stages,
    Triplet,
    VarGFaceNet,
)
from workbench.errors import SpecError
from workbench.spec.part import from_json

LOSSES = (ArcFace() + 64 * Triplet(alpha=0.3) + 0.1 * Center(), AdaCos(), DistillEmbedding())
GOLDEN_SPECS = {
    "tiny": tiny(),
    "losses": tiny(stages=tuple(Stage(loss=loss, epochs=1) for loss in LOSSES)),
    "networks": tiny(
        backbone=GhostNet(width=1.3),
        embedding=E(size=64),
        learning_rate=Cosine(peak=0.1, cycle=1, warmup=1),
        augment=(RandAugment(5), AutoAugment("face"), Affine(rotation=5)),
    ),
    "schedule": tiny(
        backbone=VarGFaceNet(), learning_rate=Exponential(peak=0.1, rate=0.05), evaluate=Pairs("lfw.bin")
    ),
}
GOLDEN = {
    "tiny": "13763d69d2b6",
    "losses": "d706da4e047f",
    "networks": "abaa77a65475",
    "schedule": "1962a7d060b0",
}


def test_stages_inherit_what_they_leave_out_and_none_means_off() -> None:
    stages = (
        Stage(loss=Softmax(), epochs=2),
        Stage(loss=Softmax(), epochs=3, weight_decay=None, batch_size=8, learning_rate=0.5),
    )
    first, second = tiny(stages=stages).plans()
    assert first.weight_decay == Decoupled(5e-4)
    assert first.batch_size == 16
    assert second.weight_decay is None
    assert second.batch_size == 8
    assert second.schedule == Constant(0.5)
    assert stages[0].weight_decay is INHERIT


def test_epochs_are_global_and_the_schedule_moves_as_the_stages_say() -> None:
    stages = (
        Stage(loss=Softmax(), epochs=2),
        Stage(loss=ArcFace(), epochs=4, train="head", advances_schedule=False),
        Stage(loss=ArcFace(), epochs=3),
        Stage(loss=ArcFace(), epochs=1, schedule_start=9),
        Stage(loss=ArcFace(), epochs=1, learning_rate=0.1),
    )
    plans = tiny(stages=stages, learning_rate=Cosine(peak=0.1, floor=1e-3, cycle=16)).plans()
    assert [(p.first_epoch, p.last_epoch) for p in plans] == [(1, 2), (3, 6), (7, 9), (10, 10), (11, 11)]
    assert [p.schedule_offset for p in plans] == [0, 2, 2, 9, 0]
    assert not plans[1].advances_schedule


def test_stages_concatenate_and_repeat() -> None:
    a, b = Stage(loss=Softmax(), epochs=1), Stage(loss=ArcFace(), epochs=2)
    assert a + b == Stages((a, b))
    assert len(8 * a) == 8
    assert (2 * a + b).__class__ is Stages
    assert len(tiny(stages=(2 * a, b)).stages) == 3


def test_identity_depends_on_settings_only() -> None:
    base = tiny()
    assert base.id == tiny().id
    assert base.id == base.but(seed=7, name="other").id
    assert base.id == base.but(**{"safety.every_steps": 10, "devices.xla": True}).id
    assert base.id != base.but(label_smoothing=0.1).id
    assert base.id != base.but(**{"stages.2.epochs": 2}).id
    assert len(base.id) == 12


@pytest.mark.parametrize(("name", "identity"), GOLDEN.items())
def test_the_identity_of_what_means_the_same_never_changes(name: str, identity: str) -> None:
    """Recorded once; a setting that is added later stays out of identities at its default."""
    assert GOLDEN_SPECS[name].id == identity


def test_the_whole_spec_survives_json() -> None:
    experiment = tiny(seed=3, name="x")
    again = from_json(experiment.to_json())
    assert again == experiment
    assert again.id == experiment.id


def test_parameters_are_flat_typed_and_leave_out_what_is_off() -> None:
    found = tiny(weight_decay=None).parameters()
    assert "weight_decay" not in found
    assert found["stages.2.train"] == "head"
    assert found["embedding.dropout"] == 0.2
    assert not [name for name in found if "batch_size" in name and name.startswith("stages")]
    assert tiny().parameters()["weight_decay"] == 5e-4
    assert tiny().parameters()["weight_decay.form"] == "Decoupled"


def test_diff_names_what_differs() -> None:
    assert tiny(label_smoothing=0.1).diff(tiny()) == {"label_smoothing": (0.1, 0.0)}
    assert tiny(weight_decay=None).diff(tiny())["weight_decay"] == (None, 5e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": ()}, "no stage"),
        ({"stages": (3,)}, "expected a Stage"),
        ({"batch_size": 0}, "expected a value of at least 1"),
        ({"label_smooting": 0.1}, "did you mean 'label_smoothing'"),
        ({"precision": "float16"}, "or 'mixed_float16'"),
        ({"learning_rate": -1}, "above 0"),
    ],
)
def test_an_impossible_experiment_is_refused(changes: dict, words: str) -> None:
    with pytest.raises(SpecError, match=words.replace("(", r"\(")):
        tiny(**changes)


def test_a_stage_of_no_epochs_is_refused() -> None:
    with pytest.raises(SpecError, match="Stage.epochs: 0 is out of range"):
        Stage(loss=Softmax(), epochs=0)


def test_the_selecting_metric_is_the_last_set_or_what_the_spec_says() -> None:
    assert tiny().selector() == "val_accuracy"
    assert tiny(select="lfw").selector() == "lfw"
