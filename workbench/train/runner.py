"""What a run is: `run` goes through the stages of one experiment and records every epoch.

Order within an epoch's end: measure, write the journal row, copy the state out; then, behind the
training, make the checkpoint durable and only then tell the views. Nothing a crash can interrupt
leaves a record that the resumed run would contradict.
"""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Mapping
from typing import Any

from workbench import names
from workbench.distribute import determinism, roles, strategy
from workbench.distribute.group import Group
from workbench.errors import InputError, RunFailed, RunKilled, RunStopped, WorkbenchError
from workbench.lazy import other_keras, tf
from workbench.optimizers import plateau, schedule_preview
from workbench.security.children import last_words
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.overrides import setting_origins
from workbench.spec.plan import Plan
from workbench.spec.recorded_metrics import refuse_select
from workbench.tracking import null_tracker, provenance
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import StartRecord
from workbench.tracking.tracker import Tracker
from workbench.train import checkpoint, checkpoint_file, resume_state, shared_trunk
from workbench.train.progress import Screen
from workbench.train.request import EpochCallback, RunRequest, RunResult, StopTraining
from workbench.train.run_data import RunData
from workbench.train.session import Session
from workbench.views import default_views


def run(request: RunRequest, screen: Screen, watcher: EpochCallback | None = None) -> RunResult:
    """Run (or go on with) one experiment; the one long function: read it to know what a run is.

    Raises `InputError` for bad input before anything is written, `RunFailed` when training cannot go
    on and `RunStopped` when it was stopped at a point from which it can be resumed.
    """
    experiment = request.variant.experiment
    # Refusals come first, cheapest first, before TensorFlow starts, data is opened or anything is written: a mistake
    # costs a second and leaves nothing to clear away.
    plans = experiment.plans()
    # A quick run, a trunk and a rest of a run are shorter than their schedule means them to be.
    if not (request.variant.quick or request.shared or request.resume):
        schedule_preview.refuse(*experiment.judged())
    # A schedule that watches a metric nobody measures would hold its first rate to the end without a word.
    plateau.refuse_unmeasured(experiment)
    # A resumed run keeps the selector it was recorded with, though today's rules might refuse it.
    if not request.resume:
        refuse_select(experiment)
    # The run's own checkpoint before its trunk's: a branch that has begun must never begin again.
    state = own_state(request, screen)
    if state is None and experiment.trunk is not None:
        # Before the workers meet: training the trunk is a run of its own, with a meeting of its own.
        state = shared_trunk.begin(request, screen, run)
    # From here on TensorFlow knows its devices, and a worker does what its chief was asked to do.
    group, request = joined(request)
    # Data is opened before the record: what is wrong with it refuses the run while nothing is written.
    data = RunData(experiment, default_places(request.store.root.parent), request.steps)
    # Only the chief's disk holds checkpoints, so the others get the state from it, and all go on alike.
    state = common_state(group, request, state, screen)
    if experiment.start is not None and state is None and group.chief:
        experiment.start.look(request.store)
    if group.workers > 1:
        null_tracker.tee_log(screen, request.store, request.run, group.rank, group.workers)
    # The first write: the journal is locked, so that no second process trains this run beside this one.
    # Everything above may refuse and leave no trace; from the next line on this run exists for all readers.
    tracker = open_tracker(request, data, plans, state, screen, group)
    # Only the chief forecasts and asks watchers: two processes that judge alike still stop at different steps.
    session = Session(request, screen, tracker, data, watcher if group.chief else None, group)
    try:
        # Before the first epoch: a branch that never beats its trunk still has a best checkpoint, the trunk's.
        if state is not None and "trunk" in state.facts:
            shared_trunk.inherit(request, state, tracker)
        screen.say(f"run {request.run}  {request.variant.study}/{request.variant.name}  on {group.device}")
        for note in data.notes:
            screen.warn(note)
        # Signals are listened to only once there is something worth saving; before that they just end the process.
        session.build(state)
        # A rule's stop is in the row of its epoch: what is left of such a run is its model and its end.
        if state is not None:
            session.end_where_it_was_ended()
        with last_words(last_line(request, experiment)), session.signals.listening():
            for plan in plans:
                session.begin_stage(plan, state)
                session.train(plan)
            # The last checkpoint is made durable behind the training: "finished" may be recorded only after it.
            session.saver.wait()
        # Outside `listening`: a signal that comes now must not turn a run with all its epochs into a stopped one.
        session.end(names.FINISHED, "")
    # The record gets its end before the exception travels on: callers print, retry or
    # leave, and none of them knows the journal.
    except StopTraining as stop:
        session.end(stop.status, stop.reason)
        if stop.status == names.FAILED:
            raise RunFailed(f"run {request.run} failed: {stop.reason}") from stop
        if stop.by_user:
            raise RunKilled(stop.reason) from stop
        if stop.status != names.FINISHED:
            raise RunStopped(stop.reason) from stop
    except BaseException as error:
        # Whatever it was, an exit of the interpreter included: a record without an end would say "interrupted".
        session.end(*ending(error))
        # These two have an exit status of their own, 2 and 130; all else is a failed run, with its cause chained.
        if isinstance(error, (InputError, KeyboardInterrupt)):
            raise
        raise RunFailed(f"run {request.run} failed: {ending(error)[1]}") from error
    return session.outcome()


def last_line(request: RunRequest, experiment: Experiment) -> str:
    """Return what is said of a training whose process ends without a word of its own."""
    sizes = ", ".join(map(str, dict.fromkeys(plan.batch_size for plan in experiment.plans())))
    return (
        f"error: the process of run {request.run} was ended, as for want of memory (batch_size={sizes}); "
        f"`workbench resume {request.run}` goes on"
    )


def joined(request: RunRequest) -> tuple[Group, RunRequest]:
    """Return the group of devices and processes, and the request under the chief's run name."""
    # Name, resume and quick come from the chief: workers are started by hand or by a scheduler, each with a run name
    # of its own, and only one of them may be in the record.
    meant = strategy.Launch(request.run, request.resume, request.variant.quick)
    group, meant = strategy.join(request.variant.experiment, meant)
    return group, dataclasses.replace(request, run=meant.run, resume=meant.resume)


def own_state(request: RunRequest, screen: Screen) -> checkpoint.State | None:
    """Return the state to go on from that this process has itself; that of several comes from the chief."""
    # A group's state waits for `common_state`: until the processes have met, a worker knows no run of its chief's.
    if not request.resume or roles.in_processes(request.variant.experiment.devices):
        return None
    return resume_state.resume_state(request, screen)


def common_state(
    group: Group, request: RunRequest, own: checkpoint.State | None, screen: Screen
) -> checkpoint.State | None:
    """Return the state to go on from: `own`, or with several processes the chief's, handed to all."""
    if not request.resume or not roles.in_processes(request.variant.experiment.devices):
        return own
    # As bytes over the group's own channel: the workers may share no file system with the chief.
    state = resume_state.resume_state(request, screen) if group.chief else None
    if group.workers == 1:
        return state
    return checkpoint_file.unpacked(group.share(checkpoint_file.packed(state) if group.chief else None))


def open_tracker(
    request: RunRequest,
    data: RunData,
    plans: tuple[Plan, ...],
    state: checkpoint.State | None,
    screen: Screen,
    group: Group | None = None,
) -> Tracker:
    """Begin this attempt's record; that of a worker which is not the chief keeps nothing.

    Provenance is collected anew at each attempt: a resume may run other code, on another machine.
    """
    if group is not None and not group.chief:
        return null_tracker.NullTracker(request.store, request.run)  # type: ignore[return-value]
    experiment, variant = request.variant.experiment, request.variant
    found = provenance.collect(variant.path or None, request.store.root.parent)
    for note in (*found.notes, *other_stack(request, found)):
        screen.warn(note)
    start = StartRecord(
        run=request.run,
        from_epoch=int(state.facts["epoch"]) + 1 if state else 1,
        id=experiment.id,
        study=variant.study,
        name=variant.name,
        seed=experiment.seed,
        quick=variant.quick,
        parent=request.parent,
        trunk=trunk_facts(request, state),
        spec=experiment.to_json(),
        stages=tuple(stage_facts(plan, data) for plan in plans),
        # The seed last: a sweep's own parameter of that name must not hide the seed the run was trained with.
        parameters={**experiment.parameters(), **request.parameters, "seed": experiment.seed},
        domains=request.domains,
        tags=request.tags,
        host=found.host,
        process=found.process,
        versions=found.versions,
        provenance={
            **found.facts,
            "origins": setting_origins(variant),
            "data": data.fingerprints,
            "datasets": data.described(),
            "question": variant.question,
            "steps": request.steps,
            "spec_path": variant.path,
            **({"workers": list(group.members)} if group is not None and group.members else {}),
        },
    )
    # The spec twice, as source and as values: the file may import what is gone by the time someone reads it.
    texts = {**found.texts, "spec.json": json.dumps(experiment.to_json(), indent=1)}
    views = default_views(request.store)
    return Tracker.open(request.store, start, texts=texts, say=screen.warn, views=views)


def other_stack(request: RunRequest, found: provenance.Provenance) -> list[str]:
    """Return a note where a run goes on with another TensorFlow than that of its last attempt."""
    journal = request.store.journal(request.run)
    starts = read_journal(journal).starts if request.resume and journal.exists() else []
    note = provenance.stack_change(starts[-1].versions, found.versions) if starts else ""
    return [note] if note else []


def trunk_facts(request: RunRequest, state: checkpoint.State | None) -> Mapping[str, Any]:
    """Return what a branch's attempt records of its trunk: what it was given, or what the run says already."""
    if state is not None and "trunk" in state.facts:
        found: Mapping[str, Any] = state.facts["trunk"]
        return found
    journal = request.store.journal(request.run)
    return read_journal(journal).trunk if journal.exists() else {}


def stage_facts(plan: Plan, data: RunData) -> dict[str, Any]:
    """Return what analysis needs to know of a stage: name, epochs, rate breaks, steps."""
    breaks = plan.schedule.breaks(int(plan.schedule_offset) + plan.epochs)
    # Breaks are counted in the schedule's epochs, figures are drawn in the run's; the offset lies between.
    own = [b - int(plan.schedule_offset) for b in breaks if b > plan.schedule_offset]
    return {
        "number": plan.number,
        "name": plan.name,
        "epochs": plan.epochs,
        "first_epoch": plan.first_epoch,
        "steps": data.steps(plan),
        "batch_size": plan.batch_size,
        "breaks": [plan.first_epoch + b - 1 for b in own if b > 1],
    }


def ending(error: BaseException) -> tuple[str, str]:
    """Return the status and the one-line reason that an exception means for the record."""
    # From the particular to the general: TensorFlow's out-of-memory is an OpError, a full disk an OSError, and each
    # has something a person can do about it.
    if isinstance(error, KeyboardInterrupt):
        return names.STOPPED, "stopped by Ctrl-C"
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return names.FAILED, "out of memory; try a smaller batch_size or network"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return names.FAILED, "no space left on the disk; make space and resume"
    if isinstance(error, WorkbenchError):
        return names.FAILED, str(error)
    # Last, for it reads the message: a class of its own does not exist for this error of TensorFlow.
    refusal = determinism.refused(error) or other_keras(error)
    if refusal is not None:
        return names.FAILED, str(refusal)
    # One line, and a short one: TensorFlow's messages hold whole graphs, and `list` shows this in a column.
    return names.FAILED, " ".join(f"{type(error).__name__}: {error}".split())[:500]
