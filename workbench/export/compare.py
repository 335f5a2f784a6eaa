"""Load an export back in its own runtime and compare it with the model it came from."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import InputError
from workbench.export.formats import quiet
from workbench.files import size_of
from workbench.security import safe_json
from workbench.security.foreign_files import read_file
from workbench.verification import models, report, scoring
from workbench.verification.embedders import Embedder, ImageSet

if TYPE_CHECKING:
    from workbench.verification.evaluator import Evaluator

TIMED = 15  # calls of which the median is taken


@dataclass(frozen=True)
class Comparison:
    """How an export differs from its original, on the same real images."""

    name: str
    file: str
    bytes: int
    largest_difference: float  # of any number of any embedding
    least_cosine: float  # between the two embeddings of an image
    mean_cosine: float
    milliseconds: float  # an image, in calls of one image
    accuracy: dict[str, float] = field(default_factory=dict)  # by evaluation set


def compare(
    name: str,
    path: Path,
    images: np.ndarray,
    expected: np.ndarray,
    values: models.Range,
    evaluators: Sequence[Evaluator] = (),
) -> Comparison:
    """Open `path` in its runtime and compare its embeddings of `images` (uint8 [N, s, s, 3]).

    `expected` [N, d] are the original's. Raises `InputError` where the runtime cannot open or run it.
    """
    try:
        with quiet():
            embedder = models.from_file(str(path), images.shape[1], values)
        found = embedder.embed(image_set(images)).plain
    except InputError:
        raise
    except Exception as error:  # each runtime raises classes of its own
        first = str(error).strip().splitlines()[0][:300]
        raise InputError(f"its runtime cannot run it: {first}", where=path) from error
    return measured(name, str(path), embedder, images, found, expected, evaluators, size_of(path))


def measured(
    name: str,
    file: str,
    embedder: Embedder,
    images: np.ndarray,
    found: np.ndarray,
    expected: np.ndarray,
    evaluators: Sequence[Evaluator],
    size: int,
) -> Comparison:
    """Return the comparison of embeddings `found` with those `expected`."""
    cosines = np.sum(_unit(found) * _unit(expected), axis=1)
    return Comparison(
        name=name,
        file=file,
        bytes=size,
        largest_difference=float(np.abs(found - expected).max()),
        least_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        milliseconds=milliseconds(embedder, images),
        accuracy={evaluator.name: accuracy(embedder, evaluator) for evaluator in evaluators},
    )


def image_set(images: np.ndarray) -> ImageSet:
    """Return uint8 images as embedders take them."""
    return ImageSet([str(number) for number in range(len(images))], lambda size: images)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12))


def milliseconds(embedder: Embedder, images: np.ndarray) -> float:
    """Return the median time of an image in calls of one image; an embedder runs its mirror image too."""
    one = image_set(images[:1])
    times = []
    # Two before those that count: a runtime plans, traces or compiles at its first calls.
    for _ in range(TIMED + 2):
        start = time.perf_counter()
        embedder.embed(one)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:]) / 2 * 1e3


def accuracy(embedder: Embedder, evaluator: Evaluator) -> float:
    """Return the accuracy on an evaluation set, NaN where there is none."""
    scores = scoring.cosines(embedder.embed(evaluator.images).summed, evaluator.first, evaluator.second)
    metrics, _ = report.epoch_metrics(scores, evaluator.same, evaluator.name)
    return float(metrics.get(evaluator.name, math.nan))


def keep(path: Path, rows: Sequence[Comparison], wrapped: bool, images: int) -> None:
    """Write the comparisons to `path`; those of other formats that it holds already stay in it."""
    exports = {row.name: asdict(row) for row in rows}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # not there, or none of ours
        before = {row["name"]: row for row in safe_json.loads(read_file(path))["exports"]}
        exports = {**before, **exports}
    record = {"wrapped": wrapped, "images": images, "exports": list(exports.values())}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def table(rows: Sequence[Comparison]) -> str:
    """Return the comparisons as a Markdown table."""
    from tabulate import tabulate

    sets = list(dict.fromkeys(name for row in rows for name in row.accuracy))
    head = ["format", "size, MB", "largest difference", "least cosine", "ms an image", *sets]
    body = [
        [
            row.name,
            f"{row.bytes / 1e6:.2f}",
            f"{row.largest_difference:.2g}",
            f"{row.least_cosine:.6f}",
            f"{row.milliseconds:.2f}",
            *(f"{row.accuracy.get(name, math.nan):.4f}" for name in sets),
        ]
        for row in rows
    ]
    return str(tabulate(body, head, "github", disable_numparse=True))
