"""SIGKILL a three-stage training at planted places and random moments; every resume must be bit-equal.

    python tests/acceptance/kills.py [--seed 1] [--kills 56] [--data FOLDER]

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
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from planted import PHASES  # noqa: E402

from workbench.tracking.journal import read_journal  # noqa: E402
from workbench.train import checkpoint  # noqa: E402

SPEC = '''"""Is a resumed run the same run?"""
from workbench import (ArcFace, Cosine, Experiment, Flip, GDC, HeldOutPairs, ImageFolder, MobileFaceNet, SGD, Safety,
                       Softmax, Stage, SyntheticFaces)
experiment = Experiment(
    data={data}, evaluate=HeldOutPairs(identities=4, pairs=60, name="unseen"),
    backbone=MobileFaceNet(image_size=32, width=0.25), embedding=GDC(size=16, dropout=0.2),
    stages=(Stage(loss=Softmax(), epochs=2), Stage(loss=ArcFace(scale=16), epochs=1, train="head"),
            Stage(loss=ArcFace(scale=16), epochs=2)),
    optimizer=SGD(momentum=0.9), learning_rate=Cosine(peak=0.05, floor=1e-3, cycle=5), weight_decay=5e-4,
    augment=Flip(), batch_size=16, safety=Safety(every_steps=2),
)
'''


def program(project: Path, phase: str, count: int, *words: str) -> subprocess.Popen[bytes]:
    """Start the program in `project`, with a kill planted in `phase`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, str(HERE / "planted.py"), phase, str(count), *words]
    log = (project / "log.txt").open("ab")
    return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log)


def final(project: Path, run: str) -> tuple[dict[str, Any], list[Any]]:
    """Return the last state's arrays and the accepted rows without time, duration and attempt."""
    state = checkpoint.newest(project / "mlruns" / "checkpoints" / run)
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
                process.wait(rng.uniform(4, 14))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        status = process.wait(600)
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
    words.add_argument(
        "--data", default=os.environ.get("WORKBENCH_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    )
    given = words.parse_args()
    rng = random.Random(given.seed)
    project = Path(tempfile.mkdtemp(prefix="kills-"))
    (project / "experiments").mkdir()
    (project / "mlruns").mkdir()
    faces = Path(given.data) / "orl_faces"
    data = (
        f'ImageFolder("{faces}", first=16)' if faces.is_dir() else "SyntheticFaces(identities=16, images=10)"
    )
    (project / "experiments" / "kills.py").write_text(SPEC.format(data=data))
    print(
        f"seed {given.seed}, data {'ORL faces' if faces.is_dir() else 'drawn faces (no ORL faces here)'}, {project}"
    )
    whole = program(project, "", 0, "run", "experiments/kills.py", "--run-name", "20260101T000000Z-00000000")
    if whole.wait(900):
        raise SystemExit(f"the undisturbed run failed; see {project / 'log.txt'}")
    expected = final(project, "20260101T000000Z-00000000")
    return report(*until_enough(project, given.kills, rng, expected))


def until_enough(
    project: Path, kills: int, rng: random.Random, expected: Any
) -> tuple[Counter[str], int, list[str]]:
    """Interrupt runs until enough kills fell, at least three in each phase."""
    fell: Counter[str] = Counter()
    runs, wrong, began = 0, [], time.monotonic()
    phases = [*PHASES, "random"]
    while sum(fell.values()) < kills or min(fell[phase] for phase in phases) < 3:
        runs += 1
        behind = sorted(phases, key=lambda phase: fell[phase])[:5]
        plan = [(phase, rng.randint(1, 2)) for phase in rng.sample(behind, 5)]
        run = f"20260101T000000Z-{runs:08x}"
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
