"""One measurement in a process of its own, so that it has a device's memory to itself: prints one JSON line.

python gpu_measure.py WHAT SPEC_FILE STEPS IMAGES
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from workbench.lazy import tf
from workbench.spec.load import load_variants

REPEATS = 3


def peak() -> float:
    """Return the most bytes that this process has held: of the first GPU, else of the process."""
    if tf.config.list_physical_devices("GPU"):
        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    import resource

    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def devices(spec: Any, steps: int, images: int) -> dict[str, Any]:
    """Return what TensorFlow sees, and that it takes memory only as it needs it."""
    from workbench.distribute import setup

    line = setup.prepare(spec)
    gpus = tf.config.list_physical_devices("GPU")
    tf.reduce_sum(tf.ones([1000, 1000])).numpy()
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    growth = [bool(tf.config.experimental.get_memory_growth(gpu)) for gpu in gpus]
    return {"device": line, "gpus": names, "growth": growth, "held": peak(), "tensorflow": tf.__version__}


def speed(spec: Any, steps: int, images: int) -> dict[str, Any]:
    """Return images a second of the workbench's epoch, of a bare `fit`, and of one on a batch that never changes."""
    from bench_training import bare, session

    from workbench.distribute import setup

    setup.prepare(spec)
    plan = spec.plans()[0]
    with tempfile.TemporaryDirectory() as name:
        work = session(spec, Path(name), steps)
        network = bare(spec, work.data)

        def real() -> Any:
            start = work.epoch * steps
            return work.data.training(plan, 0, start).map(lambda image, label, ids: (image, label))

        one = real().take(1).cache().repeat()
        actions = {
            "ours": lambda: work._fit(plan, steps, work.epoch + 1),
            "bare": lambda: network.fit(real(), steps_per_epoch=steps, epochs=1, verbose=0),
            "still": lambda: network.fit(one, steps_per_epoch=steps, epochs=1, verbose=0),
        }
        found = {key: quickest(action) for key, action in actions.items()}
        work.tracker.close()
    return {key: spec.batch_size * steps / seconds for key, seconds in found.items()}


def quickest(action: Any) -> float:
    """Return the seconds of the quickest of some calls, the first (tracing, filling caches) left out."""
    found = []
    for _ in range(1 + REPEATS):
        began = time.monotonic()
        action()
        found.append(time.monotonic() - began)
    return min(found[1:])


def evaluation(spec: Any, steps: int, images: int) -> dict[str, Any]:
    """Return the seconds of evaluating a set of `images` images, mirror images with them."""
    import numpy as np

    from workbench.distribute import setup
    from workbench.models.build import build_model
    from workbench.verification import embedders, models

    setup.prepare(spec)
    size = spec.backbone.image_size
    network = models.from_keras(build_model(spec), "speed", size)
    pixels = np.random.default_rng(0).integers(0, 255, (images, size, size, 3), np.uint8)
    embedders.in_batches(network._call, pixels[:256], "first")
    began = time.monotonic()
    found, _ = embedders.in_batches(network._call, pixels, "speed")
    assert len(found) == images and np.isfinite(found).all()
    return {"images": images, "seconds": time.monotonic() - began}


def head(spec: Any, steps: int, images: int) -> dict[str, Any]:
    """Return the peak memory of steps with heads of growing size beside the estimate of `workbench check`.

    On a GPU the head grows until memory ends; `most` is the last that fits.
    """
    from workbench.commands.dry_run import memory
    from workbench.distribute import setup
    from workbench.models.build import build_model
    from workbench.train.trainer import Trainer

    setup.prepare(spec)
    plan = spec.plans()[0]
    rows: list[dict[str, float]] = []
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    classes = 100_000 if on_gpu else 5_000
    for _ in range(12 if on_gpu else 2):
        tf.keras.backend.clear_session()
        if on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        try:
            trainer = Trainer(build_model(spec))
            trainer.begin_stage(plan, 1, classes)
            shape = [plan.batch_size, spec.backbone.image_size, spec.backbone.image_size, 3]
            batch = (tf.zeros(shape), tf.range(plan.batch_size), tf.range(plan.batch_size, dtype=tf.int64))
            step = tf.function(lambda batch=batch, trainer=trainer: trainer.train_step(batch))
            for _ in range(2):
                float(step()["loss"])
        except (tf.errors.ResourceExhaustedError, MemoryError):
            break
        rows.append({"classes": classes, "peak": peak(), "estimate": memory(plan, trainer)})
        classes *= 2
        del trainer, step
    return {"rows": rows}


def main(words: list[str]) -> None:
    what, path, steps, images = words
    (spec,) = (variant.experiment for variant in load_variants(path) if variant.name == "speed")
    action = {"devices": devices, "speed": speed, "evaluation": evaluation, "head": head}[what]
    print(json.dumps(action(spec, int(steps), int(images))))


if __name__ == "__main__":
    main(sys.argv[1:])
