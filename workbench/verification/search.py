"""Who is nearest: exact search by matrix products in blocks, or an approximate index with known recall."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from workbench.errors import DataError, InputError
from workbench.verification.scoring import normalised
from workbench.verification.sorted_scores import blocks

GALLERY_BLOCK = 8192  # vectors multiplied at a time
PROBE_BLOCK = 1024
LINKS, BREADTH = 32, 128  # of the graph: neighbours of a vector, and candidates that a search keeps
APPROXIMATE_ABOVE = 500_000  # vectors; below, the exact search takes less than making an index


class Neighbors(NamedTuple):
    """The nearest of each probe, best first; of equal scores the lower number first."""

    scores: np.ndarray  # float32 [P, k]
    numbers: np.ndarray  # int64 [P, k]


def exact(probes: np.ndarray, gallery: np.ndarray, count: int) -> Neighbors:
    """Return the `count` highest dot products of each of `probes` [P, d] with `gallery` [G, d].

    With vectors of length 1 these are cosines. Only scores above the worst of the best so far are
    looked at again, so that the search costs little more than the product itself.
    """
    if probes.ndim != 2 or gallery.ndim != 2 or probes.shape[1] != gallery.shape[1] or not len(gallery):
        raise DataError(
            f"probes {probes.shape} and gallery {gallery.shape}",
            expected="vectors of one length, one at least",
        )
    if count < 1:
        raise DataError(f"the {count} nearest", expected="at least 1")
    parts = [
        _nearest(probes[part], gallery, min(count, len(gallery))) for part in blocks(len(probes), PROBE_BLOCK)
    ]
    return Neighbors(*(np.concatenate(side) for side in zip(*parts, strict=True)))


def _nearest(probes: np.ndarray, gallery: np.ndarray, count: int) -> Neighbors:
    first = min(max(GALLERY_BLOCK, count), len(gallery))
    products = probes @ gallery[:first].T
    limit = np.partition(products, first - count, axis=1)[:, first - count]
    # Equal ones too: `_best` takes the lower numbers of them. In later blocks, whose numbers are higher, they lose.
    rows, columns = np.nonzero(products >= limit[:, None])
    best = _best(rows, columns, products[rows, columns], len(probes), count)
    for start in range(first, len(gallery), GALLERY_BLOCK):
        products = probes @ gallery[start : start + GALLERY_BLOCK].T
        places = np.flatnonzero(products > best.scores[:, -1:])
        if not len(places):
            continue
        rows, columns = np.divmod(places, products.shape[1])
        kept = np.repeat(np.arange(len(probes)), count)
        best = _best(
            np.concatenate([kept, rows]),
            np.concatenate([best.numbers.ravel(), columns + start]),
            np.concatenate([best.scores.ravel(), products.ravel()[places]]),
            len(probes),
            count,
        )
    return best


def _best(rows: np.ndarray, numbers: np.ndarray, scores: np.ndarray, probes: int, count: int) -> Neighbors:
    """Return the `count` best candidates of each row, of which every row has at least as many."""
    order = np.lexsort((numbers, -scores, rows))
    starts = np.searchsorted(rows[order], np.arange(probes))
    chosen = order[starts[:, None] + np.arange(count)]
    return Neighbors(scores[chosen], numbers[chosen])


class Index:
    """A gallery to search: exact up to `approximate_above` vectors, a graph index (HNSW) beyond.

    `gallery` is [G, d]; vectors are brought to length 1, so scores are cosines. The index needs the
    extra `workbench[ann]`; without it the search stays exact. `recall` measures what it misses.
    """

    def __init__(self, gallery: np.ndarray, approximate_above: int | None = APPROXIMATE_ABOVE) -> None:
        self.gallery = normalised(gallery)
        bad = int(np.count_nonzero(np.isnan(self.gallery).any(axis=1)))
        if bad:
            raise DataError(
                f"{bad} of {len(gallery)} gallery vectors have no direction",
                expected="finite vectors other than zero",
            )
        self.is_approximate = approximate_above is not None and len(gallery) > approximate_above
        self._graph = self._built() if self.is_approximate else None

    def _built(self) -> Any:
        try:
            import faiss
        except ImportError as error:
            raise InputError(
                f"no approximate index for {len(self.gallery):,} vectors",
                expected="the extra workbench[ann]",
                do="pip install 'workbench[ann]', or search exactly with approximate_above=None",
            ) from error
        graph = faiss.IndexHNSWFlat(self.gallery.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = BREADTH // 2, BREADTH
        graph.add(self.gallery)
        return graph

    def search(self, probes: np.ndarray, count: int = 1) -> Neighbors:
        """Return the `count` nearest of each of `probes` [P, d] by cosine."""
        unit = normalised(probes)
        if self._graph is None:
            return exact(unit, self.gallery, count)
        scores, numbers = self._graph.search(unit, min(count, len(self.gallery)))
        return Neighbors(scores, numbers)

    def recall(self, probes: np.ndarray, count: int = 10) -> float:
        """Return the share of the true `count` nearest that `search` finds for `probes` [P, d]."""
        true = exact(normalised(probes), self.gallery, count).numbers
        found = self.search(probes, count).numbers
        return float(np.mean([np.isin(one, other).mean() for one, other in zip(true, found, strict=True)]))
