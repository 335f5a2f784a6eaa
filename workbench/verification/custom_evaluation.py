"""An evaluation that a spec defines itself, in the place of an evaluator of pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.spec.custom_source import code_of
from workbench.spec.datasets import PairImages, Places
from workbench.spec.interfaces import Source
from workbench.spec.watchers import Evaluation, as_metrics
from workbench.verification.evaluator import Measured


class CustomEvaluator:
    """Measures by the `measure` of a spec's own evaluation."""

    notes: tuple[str, ...] = ()
    held_out: frozenset[str] = frozenset()

    def __init__(self, part: Evaluation, where: Places, data: Source) -> None:
        self.part, self.where, self.data = part, where, data
        self.name = part.label()
        self.fingerprint = f"code {code_of(type(part))}"
        none = np.zeros(0, int)
        self.same, self.pixels = none.astype(bool), none  # it has neither pairs nor images of its own
        self.pairs = PairImages((), none, none, self.same)

    def evaluate(self, model: Any) -> Measured:
        """Return its numbers; there are no scores of pairs."""
        found = as_metrics(self.name, self.part.measure(model, self.where, self.data))
        message = None if self.name in found else f"{type(self.part).__name__} measured no {self.name!r}"
        return Measured(found, np.zeros(0), message)
