"""The other stack against this one: how long the same work takes with each TensorFlow.

`make bench BENCH=stacks OTHER=.venv-3.13/bin/python`. A process of each stack stays ready and does one piece of work
when asked, in turn with the other, so that both meet the same machine. A ratio above 1 says that the other
stack takes longer; beside that of the clock stands that of processor time, which other programs disturb less.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paired import Row, spread

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
OTHER = os.environ.get("WORKBENCH_OTHER_PYTHON", "")
AT_MOST = 1.1
STEPS = 30
Work = Callable[[], Any]


def training(folder: Path) -> Work:
    """The training part of an epoch, by the real runner."""
    import bench_training

    from workbench.distribute import setup

    experiment = bench_training.spec()
    setup.prepare(experiment)
    work = bench_training.session(experiment, folder)
    plan = experiment.plans()[0]
    return lambda: work._fit(plan, STEPS, work.epoch + 1)


def pipeline(folder: Path) -> Work:
    """A folder of JPEG files: read, decoded and flipped."""
    import bench_data

    from workbench import Flip, ImageFolder
    from workbench.data import pipeline
    from workbench.spec.interfaces import Places

    bench_data.write_jpegs(folder / "faces")
    where = Places((folder,), folder / "cache")
    images, train, _ = pipeline.open_split(ImageFolder("faces", keep="no"), where, 0)
    plan = bench_data.plan((Flip(),), epochs=2)
    batches = pipeline.training(images, train, plan, bench_data.SIZE, 0, len(train) // bench_data.BATCH)
    return lambda: sum(1 for _ in batches)


def head(folder: Path) -> Work:
    """ArcFace over 85,742 identities: value, gradients and the update of the weights."""
    import bench_heads

    from workbench import ArcFace

    step = bench_heads.ours(ArcFace(), optimizer=bench_heads.sgd())
    return lambda: [part.numpy() for part in step()]


def evaluation(folder: Path) -> Work:
    """Pairs of 1,024 images, with all measures."""
    import bench_verification

    model, evaluator, _ = bench_verification.compared()
    return lambda: evaluator.evaluate(model)


def pairs(folder: Path) -> Work:
    """Every measure of 15 million scored pairs."""
    import bench_verification

    scores, same = bench_verification.scored(bench_verification.MANY)
    return lambda: bench_verification.report(scores, same)


def start(folder: Path) -> Work:
    """A process that prints its help."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "workbench", "--help"]
    return lambda: subprocess.run(words, env=environment, capture_output=True, check=True)


def tensorflow(folder: Path) -> Work:
    """A process that imports TensorFlow and builds a network: what `run` and `check` wait for."""
    words = [
        sys.executable,
        "-c",
        "from workbench.lazy import tf; tf.keras.layers.Dense(2)(tf.zeros([1, 2]))",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return lambda: subprocess.run(words, env=environment, capture_output=True, check=True)


# What is measured, its words in the table, and how often: the first of each (tracing, caches) is left out.
WORKS: dict[str, tuple[Callable[[Path], Work], str, int]] = {
    "training": (training, "training part of an epoch, MobileNet 0.5 at 64 pixels, batch 32", 7),
    "pipeline": (pipeline, "JPEG folder, decode + flip, 2,560 images", 9),
    "head": (head, "ArcFace over 85,742 identities, a step of 128", 7),
    "evaluation": (evaluation, "evaluation of 1,024 images, all measures", 9),
    "pairs": (pairs, "15 million pairs, every measure", 5),
    "start": (start, "workbench --help", 15),
    "tensorflow": (tensorflow, "import of TensorFlow, a first layer", 5),
}


def worked(work: Work) -> tuple[float, float]:
    """Return the seconds of one piece of work by the clock and of processor time, children included."""
    before, began = _processor(), time.perf_counter()
    work()
    return time.perf_counter() - began, _processor() - before


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def answer(name: str) -> None:
    """Do a work of WORKS whenever a line comes in, and print its seconds."""
    # Whatever TensorFlow and Keras print must not get between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        work = WORKS[name][0](Path(folder))
        work()
        print("ready", file=answers, flush=True)
        for _ in sys.stdin:
            print(json.dumps(worked(work)), file=answers, flush=True)


@contextmanager
def asked(python: str, name: str) -> Iterator[Callable[[], tuple[float, float]]]:
    """Start a stack's process for a work; what it gives asks it to do the work once."""
    words = [python, str(Path(__file__)), "--answer", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin and process.stdout

    def once() -> tuple[float, float]:
        print(file=process.stdin, flush=True)
        wall, work = json.loads(process.stdout.readline())
        return wall, work

    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{' '.join(words)} ended before it was ready")
        yield once
    finally:
        process.stdin.close()
        process.wait()


def row(name: str) -> Row:
    """Measure one work in turn with both."""
    _, words, repeats = WORKS[name]
    with asked(sys.executable, name) as here, asked(OTHER, name) as there:
        found = []
        for number in range(repeats):
            first, second = (here, there) if number % 2 == 0 else (there, here)
            one, two = first(), second()
            found.append((one, two) if number % 2 == 0 else (two, one))
    clock = spread([two[0] / one[0] for one, two in found])
    work = spread([two[1] / one[1] for one, two in found])
    mine, theirs = (spread([pair[side][0] for pair in found]).median for side in (0, 1))
    note = f"{theirs:.3g} s against {mine:.3g} s; processor time {work.median:.3g}"
    return Row(words, clock, at_most=AT_MOST, note=note)


def rows() -> list[Row]:
    """Measure all works, or say that there is nothing to compare with."""
    if not OTHER:
        print("the other stack: OTHER names no interpreter, nothing compared", file=sys.stderr)
        return []
    return [row(name) for name in WORKS]


if __name__ == "__main__":
    from paired import main

    if sys.argv[1:2] == ["--answer"]:
        answer(sys.argv[2])
    else:
        main(rows)
