"""All scores of a pair set with their labels, sorted once; every exact measure is read off this order.

The label travels in the lowest bit of a whole number that orders like the score. A float32 in
(-2, 2) is one of fewer than 2**31 values, a float64 in (-2, 2) one of fewer than 2**63, so score and
label fit exactly into a number of the score's own width: nothing is rounded, one plain sort does it,
and the sorted whole is as large as the scores. Within equal scores genuine pairs come first.

A *cut* p, 0 to n, accepts the pairs from position p on. Cuts between unequal scores are those that a
threshold can make: a pair is accepted when its score >= the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from workbench.errors import DataError

# Pairs worked on at a time: arrays of 64 KB stay in cache, and memory of larger ones is mapped anew each time.
BLOCK = 1 << 13
_WIDTHS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def checked(scores: Any, same: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (float32 or float64) and labels (bool), both [n]; raises `DataError`.

    Refused: different lengths, none at all, labels that are not 0 and 1, a score that is not finite.
    """
    scores, same = np.asarray(scores), np.asarray(same)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise DataError(f"scores {scores.shape} and labels {same.shape}", expected="two lists of one length")
    if not len(scores):
        raise DataError("no pairs", expected="at least one pair")
    if scores.dtype not in _WIDTHS:
        scores = scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)
    if same.dtype != np.bool_:
        if not np.isin(same, (0, 1)).all():
            raise DataError("labels other than 0 and 1", expected="1 for a genuine pair, 0 for an impostor")
        same = same.astype(bool)
    if not np.isfinite(scores.min() + scores.max()):
        bad = int(len(scores) - np.isfinite(scores).sum())
        raise DataError(
            f"{bad} of {len(scores)} scores are not finite",
            expected="finite scores",
            do="look for NaN or infinity in the embeddings",
        )
    return np.ascontiguousarray(scores), same


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices that cover `count` items, `size` at a time."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class SortedScores:
    """Scores and labels in one sorted array, with the counts that exact measures need.

    `genuine` and `impostors` count the pairs of either kind, `count` all of them. `order`, where it is
    kept, is the place of each sorted pair in the given lists, [n].
    """

    def __init__(self, scores: Any, same: Any, keep_order: bool = False) -> None:
        scores, same = checked(scores, same)
        self.dtype = scores.dtype
        self._values: np.ndarray | None = None  # distinct scores, where they are not of a cosine's range
        self.keys = self._pack(scores, same)
        self.order: np.ndarray | None = None
        if keep_order:
            self.order = self.keys.argsort()
            self.keys = self.keys[self.order]
        else:
            self.keys.sort()
        self._inside: tuple[int, np.ndarray] = (-1, self.keys[:0])
        self.count = len(scores)
        self.genuine = int(np.count_nonzero(same))
        self.impostors = self.count - self.genuine
        per_block = [np.count_nonzero(self.keys[part] & 1) for part in blocks(self.count)]
        self._impostors = np.concatenate(([0], np.cumsum(per_block, dtype=np.int64)))

    def _pack(self, scores: np.ndarray, same: np.ndarray) -> np.ndarray:
        """Return whole numbers that order like (score, impostor), [n]."""
        if max(-scores.min(), scores.max()) >= 2:
            self._values, ranks = np.unique(scores, return_inverse=True)
            return (ranks.astype(np.int64) << 1) | ~same
        width = _WIDTHS[self.dtype]
        magnitude = np.iinfo(width).max  # type: ignore[type-var]
        keys = np.empty(len(scores), width)
        for part in blocks(len(scores)):
            bits, key = scores[part].view(width), keys[part]
            sign = bits >> (8 * bits.itemsize - 1)  # -1 below zero; -0.0 becomes 0 like 0.0
            np.bitwise_and(bits, magnitude, out=key)
            key ^= sign
            key -= sign
            key <<= 1
            key |= ~same[part]
        return keys

    def score(self, cut: int) -> float:
        """Return the threshold that makes `cut`: a score, or for the last cut the number above all."""
        key = int(self.keys[min(cut, self.count - 1)]) >> 1
        if self._values is not None:
            value = self._values[key]
        else:
            value = self.keys.dtype.type(abs(key)).view(self.dtype)
            value = -value if key < 0 else value
        return float(value if cut < self.count else np.nextafter(value, self.dtype.type(np.inf)))

    def impostors_below(self, cut: int) -> int:
        """Return how many impostor pairs `cut` rejects."""
        block = cut // BLOCK
        return int(self._impostors[block] + np.count_nonzero(self.keys[block * BLOCK : cut] & 1))

    def genuine_from(self, cut: int) -> int:
        """Return how many genuine pairs `cut` accepts."""
        return self.genuine - (cut - self.impostors_below(cut))

    def possible(self, cut: int) -> int:
        """Return the lowest cut at or above `cut` that a threshold can make."""
        if not 0 < cut < self.count or self.keys[cut - 1] >> 1 != self.keys[cut] >> 1:
            return cut
        return self._find(int(self.keys[cut]) | 1, "right")

    def previous(self, cut: int) -> int:
        """Return the highest possible cut below `cut`, which is above 0."""
        return self._find(int(self.keys[cut - 1]) & ~1, "left")

    def _find(self, key: int, side: Literal["left", "right"]) -> int:
        """Return where `key` is or would be; the type is kept, another one would copy all keys."""
        return int(np.searchsorted(self.keys, self.keys.dtype.type(key), side=side))

    def cut_rejecting(self, impostors: int) -> int:
        """Return the lowest possible cut that rejects at least this many impostor pairs."""
        return self.possible(self.position_of_impostor(impostors - 1) + 1) if impostors > 0 else 0

    def position_of_impostor(self, number: int) -> int:
        """Return the position of an impostor pair, counted from 0 at the lowest score."""
        block = int(np.searchsorted(self._impostors, number, side="right")) - 1
        if self._inside[0] != block:  # rates near to each other fall into one block
            places = np.flatnonzero(self.keys[block * BLOCK : (block + 1) * BLOCK] & 1)
            self._inside = (block, places)
        return block * BLOCK + int(self._inside[1][number - self._impostors[block]])

    def best_cut(self, above: int = -1, highest: bool = True) -> int:
        """Return the cut with the most pairs right among those above cut `above`; of equals the highest.

        Going up one position wins a rejected impostor or loses a genuine pair. Genuine pairs come
        first among equal scores, so inside them the count first falls and then rises: its maximum is
        never there, and no tie needs to be looked for.
        """
        first = max(above, 0)
        best, best_cut, before = (0, 0, 0) if above < 0 else (-self.count - 1, 0, 0)
        for part in blocks(self.count - first):
            steps = np.cumsum(((self.keys[first:][part] & 1) << 1) - 1, dtype=np.int32)
            top = before + int(steps.max())
            if top > best or (top == best and highest):
                place = (
                    part.stop - int(np.argmax(steps[::-1]))
                    if highest
                    else part.start + int(np.argmax(steps)) + 1
                )
                best, best_cut = top, first + place
            before += int(steps[-1])
        return best_cut

    def crossing(self) -> tuple[int, int]:
        """Return the neighbouring possible cuts (lower, upper) between which FRR overtakes FAR."""
        low, high = 0, self.count  # at 0 nothing is rejected, at `count` everything
        while low < high:
            middle = (low + high) // 2
            rejected = self.impostors_below(middle)
            if (middle - rejected) * self.impostors >= (self.impostors - rejected) * self.genuine:
                high = middle
            else:
                low = middle + 1
        upper = self.possible(low)
        return self.previous(upper), upper

    def running_counts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield how many genuine and impostor pairs lie at or below each distinct score, from the lowest on.

        Both are float64, [k + 1] for the next k scores, some thousand at a time; the first of each is what lies
        below these scores.
        """
        start = below = 0
        while start < self.count:
            stop = self.possible(min(start + BLOCK, self.count))
            if stop - start <= 2 * BLOCK:
                ends = self._ends(self.keys[start:stop])
                rejected = np.cumsum(self.keys[start:stop] & 1, dtype=np.int32)[ends]
            else:  # many pairs of one score: counted by searching, not by walking
                begin = self.previous(stop)
                ends = np.append(self._ends(self.keys[start:begin]), stop - start - 1)
                first_impostor = self._find(int(self.keys[stop - 1]) | 1, "left")
                rejected = np.cumsum(self.keys[start:begin] & 1, dtype=np.int64)[ends[:-1]]
                last = (rejected[-1] if len(rejected) else 0) + stop - max(begin, first_impostor)
                rejected = np.append(rejected, last)
            pairs, impostors = np.empty(len(ends) + 1), np.empty(len(ends) + 1)
            pairs[0], impostors[0] = -1, 0
            pairs[1:], impostors[1:] = ends, rejected
            pairs += start + 1
            impostors += below
            yield pairs - impostors, impostors
            start, below = stop, below + int(rejected[-1])

    @staticmethod
    def _ends(keys: np.ndarray) -> np.ndarray:
        """Return the last position of each distinct score in sorted `keys`."""
        if not len(keys):
            return np.empty(0, np.intp)
        change = (keys[1:] ^ keys[:-1]).view(f"u{keys.itemsize}") > 1  # more than the label's bit
        return np.append(np.flatnonzero(change), len(keys) - 1)
