"""Figures that a notebook shows: ours are made without pyplot, whose import is how a notebook learns to show any."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def displayed(figure: Figure) -> Figure:
    """Return a figure that shows itself as a picture where a cell of a notebook ends with it."""

    def png() -> bytes:
        picture = io.BytesIO()
        figure.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()

    figure._repr_png_ = png  # type: ignore[attr-defined]
    return figure
