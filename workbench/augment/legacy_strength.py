"""The notebook's numbers for strengths of augmentation, for those who know it by them."""

from __future__ import annotations

from workbench.augment.autoaugment import AutoAugment
from workbench.augment.colour import Colour
from workbench.augment.randaugment import FACE, FACE_STRONG, RandAugment
from workbench.errors import SpecError
from workbench.spec.interfaces import Augmentation


def numbered(number: float) -> Augmentation:
    """Return what a number stands for: -1 AutoAugment, 0..3 `Colour`, 100 and 300 RandAugment 5 and 15."""
    known: dict[float, Augmentation] = {
        -1: AutoAugment(policy="face"),
        **{level: Colour(level=level) for level in range(4)},
        100: RandAugment(magnitude=5, operations=FACE),
        300: RandAugment(magnitude=15, operations=FACE_STRONG),
    }
    if number not in known:
        raise SpecError(
            f"{number} is not possible", where="augment", expected="-1, 0, 1, 2, 3, 100, 300 or a part"
        )
    return known[number]
