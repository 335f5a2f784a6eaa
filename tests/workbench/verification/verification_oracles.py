"""Slow, literal readings of the definitions: what the exact measures are tested against."""

from __future__ import annotations

import numpy as np


def cuts(scores: np.ndarray) -> np.ndarray:
    """Every distinct score, and the next number above them all."""
    distinct = np.unique(scores)
    return np.append(distinct, np.nextafter(distinct[-1], distinct.dtype.type(np.inf)))


def rates(scores: np.ndarray, same: np.ndarray, threshold: float) -> tuple[float, float]:
    """FAR and TAR, pair by pair."""
    false = true = impostors = genuine = 0
    for score, is_same in zip(scores, same, strict=True):
        if is_same:
            genuine += 1
            true += score >= threshold
        else:
            impostors += 1
            false += score >= threshold
    return false / impostors, true / genuine


def best_accuracy(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    best, best_threshold = -1.0, 0.0
    for threshold in cuts(scores):
        right = sum((score >= threshold) == is_same for score, is_same in zip(scores, same, strict=True))
        if right / len(scores) >= best:
            best, best_threshold = right / len(scores), threshold
    return best, best_threshold


def auc(scores: np.ndarray, same: np.ndarray) -> float:
    total = 0.0
    for genuine in scores[same]:
        for impostor in scores[~same]:
            total += 1.0 if genuine > impostor else 0.5 if genuine == impostor else 0.0
    return total / (same.sum() * (~same).sum())


def delong_variance(scores: np.ndarray, same: np.ndarray) -> float:
    genuine, impostors = scores[same].astype(float), scores[~same].astype(float)
    wins = (genuine[:, None] > impostors) + 0.5 * (genuine[:, None] == impostors)
    return wins.mean(1).var(ddof=1) / len(genuine) + wins.mean(0).var(ddof=1) / len(impostors)


def eer(scores: np.ndarray, same: np.ndarray) -> float:
    points = [rates(scores, same, threshold) for threshold in cuts(scores)]
    for (far, tar), (far_next, tar_next) in zip(points, points[1:], strict=False):
        if far_next <= 1 - tar_next:
            gap, gap_next = far - (1 - tar), far_next - (1 - tar_next)
            way = gap / (gap - gap_next)
            return far + way * (far_next - far)
    raise AssertionError("FAR and FRR must cross")


def tar_at_far(scores: np.ndarray, same: np.ndarray, far: float) -> float:
    points = [rates(scores, same, threshold) for threshold in cuts(scores)]
    return max(tar for found, tar in points if found <= far)


def top300(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    impostors = sorted(scores[~same], reverse=True)
    best, best_threshold = -1.0, 0.0
    for threshold in impostors[:300]:
        right = (scores[same] > threshold).sum() + (scores[~same] <= threshold).sum()
        if right / len(scores) > best:
            best, best_threshold = right / len(scores), threshold
    return best, best_threshold


def top_tenth(scores: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    impostors = sorted(scores[~same])
    best, best_threshold = -1.0, 0.0
    for threshold in impostors[-max(1, int(0.1 * len(impostors))) :]:
        right = (scores[same] > threshold).sum() + (scores[~same] <= threshold).sum()
        if right / len(scores) > best:
            best, best_threshold = right / len(scores), threshold
    return best, best_threshold


def folds(scores: np.ndarray, same: np.ndarray, fold_of: np.ndarray) -> list[float]:
    found = []
    for fold in range(fold_of.max() + 1):
        train = fold_of != fold
        _, threshold = best_accuracy(scores[train], same[train])
        found.append(((scores[~train] >= threshold) == same[~train]).mean())
    return found
