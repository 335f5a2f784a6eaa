"""A spec as a Keras Tuner `HyperModel`, for tuners of a notebook's own. Imports Keras Tuner and TensorFlow.

Nothing is recorded here: a trial of `workbench sweep` is a run, a trial of such a tuner is Keras Tuner's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.distribute import setup
from workbench.lazy import keras_tuner, tf
from workbench.models.build import build_model
from workbench.spec.datasets import default_places
from workbench.sweep.keras_space import declared
from workbench.sweep.search_space import is_active
from workbench.train.run_data import RunData
from workbench.train.trainer import Trainer

if TYPE_CHECKING:
    from workbench.sweep.spec import Sweep


class SpecModel(keras_tuner.HyperModel):
    """Declares a sweep's space, builds its first stage, and trains the stages one after another.

    `objective` of a tuner may be any of `loss`, `accuracy`, `val_loss` and `val_accuracy`.
    """

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(name=sweep.name)
        self.sweep = sweep

    def experiment(self, hp: Any) -> Any:
        """Return the experiment that a tuner's values mean."""
        chosen: dict[str, Any] = {}
        for name, domain in self.sweep.space:
            if name in hp.values and is_active(domain, chosen, self.sweep.domains):
                chosen[name] = hp.values[name]
        return self.sweep.experiment(chosen)

    def build(self, hp: Any) -> tf.keras.Model:
        """Return the compiled model of a trial, its first stage set up."""
        declared(self.sweep, hp)
        experiment = self.experiment(hp)
        setup.prepare(experiment)
        trainer = Trainer(build_model(experiment))
        size = experiment.backbone.image_size
        data = RunData(experiment, default_places())
        self._begin(trainer, experiment.plans()[0], data)
        trainer(tf.zeros([1, size, size, 3]))  # Keras Tuner saves and loads weights of built models only
        return trainer

    def fit(self, hp: Any, model: tf.keras.Model, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Train from `initial_epoch` to `epochs` (global, 0-based as in Keras) of the stages; return the history.

        The images are those of the spec: data given to the tuner's `search` is refused.
        """
        if args or "x" in kwargs:
            raise ValueError("the images are those of the spec: call search() without data")
        experiment = self.experiment(hp)
        data = RunData(experiment, default_places())
        done = int(kwargs.pop("initial_epoch", 0))
        wanted = min(int(kwargs.pop("epochs", experiment.epochs)), experiment.epochs)
        history: dict[str, list[float]] = {}
        for plan in experiment.plans():
            if plan.number > 1 and plan.first_epoch <= wanted:
                self._begin(model, plan, data)
            if plan.last_epoch <= done or plan.first_epoch > wanted:
                continue
            steps, first = data.steps(plan), max(done, plan.first_epoch - 1)
            start, done = (first - plan.first_epoch + 1) * steps, min(plan.last_epoch, wanted)
            # Keras knows the epoch and not the step: rates and the order of the images are functions of the step.
            model.stage_step.assign(start)
            held = data.hold_out(plan)
            validation = {} if held is None else {"validation_data": held}
            fitted = model.fit(
                data.training(plan, experiment.seed, start),
                initial_epoch=first,
                epochs=done,
                steps_per_epoch=steps,
                **{"verbose": 0, **validation, **kwargs},
            )
            for name, values in fitted.history.items():
                history.setdefault(name, []).extend(values)
        return history if history else model.evaluate(data.hold_out(experiment.plans()[-1]), return_dict=True)

    def _begin(self, trainer: Any, plan: Any, data: RunData) -> None:
        trainer.begin_stage(plan, data.steps(plan), data.classes(plan), data.teacher_size(plan))
