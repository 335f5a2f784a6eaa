"""Several runs of one `workbench run`: in the queue, side by side or one after another, compared at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from workbench.commands.list_runs import table_of
from workbench.jobs.dependencies import RunDependencies
from workbench.jobs.estimate import Costs, longest_first
from workbench.jobs.placement import Place
from workbench.jobs.process import Child
from workbench.jobs.progress import LiveProgress, PlainProgress, log_of
from workbench.jobs.scheduler import Job, ProgressReporter, run_all
from workbench.jobs.task import Task
from workbench.tracking.best import summary
from workbench.tracking.runs import read_state, read_states
from workbench.tracking.store import Store


def several(
    tasks: Sequence[Task],
    store: Store,
    places: Sequence[Place],
    *,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Train all tasks, as many at once as there are places; return the exit status of all together.

    `address` is the store as the user named it, for the words of the child processes.
    """
    aside = len(places) > 1  # then each run prints into a file of its own
    reporter: ProgressReporter = ProgressReporter()
    if aside:
        costs = Costs(read_states(store))
        tasks = longest_first(tasks, costs)  # else the longest is left to run alone at the end
    dependencies = RunDependencies(tasks, store)
    tasks = dependencies.ordered(tasks)
    if aside:
        reporter = reporter_for(store, tasks, costs, as_json, sys.stdout)

    def start(task: Task, place: Place) -> Job:
        words = task.words(address, as_json=as_json and not aside, debug=debug)
        return Child(words, place, log_of(store, task.run) if aside else None)

    status = run_all(tasks, places or [Place()], start, reporter, dependencies.may_start)
    if not as_json:
        compare(store, tasks)
    return status


def on_cluster(
    tasks: Sequence[Task],
    store: Store,
    ray: str,
    jobs: int | None,
    *,
    address: str | None,
    as_json: bool,
    debug: bool,
) -> int:
    """Train all tasks on the Ray cluster at `ray`, at most `jobs` at once; return the exit status of all."""
    from workbench.jobs.ray_cluster import AnyPlace, connected

    out = sys.stdout  # while Ray is connected, what it prints by itself is kept from standard output
    word = str(store.root) if store.is_local else address  # the same folder, wherever a node stands
    costs = Costs(read_states(store))
    dependencies = RunDependencies(tasks, store)
    tasks = dependencies.ordered(longest_first(tasks, costs))
    with connected(ray, store, word, debug) as cluster:
        cluster.check(tasks)
        reporter = reporter_for(store, tasks, costs, as_json, out)
        cluster.say = reporter.say
        status = run_all(
            tasks,
            [AnyPlace()] * min(jobs or len(tasks), len(tasks)),
            cluster.start,
            reporter,
            dependencies.may_start,
        )
    if not as_json:
        compare(store, tasks)
    return status


def reporter_for(
    store: Store, tasks: Sequence[Task], costs: Costs, as_json: bool, out: TextIO
) -> PlainProgress:
    """Return the board that fits the output: live on a terminal, else lines; JSON keeps standard output."""
    stream = sys.stderr if as_json else out
    kind = LiveProgress if stream.isatty() else PlainProgress
    reporter = kind(store, stream, len(tasks), costs)
    if as_json:
        reporter.after = lambda run: print_json(store, [run], out)
    return reporter


def compare(store: Store, tasks: Sequence[Task]) -> None:
    """Print the table of all that has a record, and what to look at next."""
    names = [task.run for task in tasks if store.journal(task.run).exists()]
    if not names:
        return
    click.echo("")
    click.echo(table_of(store, [read_state(store, name) for name in names]))
    click.echo("\nNext:")
    click.echo(f"  workbench show {names[0]}      one run: settings, stages, every epoch")
    click.echo("  workbench list                 all runs")
    click.echo("  workbench ui                   MLflow and TensorBoard in the browser")


def print_json(store: Store, runs: list[str], stream: TextIO | None = None) -> None:
    """Print one line a run: `{"run", "study", "name", "status", "best": {...}}`."""
    for name in runs:
        if store.journal(name).exists():
            click.echo(json.dumps(summary(store, name)), file=stream)
