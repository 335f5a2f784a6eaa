"""The sheet of errors: names of images short enough that none lies across another."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from workbench.commands.errors import shortened
from workbench.verification import plots


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ann_Lee/Ann_Lee_0001", "Ann_Lee_0001"),
        ("Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee_0001"),
        ("s01/3.png", "s01/3"),
        ("image 7", "image 7"),
        ("a" * 60, "..." + "a" * 37),
    ],
)
def test_names_are_shortened(name: str, shown: str) -> None:
    assert shortened(name) == shown


def test_no_caption_lies_across_another() -> None:
    picture = np.zeros((112, 112, 3), np.uint8)
    caption = "\n".join(
        ["0.512", shortened("M" + "a" * 60), shortened("Mohammad_Khatami/Mohammad_Khatami_0008.jpg")]
    )
    figure = plots.contact_sheet(
        [(kind, [(picture, picture, caption)] * 8) for kind in ("impostors", "genuine")]
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    axes = [axis for axis in figure.axes if axis.get_title()]
    boxes = [axis.title.get_window_extent(canvas.get_renderer()) for axis in axes]
    assert len(boxes) == 16
    for place, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[place + 1 :])
        others = [axis.get_window_extent(canvas.get_renderer()) for axis in axes if axis is not axes[place]]
        assert not any(box.overlaps(other) for other in others)
