"""`workbench data`: look at data and augmentation, and turn one form of data into another."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, PATH, SET, WHICH, trust_option
from workbench.data import contact_sheet, convert, decode, example_images, face_alignment, pair_formats, paths
from workbench.data.image_check import ENDINGS
from workbench.data.sources.arrays import Npz
from workbench.data.sources.folder import ImageFolder
from workbench.data.sources.record_files import RecordIO, TFRecords
from workbench.errors import DataError, SpecError
from workbench.security.foreign_names import new_file, resolved
from workbench.spec.datasets import default_places
from workbench.spec.interfaces import Augmentation, Places, Source
from workbench.spec.load import choose_variants, load_variants
from workbench.spec.overrides import override_settings, parse_part, parse_value
from workbench.spec.plan import Plan
from workbench.tracking.store import find_store
from workbench.train.signals import orderly_end
from workbench.verification.pair_sets import of_files

SOURCE, TARGET = click.argument("source"), click.argument("target", type=PATH)
SIDE = click.IntRange(8, 1024)  # pixels
ARRAY_SIZE = click.option("--size", type=SIDE, help="Side of images that are arrays, pixels.")


@click.group()
def data() -> None:
    """Show data, and convert between folders, RecordIO and TFRecords."""


def places() -> Places:
    """Return where data is looked for: $WORKBENCH_DATA, the project, and the working folder."""
    found = default_places(find_store().root.parent)
    return Places(tuple(dict.fromkeys((*found.roots, Path.cwd()))), found.cache)


def source_of(text: str) -> Source:
    """Return the source that a text means: a folder, a file by its ending, or a part `Digits()`.

    Raises `SpecError` for anything else.
    """
    if re.fullmatch(r"[A-Za-z]+\(.*\)", text, re.S):
        value = parse_part(text, "workbench.data.sources", "ImageFolder('faces')")
        if not isinstance(value, Source):
            raise SpecError(f"{text} is not a data source", expected="ImageFolder(...), RecordIO(...), ...")
        return value
    kinds: dict[str, Any] = {
        ".rec": RecordIO,
        ".tfrecord": TFRecords,
        ".tfrecords": TFRecords,
        ".npz": Npz,
    }
    source: Source = kinds.get(Path(text).suffix.lower(), ImageFolder)(path=text)
    return source


@data.command()
@click.argument("spec", type=PATH)
@click.argument("names", nargs=-1)
@click.option(
    "--out", type=PATH, default=Path("mlruns/sheets"), show_default=True, help="Folder for the sheets."
)
@click.option(
    "--images", "count", type=click.IntRange(1, 64), default=8, show_default=True, help="Images a sheet."
)
@click.option(
    "--rows", type=click.IntRange(1, 16), default=3, show_default=True, help="Most epochs shown below."
)
@SET
@DEBUG
def show(
    spec: Path, names: tuple[str, ...], out: Path, count: int, rows: int, assignments: tuple[str, ...]
) -> None:
    """Write contact sheets of what the stages of SPEC see: originals above, augmented below.

    One sheet for each pair of data and augmentation that differs, of the variants called NAMES (or all).
    """
    variants = choose_variants(load_variants(spec), list(names))
    seen: list[Any] = []
    out.mkdir(parents=True, exist_ok=True)
    for variant in variants:
        experiment = override_settings(variant, assignments).experiment
        for plan in experiment.plans():
            if (plan.data, plan.augment) in seen:
                continue
            seen.append((plan.data, plan.augment))
            label = f"{variant.study}-{variant.name}-stage{plan.number}"
            path = out / (re.sub(r"[^\w.=+-]+", "_", label) + ".png")
            title = f"{variant.study} / {variant.name}, stage {plan.number} ({plan.name})"
            _sheet(plan, experiment.backbone.image_size, experiment.seed, title, count, rows).save(path)
            click.echo(path)


@data.command()
@click.argument("source")
@click.argument("augmentation")
@click.option(
    "--over", required=True, metavar="SETTING=A,B,C", help="The setting, and its values from left to right."
)
@click.option(
    "--image", "number", type=click.IntRange(0), default=0, show_default=True, help="Which image of SOURCE."
)
@click.option(
    "--rows", type=click.IntRange(1, 16), default=3, show_default=True, help="Draws of chance, one a row."
)
@click.option("--size", type=click.IntRange(16, 1024), default=112, show_default=True, help="Side, pixels.")
@click.option("-o", "--out", type=PATH, default=Path("strip.png"), show_default=True, help="The picture.")
@DEBUG
def strip(source: str, augmentation: str, over: str, number: int, rows: int, size: int, out: Path) -> None:
    """Draw one image of SOURCE (an image file or a source) over the range of a setting of AUGMENTATION.

    Such as: strip face.png "RandAugment()" --over magnitude=0,5,10,20
    """
    from workbench.data import pipeline  # which loads TensorFlow

    one = parse_part(augmentation, "workbench.augment", "RandAugment(magnitude=5)")
    if not isinstance(one, Augmentation):
        raise DataError(
            f"{augmentation} is not an augmentation", expected='such as "RandAugment(magnitude=5)"'
        )
    name, _, values = over.partition("=")
    chosen = [one.but(**{name: parse_value(value)}) for value in values.split(",") if value]
    if not chosen:
        raise DataError(f"{over!r} has no values", where="--over", expected="such as magnitude=0,5,10,20")
    picture = _one_image(source, number, size)
    pictures = [
        contact_sheet.over_range(picture, number, chosen, pipeline.epoch_seed(0, row))
        for row in range(1, rows + 1)
    ]
    title, heads = f"{one}\nby {name}", ["original", *(value for value in values.split(",") if value)]
    out.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet.sheet(pictures, [f"draw {row}" for row in range(1, rows + 1)], title, heads).save(out)
    click.echo(out)


def _one_image(source: str, number: int, size: int) -> Any:
    """Return an image file, or one image of a source, as uint8 [1, size, size, 3]."""
    path = Path(source)
    if path.suffix.lower() in ENDINGS:
        if not path.is_file():
            raise DataError("is not there", where=path, expected="an image")
        return of_files([path]).pixels(size)
    images = source_of(source).open(places())
    if number >= len(images.labels):
        raise DataError(f"no image {number}", where=source, expected=f"0 to {len(images.labels) - 1}")
    return decode.records(images, np.array([number]), size)


def _sheet(plan: Plan, size: int, seed: int, title: str, count: int, rows: int) -> Any:
    from workbench.data import pipeline  # which loads TensorFlow

    images, train, _ = pipeline.open_split(plan.data, places(), seed)
    numbers = train[example_images.evenly(len(train), count)]
    originals = decode.records(images, numbers, size)
    pictures, captions = [originals], ["original"]
    epochs = range(plan.first_epoch, plan.first_epoch + min(rows, plan.epochs)) if plan.augment else ()
    for epoch in epochs:
        word = pipeline.epoch_seed(seed, epoch)
        pictures.append(contact_sheet.changed(originals, numbers, plan.augment, word))
        captions.append(f"epoch {epoch}")
    used = ", ".join(str(one) for one in plan.augment) or "none"
    lines = (
        title,
        f"data: {plan.data}, {size} x {size}, {len(train)} images",
        f"augment: {used}; seed {seed}",
    )
    return contact_sheet.sheet(pictures, captions, "\n".join(lines))


def _convert(source: str, target: Path, size: int | None, write: Callable[[Any, Path], int]) -> None:
    images = convert.stored(source_of(source), places(), size)
    count = write(images, target)
    click.echo(f"{count} images of {len(images.identities)} identities in {target}")


@data.command()
@SOURCE
@TARGET
@ARRAY_SIZE
@DEBUG
@orderly_end()
def extract(source: str, target: Path, size: int | None) -> None:
    """Write the images of SOURCE (.rec, .tfrecord, .npz, or a part) to the folder TARGET.

    One sub-folder an identity; encoded images keep their bytes.
    """
    _convert(source, target, size, convert.to_folder)


@data.command()
@SOURCE
@TARGET
@ARRAY_SIZE
@DEBUG
@orderly_end()
def pack(source: str, target: Path, size: int | None) -> None:
    """Write the images of SOURCE into one file: TARGET.rec (with .idx and .lst) or TARGET.tfrecord."""
    writers = {".rec": convert.to_recordio, ".tfrecord": convert.to_tfrecords}
    if target.suffix not in writers:
        raise DataError(f"{target} has no ending that says its form", expected=" or ".join(writers))
    _convert(source, target, size, writers[target.suffix])


@data.command()
@SOURCE
@TARGET
@click.option(
    "--pairs", type=click.IntRange(2), help="How many, half of them genuine; default: every genuine one."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the drawing.")
@click.option(
    "--list", "listed", type=PATH, help="A list of pairs (as of LFW, or `a.jpg b.jpg 1`) instead of drawing."
)
@ARRAY_SIZE
@DEBUG
@orderly_end()
def pairs(
    source: str, target: Path, pairs: int | None, seed: int, listed: Path | None, size: int | None
) -> None:
    """Write the evaluation set TARGET.bin: pairs of the images of SOURCE."""
    if target.suffix != ".bin":
        raise DataError(f"{target} is not a name of a set", expected="a name that ends in .bin")
    if listed is not None:
        folder = paths.locate(source, places(), "data pairs")
        found = pair_formats.read(listed, folder)
        count = convert.to_bin(*convert.in_pairs(found.encoded, found), target)
    else:
        images = convert.stored(source_of(source), places(), size)
        count = convert.to_bin(*convert.drawn_pairs(images, pairs, seed), target)
    click.echo(f"{count} pairs in {target}; use them as Pairs({str(target)!r})")


@data.command()
@click.argument("folder", type=PATH)
@click.argument("landmarks", type=PATH)
@click.argument("target", type=PATH)
@click.option("--size", type=click.IntRange(16, 1024), default=112, show_default=True, help="Side, pixels.")
@click.option(
    "--sheet", "sheet_path", type=PATH, help="Contact sheet; default: TARGET.png beside the folder."
)
@click.option("--force", is_flag=True, help="Replace the sheet if it is there.")
@DEBUG
@orderly_end()
def align(
    folder: Path, landmarks: Path, target: Path, size: int, sheet_path: Path | None, force: bool
) -> None:
    """Move the faces of FOLDER to the field's template by the five points in LANDMARKS, into TARGET."""
    points = face_alignment.read_landmarks(landmarks)
    path = sheet_path or target.with_name(target.name + ".png")
    originals = tuple(folder / name for name in points)
    if resolved(path).is_relative_to(resolved(target)):
        raise DataError("lies in the folder of the faces", where=path, expected="a sheet beside it")
    new_file(path, (landmarks, *originals), force=force)
    with convert.aside(target) as aside:
        names = face_alignment.align_folder(folder, points, aside, size)
    _aligned_sheet(folder, points, target, names, size).save(path)
    click.echo(f"{len(names)} images in {target}; look at {path}")


def _aligned_sheet(folder: Path, points: dict[str, Any], target: Path, names: list[str], size: int) -> Any:
    """Return a sheet: photographs with their points above, the aligned faces below."""
    from PIL import Image

    chosen = example_images.evenly(len(names), 10)
    originals = list(points)
    above = [contact_sheet.marked(folder / originals[k], points[originals[k]], size) for k in chosen]
    scaled = face_alignment.TEMPLATE * size / 112
    below = [np.asarray(Image.open(target / names[k])) for k in chosen]
    middle = [contact_sheet.dotted(Image.open(target / names[k]), scaled) for k in chosen]
    rows = [np.stack(above), np.stack(below), np.stack(middle)]
    return contact_sheet.sheet(
        rows, ["photograph", "aligned", "template"], f"{len(names)} images of {folder} aligned"
    )


@data.command()
@click.argument("model", shell_complete=completers.models)
@SOURCE
@TARGET
@click.option("--float32", "exact", is_flag=True, help="Keep the embeddings in full, not in half precision.")
@click.option(
    "--logits", is_flag=True, help="Write the logits of a run's last checkpoint, for DistillLogits."
)
@WHICH
@click.option("--input-size", type=int, help="Input side in pixels, for a model that leaves it open.")
@click.option("--raw", is_flag=True, help="The model takes grey levels 0..255, not (x - 127.5) / 128.")
@click.option("--size", type=SIDE, help="Side of images that are arrays, pixels; their own by default.")
@trust_option("Open a model, or a run of another store, though it holds code.")
@DEBUG
@orderly_end()
def distill(
    model: str,
    source: str,
    target: Path,
    exact: bool,
    logits: bool,
    which: str,
    input_size: int | None,
    raw: bool,
    size: int | None,
    trust_code: bool,
) -> None:
    """Write TARGET.tfrecord: the images of SOURCE with the embeddings of MODEL (a run or a model file)."""
    from workbench.commands.model_option import ModelOptions, logits_of
    from workbench.verification import teacher

    if target.suffix != ".tfrecord":
        raise DataError(
            f"{target} is not a name of a TFRecord file", expected="a name that ends in .tfrecord"
        )
    images = convert.stored(source_of(source), places(), size, own_size=True)
    opened = ModelOptions(which, input_size, raw, trust_code)
    embedder = logits_of(model, trust_code) if logits else opened.embedder(model)
    vectors = teacher.teacher(embedder, images, exact)
    convert.to_tfrecords(images, target, vectors)
    click.echo(f"{len(vectors)} images with {vectors.shape[1]} numbers of {embedder.label} in {target}")
