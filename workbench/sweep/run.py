"""One sweep from its first trial to its last, in this process or by a chief and workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from workbench import names
from workbench.errors import RunFailed, RunKilled, RunStopped
from workbench.spec.variant import Variant
from workbench.sweep import chief, search
from workbench.sweep.spec import Sweep
from workbench.sweep.trials import TrialRunner
from workbench.tracking.store import Store
from workbench.train.progress import Screen
from workbench.train.signals import handling, on_end

LOOPBACK = "127.0.0.1"  # where workers of this machine find their chief, at any free port


@dataclass(frozen=True)
class SweepOptions:
    """What the command line asks of a sweep; None and False leave it as the spec says."""

    trials: int | None = None
    resume: bool = False
    workers: int = 0  # 0: in this process
    role: tuple[str, str, int] | None = None  # name, host, port of Keras Tuner's environment variables
    store: str | None = None  # as it was given, for workers
    as_json: bool = False
    allow_changed: bool = False
    verbose: bool = False


def run(sweep: Sweep, variant: Variant, store: Store, screen: Screen, options: SweepOptions) -> TrialRunner:
    """Run (or go on with) a sweep; return its bench, which knows its record.

    Raises `RecordError` for a resume that cannot be, `RunFailed` where the search gave up or no trial
    succeeded, and `RunStopped` where it was stopped between two points from which it can be resumed.
    """
    if options.role:
        chief.refuse_place(*options.role[1:])  # before anything is recorded
    # Before gRPC is imported: it warns of every process that a chief starts.
    if options.workers or options.role:
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    search.refuse_secrets(sweep)
    run, again = search.choose_run(sweep, variant, store, options.resume, options.allow_changed)
    runner = TrialRunner(
        sweep, search.sweep_name(sweep, variant.study), run, variant, store, screen, options.verbose
    )
    with search.locked(runner):
        found = search.Search(runner, options.trials, screen.say)
        screen.say(heading(found, again))
        try:
            with terminated():
                if options.workers or options.role:
                    _lead(found, options)
                else:
                    search.run_trials(found.oracle, runner, "here")
        except BaseException as error:  # Ctrl-C among them: whatever ends the search, its record says so
            found.parent.end(*_ending(error))
            if isinstance(error, (RunStopped, KeyboardInterrupt)):
                done = len(found.oracle.end_order)
                screen.say(
                    f"sweep {runner.name} was stopped after {done} trials; `--resume` goes on with what was at work"
                )
            raise
        reason = found.given_up()
        found.parent.end(names.FAILED if reason else names.FINISHED, reason)
        if reason:
            raise RunFailed(f"sweep {runner.name} gave up: {reason}; `--resume` goes on")
    return runner


def _lead(found: search.Search, options: SweepOptions) -> None:
    words = chief.worker_words(found.runner, options.store, options.as_json)
    _, host, port = options.role or ("", LOOPBACK, 0)
    chief.Chief(found, words).lead(options.workers, host, port)


def serve(sweep: Sweep, variant: Variant, store: Store, screen: Screen, options: SweepOptions) -> None:
    """Be a worker of a chief, as the environment says; raises `InputError` where the chief is lost."""
    assert options.role is not None
    name = search.sweep_name(sweep, variant.study)
    runner = TrialRunner(sweep, name, "", variant, store, screen, options.verbose)
    parent = os.getppid()
    try:
        with terminated():
            chief.serve_worker(runner, *options.role)
    except RunStopped:
        if os.getppid() != parent:
            screen.say(
                f"{options.role[0]}: its chief died; what was at work is saved, and `--resume` goes on with it"
            )
        raise


def heading(found: search.Search, again: bool) -> str:
    """Return the first line of a sweep: what is searched, how, and what it will come to."""
    sweep = found.runner.sweep
    ended = len(found.oracle.end_order)
    where = f"goes on after {ended} trials" if again else f"about {found.planned} trials"
    words = [f"sweep {found.runner.run}", f"{found.runner.variant.study}/{found.runner.name}"]
    words += [f"{type(sweep.tuner).__name__} for the best {sweep.target}", where]
    longest = getattr(sweep.tuner, "max_epochs", None)
    if longest is not None and longest < found.whole:
        words.append(f"up to epoch {longest} of the {found.whole} that the spec has")
    return "  ".join(words)


def _ending(error: BaseException) -> tuple[str, str]:
    if isinstance(error, (RunKilled, KeyboardInterrupt)):
        return names.STOPPED, "stopped by Ctrl-C; `--resume` goes on"
    if isinstance(error, RunStopped):
        return names.STOPPED, "stopped; `--resume` goes on"
    return names.FAILED, " ".join(f"{error}".split())[:500] or type(error).__name__


@contextmanager
def terminated() -> Iterator[None]:
    """Make a SIGTERM or SIGHUP between two trials an orderly stop; within one the run itself listens."""

    def stop(number: int, frame: object) -> None:
        raise RunStopped(f"stopped by {signal.Signals(number).name}; `--resume` goes on")

    with handling(on_end(stop)):
        yield
