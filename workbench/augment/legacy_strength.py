"""The notebook's numbers for strengths of augmentation, for those who know it by them."""

from __future__ import annotations

from workbench.augment.autoaugment import AutoAugment
from workbench.augment.colour import Colour
from workbench.augment.flip import Flip
from workbench.augment.randaugment import FACE, FACE_STRONG, RandAugment
from workbench.errors import SpecError
from workbench.spec.interfaces import Augmentation


def numbered(number: float) -> Augmentation | tuple[Augmentation, ...]:
    """Return what a number stands for: -1 AutoAugment, 0..3 `Colour`, 100 and 300 RandAugment 5 and 15.

    All of them mirror first, as level 0 does alone: the notebook's runs with and without a recipe
    differ in that recipe only.
    """
    known: dict[float, Augmentation | tuple[Augmentation, ...]] = {
        -1: (Flip(), AutoAugment(policy="face")),
        **{level: Colour(level=level) for level in range(4)},
        100: (Flip(), RandAugment(magnitude=5, operations=FACE)),
        300: (Flip(), RandAugment(magnitude=15, operations=FACE_STRONG)),
    }
    if number not in known:
        raise SpecError(
            f"{number} is not possible", where="augment", expected="-1, 0, 1, 2, 3, 100, 300 or a part"
        )
    return known[number]
