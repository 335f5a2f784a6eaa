"""The best network of a run as an MLflow model beside its journal, from where the view of MLflow takes it.

It is made when the training is over and before its end is recorded, so that a kill in between leaves a run that a
resume completes. What goes wrong with it is said and costs the run nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import names
from workbench.data import example_images
from workbench.errors import RecordError
from workbench.export import mlflow_model
from workbench.models.build import build_model
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.tracking import logged_models
from workbench.tracking.rows import StartRecord, plain
from workbench.tracking.store import Store
from workbench.train import checkpoint, checkpoint_file
from workbench.train.classifier import Outputs, with_classes
from workbench.train.request import RunRequest

if TYPE_CHECKING:
    from workbench.train.progress import Screen


def is_wanted(request: RunRequest) -> bool:
    """Tell whether a run logs a model by itself, as its experiment's `log_model` says."""
    rule = request.variant.experiment.log_model
    small = request.variant.quick or names.TAG_SWEEP in request.tags
    return rule == "all" or (rule == "full" and not small)


def keep_best(request: RunRequest, start: StartRecord | None, screen: Screen) -> None:
    """Make the model of a run that has trained; says why where it cannot be made."""
    if start is None or not is_wanted(request):
        return
    try:
        make(request.store, request.variant.experiment, start)
    except KeyboardInterrupt:
        screen.warn("no model is logged: stopped by Ctrl-C")
    except Exception as error:  # noqa: BLE001 - the training is done, and its record must not fail for a copy of it
        screen.warn(f"no model is logged: {error}")


def model_name(which: str = "best", outputs: Outputs = "embedding") -> str:
    """Return the name of a logged model: `model` is the embedding network of the best epoch."""
    parts = [logged_models.BEST if outputs == "embedding" else outputs, *([which] if which != "best" else [])]
    return "-".join(parts)


def make(
    store: Store,
    experiment: Experiment,
    start: StartRecord,
    which: str = "best",
    outputs: Outputs = "embedding",
) -> str:
    """Make the MLflow model of a run's `best` or `last` epoch and return its name; one that is there is replaced.

    Raises `RecordError` where there is no such checkpoint, or no head in it where `outputs` need one.
    """
    state, words = checkpoint_file.chosen(store.run_checkpoints(start.run), which)
    if state is None:
        raise RecordError("no checkpoint", where=start.run, do="run the experiment first, or resume it")
    network = build_model(experiment)
    checkpoint.restore_embedder(network, state)
    if outputs != "embedding":
        network = with_classes(network, experiment, state, outputs, start.run)
    where, size = default_places(store.root.parent), experiment.backbone.image_size
    image = example_images.spread(experiment.data, where, size, 1)[0]
    name = model_name(which, outputs)
    facts = {
        **source_facts(start),
        "checkpoint": words,
        "outputs": outputs,
        "epoch": checkpoint.epoch_of(state),
    }
    with logged_models.placing(store, start.run, name) as folder:
        mlflow_model.write(
            network, folder, image, facts, outputs == "embedding", _linked(store, start.run, which)
        )
    return name


def _linked(store: Store, run: str, which: str) -> Path | None:
    """Return the checkpoint whose file a model may share: the best one, of a store that sends no files to a server.

    The last ones go as newer ones come, and a link would keep a whole state for the sake of its network.
    """
    best = store.run_checkpoints(run) / checkpoint_file.BEST
    return best if store.is_local and which == "best" and best.is_file() else None


def source_facts(start: StartRecord) -> dict[str, Any]:
    """Return where a model comes from, as its metadata tells it: the run, and all settings as recorded."""
    return {
        "run": start.run,
        "study": start.study,
        "name": start.name,
        "seed": start.seed,
        "identity": start.id,
        "settings": plain(dict(start.parameters)),
    }
