"""`workbench export`: a run or a model in other formats, each checked against the original."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from workbench.commands import completers, register_model
from workbench.commands.common_options import DEBUG, PATH, STORE, WHICH, json_option, trust_option
from workbench.data.example_images import evenly, spread
from workbench.data.image_check import ENDINGS
from workbench.errors import DataError, InputError, SpecError
from workbench.export.formats import EVERY, FORMATS, QUANTIZATIONS, WHOLE, Target, write
from workbench.lazy import tf
from workbench.spec.datasets import default_places
from workbench.spec.watchers import Evaluation
from workbench.train.from_record import load_model, open_run
from workbench.train.signals import orderly_end

if TYPE_CHECKING:
    from workbench.export.compare import Comparison
    from workbench.spec.experiment import Experiment
    from workbench.train.classifier import Outputs
    from workbench.verification.evaluator import Evaluator


@dataclass(frozen=True)
class Subject:
    """What is exported: the model, its name for files, images to compare on, sets to measure on."""

    model: tf.keras.Model
    stem: str
    folder: Path
    images: np.ndarray  # uint8 [N, s, s, 3]
    real: bool  # images of the data, not noise
    evaluators: Sequence[Evaluator] = ()
    classes: Sequence[str] = ()  # names of the classes, of a model that gives logits or probabilities


@dataclass(frozen=True)
class ExportOptions:
    """How the model is opened, what it is compared on and where the exports go, as the options say."""

    which: str
    outputs: Outputs
    store: str | None
    data: Path | None
    out: Path | None
    count: int
    trust_code: bool


@click.command()
@click.argument("model", metavar="RUN_OR_MODEL", shell_complete=completers.models)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="saved_model by default; tflite with --quantize."
)
@click.option(
    "--quantize",
    type=click.Choice(QUANTIZATIONS),
    help="Of TFLite; uint8 is int8 that takes and gives bytes.",
)
@click.option("--all", "every", is_flag=True, help="All formats, and a table that compares them.")
@click.option("--wrap", is_flag=True, help="Take uint8 images and return embeddings of length 1.")
@click.option(
    "--images", "count", type=click.IntRange(1), default=64, show_default=True, help="Images compared on."
)
@click.option("--data", type=PATH, help="Folder of images, for a model that is not a run.")
@click.option("--out", type=PATH, help="Folder; a run's artifacts by default.")
@WHICH
@click.option(
    "--outputs",
    type=click.Choice(["embedding", "logits", "probabilities"]),
    default="embedding",
    show_default=True,
    help="What the model of a run gives: with its classification head, class logits or probabilities.",
)
@click.option("--register", "registered", metavar="NAME", help="Make it a version of MLflow's model NAME.")
@click.option("--alias", help="With --register: the alias that points to the new version.")
@trust_option("Open a model file though it holds code, which then runs.")
@json_option("the comparison as one JSON line")
@STORE
@DEBUG
@orderly_end()
def export(
    model: str,
    format_: str | None,
    quantize: str | None,
    every: bool,
    wrap: bool,
    registered: str | None,
    alias: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Export RUN_OR_MODEL (a run, or a Keras model file), load it back and compare it on real images."""
    asked = ExportOptions(**given)
    if registered is not None:
        if format_ or quantize or every or wrap or asked.data or asked.out:
            raise SpecError("--register with options of other formats", do="leave them out, or export twice")
        register_model.refuse_names(registered, alias or "")
        found = open_run(model, asked.store, trust_code=asked.trust_code)
        register_model.register(found, registered, alias or "", asked.which, asked.outputs, as_json)
        return
    if every and quantize:
        raise SpecError(f"--all with --quantize {quantize}", do="leave out one: --all has every quantisation")
    format_ = format_ or ("tflite" if quantize else "saved_model")
    targets = EVERY if every else (Target(format_, quantize),)
    subject = _subject(model, asked)
    whole = [target.quantize for target in targets if target.quantize in WHOLE]
    if not subject.real and whole:
        raise InputError(
            f"{whole[0]} needs representative images",
            where=model,
            do="give --data FOLDER, or export a run whose data is there",
        )
    rows, refused = export_all(subject, targets, wrap)
    if subject.classes:
        names = subject.folder / f"{subject.stem}_classes.json"
        names.write_text(json.dumps(list(subject.classes), indent=1) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"model": model, "exports": [asdict(row) for row in rows]}))
    elif len(rows) > 1:
        _show(rows, subject)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        reasons = "; ".join(f"{error.where}: {error.what}" for error in refused)
        raise InputError(f"{len(refused)} formats could not be written: {reasons}", where=model)


def _show(rows: Sequence[Comparison], subject: Subject) -> None:
    from workbench.export.compare import table

    click.echo(table(rows))
    kind = "images of the data" if subject.real else "random images (give --data FOLDER for real ones)"
    click.echo(f"compared on {len(subject.images)} {kind}; written to {subject.folder}")


def export_all(
    subject: Subject, targets: Sequence[Target], wrap: bool
) -> tuple[list[Comparison], list[InputError]]:
    """Write every target and return the comparisons, the original first, and why others were not written.

    The comparisons are kept beside the exports, with those of formats that were written before.
    """
    from workbench import surgery
    from workbench.export import compare
    from workbench.verification import models

    model = surgery.wrapped(subject.model, unit_length=not subject.classes) if wrap else subject.model
    stem = f"{subject.stem}_wrapped" if wrap else subject.stem
    values: models.Range = "raw" if wrap else "unit"
    original = models.from_keras(model, subject.stem, subject.images.shape[1], values)
    expected = original.embed(compare.image_set(subject.images)).plain
    bytes_ = sum(int(np.prod(weight.shape)) * weight.dtype.size for weight in model.weights)
    rows = [
        compare.measured(
            "keras (original)", "", original, subject.images, expected, expected, subject.evaluators, bytes_
        )
    ]
    samples = subject.images if wrap else models.prepared(subject.images, "unit")
    refused: list[InputError] = []
    for target in targets:
        path = target.path(subject.folder, stem)
        click.echo(f"{target.name}: written, loaded back, compared ...", err=True)
        try:  # each by itself: a format that cannot hold this network costs no other
            write(model, target, path, samples if subject.real else None)
            row = compare.compare(target.name, path, subject.images, expected, values, subject.evaluators)
        except InputError as error:
            refused.append(error)
        else:
            rows.append(row)
            compare.keep(subject.folder / f"{stem}_exports.json", rows, wrap, len(subject.images))
    return rows, refused


def _subject(model: str, asked: ExportOptions) -> Subject:
    path = Path(model)
    if path.suffix not in (".h5", ".keras") and not (path / "saved_model.pb").is_file():
        return _of_run(model, asked)
    if asked.outputs != "embedding":
        raise SpecError(
            f"--outputs {asked.outputs} of a model file", where=path, expected="a run, which has its head"
        )
    return _of_file(path, asked)


def _of_file(path: Path, asked: ExportOptions) -> Subject:
    from workbench.models.load_keras import load_keras

    model = load_keras(path, asked.trust_code)
    try:
        size = int(model.input_shape[1])
    except (AttributeError, TypeError) as error:
        raise DataError(
            f"takes no images: {error}", where=path, expected="a saved Keras model of fixed input size"
        ) from error
    if asked.data is not None:
        images = _of_folder(asked.data, size, asked.count)
    else:
        images = np.random.default_rng(0).integers(0, 256, [asked.count, size, size, 3], np.uint8)
    folder = asked.out or path.parent / f"{path.stem}_exports"
    return Subject(model, path.stem, folder, images, real=asked.data is not None)


def _of_folder(folder: Path, size: int, count: int) -> np.ndarray:
    from workbench.verification.pair_sets import of_files

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not files:
        raise DataError("no images", where=folder, expected=f"a folder with images ({', '.join(ENDINGS)})")
    return of_files([files[place] for place in evenly(len(files), count)]).pixels(size)


def _of_run(text: str, asked: ExportOptions) -> Subject:
    from workbench.verification.evaluator import Evaluator

    found = open_run(text, asked.store, trust_code=asked.trust_code)
    run, experiment = found.run, found.experiment
    network = load_model(experiment, found.checkpoints, asked.which, asked.outputs)
    size, where = experiment.backbone.image_size, default_places(found.store.root.parent)
    if asked.data:
        images = _of_folder(asked.data, size, asked.count)
    else:
        images = spread(experiment.data, where, size, asked.count)
    folder = asked.out or found.store.run_artifacts(run) / "exports"
    if asked.outputs != "embedding":
        classes = _classes(experiment, where, int(network.output_shape[-1]), run)
        return Subject(network, f"{run}_{asked.outputs}", folder, images, True, classes=classes)
    paired = [part for part in experiment.sets if not isinstance(part, Evaluation)]
    evaluators = [Evaluator.open(part, where, experiment.data, size) for part in paired]
    return Subject(network, run, folder, images, True, evaluators)


def _classes(experiment: Experiment, where: Any, count: int, run: str) -> tuple[str, ...]:
    """Return the names of a run's classes, in the order of its outputs."""
    from workbench.train.run_data import RunData

    data = RunData(experiment, where)
    found = [data.identities(plan) for plan in experiment.plans()]
    fitting = next((names for names in reversed(found) if len(names) == count), None)
    if fitting is None:
        raise DataError(f"{count} classes, and no stage's data has as many identities", where=run)
    return fitting
