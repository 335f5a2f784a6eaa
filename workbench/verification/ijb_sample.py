"""A small set in the formats of IJB-B, made of drawn faces: the real one cannot be had by everyone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from workbench.data.face_alignment import TEMPLATE
from workbench.data.sources import face_drawing
from workbench.verification import ijb_files
from workbench.verification.ijb_files import Subjects
from workbench.verification.templates import Members

NAME = "sample"
CANVAS = 160  # pixels: the crop is loose, the face lies somewhere inside


def make(folder: Path, people: int = 12, templates: int = 4, images: int = 5, seed: int = 0) -> Path:
    """Write the set to `folder` and return it: lists in the published formats and PNG images.

    Each of `people` has `templates` templates of up to `images` images, some of them frames of one
    medium; the first template of a person is in gallery 1 or 2, the others are probes. Every pair of
    templates is in the pair list.
    """
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, images + 1, people * templates)
    who = np.repeat(np.arange(people * templates) // templates, sizes)
    template = np.repeat(np.arange(1, people * templates + 1), sizes)
    first = np.concatenate([np.arange(size) for size in sizes])
    media = 1000 + 10 * template + np.where(first < 2, 0, first)  # the first two are frames of one video
    names = [f"{number + 1}.png" for number in range(len(who))]
    landmarks = _images(folder / "loose_crop", names, who, seed, generator)
    ids = np.arange(1, people * templates + 1)
    one, two = np.triu_indices(len(ids), 1)
    subject = (ids - 1) // templates + 1
    is_gallery = (ids - 1) % templates == 0
    galleries = tuple(
        Subjects(ids[is_gallery & (subject % 2 == side)], subject[is_gallery & (subject % 2 == side)])
        for side in (1, 0)
    )
    ijb_files.write(
        folder,
        NAME,
        names,
        landmarks,
        generator.uniform(0.5, 1, len(names)),
        Members(np.arange(len(names)), template, media),
        (ids[one], ids[two], subject[one] == subject[two]),
        galleries,
        Subjects(ids[~is_gallery], subject[~is_gallery]),
    )
    return folder


def _images(
    folder: Path, names: list[str], who: np.ndarray, seed: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw the images, each turned and shifted, and return where the five points then lie, [N, 5, 2]."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    which = np.arange(len(who))
    drawn = face_drawing.draw(seed, who, which, 112, variation=0.7, occlusion=0.1, noise=4.0)
    landmarks = np.empty((len(names), 5, 2))
    for number, name in enumerate(names):
        angle, scale = generator.uniform(-0.4, 0.4), generator.uniform(0.8, 1.1)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([CANVAS / 2, CANVAS / 2]) + generator.uniform(-8, 8, 2)
        landmarks[number] = (TEMPLATE - 56) @ turn.T + middle
        back = np.linalg.inv(turn)
        shift = 56 - back @ middle
        # Pillow counts from the corner of the first pixel, landmarks from its centre.
        shift = shift + 0.5 - back @ (0.5, 0.5)
        values = (*back[0], shift[0], *back[1], shift[1])
        image = Image.fromarray(drawn[number]).transform(
            (CANVAS, CANVAS), Image.Transform.AFFINE, tuple(map(float, values)), Image.Resampling.BILINEAR
        )
        image.save(folder / name)
    return landmarks
