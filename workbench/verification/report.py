"""Everything that is said about one pair set, from its scores: the 1:1 report and its texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench import names
from workbench.verification.folds import Folds, cross_validated
from workbench.verification.intervals import Estimate
from workbench.verification.legacy_accuracy import Convention, top300, top_tenth
from workbench.verification.measures import (
    FARS,
    TarAtFar,
    area,
    best_accuracy,
    d_prime,
    equal_error_rate,
    one_class,
    tars_at_fars,
)
from workbench.verification.sorted_scores import SortedScores, checked

FOLDS_AT_MOST = 1_000_000  # pairs; a longer list has no folds that anyone published


@dataclass(frozen=True)
class Report:
    """1:1 verification on one set of scored pairs. What the data cannot say is None, with a message."""

    pairs: int
    genuine: int
    impostors: int
    accuracy: float | None = None
    threshold: float | None = None
    top300: Convention | None = None
    top_tenth: Convention | None = None
    folds: Folds | None = None
    tars: tuple[TarAtFar, ...] = ()
    eer: float | None = None
    eer_threshold: float | None = None
    auc: Estimate | None = None
    d_prime: float | None = None
    messages: tuple[str, ...] = ()

    def metrics(self, label: str) -> dict[str, float]:
        """Return what an epoch's record holds of this: accuracy, threshold, ten folds and spread."""
        found = {
            label: self.accuracy,
            label + names.THRESHOLD_SUFFIX: self.threshold,
            label + names.TENFOLD_SUFFIX: self.folds.mean if self.folds else None,
            label + names.TENFOLD_STD_SUFFIX: self.folds.spread if self.folds else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def rows(self) -> list[tuple[str, str]]:
        """Return the report as (measure, text) in the order of reading."""
        rows = [("pairs", f"{self.pairs:,} ({self.genuine:,} genuine, {self.impostors:,} impostor)")]
        if self.accuracy is not None:
            rows.append(("accuracy at the best threshold", f"{self.accuracy:.4f} at {self.threshold:.4f}"))
        if self.folds:
            count = len(self.folds.accuracies)
            rows.append((f"accuracy, {count} folds", f"{self.folds.mean:.4f} ± {self.folds.spread:.4f}"))
        for name, found in (("top300 (not mirrored)", self.top300), ("top_tenth", self.top_tenth)):
            if found:
                rows.append((f"accuracy by {name}", f"{found.accuracy:.4f} at {found.threshold:.4f}"))
        for tar in self.tars:
            rows.append((f"TAR at FAR {tar.far:g}", _tar_text(tar)))
        if self.eer is not None:
            rows.append(("EER", f"{self.eer:.4f} at {self.eer_threshold:.4f}"))
        if self.auc is not None:
            rows.append(("AUC", str(self.auc)))
        if self.d_prime is not None:
            rows.append(("d'", f"{self.d_prime:.3f}"))
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values; infinity as the text "inf"."""
        return _plain(self)


def _tar_text(tar: TarAtFar) -> str:
    if tar.tar is None:
        return f"not said: {tar.message}"
    low, high = ("open" if end is None else f"{end:.4f}" for end in (tar.threshold_low, tar.threshold_high))
    return f"{tar.tar} at {tar.threshold:.4f} [{low}, {high}]"


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value.item() if isinstance(value, np.generic) else value


def report(
    scores: Any,
    same: Any,
    *,
    plain_scores: Any = None,
    folds: int = 10,
    fold_of: np.ndarray | None = None,
    fars: Sequence[float] = FARS,
) -> Report:
    """Return every 1:1 measure of scores and labels, both [n].

    `plain_scores` are those without the mirrored images added, for the `top300` convention; without
    them it is left out. Too few pairs for a measure, or pairs of one kind only, leave it out with a
    message. Raises `DataError` for scores that are not finite or labels that do not fit.
    """
    scores, same = checked(scores, same)
    few = no_folds(len(scores), folds)
    ordered = SortedScores(scores, same, keep_order=not few)
    counts = (ordered.count, ordered.genuine, ordered.impostors)
    reason = one_class(ordered)
    if reason:
        return Report(*counts, messages=(reason,))
    accuracy, threshold = best_accuracy(ordered)
    eer, eer_threshold = equal_error_rate(ordered)
    tars = tars_at_fars(ordered, fars)
    return Report(
        *counts,
        accuracy=accuracy,
        threshold=threshold,
        top300=None if plain_scores is None else top300(SortedScores(plain_scores, same)),
        top_tenth=top_tenth(ordered),
        folds=None if few else cross_validated(scores, same, folds, fold_of, ordered),
        tars=tars,
        eer=eer,
        eer_threshold=eer_threshold,
        auc=area(ordered),
        d_prime=d_prime(scores, same),
        messages=tuple(text for text in (few, *(tar.message for tar in tars)) if text),
    )


def epoch_metrics(scores: Any, same: Any, label: str) -> tuple[dict[str, float], str | None]:
    """Return the few measures that each epoch records, and a message where they have no meaning."""
    scores, same = checked(scores, same)
    few = no_folds(len(scores), 10)
    ordered = SortedScores(scores, same, keep_order=not few)
    reason = one_class(ordered)
    if reason:
        return {}, reason
    accuracy, threshold = best_accuracy(ordered)
    folds = None if few else cross_validated(scores, same, ordered=ordered)
    found = Report(ordered.count, ordered.genuine, ordered.impostors, accuracy, threshold, folds=folds)
    return found.metrics(label), None


def no_folds(count: int, folds: int) -> str | None:
    """Return why there is no accuracy by folds, or None."""
    if count < 2 * folds:
        return f"{count} pairs are too few for {folds} folds"
    if count > FOLDS_AT_MOST:
        return f"no folds above {FOLDS_AT_MOST:,} pairs"
    return None
