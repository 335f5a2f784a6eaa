"""Offline mining of triplets: which negatives still lie too near to an anchor and its positive.

From embeddings of a sample (some identities, some images of each), for every pair of two images of one
identity: among the images of others that violate cos(a, p) - cos(a, n) - alpha < 0 take one at random,
or the nearest. After F. Schroff et al., "FaceNet", CVPR 2015, section 3.2, with cosines.
"""

from __future__ import annotations

import numpy as np

BLOCK = 256  # anchors whose similarities to all others are held at once


def sample(
    labels: np.ndarray, records: np.ndarray, identities: int, images: int, chance: np.random.Generator
) -> np.ndarray:
    """Return the sorted record numbers of up to `identities` people with up to `images` images each.

    People with one image only have no pair and are left out.
    """
    own = labels[records]
    people, counts = np.unique(own, return_counts=True)
    chosen = chance.permutation(people[counts >= 2])[:identities]
    order = np.lexsort((chance.random(len(records)), own))
    sorted_labels = own[order]
    starts = np.searchsorted(sorted_labels, chosen)
    ends = np.minimum(np.searchsorted(sorted_labels, chosen, "right"), starts + images)
    return np.sort(
        np.concatenate([records[order[a:b]] for a, b in zip(starts, ends)] or [np.empty(0, np.int64)])
    )


def triplets(
    embeddings: np.ndarray,
    labels: np.ndarray,
    alpha: float,
    chance: np.random.Generator,
    hardest: bool = False,
) -> np.ndarray:
    """Return positions [T, 3] (anchor, positive, negative) among `embeddings` [n, d] with `labels` [n].

    Embeddings that are not finite, or zero, take no part. Each unordered pair of one identity gives at
    most one triplet, its earlier image being the anchor.
    """
    norms = np.linalg.norm(embeddings, axis=1)
    sound = np.flatnonzero(np.isfinite(norms) & (norms > 0))
    x = (embeddings[sound] / norms[sound, None]).astype(np.float32)
    y = labels[sound]
    result = []
    for start in range(0, len(x), BLOCK):
        cosines = x[start : start + BLOCK] @ x.T
        for row, similar in enumerate(cosines):
            anchor = start + row
            result += _of_anchor(anchor, similar, y, alpha, chance, hardest)
    return sound[np.array(result, np.int64).reshape(-1, 3)]


def _of_anchor(
    anchor: int, similar: np.ndarray, y: np.ndarray, alpha: float, chance: np.random.Generator, hardest: bool
) -> list[tuple[int, int, int]]:
    own = y == y[anchor]
    positives = np.flatnonzero(own[anchor + 1 :]) + anchor + 1
    if not len(positives):
        return []
    others = np.flatnonzero(~own)
    found = []
    for positive in positives:
        wrong = others[similar[positive] - similar[others] - alpha < 0]
        if len(wrong):
            negative = wrong[similar[wrong].argmax()] if hardest else wrong[chance.integers(len(wrong))]
            found.append((anchor, int(positive), int(negative)))
    return found
