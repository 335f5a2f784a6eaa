"""Random numbers for augmentation: a hash of the image's seed, the same for one image and for a batch.

TensorFlow's stateless generators take one seed a call, so a batch whose images have seeds of their
own would need one call an image. A hash of (seed, position) needs none: numbers for one seed [2] and
for a batch of seeds [B, 2] come from the same formula, hence are equal bit for bit.

The hash is the finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014) applied after each word of the input.
"""

from __future__ import annotations

import abc

import numpy as np

from workbench.lazy import tf
from workbench.spec.interfaces import Augmentation

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


class Drawn(Augmentation):
    """An augmentation of one image that needs a fixed count of even random numbers, and nothing else.

    The pipeline draws them for a whole batch at once: fifty small operations for each image would cost
    more than decoding it.
    """

    @property
    @abc.abstractmethod
    def numbers(self) -> int:
        """How many numbers in [0, 1) an image takes."""

    def draw(self, seeds: tf.Tensor) -> tf.Tensor:
        """Return what `changed` takes for each seed: int32 [..., 2] -> [..., numbers]."""
        return uniform(seeds, self.numbers)

    @abc.abstractmethod
    def changed(self, image: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        """Return `image` (uint8 [h, w, 3]) changed by what `draw` gives for it."""

    def image(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self.changed(image, self.draw(seed))


class Batched(Augmentation):
    """An augmentation that is written for batches: one image is a batch of one, and so gets the same bits."""

    @abc.abstractmethod
    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Return uint8 images [B, h, w, 3] changed by their seeds, int32 [B, 2]."""

    def image(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return self.images(image[None], seed[None])[0]


class DrawnBatch(Batched):
    """An augmentation that changes a whole batch in one go, by a fixed count of even numbers an image."""

    @property
    @abc.abstractmethod
    def numbers(self) -> int:
        """How many numbers in [0, 1) an image takes."""

    @abc.abstractmethod
    def changed_batch(self, images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
        """Return uint8 images [B, h, w, 3] changed by `chance`, float32 [B, numbers]."""

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return self.changed_batch(images, uniform(seeds, self.numbers))


def _mix(state: tf.Tensor) -> tf.Tensor:
    def shift(value: tf.Tensor, bits: int) -> tf.Tensor:
        return tf.bitwise.right_shift(value, tf.constant(bits, tf.uint64))

    state = tf.bitwise.bitwise_xor(state, shift(state, 30)) * tf.constant(_FIRST, tf.uint64)
    state = tf.bitwise.bitwise_xor(state, shift(state, 27)) * tf.constant(_SECOND, tf.uint64)
    return tf.bitwise.bitwise_xor(state, shift(state, 31))


def _words(seed: tf.Tensor) -> tf.Tensor:
    """Return one uint64 for each seed: int32 [..., 2] -> [...]."""
    unsigned = tf.bitcast(tf.cast(seed, tf.int32), tf.uint32)
    words = tf.cast(unsigned, tf.uint64)
    golden = tf.constant(_GOLDEN, tf.uint64)
    return _mix(_mix(words[..., 0] + golden) + words[..., 1] + golden)


def uniform(seed: tf.Tensor, count: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Return `count` float32 numbers in [low, high) for each seed: int32 [..., 2] -> [..., count]."""
    # As an array: newer TensorFlows make a list of numbers beyond int64 a constant by way of float64, in graphs alone.
    steps = tf.constant(
        np.array([(position + 1) * _GOLDEN % 2**64 for position in range(count)], np.uint64), tf.uint64
    )
    bits = _mix(_words(seed)[..., None] + steps)
    top = tf.cast(tf.bitwise.right_shift(bits, tf.constant(40, tf.uint64)), tf.float32)
    return low + (high - low) * (top * 2.0**-24)


def fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Return a new seed (int32 [..., 2]) for the `number`-th use of `seed`."""
    word = _mix(_words(seed) + tf.constant((number + 1) * _FIRST % 2**64, tf.uint64))
    return tf.bitcast(word, tf.int32)


def fold_mixing(seed: tf.Tensor, number: int) -> tf.Tensor:
    """Return the seed of the `number`-th augmentation that mixes the images of a batch.

    1000 and up: those of single images fold in their position, and no two may share a stream.
    """
    return fold(seed, 1000 + number)


def noise(seeds: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Return uint8 noise [B, height, width, 3], evenly in 0..255, for seeds int32 [B, 2]."""
    count = -(-height * width * 3 // 8)  # eight grey levels come out of one 64-bit word
    steps = tf.cast(tf.range(1, count + 1), tf.uint64) * tf.constant(_GOLDEN, tf.uint64)
    words = _mix(_words(seeds)[:, None] + tf.constant(_SECOND, tf.uint64) + steps)
    levels = tf.reshape(tf.bitcast(words, tf.uint8), [-1, count * 8])
    return tf.reshape(levels[:, : height * width * 3], [-1, height, width, 3])
