"""Data: how near the pipeline comes to the decoder alone, and the index to doing nothing.

Images are JPEG faces of 112 x 112, drawn. Each side of a rate reads and batches the same images and
gives images per second; the ratio is ours to bare.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from paired import Ratio, Row, compare_measured, main, spread

SIZE, BATCH, PEOPLE, EACH = 112, 64, 20, 64
FILES = int(os.environ.get("BENCH_FILES", "100000"))


def rows() -> list[Row]:
    """Return all rows; BENCH_FILES=1000000 measures the index of a million."""
    with scratch() as root:
        write_jpegs(root / "faces")
        return [*rates(root), *fitting(root), *indexing(root)]


@contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bench-data-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_jpegs(folder: Path) -> None:
    from PIL import Image

    from workbench.data.sources import face_drawing

    who, which = np.repeat(np.arange(PEOPLE), EACH), np.tile(np.arange(EACH), PEOPLE)
    for person, number, pixels in zip(who, which, face_drawing.draw(0, who, which, SIZE, 1.0, 0.1, 4.0)):
        place = folder / f"p{person:03d}" / f"{number:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place, quality=95)


def plan(augment: tuple[Any, ...] = (), epochs: int = 1) -> Any:
    from workbench.spec.plan import Plan

    empty = dict.fromkeys(Plan.__dataclass_fields__)
    whole = {
        **empty,
        "first_epoch": 1,
        "last_epoch": epochs,
        "epochs": epochs,
        "batch_size": BATCH,
        "extras": {},
    }
    return replace(Plan(**whole), augment=augment)  # type: ignore[arg-type]


def speed(dataset: Any, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return images per second of one pass, the first batch (building, starting threads) left out.

    With `time.process_time` the seconds are those of all cores together: on a machine that others use
    too it tells the work of both sides better than the wall clock.
    """
    rows = iter(dataset)
    next(rows)
    start, count = clock(), 0
    for row in rows:
        count += int(row[0].shape[0])
    return count / (clock() - start)


def rates(root: Path) -> list[Row]:
    import tensorflow as tf

    from workbench import Flip, ImageFolder, RandAugment, RecordIO
    from workbench.data import convert, pipeline
    from workbench.spec.interfaces import Places

    where = Places((root,), root / "cache")
    folder = ImageFolder("faces", keep="no")
    convert.to_recordio(folder.encoded(where), root / "t.rec")
    files = sorted((root / "faces").glob("*/*.jpg"))
    paths = tf.constant([str(path) for path in files])
    contents = tf.constant([path.read_bytes() for path in files])
    steps = PEOPLE * EACH // BATCH

    def ours(source: Any, augment: tuple[Any, ...], threads: int = pipeline.THREADS) -> Any:
        images, train, _ = pipeline.open_split(source, where, 0)
        stage = plan(augment, epochs=2)
        dataset = pipeline.training(images, train, stage, SIZE, 0, steps, threads=threads)
        return lambda clock=time.perf_counter: speed(dataset, clock)

    def bare(threads: int = pipeline.THREADS, files: bool = False) -> Any:
        def decoded(content: tf.Tensor) -> tf.Tensor:
            return (tf.io.decode_jpeg(tf.io.read_file(content) if files else content, channels=3),)

        given = tf.data.Dataset.from_tensor_slices(paths if files else contents).repeat(2)
        options = tf.data.Options()
        options.autotune.enabled = False  # as ours: quicker, so an honest rival
        batched = (
            given.map(decoded, num_parallel_calls=threads).batch(BATCH).prefetch(4).with_options(options)
        )
        return lambda clock=time.perf_counter: speed(batched, clock)

    flip, rand = ours(folder, (Flip(),)), ours(folder, (Flip(), RandAugment(magnitude=5)))
    strong = ours(folder, (Flip(), RandAugment(magnitude=15)))
    held = ours(folder.but(keep="encoded"), (Flip(),))
    records = ours(RecordIO("t.rec", keep="no"), (Flip(),))
    memory = ours(folder.but(keep="decoded"), (Flip(),))
    alone, reading = bare(), bare(files=True)
    cores = f"{pipeline.THREADS} threads"
    sides = (
        ("JPEG folder, decode + flip / bare reading and decoding of its files", flip, reading, 0.9, cores),
        (
            "the same / bare decoding of bytes in memory",
            flip,
            alone,
            None,
            "what reading costs stands on one side",
        ),
        ("encoded images kept in memory, decode + flip / bare decoding", held, alone, 0.9, ""),
        (
            "folder + RandAugment of 2 operations / bare reading and decoding",
            rand,
            reading,
            0.35,
            "magnitude 5",
        ),
        ("the same / bare decoding of bytes in memory", rand, alone, None, ""),
        ("folder + RandAugment of magnitude 15 / bare reading and decoding", strong, reading, None, ""),
        ("RecordIO / folder, images/s", records, flip, 0.9, ""),
        ("small set decoded in memory / bare decoding", memory, alone, None, "`keep='auto'` up to 256 MiB"),
    )
    result = [
        Row(name, compare_measured(a, b, 7), None, least, note=note) for name, a, b, least, note in sides
    ]
    for name, a, b, _, _ in sides[:4]:
        work = compare_measured(lambda a=a: a(time.process_time), lambda b=b: b(time.process_time), 7)
        result.append(Row(f"processor time: {name}", work, note="images a second of work of all cores"))
    for threads in (1, 2, 4, 8):
        few, by_few = ours(folder, (Flip(),), threads), bare(threads, files=True)
        ratio = compare_measured(few, by_few, 3)
        note = f"{spread([few() for _ in range(3)]).median:,.0f} images/s against {by_few():,.0f}"
        result.append(Row(f"folder, decode + flip / bare, {threads} parallel calls", ratio, note=note))
    return result


def fitting(root: Path) -> list[Row]:
    """Return what the pipeline costs a training on a small set: Keras `fit` of ours to `fit` of arrays."""
    import tensorflow as tf

    from workbench import Flip, ImageFolder
    from workbench.data import pipeline
    from workbench.pixels import normalise
    from workbench.spec.interfaces import Places

    size, epochs = 32, 2
    images, train, _ = pipeline.open_split(ImageFolder("faces"), Places((root,), root / "cache"), 0)
    model = tf.keras.applications.MobileNet((size, size, 3), alpha=0.5, weights=None, classes=PEOPLE)
    model.compile("sgd", "sparse_categorical_crossentropy")
    numbers = tf.constant(train)
    assert images.batches is not None
    gather = images.batches(size)
    assert gather is not None
    x, y = normalise(gather(numbers)).numpy(), images.labels[train]
    steps = len(train) // BATCH

    def of_arrays() -> float:
        start = time.perf_counter()
        model.fit(x[: steps * BATCH], y[: steps * BATCH], batch_size=BATCH, epochs=epochs, verbose=0)
        return time.perf_counter() - start

    def of_pipeline() -> float:
        dataset = pipeline.training(images, train, plan((Flip(),), epochs), size, 0, steps)
        pairs = dataset.map(lambda a, b, _: (normalise(a), b))
        start = time.perf_counter()
        model.fit(pairs, epochs=epochs, steps_per_epoch=steps, verbose=0)
        return time.perf_counter() - start

    of_arrays()
    of_pipeline()
    ratio = compare_measured(of_pipeline, of_arrays, 7)
    note = f"MobileNet alpha 0.5 at {size} x {size}, batch {BATCH}, flip included"
    return [Row("fit through the pipeline / fit of arrays in memory", ratio, 1.05, note=note)]


def indexing(root: Path) -> list[Row]:
    from workbench.data.sources import folder_index
    from workbench.spec.interfaces import Places

    many = root / "many"
    link_many(root / "faces", many, FILES)
    where = Places((root,), root / "cache")
    scanned = [timed(lambda: folder_index.scan(str(many)))]
    made = folder_index.folder_index(many, where)
    for folder in (many, *many.iterdir()):  # as if made a while ago: a folder changed just now is not trusted
        os.utime(folder, (time.time() - 60, time.time() - 60))
    made = folder_index.folder_index(many, where)
    cached, listed, walked = [], [], []
    for _ in range(5):
        cached.append(timed(lambda: folder_index.folder_index(many, where)))
        listed.append(timed(lambda: walk(many, sizes=True)))
        walked.append(timed(lambda: walk(many)))
    size = sum(getattr(made, name).nbytes for name in ("labels", "names", "offsets", "sizes"))
    label, once = f"index of {FILES:,} files", float(np.median(cached))
    looked = Ratio(scanned[0] / once, scanned[0] / max(cached), scanned[0] / min(cached))
    return [
        Row(
            f"{label}: scanning the folders (names and sizes) / from the cache",
            spread([w / c for w, c in zip(listed, cached)]),
            None,
            20,
            note=f"{np.median(listed):.2f} s against {once:.3f} s",
        ),
        Row(
            f"{label}: as the index is made, with a look into each file / from the cache",
            looked,
            note=f"{scanned[0]:.1f} s",
        ),
        Row(
            f"{label}: names alone / from the cache",
            spread([w / c for w, c in zip(walked, cached)]),
            note=f"{np.median(walked):.2f} s; no size, so no index",
        ),
        Row(f"{label}: memory a file", size / len(made), 200, unit="bytes"),
    ]


def timed(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def walk(root: Path, sizes: bool = False) -> int:
    """List every folder as the quickest scan would: names only, or with the sizes that an index holds."""
    count = 0
    for folder in os.scandir(root):
        with os.scandir(folder.path) as files:
            count += sum(file.stat().st_size if sizes else 1 for file in files)
    return count


def link_many(source: Path, target: Path, count: int) -> None:
    """Make `count` files of 100 a folder as hard links to a few images."""
    originals = sorted(source.glob("*/*.jpg"))
    for number in range(count):
        if number % 100 == 0:
            folder = target / f"{number // 100:06d}"
            folder.mkdir(parents=True)
        os.link(originals[number % len(originals)], folder / f"{number:07d}.jpg")


if __name__ == "__main__":
    main(rows)
