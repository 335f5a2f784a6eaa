"""What holds for every loss and every head: spec and back, a stage, a step, its record, the next stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench
from workbench import (
    SGD,
    AdaCos,
    ArcFace,
    Center,
    CosFace,
    Dense,
    DistillEmbedding,
    DistillLogits,
    Euclidean,
    Experiment,
    Normalised,
    Sampled,
    Softmax,
    Stage,
    SubCenter,
    Triplet,
)
from workbench.errors import SpecError
from workbench.spec.interfaces import Backbone, Embedding, Loss, Source, terms
from workbench.spec.part import Part, find, from_json, part, to_json

pytestmark = pytest.mark.tensorflow

B, D, C, SIDE = 8, 6, 5, 8


def parts_of(module: str) -> list[type[Part]]:
    return [find(name) for name, place in workbench.PARTS.items() if place.startswith(module)]


LOSSES: list[Loss] = [cls() for cls in parts_of("workbench.losses")]
HEADS = [
    cls() for cls in parts_of("workbench.models.heads") if issubclass(cls, workbench.spec.interfaces.Head)
]
STAGES: list[Loss] = [
    *LOSSES,
    *(ArcFace(head=head) if head.normalised else Softmax(head=head) for head in HEADS),
    Triplet(mining="all"),
    Triplet(mining="semi-hard"),
    ArcFace() + 64 * Triplet(alpha=0.3) + 0.1 * Center(),
    Triplet() + Center() + DistillEmbedding(),
    ArcFace() + Triplet() + 2 * Triplet(mining="all-pairs").named("pairs"),
    AdaCos(margin=0.3),
    Softmax(head=Normalised()) + 0.5 * DistillEmbedding(distance="squared"),
]


@part
class Points(Source):
    """Stands for a data source: the tests hand batches to the trainer themselves."""

    def open(self, places: Any) -> Any:
        raise AssertionError("nothing reads images here")


@part
class Flat(Backbone):
    """One layer, to be quick."""

    image_size: int = 8

    def build(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.keras.layers.Flatten()(inputs)


@part
class Straight(Embedding):
    """One dense layer."""

    def build(self, features: Any) -> Any:
        import tensorflow as tf

        return tf.keras.layers.Dense(self.size, kernel_initializer="orthogonal")(features)


def experiment(*losses: Loss, **changes: Any) -> Experiment:
    return Experiment(
        data=Points(),
        backbone=Flat(),
        embedding=Straight(size=D),
        stages=[Stage(loss=loss, epochs=1) for loss in losses],
        optimizer=SGD(momentum=0.9),
        learning_rate=0.01,
        batch_size=B,
        **changes,
    )


def begun(spec: Experiment, teacher: int | None = None) -> Any:
    """A trainer in the first stage of `spec`."""
    from workbench.models.build import build_model
    from workbench.train.trainer import Trainer

    trainer = Trainer(build_model(spec))
    trainer.begin_stage(spec.plans()[0], 3, C, teacher)
    return trainer


def batches(count: int = 3, teacher: int | None = None) -> Any:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(C - 1), 2 * count)[: B * count].astype(np.int32)  # each twice in a batch
    images = rng.normal(size=(B * count, SIDE, SIDE, 3)).astype(np.float32) + labels[:, None, None, None]
    columns = [images, labels, np.arange(B * count, dtype=np.int64)]
    if teacher:
        columns.append(rng.normal(size=(B * count, teacher)).astype(np.float32))
    return tf.data.Dataset.from_tensor_slices(tuple(columns)).batch(B, drop_remainder=True)


def teacher_of(loss: Loss) -> int | None:
    kinds = {type(term.loss) for term in terms(loss)}
    return C if DistillLogits in kinds else 4 if DistillEmbedding in kinds else None


_trained: dict[str, tuple[Any, list[np.ndarray], dict[str, list[float]]]] = {}


def trained(loss: Loss) -> tuple[Any, list[np.ndarray], dict[str, list[float]]]:
    """A trainer after an epoch on a loss, its weights before, and the epoch's means; once for all tests of a loss."""
    if str(loss) not in _trained:
        teacher = teacher_of(loss)
        trainer = begun(experiment(loss, 2 * loss, label_smoothing=0.1), teacher)
        before = [v.numpy() for v in trainer.trained()]
        _trained[str(loss)] = trainer, before, trainer.fit(batches(teacher=teacher), verbose=0).history
    return _trained[str(loss)]


@pytest.mark.parametrize("loss", STAGES, ids=str)
def test_a_loss_goes_through_json_and_back(loss: Loss) -> None:
    spec = experiment(loss)
    again = from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.id == spec.id
    assert again.parameters()["stages.1.loss"] == spec.parameters()["stages.1.loss"]
    assert to_json(again.stages[0].loss) == to_json(loss)


@pytest.mark.parametrize("loss", STAGES, ids=str)
def test_an_epoch_trains_and_is_recorded_under_the_names_of_its_terms(loss: Loss) -> None:
    trainer, before, result = trained(loss)
    wanted = {"loss"} | ({"accuracy"} if loss.classifier() else set())
    if len(terms(loss)) > 1:
        wanted |= {term.term for term in terms(loss)}
        weighted = sum(t.weight * result[t.term][-1] for t in terms(loss))
        assert result["loss"][-1] == pytest.approx(weighted, rel=1e-4)
    assert set(result) == wanted
    assert all(np.isfinite(value).all() for value in result.values())
    assert any(not np.array_equal(old, new.numpy()) for old, new in zip(before, trainer.trained()))
    measured = trainer.measure(batches(teacher=teacher_of(loss)))
    assert np.isfinite(list(measured.values())).all()


@pytest.mark.parametrize(
    "loss", [ArcFace(), ArcFace(head=Sampled(rate=0.5)), ArcFace() + 9 * Triplet() + Center()], ids=str
)
def test_it_trains_in_mixed_precision(loss: Loss) -> None:
    import tensorflow as tf

    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        trainer = begun(experiment(loss, precision="mixed_float16"))
        assert (
            trainer.embedder.compute_dtype == "float16"
            or trainer.embedder.layers[-1].compute_dtype == "float16"
        )
        history = trainer.fit(batches(), verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert {v.dtype for v in trainer.head.trainable_variables} == {tf.float32}
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_the_heads_weights_go_on_to_the_next_stage(head: Any) -> None:
    first = ArcFace(head=head) if head.normalised else Softmax(head=head)
    second = CosFace(head=head) if head.normalised else Softmax(head=head) + Center()
    spec = experiment(first, second)
    trainer = begun(spec)
    trainer.fit(batches(), verbose=0)
    weights = [v.numpy() for v in trainer.head_variables()]
    notes = trainer.begin_stage(spec.plans()[1], 3, C)
    assert not [note for note in notes if "head" in note]
    for kept, now in zip(weights, trainer.head_variables()):
        np.testing.assert_array_equal(kept, now)


def test_a_full_head_takes_over_from_a_sampled_one_and_a_new_head_is_said_to_be_new() -> None:
    spec = experiment(
        ArcFace(head=Sampled(rate=0.5)),
        ArcFace(),
        Softmax(head=Dense()),
        Triplet(),
        Softmax(head=Euclidean()),
    )
    trainer = begun(spec)
    trainer.fit(batches(), verbose=0)
    weights = trainer.head_variables()[0].numpy()
    plans = spec.plans()
    assert not [note for note in trainer.begin_stage(plans[1], 3, C) if "head" in note]
    np.testing.assert_array_equal(trainer.head_variables()[0], weights)
    assert "new weights for the head Dense: its shape differs" in trainer.begin_stage(plans[2], 3, C)
    trainer.begin_stage(plans[3], 3, C)
    assert "new weights for the head Euclidean: the stage before had none" in trainer.begin_stage(
        plans[4], 3, C
    )


@pytest.mark.parametrize("loss", [term for term in LOSSES if teacher_of(term) is None], ids=str)
def test_the_state_of_a_loss_is_kept_across_stages_and_in_checkpoints(loss: Loss, tmp_path: Path) -> None:
    import tensorflow as tf

    trainer, _, _ = trained(loss)
    state = [v.numpy() for v in trainer.losses_by_term[loss.term].variables]
    fresh = [v.numpy() for v in loss.layer(C, D, B).variables]
    assert all(not np.array_equal(a, b) for a, b in zip(state, fresh))
    trainer.begin_stage(experiment(loss, 2 * loss, label_smoothing=0.1).plans()[1], 3, C)
    layer = trainer.losses_by_term[loss.term]
    for kept, now in zip(state, layer.variables):
        np.testing.assert_array_equal(kept, now)
    path = tf.train.Checkpoint(trainer=trainer).write(str(tmp_path / "state"))
    for variable in layer.variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(trainer=trainer).read(path).expect_partial()
    for kept, now in zip(state, layer.variables):
        np.testing.assert_array_equal(kept, now)


def test_accuracy_is_that_of_margin_free_logits() -> None:
    """A margin so large that no target wins still counts the images whose own cosine is largest."""
    trainer = begun(experiment(ArcFace(margin=1.5, scale=8)))
    data = batches()
    measured = trainer.measure(data)
    right = []
    for images, labels, _ in data:
        logits, _ = trainer.head(trainer.embedder(images), labels)
        right.append(np.mean(logits.numpy().argmax(1) == labels.numpy()))
    assert measured["val_accuracy"] == pytest.approx(np.mean(right), abs=1e-6)


def test_a_head_only_stage_without_a_head_is_refused_by_its_number() -> None:
    with pytest.raises(SpecError, match=r"stage 2 \(Triplet\(\), head\): nothing to train.*loss on logits"):
        Experiment(
            data=Points(),
            backbone=Flat(),
            embedding=Straight(size=D),
            optimizer=SGD(),
            learning_rate=0.1,
            batch_size=B,
            stages=[Stage(loss=Softmax(), epochs=1), Stage(loss=Triplet(), epochs=1, train="head")],
        )


def test_head_only_stages_leave_the_embedding_alone() -> None:
    spec = experiment(ArcFace(head=SubCenter())).but(
        stages=[Stage(loss=ArcFace(head=SubCenter()), epochs=1, train="head")]
    )
    trainer = begun(spec)
    embedder, head = (
        [v.numpy() for v in values] for values in (trainer.embedder.variables, trainer.head_variables())
    )
    trainer.fit(batches(), verbose=0)
    for old, new in zip(embedder, trainer.embedder.variables):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(head[0], trainer.head_variables()[0])
