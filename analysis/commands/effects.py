"""`workbench effects`: what the settings of a sweep do, in words and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import workbench.commands.completers as completers
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError, RecordError, suggestion
from workbench.tracking import sweeps
from workbench.tracking.store import find_store

if TYPE_CHECKING:
    import pandas as pd

    from analysis.effects import Trials
    from analysis.frames import Records
    from workbench.tracking.sweeps import SweepRecord

PLOTS = ("slices", "parallel", "heat")


@click.command()
@click.argument(
    "items", nargs=-1, required=True, metavar="SWEEP_OR_RUNS...", shell_complete=completers.runs_or_studies
)
@click.option("--metric", metavar="METRIC", help="What is compared; else the sweep's objective.")
@click.option(
    "--epoch", type=click.IntRange(1), help="Compare at this epoch; else at the last that all reached."
)
@click.option("--plot", metavar="KIND", help="Draw slices, parallel or heat.  [default with -o: slices]")
@click.option("--settings", metavar="A,B", help="The two settings of a heat map.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The figure: SVG, PNG or PDF.")
@STORE
@direction_options
@json_option("one JSON line an effect")
@DEBUG
def effects(
    items: tuple[str, ...],
    metric: str | None,
    epoch: int | None,
    plot: str | None,
    settings: str | None,
    output: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Estimate the effect of each setting of a SWEEP (its name or run), or of any runs that differ in settings.

    With intervals, and what cannot be judged. Runs are named one by one, by their study or as files.
    """
    from analysis import effects as estimates

    kind = _kind(plot, settings, output)
    record, records = compared(items, store)
    data = estimates.trials(record, records, metric, epoch)
    if kind:
        draw(data, kind, settings, Path(output or f"{record.name}-{kind}.svg"))
        return
    found = estimates.effects(data)
    if as_json:
        click.echo(found.to_json(orient="records", lines=True).strip())
        return
    for line in words(data, found, estimates.bests(record, records)):
        click.echo(line)


def compared(items: Sequence[str], store: str | None) -> tuple[SweepRecord, Records]:
    """Return the trials that items mean, a sweep's or any runs as such, and their records."""
    from analysis.runs_as_trials import as_sweep
    from analysis.sources import load

    place = find_store(store)
    if len(items) == 1:
        found = sweeps.find(place, items[0])
        if found is not None:
            return found, load([found.run], store)
        try:
            records = load(items, store)
        except RecordError:
            sweeps.require(place, items[0])  # says which sweeps there are
            raise
    else:
        records = load(items, store)
    return as_sweep(items[0] if len(items) == 1 else f"{len(records.runs)} runs", records), records


def _kind(plot: str | None, settings: str | None, output: str | None) -> str | None:
    kind = plot or ("heat" if settings else "slices" if output else None)
    if kind is not None and kind not in PLOTS:
        raise InputError(f"no kind of picture {kind!r}", where="--plot", do=suggestion(kind, PLOTS))
    if kind == "heat" and (settings or "").count(",") != 1:
        raise InputError(
            f"{settings or 'nothing'} for the heat map", where="--settings", expected="two settings: A,B"
        )
    return kind


def draw(data: Trials, kind: str, settings: str | None, path: Path) -> None:
    """Draw one picture into a file."""
    from analysis.figures import sweeps as figures
    from analysis.figures.draw import save

    if kind == "heat":
        across, down = (word.strip() for word in str(settings).split(","))
        made = figures.heat(data, across, down)
    else:
        made = figures.parallel(data) if kind == "parallel" else figures.slices(data)
    click.echo(f"{save(made, path)}: {len(data.frame)} trials")


def words(data: Trials, found: pd.DataFrame, bests: list[str]) -> list[str]:
    """Return the answer as lines: what was compared, the bests, the effects, what cannot be judged."""
    from analysis import effects as estimates
    from analysis.figures.sweeps import title

    judged = found[found["effect"].notna()]
    rest = found[found["effect"].isna()]
    said = [title(data), *bests, "", "effects on it, with 95 % intervals:"]
    said += [f"  {line}" for line in estimates.lines(data, judged)] or ["  none"]
    if estimates.beyond_chance_alone(judged):
        said += [
            f"An interval without 0 may be indistinguishable: verdicts allow for {len(judged)} comparisons at once."
        ]
    if len(rest):
        said += ["", "cannot be judged from these trials:"]
        said += [f"  {line.replace(': cannot be judged:', ':')}" for line in estimates.lines(data, rest)]
    return said
