"""Parts that look on at a training: own callbacks and own evaluations, written inside a spec file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Union

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec.datasets import PairImages, Places
from workbench.spec.interfaces import PairSet, Source
from workbench.spec.part import Part, part


class Look(Protocol):
    """What a watcher sees of a run, and what it can do."""

    epoch: int  # global and 1-based: the one that has just ended; in `on_stage` the last before the stage
    epochs: int  # of the whole run
    stage: int  # 1-based
    stage_name: str
    metrics: Mapping[str, float]  # of this epoch; empty in `on_stage`
    history: Mapping[str, list[float]]  # of all epochs, this one included
    model: tf.keras.Model  # float images [B, s, s, 3] in -1..1 to embeddings [B, d]; not to be changed

    def record(self, **values: float) -> None:
        """Record values with this epoch, under names of their own."""

    def figure(self, name: str, figure: Any) -> None:
        """Keep a matplotlib figure with the run, as `figures/<name>-e<epoch>.png`."""

    def stop(self, reason: str) -> None:
        """Ask for the end of the run after this epoch; it counts as finished, with the reason."""


@part
class Watcher(Part):
    """Looks on at a training: records metrics and figures, and may ask for a stop.

    It keeps nothing of its own from epoch to epoch (a resumed run would have lost it): `look.history` has
    all that was recorded. Of several processes only the chief's looks on.
    """

    def metrics(self) -> tuple[str, ...]:
        """Return the names that it records every epoch, so that `select=` may name one of them."""
        return ()

    def on_stage(self, look: Look) -> None:
        """A stage begins; what is recorded here stands with its first epoch."""

    def on_epoch(self, look: Look) -> None:
        """An epoch has been measured and is about to be recorded."""


@part
class Evaluation(PairSet):
    """An evaluation of your own: numbers measured on the embedding network after every epoch.

    An own set of pairs is a `PairSet` with `open()`; this is for all that is not a list of pairs.
    """

    lower: ClassVar[bool] = False  # whether small values are better

    def label(self) -> str:
        """Return the name under which its number is recorded: that of the class, `NearestCenter` as `nearest_center`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def measure(
        self, model: tf.keras.Model, places: Places, data: Source
    ) -> Union[float, Mapping[str, float]]:
        """Return the number, or several by name; that called `label()` counts, others are `<label>_<name>`.

        It must not draw from global random states: training would go on with other numbers.

        Args:
            model: float images [B, s, s, 3] in -1 to 1 to embeddings [B, d].
            places: Where data lies.
            data: The training source.
        """
        raise SpecError(
            "measures nothing", where=type(self).__name__, do="write measure(self, model, places, data)"
        )

    def open(self, places: Places, data: Source) -> PairImages:
        raise SpecError("has no pairs", where=type(self).__name__, expected="an evaluation set of pairs")

    def stand_in(self) -> Evaluation:
        return self


def as_metrics(label: str, found: Union[float, Mapping[str, float]]) -> dict[str, float]:
    """Return what an own evaluation measured under the names that are recorded."""
    if not isinstance(found, Mapping):
        return {label: float(found)}
    return {name if name == label else f"{label}_{name}": float(value) for name, value in found.items()}
