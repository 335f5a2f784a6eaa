"""A curve as it is handed to the forecaster, and the checks that every curve passes first.

`Curve` holds what is known of a run: values so far, and of the future only what was planned (last epoch,
learning rates, stage starts). `prepare` turns it into numbers above a floor that should fall, or
raises `Refused` with the reason. A loss is followed within its stage only, for a new loss is another
quantity; accuracies and errors go on over stage borders, where older epochs lose weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.forecast.lr_effects import MATTERS, breaks, relative
from analysis.forecast.settings import DEFAULT, Settings
from analysis.forecast.spikes import without_spikes
from workbench.errors import InputError, RecordError
from workbench.names import HIGHER, LEARNING_RATE, STAGE, direction, no_direction, words_of

Array = np.ndarray
ACCURACY, ERROR, LOSS = "accuracy", "error", "loss"
MISSING_SHARE = 1 / 3  # of the values that may be missing or not finite
ERROR_WORDS = {"error", "errors", "err", "errs", "wer", "cer", "eer"}  # shares of wrong answers
PERCENT, NO_SHARE = 100.0, 1.5  # a greatest value above 1 and up to this is neither a share nor percent
LONGEST = 300  # epochs that are followed one by one; of a longer past every second, third ... one is
SHORT_OF_END = 0.05  # of the way that known learning rates may lack: the last one is taken to stay


class Refused(Exception):
    """This curve allows no forecast; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric of one run: `values[i]` was measured at the end of epoch `epochs[i]` (1-based, global).

    `total` is the last planned epoch; `rates` the learning rates of the epochs `first` to `total`, known ones
    and planned ones; `stages` the first epochs of the stages. `finished` says that the run ended as planned, `quick`
    that it was only tried out; `data` names what it was trained on ("" is not known). `seconds` is the time of an epoch.
    """

    metric: str
    values: Sequence[float]
    epochs: Sequence[int] = ()
    total: int | None = None
    rates: Sequence[float] = ()
    stages: Sequence[int] = ()
    finished: bool = False
    seconds: float | None = None
    run: str = ""
    name: str = ""
    study: str = ""
    data: str = ""
    quick: bool = False

    def __post_init__(self) -> None:
        for name in ("values", "epochs", "rates", "stages"):
            # Tuples, for a caller's list would change under the frozen curve.
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.epochs and len(self.epochs) != len(self.values):
            raise InputError(f"{len(self.values)} values for {len(self.epochs)} epochs", where=self.metric)
        if self.metric in (LEARNING_RATE, STAGE, "seconds"):
            raise InputError(
                f"{self.metric!r} is not a result", do="forecast a loss, an error or an accuracy"
            )

    @property
    def first(self) -> int:
        """The first epoch (above 1 for a branch of another run)."""
        return int(min(self.epochs)) if len(self.epochs) else 1

    @property
    def last(self) -> int:
        """The last epoch with a value."""
        return int(max(self.epochs)) if len(self.epochs) else len(self.values)

    @property
    def numbers(self) -> list[int]:
        """The epoch of each value."""
        return list(self.epochs) or list(range(1, len(self.values) + 1))

    def until(self, epoch: int) -> Curve:
        """Return the curve as it was after `epoch`; the plans stay, the values after it are unknown."""
        seen = [(number, value) for number, value in zip(self.numbers, self.values) if number <= epoch]
        changed = {"values": [value for _, value in seen], "epochs": [number for number, _ in seen]}
        # Never finished, though the run may be: whoever looks back from here must not know the end. The total
        # stays, for it was planned from the start.
        return Curve(**{**self.__dict__, **changed, "total": self.total or self.last, "finished": False})


@dataclass(frozen=True)
class Prepared:
    """A curve ready to be fitted: `y` is above its floor, over `scale`, and small is good.

    `seen` is 0 where a value is missing (`y` holds the one before it), `rates` is as long as the forecast reaches
    or None when the schedule is constant (`constant`) or not known, `borders` are indices (0-based) where
    a stage starts or the rate breaks; `evaluation` says that the metric was not measured on the training data; `start` is the epoch of `y[0]`,
    `step` the epochs from one number to the next (1 but for a very long past), `length` reaches to `to`, the epoch asked for;
    `least` stands for 0 among `y`.
    """

    kind: str
    y: Array
    seen: Array
    start: int
    to: int
    length: int
    rates: Array | None
    borders: tuple[int, ...]
    scale: float
    floor: float
    unit: float
    constant: bool = False
    evaluation: bool = False
    step: int = 1
    least: float = 0.0
    notes: list[str] = field(default_factory=list)

    def epoch(self, index: Array | int) -> Array:
        """Return the epochs of indices of `y`."""
        return self.start + np.asarray(index) * self.step

    def number(self, epoch: Array | int) -> Array:
        """Return how many numbers `y` has up to these epochs; between two of them it is not a whole number."""
        return (np.asarray(epoch) - self.start) / self.step + 1

    def value(self, y: Array | float) -> Array:
        """Return values in the metric's own units of numbers above the floor."""
        found = np.asarray(y, dtype=float)
        # `least` stands for "no wrong answer": what is not above it is shown as none.
        above = np.where(found > self.least, found, 0.0) * self.scale + self.floor
        if self.kind == LOSS:
            return above
        share = np.minimum(above, 1.0)
        return (1 - share if self.kind == ACCURACY else share) * self.unit

    def above(self, value: float) -> float:
        """Return the number above the floor (over `scale`) of a value in the metric's own units."""
        share = value / self.unit
        return max(((1 - share if self.kind == ACCURACY else share) - self.floor) / self.scale, self.least)


def kind_of(metric: str) -> str:
    """Return whether `metric` is an accuracy, an error or a loss."""
    side = direction(metric)
    if side is None:
        raise RecordError(no_direction(metric))
    if side == HIGHER:
        return ACCURACY
    return ERROR if ERROR_WORDS & set(words_of(metric)) else LOSS


def is_evaluation(metric: str) -> bool:
    """Tell whether a metric's name says that it was measured on other data than those trained on."""
    name = metric.lower()
    named = name.startswith(("val", "test", "dev", "eval"))
    return named or not any(word in name for word in ("loss", "acc", "err", "train", "rmse", "mae", "mse"))


def prepare(curve: Curve, to: int, settings: Settings = DEFAULT) -> Prepared:
    """Check `curve` and return it ready to be forecast up to epoch `to`, or raise `Refused`."""
    notes: list[str] = []
    # The order of the steps matters: gaps before units, units before spikes (which are judged by level), spikes
    # before stages, for a spike looks like a jump.
    values, seen = _by_epoch(curve, notes)
    kind = _kind(curve.metric, float(values[seen].max()))
    unit = _unit(values[seen], kind, notes)
    # After the unit, so that 1 - accuracy holds for percent too; before the spikes, which are looked for
    # upwards.
    values = values / unit
    if kind == ACCURACY:
        values = 1 - values
    values, seen = without_spikes(values, seen, curve.first, notes)
    start, to = _window(curve, kind, values, to, notes)
    values, seen = values[start - curve.first :], seen[start - curve.first :]
    if seen.sum() < settings.fewest:
        jumped = start > max([curve.first, *(epoch for epoch in curve.stages if epoch <= start)])
        since = "the loss jumped at epoch" if jumped else "epoch"
        where = f" since {since} {start}" if start > curve.first else ""
        raise Refused(f"{int(seen.sum())} epochs seen{where}; a forecast needs {settings.fewest}")
    if start + len(values) - 1 >= to:
        raise Refused(f"epoch {to} has been reached")
    # Last: a stage that has too few epochs is refused for that, not for the shape of them.
    _refuse_hopeless(values, kind, start)
    return _above_floor(curve, kind, unit, (values, seen), (start, to), settings, notes)


def _above_floor(
    curve: Curve,
    kind: str,
    unit: float,
    by_epoch: tuple[Array, Array],
    window: tuple[int, int],
    settings: Settings,
    notes: list[str],
) -> Prepared:
    """Return checked values as numbers above their floor, of a very long past at every so many epochs only."""
    (values, seen), (start, to) = by_epoch, window
    floor = _floor(values, kind, notes)
    scale = float(np.max(values - floor))
    rates, constant = _rates(curve, start, to, notes)
    step = -(-len(values) // LONGEST)
    kept = np.arange((len(values) - 1) % step, len(values), step)  # the last epoch is always among them
    # Counted from the last kept epoch: the thinned past and the future must share one grid.
    length = len(kept) - (len(values) + start - 1 - to) // step
    borders = {-((start + int(kept[0]) - epoch) // step) for epoch in curve.stages}
    if rates is not None:
        # The last known rate is held where the grid reaches past the plan by less than a step.
        rates = rates[np.minimum(kept[0] + step * np.arange(length), len(rates) - 1)]
        borders |= set(breaks(rates, settings.border_ratio))
    y = ((values - floor) / scale)[kept]
    # No wrong answer among n means less than half of one: on a log scale 0 would lie without measure below 1 / n.
    least = float(y[y > 0].min(initial=1.0)) / 2 if (y == 0).any() else 0.0
    return Prepared(
        kind=kind,
        y=np.maximum(y, least),
        least=least,
        seen=seen[kept].astype(float),
        start=start + int(kept[0]),
        to=to,
        length=length,
        step=step,
        rates=rates,
        borders=tuple(sorted(index for index in borders if 0 < index < len(kept))),
        scale=scale,
        floor=floor,
        unit=unit,
        constant=constant,
        evaluation=is_evaluation(curve.metric),
        notes=notes,
    )


def _kind(metric: str, top: float) -> str:
    """Return the kind of `metric`; an error that is not a share of wrong answers counts as a loss."""
    kind = kind_of(metric)
    return LOSS if kind == ERROR and (top > PERCENT or 1 < top <= NO_SHARE) else kind


def _by_epoch(curve: Curve, notes: list[str]) -> tuple[Array, Array]:
    """Return one value an epoch and which of them were seen; of an epoch recorded twice, the later."""
    epochs = np.asarray(curve.numbers, dtype=int)
    given = np.asarray(curve.values, dtype=float)
    if not len(given):
        raise Refused("no values")
    finite = np.isfinite(given)
    if not finite.any():
        raise Refused("no value is finite")
    # Both the latest epoch and the last row: a record that goes back may end with either.
    if not finite[np.argmax(epochs)] or not finite[-1]:
        raise Refused(f"the value of epoch {curve.last} is {given[-1]:g}: the run has diverged")
    values = np.full(epochs.max() - epochs.min() + 1, np.nan)
    # A loop, for of an epoch recorded twice the later row counts, which fancy assignment does not promise.
    for epoch, value in zip(epochs[finite] - epochs.min(), given[finite], strict=True):
        values[epoch] = value
    if len(set(epochs.tolist())) < len(epochs):
        notes.append("some epochs are recorded twice: the later value counts")
    seen = np.isfinite(values)
    if seen.mean() < 1 - MISSING_SHARE:
        raise Refused(f"{int((~seen).sum())} of {len(seen)} epochs have no finite value")
    if not seen.all():
        notes.append(f"{int((~seen).sum())} epochs without a finite value are left out")
    # A missing value holds the one before it: fits ignore it by its weight, and differences stay small there.
    before = np.maximum.accumulate(np.where(seen, np.arange(len(values)), -1))
    before = np.where(before < 0, np.argmax(seen), before)
    return values[before], seen


def _unit(values: Array, kind: str, notes: list[str]) -> float:
    """Return 100 for shares in percent, else 1; refuse what is neither."""
    if kind == LOSS:
        return 1.0
    low, high = float(values.min()), float(values.max())
    # Between 1 and 1.5 nobody can say whether it is a share with noise or percent: better none than off by a
    # hundred.
    if low < 0 or high > PERCENT or 1 < high <= NO_SHARE:
        raise Refused(f"values from {low:g} to {high:g} are neither shares (0 to 1) nor percent")
    if high > NO_SHARE:
        notes.append("values are in percent")
        return PERCENT
    return 1.0


def _window(curve: Curve, kind: str, values: Array, to: int, notes: list[str]) -> tuple[int, int]:
    """Return the first epoch to fit and the last one to forecast: for a loss, those of its stage."""
    if kind != LOSS:
        return curve.first, to
    starts = sorted(curve.stages)
    begun = [epoch for epoch in starts if epoch <= curve.last]
    coming = [epoch for epoch in starts if curve.last < epoch <= to]
    # A loss of the stage before is another quantity: its epochs would bend every fit.
    start = max([curve.first, *begun])
    # Before the jump is looked for: a loss that diverges would be taken for a new stage.
    _refuse_diverging(values[start - curve.first :])
    if coming:
        notes.append(f"the stage ends at epoch {coming[0] - 1}: a loss is not followed into the next")
        to = coming[0] - 1
        if to == curve.last:
            raise Refused(f"its stage has ended; the loss of the next, from epoch {coming[0]}, is another")
    jump = _jump(values[start - curve.first :])
    if jump:
        start += jump
        notes.append(f"the loss jumps at epoch {start}: taken for the start of a stage that was not given")
    return start, to


def _refuse_diverging(y: Array) -> None:
    """Refuse a loss that is at its highest, still rising, and far above where it began."""
    if len(y) < 3 or y[-1] <= y[-2] or y[-1] < y.max():
        return
    # Against the first third, not the best value: a loss may rise for a while after a rate's restart.
    before = float(y[: max(2, len(y) // 3)].max())
    if np.median(y[-3:]) > before + 0.2 * abs(before):
        raise Refused(f"the loss diverges: {y[-1]:g} now, {y.min():g} at its best")


def _jump(y: Array) -> int:
    """Return the index of the last lasting upward jump of `y`, else 0.

    A jump is five times any of the three steps before it, 15 percent of the range, and lasts.
    """
    step = np.diff(y)
    extent = float(np.ptp(y)) or 1.0
    steep = np.flatnonzero(step[:-1] > 0.15 * extent)  # the last step alone cannot show that a jump lasts
    # From the end: of several jumps the last begins what the forecast has to follow.
    for k in steep[steep > 0][::-1].tolist():
        usual = np.abs(step[max(0, k - 3) : k]).max()
        after = np.median(y[k + 1 : k + 4])
        if step[k] > max(5 * usual, 0.15 * extent) and after - y[k] > 0.4 * step[k]:
            return k + 1
    return 0


def _refuse_hopeless(y: Array, kind: str, start: int) -> None:
    """Refuse curves that do not move, and losses that run away upwards or downwards."""
    if np.ptp(y) <= 1e-12 * np.abs(y).max():
        raise Refused(f"the values have not changed since epoch {start}: there is nothing to go by")
    if kind != LOSS:
        return
    third, lowest = max(2, len(y) // 3), float(y.min())
    if lowest > 0 and np.median(y[-3:]) > 3 * lowest and np.diff(y[-third:]).mean() > 0:
        raise Refused(f"the loss diverges: {y[-1]:g} now, {lowest:g} at its best")
    early, late = np.diff(y[: third + 1]).mean(), np.diff(y[-third - 1 :]).mean()
    # A likelihood may go below zero for good reasons, but without a bend nothing says where it ends.
    if lowest <= 0 and late < 0 and late < 0.7 * early:
        raise Refused("the loss falls below zero without flattening: it has no floor to forecast")


def _floor(y: Array, kind: str, notes: list[str]) -> float:
    """Return the value that `y` cannot fall below: 0, or one range below the least for negative losses."""
    if kind != LOSS or y.min() >= 0:
        return 0.0
    notes.append("the loss goes below zero: its floor is a guess")
    # One range below is a guess that leaves room to fall as far again; the note says so.
    return float(y.min() - np.ptp(y))


def _rates(curve: Curve, start: int, to: int, notes: list[str]) -> tuple[Array | None, bool]:
    """Return the learning rates of epochs `start` to `to`, or None, and whether they are known not to change."""
    given = np.asarray(curve.rates, dtype=float)[start - curve.first :][: to - start + 1]
    if not len(given) or not np.isfinite(given).all() or given.min() < 0 or given.max() <= 0:
        return None, False
    short = to - start + 1 - len(given)
    # A plan that lacks a little (a rounded epoch, a last evaluation) is completed; one that lacks more may
    # hide a fall, so that it counts as not known.
    if short > SHORT_OF_END * (to - start + 1):
        notes.append(
            f"the learning rate after epoch {to - short} is not known: the interval allows for a fall"
        )
        return None, False
    if short > 0:
        given = np.concatenate([given, np.repeat(given[-1], short)])
    if relative(given).min() < 1 - MATTERS:
        return given, False
    # A constant schedule has no term to fit, and is another piece of knowledge than an unknown one.
    return None, True


def known_epochs(curve: Curve, to: int | None) -> int:
    """Return the epoch to forecast: `to`, else the planned last one; raise `RecordError` without either."""
    if to is not None:
        return to
    if curve.total is None:
        raise RecordError("the run's planned end is not known", where=curve.run or None, do="give --to EPOCH")
    return curve.total
