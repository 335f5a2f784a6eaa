"""The per-pair scores that a run keeps beside its record: the one reader of those files, which others may have made."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from workbench.errors import RecordError
from workbench.security import safe_npz
from workbench.tracking.store import Store

log = logging.getLogger(__name__)

FOLDER = "scores"  # of a run's artifacts, with a folder for the best and for the last epoch


@dataclass(frozen=True)
class PairScores:
    """Cosines of a set's pairs after `epoch` (0: not told), [P], and whether each pair is genuine, where that is kept."""

    scores: np.ndarray
    same: np.ndarray | None
    pairs: str  # identifies the set's content
    epoch: int


def read_pair_scores(store: Store, run: str, name: str, which: str = "best") -> PairScores | None:
    """Return what a run kept of an evaluation set after its `which` ("best" or "last") epoch, None where it kept none.

    Raises `RecordError` for a file that is damaged, or holds what no training writes.
    """
    path = store.run_artifacts(run) / FOLDER / which / f"{name}.npz"
    if not path.is_file():
        return None
    found = safe_npz.load(path, ("scores",), ("same", "pairs", "epoch"), error=RecordError)
    scores, same = found["scores"], found.get("same")
    pairs, epoch = found.get("pairs", np.array("")), found.get("epoch", np.array(0))
    right = scores.ndim == 1 and scores.dtype.kind == "f" and len(scores) > 0
    if same is not None:
        right = right and same.dtype.kind in "biu" and same.shape == scores.shape
    right = right and pairs.ndim == 0 and pairs.dtype.kind == "U"
    if not (right and epoch.ndim == 0 and epoch.dtype.kind in "iu" and 0 <= int(epoch) < 2**31):
        raise RecordError(
            "holds no scores of pairs", where=path, expected="one score and one flag for each pair"
        )
    return PairScores(scores, None if same is None else same.astype(bool), str(pairs), int(epoch))


def sound_scores(store: Store, run: str, name: str, which: str = "best") -> PairScores | None:
    """Return what a run kept; None where it kept none, or damaged ones, which is told."""
    try:
        return read_pair_scores(store, run, name, which)
    except RecordError as error:
        log.warning("scores left out: %s", error)
        return None


def comparable_scores(store: Store, run: str, name: str, which: str = "best") -> PairScores | None:
    """Return sound scores of every pair, with what the pairs are; None where that is not kept."""
    kept = sound_scores(store, run, name, which)
    return kept if kept and kept.same is not None and np.isfinite(kept.scores).all() else None
