"""Triplets mined for the epochs of a run: when they are made, and that a run taken up again finds the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.data import cache
from workbench.data.samplers import MinedTriplets
from workbench.distribute.group import Group
from workbench.spec.plan import Plan
from workbench.train.progress import Screen
from workbench.train.request import RunRequest
from workbench.train.run_data import RunData


class TripletMiner:
    """The mined triplets of one attempt of a run; the chief of a group mines and shares them."""

    def __init__(self, request: RunRequest, data: RunData, group: Group, screen: Screen) -> None:
        self.data, self.group, self.screen = data, group, screen
        self.seed = request.variant.experiment.seed
        self.folder = request.store.run_checkpoints(request.run)

    def until(self, plan: Plan, epoch: int) -> int:
        """Return the last epoch that one `fit` from `epoch` on may run to: before triplets are mined anew."""
        if not isinstance(plan.sampler, MinedTriplets):
            return plan.last_epoch
        at = plan.sampler.mined_at(plan.first_epoch, epoch)
        return min(plan.last_epoch, at + plan.sampler.every - 1)

    def triplets(self, plan: Plan, epoch: int, begun: bool, embedder: Any) -> np.ndarray | None:
        """Return the triplets [n, 3] of an epoch, None without such a sampler.

        Those kept are taken where the run is taken up within the epochs that they are for (`begun`: within
        this very epoch), else they are mined now and kept.
        """
        if not isinstance(plan.sampler, MinedTriplets):
            return None
        if not self.group.chief:
            return np.frombuffer(self.group.share(None), np.int64).reshape(-1, 3)
        at = plan.sampler.mined_at(plan.first_epoch, epoch)
        path = self.folder / f"mined-{at}.array"
        # Taken again, not mined again: the weights of a resumed run are no longer those that mined them, and other
        # triplets would be another training.
        kept = cache.load(path) if at < epoch or begun else None
        found = np.asarray(self._now(plan, at, embedder, path) if kept is None else kept, np.int64)
        # The workers wait here in `share`, so the chief must come by even where it found the triplets on disk.
        self.group.share(found.tobytes())
        return found

    def _now(self, plan: Plan, at: int, embedder: Any, path: Any) -> np.ndarray:
        found = self.data.mine(plan, embedder, self.seed, at)
        cache.store(path, found)
        self.screen.say(f"epoch {at}: {len(found)} triplets mined")
        return found
