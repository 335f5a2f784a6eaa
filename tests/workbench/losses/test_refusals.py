"""What a loss refuses, in settings and in data, and that each message says what to change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench import (
    AdaCos,
    AdaFace,
    AirFace,
    ArcFace,
    CombinedMargin,
    CosFace,
    CurricularFace,
    Dense,
    DistillEmbedding,
    DistillLogits,
    Euclidean,
    MagFace,
    Sampled,
    Softmax,
    SphereFace,
    Triplet,
)
from workbench.errors import SpecError

MANY = np.repeat(np.arange(1000), 2)  # a second image is rare in a batch
FACES = np.repeat(np.arange(40), 10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ArcFace(margin=28.6), "ArcFace.margin: 28.6 is out of range; expected an angle in radians"),
        (lambda: ArcFace(margin=28.6), "if 28.6 degrees are meant, write 0.4992"),
        (lambda: ArcFace(margin=-0.1), "ArcFace.margin"),
        (lambda: ArcFace(margin=400.0), "radians from 0 to 1.571"),
        (lambda: AirFace(margin=23), "radians"),
        (lambda: CurricularFace(margin=28), "radians"),
        (lambda: MagFace(upper_margin=45), "MagFace.upper_margin"),
        (lambda: MagFace(lower_norm=120), "lower below upper"),
        (lambda: AdaFace(margin=23), "radians"),
        (lambda: CombinedMargin(m2=17), "CombinedMargin.m2"),
        (lambda: CosFace(margin=20), "at most 1"),
        (lambda: SphereFace(m1=0.5), "at least 1"),
        (lambda: ArcFace(scale=0), "above 0"),
        (lambda: ArcFace(scal=64), "did you mean 'scale'"),
        (lambda: ArcFace(head=Dense()), "Dense gives no cosines"),
        (lambda: CosFace(head=Euclidean()), "use Normalised()"),
        (lambda: AdaCos(head=Sampled()), "cosines of all identities"),
        (lambda: AdaCos(scale=30), "no setting 'scale'"),
        (lambda: DistillLogits(head=Sampled()), "logits of all identities"),
        (lambda: Sampled(rate=1.5), "Sampled.rate"),
        (lambda: Triplet(mining="harder"), "'hard'"),
        (lambda: Triplet(alpha=5), "Triplet.alpha: 5 is out of range; expected at most 4"),
        (lambda: Triplet(normalise=False), 'distance="euclidean" or "squared"'),
        (lambda: Triplet(mining="all-pairs", distance="squared"), "Triplet.distance"),
        (lambda: DistillEmbedding(normalise=False), 'distance="squared" or "mse"'),
        (lambda: ArcFace() + ArcFace(), "two terms named arcface_loss"),
        (lambda: ArcFace() + Softmax(), "two losses with a classification head"),
    ],
)
def test_settings_out_of_range_say_what_to_write(make: Callable[[], object], words: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert words in str(caught.value)


def test_triplets_need_two_images_of_an_identity_in_a_batch() -> None:
    Triplet().check_data(FACES, 64, sampled=False)
    Triplet().check_data(MANY, 32, sampled=True)
    with pytest.raises(SpecError, match=r"only 1\.6% of the images .* batch of 32.*set sampler="):
        Triplet().check_data(MANY, 32, sampled=False)
    with pytest.raises(SpecError, match="no triplet"):
        Triplet().check_data(np.arange(50), 32, sampled=True)
    with pytest.raises(SpecError, match="no triplet"):
        Triplet().check_data(np.zeros(50, int), 32, sampled=True)


def test_a_sum_checks_the_data_of_each_term() -> None:
    with pytest.raises(SpecError, match="set sampler="):
        (ArcFace() + 64 * Triplet(alpha=0.3)).check_data(MANY, 32, sampled=False)


def test_adacos_needs_three_identities() -> None:
    AdaCos().check_data(np.array([0, 1, 2]), 2, sampled=False)
    with pytest.raises(SpecError, match=r"AdaCos on 2 identities.*use ArcFace"):
        AdaCos().check_data(np.array([0, 1, 0, 1]), 2, sampled=False)


def test_adaface_needs_two_images_a_batch() -> None:
    with pytest.raises(SpecError, match="batches of one image"):
        AdaFace().check_data(FACES, 1, sampled=False)


def test_distillation_needs_a_teacher_of_the_right_size() -> None:
    DistillEmbedding().check_data(FACES, 8, False, teacher=512)
    DistillLogits().check_data(FACES, 8, False, teacher=40)
    with pytest.raises(SpecError, match="no teacher.*workbench data distill"):
        DistillEmbedding().check_data(FACES, 8, False)
    with pytest.raises(SpecError, match="512 numbers.*40 identities.*DistillEmbedding"):
        DistillLogits().check_data(FACES, 8, False, teacher=512)


SPEC = '''"""Is it refused?"""
from workbench import (GDC, SGD, AdaCos, DistillEmbedding, Experiment, Identities, MobileFaceNet, Softmax, Stage,
                       SyntheticFaces, Triplet)

experiment = Experiment(
    data=SyntheticFaces(identities={identities}, images=4, image_size=32{more}),
    backbone=MobileFaceNet(image_size=32, width=0.25), embedding=GDC(size=8),
    stages=(Stage(loss=Softmax(), epochs=1), Stage(loss={loss}, epochs=1, {stage})),
    optimizer=SGD(), learning_rate=0.1, batch_size=4,
)
'''


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("identities", "more", "loss", "stage", "words"),
    [
        (40, "", "Triplet()", "name='pull'", "set sampler="),
        (2, "", "AdaCos()", "", "use ArcFace"),
        (4, "", "DistillEmbedding()", "", "no teacher"),
        (
            4,
            ", teacher=6",
            "Softmax() + DistillEmbedding()",
            "sampler=Identities(identities=5, images=2)",
            "batch",
        ),
        (4, "", "Triplet()", "train='head'", "nothing to train"),
    ],
)
def test_check_names_the_stage_and_what_to_change(
    identities: int,
    more: str,
    loss: str,
    stage: str,
    words: str,
    project: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from workbench.cli import main

    (project / "bad.py").write_text(SPEC.format(identities=identities, more=more, loss=loss, stage=stage))
    assert main(["check", "bad.py"]) == 2
    said = capsys.readouterr()
    line = next(line for line in (said.err + said.out).splitlines() if line.startswith("error"))
    assert "stage 2" in line
    assert words in line
