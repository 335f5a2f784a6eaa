"""What a notebook or script calls: `workbench.run`, `runs`, `find`, `check` and `sweep`.

The same engine and records as the command line. Beside the table of commands this is the one place of
the engine that asks `analysis`, for figures, tables and forecasts.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.commands.run import refuse_missing, refuse_settings, refuse_start
from workbench.errors import InputError
from workbench.jobs.in_process import train_task
from workbench.jobs.task import Task, program
from workbench.notebook.collection import Runs, SweepRun
from workbench.notebook.run_view import Run
from workbench.notebook.spec_file import write_spec_file
from workbench.notebook.training import train_in_child
from workbench.notebook.variants import current_study, variant_of
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.overrides import with_seed
from workbench.spec.quick import quick_variant
from workbench.spec.variant import Variant
from workbench.tracking import runs as stored
from workbench.tracking.rows import new_run_name
from workbench.tracking.store import Store, find_store
from workbench.train.notebook_screen import in_notebook

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up notes; set before its import
SPECS = "specs"  # folder of a store with the spec files of experiments made in Python

__all__ = ["Run", "Runs", "SweepRun", "check", "find", "run", "runs", "sweep"]


def run(
    experiment: Experiment | Variant | str | Path,
    seed: int | None = None,
    store: str | Path | None = None,
    *,
    name: str | None = None,
    study: str | None = None,
    quick: bool = False,
    process: bool | None = None,
    watcher: Any = None,
) -> Run:
    """Train an experiment and return its run; every epoch is recorded as by `workbench run`.

    Args:
        experiment: An `Experiment`, or the path of a spec file with the `name` of one of its variants.
        seed: Replaces that of the experiment.
        store: A folder of records or the address of a server; None: the project's `mlruns/`.
        name: None: its difference from the first experiment of its study.
        study: None: the notebook or script that calls.
        quick: Try the whole run in minutes: little data, small images, few steps.
        process: Train in a process of its own, so that a second run is like the first; None: in a notebook.
        watcher: Looks on at each epoch, in this process only: `epoch(history, facts)` returns metrics to record,
            and the reason to stop or None.

    Raises:
        InputError: It cannot be trained; nothing is recorded.
        RunFailed: Training ended with an error, which the record holds.
        RunStopped: It was stopped, and `Run.resume()` goes on.
    """
    place = _store(store)
    place.require_writable()
    apart = (in_notebook() and watcher is None) if process is None else process
    if apart and watcher is not None:
        raise InputError("a watcher looks on in this process", where="run", do="leave out process=True")
    variant = variant_of(experiment, place, name, study)
    if seed is not None:
        variant = with_seed(variant, seed)
    refuse_settings(variant.experiment)
    where = default_places(place.root.parent)
    if not quick:
        refuse_missing(variant, where)
    variant = _with_file(variant, place)
    if quick or variant.quick:
        variant = quick_variant(variant, where)
    task = Task(variant, new_run_name(), False)
    refuse_start(task, place)
    if apart:
        train_in_child(task.words(place.address), task.run, place)
    else:
        train_task(task, place, watcher=watcher)
    return Run(place, task.run)


def _store(address: str | Path | None) -> Store:
    return find_store(None if address is None else str(address))


def analysis(module: str) -> Any:
    """Return a module of `analysis`, which the engine knows by name only, here and in the table of commands."""
    return importlib.import_module(f"analysis.{module}")


def _with_file(variant: Variant, store: Store) -> Variant:
    """Return a variant that stands in a spec file, so that it can be resumed and repeated anywhere."""
    if variant.path:
        return variant
    path = write_spec_file(
        store.root / SPECS, variant.study, variant.name, variant.experiment, variant.question
    )
    return replace(variant, path=str(path), source=path.read_text(encoding="utf-8"))


def resume(found: Run, process: bool | None = None) -> None:
    """Go on with an unfinished run; raises `RecordError` where nothing is left to do."""
    from workbench.train.from_record import recorded_variant

    variant = recorded_variant(found.store, found.run, resumable=True)
    if in_notebook() if process is None else process:
        train_in_child(program("resume", found.run, "--store", found.store.address), found.run, found.store)
    else:
        train_task(Task(variant, found.run, True), found.store)


def runs(study: str | None = None, store: str | Path | None = None, *, quick: bool = False) -> Runs:
    """Return the runs of a store, the oldest first.

    Args:
        study: Only those of this study; None: all.
        store: As in `run`.
        quick: Those of `--quick`, too.
    """
    place = _store(store)
    found = Runs()
    for name in place.runs():
        start = stored.first_start(place.journal(name))
        kept = start is not None and stored.TAG_KIND not in start.tags
        if start is not None and kept and (quick or not start.quick) and study in (None, start.study):
            found.append(Run(place, name))
    return found


def find(text: str, store: str | Path | None = None) -> Run:
    """Return one run.

    Args:
        text: `study/name:seed`, `study/name` where it has one seed, `@last`, the run's own name, a unique beginning
            of that, or its MLflow id.
        store: As in `run`.

    Raises:
        RecordError: No run is meant, or several are; the message lists near names.
    """
    place = _store(store)
    return Run(place, stored.find_run(place, text))


class Report(list):  # type: ignore[type-arg]
    """What `check` found, a block of text each; shows itself as text."""

    def __repr__(self) -> str:
        return "\n".join(self)

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(repr(self))}</pre>"


def check(
    experiment: Experiment | Variant | str | Path,
    store: str | Path | None = None,
    *,
    name: str | None = None,
    steps: bool = True,
) -> Report:
    """Build every stage, run one step of each and return what a run would be; nothing is recorded.

    Args:
        experiment: As in `run`.
        store: As in `run`; where weights of other runs and cached data are looked for.
        name: Of a spec file, the variant.
        steps: Run a step of each stage and the switches between them; False: check the settings alone.

    Raises:
        InputError: What would stop a run. Data that is missing here is only reported.
    """
    from workbench.commands import check as checking
    from workbench.commands.dry_run import DryRun

    place = _store(store)
    variant = variant_of(experiment, place, name, None)
    trials = DryRun(True, default_places(place.root.parent)) if steps else None
    head = f"{variant.study}/{variant.name}  id {variant.experiment.id}"
    return Report([head, *checking.blocks(variant, place, trials)])


def sweep(
    search: Any,
    store: str | Path | None = None,
    *,
    trials: int | None = None,
    name: str | None = None,
    study: str | None = None,
    process: bool | None = None,
) -> SweepRun:
    """Search the settings of a `Sweep` (or of a spec file with one); every trial is a run.

    Args:
        search: A `Sweep`, or the path of a spec file with the `name` of one of its sweeps.
        store: As in `run`.
        trials: At most so many; None: as many as the sweep's tuner plans.
        name: None: that of the sweep, else the study's.
        study: None: the notebook or script that calls.
        process: As in `run`.

    Raises:
        RunFailed: The search gave up after too many failed trials.
    """
    from workbench.sweep import run as running
    from workbench.sweep.load_sweeps import choose_sweeps, load_sweeps
    from workbench.tracking import sweeps
    from workbench.train.choose_screen import screen

    place = _store(store)
    place.require_writable()
    if isinstance(search, (str, Path)):
        search, variant = choose_sweeps(load_sweeps(search), [name] if name else [])[0]
    else:
        study = study or current_study()
        search = search.but(name=name or search.name or study)
        path = write_spec_file(place.root / SPECS, study, search.name, search, word="sweep")
        variant = Variant(search.name, search.base, study=study, path=str(path))
    if in_notebook() if process is None else process:
        words = program("sweep", variant.path, variant.name, "--store", place.address)
        words += ["--trials", str(trials)] if trials else []
        train_in_child(words, f"sweep-{new_run_name()}", place)
        found = sweeps.newest(place, variant.study, variant.name)
        assert found is not None
        return SweepRun(place, found.run)
    options = running.SweepOptions(trials=trials)
    return SweepRun(place, running.run(search, variant, place, screen(), options).run)
