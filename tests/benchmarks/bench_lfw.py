"""A whole training on LFW beside the plain ways to do it: the epoch, the evaluation of View 2, two jobs at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench_training import STEPS, bare, session
from paired import Row, compare, main

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("WORKBENCH_TEST_DATA") or ROOT.parent / "shared" / "data")
REPEATS = 5
SPEC = """
from lfw_view2 import fast
from workbench import Softmax, Stage
small = fast.folds()[0].but(stages=Stage(loss=Softmax(), epochs=4), learning_rate=0.05)
experiments = [small.but(seed=seed, name=f"r{seed}") for seed in (1, 2)]
"""


def recipe() -> Any:
    """Return the first fold of the study, with softmax alone and without what a plain Keras head lacks."""
    sys.path.insert(0, str(ROOT / "experiments"))
    from lfw_view2 import fast

    from workbench import Softmax, Stage

    one = fast.folds()[0]
    stages = Stage(loss=Softmax(), epochs=9 * REPEATS)
    return one.but(stages=stages, learning_rate=0.05, weight_decay=None, evaluate=())


def generator(folder: Path, files: list[str], labels: np.ndarray, size: int, batch: int) -> Iterator[Any]:
    """Yield batches for ever as a generator in Python makes them: Pillow decodes, NumPy mirrors and hides a square."""
    from PIL import Image

    rng = np.random.default_rng(0)
    while True:
        for chosen in rng.permutation(len(files))[: len(files) // batch * batch].reshape(-1, batch):
            images = np.empty((batch, size, size, 3), np.float32)
            for place, number in enumerate(chosen):
                with Image.open(folder / files[number]) as image:
                    pixels = np.asarray(
                        image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR), np.float32
                    )
                pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels.copy()
                side, y, x = round(0.35 * size), *rng.integers(0, size, 2)
                pixels[max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = 128
                images[place] = (pixels - 127.5) / 128
            yield images, labels[chosen]


def epochs() -> list[Row]:
    """Measure epochs of our loop, of `fit` on the same batches, and of `fit` on a generator."""
    from workbench.distribute import setup

    experiment = recipe()
    setup.prepare(experiment)
    plan = experiment.plans()[0]
    with tempfile.TemporaryDirectory() as name:
        work = session(experiment, Path(name))
        network, other = bare(experiment, work.data), bare(experiment, work.data)
        images = work.data.splits[plan.data].images
        batches = generator(DATA / "lfw", list(images.names), images.labels, work.data.size, plan.batch_size)

        def ours() -> None:
            work._fit(plan, STEPS, work.epoch + 1)

        def theirs() -> None:
            rows = work.data.training(plan, 0, work.epoch * STEPS).map(lambda x, y, ids: ((x, y)))
            network.fit(rows, steps_per_epoch=STEPS, epochs=1, verbose=0)

        def python() -> None:
            other.fit(batches, steps_per_epoch=STEPS, epochs=1, verbose=0)

        same = compare(ours, theirs, repeats=REPEATS, warmup=2)
        slow = compare(python, ours, repeats=REPEATS, warmup=1)
        work.tracker.close()
    note = f"the network of experiments/lfw_view2.py at 64 pixels, batch 64, {STEPS} steps an epoch"
    return [
        Row("LFW: an epoch / bare model.fit on the same data set", same, at_most=1.05, note=note),
        Row("LFW: model.fit on a generator in Python / an epoch of ours", slow, note=note),
    ]


def evaluation() -> list[Row]:
    """Measure View 2's 6,000 pairs against embedding their distinct images bare."""
    import tensorflow as tf

    from workbench import ImageFolder, Pairs
    from workbench.models.build import build_model
    from workbench.spec.interfaces import Places
    from workbench.verification.evaluator import Evaluator

    experiment = recipe()
    size, places = experiment.backbone.image_size, Places((DATA,))
    evaluator = Evaluator.open(
        Pairs("lfw/pairs.txt", name="lfw", overlap="warn"), places, ImageFolder("none"), size
    )
    model = build_model(experiment)

    @tf.function
    def both(images: tf.Tensor) -> tf.Tensor:
        inputs = (tf.cast(images, tf.float32) - 127.5) / 128
        one, other = tf.split(model(tf.concat([inputs, inputs[:, :, ::-1]], 0), training=False), 2)
        return one + other

    def plain() -> np.ndarray:
        pixels = evaluator.pixels
        return np.concatenate(
            [both(tf.constant(pixels[i : i + 128])).numpy() for i in range(0, len(pixels), 128)]
        )

    ratio = compare(lambda: evaluator.evaluate(model), plain, repeats=3)
    note = f"{len(evaluator.same):,} pairs, {len(evaluator.pixels):,} distinct images, mirrored ones added"
    return [Row("LFW: evaluation of View 2 / embedding its images bare", ratio, at_most=1.1, note=note)]


def jobs() -> list[Row]:
    """Measure two runs one after the other against the same two side by side."""
    with tempfile.TemporaryDirectory() as name:
        spec = Path(name) / "pair.py"
        spec.write_text(SPEC, encoding="utf-8")

        def seconds(count: int) -> float:
            environment = {
                **os.environ,
                "WORKBENCH_DATA": str(DATA),
                "WORKBENCH_STORE": f"{name}/mlruns{count}",
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'experiments'}",
            }
            words = [sys.executable, "-m", "workbench", "run", str(spec), "--jobs", str(count)]
            start = time.perf_counter()
            subprocess.run(words, check=True, env=environment, cwd=name, stdout=subprocess.DEVNULL)
            return time.perf_counter() - start

        ratio = seconds(1) / seconds(2)
    note = "four epochs of softmax each, starts and evaluations included"
    return [Row("LFW: runs an hour, two jobs / one", ratio, at_least=1.7, note=note)]


def rows() -> list[Row]:
    """Measure all, or only what `LFW_BENCH` names (epochs, evaluation, jobs), where the faces are."""
    if not (DATA / "lfw" / "pairs.txt").is_file():
        return [Row("LFW: the faces are absent (WORKBENCH_TEST_DATA)", float("nan"), unit="")]
    os.environ.setdefault("WORKBENCH_DATA", str(DATA))
    parts = {"epochs": epochs, "evaluation": evaluation, "jobs": jobs}
    wanted = os.environ.get("LFW_BENCH", " ".join(parts)).split()
    return [row for part in wanted for row in parts[part]()]


if __name__ == "__main__":
    main(rows)
