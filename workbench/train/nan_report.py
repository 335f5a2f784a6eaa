"""A loss that is not a finite number: what is kept of the steps before it, and the end that it makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import names
from workbench.lazy import tf
from workbench.spec.plan import Plan
from workbench.train.request import StopTraining

if TYPE_CHECKING:
    from workbench.tracking.tracker import Tracker
    from workbench.train.run_data import RunData
    from workbench.train.trainer import Trainer

FILE = "last_batches.json"
RECENT = 8  # steps whose loss, gradient norm, rate and image ids are kept for a post-mortem


def recent_steps(batch_size: int) -> dict[str, tf.Variable]:
    """Return the memory of a stage's last steps: variables, which the compiled step writes on the device."""

    def slots(shape: list[int], dtype: tf.DType) -> tf.Variable:
        return tf.Variable(tf.zeros(shape, dtype), trainable=False)

    return {
        "step": slots([RECENT], tf.int64),
        "loss": slots([RECENT], tf.float32),
        "gradient_norm": slots([RECENT], tf.float32),
        "lr": slots([RECENT], tf.float32),
        "images": slots([RECENT, batch_size], tf.int64),
        # Kept on the device: reading the loss at each step would make the host wait for it.
        "bad": slots([], tf.bool),
        "rate": slots([], tf.float32),
    }


def remember(
    kept: dict[str, tf.Variable],
    done: tf.Variable,
    loss: tf.Tensor,
    gradients: list[Any],
    rate: tf.Tensor,
    ids: tf.Tensor,
) -> None:
    """Write a step into the memory `kept`, within the compiled step; `done` counts the steps before it."""
    slot = tf.cast(done % RECENT, tf.int32)
    # The first bad step freezes the memory: later ones would overwrite the batches that caused it.
    frozen = kept["bad"]

    def put(name: str, value: tf.Tensor) -> None:
        new = tf.tensor_scatter_nd_update(kept[name], [[slot]], [value])
        kept[name].assign(tf.where(frozen, kept[name], new))

    put("step", done + 1)
    put("loss", loss)
    put("gradient_norm", tf.linalg.global_norm(gradients))
    put("lr", tf.cast(rate, tf.float32))
    put("images", ids)
    kept["rate"].assign(tf.cast(rate, tf.float32))
    kept["bad"].assign(tf.logical_or(frozen, tf.logical_not(tf.math.is_finite(loss))))


def refuse_nan(trainer: Trainer, data: RunData, tracker: Tracker, plan: Plan, epoch: int) -> None:
    """Raise `StopTraining` where a loss was not finite, after keeping the last steps as an artifact; `epoch` is 1-based."""
    if not bool(trainer.recent["bad"].numpy()):
        return
    kept = _steps(trainer.recent, data, plan)
    # JSON has no NaN: Python would write one that other readers refuse, in the very file that reports it.
    text = json.dumps(kept, indent=1).replace("NaN", '"nan"').replace("Infinity", '"inf"')
    tracker.artifact(FILE, text=text)
    raise StopTraining(
        names.FAILED,
        f"the loss is {kept[-1]['loss']} at step {kept[-1]['step']} of stage {plan.number}, "
        f"epoch {epoch}; {FILE} holds the batches before it",
    )


def _steps(recent: dict[str, Any], data: RunData, plan: Plan) -> list[dict[str, Any]]:
    """Return the steps still held, oldest first: step, loss, gradient norm, rate and names of images."""
    steps = recent["step"].numpy()
    return [
        {
            "step": int(steps[i]),
            **{key: float(recent[key].numpy()[i]) for key in ("loss", "gradient_norm", "lr")},
            "images": [data.name(plan, n) for n in recent["images"].numpy()[i]],
        }
        for i in np.argsort(steps)
        if steps[i] > 0
    ]
