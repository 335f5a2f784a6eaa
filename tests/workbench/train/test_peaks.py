"""The best values found within an epoch (`evaluate_every`): each in its own direction."""

from __future__ import annotations

import math
from typing import Any

import specs

from workbench import Evaluation
from workbench.spec.part import part
from workbench.train.evaluation import Scoreboard


@part
class Spoofed(Evaluation):
    """An error rate of a spec's own."""

    lower = True

    def measure(self, model: Any, places: Any, data: Any) -> float:
        return 0.0


def board(*inside: dict[str, float]) -> Scoreboard:
    nothing: Any = None
    scores = Scoreboard(specs.tiny(evaluate=Spoofed()), nothing, nothing, nothing)
    for values in inside:
        scores.note_inside(values)
    return scores


def test_a_peak_is_the_best_value_in_its_own_direction() -> None:
    scores = board({"spoofed": 0.3, "recall": 0.5}, {"spoofed": 0.1, "recall": 0.4})
    assert scores.peaks({"spoofed": 0.2, "recall": 0.6}) == {"spoofed_peak": 0.1, "recall_peak": 0.6}
    assert scores.peaks({"spoofed": 0.2}) == {}  # the next epoch has none yet


def test_nothing_peaks_by_guess_and_a_nan_never_does() -> None:
    scores = board({"wobble": 1.0, "recall": math.nan}, {"recall": 0.4, "recall_threshold": 9.0})
    assert scores.peaks({"recall": math.nan, "wobble": 2.0}) == {"recall_peak": 0.4}
