"""SIGKILL a three-stage training at planted places and random moments; every resume must be bit-equal.

    python tests/acceptance/kills.py [--seed 1] [--kills 56] [--data FOLDER] [--light] [--branch]

`--branch` kills a branch with parts of its own, each time with a trunk of its own, whose training is killed too.
`--light` trains a small network in forks of one process that has imported everything: a fifth of the time.
Prints a table of kills by phase. Needs the ORL faces for the real thing; without them it runs on drawn
faces and says so. Weights, optimizer, random states and accepted rows of each interrupted run are
compared with those of one run that nobody disturbed.
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
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import planted  # noqa: E402
from planted import PHASES  # noqa: E402

from workbench.tracking.journal import read_journal  # noqa: E402
from workbench.train import checkpoint_file  # noqa: E402

SPEC = '''"""Is a resumed run the same run?"""
from workbench import (ArcFace, Cosine, Experiment, Flip, GDC, HeldOutPairs, ImageFolder, MobileFaceNet, PlainCNN, SGD,
                       Safety, Softmax, Stage, SyntheticFaces)
experiment = Experiment(
    data={data}, evaluate=HeldOutPairs(identities=4, pairs=60, name="unseen"),
    backbone=MobileFaceNet(image_size=32, width=0.25), embedding=GDC(size=16, dropout=0.2),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=ArcFace(scale=16), epochs=1, train="head"),
            Stage(loss=ArcFace(scale=16), epochs=2)),
    optimizer=SGD(momentum=0.9), learning_rate=Cosine(peak=0.05, floor=1e-3, cycle=5), weight_decay=5e-4,
    augment=Flip(), batch_size=16, safety=Safety(every_steps=2),
)
'''


TREE = """
class Own(Loss):
    strength: float = setting(0.5, doc="how strong")

    def classifier(self):
        return Softmax().classifier()

    def layer(self, classes, size, batch_size, teacher=None):
        return Softmax().layer(classes, size, batch_size, teacher)

class Dim(Augmentation):
    share: float = setting(0.9, doc="what is left of the light")

    def image(self, image, seed):
        return tf.cast(tf.cast(image, tf.float32) * self.share, tf.uint8)

experiment = experiment.branch(at_epoch=3, stages=(Stage(loss=Own(), epochs=1), Stage(loss=Softmax(), epochs=1)),
                               augment=Dim(), name="own")
"""
OWN = "from workbench.lazy import tf\nfrom workbench.spec.interfaces import Augmentation, Loss\nfrom workbench.spec.part import setting\n"
LIGHT = (
    ("MobileFaceNet(image_size=32, width=0.25)", "PlainCNN(image_size=24, filters=(4, 4, 4), dense=16)"),
    ("GDC(size", "E(size"),
    ("import (ArcFace,", "import (E, ArcFace,"),
)


class Forked:
    """An attempt as a fork of this process, which has imported everything and begun nothing."""

    def __init__(self, project: Path, phase: str, count: int, words: tuple[str, ...]) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        log = os.open(project / "log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        status = 1
        try:
            for number in (1, 2):
                os.dup2(log, number)
            os.chdir(project)
            status = planted.main(phase, count, list(words))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise subprocess.TimeoutExpired("fork", timeout)


light = False  # set by --light


def import_everything() -> None:
    """Import what a training imports, and start nothing: no thread may be at work when a process forks."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import tensorflow as tf  # noqa: F401

    from workbench.commands import resume, run  # noqa: F401
    from workbench.train import callbacks, runner, trainer  # noqa: F401


def program(project: Path, phase: str, count: int, *words: str) -> Any:
    """Start the program in `project`, with a kill planted in `phase`."""
    if light:
        return Forked(project, phase, count, words)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, str(HERE / "planted.py"), phase, str(count), *words]
    log = (project / "log.txt").open("ab")
    return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)


def final(project: Path, run: str) -> tuple[dict[str, Any], list[Any]]:
    """Return the last state's arrays and the accepted rows without time, duration and attempt."""
    state = checkpoint_file.newest(project / "mlruns" / "checkpoints" / run)
    assert state is not None
    rows = read_journal(project / "mlruns" / "journal" / f"{run}.jsonl").accepted()
    return dict(state.arrays), [(r.epoch, r.stage, r.stage_epoch, r.step, dict(r.metrics)) for r in rows]


def equal(one: tuple[dict[str, Any], list[Any]], other: tuple[dict[str, Any], list[Any]]) -> bool:
    arrays = one[0].keys() == other[0].keys() and all(np.array_equal(one[0][n], other[0][n]) for n in one[0])
    return bool(arrays and one[1] == other[1])


def interrupted(project: Path, run: str, plan: list[tuple[str, int]], rng: random.Random) -> Counter[str]:
    """Run once with the planned kills, one an attempt, then let it end; returns the kills that fell."""
    fell: Counter[str] = Counter()
    for phase, count in [*plan, ("", 0)]:
        begun = (project / "mlruns" / "journal" / f"{run}.jsonl").exists()
        words = ("resume", run) if begun else ("run", "experiments/kills.py", "--run-name", run)
        process = program(project, phase, count, *words)
        if phase == "random":
            try:
                process.wait(rng.uniform(*((2, 9) if light else (4, 14))))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        status = process.wait(1200)
        if status == -signal.SIGKILL:
            fell[phase] += 1
        elif status != 0:
            raise SystemExit(
                f"{run}: {phase or 'the last attempt'} ended with {status}; see {project / 'log.txt'}"
            )
        else:
            break
    return fell


def main() -> int:
    words = argparse.ArgumentParser()
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--kills", type=int, default=56)
    words.add_argument("--least", type=int, default=3, help="kills in each phase")
    words.add_argument("--light", action="store_true")
    words.add_argument("--branch", action="store_true")
    words.add_argument(
        "--data", default=os.environ.get("WORKBENCH_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    )
    given = words.parse_args()
    global light
    light = given.light
    if light:
        import_everything()
    rng = random.Random(given.seed)
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    faces = Path(given.data) / "orl_faces"
    data = (
        f'ImageFolder("{faces}", first=16)' if faces.is_dir() else "SyntheticFaces(identities=16, images=10)"
    )
    spec = SPEC.format(data=data)
    if light:
        for old, new in LIGHT:
            spec = spec.replace(old, new)
    if given.branch:
        spec = spec.replace("from workbench", OWN + "from workbench", 1) + TREE
    print(
        f"seed {given.seed}, data {'ORL faces' if faces.is_dir() else 'drawn faces (no ORL faces here)'}, {base}"
    )
    project = made(base / "whole", spec)
    whole = program(project, "", 0, "run", "experiments/kills.py", "--run-name", "20260101T000000Z-00000000")
    if whole.wait(1800):
        raise SystemExit(f"the undisturbed run failed; see {project / 'log.txt'}")
    expected = final(project, "20260101T000000Z-00000000")
    return report(*until_enough(base, spec, given, rng, expected))


def made(project: Path, spec: str) -> Path:
    """Make a project with the spec; each run has its own, so that each branch has a trunk to train."""
    for inner in ("experiments", "mlruns"):
        (project / inner).mkdir(parents=True)
    (project / "experiments" / "kills.py").write_text(spec)
    return project


def until_enough(
    base: Path, spec: str, given: Any, rng: random.Random, expected: Any
) -> tuple[Counter[str], int, list[str]]:
    """Interrupt runs until enough kills fell, and enough of them in each phase."""
    fell: Counter[str] = Counter()
    runs, wrong, began = 0, [], time.monotonic()
    phases = [*PHASES, "random"]
    while sum(fell.values()) < given.kills or min(fell[phase] for phase in phases) < given.least:
        runs += 1
        behind = sorted(phases, key=lambda phase: fell[phase])[:5]
        plan = [(phase, rng.randint(1, 2)) for phase in rng.sample(behind, 5)]
        run = f"20260101T000000Z-{runs:08x}"
        project = made(base / run, spec)
        fell += interrupted(project, run, plan, rng)
        if not equal(final(project, run), expected):
            wrong.append(run)
        print(
            f"run {runs}: {sum(fell.values())} kills, {len(wrong)} differ, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    return fell, runs, wrong


def report(fell: Counter[str], runs: int, wrong: list[str]) -> int:
    print("\n| killed | times |\n| --- | --- |")
    for phase, count in fell.most_common():
        print(f"| {phase} | {count} |")
    print(
        f"\n{sum(fell.values())} kills in {runs} runs; {runs - len(wrong)} bit-equal, {len(wrong)} differ {wrong}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
