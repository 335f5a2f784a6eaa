"""A tuner of a notebook's own, handed a spec: its search trains the spec's stages and finds their values."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_spec import base, sweep

from workbench import SGD, Adam, Choice, Float, Softmax, Stage

pytestmark = pytest.mark.tensorflow


def test_keras_tuners_hyperband_trains_a_spec(project: Path):
    import keras_tuner

    two = (Stage(loss=Softmax(), epochs=1), Stage(loss=Softmax(), epochs=1, learning_rate=0.01))
    own = sweep(
        base=base(stages=two),
        space={
            "optimizer": Choice(SGD(), Adam()),
            "optimizer.momentum": Float(0, 0.9).when("optimizer", SGD()),
            "label_smoothing": Choice(0, 0.1),
        },
    )
    tuner = keras_tuner.Hyperband(
        own.hypermodel(),
        objective="val_accuracy",
        max_epochs=2,
        factor=2,
        directory=str(project),
        project_name="t",
    )
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    assert {trial.status for trial in trials} == {"COMPLETED"}
    assert any(trial.hyperparameters.values.get("tuner/trial_id") for trial in trials)
    best = tuner.get_best_hyperparameters()[0]
    assert {"optimizer", "label_smoothing"} <= set(best.values)
    assert tuner.oracle.get_best_trials()[0].score > 0.8
    assert own.hypermodel().experiment(best).diff(own.base)


def test_a_tuner_that_brings_data_of_its_own_is_refused(project: Path):
    import keras_tuner

    own = sweep()
    hp = keras_tuner.HyperParameters()
    model = own.hypermodel().build(hp)
    with pytest.raises(ValueError, match="without data"):
        own.hypermodel().fit(hp, model, [1], epochs=1)
