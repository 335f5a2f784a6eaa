"""Every loss on logits against its paper: values, gradients, edges, label smoothing, compiled or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import papers
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
    MagFace,
    MarginSoftmax,
    ScaledSoftmax,
    Softmax,
    SphereFace,
)
from workbench.spec.interfaces import Batch, Loss

pytestmark = pytest.mark.tensorflow

B, D, C = 7, 5, 6


class Case(NamedTuple):
    loss: Loss
    oracle: Callable[..., Any]
    length: float = 1.0  # of the embeddings, so that norms fall into a loss's range

    def __repr__(self) -> str:
        return str(self.loss)


def adaface(x: Any, w: Any, y: Any, e: float = 0.0, **options: Any) -> float:
    return papers.adaface(x, w, y, e, **options)[0]


def fixed_norms(base: Any) -> Callable[..., float]:
    norms = np.linalg.norm(base, axis=1)
    return lambda x, w, y, e=0.0: papers.adaface(x, w, y, e, norms=norms)[0]


def adacos(x: Any, w: Any, y: Any, e: float = 0.0, scale: float | None = None) -> float:
    cos = papers.cosines(x, w)
    s = papers.adacos_scale(cos, y, math.sqrt(2) * math.log(C - 1)) if scale is None else scale
    return papers.mean_entropy(s * cos, y, e)


def adacos_margin(x: Any, w: Any, y: Any, e: float = 0.0, scale: float | None = None) -> float:
    s = (
        papers.adacos_scale(papers.cosines(x, w), y, math.sqrt(2) * math.log(C - 1))
        if scale is None
        else scale
    )
    return papers.adacos_with_margin(x, w, y, e, s, 0.5)


PLAIN = Dense(bias=False)
CASES = [
    Case(Softmax(head=PLAIN), papers.softmax),
    Case(MarginSoftmax(head=PLAIN), papers.margin_softmax),
    Case(
        MarginSoftmax(head=PLAIN, power=3, scale=1.0, renormalised=False),
        lambda x, w, y, e=0.0: papers.margin_softmax(x, w, y, e, 3.0, 1.0, False),
    ),
    Case(
        ScaledSoftmax(scale=20), lambda x, w, y, e=0.0: papers.mean_entropy(20 * papers.cosines(x, w), y, e)
    ),
    Case(ArcFace(), papers.arcface),
    Case(ArcFace(form="trig", scale=16), lambda x, w, y, e=0.0: papers.arcface(x, w, y, e, s=16)),
    Case(
        ArcFace(margin=1.2, beyond="sine", scale=8),
        lambda x, w, y, e=0.0: papers.arcface(x, w, y, e, 8, 1.2, "sine"),
    ),
    Case(
        ArcFace(margin=1.2, beyond="cosine", scale=8, form="trig"),
        lambda x, w, y, e=0.0: papers.arcface(x, w, y, e, 8, 1.2, "cosine"),
    ),
    Case(CosFace(), lambda x, w, y, e=0.0: papers.combined_margin(x, w, y, e, m2=0.0, m3=0.35)),
    Case(SphereFace(), papers.sphereface),
    Case(SphereFace(m1=4, scale=16), lambda x, w, y, e=0.0: papers.sphereface(x, w, y, e, 16, 4)),
    Case(CombinedMargin(), papers.combined_margin),
    Case(
        CombinedMargin(m1=0.9, m2=0.4, m3=0.15, scale=32),
        lambda x, w, y, e=0.0: papers.combined_margin(x, w, y, e, 32, 0.9, 0.4, 0.15),
    ),
    Case(AirFace(), papers.airface),
    Case(CurricularFace(), lambda x, w, y, e=0.0: papers.curricularface(x, w, y, e)[0]),
    Case(MagFace(), papers.magface, length=25.0),
    *(
        Case(MagFace(beyond=b), lambda x, w, y, e=0.0, b=b: papers.magface(x, w, y, e, beyond=b), length=25.0)
        for b in ("minimum", "sine", "monotone")
    ),
    Case(AdaFace(), adaface, length=25.0),
    Case(AdaCos(), adacos),
    Case(AdaCos(margin=0.5), adacos_margin),
]


def sample(case: Case, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(B, D)) * case.length
    return x, rng.normal(size=(C, D)), rng.integers(0, C, B)


def built(loss: Loss, w: np.ndarray) -> tuple[Any, Any]:
    """The head and the loss layer, with the class weights set."""
    part = loss.classifier()
    assert part is not None
    head, layer = part.layer(w.shape[0], w.shape[1]), loss.layer(w.shape[0], w.shape[1], B)
    head.state["kernel"].assign(w)
    return head, layer


def run(loss: Loss, x: np.ndarray, w: np.ndarray, y: np.ndarray, e: float = 0.0) -> tuple[float, Any, Any]:
    """Value, gradient by x, gradient by w."""
    import tensorflow as tf

    head, layer = built(loss, w)
    with tf.GradientTape() as tape:
        inputs = tf.constant(x, tf.float32)
        tape.watch(inputs)
        value = step(head, layer, inputs, tf.constant(y, tf.int32), e)
    dx, dw = tape.gradient(value, [inputs, head.state["kernel"]])
    return float(value), dx.numpy(), tf.convert_to_tensor(dw).numpy()


def step(head: Any, layer: Any, x: Any, y: Any, e: float) -> Any:
    logits, targets = head(x, y, training=True)
    return layer(Batch(x, y, logits, e, None, True, targets))


def slopes(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences of a function in double precision."""
    result = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        result[index] = (function(up) - function(down)) / (2 * step)
    return result


@pytest.mark.parametrize("e", [0.0, 0.1])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_value_is_the_papers(case: Case, e: float) -> None:
    for seed in range(3):
        x, w, y = sample(case, seed)
        assert run(case.loss, x, w, y, e)[0] == pytest.approx(case.oracle(x, w, y, e), rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("e", [0.0, 0.1])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_gradient_is_that_of_the_papers_formula(case: Case, e: float) -> None:
    """Against central differences of the NumPy formula; what a loss holds fixed is held fixed there."""
    x, w, y = sample(case)
    oracle = case.oracle
    if isinstance(case.loss, AdaFace):
        oracle = fixed_norms(x)
    if isinstance(case.loss, AdaCos):
        scale = papers.adacos_scale(papers.cosines(x, w), y, math.sqrt(2) * math.log(C - 1))
        formula = case.oracle
        oracle = lambda x, w, y, e: formula(x, w, y, e, scale)  # noqa: E731
    if isinstance(case.loss, CurricularFace):
        moved = papers.curricularface(x, w, y)[1]
        oracle = lambda x, w, y, e: papers.curricularface(x, w, y, e, t=moved, keep=1.0)[0]  # noqa: E731
    _, dx, dw = run(case.loss, x, w, y, e)
    expected_x = slopes(lambda v: oracle(v, w, y, e), x)
    expected_w = slopes(lambda v: oracle(x, v, y, e), w)
    np.testing.assert_allclose(dx, expected_x, rtol=2e-3, atol=2e-4 * np.abs(expected_x).max())
    np.testing.assert_allclose(dw, expected_w, rtol=2e-3, atol=2e-4 * np.abs(expected_w).max())


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_compiled_by_xla_it_is_the_same(case: Case) -> None:
    import tensorflow as tf

    x, w, y = sample(case)
    value, dx, _ = run(case.loss, x, w, y, 0.1)
    head, layer = built(case.loss, w)

    @tf.function(jit_compile=True)
    def compiled(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = step(head, layer, inputs, labels, 0.1)
        return result, tape.gradient(result, inputs)

    other, slope = compiled(tf.constant(x, tf.float32), tf.constant(y, tf.int32))
    assert float(other) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(slope, dx, rtol=1e-3, atol=1e-5 * np.abs(dx).max() + 1e-7)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_at_cosine_one_and_minus_one_it_is_exact_and_its_gradient_finite(case: Case) -> None:
    _, w, _ = sample(case)
    y = np.arange(6) % C
    x = w[y] * np.array([1, -1, 1, -1, 1, -1])[:, None] * case.length
    value, dx, dw = run(case.loss, x, w, y)
    assert value == pytest.approx(case.oracle(x, w, y), rel=1e-4, abs=1e-4)
    assert np.isfinite(dx).all()
    assert np.isfinite(dw).all()


@pytest.mark.parametrize("case", [c for c in CASES if not isinstance(c.loss, AdaCos)], ids=repr)
def test_with_one_identity_nothing_is_left_to_learn(case: Case) -> None:
    x, w, _ = sample(case)
    value, dx, dw = run(case.loss, x, w[:1], np.zeros(B, int))
    alone = case.oracle(x, w[:1], np.zeros(B, int))
    assert value == pytest.approx(alone, rel=1e-5, abs=1e-6)
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(dw, 0, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_a_zero_embedding_gives_finite_numbers(case: Case) -> None:
    x, w, y = sample(case)
    x[0] = 0
    value, dx, _ = run(case.loss, x, w, y)
    assert math.isfinite(value)
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("e", [0.0, 0.1])
def test_margin_softmax_is_kerass_cross_entropy_of_its_probabilities(e: float) -> None:
    """The notebook's loss is `categorical_crossentropy` of probabilities, the target's changed."""
    import tensorflow as tf

    rng = np.random.default_rng(3)
    for spread in (0.3, 0.8):  # beyond, Keras cuts probabilities off at 1e-7
        x, w, y = rng.normal(size=(16, D)) * spread, rng.normal(size=(40, D)), rng.integers(0, 40, 16)
        p = tf.nn.softmax(tf.constant(x @ w.T, tf.float32))
        hot = tf.one_hot(y, 40)
        changed = tf.where(hot > 0, (p**2 + 0.4 * p) / 2, p)
        keras = tf.reduce_mean(tf.keras.losses.categorical_crossentropy(hot, changed, label_smoothing=e))
        found = run(MarginSoftmax(head=PLAIN), x, w, y, e)[0]
        assert found == pytest.approx(float(keras), rel=3e-7, abs=3e-7)


def test_margin_softmax_ends_at_zero_and_without_the_division_at_its_floor() -> None:
    x, w, y = np.eye(3) * 60, np.eye(3), np.arange(3)
    assert run(MarginSoftmax(head=PLAIN), x, w, y)[0] == pytest.approx(0, abs=2e-7)
    plain = run(MarginSoftmax(head=PLAIN, renormalised=False), x, w, y)[0]
    assert plain == pytest.approx(-math.log(0.7), rel=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        ArcFace(margin=0.5),
        ArcFace(margin=1.5),
        ArcFace(form="trig"),
        SphereFace(m1=1.9),
        SphereFace(m1=4),
        CombinedMargin(m1=1.1, m2=0.5, m3=0.3),
        CombinedMargin(m1=0.8, m2=0.1, m3=0.1),
        AirFace(),
        CosFace(),
    ],
    ids=str,
)
def test_the_target_falls_over_all_angles_and_has_no_jump(loss: Any) -> None:
    cosine = np.cos(np.linspace(0, math.pi, 20001)).astype(np.float32)
    t = np.asarray(loss.target(cosine), np.float64)
    steps = np.diff(t[np.argsort(-cosine, kind="stable")])
    assert steps.max() <= 3e-6
    assert steps.min() >= -3 * 8 * math.pi / 20000


@pytest.mark.parametrize(("m1", "m2", "m3"), [(1.0, 0.5, 0.0), (1.2, 0.3, 0.2), (1.0, 1.5, 0.35)])
def test_the_fallback_meets_the_margin_at_the_threshold(m1: float, m2: float, m3: float) -> None:
    loss = CombinedMargin(m1=m1, m2=m2, m3=m3)
    edge = math.cos((math.pi - m2) / m1)
    around = np.array([edge - 1e-6, edge, edge + 1e-6], np.float32)
    np.testing.assert_allclose(loss.target(around), [-1 - m3] * 3, atol=1e-5)
    # beyond it: -2 (1 + m3) - t
    below = np.float32(edge - 0.02)
    t = math.cos(m1 * math.acos(below) + m2) - m3
    assert float(loss.target(below)) == pytest.approx(-2 * (1 + m3) - t, abs=1e-5)


def test_both_forms_of_arcface_agree() -> None:
    cosine = np.linspace(-1, 1, 401).astype(np.float32)
    for beyond in ("monotone", "sine", "cosine"):
        acos, trig = (ArcFace(form=form, beyond=beyond).target(cosine) for form in ("acos", "trig"))
        away = np.abs(cosine - math.cos(math.pi - 0.5)) > 1e-4  # at the jump itself rounding decides
        np.testing.assert_allclose(np.asarray(acos)[away], np.asarray(trig)[away], atol=2e-6)


def test_curricularface_follows_the_mean_target_cosine_and_rests_in_evaluation() -> None:
    import tensorflow as tf

    case = Case(CurricularFace(keep=0.9), papers.curricularface)
    x, w, y = sample(case)
    head, layer = built(case.loss, w)
    t = 0.0
    for _ in range(3):
        value = float(step(head, layer, tf.constant(x, tf.float32), tf.constant(y, tf.int32), 0.0))
        expected, t = papers.curricularface(x, w, y, t=t, keep=0.9)
        assert value == pytest.approx(expected, rel=1e-5)
        assert float(layer.state["t"]) == pytest.approx(t, rel=1e-5)
    inputs, labels = tf.constant(x, tf.float32), tf.constant(y, tf.int32)
    logits, targets = head(inputs, labels)
    layer(Batch(inputs, labels, logits, 0.0, None, False, targets))
    assert float(layer.state["t"]) == pytest.approx(t, rel=1e-5)


def test_adaface_moves_its_statistics_as_the_paper_says() -> None:
    import tensorflow as tf

    case = Case(AdaFace(keep=0.7), adaface, 25.0)
    x, w, y = sample(case)
    head, layer = built(case.loss, w)
    mean, std = 20.0, 100.0
    for _ in range(3):
        value = float(step(head, layer, tf.constant(x, tf.float32), tf.constant(y, tf.int32), 0.0))
        expected, mean, std = papers.adaface(x, w, y, keep=0.7, mean=mean, std=std)
        assert value == pytest.approx(expected, rel=1e-5)
    assert float(layer.state["mean"]) == pytest.approx(mean, rel=1e-5)
    assert float(layer.state["deviation"]) == pytest.approx(std, rel=1e-5)


def test_adacos_scale_of_the_known_example() -> None:
    """B = 24960.6406 at a median angle of pi/4 gives 14.3190."""
    import tensorflow as tf

    from workbench.losses.adaptive import next_scale

    others, s = 999, 10.0
    level = math.log(24960.6406 / others) / s  # cosine of every other identity, so that B is just that
    cosines = np.full((4, others + 1), level)
    cosines[:, 0] = math.cos(math.pi / 4)
    found = next_scale(tf.constant(s), tf.constant(cosines, tf.float32), tf.zeros(4, tf.int32))
    assert float(found) == pytest.approx(14.3190, abs=2e-4)


def test_adacos_takes_the_median_and_the_bound_of_its_angle() -> None:
    import tensorflow as tf

    from workbench.losses.adaptive import next_scale

    rng = np.random.default_rng(1)
    for images, tilt in ((4, 0.95), (5, 0.9), (6, -0.5)):
        cos = rng.uniform(-0.3, 0.3, (images, 20))
        y = rng.integers(0, 20, images)
        cos[np.arange(images), y] = tilt - rng.uniform(0, 0.05, images)
        expected = papers.adacos_scale(cos, y, 5.0)
        found = next_scale(tf.constant(5.0), tf.constant(cos, tf.float32), tf.constant(y, tf.int32))
        assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(AdaCos().layer(1000, 8, 4).state["scale"]) == pytest.approx(math.sqrt(2) * math.log(999))


def test_magface_draws_norms_upwards_through_margin_and_regulariser() -> None:
    """At the clipped ends of the norm's range there is no pull left along the embedding."""
    case = Case(MagFace(), papers.magface, 25.0)
    x, w, y = sample(case)
    for factor in (1e-3, 1e3):
        _, dx, _ = run(case.loss, x * factor, w, y)
        along = np.abs((dx * x).sum(1)) / (np.linalg.norm(dx, axis=1) * np.linalg.norm(x, axis=1))
        assert along.max() < 1e-3
