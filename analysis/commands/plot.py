"""`workbench plot`: curves of runs, histories and logs, from the command line or a figure file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import click

from analysis.commands.record_options import (
    EPOCHS_FROM,
    ITEMS,
    QUICK,
    STAGES,
    ZEROS_ARE_GAPS,
    say_notes,
    without_quick,
)
from workbench.commands.common_options import DEBUG, STORE
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError, suggestion

DEFAULT_FILE = "curves.svg"
LOOK = ("title", "width", "columns", "style", "palette")
KEYS = (
    "metrics",
    "by",
    "from_epoch",
    "loss_max",
    "reference",
    "without_regulariser",
    "smooth",
    "output",
    "run",
    "loss",
    *LOOK,
)
MOST_NAMED = 20  # studies in a question which one is meant
MEANINGS = {"includes-regulariser": "includes", "excludes-regulariser": "excludes"}


@dataclass
class Item:
    """One entry of a figure: what to read, how, and how to call it; `after` names the trunk's entry."""

    item: str
    label: str | None = None
    hidden: bool = False
    stages: tuple[int, ...] = ()
    stage_names: tuple[str, ...] = ()
    first_epoch: int = 1
    after: str | None = None


@dataclass
class FigureFile:
    """A figure file: settings of the figure, and its runs in order."""

    settings: dict[str, Any] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)


@click.command()
@ITEMS
@click.option("-o", "--output", metavar="FILE", help=f"SVG, PNG or PDF.  [default: {DEFAULT_FILE}]")
@click.option(
    "--metric", "metrics", multiple=True, help="A metric to show (again for more); else the usual ones."
)
@click.option("--label", "labels", multiple=True, help="The label of the next run, in order.")
@click.option("--from-epoch", type=int, metavar="N", help="Leave out the epochs before N.")
@click.option("--loss-max", type=float, metavar="X", help="The top of the loss axes.")
@click.option(
    "--reference", multiple=True, metavar="METRIC=X", help="A horizontal line, such as agedb_30=0.8746."
)
@click.option("--without-regulariser", is_flag=True, help="Draw the loss less its regular_loss.")
@click.option(
    "--loss", type=click.Choice(list(MEANINGS)), help="What the loss of files is, where they do not say."
)
@click.option(
    "--smooth", type=int, metavar="N", help="Add a running mean over N epochs on top of the raw line."
)
@click.option(
    "--by", type=click.Choice(["stage", "run"]), help="Show stages, or whole runs.  [default: stage]"
)
@STAGES
@EPOCHS_FROM
@click.option(
    "--trunk", metavar="RUN_OR_FILE", help="What the other runs branch from: they go on from its last epoch."
)
@ZEROS_ARE_GAPS
@click.option("--title", metavar="TEXT", help="A title above all panels.")
@click.option(
    "--width", type=float, metavar="INCHES", help="The width of the figure; 3.4 fits a column of a paper."
)
@click.option("--columns", type=int, metavar="N", help="Panels in a row.")
@click.option("--style", metavar="NAME", help="plain, paper, talk or dark.  [default: plain]")
@click.option(
    "--palette",
    metavar="NAME_OR_COLOURS",
    help="A palette of seaborn or matplotlib, or colours: '#0072B2,red'.  [default: okabe-ito]",
)
@click.option("--spec", type=click.Path(dir_okay=False), help="A figure file (TOML) that keeps all this.")
@QUICK
@STORE
@direction_options
@DEBUG
def plot(items: tuple[str, ...], spec: str | None, store: str | None, **given: Any) -> None:
    """Draw curves of runs, histories and logs; of the store's only study, if nothing is named."""
    from analysis.figures.curves import plot_curves
    from analysis.figures.draw import FORMATS, save

    figure = read_figure_file(Path(spec)) if spec else FigureFile()
    figure.items += [Item(item, stages=given["stages"]) for item in items]
    # Only what was said stands above the file; 0 is something that `--epochs-from` says.
    settings = figure.settings | {
        name: value for name, value in given.items() if value or name == "epochs_from"
    }
    output = Path(settings.get("output") or DEFAULT_FILE)
    if output.suffix.lower() not in FORMATS:
        raise InputError(f"cannot draw {output.name!r}", where="-o", expected=", ".join(FORMATS))
    if settings.get("trunk"):
        figure.items = _branches(figure.items, settings["trunk"])
    records, labels, hidden = collect(figure.items, store, settings)
    say_notes(records)
    shown = [run for run in records.runs["run"] if run not in hidden]
    made = plot_curves(
        records,
        settings.get("metrics") or None,
        settings.get("by") or "stage",
        labels=labels | dict(zip([run for run in shown if run not in labels], given["labels"])),
        hidden=hidden,
        from_epoch=settings.get("from_epoch") or 1,
        loss_max=settings.get("loss_max"),
        reference=references(settings.get("reference")),
        without_regulariser=bool(settings.get("without_regulariser")),
        smooth=settings.get("smooth") or 0,
        **{name: settings[name] for name in LOOK if settings.get(name)},
    )
    click.echo(f"{save(made, output)}: {len(shown)} run{'s' * (len(shown) != 1)}")


def collect(
    items: Sequence[Item], store: str | None, settings: dict[str, Any]
) -> tuple[Any, dict[str, str], list[str]]:
    """Read every entry; return the records, labels by run and the hidden runs.

    Raises `InputError` where one entry has a label but means several runs.
    """
    from analysis.frames import concat
    from analysis.sources import Options, load, trainings

    if not items:
        records = _of_one_study(trainings(store))
        return records if settings.get("quick") else without_quick(records), {}, []
    parts, labels, hidden = [], {}, []
    ends: dict[str, tuple[str, int]] = {}  # entry: its run, its last epoch
    meaning = MEANINGS.get(settings.get("loss") or "", settings.get("loss"))
    for entry in items:
        parent, last = _trunk(entry, ends)
        options = Options(
            stages=entry.stages,
            stage_names=entry.stage_names,
            first_epoch=last + 1 if parent else entry.first_epoch,
            parent=parent,
            loss=meaning,
            zeros_are_gaps=bool(settings.get("zeros_are_gaps")),
            epochs_from=settings.get("epochs_from"),
        )
        records = load([entry.item], store, options)
        runs = records.runs["run"].tolist()
        if entry.label and len(runs) > 1:
            raise InputError(f"one label for {len(runs)} runs", where=entry.item, do="name them one by one")
        labels |= {run: entry.label for run in runs if entry.label}
        hidden += runs if entry.hidden else []
        if len(records.epochs):
            for name in (entry.item, entry.label or entry.item):
                ends[name] = (runs[0], int(records.epochs["epoch"].max()))
        parts.append(records)
    return concat(parts), labels, hidden


def _of_one_study(records: Any) -> Any:
    """Return the records of a whole store; raises `InputError` where they are of several studies."""
    studies = sorted({str(study) for study in records.runs["study"].dropna() if str(study)})
    if len(studies) > 1:
        shown = ", ".join(studies[:MOST_NAMED]) + (", ..." if len(studies) > MOST_NAMED else "")
        raise InputError(
            f"the store holds {len(studies)} studies: {shown}", do=f"name one: `workbench plot {studies[0]}`"
        )
    return records


def _trunk(entry: Item, ends: dict[str, tuple[str, int]]) -> tuple[str | None, int]:
    if entry.after is None:
        return None, 0
    if entry.after not in ends:
        raise InputError(
            f"no entry {entry.after!r} before it", where=entry.item, do=suggestion(entry.after, ends)
        )
    return ends[entry.after]


def _branches(items: list[Item], trunk: str) -> list[Item]:
    """Put the trunk first and let all other entries go on from it; stages that are given are the branches'."""
    from analysis.sources import expand

    first = next((entry for entry in items if entry.item == trunk), Item(trunk))
    first = replace(first, stages=(), stage_names=())
    branches = []
    for entry in items:
        for path in expand(entry.item) or [entry.item]:
            if str(path) not in (trunk, str(Path(trunk))):
                branches.append(Item(str(path), stages=entry.stages, label=entry.label, after=trunk))
    return [first, *branches]


def references(given: Any) -> dict[str, float]:
    """Return reference lines by metric, out of `METRIC=X` texts or a table of a figure file."""
    if not given:
        return {}
    pairs = given.items() if isinstance(given, dict) else [text.partition("=")[::2] for text in given]
    try:
        return {str(name): float(value) for name, value in pairs}
    except ValueError as error:
        raise InputError(f"no number: {error}", where="--reference", expected="METRIC=NUMBER") from error


def read_figure_file(path: Path) -> FigureFile:
    """Read a figure file; raises `InputError` in one line for a missing file, a typo or a wrong value."""
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=path) from error
    _known(content, KEYS, path)
    items = []
    for entry in content.pop("run", []):
        _known(entry, [field.name for field in fields(Item)], path)
        if "item" not in entry:
            raise InputError("a [[run]] without an item", where=path, do='give it item = "RUN_OR_FILE"')
        lists = {name: tuple(entry[name]) for name in ("stages", "stage_names") if name in entry}
        items.append(Item(**{**entry, **lists, "item": _beside(entry["item"], path)}))
    for item in items:
        item.after = (
            _beside(item.after, path)
            if item.after and item.after not in [i.label for i in items]
            else item.after
        )
    if content.get("output"):
        content["output"] = str(path.parent / content["output"])
    return FigureFile(content, items)


def _known(content: dict[str, Any], keys: Sequence[str], path: Path) -> None:
    for name in content:
        if name not in keys:
            raise InputError(f"no setting {name!r}", where=path, do=suggestion(name, keys))


def _beside(item: str, path: Path) -> str:
    """Return a path of a figure file as seen from here; it is written relative to the figure file."""
    near = path.parent / item
    return str(near) if near.exists() or any(sign in item for sign in "*?[") else item
