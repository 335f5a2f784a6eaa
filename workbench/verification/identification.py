"""1:N identification: who of the gallery is it, and is it any of them?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from workbench.errors import DataError
from workbench.verification.intervals import Estimate, share
from workbench.verification.sorted_scores import blocks

RANKS = (1, 5, 10)
FPIRS = (0.01, 0.1)
PROBE_BLOCK = 512  # probes whose products with the whole gallery are held at once


@dataclass(frozen=True)
class Identification:
    """Shares of mated probes found at each rank, and TPIR at each FPIR, by two readings of FPIR.

    `open_set` (NIST): FPIR is the share of probes without a mate that score at least the threshold
    with anyone; TPIR the share of mated probes whose mate comes first and scores at least it.
    `field_way` (as the field's scripts count): the threshold is the ceil(FPIR P)-th highest score of any
    of the P mated probes with a wrong identity; TPIR counts mates above it, whatever their rank.
    """

    mated: int
    unmated: int
    ranks: dict[int, Estimate] = field(default_factory=dict)
    open_set: dict[float, Estimate | None] = field(default_factory=dict)
    thresholds: dict[float, float] = field(default_factory=dict)
    field_way: dict[float, float | None] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


def identify(
    probes: np.ndarray,
    probe_ids: np.ndarray,
    gallery: np.ndarray,
    gallery_ids: np.ndarray,
    fpirs: Sequence[float] = FPIRS,
) -> Identification:
    """Return the 1:N measures of `probes` [P, d] against `gallery` [G, d], one vector an identity.

    Scores are dot products; ids are [P] and [G]. A rank counts the gallery's higher scores, and equal
    ones that stand before the mate. Memory is bounded by blocks of probes. Raises `DataError` for an
    identity twice in the gallery, or when no probe has a mate.
    """
    distinct, position = np.unique(gallery_ids, return_index=True)
    if len(distinct) != len(gallery_ids):
        twice = distinct[np.bincount(np.searchsorted(distinct, gallery_ids)) > 1][0]
        raise DataError(
            f"identity {twice} is in the gallery twice", expected="one template for each identity"
        )
    place = np.searchsorted(distinct, probe_ids).clip(max=len(distinct) - 1)
    mate = np.where(distinct[place] == probe_ids, position[place], -1)
    mated = int((mate >= 0).sum())
    if not mated:
        raise DataError("no probe has its identity in the gallery", expected="at least one")
    scores = _scores(probes, gallery, mate, max(math.ceil(mated * fpir) for fpir in fpirs))
    found = {k: share(int((scores.rank[mate >= 0] <= k).sum()), mated) for k in RANKS}
    open_set, thresholds, messages = _open_set(scores, mate, fpirs)
    field_way = {fpir: _field_way(scores.own[mate >= 0], scores.wrong, fpir) for fpir in fpirs}
    return Identification(mated, len(probe_ids) - mated, found, open_set, thresholds, field_way, messages)


class _Scores(NamedTuple):
    """What is kept of the product of all probes with the gallery."""

    rank: np.ndarray  # [P], of the mate; 0 without one
    own: np.ndarray  # [P], score with the mate
    top: np.ndarray  # [P], highest score
    wrong: np.ndarray  # the highest scores of mated probes with others, highest first


def _scores(probes: np.ndarray, gallery: np.ndarray, mate: np.ndarray, keep: int) -> _Scores:
    """Return the scores of each probe, and of the wrong ones the `keep` highest."""
    rank, own, top = np.zeros(len(probes), np.int64), np.full(len(probes), -np.inf), np.empty(len(probes))
    wrong = np.empty(0)
    for part in blocks(len(probes), PROBE_BLOCK):
        products = probes[part] @ gallery.T
        top[part] = products.max(axis=1)
        rows = np.flatnonzero(mate[part] >= 0)
        columns = mate[part][rows]
        mine = products[rows, columns]
        higher = (products[rows] > mine[:, None]).sum(axis=1)
        before = (products[rows] == mine[:, None]) & (np.arange(len(gallery)) < columns[:, None])
        rank[part.start + rows] = 1 + higher + before.sum(axis=1)
        own[part.start + rows] = mine
        products[rows, columns] = -np.inf
        others = products[rows].ravel()
        others = np.concatenate([wrong, others[others > -np.inf]])
        wrong = np.partition(others, len(others) - keep)[-keep:] if len(others) > keep else others
    return _Scores(rank, own, top, np.sort(wrong)[::-1])


def _open_set(
    scores: _Scores, mate: np.ndarray, fpirs: Sequence[float]
) -> tuple[dict[float, Estimate | None], dict[float, float], tuple[str, ...]]:
    strangers = np.sort(scores.top[mate < 0])[::-1]
    first = scores.own[(mate >= 0) & (scores.rank == 1)]
    found: dict[float, Estimate | None] = {}
    thresholds, messages = {}, []
    for fpir in fpirs:
        # 1e-9 and 1e-12: a product that is rounded may lie a hair below the whole number that it is.
        if fpir * len(strangers) < 1 - 1e-9:
            found[fpir] = None
            need = math.ceil(1 / fpir - 1e-6)
            messages.append(f"FPIR {fpir:g} needs {need} probes without a mate, there are {len(strangers)}")
            continue
        allowed = int(fpir * len(strangers) * (1 + 1e-12))
        # just above the first stranger who must not pass
        threshold = float(np.nextafter(strangers[allowed], np.inf)) if allowed < len(strangers) else -math.inf
        thresholds[fpir] = threshold
        found[fpir] = share(int((first >= threshold).sum()), int((mate >= 0).sum()))
    return found, thresholds, tuple(messages)


def _field_way(own: np.ndarray, wrong: np.ndarray, fpir: float) -> float | None:
    place = math.ceil(len(own) * fpir)
    return float((own > wrong[place - 1]).mean()) if place <= len(wrong) else None
