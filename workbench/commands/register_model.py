"""`workbench export --register NAME`: a run's network as a version of a registered model in MLflow.

The model and the wish are kept beside the run's journal first; MLflow gets both at once where it answers, else with
the next `workbench sync`.
"""

from __future__ import annotations

import json
import re

import click
import numpy as np

from workbench.data import example_images
from workbench.errors import InputError, RecordError, SpecError, StoreError
from workbench.models import load_keras
from workbench.security.foreign_files import read_file
from workbench.spec.datasets import default_places
from workbench.tracking import logged_models
from workbench.tracking.locks import Held
from workbench.tracking.logged_models import Registration
from workbench.train import checkpoint, checkpoint_file, logged_model
from workbench.train.classifier import Outputs
from workbench.train.from_record import RecordedRun, load_model

CLOSE = 1e-3  # float32 operations in another order; a wrong weight or range is far beyond it
COMPARED = 8  # images
ALIAS = re.compile(r"(?!latest$)(?!v\d+$)[\w-]{1,255}")  # what MLflow takes


def register(found: RecordedRun, name: str, alias: str, which: str, outputs: Outputs, as_json: bool) -> None:
    """Make the MLflow model of a run, check it, and register it as `name`."""
    model = logged_model.model_name(which, outputs)
    if not (_is_current(found, model, which) and _is_harmless(found, model)):
        logged_model.make(found.store, found.experiment, found.start, which, outputs)
    off = _difference(found, model, which, outputs)
    if off > CLOSE:
        raise RecordError(f"its MLflow model is off by {off:.1e}", where=found.run, do="report this")
    note = Registration(found.run, name, model, alias)
    logged_models.keep(found.store, note)
    version = _bring(found, note)
    if as_json:
        facts = {"run": found.run, "registered": name, "version": version, "alias": alias, "model": model}
        click.echo(json.dumps(facts))
        return
    click.echo(f"{model} of {found.run}: written, loaded back by MLflow, differs by {off:.1e} at most")
    if version is None:
        click.echo(f"noted as {name}; `workbench sync` registers it")
        return
    shown = f"@{alias}" if alias else f"/{version}"
    click.echo(f'registered as {name}, version {version}: mlflow.pyfunc.load_model("models:/{name}{shown}")')


def refuse_names(name: str, alias: str) -> None:
    """Raise `SpecError` for names that MLflow does not take, before anything is made."""
    if not name.strip() or re.search(r"[/:]", name):
        raise SpecError(f"--register {name!r}", expected="a name without / and :")
    if alias and not ALIAS.fullmatch(alias):
        raise SpecError(
            f"--alias {alias!r}", expected="letters, digits, _ and -; not `latest`, not a version like v1"
        )


def _is_current(found: RecordedRun, model: str, which: str) -> bool:
    """Tell whether the model is there already, of the checkpoint that would be taken now."""
    from workbench.security import safe_yaml

    if model not in logged_models.names(found.store, found.run):
        return False
    description = logged_models.folder(found.store, found.run) / model / logged_models.DESCRIPTION
    state, _ = checkpoint_file.chosen(found.checkpoints, which)
    kept = (safe_yaml.read(description).get("metadata") or {}).get("epoch")
    return state is not None and kept == checkpoint.epoch_of(state)


def _is_harmless(found: RecordedRun, model: str) -> bool:
    """Tell whether MLflow may open the model: a merged one may hold code under the same name, and is made anew."""
    place = logged_models.folder(found.store, found.run) / model
    try:
        load_keras.require_trust(place / logged_models.GRAPH)
    except InputError:
        return False
    return logged_models.is_plain(read_file(place / logged_models.DESCRIPTION))


def _difference(found: RecordedRun, model: str, which: str, outputs: Outputs) -> float:
    """Return by how much MLflow's answers differ from the network's own, at most, on images of the data."""
    import mlflow.pyfunc

    from workbench.surgery import wrapped

    where, size = default_places(found.store.root.parent), found.experiment.backbone.image_size
    images = example_images.spread(found.experiment.data, where, size, COMPARED)
    network = load_model(found.experiment, found.checkpoints, which, outputs)
    expected = wrapped(network, unit_length=outputs == "embedding")(images, training=False).numpy()
    place = logged_models.folder(found.store, found.run) / model
    answers = mlflow.pyfunc.load_model(str(place)).predict(images)
    return float(np.max(np.abs(answers - expected.astype(np.float32))))


def _bring(found: RecordedRun, note: Registration) -> int | None:
    """Bring the model and its registration to MLflow; None where that has to wait, which is said."""
    from workbench.views.sync import register_run

    try:
        register_run(found.store, found.run)
    except (StoreError, Held) as error:
        click.echo(f"note: {error}", err=True)
    known = logged_models.registrations(found.store, found.run)
    return next((one.version or None for one in known if one.time == note.time), None)
