"""The IJB-B and IJB-C protocols: eight readings of one model in one pass, 1:1 and 1:N."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.data.face_alignment import aligned_file
from workbench.errors import DataError
from workbench.verification import scoring
from workbench.verification.embedders import Embedded, Embedder, ImageSet, Saved
from workbench.verification.identification import Identification, identify
from workbench.verification.ijb_files import Protocol
from workbench.verification.intervals import Estimate
from workbench.verification.measures import FARS, TarAtFar, area, one_class, roc_at, tars_at_fars
from workbench.verification.sorted_scores import SortedScores, blocks
from workbench.verification.templates import READINGS, Pool, Reading

IMAGES_AT_ONCE = 4096  # aligned faces of 112 pixels: 150 MB
PAIRS_AT_ONCE = 1 << 14  # two gathered blocks of 512 numbers: 128 MiB
TEMPLATES_AT_ONCE = 256  # products with the 12,115 templates of IJB-B: 25 MB
DENSE = 120  # products in a matrix that take the time of one pair gathered by itself (measured: 512 numbers)


@dataclass(frozen=True)
class Result:
    """One reading's measures: TAR at each FAR, AUC, a curve for the figure, and 1:N for each gallery."""

    reading: Reading
    tars: tuple[TarAtFar, ...]
    auc: Estimate | None
    curve: tuple[np.ndarray, np.ndarray] | None
    identifications: dict[str, Identification] = field(default_factory=dict)


@dataclass(frozen=True)
class ProtocolResult:
    """All readings, and what could not be said."""

    results: tuple[Result, ...]
    messages: tuple[str, ...]


def embed(
    protocol: Protocol, embedder: Embedder, watched: Callable[[list[slice]], Iterable[slice]] = iter
) -> Embedded:
    """Return the embeddings of all images, aligned by their landmarks, some thousand at a time.

    `watched` may wrap the parts of the work, to show how far it is.
    """
    if isinstance(embedder, Saved):
        return embedder.embed(ImageSet(protocol.images, _no_pixels))
    work = list(blocks(len(protocol.images), IMAGES_AT_ONCE))
    parts = [embedder.embed(_aligned(protocol, part)) for part in watched(work)]
    mirrored = [part.mirrored for part in parts if part.mirrored is not None]
    return Embedded(
        np.concatenate([part.plain for part in parts]),
        np.concatenate(mirrored) if len(mirrored) == len(parts) else None,
        protocol.images,
        messages=parts[0].messages,
    )


def _no_pixels(size: int) -> np.ndarray:
    raise DataError("saved embeddings need no pixels")


def _aligned(protocol: Protocol, part: slice) -> ImageSet:
    names, landmarks = protocol.images[part], protocol.landmarks[part]

    def pixels(size: int) -> np.ndarray:
        with ThreadPoolExecutor() as pool:  # Pillow gives up the interpreter's lock while it works
            faces = pool.map(
                lambda name, marks: aligned_file(protocol.path(name), marks, size), names, landmarks
            )
            return np.stack(list(faces))

    return ImageSet(names, pixels)


def run(
    protocol: Protocol,
    embedded: Embedded,
    readings: Sequence[Reading] = READINGS,
    fars: Sequence[float] = FARS,
) -> ProtocolResult:
    """Return 1:1 and 1:N under each of `readings`; raises `DataError` for embeddings without a direction.

    Readings that need the mirror images' embeddings are left out, with a message, where there are
    none; so is 1:N without its lists.
    """
    bad = scoring.unusable(embedded.plain)
    if bad is not None or len(embedded.plain) != len(protocol.images):
        what = bad or f"{len(embedded.plain)} embeddings for {len(protocol.images)} images"
        raise DataError(what, where=protocol.name, expected="a finite embedding of each image")
    pool = Pool(protocol.members, protocol.scores)
    first, second, same = protocol.pairs
    rows = tuple(pool.rows(ids, f"{protocol.name}_template_pair_label.txt") for ids in (first, second))
    messages = []
    if embedded.mirrored is None and any(reading.mirrored for reading in readings):
        readings = [reading for reading in readings if not reading.mirrored]
        messages.append("partial: no mirrored embeddings, so no reading with F1")
    if not protocol.galleries or protocol.probes is None:
        messages.append("partial: no gallery or probe lists, so no 1:N")
    results = []
    for reading in readings:
        templates = pool.pooled(embedded.plain, embedded.mirrored, reading)
        results.append(_measured(reading, templates, rows, same, fars, protocol, pool))
    said = [tar.message for tar in results[0].tars if tar.message] if results else []
    reason = one_class(SortedScores(np.zeros(len(same), np.float32), same))
    found: list[str] = []
    for result in results[:1]:
        for name, identification in result.identifications.items():
            found += [f"1:N {name}: {message}" for message in identification.messages]
    return ProtocolResult(tuple(results), (*messages, *([reason] if reason else said), *found))


def _measured(
    reading: Reading,
    templates: np.ndarray,
    rows: Any,
    same: np.ndarray,
    fars: Sequence[float],
    protocol: Protocol,
    pool: Pool,
) -> Result:
    ordered = SortedScores(pair_scores(templates, *rows), same)
    both = one_class(ordered) is None
    return Result(
        reading,
        tars_at_fars(ordered, fars) if both else (),
        area(ordered) if both else None,
        roc_at(ordered) if both else None,
        _identified(templates, protocol, pool),
    )


def pair_scores(templates: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the dot product of each template pair, float64 [P], in blocks of bounded memory.

    The published lists hold a good part of all pairs; then whole matrix products of some hundred
    templates with all, of which the listed pairs are picked, are several times quicker than rows
    gathered pair by pair.
    """
    if len(first) * DENSE >= len(templates) ** 2:
        return _picked(templates, first, second)
    result = np.empty(len(first))
    for part in blocks(len(first), PAIRS_AT_ONCE):
        np.einsum("pd,pd->p", templates[first[part]], templates[second[part]], out=result[part])
    return result


def _picked(templates: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    order = np.argsort(first, kind="stable")
    starts = np.searchsorted(
        first[order], np.arange(0, len(templates) + TEMPLATES_AT_ONCE, TEMPLATES_AT_ONCE)
    )
    result = np.empty(len(first))
    for block, low in enumerate(starts[:-1]):
        start = block * TEMPLATES_AT_ONCE
        products = templates[start : start + TEMPLATES_AT_ONCE] @ templates.T
        pairs = order[low : starts[block + 1]]
        result[pairs] = products[first[pairs] - start, second[pairs]]
    return result


def _identified(templates: np.ndarray, protocol: Protocol, pool: Pool) -> dict[str, Identification]:
    """Return 1:N for all galleries together and, where there are several, for each by itself."""
    if not protocol.galleries or protocol.probes is None:
        return {}
    probes = templates[pool.rows(protocol.probes.templates, "probes")]
    lists = enumerate(protocol.galleries, start=1)
    names: dict[str, Any] = {gallery.name or f"G{k}": (gallery,) for k, gallery in lists}
    if len(names) > 1:
        names = {"+".join(names): protocol.galleries, **names}
    found = {}
    for name, parts in names.items():
        ids = np.concatenate([gallery.templates for gallery in parts])
        subjects = np.concatenate([gallery.subjects for gallery in parts])
        gallery = templates[pool.rows(ids, f"gallery {name}")]
        found[name] = identify(probes, protocol.probes.subjects, gallery, subjects)
    return found


def tar_rows(outcome: ProtocolResult) -> tuple[list[str], list[list[float]]]:
    """Return the 1:1 table: the FARs from the lowest on and AUC, and a row of values a reading."""
    fars = sorted({tar.far for result in outcome.results for tar in result.tars})
    columns = [f"{far:g}" for far in fars] + ["AUC"]
    rows = []
    for result in outcome.results:
        values = {tar.far: tar.tar.value if tar.tar else math.nan for tar in result.tars}
        rows.append([values[far] for far in fars] + [result.auc.value if result.auc else math.nan])
    return columns, rows


def identification_tables(
    outcome: ProtocolResult,
) -> dict[str, tuple[list[str], list[str], list[list[float]]]]:
    """Return a 1:N table for each gallery, and of several their mean: columns, readings and values.

    The mean is that of the values of the galleries by themselves, as Keras_insightface prints it.
    """
    tables: dict[str, tuple[list[str], list[str], list[list[float]]]] = {}
    for result in outcome.results:
        for gallery, found in result.identifications.items():
            columns = [f"rank {k}" for k in found.ranks]
            columns += [f"TPIR@FPIR {fpir:g} (open set)" for fpir in found.open_set]
            columns += [f"TPIR@FPIR {fpir:g} (field)" for fpir in found.field_way]
            _, names, rows = tables.setdefault(gallery, (columns, [], []))
            names.append(str(result.reading))
            open_set = [e.value if e else math.nan for e in found.open_set.values()]
            field_way = [math.nan if v is None else v for v in found.field_way.values()]
            rows.append([*(e.value for e in found.ranks.values()), *open_set, *field_way])
    # The first is of all galleries together, where there are several: see `_identified`.
    single = list(tables)[1:]
    if single:
        columns, names, _ = tables[single[0]]
        mean = np.mean([tables[name][2] for name in single], axis=0)
        tables[f"mean of {' and '.join(single)}"] = (columns, names, mean.tolist())
    return tables


def markdown(
    columns: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[float]], title: str
) -> str:
    """Return a Markdown table with the best value of each column in bold; what is not said is empty."""
    best = [
        max((row[c] for row in rows if not math.isnan(row[c])), default=math.nan) for c in range(len(columns))
    ]

    def cell(value: float, column: int) -> str:
        if math.isnan(value):
            return ""
        return f"**{value:.6f}**" if value == best[column] else f"{value:.6f}"

    lines = [f"| {title} | " + " | ".join(columns) + " |", "|:--" + "|--:" * len(columns) + "|"]
    lines += [
        f"| {name} | " + " | ".join(map(cell, row, range(len(row)))) + " |"
        for name, row in zip(names, rows, strict=True)
    ]
    return "\n".join(lines)
