"""SIGKILLs at seeded random moments of real sweeps, and still every trial once: the proof of issue 13's promise.

    python tests/acceptance/sweep_kills.py --kills 12 --seed 1

A grid, a Hyperband, a Bayesian sweep, and a chief with two workers, are each first run undisturbed, which
says how long the work takes from its first line on. Then a sweep of the same settings is killed: the
moments are places drawn at random within that time, and each start is killed (the whole process group,
workers too) when it has done its part up to the next place. So all kills fall into the work; a
sweep that ends before its kill is said and fails the proof. Afterwards each trial must be there once, the
epochs that count must be 1, 2, 3 ..., no resume may begin before the last checkpoint, and the values must be
those of the undisturbed sweep.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SPEC = '''"""Which?"""
from workbench import *
experiment = Experiment(
    data=Digits(hold_out=0.2), backbone=MLP(image_size=8, units=(16,)), embedding=F(size=8),
    stages=(Stage(loss=Softmax(), epochs=6), Stage(loss=Softmax(), epochs=6, learning_rate=0.01)),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=16,
)
space = {"weight_decay": Choice(0, 1e-3), "label_smoothing": Choice(0, 0.1), "backbone.units.1": Choice(8, 16)}
kinds = {
    "grid": GridSearch(), "hyperband": Hyperband(max_epochs=12, factor=3),
    "bayes": BayesianOptimization(max_trials=7, num_initial_points=4), "workers": GridSearch(),
}
sweeps = [
    Sweep(base=experiment, space=space, tuner=tuner, objective="val_accuracy", name=prefix + name)
    for name, tuner in kinds.items() for prefix in ("", "killed-")
]
'''
NAMES = ("grid", "hyperband", "bayes", "workers")
PATIENCE = 900.0  # seconds for anything


class Started:
    """A sweep in a process group of its own, its output in a file."""

    def __init__(self, folder: Path, name: str, *words: str) -> None:
        self.out = folder / f"{name}-{len(list(folder.glob('*.txt')))}.txt"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "workbench", "sweep", "spec.py", name, *words]
        command += ["--workers", "2"] if name.endswith("workers") else []
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def wait_for_work(self) -> None:
        """Wait for the first line: everything is imported, the sweep is begun or taken up."""
        deadline = time.monotonic() + PATIENCE
        while not self.out.read_text().startswith("sweep ") and self.process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def finish(self) -> None:
        """Wait for the end, which must be a good one."""
        assert self.process.wait(timeout=PATIENCE) == 0, self.out.read_text()[-2000:]

    def kill_after(self, seconds: float) -> bool:
        """Kill all of it so long from now; False where it ended before."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return True
        self.finish()
        return False


def undisturbed(folder: Path, name: str) -> float:
    """Run a sweep to its end; return the seconds from its first line on."""
    started = Started(folder, name)
    started.wait_for_work()
    began = time.monotonic()
    started.finish()
    return time.monotonic() - began


def killed(folder: Path, name: str, kills: int, seconds: float, chance: random.Random) -> list[str]:
    """Run a sweep with kills at random places of its work; return what each met."""
    places = sorted(chance.uniform(0.0, 0.95 * seconds) for _ in range(kills))
    met = []
    for place, before in zip(places, [0.0, *places]):
        started = Started(folder, name, "--resume")
        started.wait_for_work()
        landed = started.kill_after(place - before)
        met.append(
            f"+{place - before:.1f} s {at_work(folder, name)}" if landed else "NOT LANDED: it was done"
        )
    Started(folder, name, "--resume").finish()
    return met


def at_work(folder: Path, name: str) -> str:
    """Return what a kill met: the trials done, and how far those at work were."""
    from workbench.tracking import sweeps
    from workbench.tracking.journal import read_journal
    from workbench.tracking.store import find_store

    store = find_store(str(folder / "mlruns"))
    record = sweeps.require(store, name)
    done = sum(trial.status == "completed" for trial in record.trials)
    words = []
    for trial in (trial for trial in record.trials if trial.status == "running"):
        path = store.journal(trial.request.runs[0])
        rows = read_journal(path).accepted() if path.exists() else []
        words.append(
            f"{trial.id} after epoch {len(rows)} of {trial.request.epochs}"
            if rows
            else f"{trial.id} at its start"
        )
    return f"({done} done, {', '.join(words) or 'between trials'})"


def trials(folder: Path, name: str) -> list[Any]:
    """Return what a sweep's record and its runs' journals hold, and check that they agree."""
    from workbench.tracking import sweeps
    from workbench.tracking.journal import read_journal
    from workbench.tracking.store import find_store

    store = find_store(str(folder / "mlruns"))
    record = sweeps.require(store, name)
    starts = {run: read_journal(store.journal(run)).start for run in store.runs()}
    own = [run for run, start in starts.items() if start and start.parent == record.run]
    assert sorted(own) == sorted(record.runs), "a run was lost or doubled"
    found = []
    for trial in record.trials:
        assert trial.status == "completed", trial
        journal = read_journal(store.journal(trial.request.runs[0]))
        rows = journal.accepted()
        assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
        assert not begun_too_early(journal), "a trial was begun again before its last checkpoint"
        values = [row.metrics["val_accuracy"] for row in rows if row.epoch <= trial.request.epochs]
        assert len(values) == trial.request.epochs and max(values) == trial.score
        found.append(
            (trial.id, trial.request.chain, trial.request.epochs, dict(trial.request.settings), trial.score)
        )
    settings = [str(row[3]) for row in found if row[0] == row[1]]
    assert len(set(settings)) == len(settings), "settings were tried twice"
    return found


def begun_too_early(journal: Any) -> list[int]:
    """Return the attempts of a run that trained again what a checkpoint held already."""
    from workbench.tracking.rows import CheckpointRecord, StartRecord

    held, found = 0, []
    for number, row in enumerate(journal.rows):
        if isinstance(row, CheckpointRecord):
            held = row.epoch
        if isinstance(row, StartRecord) and row.from_epoch <= held:
            found.append(number)
    return found


def prove(folder: Path, kind: str, kills: int, seed: int) -> bool:
    """Run one kind with and without kills and print its line; return whether it held."""
    seconds = undisturbed(folder, kind)
    met = killed(folder, f"killed-{kind}", kills, seconds, random.Random(f"{seed} {kind}"))
    whole, again = trials(folder, kind), trials(folder, f"killed-{kind}")
    if kind == "workers":  # which worker is first is chance: the set of trials is not
        whole, again = (sorted(([*row[2:]] for row in own), key=str) for own in (whole, again))
    print(f"{kind}: {seconds:.0f} s of work undisturbed, {len(again)} trials, {kills} kills", flush=True)
    for words in met:
        print(f"    {words}")
    print(
        "    every trial once,",
        "equal" if whole == again else "NOT EQUAL",
        "to the undisturbed sweep",
        flush=True,
    )
    return whole == again and not any(words.startswith("NOT") for words in met)


def main() -> int:
    """Run the proof, print its table and the number of kills; return 1 where it did not hold."""
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=12)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    given = options.parse_args()
    share = {
        kind: given.kills // len(given.only) + (number < given.kills % len(given.only))
        for number, kind in enumerate(given.only)
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spec.py").write_text(SPEC)
        (folder / "mlruns").mkdir()
        held = [prove(folder, kind, share[kind], given.seed) for kind in given.only]
    print(f"{given.kills} kills, seed {given.seed}:", "held" if all(held) else "DID NOT HOLD")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
