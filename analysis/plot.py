"""The drop-in module for old notebooks: `hist_plot_split`, `choose_accuracy`, `EVALS_NAME`, colours, scale.

Cells that draw Keras_insightface histories with typed stage lengths run unchanged on this module, `import plot`
included: `plot.py` beside this package hands it on. docs/analysis.md lists what differs from the notebook's. For
anything new use `analysis.plot_curves`: it takes stages and labels from the records, aligns short lists
and draws gaps as gaps, which the behaviour kept here does not.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.accuracies import EVALS_NAME, choose_accuracy
from analysis.figures.style import HUES, SEABORN
from analysis.sources.run_history import Named, named_history
from workbench.errors import InputError, RecordError, suggestion
from workbench.names import badness, lower_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EVALS_NAME", "choose_accuracy", "hist_plot_split", "set_colors", "set_scale"]

LINE_STYLES = ("-", "--", "-.", ":")
INCHES = 8  # one panel of a new figure, before the scale
MAPS = ("rainbow", "Set2", "viridis")  # a few of matplotlib's, that a wrong name is compared with
WHOLE = (100,)  # stages of a history of which nothing is said
STYLED = (
    "axes.facecolor",
    "axes.edgecolor",
    "axes.grid",
    "grid.color",
    "figure.facecolor",
    "axes.prop_cycle",
)
STAGE_LINE, CURVE, MARK = "stage", "curve", "mark"  # how what was drawn is found again by a later call


@dataclass
class _Look:
    """What `set_colors` and `set_scale` change: module state, because old cells expect it so."""

    count: int = 10
    palette: str = "deep"
    scale: float = 1.0


_look = _Look()


def set_colors(max_color: int, palette: str = "deep") -> None:
    """Draw runs in `max_color` colours of a palette that seaborn knows, or of "rainbow"; raises `InputError`."""
    if max_color < 1:
        raise InputError(f"no colours {max_color!r}", expected="at least 1")
    _colors(max_color, palette)
    _look.count, _look.palette = max_color, palette


def _colors(count: int, palette: str) -> list[Any]:
    import seaborn
    from matplotlib import colormaps

    if palette == "rainbow":
        return list(colormaps["rainbow"](np.linspace(0, 1, count)))
    try:
        return list(seaborn.color_palette(palette, n_colors=count))
    except ValueError as error:
        raise InputError(
            f"no colours {count!r} of {palette!r}", do=suggestion(palette, (*SEABORN, *HUES, *MAPS))
        ) from error


def set_scale(scale: float) -> None:
    """Scale the size and the texts of figures drawn from now on; 1 is 8 inches a panel."""
    if not scale > 0:
        raise InputError(f"no scale {scale!r}", expected="a number above 0")
    _look.scale = float(scale)


def hist_plot_split(
    history: Any,
    epochs: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    customs: Sequence[str] = (*EVALS_NAME[:3], "lr"),
    save: str | None = None,
    axes: Any = None,
    init_epoch: int = 0,
    pre_item: Mapping[str, float] | None = None,
    fig_label: str | None = None,
    eval_split: bool = True,
    limit_loss_max: float = 1e9,
    skip_epochs: int = 0,
) -> tuple[np.ndarray, dict[str, float]]:
    """Draw one history, cut into stages of the given lengths, and mark each stage's best values.

    Args:
        history: A path, a run of the workbench, a list of them joined key by key, or a dict {metric: values}.
        epochs: Lengths of the stages; None: a run is cut at its own stages, a file is one of up to 100 epochs.
        names: Of the stages.
        customs: Further metrics; absent ones are skipped, none means every evaluation set present.
        save: A file, or "" for the last history's path with `.svg`.
        axes: Those of an earlier call are drawn on as they are laid out.
        init_epoch: The first epoch stands at this number + 1.
        pre_item: As an earlier call returned it: joins the curves to their past.
        fig_label: The label; a dict needs one.
        eval_split: 2 x 3 axes (loss, accuracy, other metrics; the first, the second and all further evaluation sets)
            or, False, 1 x 3 (loss, accuracy, all sets; other metrics on a twin of the loss axis, appended).
        limit_loss_max: Cuts off what is drawn of the loss, the marks too.
        skip_epochs: Leaves out the epochs up to this one, `init_epoch` included.

    Returns:
        The flat array of axes, and the last value within the stages of each metric drawn.

    Raises:
        RecordError: An unreadable history, one without `loss`, a dict without a label.
    """
    given = _load(history, fig_label)
    epochs = (given.stages or WHOLE) if epochs is None else epochs
    drawn, customs = _drawn(given.metrics, customs, given.label)
    stages = {name: _split(given.metrics[key], epochs) for name, key in drawn.items()}
    last = {name: parts[-1][-1] for name, parts in stages.items() if parts}
    stages, names, first = _skip(stages, epochs, names, skip_epochs, init_epoch)

    sets = [key for key in customs if key in EVALS_NAME]
    axes = _new_axes(eval_split) if axes is None else np.ravel(np.asarray(axes, dtype=object))
    axes, places = _places(axes, sets, [key for key in customs if key not in EVALS_NAME])
    color = _next_color(axes[0])
    joins = {} if first > init_epoch + 1 else dict(pre_item or {})
    for name, parts in stages.items():
        axis, style = places[name]
        text = given.label if name in ("loss", "accuracy") else f"{name} - {given.label}"
        limit = limit_loss_max if name == "loss" else math.inf
        _curve(axis, parts, first, joins.get(name, 0), limit, color=color, linestyle=style, label=text)
        _mark_best(axis, parts, first, name, limit)
    _stage_lines(axes, stages["loss"], names, first, color)
    _finish(axes, places)
    target = _target(save, given.path)
    if target:
        axes[0].figure.savefig(target)
    return axes, last


def _load(history: Any, label: str | None) -> Named:
    """Return one history of all that is given, with its label, the file to save beside and the stages if known."""
    if isinstance(history, Mapping):
        if label is None:
            raise RecordError("a history given as a dict has no name", do="give it a fig_label")
        return Named(label, {key: list(values) for key, values in history.items()})
    items = list(history) if isinstance(history, (list, tuple)) else [history]
    if not items:
        raise RecordError("no history given", expected="a path, a run, a list of them or a dict")
    joined: dict[str, list[float]] = {}
    found = [named_history(item) for item in items]
    for named in found:
        for key, values in named.metrics.items():
            joined.setdefault(key, []).extend(values)
    stages = tuple(length for named in found for length in named.stages) if found[-1].stages else ()
    return Named(label or found[-1].label, joined, found[-1].path, stages)


def _drawn(
    metrics: Mapping[str, Any], customs: Sequence[str], label: str
) -> tuple[dict[str, str], list[str]]:
    """Return {name: key} of everything to draw, and the custom metrics that are there."""
    if "loss" not in metrics:
        raise RecordError("no metric 'loss'", where=label, do=suggestion("loss", metrics))
    accuracy = next((key for key in ("accuracy", "logits_accuracy") if key in metrics), None)
    there = [key for key in (customs or EVALS_NAME) if key in metrics]
    names = {"loss": "loss", **({"accuracy": accuracy} if accuracy else {})}
    return {**names, **{key: key for key in there}}, there


def _split(values: Sequence[float], epochs: Sequence[int]) -> list[list[float]]:
    """Cut a list from its own start into stages; what goes beyond their sum is dropped."""
    ends = np.cumsum([0, *epochs])
    parts = [list(values[start:end]) for start, end in itertools.pairwise(ends)]
    return [part for part in parts if part]


def _skip(
    stages: dict[str, list[list[float]]], epochs: Sequence[int], names: Any, skip: int, init_epoch: int
) -> tuple[dict[str, list[list[float]]], list[str], int]:
    """Drop the stages that end by epoch `skip` and cut the next; return stages, names, first epoch.

    Epochs count from `init_epoch` on: `skip` is an epoch of the axis.
    """
    skip = max(skip - init_epoch, 0)
    ends = np.cumsum(list(epochs))
    gone = int(np.searchsorted(ends, skip, side="right"))
    cut = skip - (int(ends[gone - 1]) if gone else 0)

    def rest(parts: list[list[float]]) -> list[list[float]]:
        kept = parts[gone:]
        return [part for part in [kept[0][cut:], *kept[1:]] if part] if kept else []

    return (
        {key: rest(parts) for key, parts in stages.items()},
        list(names or [])[gone:],
        init_epoch + skip + 1,
    )


def _new_axes(eval_split: bool) -> np.ndarray:
    import seaborn
    from matplotlib import pyplot

    size = INCHES * _look.scale
    rows = 2 if eval_split else 1
    with _style(), seaborn.plotting_context("notebook", font_scale=_look.scale):
        _, axes = pyplot.subplots(rows, 3, figsize=(3 * size, size * rows))
    return axes.ravel()


def _style() -> Any:
    """Return the style of a new figure: seaborn's dark grid, or what the user set in `plt.style` or seaborn."""
    import seaborn
    from matplotlib import rcParams, rcParamsDefault

    styled = any(rcParams[name] != rcParamsDefault[name] for name in STYLED)
    return contextlib.nullcontext() if styled else seaborn.axes_style("darkgrid")


def _places(
    axes: np.ndarray, sets: Sequence[str], others: Sequence[str]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the axes (with a twin appended where it is needed) and each metric's axis and line style."""
    places = {"loss": (axes[0], "-"), "accuracy": (axes[1], "-")}
    if len(axes) == 6:
        shared = [(3 + min(number, 2), max(number - 2, 0)) for number in range(len(sets))]
        other_axis = axes[2]
    else:
        shared = [(2, number) for number in range(len(sets))]
        if others and len(axes) == 3:
            twin = axes[0].twinx()
            twin.grid(False)
            axes = np.append(axes, twin)
        other_axis = axes[-1]
    for name, (axis, number) in zip(sets, shared, strict=True):
        places[name] = (axes[axis], LINE_STYLES[number % 4])
    for number, name in enumerate(others):
        # on the twin of the loss axis a solid line would be taken for the loss
        places[name] = (other_axis, LINE_STYLES[(number + (len(axes) != 6)) % 4])
    return axes, places


def _next_color(axis: Axes) -> Any:
    drawn = sum(line.get_gid() == CURVE for line in axis.lines)
    return _colors(_look.count, _look.palette)[drawn % _look.count]


def _curve(
    axis: Axes, parts: list[list[float]], first: int, before: float, limit: float, **look: Any
) -> None:
    values = [min(value, limit) for part in parts for value in part]  # min(nan, limit) stays NaN
    if before and values:
        values = [before, *values] if first > 1 else [before, *values[1:]]
        first = first - 1 if first > 1 else first
    for position in range(1, len(values)):
        if values[position] == 0 or math.isnan(values[position]):
            values[position] = values[position - 1]
    axis.plot(range(first, first + len(values)), values, gid=CURVE, **look)


def _mark_best(axis: Axes, parts: list[list[float]], first: int, metric: str, limit: float) -> None:
    lower = lower_is_better(metric)
    for part in parts:
        known = [value for value in part if not math.isnan(value)]
        best = min(known, key=lambda value: badness(value, lower), default=0)
        if best:  # as in the notebook the last of equal ones is marked, and a 0 is not
            epoch = first + len(part) - 1 - part[::-1].index(best)
            height = min(best, limit)
            axis.scatter(epoch, height, color="r", marker="v", gid=MARK, zorder=3)
            look = {"fontsize": 9 * _look.scale, "va": "bottom", "ha": "right", "rotation": -30}
            axis.text(epoch, height, f"{best:.4f}", gid=MARK, **look)
        first += len(part)


def _stage_lines(
    axes: np.ndarray, parts: list[list[float]], names: list[str], first: int, color: Any
) -> None:
    starts = first + np.cumsum([0, *map(len, parts)])[:-1]
    for axis in axes:
        for number, start in enumerate(starts.tolist()):
            gid = f"{STAGE_LINE} {start}"
            # A stage without a name keeps what it was called.
            named = number < len(names) and bool(names[number])
            replaced = [*axis.lines, *(axis.texts if named else [])]
            for old in [artist for artist in replaced if artist.get_gid() == gid]:
                old.remove()
            axis.axvline(start, 0.05, 0.95, color=color, linestyle="--", linewidth=1, gid=gid)
            if named:
                where = {"transform": axis.get_xaxis_transform(), "rotation": -90, "va": "bottom"}
                axis.text(start, 0.07, f" {names[number]}", fontsize=9 * _look.scale, gid=gid, **where)


def _finish(axes: np.ndarray, places: Mapping[str, tuple[Axes, str]]) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        here = [name for name, (place, _) in places.items() if place is axis]
        title = ", ".join(dict.fromkeys([*filter(None, axis.get_title().split(", ")), *here]))
        if len(axes) == 4 and axis is axes[-1]:
            axis.set_ylabel(title.removeprefix("loss, "))
        else:
            axis.set_title(title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if any(line.get_gid() == CURVE for line in axis.lines):
            axis.legend(fontsize=8 * _look.scale, loc="upper right" if "loss" in here else "lower right")
    axes[0].figure.tight_layout()


def _target(save: str | None, path: Path | None) -> Path | None:
    if save:
        return Path(save)
    if save is None:
        return None
    if path is None:
        raise RecordError("a history given as a dict has no path to save beside", do="give save= a file name")
    return path.with_suffix(".svg")
