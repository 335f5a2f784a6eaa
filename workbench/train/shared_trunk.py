"""How a branch begins: its trunk is found in the store, or trained once for all branches.

A trunk is not a special kind of run. Any run will do whose settings, seed and data were the same up to the
point and whose state there is kept: a finished one, an unfinished one, one that went further. It is looked
for under a lock, so that branches that start at the same moment train one trunk; what is unfinished is
resumed, what another process is training is waited for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from workbench import names
from workbench.errors import RecordError, RunFailed, RunStopped, SpecError
from workbench.spec.branch import same_until, trunk_name, trunk_of
from workbench.spec.datasets import default_places
from workbench.spec.experiment import Experiment
from workbench.spec.part import from_json
from workbench.tracking import locks, provenance
from workbench.tracking.journal import Journal, first_start
from workbench.tracking.pair_scores import sound_scores
from workbench.tracking.rows import StartRecord, new_run_name
from workbench.tracking.runs import RunState, is_resumable, read_state
from workbench.tracking.store import Store
from workbench.tracking.tracker import Tracker
from workbench.train import checkpoint, checkpoint_file
from workbench.train.progress import Screen
from workbench.train.request import RunRequest
from workbench.train.run_data import RunData
from workbench.train.signals import handling, on_end

Train = Callable[[RunRequest, Screen], Any]
POLL_SECONDS = 0.5  # between two looks at what another process is training
BEST_SCORES = "scores/best"


@dataclass(frozen=True)
class TrunkRequest:
    """The trunk that a branch needs: its spec, the content of its data, and how it is run."""

    root: Experiment
    data: Mapping[str, str]
    quick: bool
    steps: int | None

    @property
    def epoch(self) -> int:
        return self.root.epochs


@dataclass(frozen=True)
class TrunkRun:
    """A run that is, or will be, the trunk: with its state, at work, or to be resumed."""

    run: str
    journal: Journal
    state: checkpoint.State | None = None
    running: bool = False


def begin(request: RunRequest, screen: Screen, train: Train) -> checkpoint.State:
    """Return the state from which a branch goes on: that of its trunk, which `train` trains if need be.

    Raises `RunFailed` where the trunk failed, and what `train` raises where it was stopped.
    """
    root = trunk_of(request.variant.experiment)
    assert root is not None
    data = RunData(root, default_places(request.store.root.parent), request.steps)
    wanted = TrunkRequest(root, data.fingerprints, request.variant.quick, request.steps)
    # The lock spans looking and training: two branches that both found nothing would otherwise train two trunks.
    with _only_one(request.store, root, screen):
        found = _await(request.store, wanted, screen)
        if found is None or found.state is None:
            _train(request, wanted, found, screen, train)
            # Looked for again instead of taken from memory: what counts is a state that can be read from disk.
            found = look(request.store, wanted)
    if found is None or found.state is None:
        raise RunFailed(f"the trunk of {root.epochs} epochs is trained, but its state is not there")
    for difference in code_differences(request.store, found, root, request.variant.path or None):
        screen.warn(f"the trunk {found.run} {difference}")
    facts = {
        **found.state.facts,
        "run": request.run,
        "id": request.variant.experiment.id,
        "trunk": {
            "run": found.run,
            "epoch": wanted.epoch,
            "stage": len(root.stages),
            "step": int(found.state.facts["step"]),
        },
    }
    return checkpoint.State(found.state.arrays, facts)


def _train(
    request: RunRequest, wanted: TrunkRequest, found: TrunkRun | None, screen: Screen, train: Train
) -> None:
    """Train the trunk in a run of its own, or go on with the one that was begun."""
    variant = dataclasses.replace(request.variant, name=trunk_name(wanted.root), experiment=wanted.root)
    run = found.run if found else new_run_name()
    screen.say(f"{'resuming' if found else 'training'} the trunk first: epochs 1 to {wanted.epoch}")
    task = RunRequest(variant, request.store, run, resume=found is not None, steps=request.steps, shared=True)
    try:
        train(task, screen)
    except RunFailed as error:
        raise RunFailed(f"no branch without its trunk: {error}") from error


# ---------------------------------------------------------------- one at a time


@contextlib.contextmanager
def _only_one(store: Store, root: Experiment, screen: Screen) -> Iterator[None]:
    """Be the one who looks for this trunk and trains it; wait as long as another does."""
    path = store.root / ".trunks" / f"{root.id}-{root.seed}.lock"
    with contextlib.ExitStack() as stack:
        said = False
        # Waiting is interruptible; training is not this file's to interrupt, the trunk's own run listens then.
        with _stoppable():
            while True:
                try:
                    stack.enter_context(locks.lock(path))
                    break
                except locks.Held:
                    if not said:
                        screen.say("waiting for the trunk that another branch is training")
                    said = True
                    time.sleep(POLL_SECONDS)
        yield


def _await(store: Store, wanted: TrunkRequest, screen: Screen) -> TrunkRun | None:
    """Return what there is of the trunk once no other process is training it."""
    said = False
    with _stoppable():
        while True:
            found = look(store, wanted, screen if not said else None)
            if found is None or not found.running:
                return found
            if not said:
                screen.say(f"waiting for run {found.run}, which is training the trunk")
            said = True
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """End gently on SIGTERM and SIGHUP while nothing of the branch is recorded yet."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise RunStopped("stopped while it waited for its trunk; nothing was begun, run it again")

    with handling(on_end(stop)):
        yield


# ---------------------------------------------------------------- looking


def look(store: Store, wanted: TrunkRequest, screen: Screen | None = None) -> TrunkRun | None:
    """Return the best there is of the trunk: a run with its state, else one at work, else one to resume."""
    waiting, unfinished = None, None
    # The newest first: of equal trunks the one trained by today's code.
    for run in reversed(store.runs()):
        state = _candidate(store, run, wanted, screen)
        if state is None:
            continue
        at_point = read_at(store.run_checkpoints(run), wanted.epoch)
        if at_point is not None:
            return TrunkRun(run, state.journal, at_point)
        # A running one that will pass the point is worth waiting for; an interrupted one is resumed only if it is the
        # trunk itself, for another run would be trained on past the point.
        if state.status == names.RUNNING and _will_keep(state.journal, wanted):
            waiting = waiting or TrunkRun(run, state.journal, running=True)
        elif is_resumable(state) and state.journal.starts[0].id == wanted.root.id:
            unfinished = unfinished or TrunkRun(run, state.journal)
    return waiting or unfinished


def _candidate(store: Store, run: str, wanted: TrunkRequest, screen: Screen | None) -> RunState | None:
    """Return the run if it does, up to the point, what the trunk does, on the same data; a rerun is a check."""
    start = first_start(store.journal(run))
    if start is None or start.parent is not None or names.TAG_RERUN in start.tags:
        return None
    if not _alike(start, wanted):
        return None
    state = read_state(store, run)
    # Every attempt, for data may have changed between a run's beginning and its resume.
    for attempt in state.journal.starts:
        seen = attempt.provenance.get("data", {})
        other = [name for name, content in wanted.data.items() if seen.get(name) != content]
        if other:
            if screen is not None:
                screen.warn(f"run {run} is not a trunk of this branch: it saw other data ({other[0]})")
            return None
    return state


def _alike(start: StartRecord, wanted: TrunkRequest) -> bool:
    """Tell whether a run has the seed and, up to the point, the settings of the trunk."""
    root = wanted.root
    how = (start.seed, start.quick, start.provenance.get("steps"))
    if how != (root.seed, wanted.quick, wanted.steps):
        return False
    spec = root.to_json()
    if any(start.spec.get(name) != spec[name] for name in ("backbone", "embedding", "batch_size")):
        return False  # the quick way out: most runs of a store are something else
    try:
        return same_until(from_json(dict(start.spec), where=start.run), wanted.epoch, root)
    except SpecError:  # a run of another version, or with parts that only its own spec file defines
        return False


def _will_keep(journal: Journal, wanted: TrunkRequest) -> bool:
    """Tell whether a run at work will leave the state that is wanted."""
    start, rows = journal.starts[0], journal.accepted()
    if start.id == wanted.root.id:
        return True
    kept = (start.spec.get("safety") or {}).get("keep") or ()
    return wanted.epoch in kept and (not rows or rows[-1].epoch <= wanted.epoch)


def read_at(folder: Path, epoch: int) -> checkpoint.State | None:
    """Return the sound state after `epoch` whole epochs, or None where it is not kept."""
    for path in (folder / checkpoint_file.kept_name(epoch), *sorted(folder.glob(f"e{epoch:05d}-*"))):
        with contextlib.suppress(RecordError):
            state = checkpoint_file.read(path)
            if (state.facts["epoch"], state.facts["epoch_step"]) == (epoch, 0):
                return state
    return None


def code_differences(store: Store, found: TrunkRun, root: Experiment, spec: str | None = None) -> list[str]:
    """Return, in words, how the code, packages and devices of a trunk differ from those of this process.

    The code of this process is that around its `spec` file, which may lie in a copy; else the project's.
    """
    here = provenance.collect(spec, store.root.parent)
    words = []
    for start in found.journal.starts:
        there, mine = start.provenance.get("commit"), here.facts.get("commit")
        if there != mine:
            words.append(f"was trained by the code version {_short(there)}; this is {_short(mine)}")
        elif start.provenance.get("diff") != here.facts.get("diff"):
            words.append(f"was trained with other uncommitted changes to the code version {_short(mine)}")
        elif start.provenance.get("engine", here.facts.get("engine")) != here.facts.get("engine"):
            words.append("was trained by other files of the workbench itself")
        for name, version in here.versions.items():
            if start.versions.get(name, version) != version:
                words.append(f"was trained by {name} {start.versions[name]}; this is {version}")
    if found.journal.starts[0].spec.get("devices") != root.to_json()["devices"]:
        words.append("was trained on other devices, whose last bits may differ")
    return list(dict.fromkeys(words))


def _short(commit: object) -> str:
    return str(commit)[:10] if commit else "unknown"


# ---------------------------------------------------------------- what a branch takes over


def inherit(request: RunRequest, state: checkpoint.State, tracker: Tracker) -> None:
    """Give a new branch what its trunk had best: the checkpoint and the scores of that epoch."""
    trunk, best = state.facts["trunk"], state.facts["best"]
    if best is None:
        return
    folder = request.store.run_checkpoints(str(trunk["run"]))
    target = request.store.run_checkpoints(request.run) / checkpoint_file.BEST
    for name in (checkpoint_file.kept_name(int(trunk["epoch"]), best=True), checkpoint_file.BEST):
        if (folder / name).exists() and _is_of(folder / name, best["step"]) and not target.exists():
            _link(folder / name, target)
    run = str(trunk["run"])
    for path in sorted((request.store.run_artifacts(run) / BEST_SCORES).glob("*.npz")):
        kept = sound_scores(request.store, run, path.stem)
        if kept is not None and kept.epoch == best["epoch"]:
            tracker.artifact(f"{BEST_SCORES}/{path.name}", path=path)


def _is_of(path: Path, step: int) -> bool:
    try:
        return bool(checkpoint_file.read(path).facts["step"] == step)
    except RecordError:
        return False


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
