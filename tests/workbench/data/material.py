"""Small folders of drawn faces that the tests of data share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workbench.data.sources import face_drawing, tfrecords
from workbench.spec.interfaces import Images, Places
from workbench.spec.plan import Plan


def write_faces(root: Path, people: int = 4, images: int = 5, side: int = 24, ending: str = "png") -> Path:
    """Write people x images drawn faces below `root`, one folder a person."""
    who, which = np.repeat(np.arange(people), images), np.tile(np.arange(images), people)
    for person, number, pixels in zip(who, which, face_drawing.draw(0, who, which, side, 1.0, 0.1, 4.0)):
        place = root / f"person {person}" / f"{number:02d}.{ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place, **({"quality": 95} if ending == "jpg" else {}))
    return root


def places(root: Path) -> Places:
    """Return places that look in `root` and keep their cache there, hidden."""
    return Places((root,), root / ".cache")


def plan(**changes: Any) -> Plan:
    """Return a plan of three epochs of batches of 4 with what the pipeline reads of it."""
    whole = Plan(
        number=1,
        name="",
        loss=None,
        epochs=3,
        first_epoch=1,
        last_epoch=3,
        train="all",
        schedule=None,
        schedule_offset=0.0,
        advances_schedule=True,
        optimizer=None,
        optimizer_state="keep",
        weight_decay=None,
        label_smoothing=0.0,
        augment=(),
        batch_size=4,
        data=None,
        sampler=None,
        devices=None,
    )  # type: ignore[arg-type]
    changed = replace(whole, **changes)
    return replace(changed, last_epoch=changed.first_epoch + changed.epochs - 1)


def batches(images: Images, records: np.ndarray, **options: Any) -> list[tuple[np.ndarray, ...]]:
    """Return all batches of a stage as NumPy arrays; `plan`, `size`, `seed`, `steps` may be given."""
    from workbench.data import pipeline

    stage = options.pop("plan", None) or plan()
    steps = options.pop("steps", len(records) // stage.batch_size)
    rows = pipeline.training(
        images, records, stage, options.pop("size", 24), options.pop("seed", 5), steps, **options
    )
    return [tuple(part.numpy() for part in row) for row in rows]


def same_bits(first: list[tuple[np.ndarray, ...]], second: list[tuple[np.ndarray, ...]]) -> bool:
    """Tell whether two lists of batches are equal bit for bit."""
    return len(first) == len(second) and all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for x, y in zip(first, second)
        for a, b in zip(x, y, strict=True)
    )


def write_small_tfrecord(path: Path) -> bytes:
    """Write four records of two people with a teacher's embeddings, and return the bytes of the file."""
    rows = [
        (k // 2, f"p{k // 2}", f"{k}", b"an image of some bytes %d" % k, np.ones(3, np.float16))
        for k in range(4)
    ]
    tfrecords.write(path, rows)
    return path.read_bytes()


def mutations(content: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Return `count` damaged forms of a file: bytes changed, cut off, left out, doubled, put in."""
    chance = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        data = bytearray(content)
        for _ in range(int(chance.integers(1, 4))):
            at, span = int(chance.integers(len(data))), int(chance.integers(1, 40))
            kind = chance.integers(6)
            if kind == 0:
                data[at] ^= 1 << int(chance.integers(8))
            elif kind == 1:
                data[at : at + span] = chance.bytes(len(data[at : at + span]))
            elif kind == 2:
                del data[max(1, at) :]
            elif kind == 3:
                del data[at : at + span]
            elif kind == 4:
                data[at:at] = data[at : at + span]
            else:
                data[at : at + 4] = b"\xff\xff\xff\xff"[: len(data[at : at + 4])]
            if not data:
                data = bytearray(b"\0")
        result.append(bytes(data))
    return result


def _read_one(read: Callable[[Path], Any], file: Path) -> tuple[str, int]:
    """Return the words of a refusal, empty for none, and the most bytes that Python allocated meanwhile."""
    import tracemalloc

    from workbench.errors import DataError

    tracemalloc.start()
    try:
        read(file)
        words = ""
    except DataError as error:
        words = str(error) or type(error).__name__
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return words, peak


def survives(
    read: Callable[[Path], Any], file: Path, damaged: list[bytes], factor: int = 64
) -> dict[str, int]:
    """Read every damaged file; count results and refusals. Anything but `DataError` is a failure.

    Memory that Python allocates must stay below `factor` times the file's size (and 2 MiB).
    """
    counts = {"read": 0, "refused": 0}
    for content in damaged:
        file.write_bytes(content)
        limit = factor * len(content) + 2**21
        words, peak = _read_one(read, file)
        if (
            peak >= limit
        ):  # once a table of the interpreter itself grows meanwhile, by 10 MiB in a long process
            words, peak = _read_one(read, file)
        counts["refused" if words else "read"] += 1
        assert "\n" not in words
        assert peak < limit, f"{peak} bytes for a file of {len(content)}"
    return counts
