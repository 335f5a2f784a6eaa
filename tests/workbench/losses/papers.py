"""The losses once more, in NumPy and double precision, image by image from the papers' formulas.

Nothing here is shared with the code under test. x [B, d] embeddings, w [C, d] class weights, y [B].
"""

from __future__ import annotations

import math

import numpy as np


def length(a):
    """|a|, counted as at least sqrt(1e-5)."""
    return max(np.linalg.norm(a), math.sqrt(1e-5))


def cosines(x, w):
    return np.array([[a @ b / (length(a) * length(b)) for b in w] for a in x])


def dense(x, w):
    return np.array([[a @ b for b in w] for a in x])


def entropy(z, y, e=0.0):
    """-sum_j q_j log softmax(z)_j of one image, q smoothed by e."""
    p = np.exp(z - z.max())
    p = p / p.sum()
    q = np.full(len(z), e / len(z))
    q[y] += 1 - e
    return -sum(a * math.log(b) for a, b in zip(q, p) if a > 0)


def mean_entropy(z, y, e=0.0):
    return np.mean([entropy(row, label, e) for row, label in zip(z, y)])


def with_target(cos, y, t, s):
    """Scaled logits in which each image's own entry is t(theta, i)."""
    z = s * cos.copy()
    for i, label in enumerate(y):
        theta = math.acos(min(1.0, max(-1.0, cos[i, label])))
        z[i, label] = s * t(theta, i)
    return z


def combined(theta, m1, m2, m3):
    """cos(m1 theta + m2) - m3, and -2 (1 + m3) - t beyond the threshold (m1 theta + m2 within 2 pi)."""
    t = math.cos(m1 * theta + m2) - m3
    if (math.pi - m2) / m1 > math.pi:
        return t
    return -2 * (1 + m3) - t if math.cos(theta) <= math.cos((math.pi - m2) / m1) else t


def psi(theta, m):
    """SphereFace's (-1)^k cos(m theta) - 2k for theta in [k pi/m, (k + 1) pi/m]."""
    for k in range(int(m) + 1):
        if k * math.pi / m <= theta <= (k + 1) * math.pi / m:
            return (-1) ** k * math.cos(m * theta) - 2 * k
    raise AssertionError(theta)


def softmax(x, w, y, e=0.0):
    return mean_entropy(dense(x, w), y, e)


def margin_softmax(x, w, y, e=0.0, power=2.0, scale=0.4, renormalised=True):
    total = 0.0
    for z, label in zip(dense(x, w), y):
        p = np.exp(z - z.max())
        p = p / p.sum()
        p[label] = (p[label] ** power + scale * p[label]) / 2
        if renormalised:
            p = p / p.sum()
        q = np.full(len(p), e / len(p))
        q[label] += 1 - e
        total -= float((q * np.log(p)).sum())
    return total / len(y)


def arcface(x, w, y, e=0.0, s=64.0, m=0.5, beyond="monotone"):
    def t(theta, i):
        if theta + m < math.pi:
            return math.cos(theta + m)
        choices = {
            "monotone": -2 - math.cos(theta + m),
            "sine": math.cos(theta) - m * math.sin(m),
            "cosine": math.cos(theta),
        }
        return choices[beyond]

    return mean_entropy(with_target(cosines(x, w), y, t, s), y, e)


def combined_margin(x, w, y, e=0.0, s=64.0, m1=1.0, m2=0.3, m3=0.2):
    z = with_target(cosines(x, w), y, lambda theta, i: combined(theta, m1, m2, m3), s)
    return mean_entropy(z, y, e)


def sphereface(x, w, y, e=0.0, s=64.0, m=1.35):
    return mean_entropy(with_target(cosines(x, w), y, lambda theta, i: psi(theta, m), s), y, e)


def airface(x, w, y, e=0.0, s=64.0, m=0.4):
    theta = np.arccos(np.clip(cosines(x, w), -1, 1))
    for i, label in enumerate(y):
        theta[i, label] += m
    return mean_entropy(s * (math.pi - 2 * theta) / math.pi, y, e)


def curricularface(x, w, y, e=0.0, s=64.0, m=0.5, t=0.0, keep=0.99):
    """The loss and the new t."""
    cos = cosines(x, w)
    t = keep * t + (1 - keep) * np.mean([cos[i, label] for i, label in enumerate(y)])
    z = np.empty_like(cos)
    for i, label in enumerate(y):
        theta = math.acos(min(1.0, max(-1.0, cos[i, label])))
        own = math.cos(theta + m)
        for j in range(cos.shape[1]):
            z[i, j] = cos[i, j] if cos[i, j] <= own else cos[i, j] * (t + cos[i, j])
        z[i, label] = combined(theta, 1.0, m, 0.0)
    return mean_entropy(s * z, y, e), t


def magface(x, w, y, e=0.0, s=64.0, la=10.0, ua=110.0, lm=0.45, um=0.8, lam=35.0, beyond="easy"):
    """`beyond` as the authors' `easy_margin` ("easy") and its absence ("sine") say, and two of others."""
    a = np.clip(np.linalg.norm(x, axis=1), la, ua)
    m = (um - lm) / (ua - la) * (a - la) + lm

    def t(theta, i):
        cos, turned = math.cos(theta), math.cos(theta + m[i])
        if beyond == "easy":
            return turned if cos > 0 else cos
        if beyond == "sine":
            return turned if cos > math.cos(math.pi - m[i]) else cos - math.sin(math.pi - m[i]) * m[i]
        return min(cos, turned) if beyond == "minimum" else combined(theta, 1.0, m[i], 0.0)

    z = with_target(cosines(x, w), y, t, s)
    return mean_entropy(z, y, e) + lam * np.mean(a / ua**2 + 1 / a)


def adaface(x, w, y, e=0.0, s=64.0, m=0.4, h=0.333, keep=0.01, mean=20.0, std=100.0, norms=None):
    """The loss, the new mean and the new deviation; `norms` holds the norms fixed (no gradient)."""
    a = np.clip(np.linalg.norm(x, axis=1) if norms is None else norms, 0.001, 100)
    mean = keep * mean + (1 - keep) * a.mean()
    std = keep * std + (1 - keep) * a.std(ddof=1)
    quality = np.clip((a - mean) / (std + 0.001) * h, -1, 1)

    def t(theta, i):
        angular, additive = -m * quality[i], m + m * quality[i]
        return math.cos(min(math.pi, max(0.0, theta + angular))) - additive

    return mean_entropy(with_target(cosines(x, w), y, t, s), y, e), mean, std


def adacos_scale(cos, y, s):
    b = np.mean([sum(math.exp(s * c) for j, c in enumerate(row) if j != k) for row, k in zip(cos, y)])
    middle = np.median([math.acos(min(1.0, max(-1.0, row[k]))) for row, k in zip(cos, y)])
    return math.log(b) / math.cos(min(math.pi / 4, middle))


def adacos_with_margin(x, w, y, e, s, m):
    """AdaCos at a scale s, the target turned by m (Keras_insightface's AdaCosLossT4, monotone beyond pi)."""
    return mean_entropy(with_target(cosines(x, w), y, lambda theta, i: combined(theta, 1.0, m, 0.0), s), y, e)


def distances(x, kind, normalise=True):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True) if normalise else x
    result = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            squared = float(((unit[i] - unit[j]) ** 2).sum())
            result[i, j] = {"cosine": squared / 2, "squared": squared, "euclidean": math.sqrt(squared)}[kind]
    return result


def triplets(y):
    count = range(len(y))
    return [(a, p, n) for a in count for p in count for n in count if a != p and y[a] == y[p] != y[n]]


def triplet_all(x, y, alpha, kind, normalise=True):
    d, found = distances(x, kind, normalise), triplets(y)
    return np.mean([max(0, d[a, p] - d[a, n] + alpha) for a, p, n in found]) if found else 0.0


def triplet_hard(x, y, alpha, kind, normalise=True):
    d, found = distances(x, kind, normalise), triplets(y)
    worst = {}
    for a, p, n in found:
        worst[a] = max(worst.get(a, -9.0), d[a, p] - d[a, n])
    return np.mean([max(0, v + alpha) for v in worst.values()]) if found else 0.0


def triplet_semi_hard(x, y, alpha, kind, normalise=True):
    d = distances(x, kind, normalise)
    losses = []
    for a, p in {(a, p) for a, p, _ in triplets(y)}:
        others = [d[a, n] for n in range(len(y)) if y[n] != y[a]]
        farther = [value for value in others if value > d[a, p]]
        chosen = min(farther) if farther else max(others)
        losses.append(max(0, d[a, p] - chosen + alpha))
    return np.mean(losses) if losses else 0.0


def triplet_all_pairs(x, y, alpha):
    """Keras_insightface's batch-all loss, anchor by anchor, from the cosines."""
    cos, losses = cosines(x, x), []
    for a in range(len(y)):
        own = [cos[a, p] for p in range(len(y)) if y[p] == y[a]]
        near = [cos[a, n] for n in range(len(y)) if y[n] != y[a] and min(own) - cos[a, n] < alpha]
        losses.append(sum(1 - c for c in own) / len(own) + sum(near) / (len(near) + 1))
    return np.mean(losses)


def center(x, y, centers, alpha):
    """The loss with the old centers, and the new centers."""
    loss = np.mean([np.mean((a - centers[k]) ** 2) for a, k in zip(x, y)])
    moved = centers.copy()
    for k in set(y):
        own = [a for a, label in zip(x, y) if label == k]
        moved[k] -= alpha * sum(centers[k] - a for a in own) / (1 + len(own))
    return loss, moved


def distill_logits(z, y, teacher, temperature=10.0, alpha=0.1, e=0.0):
    def soft(v):
        p = np.exp(v / temperature - (v / temperature).max())
        return p / p.sum()

    kl = [float((soft(t) * np.log(soft(t) / soft(s))).sum()) for t, s in zip(teacher, z)]
    return alpha * mean_entropy(z, y, e) + (1 - alpha) * np.mean(kl)
