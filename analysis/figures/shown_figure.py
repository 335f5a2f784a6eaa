"""The figure that all of ours are: it shows itself where a notebook's cell ends with it.

Importing pyplot is how a notebook learns to show any figure; ours are made without it, and its state of the process.
"""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that notebooks take for a picture."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", bbox_inches="tight")
        return picture.getvalue()
