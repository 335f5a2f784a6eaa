"""In which order records are drawn: pure functions of the seed and the global epoch.

A draw is an int64 array [steps * batch] of record numbers for one epoch. It is made anew for each
epoch from (seed, epoch) alone, so the data of any step can be had without the steps before it. (A
block cipher over positions, as in TensorFlow's index_shuffle, needs no array, but over 30 records
its four rounds put some of them into some positions ten times as often as others; a permutation of a
million numbers takes 20 ms, once an epoch.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from workbench.data import hard_negatives
from workbench.errors import DataError
from workbench.spec.interfaces import Sampler
from workbench.spec.part import part, setting

Draw = Callable[[int], np.ndarray]


def generator(seed: int, epoch: int, purpose: int = 0) -> np.random.Generator:
    """Return the generator of one epoch: equal for equal arguments, whatever was drawn before."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, purpose])))


def _permutations(chance: np.random.Generator, rows: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of `rows` ([N] or [T, 3]) in one random order of the rows after the other, cut to `count`."""
    rounds = -(-count // rows.size)
    return np.concatenate([rows[chance.permutation(len(rows))].ravel() for _ in range(rounds)])[:count]


def shuffled(rows: np.ndarray, count: int, seed: int) -> Draw:
    """Draw records, or rows of them such as triplets, in a new order each epoch; cut, or repeated, to `count`."""
    return lambda epoch: _permutations(generator(seed, epoch), rows, count).astype(np.int64)


@part
class Identities(Sampler):
    """Batches of `identities` people with `images` images of each, as triplet losses need them.

    Each epoch goes through all people in random order, again and again, until it has its steps; the
    images of a person are dealt from a shuffled pile of their own. A person with fewer images than
    asked gives some twice.
    """

    identities: int = setting(at_least=2, doc="people in a batch")
    images: int = setting(at_least=1, doc="images of each")

    def quick(self) -> Identities:
        return self.but(identities=4, images=4)  # a batch of the small form

    def fits(self, batch: int) -> None:
        if self.identities * self.images != batch:
            raise DataError(
                f"{self.identities} identities x {self.images} images in a batch of {batch}",
                where="Identities",
                expected=f"identities * images = {batch}",
            )

    def draw(self, labels: np.ndarray, records: np.ndarray, count: int, batch: int, seed: int) -> Draw:
        self.fits(batch)
        people = _People(labels, records)
        if len(people.starts) < self.identities:
            raise DataError(
                f"{len(people.starts)} identities in the data",
                where="Identities",
                expected=f"{self.identities} or more",
            )

        def epoch_draw(epoch: int) -> np.ndarray:
            chance = generator(seed, epoch)
            chosen = _rounds(chance, len(people.starts), count // self.images, self.identities)
            return people.deal(chance, chosen, self.images)

        return epoch_draw


def _rounds(chance: np.random.Generator, people: int, groups: int, width: int) -> np.ndarray:
    """Return `groups` numbers of people, `width` different ones in every batch, all used evenly.

    Who is left over at the end of a round goes first in the next.
    """
    dealt: list[np.ndarray] = []
    left = np.empty(0, np.int64)
    for _ in range(-(-groups // width)):
        if len(left) < width:
            fresh = chance.permutation(people)
            # Those left over are in the new round too; put at its end, nobody comes twice into one batch.
            again = np.isin(fresh, left)
            left = np.concatenate([left, fresh[~again], fresh[again]])
        dealt.append(left[:width])
        left = left[width:]
    return np.concatenate(dealt)[:groups]


class _People:
    """Records by person: those of person k are `order[starts[k] : starts[k] + counts[k]]`."""

    def __init__(self, labels: np.ndarray, records: np.ndarray) -> None:
        self.order = records[np.argsort(labels[records], kind="stable")]
        _, self.starts, self.counts = np.unique(labels[self.order], return_index=True, return_counts=True)

    def deal(self, chance: np.random.Generator, chosen: np.ndarray, images: int) -> np.ndarray:
        """Return `images` records for each of the `chosen` people, different ones while they last, int64."""
        result = np.empty((len(chosen), images), np.int64)
        piles: dict[int, np.ndarray] = {}
        for row, person in enumerate(chosen):
            own = int(self.counts[person])
            pile = piles.get(person, np.empty(0, np.int64))
            while len(pile) < min(images, own):  # leftovers go first; no image twice in one group
                fresh = chance.permutation(own)
                pile = np.concatenate([pile, fresh[~np.isin(fresh, pile)], fresh[np.isin(fresh, pile)]])
            taken, piles[person] = pile[:images], pile[images:]
            while len(taken) < images:
                taken = np.concatenate([taken, chance.permutation(own)])[:images]
            result[row] = self.starts[person] + taken
        return self.order[result.ravel()].astype(np.int64)


@part
class Balanced(Sampler):
    """Every identity is drawn equally often, however many images it has.

    Each image of an epoch is that of a person drawn evenly (a shuffled round of all people, again and
    again) and one of the person's images, dealt from a shuffled pile.
    """

    def draw(self, labels: np.ndarray, records: np.ndarray, count: int, batch: int, seed: int) -> Draw:
        people = _People(labels, records)

        def epoch_draw(epoch: int) -> np.ndarray:
            chance = generator(seed, epoch)
            chosen = _permutations(chance, np.arange(len(people.starts)), count)
            return people.deal(chance, chosen, 1)

        return epoch_draw


@part
class MinedTriplets(Sampler):
    """Batches of triplets that the network still gets wrong, mined anew every `every` epochs.

    A sample of `identities` people with `images` images each is embedded; every pair of one person
    brings one negative that is nearer than the pair's cosine less `alpha` (see `data/hard_negatives.py`).
    """

    identities: int = setting(10_000, at_least=2, doc="people in the sample")
    images: int = setting(5, at_least=2, doc="images of each in the sample")
    alpha: float = setting(0.2, at_least=0, at_most=2, doc="margin between the two cosines")
    hardest: bool = setting(False, doc="take the nearest negative instead of one at random")
    every: int = setting(1, at_least=1, doc="epochs between two minings")

    together: ClassVar[int] = 3

    def quick(self) -> MinedTriplets:
        # a margin so wide that a network that knows nothing has triplets
        return self.but(identities=4, images=4, alpha=1)

    def mine(
        self,
        embed: Callable[[np.ndarray], np.ndarray],
        labels: np.ndarray,
        records: np.ndarray,
        seed: int,
        epoch: int,
    ) -> np.ndarray:
        """Return record numbers [T, 3] mined before global `epoch`; `embed` maps record numbers to [n, d].

        Raises `DataError` where no triplet is left to learn from.
        """
        chance = generator(seed, epoch, purpose=3)
        chosen = hard_negatives.sample(labels, records, self.identities, self.images, chance)
        found = hard_negatives.triplets(embed(chosen), labels[chosen], self.alpha, chance, self.hardest)
        if not len(found):
            raise DataError(
                f"no triplet within alpha={self.alpha} in {len(chosen)} images of epoch {epoch}",
                where="MinedTriplets",
                expected="images that the network still confuses",
                do="raise alpha, take more identities, or end the stage earlier",
            )
        return chosen[found]

    def mined_at(self, first_epoch: int, epoch: int) -> int:
        """Return the epoch before which the triplets of global `epoch` are mined, in a stage's counting."""
        return first_epoch + (epoch - first_epoch) // self.every * self.every

    def draw(self, labels: np.ndarray, records: np.ndarray, count: int, batch: int, seed: int) -> Draw:
        """Draw triplets at random, unmined: what `check` tries a step with, where no network is trained."""
        if batch % 3:
            raise DataError(
                f"triplets in batches of {batch}", where="MinedTriplets", expected="a multiple of 3"
            )
        # Epoch 0 and a purpose of its own: `check` must not use up what training will draw.
        chance = generator(seed, 0, purpose=4)
        few = hard_negatives.sample(labels, records, min(self.identities, 100), self.images, chance)
        # All embeddings alike, so that every triplet violates the margin: which ones are drawn is chance alone.
        found = hard_negatives.triplets(np.ones((len(few), 1)), labels[few], 2.0, chance)
        if not len(found):
            raise DataError(
                "no identity has two images", where="MinedTriplets", expected="pairs of one identity"
            )
        return shuffled(few[found], count, seed)
