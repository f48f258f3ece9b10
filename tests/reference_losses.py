"""Losses in float64, written for reading: y and p (batch, ..., c) -> values (batch, ...)."""

import numpy as np
import reference as ref
from reference import f64

EPS = 1e-7


def mean_absolute_error(y, p):
    return abs(f64(p) - f64(y)).mean(axis=-1)


def mean_absolute_percentage_error(y, p):
    return 100 * (abs(f64(p) - f64(y)) / np.maximum(abs(f64(y)), EPS)).mean(axis=-1)


def mean_squared_logarithmic_error(y, p):
    return ((np.log1p(np.maximum(f64(p), EPS)) - np.log1p(np.maximum(f64(y), EPS))) ** 2).mean(axis=-1)


def huber(y, p, delta=1.0):
    e = abs(f64(p) - f64(y))
    return np.where(e <= delta, e**2 / 2, delta * e - delta**2 / 2).mean(axis=-1)


def log_cosh(y, p):
    return np.log(np.cosh(f64(p) - f64(y))).mean(axis=-1)


def kl_divergence(y, p):
    y, p = np.clip(f64(y), EPS, 1), np.clip(f64(p), EPS, 1)
    return (y * np.log(y / p)).sum(axis=-1)


def poisson(y, p):
    return (f64(p) - f64(y) * np.log(f64(p) + EPS)).mean(axis=-1)


def hinge(y, p, power=1):
    y = np.where(f64(y) == 0, -1, f64(y))
    return (np.maximum(1 - y * f64(p), 0) ** power).mean(axis=-1)


def squared_hinge(y, p):
    return hinge(y, p, 2)


def categorical_hinge(y, p):
    y, p = f64(y), f64(p)
    return np.maximum(((1 - y) * p).max(axis=-1) - (y * p).sum(axis=-1) + 1, 0)


def cosine_similarity(y, p, axis=-1):
    y, p = f64(y), f64(p)
    return -(y * p).sum(axis=axis) / np.sqrt((y**2).sum(axis=axis) * (p**2).sum(axis=axis))


def smoothed(y, label_smoothing, share):
    return f64(y) * (1 - label_smoothing) + label_smoothing * share


def binary_focal(y, p, alpha=0.25, gamma=2.0, balanced=False):
    y, p = f64(y), f64(p)
    q = np.clip(p, EPS, 1 - EPS)
    loss = -(y * np.log(q) + (1 - y) * np.log(1 - q)) * (1 - y * p - (1 - y) * (1 - p)) ** gamma
    return (loss * (y * alpha + (1 - y) * (1 - alpha) if balanced else 1)).mean(axis=-1)


def categorical_focal(y, p, alpha=0.25, gamma=2.0):
    q = np.clip(f64(p) / f64(p).sum(axis=-1, keepdims=True), EPS, 1 - EPS)
    return -(np.asarray(alpha) * (1 - q) ** gamma * f64(y) * np.log(q)).sum(axis=-1)


def ignoring(labels, p, ignore):
    """Sparse categorical cross-entropy, 0 where the label is `ignore`."""
    known = labels != ignore
    return known * ref.sparse_categorical_crossentropy(np.where(known, labels, 0), p)


def dice(y, p, axis=None):
    y, p = f64(y), f64(p)
    return 1 - 2 * (y * p).sum(axis=axis) / (y.sum(axis=axis) + p.sum(axis=axis) + EPS)


def tversky(y, p, alpha=0.5, beta=0.5, axis=None):
    y, p = f64(y), f64(p)
    both = (y * p).sum(axis=axis)
    return 1 - both / (both + alpha * (y * (1 - p)).sum(axis=axis) + beta * (p * (1 - y)).sum(axis=axis) + EPS)
