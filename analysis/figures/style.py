"""How figures look: sizes, colours and dashes, and the styles and palettes that a user may ask for instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, suggestion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008), without its yellow, in an order that alternates dark
# and light; with the dashes beside them lines are told apart in grey too
COLORS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")
DASHES = (
    "-",
    (0, (6, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2)),
    (0, (9, 2, 3, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
)
PALETTE = "okabe-ito"
SEABORN = ("deep", "muted", "bright", "pastel", "dark", "colorblind")  # of six to ten colours each
HUES = ("husl", "hls")  # of as many as are asked for
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "legend.frameon": False,
    "text.parse_math": False,  # names are text: a dollar in one begins no formula
    "lines.linewidth": 1.3,
}
_LIGHT, _DARK = "#e6e6e6", "#1b1b1b"
SMALLEST = 7  # points; nothing in a figure is written smaller
STYLES: dict[str, dict[str, Any]] = {  # what each changes of the usual one
    "plain": {},
    "paper": {"font.family": "serif", "font.size": 8, "axes.titlesize": 8.5, "axes.grid": False},
    "talk": {"font.size": 13, "axes.titlesize": 14, "lines.linewidth": 2.2},
    "dark": {
        "figure.facecolor": _DARK,
        "savefig.facecolor": _DARK,
        "axes.facecolor": _DARK,
        "grid.color": "#3a3a3a",
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "axes.edgecolor"), _LIGHT),
        "xtick.color": _LIGHT,
        "ytick.color": _LIGHT,
    },
}


@contextmanager
def new_figure(width: float, height: float, settings: Mapping[str, Any] = STYLE) -> Iterator[Figure]:
    """Hold a style (matplotlib's settings) while a figure of so many inches is drawn, without pyplot's state."""
    import matplotlib

    from analysis.figures.shown_figure import ShownFigure

    with matplotlib.rc_context(dict(settings)):
        yield ShownFigure(figsize=(width, height), layout="constrained")


@dataclass(frozen=True)
class Look:
    """What a user may ask of a figure: its title, inches of width, panels a row, a style, a palette."""

    title: str = ""
    width: float | None = None
    columns: int | None = None
    style: str = "plain"
    palette: str = PALETTE

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise InputError(f"no style {self.style!r}", where="--style", do=suggestion(self.style, STYLES))
        if self.width is not None and not 1 <= self.width <= 100:
            raise InputError(f"{self.width:g} inches wide", where="--width", expected="1 to 100 inches")
        if self.columns is not None and not 1 <= self.columns <= 12:
            raise InputError(f"{self.columns} panels a row", where="--columns", expected="1 to 12")

    @property
    def settings(self) -> dict[str, Any]:
        """Return matplotlib's settings of the style."""
        return {**STYLE, **STYLES[self.style]}

    @property
    def font_size(self) -> float:
        return float(self.settings["font.size"])

    def colors(self, count: int) -> list[Any]:
        """Return a colour for each of `count` lines; raises `InputError` for a palette that nobody knows."""
        if self.palette == PALETTE:
            colors: Sequence[Any] = (_LIGHT, *COLORS[1:]) if self.style == "dark" else COLORS
        elif "," in self.palette or self.palette.startswith("#"):
            colors = _listed(self.palette)
        else:
            colors = _named(self.palette, count)
        return [colors[number % len(colors)] for number in range(count)]


def _listed(text: str) -> list[str]:
    from matplotlib.colors import is_color_like

    colors = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in colors if not is_color_like(word)]
    if wrong or not colors:
        raise InputError(
            f"{(wrong or [text])[0]!r} is not a colour",
            where="--palette",
            expected="such as #0072B2,#D55E00 or red,blue",
        )
    return colors


def _named(name: str, count: int) -> list[Any]:
    import matplotlib
    import seaborn

    known = (PALETTE, *SEABORN, *HUES, *matplotlib.colormaps)
    if name not in known:
        raise InputError(f"no palette {name!r}", where="--palette", do=suggestion(name, known))
    return list(seaborn.color_palette(name, None if name in SEABORN else max(count, 2)))
