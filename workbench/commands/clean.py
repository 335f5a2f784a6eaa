"""`workbench clean`: from a run with sub-centers to the list of images worth training on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, PATH, STORE, TRUST_CODE
from workbench.errors import DataError, RecordError, few

if TYPE_CHECKING:
    from workbench.spec.experiment import Experiment
    from workbench.spec.interfaces import Images
    from workbench.spec.plan import Plan
    from workbench.train.checkpoint import State


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.option("-o", "--output", type=PATH, required=True, metavar="LIST", help="File to write.")
@click.option(
    "--angle",
    type=click.FloatRange(0, 180, min_open=True),
    default=75.0,
    show_default=True,
    help="Images farther than this from their identity's main center are dropped, degrees.",
)
@TRUST_CODE
@STORE
@DEBUG
def clean(run: str, output: Path, angle: float, trust_code: bool, store: str | None) -> None:
    """Write the images of RUN's data that lie near their identity's dominant sub-center.

    LIST names one image a line, for `ImageFolder(..., include="LIST")`; beside it LIST.npz holds the
    dominant centers, for `FromRun(..., centers="LIST.npz")`.
    """
    from workbench.models.heads.subcenter_cleanup import clean as cleaned

    experiment, state = _recorded(run, store, trust_code)
    plan, centers = _centers(experiment, state, run)
    images, records = _images(experiment, plan)
    if len(centers) != len(images.identities):
        raise DataError(
            f"the data has {len(images.identities)} identities, the run {len(centers)}",
            do="use the data that the run was trained on",
        )
    found = cleaned(_embeddings(experiment, state, images, records), images.labels[records], centers, angle)
    names = [str(images.names[number]) for number in records[found.kept]]
    _write(output, names, found.centers, images.identities)
    _say(found, images, records, angle, output)


def _recorded(run: str, store: str | None, trust_code: bool) -> tuple[Experiment, State]:
    """Return the experiment and the last checkpoint of a run (the only one that holds its head)."""
    from workbench.train import checkpoint_file
    from workbench.train.from_record import open_run

    found = open_run(run, store, trust_code=trust_code)
    state = checkpoint_file.newest(found.checkpoints)
    if state is None:
        raise RecordError("has no checkpoint", where=found.run, do="choose a run that has one")
    return found.experiment, state


def _centers(experiment: Experiment, state: State, run: str) -> tuple[Plan, Any]:
    """Return the stage that the checkpoint stands in and its sub-centers [C, k, d]."""
    from workbench.models.heads.full import SubCenter

    plan = experiment.plans()[int(state.facts["stage"]) - 1]
    head = plan.loss.classifier()
    if not isinstance(head, SubCenter):
        raise RecordError(
            f"stage {plan.number} ({plan.name}) has no sub-centers",
            where=run,
            expected="a last stage with a loss such as ArcFace(head=SubCenter(centers=3))",
        )
    rows = state.arrays["head/00000"]
    return plan, rows.reshape(-1, head.centers, rows.shape[1])


def _images(experiment: Experiment, plan: Plan) -> tuple[Images, np.ndarray]:
    """Return the data of a stage and its records without the identities of evaluation sets."""
    from workbench.commands.data import places
    from workbench.train.run_data import RunData

    images = RunData(experiment, places()).splits[plan.data].images
    return images, np.flatnonzero(images.labels >= 0)


def _embeddings(experiment: Experiment, state: State, images: Images, records: np.ndarray) -> np.ndarray:
    """Return the embeddings [n, d] of some records by the checkpoint's network."""
    from workbench.data import pipeline
    from workbench.train.from_record import network_of

    return pipeline.embeddings(network_of(experiment, state), images, records, experiment.backbone.image_size)


def _write(path: Path, names: list[str], centers: np.ndarray, identities: tuple[str, ...]) -> None:
    if not names:
        raise DataError("no image is left", where=path, do="choose a larger --angle")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    with open(f"{path}.npz", "wb") as file:
        np.savez(file, centers=centers.astype(np.float32), identities=np.array(identities, dtype=np.str_))


def _say(found: Any, images: Images, records: np.ndarray, angle: float, output: Path) -> None:
    labels = images.labels[records]
    left = np.bincount(labels[found.kept], minlength=len(images.identities))
    lost = [images.identities[number] for number in np.flatnonzero(left == 0)]
    click.echo(
        f"{int(found.kept.sum())} of {len(labels)} images lie within {angle:g} degrees of their center"
        f" (median {np.median(found.angles):.1f}, largest {found.angles.max():.1f})"
    )
    worst = np.argsort(found.angles)[::-1][:3]
    far = [f"{images.names[records[number]]} ({found.angles[number]:.1f})" for number in worst]
    click.echo(f"farthest: {', '.join(far)}")
    if lost:
        click.echo(f"identities without an image left: {few(lost)}")
    if images.mislabelled is not None:
        click.echo(found_again(records[~found.kept], images.mislabelled))
    click.echo(f"train on with include={str(output)!r}; main centers are in {output}.npz")


def found_again(dropped: np.ndarray, wrong: np.ndarray) -> str:
    """Say how many of the labels that are `wrong` on purpose are among the `dropped` records."""
    hits = len(np.intersect1d(dropped, wrong))
    precision = f"{hits / len(dropped):.3f}" if len(dropped) else "none dropped"
    return (
        f"of {len(wrong)} images mislabelled on purpose {hits} are dropped: recall {hits / max(1, len(wrong)):.3f};"
        f" precision {precision} of {len(dropped)} dropped"
    )
