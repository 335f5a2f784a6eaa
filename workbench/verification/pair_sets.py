"""What a user calls pairs (a `.bin`, a list, a folder of people) as pairs of images to embed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data import decode, pair_formats, pair_sampling
from workbench.data.sources.folder import ImageFolder
from workbench.errors import DataError
from workbench.spec.interfaces import PairImages, Places
from workbench.verification.embedders import Embedded, Embedder, ImageSet
from workbench.verification.report import Report, report
from workbench.verification.scoring import cosines, normalised, reduced, unusable

ALL_PAIRS_AT_MOST = 2_000_000  # beyond it a folder's pairs are drawn unless all are asked for
DRAWN = 100_000


@dataclass(frozen=True)
class Scored:
    """Pairs with their scores: cosines [P] with mirrored images added, and of the images alone."""

    pairs: PairImages
    scores: np.ndarray
    plain_scores: np.ndarray | None
    report: Report
    embedded: Embedded


def open_pairs(
    path: Path, sample: int | None = None, seed: int = 0, folder: Path | None = None
) -> PairImages:
    """Return the pairs of a file (a `.bin`, a list of image files, one as of LFW), or those of a folder of people.

    A folder holds one sub-folder a person; all its pairs are taken, or `sample` pairs, half of them
    genuine, drawn by `seed` (so too by default where there are more than two million pairs).
    """
    if path.is_dir():
        return _of_folder(path, sample, seed)
    if not path.is_file():
        raise DataError(
            "is not there", where=path, expected="a .bin, .csv, .tsv or .txt file, or a folder of people"
        )
    return pair_formats.read(path, folder)


def _of_folder(path: Path, sample: int | None, seed: int) -> PairImages:
    images, names = people(path)
    labels = np.unique(names, return_inverse=True)[1]
    total = len(labels) * (len(labels) - 1) // 2
    notes: tuple[str, ...] = ()
    if sample is None and total > ALL_PAIRS_AT_MOST:
        sample = min(DRAWN, 2 * len(pair_sampling.genuine_pairs(labels)[0]))
        notes = (f"{sample:,} pairs drawn of {total:,}; --sample chooses another number",)
    drawn = (
        pair_sampling.all_pairs(labels)
        if sample is None
        else pair_sampling.balanced(labels, sample, seed, str(path))
    )
    return PairImages(
        encoded=(),
        **drawn._asdict(),
        names=images.names,
        fingerprint=images.fingerprint,
        pixels=images.pixels,
        identities=names,
        notes=notes,
    )


def people(path: Path) -> tuple[ImageSet, list[str]]:
    """Return the images of a folder of people and the person on each of them."""
    images = ImageFolder(path=os.path.abspath(path)).open(Places((path.parent,)))
    names = [images.names[number] for number in range(len(images.labels))]
    records = np.arange(len(names))
    found = ImageSet(names, lambda size: decode.records(images, records, size), images.fingerprint)
    return found, [images.identities[label] for label in images.labels]


def image_set(pairs: PairImages, where: str = "pairs") -> ImageSet:
    """Return the images of `pairs` for an embedder."""
    count = max(int(pairs.first.max()), int(pairs.second.max())) + 1
    names: Sequence[str] = pairs.names if len(pairs.names) else [f"image {number}" for number in range(count)]

    pixels = pairs.pixels or (lambda size: decode.listed(pairs.encoded, size, where, names))
    return ImageSet(names, pixels, pairs.fingerprint)


def verify(
    embedder: Embedder,
    pairs: PairImages,
    *,
    mirrored: bool = True,
    components: int | None = None,
    fars: Sequence[float] | None = None,
    folds: int = 10,
) -> Scored:
    """Return scores and the whole report of `pairs` under `embedder`.

    `mirrored` adds the mirror images' embeddings; `components` compares on that many principal
    components. Raises `DataError` for embeddings without a direction: a score of NaN is not a score.
    """
    embedded = embedder.embed(image_set(pairs, embedder.label))
    bad = unusable(embedded.plain) or unusable(embedded.summed)
    if bad is not None:
        raise DataError(bad, where=embedder.label, expected="finite embeddings other than zero")
    vectors = embedded.summed if mirrored else embedded.plain
    plain = embedded.plain
    if components is not None:
        vectors, plain = reduced(vectors, components), reduced(plain, components)
    scores = cosines(vectors, pairs.first, pairs.second)
    alone = (
        cosines(plain, pairs.first, pairs.second) if mirrored and embedded.mirrored is not None else scores
    )
    found = report(
        scores,
        pairs.same,
        plain_scores=alone,
        folds=folds,
        **({} if fars is None else {"fars": tuple(fars)}),  # type: ignore[arg-type]
    )
    return Scored(pairs, scores, alone, found, embedded)


def matrix(embedder: Embedder, images: ImageSet, mirrored: bool = True) -> np.ndarray:
    """Return the cosine of every image with every other, float32 [N, N]."""
    embedded = embedder.embed(images)
    unit = normalised(embedded.summed if mirrored else embedded.plain)
    return unit @ unit.T


def of_files(paths: Sequence[Path]) -> ImageSet:
    """Return single image files for an embedder; raises `DataError` naming one that is missing."""
    for path in paths:
        if not path.is_file():
            raise DataError("is not there", where=path, expected="an image file")
    encoded, names = [path.read_bytes() for path in paths], [str(path) for path in paths]
    return ImageSet(names, lambda size: decode.listed(encoded, size, "images", names))
