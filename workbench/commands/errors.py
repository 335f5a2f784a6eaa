"""`workbench errors`: the pairs or images that a run classified wrongly, or nearly so, with their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench.commands import class_errors, completers
from workbench.commands.class_errors import SHOWN_SIZE, shortened
from workbench.commands.common_options import DEBUG, STORE
from workbench.errors import RecordError, suggestion
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import PairImages
from workbench.spec.watchers import Evaluation
from workbench.tracking.pair_scores import read_pair_scores
from workbench.tracking.runs import find_run, read_state
from workbench.tracking.store import Store, find_store
from workbench.train.from_record import no_spec, recorded_experiment
from workbench.verification.measures import best_accuracy, one_class
from workbench.verification.sorted_scores import SortedScores
from workbench.verification.top_errors import Worst, worst


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.option(
    "--set",
    "name",
    metavar="NAME",
    help="Evaluation set; by default the one that chose the best epoch. `classes`: the classifier's errors.",
)
@click.option(
    "--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Scores kept."
)
@click.option(
    "--count", type=click.IntRange(1, 100), default=12, show_default=True, help="Pairs of either kind."
)
@click.option("--out", type=click.Path(path_type=Path), help="The PNG to write; by default errors_SET.png.")
@click.option("--json", "as_json", is_flag=True, help="Print the pairs as one JSON line.")
@STORE
@click.option("--trust-code", is_flag=True, help="Run the code of a record that another store made.")
@DEBUG
def errors(
    run: str,
    name: str | None,
    which: str,
    count: int,
    out: Path | None,
    as_json: bool,
    store: str | None,
    trust_code: bool,
) -> None:
    """Show the worst errors of RUN on an evaluation set as a contact sheet.

    A run without pairs is a classifier: of the images that it held out, those predicted wrongly with most confidence.
    """
    place = find_store(store)
    run = find_run(place, run)
    start = _start(place, run)
    experiment = recorded_experiment(start, store=place, trust_code=trust_code)
    if name == class_errors.LABEL or (name is None and not pair_sets_of(experiment)):
        class_errors.show(place, run, experiment, which, count, out, as_json)
        return
    label = chosen_set(experiment, name, run)
    pairs, scores, found, facts = found_errors(place, run, experiment, label, which, count)
    path = out or Path(f"errors_{label}.png")
    draw(path, pairs, scores, found, facts)
    if as_json:
        listed = {kind: rows(pairs, scores, getattr(found, kind)) for kind in ("impostors", "genuine")}
        click.echo(json.dumps({**facts, "sheet": str(path), **listed}))
        return
    click.echo(
        f"{label}, epoch {facts['epoch']} of {run}: accuracy {facts['accuracy']:.4f} at "
        f"{facts['threshold']:.4f}, {found.false_accepts} false accepts, {found.false_rejects} false rejects; sheet: {path}"
    )


def found_errors(
    store: Store, run: str, experiment: Experiment, label: str, which: str, count: int
) -> tuple[PairImages, np.ndarray, Worst, dict[str, Any]]:
    """Return the pairs of an evaluation set, their scores, the worst errors among them and what they come to."""
    part = next(part for part in experiment.sets if part.label() == label)
    scores, epoch = kept_scores(store, run, label, which)
    pairs = part.open(default_places(store.root.parent), experiment.data)
    if len(scores) != len(pairs.same):
        raise RecordError(
            f"{len(scores)} scores kept for {len(pairs.same)} pairs of {label}",
            where=run,
            expected="the same data",
        )
    known = np.isfinite(scores)
    ordered = SortedScores(scores[known], pairs.same[known])
    reason = one_class(ordered)
    if reason:
        raise RecordError(reason, where=f"{run}: {label}")
    accuracy, threshold = best_accuracy(ordered)
    found = worst(scores, pairs.same, threshold, count)
    facts = {
        "run": run,
        "set": label,
        "epoch": epoch,
        "accuracy": accuracy,
        "threshold": threshold,
        "false_accepts": found.false_accepts,
        "false_rejects": found.false_rejects,
    }
    return pairs, scores, found, facts


def _start(store: Store, run: str) -> Any:
    journal = read_state(store, run).journal
    if journal.start is None:
        raise no_spec(run)
    return journal.start


def pair_sets_of(experiment: Experiment) -> list[str]:
    """Return the labels of an experiment's sets of pairs."""
    return [part.label() for part in experiment.sets if not isinstance(part, Evaluation)]


def chosen_set(experiment: Experiment, name: str | None, run: str) -> str:
    """Return the label of the asked set, or of the selecting one, or of the last."""
    labels = pair_sets_of(experiment)
    if not labels:
        raise RecordError(
            "has no evaluation set", where=run, do="use `workbench verify` with pairs of your own"
        )
    if name is None:
        return experiment.selector() if experiment.selector() in labels else labels[-1]
    if name not in labels:
        raise RecordError(f"no evaluation set {name!r}", where=run, do=suggestion(name, labels))
    return name


def kept_scores(store: Store, run: str, label: str, which: str = "best") -> tuple[np.ndarray, int]:
    """Return the per-pair scores that a run kept, float32 [P], and their epoch; raises `RecordError`."""
    kept = read_pair_scores(store, run, label, which)
    if kept is None:
        raise RecordError(
            f"keeps no {which} scores of {label}",
            where=run,
            do="train at least one epoch with that evaluation set",
        )
    return kept.scores, kept.epoch


def _caption(pairs: PairImages, scores: np.ndarray, number: int) -> str:
    """Return the score and the names of both images, a line each: long names side by side lie across each other."""
    places = (pairs.first[number], pairs.second[number])
    return "\n".join([f"{scores[number]:.3f}", *(shortened(_name(pairs, place)) for place in places)])


def draw(path: Path, pairs: PairImages, scores: np.ndarray, found: Worst, facts: dict[str, Any]) -> None:
    """Write the contact sheet."""
    from workbench.verification import pair_sets, plots

    pixels = pair_sets.image_set(pairs).pixels(SHOWN_SIZE)

    def section(numbers: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, str]]:
        return [
            (pixels[pairs.first[n]], pixels[pairs.second[n]], _caption(pairs, scores, n)) for n in numbers
        ]

    threshold, images = facts["threshold"], len(found.impostors)
    heading = (
        f"{facts['set']}, epoch {facts['epoch']}: impostors scored highest "
        f"({facts['false_accepts']} at or above {threshold:.3f})"
    )
    other = f"genuine pairs scored lowest ({facts['false_rejects']} below {threshold:.3f})"
    sheet = plots.contact_sheet(
        [(heading, section(found.impostors)), (other, section(found.genuine))], columns=min(4, max(images, 2))
    )
    plots.save(sheet, path)


def rows(pairs: PairImages, scores: np.ndarray, numbers: np.ndarray) -> list[dict[str, Any]]:
    """Return pairs as plain JSON values."""
    return [
        {
            "pair": int(n),
            "score": float(scores[n]),
            "images": [_name(pairs, pairs.first[n]), _name(pairs, pairs.second[n])],
        }
        for n in numbers
    ]


def _name(pairs: PairImages, image: int) -> str:
    return str(pairs.names[image]) if len(pairs.names) else f"image {image}"
