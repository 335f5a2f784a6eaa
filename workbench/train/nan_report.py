"""A loss that is not a finite number: what is kept of the steps before it, and the end that it makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import names
from workbench.spec.plan import Plan
from workbench.train.request import StopTraining

if TYPE_CHECKING:
    from workbench.tracking.tracker import Tracker
    from workbench.train.run_data import RunData
    from workbench.train.trainer import Trainer

FILE = "last_batches.json"


def refuse_nan(trainer: Trainer, data: RunData, tracker: Tracker, plan: Plan, epoch: int) -> None:
    """Raise `StopTraining` where a loss was not finite, after keeping the last steps as an artifact; `epoch` is 1-based."""
    if not bool(trainer.recent["bad"].numpy()):
        return
    kept = _steps(trainer.recent, data, plan)
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
