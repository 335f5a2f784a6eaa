"""The families of parts and what each must be able to do: the contract between a spec and the engine.

A family is an abstract part; its members live in one file each (or one file a kind) and reach
TensorFlow only inside their methods. Shapes: B images a batch, C identities, d embedding size.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Union

from workbench.errors import SpecError
from workbench.lazy import tf
from workbench.spec import custom_source
from workbench.spec.datasets import Images, PairImages, Places
from workbench.spec.part import Part, part, setting

if TYPE_CHECKING:
    import numpy as np


# ---------------------------------------------------------------- data


def _missing(part: Part, places: Places) -> str | None:
    path = getattr(part, "path", None)
    return places.missing(path) if isinstance(path, str) and places.find(path) is None else None


@part
class Source(Part):
    """A data source: images with identities."""

    # Whether a setting `images` counts those of each identity.
    images_are_per_identity: ClassVar[bool] = False

    hold_out: float = setting(0.0, at_least=0, below=1, doc="share of each identity's images kept for val_*")

    @abc.abstractmethod
    def open(self, places: Places) -> Images:
        """Return all images, from `images_of_arrays`, `images_of_files` or `images_of_examples`.

        Args:
            places: Where relative paths are looked for (`places.find(path)`), and the cache of this machine.

        Raises:
            DataError: Missing, empty or broken data.
        """

    def missing(self, places: Places) -> str | None:
        """Say in words that the data is not on this machine; None where it is (a cheap look)."""
        return _missing(self, places)

    def fetch(self, places: Places) -> str | None:
        """Try to bring missing data here; say in words what is missing still, None where all is there."""
        return self.missing(places)

    def truth(self) -> Source:
        """Return the source with right labels, where some are wrong on purpose: what pairs are drawn from."""
        return self

    def without(self, pairs: PairSet) -> Source:
        """Return the source without the people of an evaluation set; raises `SpecError` where it cannot."""
        raise SpecError(
            f"{type(self).__name__} cannot leave people out", where="folds", expected="an ImageFolder"
        )

    def stand_in(self) -> Source:
        """Return a small synthetic source of the same kind, for `--quick` where data is missing."""
        raise SpecError("has no stand-in", where=type(self).__name__)


@part
class PairSet(Part):
    """An evaluation set of image pairs."""

    @abc.abstractmethod
    def label(self) -> str:
        """Return the name under which the set's accuracy is recorded (`lfw`)."""

    @abc.abstractmethod
    def open(self, places: Places, data: Source) -> PairImages:
        """Return the pairs.

        Args:
            places: As in `Source.open`.
            data: The training source, for sets that are held out of it.

        Raises:
            DataError: Missing, empty or broken data.
        """

    def one_set(self, number: int) -> PairSet | None:
        """Return one set of a list that is parted into sets, counted from 1; None for any other."""
        return None

    def people(self, places: Places) -> frozenset[str]:
        """Return the names of the people on the set's images; raises `InputError` where it names none."""
        raise SpecError(
            "names no people",
            where=f"{type(self).__name__}({self.label()!r})",
            expected="a list as of LFW, a list of images in one folder a person, or HeldOutPairs of a source",
        )

    def missing(self, places: Places) -> str | None:
        """Say in words that the set is not on this machine; None where it is (a cheap look)."""
        return _missing(self, places)

    def stand_in(self) -> PairSet:
        """Return a small synthetic set of the same name, for `--quick` where data is missing."""
        raise SpecError("has no stand-in", where=type(self).__name__)


@part
class Augmentation(Part):
    """A random change of an image, a pure function of the image and its seed."""

    from_number: ClassVar[str | None] = "workbench.augment.legacy_strength:numbered"
    # `image` right after decoding costs less than `images` on the batch.
    quicker_alone: ClassVar[bool] = False

    def image(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Return `image` changed, of the same shape and type.

        Args:
            image: uint8 [h, w, 3], 0 to 255.
            seed: int32 [2], another one for each image and epoch; take every random number from it
                (`tf.random.stateless_uniform`), so that a resumed run sees the same changes.
        """
        return image

    def images(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor | None:
        """Return images changed exactly as `image` does one by one, or None where there is no quicker way than that.

        Args:
            images: uint8 [B, h, w, 3], 0 to 255.
            seeds: int32 [B, 2], the seed that `image` is given for each.
        """
        return None

    def batch(self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Return images and labels after changes that mix images (`Mixup`).

        Args:
            images: float32 [B, h, w, 3], 0 to 255.
            labels: int32 [B], or what an earlier change made of them.
            seed: int32 [2], another one for each step.
        """
        return images, labels


# ---------------------------------------------------------------- model


@part
class Backbone(Part):
    """A network from images to feature maps."""

    image_size: int = setting(112, at_least=8, at_most=1024, doc="side of the square input, pixels")

    @abc.abstractmethod
    def build(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return feature maps [B, h, w, c] (or [B, c]) of `inputs`, float [B, size, size, 3] in -1..1."""


@part
class Embedding(Part):
    """The layers between feature maps and the embedding."""

    size: int = setting(512, at_least=1, doc="numbers in an embedding")
    dropout: float = setting(0.0, at_least=0, below=1, doc="share of features dropped before the embedding")

    @abc.abstractmethod
    def build(self, features: tf.Tensor) -> tf.Tensor:
        """Return embeddings [B, size] (not normalised) of the backbone's feature maps."""


@part
class Head(Part):
    """A classification head: embeddings to the logits that a loss reads."""

    normalised: ClassVar[bool] = False  # logits are cosines in -1..1
    same_rows: ClassVar[bool] = False  # gradients reach some rows only, on all devices of a step the same

    @abc.abstractmethod
    def layer(self, classes: int, size: int) -> tf.keras.layers.Layer:
        """Return a layer `(embeddings [B, d], labels [B], training) -> (logits [B, S], targets [B])`.

        Logits are margin-free; `targets` is the column of each image's own identity. A full head has
        S = C and targets = labels; a sampled one has fewer columns in training. Weights are carried
        over to a later stage whose head has equal `signature`.

        Args:
            classes: C, the identities of the stage's data.
            size: d, numbers in an embedding.
        """

    def signature(self, classes: int, size: int) -> tuple[Any, ...]:
        """Return what must be equal for weights to be carried over from one stage to the next."""
        return (self.normalised, classes, size)


class Batch(NamedTuple):
    """What a loss sees of a batch, all float32 but the labels, whatever the precision of the model."""

    embeddings: Any  # [B, d], not normalised
    labels: Any  # [B] int32
    logits: Any  # [B, S] of the head, margin-free, or None without a head; S = C unless sampled
    label_smoothing: float = 0.0
    teacher: Any = None  # [B, t] embeddings of a teacher, or None
    training: bool = True
    targets: Any = None  # [B] int32, the column of each label in `logits`; the labels of a full head


@part
class Start(Part):
    """Where the weights of a run start, other than at random."""

    def look(self, store: Any) -> None:
        """Refuse a start that cannot be used (raises `InputError`), before anything is written."""

    def missing(self, store: Any) -> str | None:
        """Return in words what is not there, or None."""
        return None

    @abc.abstractmethod
    def fill(self, embedder: tf.keras.Model, store: Any) -> list[str]:
        """Put the starting weights into a fresh embedding model; return in words what was left out.

        Args:
            embedder: Float images [B, s, s, 3] in -1 to 1 to embeddings [B, d].
            store: Where other runs are; a `workbench.tracking.store.Store`.

        Raises:
            InputError: The weights do not fit the model.
        """

    def head_weights(self, identities: tuple[str, ...], where: Places) -> np.ndarray | None:
        """Return first weights [C, d] of the first stage's head, a row for each of the `identities`; None: new ones."""
        return None


# ---------------------------------------------------------------- losses


@part
class Loss(Part):
    """One term of a stage's loss. Losses add and scale: `ArcFace() + 64 * Triplet(alpha=0.3)`."""

    needs_teacher: ClassVar[bool] = False  # it reads a teacher's vectors
    term: ClassVar[str] = "loss"  # the name under which the term is recorded: `arcface_loss`
    # What depends on the batch as a whole, in words; on several devices it is gathered over the global
    # batch, so that the loss is that of one device. None: the loss is a mean of one value an image.
    batch_statistics: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # The total has that name: in a sum it would be lost.
        if custom_source.is_custom(cls) and cls.term == "loss":
            words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            cls.term = words if words.endswith("_loss") else f"{words}_loss"

    def classifier(self) -> Head | None:
        """Return the classification head that this loss needs, or None."""
        return None

    @abc.abstractmethod
    def layer(
        self, classes: int, size: int, batch_size: int, teacher: int | None = None
    ) -> tf.keras.layers.Layer:
        """Return a layer `(Batch) -> scalar float32`, holding the loss's state in its weights.

        Args:
            classes: C, the identities of the stage's data.
            size: d, numbers in an embedding.
            batch_size: Images of a step, over all devices.
            teacher: t, numbers in a teacher's vector; None without a teacher.
        """

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        """Refuse data this loss cannot work on (raises `SpecError`).

        Args:
            labels: int32 [N], those of all images.
            batch_size: Images of a step, over all devices.
            sampled: Whether the stage has a sampler.
            teacher: t, numbers in a teacher's vector; None without a teacher.
        """

    def named(self, name: str) -> Loss:
        """Return this loss as a term recorded under `name` + "_loss", so that a sum may hold two of its kind."""
        return Sum(terms=tuple(t.but(name=name) for t in terms(self)))

    def __add__(self, other: Loss) -> Loss:
        return Sum(terms=(*terms(self), *terms(other)))

    def __mul__(self, weight: float) -> Loss:
        return Sum(terms=tuple(t.but(weight=t.weight * weight) for t in terms(self)))

    __rmul__ = __mul__


@part
class Weighted(Part):
    """A loss and its weight in a sum."""

    loss: Loss = setting(doc="a loss")
    weight: float = setting(1.0, above=0, doc="factor on its value")
    name: Union[str, None] = setting(None, later=True, doc="recorded as `name_loss`; None: as the loss is")

    def check(self) -> None:
        if self.name is not None and not (self.name.isidentifier() and self.name not in ("regular", "val")):
            raise SpecError(
                f"{self.name!r} is not possible",
                where="named",
                expected="a word of letters, digits and _ that no other metric has",
            )

    @property
    def term(self) -> str:
        """The name under which the value is recorded: `arcface_loss`."""
        return self.loss.term if self.name is None else f"{self.name}_loss"

    def __str__(self) -> str:
        text = f"{self.loss}" if self.name is None else f"{self.loss} as {self.name}"
        return text if self.weight == 1 else f"{self.weight:g}*{text}"


@part
class Sum(Loss):
    """A weighted sum of losses, each recorded under its own name beside the total."""

    terms: tuple[Weighted, ...] = setting(doc="losses with their weights")

    def check(self) -> None:
        names = [t.term for t in self.terms]
        for name in names:
            if names.count(name) > 1:
                raise SpecError(
                    f"two terms named {name}", where="loss", do='give one a name: Triplet().named("hard")'
                )
        if sum(t.loss.classifier() is not None for t in self.terms) > 1:
            raise SpecError("two losses with a classification head", where="loss", do="keep one of them")

    def layer(
        self, classes: int, size: int, batch_size: int, teacher: int | None = None
    ) -> tf.keras.layers.Layer:
        raise SpecError("has a layer for each of its terms, none of its own", where="Sum")

    def classifier(self) -> Head | None:
        return next((t.loss.classifier() for t in self.terms if t.loss.classifier() is not None), None)

    def check_data(
        self, labels: np.ndarray, batch_size: int, sampled: bool, teacher: int | None = None
    ) -> None:
        for term in self.terms:
            term.loss.check_data(labels, batch_size, sampled, teacher)

    def __str__(self) -> str:
        return " + ".join(str(t) for t in self.terms)


def terms(loss: Loss) -> tuple[Weighted, ...]:
    """Return the weighted terms of any loss; one of weight 1 where it is not a sum."""
    return loss.terms if isinstance(loss, Sum) else (Weighted(loss=loss),)


@part
class Sampler(Part):
    """How the images of a batch are drawn; None draws a permutation of all images each epoch."""

    together: ClassVar[int] = 1  # images that are drawn as one; a batch holds whole groups of them

    def fits(self, batch: int) -> None:
        """Raise `DataError` where batches of `batch` images cannot be drawn so."""

    @abc.abstractmethod
    def draw(
        self, labels: np.ndarray, records: np.ndarray, count: int, batch: int, seed: int
    ) -> Callable[[int], np.ndarray]:
        """Return a function from a global epoch (from 1) to `count` record numbers, in batches of `batch`.

        It must give the same numbers for the same epoch whenever it is asked: a resumed run asks again.

        Args:
            labels: int32 [N], those of all images.
            records: int64 [n], the numbers of the training images.
            count: Record numbers of an epoch, a multiple of `batch`.
            batch: Images of a step, over all devices.
            seed: That of the run.

        Raises:
            DataError: There are not enough images or identities for a batch.
        """
