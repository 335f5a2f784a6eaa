"""A source with wrong labels on purpose: how much does a training suffer, and are the wrong ones found again?"""

from __future__ import annotations

import dataclasses

import numpy as np

from workbench.errors import DataError, SpecError
from workbench.spec.interfaces import Images, PairSet, Places, Source
from workbench.spec.part import part, setting


@part
class Mislabelled(Source):
    """Another source in which a share of the images has the label of another identity, drawn by a seed.

    Every identity keeps at least one image of its own; people held out for evaluation are drawn with their true labels,
    and no image of theirs stays in training under another name. `workbench clean` then says how many of the wrong ones it
    found, and how many of those it dropped were wrong.
    """

    source: Source = setting(positional=True, doc="where the images are")
    share: float = setting(0.1, above=0, below=1, doc="share of images whose label is replaced")
    seed: int = setting(0, at_least=0, doc="of the drawing")

    def check(self) -> None:
        if self.hold_out or self.source.hold_out:
            raise SpecError(
                "a hold-out share would measure with wrong labels",
                where="Mislabelled.hold_out",
                expected="0",
                do="measure on pairs, or on a source of its own",
            )

    def open(self, places: Places) -> Images:
        images = self.source.open(places)
        wrong = _drawn(images.labels, self.share, self.seed)
        labels = images.labels.copy()
        # A stream of its own: which images are wrong stays, whatever they are called. A step from 1 to C - 1 around the circle of labels never comes back to the image's own
        steps = np.random.default_rng([self.seed, 0xBAD]).integers(1, len(images.identities), len(wrong))
        labels[wrong] = (labels[wrong] + steps) % len(images.identities)
        note = f"{len(wrong)} of {len(labels)} labels are wrong on purpose"
        return dataclasses.replace(
            images,
            labels=labels,
            mislabelled=wrong,
            true_labels=images.labels,
            notes=(*images.notes, note),
            fingerprint=f"{images.fingerprint}-{self.share:g}-{self.seed}",
        )

    def missing(self, places: Places) -> str | None:
        return self.source.missing(places)

    def truth(self) -> Source:
        return self.source.truth()

    def without(self, pairs: PairSet) -> Mislabelled:
        return self.but(source=self.source.without(pairs))

    def stand_in(self) -> Source:
        return self.but(source=self.source.stand_in())

    def quick(self) -> Mislabelled:
        return self.but(source=self.source.quick())


def _drawn(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the record numbers of the images to mislabel; raises `DataError` where too few may be."""
    generator = np.random.default_rng([seed, 0x1AB])
    order = generator.permutation(len(labels))
    kept = np.zeros(len(labels), bool)
    # One image of each identity, at random.
    kept[order[np.unique(labels[order], return_index=True)[1]]] = True
    count, free = round(share * len(labels)), order[~kept[order]]
    if count > len(free):
        raise DataError(
            f"{count} of {len(labels)} images",
            where="Mislabelled.share",
            expected=f"at most {len(free)}: every identity keeps an image of its own",
        )
    chosen: np.ndarray = np.sort(free[:count])
    return chosen
