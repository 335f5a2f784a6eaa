"""The rate that drops on a plateau: against Keras's callback, over stages, and after a stop and a resume."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from running import accepted
from specs import tiny

from workbench import ArcFace, Pairs, ReduceLROnPlateau, Softmax, Stage, SyntheticFaces
from workbench.cli import main
from workbench.errors import SpecError
from workbench.optimizers import plateau

FACES = SyntheticFaces(identities=8, images=8, hold_out=0.25)


def keras_rates(values: list[float], mode: str, **settings: Any) -> list[float]:
    """The rates that Keras's own callback has after each epoch."""
    import tensorflow as tf

    callback = tf.keras.callbacks.ReduceLROnPlateau(
        monitor="x",
        mode=mode,
        factor=settings["factor"],
        patience=settings["patience"],
        min_delta=settings["min_delta"],
        cooldown=settings["cooldown"],
        min_lr=settings["floor"],
    )
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
    model.compile(optimizer=tf.keras.optimizers.legacy.SGD(0.1))
    callback.set_model(model)
    callback.on_train_begin()
    found = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"x": value})
        found.append(float(model.optimizer.lr.numpy()))
    return found


@pytest.mark.tensorflow
@pytest.mark.parametrize("higher", [False, True])
def test_the_rate_is_that_of_kerass_callback(higher: bool) -> None:
    rng = np.random.default_rng(4)
    for number in range(12):
        settings = {
            "factor": [0.1, 0.5][number % 2],
            "patience": 1 + number % 4,
            "min_delta": [0.0, 1e-4, 0.05][number % 3],
            "cooldown": number % 3,
            "floor": [0.0, 1e-3, 0.02][number % 3],
        }
        values = np.round(np.cumsum(rng.normal(0.01 if higher else -0.01, 0.1, 30)), 3).tolist()
        schedule = ReduceLROnPlateau(0.1, **settings)
        found = [schedule.lowered([values[: n + 1]], higher) for n in range(30)]
        assert found == pytest.approx(keras_rates(values, "max" if higher else "min", **settings), rel=1e-5)


def row(stage: int, **metrics: float) -> Any:
    return SimpleNamespace(stage=stage, metrics=metrics)


def test_a_stage_begins_without_a_best_value_at_the_rate_reached_before() -> None:
    schedule = ReduceLROnPlateau(0.1, factor=0.1, patience=2, monitor="loss")
    stages = (
        Stage(loss=Softmax(), epochs=4),
        Stage(loss=Softmax(), epochs=2, train="head", advances_schedule=False),
        Stage(loss=ArcFace(), epochs=4),
        Stage(loss=ArcFace(), epochs=4, learning_rate=schedule.but(rate=0.2)),
    )
    spec = tiny(data=FACES, stages=stages, learning_rate=schedule)
    rows = [row(1, loss=v) for v in (3.0, 3.0, 3.0, 3.0)] + [
        row(2, loss=9.0),
        row(2, loss=9.0),
        row(2, loss=9.0),
    ]
    plans = spec.plans()
    assert plateau.factor(spec, plans[1], rows) == pytest.approx(0.1)
    assert plateau.factor(spec, plans[2], [*rows, row(3, loss=20.0), row(3, loss=20.0)]) == pytest.approx(0.1)
    rows += [row(3, loss=20.0)] * 3
    assert plateau.factor(spec, plans[2], rows) == pytest.approx(0.01)
    assert plateau.factor(spec, plans[3], rows) == 1.0


def test_a_metric_that_is_not_measured_is_refused_with_those_that_are() -> None:
    spec = tiny(data=FACES.but(hold_out=0.0), learning_rate=ReduceLROnPlateau(0.1), evaluate=Pairs("lfw.bin"))
    with pytest.raises(SpecError, match="'val_loss' is not measured; expected one of loss, accuracy, lfw"):
        plateau.refuse_unmeasured(spec)
    plateau.refuse_unmeasured(spec.but(**{"learning_rate.monitor": "lfw"}))
    plateau.refuse_unmeasured(tiny(data=FACES, learning_rate=ReduceLROnPlateau(0.1)))
    with pytest.raises(SpecError, match="0.1 is not below the rate 0.1"):
        ReduceLROnPlateau(0.1, floor=0.1)


SPEC = '''"""Is the rate the same after a stop?"""
from workbench import MLP, Adam, Dense, Digits, Experiment, Features, ReduceLROnPlateau, Softmax, Stage

experiment = Experiment(
    data=Digits(hold_out=0.2), backbone=MLP(image_size=8, units=(16,)), embedding=Features(),
    stages=(Stage(loss=Softmax(head=Dense()), epochs=4), Stage(loss=Softmax(head=Dense()), epochs=3)),
    optimizer=Adam(), learning_rate=ReduceLROnPlateau(0.05, factor=0.5, patience=1, min_delta=0.2), batch_size=64,
    log_model="none",
)
'''


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
def test_a_run_lowers_its_rate_and_a_stopped_one_goes_on_alike(project: Any, monkeypatch: Any) -> None:
    from workbench.train import session

    (project / "plateau.py").write_text(SPEC)
    assert main(["run", "plateau.py"]) == 0
    (first,) = (project / "mlruns" / "journal").glob("*.jsonl")
    usual = session.Session.save

    def killed(self: Any, inside: bool = False, best: bool = False) -> None:
        usual(self, inside, best)
        if self.epoch == 3:
            self.saver.wait()
            raise KeyboardInterrupt

    monkeypatch.setattr(session.Session, "save", killed)
    assert main(["run", "plateau.py"]) == 130  # the third epoch was reached, and the run ended there
    monkeypatch.setattr(session.Session, "save", usual)
    (second,) = set((project / "mlruns" / "journal").glob("*.jsonl")) - {first}
    assert main(["resume", second.stem]) == 0
    whole, halved = accepted(project, first.stem), accepted(project, second.stem)
    plain = [[metrics for *_, metrics in rows] for rows in (whole, halved)]
    assert plain[0] == plain[1]
    found = [metrics["lr"] for metrics in plain[0]]
    schedule = ReduceLROnPlateau(0.05, factor=0.5, patience=1, min_delta=0.2)
    values = [metrics["val_loss"] for metrics in plain[0]]
    expected = [schedule.lowered([values[:n][:4], values[4:n]], False) for n in range(7)]
    assert found == pytest.approx(expected, rel=1e-6)
    assert found[-1] < found[0]
