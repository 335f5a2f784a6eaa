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
from workbench.spec.datasets import default_places
from workbench.spec.overrides import setting_origins
from workbench.spec.plan import Plan
from workbench.spec.recorded_metrics import refuse_select
from workbench.tracking import null_tracker, provenance
from workbench.tracking.journal import read_journal
from workbench.tracking.rows import StartRecord
from workbench.tracking.tracker import Tracker
from workbench.train import checkpoint, going_on, shared_trunk
from workbench.train.progress import Screen
from workbench.train.request import RunRequest, RunResult, StopTraining, Watcher
from workbench.train.run_data import RunData
from workbench.train.session import Session
from workbench.views import default_views


def run(order: RunRequest, screen: Screen, watcher: Watcher | None = None) -> RunResult:
    """Run (or go on with) one experiment; the one long function: read it to know what a run is.

    Raises `InputError` for bad input before anything is written, `RunFailed` when training cannot go
    on and `RunStopped` when it was stopped at a point from which it can be resumed.
    """
    experiment = order.variant.experiment
    plans = experiment.plans()
    if not (order.variant.quick or order.shared or order.resume):  # these are shorter than a schedule means
        schedule_preview.refuse(*experiment.judged())
    plateau.refuse_unmeasured(experiment)
    if not order.resume:
        refuse_select(experiment)
    # The run's own checkpoint before its trunk's: a branch that has begun must never begin again.
    state = own_state(order, screen)
    if state is None and experiment.trunk is not None:
        # Before the workers meet: training the trunk is a run of its own, with a meeting of its own.
        state = shared_trunk.begin(order, screen, run)
    # From here on TensorFlow knows its devices, and a worker does what its chief was asked to do.
    group, order = joined(order)
    # Data is opened before the record: what is wrong with it refuses the run while nothing is written.
    data = RunData(experiment, default_places(order.store.root.parent), order.steps)
    # Only the chief's disk holds checkpoints, so the others get the state from it, and all go on alike.
    state = common_state(group, order, state, screen)
    if experiment.start is not None and state is None and group.chief:
        experiment.start.look(order.store)
    if group.workers > 1:
        null_tracker.log_beside(screen, order.store, order.run, group.rank, group.workers)
    # The first write: the journal is locked, so that no second process trains this run beside this one.
    tracker = open_tracker(order, data, plans, state, screen, group)
    session = Session(order, screen, tracker, data, watcher if group.chief else None, group)
    try:
        if state is not None and "trunk" in state.facts:
            shared_trunk.inherit(order, state, tracker)
        screen.say(f"run {order.run}  {order.variant.study}/{order.variant.name}  on {group.device}")
        for note in data.notes:
            screen.warn(note)
        # Signals are listened to only once there is something worth saving; before that they just end the process.
        session.build(state)
        with session.signals.listening():
            for plan in plans:
                session.begin_stage(plan, state)
                session.train(plan)
            # The last checkpoint is made durable behind the training: "finished" may be recorded only after it.
            session.saver.wait()
        session.end(names.FINISHED, "")
    except StopTraining as stop:
        session.end(stop.status, stop.reason)
        if stop.status == names.FAILED:
            raise RunFailed(f"run {order.run} failed: {stop.reason}") from stop
        if stop.status == names.KILLED:
            raise RunKilled(stop.reason) from stop
        if stop.status != names.FINISHED:
            raise RunStopped(stop.reason) from stop
    except BaseException as error:
        # Whatever it was, an exit of the interpreter included: a record without an end would say "interrupted".
        session.end(*ending(error))
        if isinstance(error, (InputError, KeyboardInterrupt)):
            raise
        raise RunFailed(f"run {order.run} failed: {ending(error)[1]}") from error
    return session.outcome()


def joined(order: RunRequest) -> tuple[Group, RunRequest]:
    """Return the group of devices and processes, and the order under the chief's run name."""
    meant = strategy.Launch(order.run, order.resume, order.variant.quick)
    group, meant = strategy.join(order.variant.experiment, meant)
    return group, dataclasses.replace(order, run=meant.run, resume=meant.resume)


def own_state(order: RunRequest, screen: Screen) -> checkpoint.State | None:
    """Return the state to go on from that this process has itself; that of several comes from the chief."""
    if not order.resume or roles.in_processes(order.variant.experiment.devices):
        return None
    return going_on.state_of(order, screen)


def common_state(
    group: Group, order: RunRequest, own: checkpoint.State | None, screen: Screen
) -> checkpoint.State | None:
    """Return the state to go on from: `own`, or with several processes the chief's, handed to all."""
    if not order.resume or not roles.in_processes(order.variant.experiment.devices):
        return own
    state = going_on.state_of(order, screen) if group.chief else None
    if group.workers == 1:
        return state
    return checkpoint.unpacked(group.share(checkpoint.packed(state) if group.chief else None))


def open_tracker(
    order: RunRequest,
    data: RunData,
    plans: tuple[Plan, ...],
    state: checkpoint.State | None,
    screen: Screen,
    group: Group | None = None,
) -> Tracker:
    """Begin this attempt's record; that of a worker which is not the chief keeps nothing."""
    if group is not None and not group.chief:
        return null_tracker.NullTracker(order.store, order.run)  # type: ignore[return-value]
    experiment, variant = order.variant.experiment, order.variant
    found = provenance.collect(variant.path or None, order.store.root.parent)
    for note in (*found.notes, *other_stack(order, found)):
        screen.warn(note)
    start = StartRecord(
        run=order.run,
        from_epoch=int(state.facts["epoch"]) + 1 if state else 1,
        id=experiment.id,
        study=variant.study,
        name=variant.name,
        seed=experiment.seed,
        quick=variant.quick,
        parent=order.parent,
        trunk=trunk_facts(order, state),
        spec=experiment.to_json(),
        stages=tuple(stage_facts(plan, data) for plan in plans),
        parameters={**experiment.parameters(), **order.parameters, "seed": experiment.seed},
        domains=order.domains,
        tags=order.tags,
        host=found.host,
        process=found.process,
        versions=found.versions,
        provenance={
            **found.facts,
            "origins": setting_origins(variant),
            "data": data.fingerprints,
            "datasets": data.described(),
            "question": variant.question,
            "steps": order.steps,
            "spec_path": variant.path,
            **({"workers": list(group.members)} if group is not None and group.members else {}),
        },
    )
    texts = {**found.texts, "spec.json": json.dumps(experiment.to_json(), indent=1)}
    return Tracker.open(order.store, start, texts=texts, say=screen.warn, views=default_views(order.store))


def other_stack(order: RunRequest, found: provenance.Provenance) -> list[str]:
    """Return a note where a run goes on with another TensorFlow than that of its last attempt."""
    journal = order.store.journal(order.run)
    starts = read_journal(journal).starts if order.resume and journal.exists() else []
    note = provenance.stack_change(starts[-1].versions, found.versions) if starts else ""
    return [note] if note else []


def trunk_facts(order: RunRequest, state: checkpoint.State | None) -> Mapping[str, Any]:
    """Return what a branch's attempt records of its trunk: what it was given, or what the run says already."""
    if state is not None and "trunk" in state.facts:
        found: Mapping[str, Any] = state.facts["trunk"]
        return found
    journal = order.store.journal(order.run)
    return read_journal(journal).trunk if journal.exists() else {}


def stage_facts(plan: Plan, data: RunData) -> dict[str, Any]:
    """Return what analysis needs to know of a stage: name, epochs, rate breaks, steps."""
    breaks = plan.schedule.breaks(int(plan.schedule_offset) + plan.epochs)
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
    if isinstance(error, KeyboardInterrupt):
        return names.KILLED, "stopped by Ctrl-C"
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return names.FAILED, "out of memory; try a smaller batch_size or network"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return names.FAILED, "no space left on the disk; make space and resume"
    if isinstance(error, WorkbenchError):
        return names.FAILED, str(error)
    refusal = determinism.refused(error) or other_keras(error)
    if refusal is not None:
        return names.FAILED, str(refusal)
    return names.FAILED, " ".join(f"{type(error).__name__}: {error}".split())[:500]
