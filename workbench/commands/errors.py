"""`workbench errors`: the pairs or images that a run classified wrongly, or nearly so, with their images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench.commands import class_errors, completers
from workbench.commands.class_errors import SHOWN_SIZE, shortened
from workbench.commands.common_options import DEBUG, PATH, STORE, TRUST_CODE, json_option, which_option
from workbench.errors import RecordError, suggestion
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.interfaces import PairImages
from workbench.spec.watchers import Evaluation
from workbench.tracking.pair_scores import read_pair_scores
from workbench.tracking.store import Store
from workbench.train.from_record import open_run
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
@which_option("Scores kept.")
@click.option(
    "--count", type=click.IntRange(1, 100), default=12, show_default=True, help="Pairs of either kind."
)
@click.option("--out", type=PATH, help="The PNG to write; by default errors_SET.png.")
@json_option("the pairs as one JSON line")
@STORE
@TRUST_CODE
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
    opened = open_run(run, store, trust_code=trust_code)
    place, run, experiment = opened.store, opened.run, opened.experiment
    if name == class_errors.LABEL or (name is None and not pair_sets_of(experiment)):
        class_errors.show(place, run, experiment, which, count, out, as_json)
        return
    label = chosen_set(experiment, name, run)
    found = found_errors(place, run, experiment, label, which, count)
    path, facts = out or Path(f"errors_{label}.png"), found.facts
    draw(path, found)
    if as_json:
        listed = {"impostors": found.rows(found.worst.impostors), "genuine": found.rows(found.worst.genuine)}
        click.echo(json.dumps({**facts, "sheet": str(path), **listed}))
        return
    click.echo(
        f"{label}, epoch {facts['epoch']} of {run}: accuracy {facts['accuracy']:.4f} at "
        f"{facts['threshold']:.4f}, {facts['false_accepts']} false accepts, {facts['false_rejects']} false rejects; "
        f"sheet: {path}"
    )


@dataclass(frozen=True)
class PairErrors:
    """The pairs of an evaluation set with their scores [P], the worst errors among them and what they come to."""

    pairs: PairImages
    scores: np.ndarray
    worst: Worst
    facts: dict[str, Any]

    def name(self, image: int) -> str:
        """Return what an image is called."""
        return str(self.pairs.names[image]) if len(self.pairs.names) else f"image {image}"

    def rows(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """Return pairs as plain JSON values."""
        first, second = self.pairs.first, self.pairs.second
        return [
            {
                "pair": int(n),
                "score": float(self.scores[n]),
                "images": [self.name(first[n]), self.name(second[n])],
            }
            for n in numbers
        ]


def found_errors(
    store: Store, run: str, experiment: Experiment, label: str, which: str, count: int
) -> PairErrors:
    """Return the worst errors of a run on an evaluation set; raises `RecordError` where it kept no scores of it."""
    part = next(part for part in experiment.sets if part.label() == label)
    kept = read_pair_scores(store, run, label, which)
    if kept is None:
        raise RecordError(
            f"keeps no {which} scores of {label}",
            where=run,
            do="train at least one epoch with that evaluation set",
        )
    scores = kept.scores
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
        "epoch": kept.epoch,
        "accuracy": accuracy,
        "threshold": threshold,
        "false_accepts": found.false_accepts,
        "false_rejects": found.false_rejects,
    }
    return PairErrors(pairs, scores, found, facts)


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


def draw(path: Path, errors: PairErrors) -> None:
    """Write the contact sheet."""
    from workbench.verification import pair_sets, plots

    pairs, facts = errors.pairs, errors.facts
    pixels = pair_sets.image_set(pairs).pixels(SHOWN_SIZE)

    def section(numbers: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, str]]:
        found = []
        for n in numbers:
            images = pairs.first[n], pairs.second[n]
            # A line each: long names side by side would lie across each other.
            caption = "\n".join(
                [f"{errors.scores[n]:.3f}", *(shortened(errors.name(image)) for image in images)]
            )
            found.append((pixels[images[0]], pixels[images[1]], caption))
        return found

    threshold, worst = facts["threshold"], errors.worst
    heading = (
        f"{facts['set']}, epoch {facts['epoch']}: impostors scored highest "
        f"({facts['false_accepts']} at or above {threshold:.3f})"
    )
    other = f"genuine pairs scored lowest ({facts['false_rejects']} below {threshold:.3f})"
    sections = [(heading, section(worst.impostors)), (other, section(worst.genuine))]
    plots.save(plots.contact_sheet(sections, columns=min(4, max(len(worst.impostors), 2))), path)
