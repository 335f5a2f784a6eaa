"""`workbench rerun`: make a run again from its record, say what differs, and whether the curve matches."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from workbench.commands import completers
from workbench.commands.common_options import DEBUG, STORE, TRUST_CODE, json_option
from workbench.errors import InputError, RecordError, RunStopped
from workbench.jobs.task import program
from workbench.names import FINISHED, TAG_RERUN
from workbench.reproduce import curve_match, ingredients
from workbench.reproduce.checkout import checkout, spec_within
from workbench.security.visible_text import surviving_lost_streams
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import new_run_name
from workbench.train.from_record import RecordedRun, open_run, variant_of
from workbench.train.request import PAUSED, RunRequest


@click.command()
@click.argument("run", shell_complete=completers.runs)
@click.option("--check", "check_only", is_flag=True, help="Only say which ingredient differs; train nothing.")
@click.option("--here", is_flag=True, help="Train with the code that is here, whatever the record says.")
@TRUST_CODE
@STORE
@json_option("one JSON line on standard output")
@DEBUG
@click.option("--run-name", hidden=True, help="Train only, as a run of this name (in a copy of the code).")
@surviving_lost_streams()
def rerun(
    run: str,
    check_only: bool,
    here: bool,
    trust_code: bool,
    store: str | None,
    as_json: bool,
    run_name: str | None,
) -> int:
    """Run RUN again: its spec from the record, its code, packages and data compared, its curve verified.

    It is a new run with a tag that names RUN. Exit status: 0 equal or within the band of seeds, 1 the
    curve differs or the training failed, 2 bad input.
    """
    if run_name:
        return train(open_run(run, store, trust_code=trust_code), run_name, as_json)
    found = open_run(run, store, any_code=True, trust_code=trust_code)
    compared = ingredients.compare(found)
    _say(f"rerun of {found.run}  {found.start.study}/{found.start.name}, seed {found.start.seed}", as_json)
    for line in (*compared.lines(), *_trunk_lines(found)):
        _say(line, as_json)
    if check_only:
        _answer(as_json, {"of": found.run, "ingredients": compared.to_json()})
        return 0
    if not found.journal.accepted():
        raise RecordError("has no epoch to compare with", where=found.run, do="choose a run that has some")
    name = new_run_name()
    if here:
        status = train(found, name, as_json)
    else:
        with checkout(found) as folder:
            status = (
                train(found, name, as_json) if folder is None else _train_in(folder, found, name, trust_code)
            )
    if status:
        return status
    verdict = verify(found, name)
    for line in verdict.lines():
        _say(line, as_json)
    if compared.differing and verdict.verdict != curve_match.EQUAL:
        _say(f"  what differs: {', '.join(compared.differing)}", as_json)
    answer = {"run": name, "of": found.run, "ingredients": compared.to_json(), "curve": verdict.to_json()}
    _answer(as_json, answer)
    return 0 if verdict.verdict in (curve_match.EQUAL, curve_match.BAND) else 1


def _say(line: str, as_json: bool) -> None:
    click.echo(line, err=as_json)


def _answer(as_json: bool, answer: Mapping[str, object]) -> None:
    if as_json:
        click.echo(json.dumps(answer))


def _trunk_lines(found: RecordedRun) -> list[str]:
    """Say of a branch what is not trained again."""
    trunk = found.journal.trunk
    if not trunk:
        return []
    how = f"`workbench rerun {trunk['run']}` repeats them"
    return [f"  its epochs 1 to {trunk['epoch']} are those of its trunk, taken as they are ({how})"]


def train(found: RecordedRun, name: str, as_json: bool = False) -> int:
    """Train the recorded experiment as the run `name`, with the code of this process."""
    from workbench.train.choose_screen import screen
    from workbench.train.runner import run

    start, variant = found.start, variant_of(found.start, found.experiment, found.trusted)
    spec = spec_within(found)
    if spec and Path(spec).is_file():
        variant = dataclasses.replace(variant, path=spec)
    request = RunRequest(
        variant,
        found.store,
        name,
        steps=start.provenance.get("steps"),
        tags={TAG_RERUN: found.run},
        domains=start.domains,
        parent=start.parent,
        epochs=_early_end(found),
    )
    try:
        run(request, screen(sys.stderr if as_json else sys.stdout))
    except RunStopped as stop:
        if not str(stop).startswith(PAUSED):  # an early end is what was asked for
            raise
    return 0


def _early_end(found: RecordedRun) -> int | None:
    """Return the epoch at which the run was ended before its last, by a forecast or its sweep; else None."""
    rows, end = found.journal.accepted(), found.journal.end
    meant = end is not None and (end.status == FINISHED or end.reason.startswith(PAUSED))
    return rows[-1].epoch if meant and rows and rows[-1].epoch < found.experiment.epochs else None


def _train_in(folder: Path, found: RecordedRun, name: str, trust_code: bool) -> int:
    """Train in a copy of the run's code, in a process of its own."""
    words = program("rerun", found.run, "--run-name", name, "--store", found.store.address)
    words += ["--trust-code"] * trust_code
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    click.echo(f"training in a copy of its code: {folder}", err=True)
    # What it shows goes to the error output: standard output is for the verdict, with --json one line.
    done = subprocess.run(words, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=sys.stderr)
    if done.returncode == 0:
        return 0
    if not found.store.journal(name).exists():
        raise InputError(
            "its code could not be run (the lines above say why)",
            where=found.run,
            do="take the code that is here with --here",
        )
    return done.returncode if done.returncode > 0 else 128 - done.returncode


def verify(found: RecordedRun, name: str) -> curve_match.Match:
    """Return the verdict on the run `name` as a rerun of `found`."""
    before = curve_match.values_of(found.journal.accepted())
    now = curve_match.values_of(read_journal(found.store.journal(name)).accepted())
    seeds = curve_match.other_seeds(found.store, found.start.id, found.start.seed)
    return curve_match.match(before, now, seeds, curve_match.weights_equal(found.store, found.run, name))
