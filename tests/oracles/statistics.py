"""Heads that are solved from statistics of all rows, written down in NumPy as their papers have
them: with all rows at hand, one class or one row at a time, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def class_means(x: Array, y: Array) -> Array:
    return np.stack([x[y == c].mean(0) for c in np.unique(y)])


def discriminant(x: Array, y: Array, e: float, queries: Array) -> Array:
    """Linear discriminant scores with one covariance and equal priors."""
    means = class_means(x, y)
    within = sum(
        (x[y == c] - m).T @ (x[y == c] - m) for c, m in zip(np.unique(y), means, strict=True)
    )
    inverse = np.linalg.inv((1 - e) * within / len(x) + e * np.eye(x.shape[1]))
    return np.stack([queries @ inverse @ m - m @ inverse @ m / 2 for m in means], 1)


def streaming_discriminant(x: Array, y: Array, e: float, queries: Array) -> Array:
    """Hayes & Kanan's update, row by row."""
    classes = np.unique(y)
    means = {c: np.zeros(x.shape[1]) for c in classes}
    counts = dict.fromkeys(classes, 0)
    covariance = np.zeros((x.shape[1], x.shape[1]))
    for n, (g, c) in enumerate(zip(x, y, strict=True)):
        delta = n / (n + 1) * np.outer(g - means[c], g - means[c])
        covariance = (n * covariance + delta) / (n + 1)
        means[c] = means[c] + (g - means[c]) / (counts[c] + 1)
        counts[c] += 1
    inverse = np.linalg.inv((1 - e) * covariance + e * np.eye(x.shape[1]))
    return np.stack(
        [queries @ inverse @ means[c] - means[c] @ inverse @ means[c] / 2 for c in classes], 1
    )


def ridge(x: Array, y: Array, ridge_lambda: float, queries: Array) -> Array:
    """Least squares on one-hot labels with a penalty, as one augmented system."""
    labels = np.eye(len(np.unique(y)))[np.searchsorted(np.unique(y), y)]
    tall = np.vstack([x, np.sqrt(ridge_lambda) * np.eye(x.shape[1])])
    right = np.vstack([labels, np.zeros((x.shape[1], labels.shape[1]))])
    return queries @ np.linalg.lstsq(tall, right, rcond=None)[0]


def correlation(rows: Array, a1: float, a2: float) -> Array:
    """The shrunk covariance of rows, divided by its standard deviations."""
    covariance = np.cov(rows.T, bias=True)
    size = len(covariance)
    off = covariance[~np.eye(size, dtype=bool)].mean()
    shrunk = covariance + a1 * np.diag(covariance).mean() * np.eye(size)
    shrunk += a2 * off * (1 - np.eye(size))
    deviation = np.sqrt(np.diag(shrunk))
    return shrunk / np.outer(deviation, deviation)


def mahalanobis(
    x: Array, y: Array, beta: float, a1: float, a2: float, shared: bool, queries: Array
) -> Array:
    """Minus FeCAM's distances."""
    x, queries = x**beta, queries**beta
    means = class_means(x, y)
    centred = np.concatenate([x[y == c] - m for c, m in zip(np.unique(y), means, strict=True)])
    scores = []
    for c, mean in zip(np.unique(y), means, strict=True):
        matrix = correlation(centred if shared else x[y == c], a1, a2)
        gap = unit(queries) - unit(mean)
        scores.append([-row @ np.linalg.inv(matrix) @ row for row in gap])
    return np.array(scores).T
