"""Ten SIGKILLs at seeded random moments of real sweeps, and still every trial once: the issue's own proof.

    python tests/acceptance/sweep_kills.py --kills 10 --seed 1

Each of the grid, Hyperband and Bayesian sweeps, and a chief with two workers, is first run undisturbed,
then again with kills: the whole process group dies at a random moment, and `--resume` goes on. Afterwards
each trial must be there once, its epochs must be 1, 2, 3 ... without a gap or a repeat among those that
count, and (in one process) its values must be those of the undisturbed sweep.
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
    stages=(Stage(loss=Softmax(), epochs=3), Stage(loss=Softmax(), epochs=3, learning_rate=0.01)),
    optimizer=SGD(momentum=0.9), learning_rate=0.05, batch_size=64,
)
space = {"weight_decay": Choice(0, 1e-3), "label_smoothing": Choice(0, 0.1), "backbone.units.1": Choice(8, 16)}
kinds = {
    "grid": GridSearch(), "hyperband": Hyperband(max_epochs=6, factor=2),
    "bayes": BayesianOptimization(max_trials=6, num_initial_points=4), "workers": GridSearch(),
}
sweeps = [
    Sweep(base=experiment, space=space, tuner=tuner, objective="val_accuracy", name=prefix + name)
    for name, tuner in kinds.items() for prefix in ("", "killed-")
]
'''
NAMES = ("grid", "hyperband", "bayes", "workers")


def begin(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a sweep in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "out.txt").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", "sweep", "spec.py", *words], cwd=folder, env=environment,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip


def words_of(name: str) -> list[str]:
    """Return the options of a sweep."""
    return ["--workers", "2"] if name.endswith("workers") else []


def undisturbed(folder: Path, name: str) -> float:
    """Run a sweep to its end; return the seconds it took."""
    began = time.monotonic()
    status = begin(folder, name, *words_of(name)).wait(timeout=900)
    assert status == 0, (folder / "out.txt").read_text()[-2000:]
    return time.monotonic() - began


def killed(folder: Path, name: str, kills: int, seconds: float, chance: random.Random) -> list[float]:
    """Run a sweep with kills at random moments; return the moments, seconds after each start."""
    moments = []
    for _ in range(kills):
        process = begin(folder, name, "--resume", *words_of(name))
        moment = chance.uniform(2.0, max(4.0, seconds))
        try:
            process.wait(timeout=moment)
            assert process.returncode == 0, (folder / "out.txt").read_text()[-2000:]
            moments.append(-1.0)  # it was done before
            continue
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            moments.append(round(moment, 1))
    status = begin(folder, name, "--resume", *words_of(name)).wait(timeout=900)
    assert status == 0, (folder / "out.txt").read_text()[-2000:]
    return moments


def trials(folder: Path, name: str) -> list[Any]:
    """Return what a sweep's record and its runs' journals hold, and check that they agree."""
    from workbench.tracking import sweeps
    from workbench.tracking.journal import read_journal
    from workbench.tracking.store import find_store

    store = find_store(str(folder / "mlruns"))
    record = sweeps.require(store, name)
    own = [
        run
        for run in store.runs()
        if (s := read_journal(store.journal(run)).start) and s.parent == record.run
    ]
    assert sorted(own) == sorted(record.runs), "a run was lost or doubled"
    found = []
    for trial in record.trials:
        assert trial.status == "completed", trial
        rows = read_journal(store.journal(trial.order.runs[0])).accepted()
        assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
        values = [row.metrics["val_accuracy"] for row in rows if row.epoch <= trial.order.epochs]
        assert len(values) == trial.order.epochs and max(values) == trial.score
        found.append(
            (trial.id, trial.order.chain, trial.order.epochs, dict(trial.order.settings), trial.score)
        )
    settings = [str(row[3]) for row in found if row[0] == row[1]]
    assert len(set(settings)) == len(settings), "settings were tried twice"
    return found


def main() -> None:
    """Run the proof and print its table."""
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=10)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", nargs="*", default=NAMES)
    given = options.parse_args()
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "spec.py").write_text(SPEC)
        (folder / "mlruns").mkdir()
        share = {kind: given.kills // len(given.only) for kind in given.only}
        for kind in list(given.only)[: given.kills % len(given.only)]:
            share[kind] += 1
        for kind in given.only:
            seconds = undisturbed(folder, kind)
            moments = killed(folder, f"killed-{kind}", share[kind], seconds, chance)
            whole, again = trials(folder, kind), trials(folder, f"killed-{kind}")
            if kind == "workers":  # which worker is first is chance: the set of trials is not
                key = lambda row: str(row[3])  # noqa: E731
                whole, again = ([row[2:] for row in sorted(own, key=key)] for own in (whole, again))
            equal = "equal to the undisturbed sweep" if whole == again else "NOT EQUAL"
            print(
                f"{kind}: {seconds:.0f} s alone, kills at {moments} s, {len(again)} trials, {equal}",
                flush=True,
            )
            assert whole == again, (whole, again)


if __name__ == "__main__":
    main()
