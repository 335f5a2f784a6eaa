"""`workbench losses`: all losses with their settings, and the target's logit drawn against the cosine."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from workbench import PARTS
from workbench.commands import completers
from workbench.commands.common_options import DEBUG, PATH
from workbench.errors import SpecError
from workbench.spec.interfaces import Loss
from workbench.spec.overrides import parse_part
from workbench.spec.part import Part, find

DRAWN = (
    "ScaledSoftmax()",
    "CosFace()",
    "ArcFace()",
    "SphereFace()",
    "CombinedMargin()",
    "AirFace()",
    "MarginSoftmax()",
)
STYLES = ("-", "--", "-.", ":")


@click.command()
@click.argument("margins", nargs=-1, shell_complete=completers.losses)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Draw into this file: png, svg, pdf.",
)
@DEBUG
def losses(margins: tuple[str, ...], output: Path | None) -> None:
    """List all losses with their settings, or draw the target logit of MARGINS against the cosine.

    MARGINS are losses as in a spec, such as "ArcFace(margin=0.3)" or "CombinedMargin(m1=0.9, m2=0.4)"; of
    MarginSoftmax it draws what stands for the own probability, of ScaledSoftmax also the softmax at its scale.
    """
    if output is None and not margins:
        show()
        return
    chosen = [loss_of(text) for text in margins or DRAWN]
    figure = draw(chosen)
    path = output or Path("losses.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    click.echo(path)


def members() -> list[type[Part]]:
    """Return the classes of all losses, by name."""
    names = [name for name, module in PARTS.items() if module.startswith("workbench.losses")]
    return [find(name) for name in sorted(names)]


def rows() -> list[dict[str, str]]:
    """Return one row a loss: name, what it is, its settings with their defaults, its name in the records."""
    return [
        {
            "loss": cls.__name__,
            "what it is": (cls.__doc__ or "").strip().splitlines()[0].rstrip("."),
            "settings": ", ".join(f"{field.name}={field.default}" for field in dataclasses.fields(cls)),  # type: ignore[arg-type]
            "recorded as": getattr(cls, "term", ""),
        }
        for cls in members()
    ]


def show() -> None:
    """Print each loss: its name and its name in the records, what it is, its settings."""
    for row in rows():
        click.echo(f"{click.style(row['loss'], bold=True)}  recorded as {row['recorded as']}")
        click.echo(f"    {row['what it is']}")
        click.echo(f"    {row['settings']}")


def loss_of(text: str) -> Any:
    """Return the loss that a text means; raises `SpecError` for one without a curve."""
    loss = parse_part(text, "workbench.losses", "ArcFace(margin=0.3)")
    if not isinstance(loss, Loss) or not any(hasattr(loss, panel) for panel in PANELS):
        raise SpecError(
            f"{text} has no curve of a target logit",
            expected=f"a loss on scaled cosines such as {', '.join(DRAWN[1:4])}, or MarginSoftmax",
        )
    return loss


def draw(chosen: list[Any]) -> Any:
    """Return a figure, a panel each for what there is of target logits, probabilities and softmax curves."""
    import seaborn
    from matplotlib.figure import Figure

    found = {panel: _curves(chosen, panel) for panel in PANELS}
    panels = [panel for panel, curves in found.items() if curves]
    with seaborn.axes_style("whitegrid"):
        figure = Figure(figsize=(7.5 * len(panels), 5), layout="constrained")
        every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(every, panels):
        points, words = PANELS[panel]
        colours = seaborn.color_palette("colorblind", len(found[panel]))
        for number, (label, curve) in enumerate(found[panel].items()):
            style = STYLES[number % len(STYLES)]
            axes.plot(*points(curve), style, color=colours[number], label=label, linewidth=2)
        axes.set(**words)
        if panel == "curves":
            _show_angles(axes)
        axes.legend(frameon=True)
    return figure


def _curves(chosen: list[Any], panel: str) -> dict[str, Any]:
    found = [getattr(loss, panel)() for loss in chosen if hasattr(loss, panel)]
    return {label: curve for curves in found for label, curve in curves.items()}


def _over_cosine(target: Any) -> Any:
    cosine = np.cos(np.linspace(0, math.pi, 2001)).astype(np.float32)
    return cosine, np.asarray(target(cosine))


def _over_probability(changed: Any) -> Any:
    probability = np.linspace(0, 1, 501)
    return probability, changed(probability)


def _softmax(scale: float) -> Any:
    """Return the softmax of 100 cosines spread evenly over 0 to 1, as many identities, at a scale."""
    cosine = np.linspace(0, 1, 100)
    powers = np.exp(scale * (cosine - 1))
    return cosine, powers / powers.sum()


# By the method of a loss that gives its curves: how they are drawn, and what the axes are.
PANELS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "curves": (
        _over_cosine,
        {
            "xlabel": "cosine between embedding and its identity's weight",
            "ylabel": "target logit before the scale",
            "xlim": (-1, 1),
        },
    ),
    "probability_curves": (
        _over_probability,
        {
            "xlabel": "probability of the own identity",
            "ylabel": "what stands in its place",
            "xlim": (0, 1),
        },
    ),
    "softmax_curves": (
        _softmax,
        {"xlabel": "cosines of 100 identities, spread evenly", "ylabel": "softmax", "xlim": (0, 1)},
    ),
}


def _show_angles(axes: Any) -> None:
    """Add the angle above an axis of cosines, degrees."""
    angles = axes.secondary_xaxis(
        "top",
        functions=(
            lambda cosine: np.degrees(np.arccos(np.clip(cosine, -1, 1))),
            lambda degrees: np.cos(np.radians(degrees)),
        ),
    )
    angles.set_xticks([0, 30, 60, 90, 120, 150, 180])
    angles.set_xlabel("angle, degrees")
