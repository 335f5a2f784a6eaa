"""Pairs drawn from labelled images: all of them, or as many as asked, by a seed and never one twice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.errors import DataError

FOLDS = 10  # consecutive tenths of a drawn list hold the same shares of either kind


class SampledPairs(NamedTuple):
    """Pair k compares image `first[k]` < `second[k]`; `same[k]` tells whether they share a label."""

    first: np.ndarray  # [P] int64
    second: np.ndarray  # [P] int64
    same: np.ndarray  # [P] bool


def all_pairs(labels: np.ndarray) -> SampledPairs:
    """Return every pair of `labels` [N], in the order of the images: P = N (N - 1) / 2."""
    first, second = np.triu_indices(len(labels), 1)
    return SampledPairs(first, second, labels[first] == labels[second])


def balanced(
    labels: np.ndarray, pairs: int | None, seed: int, where: str = "pairs", by_label: bool = False
) -> SampledPairs:
    """Return `pairs` different pairs of `labels` [N], half of them genuine, by `seed`.

    `by_label` draws a genuine pair's label first and then two of its images, as the pairs of LFW were drawn,
    so that a person of five hundred images does not fill the list.

    None takes every genuine pair and as many impostor pairs. The list is ordered for ten folds: each
    consecutive tenth holds genuine pairs first and then impostor pairs, of either kind its share.
    Raises `DataError` where there are not as many pairs of a kind.
    """
    genuine_first, genuine_second = genuine_pairs(labels)
    impostors = len(labels) * (len(labels) - 1) // 2 - len(genuine_first)
    wanted = (pairs + 1) // 2 if pairs is not None else min(len(genuine_first), impostors)
    others = wanted if pairs is None else pairs - wanted
    for kind, there, asked in (("genuine", len(genuine_first), wanted), ("impostor", impostors, others)):
        if there < max(asked, 1):
            raise DataError(
                f"{there} {kind} pairs among {len(labels)} images of {len(np.unique(labels))} identities",
                where=where,
                expected=f"at least {max(asked, 1)}",
                do="ask for fewer pairs, or hold out more identities",
            )
    # A stream of its own beside those of the same seed; another number would draw other pairs than recorded runs had.
    generator = np.random.default_rng([seed, 0xFA1])
    kinds = labels[genuine_first]
    chosen = (_by_turns(kinds, generator) if by_label else generator.permutation(len(kinds)))[:wanted]
    impostor_first, impostor_second = _impostors(labels, others, impostors, generator)
    first = np.concatenate([genuine_first[chosen], impostor_first])
    second = np.concatenate([genuine_second[chosen], impostor_second])
    same = np.arange(len(first)) < wanted
    order = _by_folds(wanted, len(first) - wanted)
    return SampledPairs(first[order], second[order], same[order])


def genuine_pairs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every pair of images with one label."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    parts = [(group[i], group[j]) for group in groups for i, j in [np.triu_indices(len(group), 1)]]
    first, second = (np.concatenate(side) for side in zip(*parts, strict=True))
    return first, second


def _by_turns(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return an order of genuine pairs of these `labels` that takes one pair of each label by turns, at random.

    Drawing labels with equal chances, without taking a pair twice, comes to the same but for the order.
    """
    order = generator.permutation(len(labels))
    shuffled = labels[order]
    sorting = np.argsort(shuffled, kind="stable")
    starts = np.searchsorted(shuffled[sorting], shuffled[sorting])
    turn = np.empty(len(labels), np.int64)
    turn[sorting] = np.arange(len(labels)) - starts
    return np.asarray(order[np.argsort(turn, kind="stable")])


def _impostors(
    labels: np.ndarray, count: int, there: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` different pairs of images of different labels, each as likely as any other."""
    total = len(labels)
    if count * 2 >= there:
        first, second, same = all_pairs(labels)
        first, second = first[~same], second[~same]
        chosen = generator.permutation(there)[:count]
        return first[chosen], second[chosen]
    codes = np.empty(0, np.int64)
    while len(codes) < count:
        drawn = generator.integers(0, total, (2 * count + 16, 2))
        low, high = drawn.min(axis=1), drawn.max(axis=1)
        fresh = (low * total + high)[labels[low] != labels[high]]
        codes = np.concatenate([codes, fresh])
        codes = codes[np.sort(np.unique(codes, return_index=True)[1])]  # the order of drawing is kept
    return codes[:count] // total, codes[:count] % total


def _by_folds(genuine: int, impostors: int) -> np.ndarray:
    """Return an order of `genuine` then `impostors` pairs in which each tenth has its share of both."""
    ones = np.array_split(np.arange(genuine), FOLDS)
    others = np.array_split(np.arange(genuine, genuine + impostors), FOLDS)[::-1]  # evens out the remainders
    return np.concatenate([part for pair in zip(ones, others, strict=True) for part in pair])
