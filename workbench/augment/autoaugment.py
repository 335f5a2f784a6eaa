"""AutoAugment: learned pairs of operations, each with its probability and level.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019, arXiv 1805.09501: the
ImageNet policy (as in its reference code) and the CIFAR-10 policy; the face policy leaves out what
moves or inverts a face. A row is (operation, probability, level), twice.
"""

from __future__ import annotations

from typing import Literal, Union

from workbench.augment import operations
from workbench.augment.random_bits import DrawnBatch
from workbench.errors import SpecError, suggestion
from workbench.lazy import tf
from workbench.spec.part import part, setting

_IMAGENET = """
Equalize .8 1 ShearY .8 4 | Color .4 9 Equalize .6 3 | Color .4 1 Rotate .6 8 | Solarize .8 3 Equalize .4 7
Solarize .4 2 Solarize .6 2 | Color .2 0 Equalize .8 8 | Equalize .4 8 SolarizeAdd .8 3 | ShearX .2 9 Rotate .6 8
Color .6 1 Equalize 1 2 | Invert .4 9 Rotate .6 0 | Equalize 1 9 ShearY .6 3 | Color .4 7 Equalize .6 0
Posterize .4 6 AutoContrast .4 7 | Solarize .6 8 Color .6 9 | Solarize .2 4 Rotate .8 9
Rotate 1 7 TranslateY .8 9 | ShearX 0 0 Solarize .8 4 | ShearY .8 0 Color .6 4 | Color 1 0 Rotate .6 2
Equalize .8 4 Equalize 0 8 | Equalize 1 4 AutoContrast .6 2 | ShearY .4 7 SolarizeAdd .6 7
Posterize .8 2 Solarize .6 10 | Solarize .6 8 Equalize .6 1 | Color .8 6 Rotate .4 5
"""
_CIFAR = """
Invert .1 7 Contrast .2 6 | Rotate .7 2 TranslateX .3 9 | Sharpness .8 1 Sharpness .9 3
ShearY .5 8 TranslateY .7 9 | AutoContrast .5 8 Equalize .9 2 | ShearY .2 7 Posterize .3 7
Color .4 3 Brightness .6 7 | Sharpness .3 9 Brightness .7 9 | Equalize .6 5 Equalize .5 1
Contrast .6 7 Sharpness .6 5 | Color .7 7 TranslateX .5 8 | Equalize .3 7 AutoContrast .4 8
TranslateY .4 3 Sharpness .2 6 | Brightness .9 6 Color .2 8 | Solarize .5 2 Invert 0 3
Equalize .2 0 AutoContrast .6 0 | Equalize .2 8 Equalize .6 4 | Color .9 9 Equalize .6 6
AutoContrast .8 4 Solarize .2 8 | Brightness .1 3 Color .7 0 | Solarize .4 5 AutoContrast .9 3
TranslateY .9 9 TranslateY .7 9 | AutoContrast .9 2 Solarize .8 3 | Equalize .8 8 Invert .1 3
TranslateY .7 9 AutoContrast .9 1
"""
_FACE = """
Equalize .8 1 ShearY .8 4 | Color .4 9 Equalize .6 3 | Color .2 0 Equalize .8 8 | Color .6 1 Equalize 1 2
Equalize 1 9 ShearY .6 3 | Color .4 7 Equalize .6 0 | Posterize .4 6 AutoContrast .4 7 | ShearY .8 0 Color .6 4
Equalize .8 4 Equalize 0 8 | Equalize 1 4 AutoContrast .6 2
"""

Step = tuple[str, float, float]
Pairs = tuple[tuple[Step, Step], ...]


def policy(name: str) -> Pairs:
    """Return the pairs of steps of a policy: "imagenet", "cifar" or "face"."""
    table = {"imagenet": _IMAGENET, "cifar": _CIFAR, "face": _FACE}[name]
    rows = [row.split() for line in table.strip().splitlines() for row in line.split("|")]
    return tuple(((a, float(p), float(x)), (b, float(q), float(y))) for a, p, x, b, q, y in rows)


@part
class AutoAugment(DrawnBatch):
    """One of a policy's pairs of operations, drawn evenly; each step happens with its probability.

    A policy of one's own is a tuple of pairs of steps (operation, probability, level):
    `AutoAugment(((("Color", 0.4, 9), ("Equalize", 0.6, 3)),))`.
    """

    policy: Union[Literal["imagenet", "cifar", "face"], Pairs] = setting(
        "face",
        positional=True,
        doc="learned table of pairs, or pairs of steps (operation, probability, level)",
    )

    numbers = 5

    def check(self) -> None:
        if not self.policy:
            raise SpecError("no pair of steps", where="AutoAugment.policy", expected="at least one")
        for name, probability, level in (step for pair in self.pairs() for step in pair):
            if name not in operations.LEVELS:
                raise SpecError(
                    f"no operation {name!r}",
                    where="AutoAugment.policy",
                    do=suggestion(name, operations.LEVELS),
                )
            if not (0 <= probability <= 1 and 0 <= level <= 30):
                raise SpecError(
                    f"{name} with probability {probability:g} and level {level:g}",
                    where="AutoAugment.policy",
                    expected="a probability from 0 to 1 and a level from 0 to 30",
                )

    def pairs(self) -> Pairs:
        """Return the pairs that are drawn from."""
        return policy(self.policy) if isinstance(self.policy, str) else self.policy

    def changed_batch(self, images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        pairs = self.pairs()
        names = tuple(sorted({name for pair in pairs for name, _, _ in pair}))
        row = tf.cast(chance[:, 0] * len(pairs), tf.int32)
        for step in range(2):
            which = tf.gather(tf.constant([names.index(pair[step][0]) for pair in pairs]), row)
            probability = tf.gather(tf.constant([pair[step][1] for pair in pairs]), row)
            level = tf.gather(tf.constant([pair[step][2] for pair in pairs]), row)
            sign = tf.where(chance[:, 2 + 2 * step] < 0.5, -1.0, 1.0)
            which = tf.where(chance[:, 1 + 2 * step] < probability, which, -1)
            images = operations.apply(images, names, which, level, sign)
        return images
