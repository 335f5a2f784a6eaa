"""`workbench import`: old histories and logs into the store, as finished runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from analysis.commands.plot import MEANINGS
from analysis.commands.record_options import EPOCHS_FROM, STAGES, ZEROS_ARE_GAPS, say_notes, say_unknown
from workbench.commands.common_options import DEBUG, STORE, json_option
from workbench.commands.direction_options import direction_options
from workbench.errors import InputError
from workbench.security.foreign_names import LONGEST_LABEL, label
from workbench.tracking.runs import read_state
from workbench.tracking.store import find_store


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@STAGES
@click.option("--names", metavar="A,B,C", help="The names of the stages.")
@click.option(
    "--name", "run_names", multiple=True, help="The name of the next run, in order; else the file's."
)
@click.option(
    "--as-one-run", is_flag=True, help="Join all launches and files, each a stage unless --stages is given."
)
@click.option(
    "--first-epoch",
    type=click.IntRange(1),
    default=1,
    help="The first epoch of a run that goes on from another.",
)
@click.option("--parent", metavar="RUN", help="The run that these go on from.")
@click.option(
    "--loss",
    type=click.Choice([*MEANINGS, *MEANINGS.values()]),
    help="Whether the loss includes the regulariser.",
)
@ZEROS_ARE_GAPS
@EPOCHS_FROM
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the runs, such as weight_decay=5e-4.",
)
@click.option(
    "--settings",
    "table",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.csv",
    help="Settings of many runs: a column with the names of files or runs, then one a setting.",
)
@click.option("--study", default="imported", show_default=True, help="The study that the runs belong to.")
@STORE
@direction_options
@json_option("one JSON line a run")
@DEBUG
def import_records(
    paths: tuple[str, ...],
    names: str | None,
    run_names: tuple[str, ...],
    parent: str | None,
    loss: str | None,
    sets: tuple[str, ...],
    table: str | None,
    study: str,
    store: str | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Write old histories and logs into the store as finished runs; importing twice changes nothing."""
    from analysis.import_runs import import_files
    from analysis.sources import Options
    from analysis.sources.resolve import resolve
    from analysis.tables.summary import best_lines

    _refuse_no_names({"--study": (study,), "--name": run_names})
    place = find_store(store)
    options = Options(
        stage_names=stage_names(names, reading["stages"]),
        names=run_names,
        parent=resolve(place, [parent])[0] if parent else None,
        loss=MEANINGS.get(loss or "", loss),
        **reading,
    )
    done, records = import_files(paths, place, options, study, settings_of_runs(sets, table))
    say_notes(records)
    say_unknown(records)
    if as_json:
        for imported, line in zip(done, best_lines(records), strict=True):
            status = read_state(place, imported.run).status
            click.echo(json.dumps(line | {"run": imported.run, "study": study, "status": status}))
        return
    for imported in done:
        known = "" if imported.new else "  (there already, nothing changed)"
        click.echo(f"{imported.run}  {imported.name}{known}")


def _refuse_no_names(given: Mapping[str, Sequence[str]]) -> None:
    for option, names in given.items():
        for name in names:
            if not label(name):
                shown = f"{name[:40]}..." if len(name) > 40 else name
                expected = f"one to {LONGEST_LABEL} letters"
                raise InputError(f"{shown!r} is not a name", where=option, expected=expected)


def settings_of_runs(sets: Sequence[str], table: str | None) -> dict[str, dict[str, Any]]:
    """Return settings by the name of a file or run, those of `--set` for all under "".

    Raises `InputError` for what is not a NAME=VALUE and for a table without names or settings.
    """
    found: dict[str, dict[str, Any]] = _table_of(Path(table)) if table else {}
    for text in sets:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise InputError(
                f"{text!r} sets nothing", where="--set", expected="NAME=VALUE, such as weight_decay=5e-4"
            )
        found.setdefault("", {})[name.strip()] = _value(value.strip())
    return found


def _table_of(path: Path) -> dict[str, dict[str, Any]]:
    from analysis.sources.csv_log import delimiter_of, split
    from analysis.sources.lines import decoded

    lines = [line for line in decoded(path).split("\n") if line.strip()]
    delimiter = delimiter_of(lines[0]) if lines else ","
    rows = [split(line, delimiter) for line in lines]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise InputError(
            "holds no settings",
            where=path,
            expected="a first line such as 'file,weight_decay', a row a file below it",
        )
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{len(row)} of {len(rows[0])} cells", where=f"{path}:{number}", expected="a cell a column"
            )
    return {
        row[0]: {name: _value(cell) for name, cell in zip(rows[0][1:], row[1:]) if cell != ""}
        for row in rows[1:]
    }


def _value(text: str) -> Any:
    from analysis.sources.mlflow_common import parse_parameter

    value = parse_parameter(text)
    return text if value is None else value


def stage_names(text: str | None, stages: tuple[int, ...]) -> tuple[str, ...]:
    """Return "a,b,c" as names, one a stage; raises `InputError` when their number does not fit."""
    names = tuple(text.split(",")) if text else ()
    if len(names) > len(stages):
        raise InputError(
            f"{len(names)} names for {len(stages)} stages", where="--names", do="give --stages as well"
        )
    return names
