"""From an opened source to batches: one data set for a whole stage, from any step on.

Record numbers of an epoch (a function of seed and global epoch) -> read, decode, resize -> augment
each image (a function of seed, global epoch and image number) -> batch -> changes that mix images.
Nothing here has a state: a stage taken up at any step, on any number of threads,
gives the batches that it would have given without the stop, and a branch that starts at epoch 80
sees what the full run would have seen. An element is (images, labels int32, ids int64) and, where
the source has them, teacher embeddings. Images are uint8, which the training step turns into float32
(x - 127.5) / 128 on its device (a quarter of the bytes to move); batches that were mixed are float32
in that range already, and their labels are `MixedLabels`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from workbench.augment.random_bits import Drawn, fold, fold_mixing
from workbench.data import fingerprints, samplers
from workbench.data.samplers import Draw
from workbench.errors import DataError
from workbench.lazy import tf
from workbench.pixels import normalise
from workbench.spec.interfaces import Augmentation, Images, Places, Source
from workbench.spec.plan import Plan

plain = tf.autograph.experimental.do_not_convert  # these functions hold no Python loops over tensors
# Four hide a slow image or two; more only hold memory.
PREFETCH = 4  # batches made ready ahead of the training step
THREADS = max(2, os.cpu_count() or 1)
EMBEDDED = 128  # images in a batch whose embeddings are taken
TOGETHER = 8  # images read in one call, at most: a call an image costs a tenth of its decoding


class Split(NamedTuple):
    """An opened source with its record numbers parted into training and hold-out."""

    images: Images
    train: np.ndarray
    held: np.ndarray


def open_split(source: Source, places: Places, seed: int) -> Split:
    """Open `source` and part its records by its `hold_out`; raises `DataError` for unusable data."""
    # The fingerprint before the split: data that changed under a run must be noticed before it is trained on.
    images = fingerprints.compared(source, source.open(places), places)
    held = held_out(images.labels, source.hold_out, seed)
    return Split(images, np.setdiff1d(np.arange(len(images.labels)), held), held)


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the record numbers kept for `val_*`: `share` of each identity, drawn by `seed`.

    Rounded to whole images, at least one of each identity that has two, and never all of one.
    """
    if share == 0:
        return np.empty(0, np.int64)
    # A generator of its own: the split must not move when something else begins to draw numbers.
    chance = np.random.default_rng([seed, 0x5EED]).random(len(labels))
    order = np.lexsort((chance, labels))
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(labels)) - starts[labels[order]]
    wanted = np.clip(np.rint(counts * share), np.minimum(1, counts - 1), counts - 1).clip(0)
    return np.sort(order[rank < wanted[labels[order]]]).astype(np.int64)


def training(
    images: Images,
    records: np.ndarray,
    plan: Plan,
    size: int,
    seed: int,
    steps_per_epoch: int,
    start_step: int = 0,
    shard: tuple[int, int] = (0, 1),
    draw: Draw | None = None,
    threads: int = THREADS,
) -> tf.data.Dataset:
    """Return the batches of a stage from its step `start_step` (0-based, within the stage) to its end.

    `size` is the side of the images in pixels. `shard` = (k, n) gives the k-th of n equal parts of
    each batch, for worker k of n. `draw` replaces the order of records (mined triplets); by default
    the plan's sampler gives it, or a permutation of all `records`.
    """
    steps, chain = steps_per_epoch, tuple(plan.augment)
    _check(records, plan.batch_size, shard)
    count = steps * plan.batch_size
    if draw is None and plan.sampler is not None:
        draw = plan.sampler.draw(images.labels, records, count, plan.batch_size, seed)
    draw = draw or samplers.shuffled(records, count, seed)
    # One word an epoch, made here once: inside the graph there is no SeedSequence.
    words = [epoch_seed(seed, epoch) for epoch in range(plan.first_epoch, plan.last_epoch + 1)]
    order = _order(draw, plan, steps, start_step, shard, words)
    read = _read(images, size, order, chain, threads)
    finish = _finish(images, chain, words, steps, shard)
    # Numbered from the stage's own step: mixing draws by step, and a resume must draw what the whole run drew.
    result = read.enumerate(start=start_step).map(finish, num_parallel_calls=2, deterministic=True)
    # The length is stated, for `flat_map` hides it: Keras and the strategies count steps by it.
    length = tf.data.experimental.assert_cardinality(plan.epochs * steps - start_step)
    return result.apply(length).prefetch(PREFETCH).with_options(_options())


def holdout(
    images: Images, records: np.ndarray, batch: int, size: int, threads: int = THREADS
) -> tf.data.Dataset:
    """Return all `records` once, in their order and unchanged; the last batch may be smaller."""
    numbers = tf.data.Dataset.from_tensor_slices(np.asarray(records, np.int64)).batch(batch)
    seeds = numbers.map(lambda n: (n, tf.zeros([tf.size(n), 2], tf.int32)))
    finish = _finish(images, (), [0], 1, (0, 1))
    rows = _read(images, size, seeds, (), threads, batch).enumerate()
    finished = rows.map(
        lambda _, row: finish(tf.constant(0, tf.int64), row), num_parallel_calls=2, deterministic=True
    )
    return finished.prefetch(PREFETCH).with_options(_options())


def embeddings(network: Any, images: Images, records: np.ndarray, size: int) -> np.ndarray:
    """Return `network`'s embeddings [n, d] of some records, float32, in their order."""
    call = tf.function(lambda pixels: tf.cast(network(normalise(pixels), training=False), tf.float32))
    return np.concatenate([call(row[0]).numpy() for row in holdout(images, records, EMBEDDED, size)])


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the int32 word that stands for seed and global epoch in every seed of that epoch."""
    # 7 and 0 keep it apart from what samplers draw of the same seed and epoch; other numbers are other trainings.
    state = np.random.SeedSequence([seed, epoch, 7, 0]).generate_state(1)[0]
    return int(np.int64(state) - 2**31)


def _check(records: np.ndarray, batch: int, shard: tuple[int, int]) -> None:
    # Refused, not filled up: a batch with an image twice is another training.
    if len(records) < batch:
        raise DataError(
            f"{len(records)} training images for batches of {batch}",
            where="batch_size",
            expected="at least one full batch an epoch",
            do="take a smaller batch_size",
        )
    if batch % shard[1]:
        raise DataError(
            f"batches of {batch} images over {shard[1]} workers",
            where="batch_size",
            expected=f"a multiple of {shard[1]}",
        )


def _order(
    draw: Draw, plan: Plan, steps: int, start: int, shard: tuple[int, int], words: list[int]
) -> tf.data.Dataset:
    """Return (record numbers [b], seeds [b, 2]) of each step, b being this shard's part of a batch."""
    batch, part = plan.batch_size, plan.batch_size // shard[1]
    columns = slice(shard[0] * part, (shard[0] + 1) * part)

    def rows(index: np.ndarray) -> np.ndarray:
        # Only the epoch that is entered in its middle is cut; the draw itself is always that of the whole epoch.
        first = max(0, start - int(index) * steps)
        numbers = draw(plan.first_epoch + int(index)).reshape(steps, batch)
        return np.ascontiguousarray(numbers[first:, columns], np.int64)

    @plain
    def one_epoch(index: tf.Tensor) -> tf.data.Dataset:
        # NumPy inside the graph, once an epoch: TensorFlow's shuffle keeps a state that no checkpoint can hold.
        numbers = tf.ensure_shape(tf.numpy_function(rows, [index], tf.int64), [None, part])
        word = tf.broadcast_to(tf.constant(words, tf.int32)[index], tf.shape(numbers))
        return tf.data.Dataset.from_tensor_slices((numbers, tf.stack([word, tf.cast(numbers, tf.int32)], -1)))

    return tf.data.Dataset.range(start // steps, plan.epochs).flat_map(one_epoch)


def _read(
    images: Images,
    size: int,
    order: tf.data.Dataset,
    chain: tuple[Augmentation, ...],
    threads: int,
    ragged: int | None = None,
) -> tf.data.Dataset:
    """Return (pixels uint8 [b, s, s, 3], numbers [b][, teacher [b, t]]) of each row of `order`.

    Decoded images in memory are gathered a batch at a time where every augmentation can work so; else
    images are read and changed one by one, and what comes after the last augmentation that must work so
    is done on batches. All ways give the same bits. `ragged` is the batch size where the last may be smaller.
    """
    chain = tuple(one for one in chain if type(one).image is not Augmentation.image)
    gather = images.batches(size) if images.batches is not None else None
    # The fastest way first: decoded images in memory need no call an image at all.
    if gather is not None and all(_in_batches(one) for one in chain):
        return order.map(_together(images, gather, chain), num_parallel_calls=threads, deterministic=True)
    read, source = images.reader(size), tf.identity  # also loads what is kept in memory, outside any graph
    if gather is None and images.raw is not None and images.decode is not None:
        read, source = images.decode(size), images.raw
    first = _alone(chain)
    count = 1 if ragged else _in_a_call(order.element_spec[0].shape[0], chain[:first])
    prepare = _prepared(images, source, chain[:first], count)
    # Two threads for what is cheap, all of them for what decodes: more here would only take cores from there.
    prepared = order.map(prepare, num_parallel_calls=2, deterministic=True)
    some = _some(read, size, chain[:first], count)
    # Twice as many calls as threads: a finished one holds its place until those before it are done and taken.
    rows = prepared.unbatch().map(some, num_parallel_calls=2 * threads, deterministic=True)
    rows = rows.batch(ragged or order.element_spec[0].shape[0] // count, drop_remainder=ragged is None)
    return rows.map(_afterwards(chain, first), num_parallel_calls=threads, deterministic=True)


def _in_a_call(batch: int, chain: tuple[Augmentation, ...]) -> int:
    """Return how many images of a batch are read and changed in one call: one where a change is a large graph."""
    if not all(one.quicker_alone for one in chain):
        return 1
    return max(count for count in range(1, TOGETHER + 1) if batch % count == 0)


def _in_batches(one: Augmentation) -> bool:
    return type(one).images is not Augmentation.images


def _alone(chain: tuple[Augmentation, ...]) -> int:
    """Return how many augmentations work image by image: to the last that must, and quick ones at the start."""
    needed = max((position + 1 for position, one in enumerate(chain) if not _in_batches(one)), default=0)
    while needed < len(chain) and chain[needed].quicker_alone:
        needed += 1
    return needed


def _taught(images: Images, numbers: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return () if images.teacher is None else (images.teacher(numbers),)


def _together(
    images: Images, gather: Callable[[Any], Any], chain: tuple[Augmentation, ...]
) -> Callable[..., Any]:
    @plain
    def together(numbers: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        pixels = gather(numbers)
        for position, one in enumerate(chain):
            pixels = one.images(pixels, fold(seeds, position))
        return (pixels, numbers, *_taught(images, numbers))

    return together


def _prepared(
    images: Images, source: Callable[[Any], Any], chain: tuple[Augmentation, ...], count: int
) -> Callable[..., Any]:
    """Return the step before images part: what is cheaper for a whole batch than for each image.

    It gives (what `read` takes, numbers, seeds, (what each augmentation draws, ...), (teacher,)), all in
    rows of `count` images.
    """

    @plain
    def prepare(numbers: tf.Tensor, seeds: tf.Tensor) -> tuple[Any, ...]:
        chances = []
        for position, one in enumerate(chain):
            own = fold(seeds, position)
            chances.append(one.draw(own) if isinstance(one, Drawn) else own)
        whole = source(numbers), numbers, seeds, tuple(chances), _taught(images, numbers)
        return tf.nest.map_structure(lambda values: _parted(values, count), whole)

    return prepare


def _parted(values: tf.Tensor, count: int) -> tf.Tensor:
    """Return `values` [b, ...] as [b / count, count, ...]."""
    rows = tf.reshape(values, tf.concat([[-1, count], tf.shape(values)[1:]], 0))
    batch = values.shape[0]
    return tf.ensure_shape(rows, [None if batch is None else batch // count, count, *values.shape[1:]])


def _joined(rows: tf.Tensor) -> tf.Tensor:
    """Return `rows` [n, count, ...] as [n * count, ...]."""
    values = tf.reshape(rows, tf.concat([[-1], tf.shape(rows)[2:]], 0))
    return tf.ensure_shape(values, [rows.shape[:2].num_elements(), *rows.shape[2:]])


def _some(
    read: Callable[[Any], Any], size: int, chain: tuple[Augmentation, ...], count: int
) -> Callable[..., Any]:
    """Return the step of `count` images, one by one; `read` takes what the source gave for one of them."""

    def single(content: Any, chances: list[Any]) -> Any:
        image = read(content)
        for one, chance in zip(chain, chances):
            image = one.changed(image, chance) if isinstance(one, Drawn) else one.image(image, chance)
        return tf.ensure_shape(image, [size, size, 3])

    @plain
    def some(contents: Any, numbers: Any, seeds: Any, chances: tuple[Any, ...], teacher: Any) -> Any:
        each = [tf.unstack(values, count) for values in (contents, *chances)]
        images = [single(content, chance) for content, *chance in zip(*each)]
        return tf.stack(images), numbers, seeds, teacher

    return some


def _afterwards(chain: tuple[Augmentation, ...], first: int) -> Callable[..., Any]:
    """Return the step that makes one batch of its parts and changes it by the augmentations from `first` on."""

    @plain
    def change(*parts: Any) -> Any:
        pixels, numbers, seeds, teacher = tf.nest.map_structure(_joined, parts)
        for position, one in enumerate(chain[first:], start=first):
            pixels = one.images(pixels, fold(seeds, position))
        return (pixels, numbers, *teacher)

    return change


def _finish(
    images: Images, chain: tuple[Augmentation, ...], words: list[int], steps: int, shard: tuple[int, int]
) -> Callable[..., Any]:
    """Return the last function of the chain: labels, changes that mix images, normalisation."""
    mixing = [one for one in chain if type(one).batch is not Augmentation.batch]
    # On the host, where `tf.gather` runs: as a constant of a GPU it would be copied back for each batch.
    with tf.device("CPU:0"):
        labels_of = tf.constant(images.labels, tf.int32)

    @plain
    def finish(step: tf.Tensor, row: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        pixels, numbers, *teacher = row
        labels: Any = tf.gather(labels_of, numbers)
        if mixing:
            pixels = tf.cast(pixels, tf.float32)
        for position, one in enumerate(mixing):
            # The shard is part of the seed: equal numbers on all workers would mix the same partners everywhere.
            within = tf.cast(step % steps, tf.int32) * shard[1] + shard[0]
            seed = tf.stack([tf.constant(words, tf.int32)[step // steps], within])
            pixels, labels = one.batch(pixels, labels, fold_mixing(seed, position))
        return (normalise(pixels) if mixing else pixels, labels, numbers, *teacher)

    return finish


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # the numbers of threads are set; tuning them costs time
    # Parallel over images and batches, not within an operation.
    options.threading.max_intra_op_parallelism = 1
    # Each worker is given its part already; TensorFlow's own sharding would take a part of the part.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
