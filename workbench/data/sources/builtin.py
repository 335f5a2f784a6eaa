"""Data that every machine has: drawn faces and the handwritten digits that scikit-learn ships."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar, Union

import numpy as np

from workbench.data import cache
from workbench.data.sources import face_drawing, in_memory
from workbench.spec.interfaces import Images, Places, Source
from workbench.spec.part import part, setting

FEW = 8  # identities of the small form
MOST_DRAWN = 16  # identities of a stand-in, where the missing set has so few


@part
class SyntheticFaces(Source):
    """Procedurally drawn faces: identities with pose, light, expression, occlusion and noise."""

    images_are_per_identity: ClassVar[bool] = True

    identities: int = setting(20, at_least=2, doc="number of people")
    images: int = setting(30, at_least=1, doc="images of each")
    image_size: int = setting(64, at_least=16, at_most=512, doc="side of the drawings, pixels")
    variation: float = setting(1.0, at_least=0, at_most=2, doc="strength of pose, light and expression")
    occlusion: float = setting(0.15, at_least=0, at_most=1, doc="share of partly hidden faces")
    noise: float = setting(6.0, at_least=0, at_most=128, doc="pixel noise, grey levels of 255")
    first: int = setting(0, at_least=0, doc="number of the first person, for sets without common people")
    teacher: Union[int, None] = setting(None, at_least=2, doc="size of drawn teacher embeddings")
    seed: int = setting(0, at_least=0, doc="of the drawing; no other seed changes it")

    def open(self, places: Places) -> Images:
        people = np.arange(self.first, self.first + self.identities)
        who, which = np.repeat(people, self.images), np.tile(np.arange(self.images), self.identities)
        key = self._key()
        pixels = cache.array(
            places,
            f"faces-{key}",
            (len(who), self.image_size, self.image_size, 3),
            lambda: face_drawing.draw(
                self.seed, who, which, self.image_size, self.variation, self.occlusion, self.noise
            ),
        )
        names = [f"person{person:04d}/{image:03d}" for person, image in zip(who, which)]
        taught = face_drawing.teacher(self.seed, who, which, self.teacher) if self.teacher else None
        labels = np.repeat(np.arange(self.identities), self.images)
        return in_memory.from_array(pixels, labels, [f"person{p:04d}" for p in people], names, key, taught)

    def quick(self) -> SyntheticFaces:
        identities = min(self.identities, FEW)
        return self.but(
            identities=identities,
            images=min(self.images, 16),
            image_size=min(self.image_size, 32),
            teacher=identities if self.teacher == self.identities else self.teacher,  # logits stay logits
        )

    def stand_in(self) -> SyntheticFaces:
        return self.quick()

    def _key(self) -> str:
        # Neither changes a pixel, so sets that differ in them alone share what is cached.
        drawn = {k: v for k, v in self.settings().items() if k not in ("hold_out", "teacher")}
        text = json.dumps({"drawing": face_drawing.DRAWING, **drawn}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def small_faces(hold_out: float, teacher: int | None = None, identities: int | None = None) -> SyntheticFaces:
    """Return what stands in for a missing data set of faces, under `--quick` and for `check`.

    `identities` is how many the missing set is known to have: so many are drawn where they are few. A
    teacher of as many numbers gives logits, one an identity, and does so here too.
    """
    few = identities if identities is not None and identities <= MOST_DRAWN else FEW
    taught = few if teacher is not None and teacher == identities else teacher
    return SyntheticFaces(identities=few, images=16, image_size=32, hold_out=hold_out, teacher=taught)


@part
class Digits(Source):
    """The 1,797 real handwritten digits (8 x 8, grey) that scikit-learn ships."""

    def open(self, places: Places) -> Images:
        from sklearn.datasets import load_digits

        data, target = load_digits(return_X_y=True)
        pixels = np.rint(data.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        names = [f"{label}/{number:04d}" for number, label in enumerate(target)]
        return in_memory.from_array(pixels, target, [str(digit) for digit in range(10)], names)

    def stand_in(self) -> Digits:
        return self
