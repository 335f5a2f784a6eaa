"""`workbench data strip`: one image over the range of a setting, by the same chance in a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workbench.cli import main


@pytest.mark.tensorflow
def test_a_strip_shows_one_image_over_the_range_of_a_setting(project: Path) -> None:
    from workbench import Affine
    from workbench.data.contact_sheet import over_range

    y, x = np.mgrid[:40, :40]
    picture = np.stack([x * 6, y * 6, x + y], -1).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(project / "face.png")
    words = [
        "data",
        "strip",
        "face.png",
        "Affine",
        "--over",
        "rotation=0,20,60",
        "--rows",
        "2",
        "--size",
        "40",
    ]
    assert main([*words, "--out", "s.png"]) == 0
    with Image.open(project / "s.png") as found:
        assert found.width >= 4 * 40 * 3
    row = over_range(picture[None], 0, [Affine(rotation=value) for value in (0, 20, 60)], 7)
    assert row.shape == (4, 40, 40, 3)
    np.testing.assert_array_equal(row[0], row[1])  # a rotation of 0 leaves it
    moved = [np.abs(other.astype(int) - row[0]).mean() for other in row[2:]]
    assert 0 < moved[0] < moved[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["face.png", "Affine", "--over", "rotation=1"], "is not there"),
        (["Digits()", "SGD", "--over", "momentum=1"], "is not an augmentation"),
        (["Digits()", "Affine", "--over", "rotation"], "has no values"),
        (["Digits()", "Affine", "--over", "rotaton=1"], "did you mean 'rotation'"),
        (["Digits()", "Affine", "--over", "rotation=1", "--image", "5000"], "no image 5000"),
    ],
)
def test_what_makes_no_strip_is_refused(project: Path, capsys: Any, words: list[str], message: str) -> None:
    assert main(["data", "strip", *words]) == 2
    assert message in capsys.readouterr().err
