"""`workbench folds`: experiments on the sets of an evaluation list, fold by fold and as one result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import workbench.commands.completers as completers
from analysis.commands.record_options import say_notes
from workbench.commands.common_options import DEBUG, PATH, STORE, json_option
from workbench.errors import InputError, RecordError, suggestion
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    from analysis.frames import Records
    from analysis.tables.folded import Folded

TOGETHER = "together"


@click.command()
@click.argument("study", metavar="STUDY", shell_complete=completers.studies)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--set", "metric", metavar="NAME", help="Evaluation set, where there are several.")
@click.option(
    "--together", is_flag=True, help="Also the mean of the cosines of all, as one network would give."
)
@click.option(
    "--published",
    type=PATH,
    metavar="FILE",
    help="Published results to stand among: category, method, mean_accuracy, standard_error.",
)
@click.option("--category", "categories", multiple=True, metavar="TEXT", help="Categories of them to show.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Draw ROC curves here.")
@STORE
@json_option("one JSON line a result")
@DEBUG
def folds(
    study: str,
    names: tuple[str, ...],
    metric: str | None,
    together: bool,
    published: Path | None,
    categories: tuple[str, ...],
    output: Path | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Show the folds of the experiments of a STUDY (of some NAMEs): accuracies, mean, standard error, ROC curve.

    The threshold of a fold is the best one on the pairs of all other folds.
    """
    results = gathered(study, names, metric, store)
    if together:
        results[TOGETHER] = _together(results)
    for name, folded in results.items():
        click.echo(json.dumps(as_values(name, folded)) if as_json else "\n".join(words(name, folded)))
    if published is not None and not as_json:
        click.echo("\n" + standing(study, results, published, categories))
    if output is not None:
        from analysis.figures.draw import save
        from analysis.figures.roc import roc

        click.echo(f"{save(roc(results, study), output)}", err=as_json)


def gathered(study: str, names: tuple[str, ...], metric: str | None, store: str | None) -> dict[str, Folded]:
    """Return the results of a study's experiments by name; raises `RecordError` where there are none."""
    from analysis.sources import load
    from analysis.tables import folded

    place = find_store(store)
    records = folded.collapsed(load([study], store, journals=True).by_start(), place)
    say_notes(records)
    found = _by_name(records, metric)
    if not found:
        raise RecordError(
            f"study {study!r} has no folds with scores", do="make them with Experiment.folds() and run them"
        )
    for name in names:
        if name not in found:
            raise RecordError(f"no folds of {name!r}", do=suggestion(name, found))
    return {name: found[name] for name in names or found}


def _by_name(records: Records, metric: str | None) -> dict[str, Folded]:
    """Return the evaluation of each experiment, with its seed in the name where a name has several."""
    found: dict[str, Folded] = {}
    rows = records.runs[["run", "name", "seed"]].itertuples(index=False, name=None)
    known = [
        (str(name), seed, records.folded[str(run)]) for run, name, seed in rows if str(run) in records.folded
    ]
    for name, seed, sets in known:
        if metric is not None and sets and metric not in sets:
            raise InputError(f"no set {metric!r}", where="--set", do=suggestion(metric, sets))
        if sets:
            several = [other for other, _, _ in known].count(name) > 1
            found[f"{name}:{seed}" if several else name] = sets[metric or list(sets)[-1]]
    return found


def _together(results: dict[str, Folded]) -> Folded:
    """Return the result of all networks as one: the cosine of their unit embeddings side by side is the mean."""
    from analysis.tables import folded

    first = next(iter(results.values()))
    for name, other in results.items():
        if other.pairs != first.pairs:
            raise RecordError(f"{name!r} was measured on other pairs", where="--together")
    scores = sum(one.scores.astype("float64") for one in results.values()) / len(results)
    return folded.of_scores(scores, first.same, first.fold_of, first.numbers, first.pairs)


def words(name: str, folded: Folded) -> list[str]:
    """Return the lines of one result."""
    from analysis.tables.folded import mean_area

    lines = [f"{name}: {len(folded.numbers)} folds, {len(folded.scores):,} pairs, after the last epoch"]
    for position, number in enumerate(folded.numbers):
        count = int((folded.fold_of == position).sum())
        lines.append(
            f"  set {number:>2}  {folded.accuracies[position]:.4f} of {count} pairs at {folded.thresholds[position]:.4f}"
        )
    area, spread = mean_area(folded)
    lines.append(
        f"  mean {folded.mean:.4f} ± {folded.standard_error:.4f} (standard error)  AUC {area:.4f} ± {spread:.4f}"
    )
    return lines


def as_values(name: str, folded: Folded) -> dict[str, Any]:
    """Return one result as plain JSON values."""
    return {
        "name": name,
        "folds": list(folded.numbers),
        "pairs": len(folded.scores),
        "mean": folded.mean,
        "standard_error": folded.standard_error,
        "accuracies": folded.accuracies.tolist(),
        "thresholds": folded.thresholds.tolist(),
    }


def standing(study: str, results: dict[str, Folded], path: Path, categories: tuple[str, ...]) -> str:
    """Return the table of published results with ours among them, in bold."""
    from analysis.tables import benchmark
    from analysis.tables.render import render

    ours = [
        benchmark.Result(benchmark.OURS, f"{study}/{name}", one.mean, one.standard_error)
        for name, one in results.items()
    ]
    frame = benchmark.among(benchmark.read(path), ours, categories)
    bold = {
        "method": [place for place, category in enumerate(frame["category"]) if category == benchmark.OURS]
    }
    return str(render(frame, "markdown", bold, {"accuracy": 4, "standard error": 4}))
