"""A contact sheet: originals above, what training sees of them below, settings in the title."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.augment.random_bits import fold, fold_mixing
from workbench.lazy import tf
from workbench.spec.interfaces import Augmentation

if TYPE_CHECKING:
    from PIL import Image

GAP = 4  # pixels between pictures
ENLARGED = 112  # small images are shown at about this side


def changed(images: np.ndarray, numbers: np.ndarray, chain: Sequence[Augmentation], word: int) -> np.ndarray:
    """Return uint8 images [n, s, s, 3] after the augmentations, as the pipeline applies them.

    `word` is the epoch's part of the seed (`pipeline.epoch_seed`), `numbers` the record numbers.
    """
    seeds = np.stack([np.full(len(numbers), word), numbers], -1).astype(np.int32)
    single = [one for one in chain if type(one).image is not Augmentation.image]
    rows = []
    for image, seed in zip(images, seeds):
        result = tf.constant(image)
        for position, one in enumerate(single):
            result = one.image(result, fold(tf.constant(seed), position))
        rows.append(result.numpy())
    result = tf.constant(np.stack(rows))
    mixing = [one for one in chain if type(one).batch is not Augmentation.batch]
    for position, one in enumerate(mixing):
        seed = fold_mixing(tf.constant([word, 0], tf.int32), position)
        result, _ = one.batch(tf.cast(result, tf.float32), tf.zeros([len(rows)], tf.int32), seed)
    return tf.saturate_cast(tf.round(tf.cast(result, tf.float32)), tf.uint8).numpy()


def over_range(image: np.ndarray, number: int, chosen: Sequence[Augmentation], word: int) -> np.ndarray:
    """Return one image (uint8 [1, s, s, 3]) as it is and after each of `chosen`, all by the same chance."""
    numbers = np.array([number])
    return np.concatenate([image, *(changed(image, numbers, (one,), word) for one in chosen)])


def sheet(
    rows: Sequence[np.ndarray], captions: Sequence[str], title: str, heads: Sequence[str] = ()
) -> Image.Image:
    """Return rows of equal pictures (uint8 [n, s, s, 3]) as one picture, a caption before each row, a head above each column."""
    from PIL import Image, ImageDraw, ImageFont

    side = rows[0].shape[1]
    zoom = max(1, round(ENLARGED / side))
    step = side * zoom + GAP
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    left = GAP + 8 + max(int(small.getlength(caption)) for caption in captions)
    width = max(left + step * max(len(row) for row in rows) + GAP, 480)
    lines = [
        part for line in title.splitlines() for part in textwrap.wrap(line, int((width - 16) / 7.6)) or [""]
    ]
    top = 12 + 20 * len(lines) + (18 if heads else 0)
    result = Image.new("RGB", (width, top + step * len(rows) + GAP), "white")
    draw = ImageDraw.Draw(result)
    for number, line in enumerate(lines):
        draw.text((8, 6 + 20 * number), line, fill="black", font=font)
    for column, head in enumerate(heads):
        middle = (left + column * step + side * zoom // 2, top - 6)
        draw.text(middle, head, fill="black", font=small, anchor="ms")
    for number, (row, caption) in enumerate(zip(rows, captions)):
        y = top + number * step
        draw.text((8, y + step // 2 - 8), caption, fill="black", font=small)
        for column, picture in enumerate(row):
            shown = Image.fromarray(picture).resize((side * zoom, side * zoom), Image.Resampling.NEAREST)
            result.paste(shown, (left + column * step, y))
    return result


def marked(path: Path, points: np.ndarray, side: int) -> np.ndarray:
    """Return the part of a photograph around its landmarks, with dots on them, uint8 [side, side, 3]."""
    from PIL import Image

    with Image.open(path) as photo:
        whole = photo.convert("RGB")
    # The points lie between eyes and mouth; this much around them shows the head.
    centre, reach = points.mean(0), 1.6 * float(np.ptp(points, axis=0).max()) + 1
    box = (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach)
    crop = whole.crop(tuple(round(value) for value in box)).resize((side, side), Image.Resampling.LANCZOS)
    return dotted(crop, (points - np.round(box[:2])) * (side / (2 * reach)))


def dotted(picture: Image.Image, points: np.ndarray) -> np.ndarray:
    """Return a picture with a dot on each point (pixels), uint8 [h, w, 3]."""
    from PIL import ImageDraw

    result = picture.convert("RGB")
    draw = ImageDraw.Draw(result)
    radius = max(1.5, result.width / 60)
    for x, y in points:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 60, 60), outline="white")
    return np.asarray(result)
