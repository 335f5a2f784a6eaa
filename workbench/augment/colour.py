"""Light and colour: the cumulative levels of the notebook that this work is modelled on."""

from __future__ import annotations

from workbench.augment.flip import mirrored
from workbench.augment.random_bits import Drawn
from workbench.lazy import tf
from workbench.spec.part import part, setting


@part
class Colour(Drawn):
    """Flip and, by level, brightness, contrast, saturation and a crop; each level adds to the one below.

    0: mirrored with probability 1/2. 1: grey levels of 255 moved by up to 12.75 * level. 2: contrast
    (about each channel's mean) and saturation (in HSV) times 1 +- 0.1 * level. 3: a random crop of
    100 / 112 of the side, resized back. `hue` turns the colour circle by up to 0.02 * level,
    `jpeg` stores the image at quality 80 +- 5 * level and reads it back.
    """

    level: int = setting(1, at_least=0, at_most=3, positional=True, doc="0 flip .. 3 all")
    hue: bool = setting(False, doc="also change the hue")
    jpeg: bool = setting(False, doc="also lose quality as JPEG does")

    numbers = 8

    def changed(self, image: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        both = 2.0 * chance - 1.0  # in -1..1
        image = mirrored(image, chance[0] < 0.5)
        if self.level == 0 and not self.hue and not self.jpeg:
            return image
        shape, pixels = image.shape, tf.cast(image, tf.float32) / 255
        if self.level >= 1:
            pixels = tf.image.adjust_brightness(pixels, both[1] * 12.75 * self.level / 255)
        if self.level >= 2:
            pixels = tf.image.adjust_contrast(pixels, 1 + 0.1 * self.level * both[2])
            pixels = tf.image.adjust_saturation(
                tf.clip_by_value(pixels, 0.0, 1.0), 1 + 0.1 * self.level * both[3]
            )
        if self.hue:
            pixels = tf.image.adjust_hue(tf.clip_by_value(pixels, 0.0, 1.0), 0.02 * self.level * both[4])
        if self.level >= 3:
            pixels = _cropped(pixels, chance[5:7])
        pixels = tf.clip_by_value(pixels, 0.0, 1.0)
        if self.jpeg:
            quality = tf.cast(tf.round(80 + 5 * self.level * both[7]), tf.int32)
            pixels = tf.image.adjust_jpeg_quality(pixels, quality)
        return tf.ensure_shape(tf.cast(tf.round(pixels * 255), tf.uint8), shape)


def _cropped(pixels: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Return a window of 100 / 112 of each side at `place` (two shares of the free way), resized back."""
    whole = tf.shape(pixels)[:2]
    window = tf.cast(tf.round(tf.cast(whole, tf.float32) * (100 / 112)), tf.int32)
    corner = tf.cast(place * tf.cast(whole - window + 1, tf.float32), tf.int32)
    crop = tf.slice(pixels, tf.concat([corner, [0]], 0), tf.concat([window, [3]], 0))
    return tf.image.resize(crop, whole)
