"""What every kernel factory promises, from one table of all of them: wrong buffers are refused by name, nothing outside
the buffers is touched, an empty batch is fine, and a slab tensor works wherever a batch tensor does.

`python test_contract.py <isa>` (with tests/ on PYTHONPATH) runs all cases against guard pages; a test runs it as a
process of its own, since an overrun kills it.
"""

import functools
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from harness import BALLAST, F32, blank, guarded, lines_of, packed, run, same_bits, uniform

import dlcore
from dlcore.kernels import (
    activations,
    augmentation,
    broadcast,
    conv,
    conv_narrow,
    conv_pool,
    conv_weight_gradient,
    data,
    dense,
    depthwise,
    elementwise,
    embedding,
    gemm,
    lanes_pool,
    layer_normalization,
    locks,
    losses,
    memory,
    metrics,
    narrow,
    normalization,
    norms,
    optimizers,
    pace,
    pointwise_weight_gradient,
    pooling,
    random,
    reduction,
    resize,
    shape,
    simd,
    softmax,
    unary,
    winograd_conv,
    winograd_weight_gradient,
)
from dlcore.kernels import executor as ex
from dlcore.kernels.memory import slot_buffer

MODULES = [
    activations, augmentation, broadcast, conv, conv_narrow, conv_pool, conv_weight_gradient, data, dense, depthwise,
    elementwise, embedding, gemm, lanes_pool, layer_normalization, losses, metrics, narrow, normalization, norms,
    optimizers, pointwise_weight_gradient, pooling, random, reduction, resize, shape, softmax, unary, winograd_conv,
    winograd_weight_gradient,
]  # fmt: skip
PADDED = dict(strides=(2, 1), padding=((1, 1), (1, 1)))


@functools.wraps(shape.concatenate)
def concatenate(x0, x1, y, axis):
    """One argument for each array, as the table wants it."""
    return shape.concatenate([x0, x1], y, axis)


class Case:
    """A factory, its arguments by name (an array for each buffer), and which of them it writes."""

    def __init__(self, factory, writes, updates=(), **arguments):
        self.factory, self.writes, self.updates, self.arguments = factory, writes.split(), updates, arguments
        self.name = f"{factory.__module__.rpartition('.')[2]}.{factory.__name__}"
        self.pattern = "|".join(re.escape(part) for part in self.name.split("."))
        self.arrays = {name: x for name, x in arguments.items() if isinstance(x, np.ndarray)}

    def bind(self, **other):
        return self.factory(**(self.arguments | other))

    def outputs(self, place=np.copy):
        """Run once on copies of all arrays; what was written."""
        arrays = {name: place(x) for name, x in self.arrays.items()}
        for name in set(self.writes) - set(self.updates):
            arrays[name][...] = np.nan if arrays[name].dtype.kind == "f" else 99
        before = {name: x.copy() for name, x in arrays.items()}
        self.bind(**arrays).run()
        for name in set(arrays) - set(self.writes):
            assert same_bits(arrays[name], before[name]), f"{self.name} changes its input {name}"
        return {name: arrays[name].copy() for name in self.writes}


def cases(n=3, c=7):
    """Every factory once or more, on batches of n with c channels. Sizes leave tails for every vector width."""
    x, y, b = uniform(n, 5, 4, c), uniform(n, 3, 4, 9), uniform(9)
    w, index = uniform(3, 3, c, 9), np.zeros((n, 3, 4, c), np.uint8)
    flat, dy = uniform(n, c), uniform(n, 9)
    labels, one, clock = np.arange(n, dtype=np.int32) % c, uniform(n), ex.Clock()
    p = abs(flat)
    weights = uniform(2500)
    lr = np.array([0.1])
    both = dict(kernel=(3, 3), **PADDED)
    feeds = {dtype: data.Feed(dtype, c) for dtype in "fBi"}
    for dtype, feed in feeds.items():
        feed.set(np.arange(n * c).reshape(n, c).astype(dtype), write=True)
    yield Case(activations.forward, "y", x=x, y=x, kind="tanh")
    yield Case(activations.gradient, "dx", dy=x, y=x, dx=x, kind="relu")
    yield Case(activations.gradient, "dx", dy=x, y=x, dx=x, kind="relu6", more=x)
    yield Case(broadcast.binary, "y", a=x, b=x, y=x, kind="divide")
    yield Case(broadcast.binary, "y", a=x, b=uniform(n, 1, 4, 1), y=x, kind="maximum")
    yield Case(broadcast.select, "y", c=x, a=x, b=uniform(c), y=x)
    yield Case(broadcast.cast, "y", x=labels, y=one, source="i", target="f")
    yield Case(broadcast.cast, "y", x=one, y=labels, source="f", target="i")
    draw = dict(seed=1, clock=clock)
    for kind, fill in (("rotate", "constant"), ("zoom", "reflect"), ("translate", "wrap"), ("flip", "nearest")):
        how = dict(kind=kind, height=(0.2, 0.7), width=(-0.3, 0.3), fill_mode=fill, interpolation="bilinear", **draw)
        yield Case(augmentation.affine, "y", x=x, y=uniform(n, 5, 4, c), **how)
        yield Case(augmentation.affine_gradient, "dx", dy=x, dx=uniform(n, 5, 4, c), **how)
    how = dict(kind="crop", height=(0, 2), width=(0, 0), **draw)
    yield Case(augmentation.affine, "y", x=x, y=uniform(n, 3, 4, c), **how)
    yield Case(augmentation.affine_gradient, "dx", dy=uniform(n, 3, 4, c), dx=x, **how)
    how = dict(contrast=(0.5, 1.5), brightness=(-0.1, 0.1), value_range=(-0.9, 0.9), **draw)
    yield Case(augmentation.adjust, "y", x=x, y=x, **how)
    yield Case(augmentation.adjust_gradient, "dx", dy=x, x=x, dx=x, **how)
    yield Case(conv.conv2d_forward, "y", x=x, packed=packed(w), b=b, y=y, **both)
    yield Case(conv.conv2d_input_gradient, "dx", dy=y, packed=packed(w, transpose=True), dx=x, b=uniform(c), **both)
    yield Case(
        conv_weight_gradient.conv2d_weight_gradient,
        "dw",
        x=x,
        dy=y,
        dw=uniform(min(n, 1), 3, 3, c, 9),
        grain=max(n, 1),
        **PADDED,
    )
    yield Case(conv.conv2d_forward, "y", x=x, packed=packed(w), b=b, y=y, residual=uniform(*y.shape), **both)
    # without padding, the image itself is read
    yield Case(conv.conv2d_forward, "y", x=x, packed=packed(w), b=b, y=uniform(n, 3, 2, 9), kernel=(3, 3))
    yield Case(
        conv.conv2d_input_gradient,
        "dx",
        dy=y,
        packed=packed(uniform(1, 1, c, 9), True),
        dx=uniform(n, 3, 4, c),
        kernel=(1, 1),
    )
    yield Case(
        conv_weight_gradient.conv2d_weight_gradient,
        "dw",
        x=x,
        dy=uniform(n, 3, 2, 9),
        dw=uniform(min(n, 1), 3, 3, c, 9),
        grain=max(n, 1),
    )
    long, thin = uniform(n, 4, 19, c), dict(dw=uniform(min(n, 1), 1, 3, c, 1), grain=max(n, 1))  # pixels in the lanes
    yield Case(conv_weight_gradient.conv2d_weight_gradient, "dw", x=long, dy=uniform(n, 4, 17, 1), **thin)
    yield Case(conv_weight_gradient.conv2d_batch_weight_gradient, "dw", x=x, dy=y, dw=w, **PADDED)
    yield Case(conv_weight_gradient.conv2d_batch_weight_gradient, "dw", x=x, dy=x, dw=uniform(1, 1, c, c))
    yield Case(pointwise_weight_gradient.conv2d_weight_gradient, "dw", x=x, dy=x, dw=uniform(1, 1, c, c), rows=2)
    beside = dict(packed=packed(w, transpose=True, joined=True), b=uniform(c))
    yield Case(conv_narrow.conv2d_input_gradient, "dx", dy=y, dx=x, **beside, **both)
    gray = dict(x=uniform(n, *x.shape[1:3], 1), w=uniform(3, 3, 1, y.shape[3]), b=uniform(y.shape[3]))
    yield Case(conv_narrow.conv2d_lanes, "y", **gray, y=uniform(n, y.shape[1], x.shape[2], y.shape[3]), **PADDED)
    means, planes = uniform(n, 2, 8, y.shape[3]), uniform(n, y.shape[3], 4, lanes_pool.row_floats(8))
    plane = dict(x=uniform(n, 4, 16, 1), planes=planes, padding=((1, 1), (1, 1)))
    yield Case(lanes_pool.conv2d_forward, "y planes", **plane, w=gray["w"], b=gray["b"], y=means)
    sums = dict(dw=uniform(min(n, 1), *gray["w"].shape), db=uniform(min(n, 1), y.shape[3]), grain=max(n, 1))
    yield Case(lanes_pool.conv2d_weight_gradient, "dw db", **plane, dy=means, **sums)
    few, merged = uniform(3, 3, c, 2), uniform(3, 5, c, 4)
    yield Case(conv_narrow.merge, "packed", w=few, packed=packed(merged), pixels=2, step=2)
    yield Case(data.gather, "y", feed=feeds["f"], clock=clock, y=flat, scale=2)
    yield Case(data.gather, "y", feed=feeds["B"], clock=clock, y=flat, scale=2)
    yield Case(data.gather, "y", feed=feeds["i"], clock=clock, y=np.zeros((n, c), np.int32))
    yield Case(data.store, "", x=flat, feed=feeds["f"], clock=clock)
    for channels, kernel in ((c, (3, 3)), (1, (3, 3))):  # one channel has code of its own
        wide = uniform(n, 8, 6, channels)
        filters = uniform(*kernel, channels, c)
        small, won = uniform(n, 3, 2, c), np.zeros((n, 3, 2, c), np.uint8)
        fused = dict(x=wide, index=won)
        forward = dict(packed=packed(filters), b=uniform(c), y=small, kernel=kernel, pool=(2, 2), relu=True)
        yield Case(conv_pool.conv_pool2d_forward, "y index", **fused, **forward)
        chunks = dict(dw=uniform(min(n, 1), *filters.shape), db=uniform(min(n, 1), c), grain=max(n, 1))
        yield Case(conv_pool.conv_pool2d_weight_gradient, "dw db", dy=small, **fused, **chunks)
    yield Case(dense.pack, "packed", w=w, packed=packed(w))
    yield Case(dense.pack, "packed", w=w, packed=packed(w, transpose=True), transpose=True)
    yield Case(dense.dense_forward, "y", x=flat, packed=packed(w[0, 0]), b=b, y=dy)
    yield Case(dense.dense_input_gradient, "dx", dy=dy, packed=packed(w[0, 0], transpose=True), dx=flat)
    for m in (1, 2):
        each, many, both = uniform(3, 3, c, m), uniform(n, 3, 4, c * m), dict(kernel=(3, 3), **PADDED)
        yield Case(depthwise.depthwise_forward, "y", x=x, w=each, b=uniform(c * m), y=many, **both)
        if m == 1:
            yield Case(depthwise.depthwise_forward, "y", x=x, w=each, b=uniform(c), y=many, splits=2, **both)
        yield Case(depthwise.depthwise_input_gradient, "dx", dy=many, w=each, dx=x, **both)
        parts = dict(dw=uniform(min(n, 1), *each.shape), grain=max(n, 1))
        yield Case(depthwise.depthwise_weight_gradient, "dw", x=x, dy=many, **parts, **PADDED)
    yield Case(elementwise.add, "y", a=x, b=x, y=x)
    yield Case(elementwise.rescale, "y", x=x, y=x, scale=2.0, offset=1.0)
    yield Case(elementwise.bias_add, "y", x=y, b=b, y=y)
    yield Case(elementwise.bias_gradient, "db", dy=y, db=uniform(min(n, 1), 9), grain=max(n, 1))
    yield Case(elementwise.reduce_chunks, "parts y", ["parts"], parts=uniform(5, c, 3), y=uniform(c, 3))
    yield Case(elementwise.fill, "y", y=x, value=3.0)
    numbers, table = np.arange(n, dtype=np.int32) % 4, uniform(4, c)
    for ids in (numbers, numbers.astype(F32)):
        yield Case(embedding.lookup, "y", ids=ids, table=table, y=flat)
        yield Case(embedding.gradient, "dtable", dy=flat, ids=ids, dtable=table, rows=3)
        yield Case(embedding.one_hot, "y", ids=ids, y=flat)
    pack_b, lot = np.zeros(gemm.packed_shape(9, c), F32), dict(bias=uniform(c), activation=1)
    yield Case(gemm.pack_b, "packed", b=uniform(9, c), packed=pack_b)
    yield Case(gemm.gemm, "c", a=dy, b=uniform(9, c), c=flat, packed=pack_b, **lot)
    for m in (c, 50, 200):  # small, tall and packed products, with both operands either way
        for ta, tb in ((0, 0), (0, 1), (1, 0), (1, 1)):
            a, other = uniform(n, *((70, m) if ta else (m, 70))), uniform(n, *((67, 70) if tb else (70, 67)))
            yield Case(gemm.gemm, "c", a=a, b=other, c=uniform(n, m, 67), transpose_a=ta, transpose_b=tb)
    yield Case(gemm.gemm, "c", a=uniform(c, 70), b=uniform(70, 1), c=uniform(c, 1))
    yield Case(gemm.gemm, "c", a=uniform(1, 70), b=uniform(70, c), c=uniform(1, c), bias=uniform(c), activation=1)
    yield Case(losses.sparse_categorical_crossentropy, "loss", y=labels, p=p, loss=one)
    yield Case(losses.sparse_categorical_crossentropy_gradient, "dp", dloss=one, y=labels, p=p, dp=p)
    for name in ("categorical_crossentropy", "binary_crossentropy", "binary_crossentropy_logits", "mean_squared_error"):
        z, dz = ("z", "dz") if name.endswith("logits") else ("p", "dp")
        yield Case(getattr(losses, name), "loss", y=p, loss=one, **{z: p})
        yield Case(getattr(losses, name + "_gradient"), dz, dloss=one, y=p, **{z: p, dz: p})
    maps, each = np.arange(n * 2, dtype=np.int32).reshape(n, 2) % c, uniform(n, 2)  # one value for each position
    odds = abs(uniform(n, 2, c))
    yield Case(losses.sparse_categorical_crossentropy, "loss", y=maps, p=odds, loss=each, ignore=0)
    yield Case(losses.sparse_categorical_crossentropy_gradient, "dp", dloss=each, y=maps, p=odds, dp=odds, ignore=0)
    yield Case(metrics.sparse_categorical_accuracy, "out", y=labels, p=p, out=one)
    yield Case(metrics.categorical_accuracy, "out", y=p, p=p, out=one)
    yield Case(metrics.binary_accuracy, "out", y=p, p=p, out=one)
    yield Case(metrics.sparse_top_k_categorical_accuracy, "out", y=labels, p=p, out=one, k=2)
    yield Case(metrics.top_k_categorical_accuracy, "out", y=p, p=p, out=one, k=2)
    yield Case(metrics.accumulate, "total", ["total"], x=one, total=np.zeros(2))
    yield Case(metrics.accumulate, "total", ["total"], x=flat, total=np.zeros(c + 1))
    at = dict(thresholds=np.float32([0, 0.3, 1]), total=np.zeros((1, 2, 4)))
    yield Case(metrics.threshold_counts, "total", ["total"], y=p, p=p, weight=one, top_k=2, column=0, **at)
    yield Case(metrics.confusion, "total", ["total"], y=one, p=one, weight=one, total=np.zeros((c + 1, c + 1)))
    thin, few = uniform(c, 9), uniform(n, c)
    yield Case(narrow.transpose, "wt", w=thin, wt=uniform(9, c))
    yield Case(narrow.narrow_forward, "y", x=few, wt=uniform(9, c), b=uniform(9), y=uniform(n, 9))
    yield Case(narrow.narrow_input_gradient, "dx", dy=uniform(n, 9), wt=uniform(9, c), dx=few)
    yield Case(narrow.narrow_weight_gradient, "dw", x=few, dy=uniform(n, 9), dw=thin)
    long, parts, factors = uniform(5, 1000), np.zeros(2), dict(l1=0.5, l2=2.0)
    yield Case(norms.penalty_parts, "parts", x=long, parts=parts, **factors)
    yield Case(norms.total, "y", parts=np.ones(3), y=uniform(1))
    yield Case(norms.weight_penalty_gradient, "dx", dy=uniform(1), x=long, dx=long, **factors)
    yield Case(norms.penalty, "y", x=x, y=one, **factors)
    yield Case(norms.penalty_gradient, "dx", dy=one, x=x, dx=x, **factors)
    matrix = uniform(c, 9)
    yield Case(norms.orthogonal_parts, "parts", x=matrix, parts=np.zeros(c), factor=0.5, rows=True)
    yield Case(norms.orthogonal_gradient, "dx", dy=uniform(1), x=matrix, dx=matrix, factor=0.5, rows=False)
    yield Case(norms.project, "y", x=w, y=w, axes=[0, 1, 2], low=0.5, high=1.0, rate=0.5)
    yield Case(norms.non_negative, "y", x=long, y=long)
    yield Case(norms.copy, "y", x=long, y=long)
    gamma, square, table = uniform(c), abs(uniform(c, seed=1)) + 1, uniform(5, c)
    parts = np.concatenate([uniform(4, c), abs(uniform(4, c)), np.full((4, 1), 6)], axis=1).astype(np.float64)
    yield Case(normalization.batch_moments, "parts", x=x, parts=np.zeros((min(n, 1), 2 * c + 1)), grain=max(n, 1))
    small = dict(gamma=gamma, beta=gamma, mean=gamma, variance=square, coefficients=table)
    yield Case(normalization.batch_coefficients, "parts coefficients mean variance", ["parts"], parts=parts, **small)
    yield Case(normalization.moving_coefficients, "coefficients", **small)
    more = dict(mean=gamma, variance=square, coefficients=uniform(5, 2 * c), index=[*range(c), *range(c)])
    yield Case(normalization.adapted_coefficients, "coefficients", **more)
    yield Case(normalization.normalize, "y", x=x, coefficients=table, y=x)
    yield Case(normalization.normalize, "y", x=x, coefficients=table, y=x, linear=True)
    yield Case(normalization.normalize, "y", x=x, coefficients=table, y=x, add=x, activation="relu6")
    yield Case(normalization.fold_bias, "y", b=gamma, coefficients=table, y=gamma)
    sums = dict(sums=uniform(min(n, 1), 2, c), grain=max(n, 1))
    yield Case(normalization.batch_gradient_sums, "sums", dy=x, x=x, coefficients=table, **sums)
    more = dict(dy=x, x=x, coefficients=table, add=x, y=x, g=x, activation="relu", **sums)
    yield Case(normalization.batch_gradient_sums, "sums g", **more)
    small = dict(coefficients=table, dgamma=gamma, dbeta=gamma, lines=uniform(3, c), count=12)
    yield Case(normalization.batch_gradient_reduce, "sums dgamma dbeta lines", ["sums"], sums=uniform(5, 2, c), **small)
    yield Case(normalization.batch_input_gradient, "dx", dy=x, x=x, coefficients=table, lines=uniform(3, c), dx=x)
    yield Case(normalization.batch_gradient_sums, "sums", dy=x, x=x, coefficients=table, activation="relu", **sums)
    more = dict(dy=x, x=x, coefficients=table, lines=uniform(3, c), dx=x)
    yield Case(normalization.batch_input_gradient, "dx", activation="relu6", **more)
    yield Case(normalization.moving_average, "parameter", ["parameter"], parameter=gamma, statistic=gamma, momentum=0.9)
    parts = dict(dgamma=uniform(min(n, 1), c), dbeta=uniform(min(n, 1), c))
    for groups, stats in ((1, uniform(n, 1, 3)), (c, uniform(n, c, 3))):
        more = dict(x=x, stats=stats, gamma=gamma, groups=groups)
        yield Case(layer_normalization.groups_forward, "y stats", y=x, beta=gamma, **more)
        yield Case(layer_normalization.groups_gradient, "dx dgamma dbeta", dy=x, dx=x, grain=max(n, 1), **parts, **more)
    more = dict(x=x, stats=uniform(n, 20, 3), gamma=gamma)
    yield Case(layer_normalization.rows_forward, "y stats", y=x, beta=gamma, **more)
    yield Case(layer_normalization.rows_gradient, "dx dgamma dbeta", dy=x, dx=x, grain=max(n, 1), **parts, **more)
    more = dict(x=x, stats=uniform(n, 1, 3), gamma=None, axes=3, kind="unit")
    yield Case(layer_normalization.rows_forward, "y stats", y=x, beta=None, **more)
    yield Case(layer_normalization.rows_gradient, "dx", dy=x, dx=x, **more)
    yield Case(optimizers.sgd, "w v", ["w", "v"], w=weights, g=weights, v=weights, learning_rate=lr, momentum=0.9)
    state = dict(w=weights, g=weights, m=weights, v=abs(weights), learning_rate=lr)
    yield Case(optimizers.adam, "w m v", ["w", "m", "v"], clock=clock, **state)
    amsgrad = dict(h=abs(weights), clock=clock, **state)
    yield Case(optimizers.adam, "w m v h", ["w", "m", "v", "h"], **amsgrad)
    yield Case(optimizers.nadam, "w m v", ["w", "m", "v"], clock=clock, **state)
    state = dict(w=weights, g=weights, learning_rate=lr)
    yield Case(optimizers.adamax, "w m u", ["w", "m", "u"], m=weights, u=abs(weights), clock=clock, **state)
    root = dict(v=abs(weights) + 1, m=weights, mean=weights / 2, momentum=0.9)
    yield Case(optimizers.rmsprop, "w v m mean", ["w", "v", "m", "mean"], **root, **state)
    yield Case(optimizers.adagrad, "w s", ["w", "s"], s=abs(weights), **state)
    yield Case(optimizers.adadelta, "w s d", ["w", "s", "d"], s=abs(weights), d=abs(weights), **state)
    yield Case(optimizers.lion, "w m", ["w", "m"], m=weights, **state)
    every = dict(acc=weights, average=weights, scale=np.array([0.5]), every=1, weight_decay=0.1, clip=0.5)
    for t in (1, 2):  # a step between updates, and one that is an update
        every |= dict(every=2, ema_momentum=0.9, overwrite=1, clock=ex.Clock())
        every["clock"].step = t
        writes = ["w", "v", "acc", "average"]
        yield Case(optimizers.sgd, " ".join(writes), writes, v=weights, momentum=0.9, **state, **every)
    yield Case(optimizers.squares, "parts", g=weights, acc=weights, parts=np.zeros(3))
    yield Case(optimizers.clip_norm, "scale", parts=np.ones(3), scale=np.zeros(1), limit=0.5)
    pool = dict(pool=(3, 3), **PADDED)
    py = uniform(n, 3, 4, c)
    yield Case(pooling.max_pool2d_forward, "y index", x=x, y=py, index=index, **pool)
    yield Case(pooling.max_pool2d_gradient, "dx", dy=py, index=index, dx=x, **pool)
    yield Case(pooling.average_pool2d_forward, "y", x=x, y=py, **pool)
    yield Case(pooling.average_pool2d_gradient, "dx", dy=py, dx=x, **pool)
    whole = dict(pool=(2, 2), strides=(2, 2))
    y2, x2 = uniform(n, 2, 2, c), uniform(n, 4, 4, c)
    yield Case(pooling.max_pool2d_forward, "y index", x=x2, y=y2, index=np.zeros(y2.shape, np.uint8), **whole)
    yield Case(pooling.max_pool2d_gradient, "dx", dy=y2, index=np.zeros(y2.shape, np.uint8), dx=x2, **whole)
    large = dict(pool=(20, 13), strides=(2, 1), padding=((17, 0), (6, 6)))
    marks = np.full((n, 2, 4, c), 18 * 13.0 + 6, F32)
    yield Case(pooling.max_pool2d_forward, "y index", x=x, y=uniform(n, 2, 4, c), index=marks, **large)
    yield Case(pooling.max_pool2d_gradient, "dx", dy=uniform(n, 2, 4, c), index=marks, dx=x, **large)
    every = dict(x=x, y=uniform(n, 1, 1, c), pool=(5, 4), strides=(5, 4))
    yield Case(pooling.average_pool2d_forward, "y", **every)
    yield Case(pooling.average_pool2d_gradient, "dx", dy=every.pop("y"), dx=every.pop("x"), **every)
    yield Case(random.dropout, "y", x=x, y=x, rate=0.5, seed=1, layer=2, clock=clock)
    for axes, size in (((0, 1), (n, c)), ((2,), (n, 5, 4)), ((1,), (n, 5, c)), ((0, 2), (n, 4))):
        yield Case(reduction.reduce, "y", x=x, y=uniform(*size), kind="max", axes=axes)
        yield Case(reduction.expand, "x", y=uniform(*size), x=x, axes=axes)
        chunk = dict(y=uniform(min(n, 1), *size[1:]), axes=axes, grain=max(n, 1))
        yield Case(reduction.batch_sum, "y", x=x, **chunk)
    yield Case(reduction.argmax, "y", x=x, y=uniform(n, 5, c), axis=1)
    draw = dict(seed=1, layer=2, clock=clock)
    yield Case(random.dropout, "y", x=x, y=x, rate=0.5, **draw)
    yield Case(random.gaussian, "y", x=x, y=x, stddev=0.5, **draw)
    for noise in ((n, 1, 1, c), (n, 5, 1, 1), (1, 1, 4, c)):
        yield Case(random.masked, "y", x=x, y=x, noise_shape=noise, rate=0.5, scale=2, shift=1, low=3, **draw)
    rows, cols = ((np.arange(k)[:, None] % k // 2, np.ones((k, 1))) for k in (3, 4))
    yield Case(resize.resize_forward, "y", x=x, y=py, rows=rows, cols=cols)
    yield Case(resize.resize_gradient, "dx", dy=py, dx=x, rows=rows, cols=cols)
    border = [(5, 4 * c, 6 * c), (4, c, c), (c, 1, 1)]
    yield Case(shape.copy, "y", x=x, y=uniform(n, 7, 6, c), dims=border, y_offset=7 * c)
    more = dict(dims=[(5, 4 * c, c), (4, c, 0), (c, 1, 1)], accumulate=True)
    yield Case(shape.copy, "y", x=x, y=uniform(n, 5, c), **more)
    yield Case(shape.copy, "y", x=x, y=uniform(n, 5, c), onto=uniform(n, 5, c), **more)
    yield Case(concatenate, "y", x0=x, x1=uniform(n, 5, 4, 9), y=uniform(n, 5, 4, c + 9), axis=3)
    yield Case(softmax.forward, "y", x=x, y=x)
    yield Case(softmax.gradient, "dx", dy=x, y=x, dx=x)
    for target in (labels, p):
        yield Case(softmax.crossentropy, "loss p", logits=flat, labels=target, loss=one, p=p)
        gradient = dict(dlogits=p, dloss=0.5)
        yield Case(softmax.crossentropy, "loss p dlogits", logits=flat, labels=target, loss=one, p=p, **gradient)
        yield Case(softmax.crossentropy_gradient, "dlogits", dloss=one, labels=target, p=p, dlogits=p)
    yield Case(unary.forward, "y", x=x, y=x, kind="erf")
    yield Case(unary.gradient, "dx", dy=x, v=x, dx=x, kind="gelu")
    out, w = uniform(n, 5, 4, 9), uniform(3, 3, c, 9)
    for form in winograd_conv.FORMS:
        u, turned = (uniform(*winograd_conv.weights_shape(*k, form)) for k in ((c, 9), (9, c)))
        same = dict(padding=((1, 1), (1, 1)))
        yield Case(winograd_conv.transform_weights, "u", w=w, u=u)
        yield Case(winograd_conv.transform_weights, "u", w=w, u=turned, transpose=True)
        yield Case(winograd_conv.conv2d_forward, "y", x=x, u=u, b=b, y=out, **same)
        more = dict(residual=uniform(*out.shape), splits=2)
        yield Case(winograd_conv.conv2d_forward, "y", x=x, u=u, b=b, y=out, **same, **more)
        pooled, won = uniform(n, 2, 2, 9), np.zeros((n, 2, 2, 9), np.uint8)
        yield Case(winograd_conv.conv_pool2d_forward, "y index", x=x, u=u, b=b, y=pooled, index=won, **same)
        yield Case(winograd_conv.conv2d_input_gradient, "dx", dy=out, u=turned, dx=x, b=uniform(c), **same)
    parts = dict(dw=uniform(min(n, 1), *w.shape), grain=max(n, 1))
    yield Case(winograd_weight_gradient.conv2d_weight_gradient, "dw", x=x, dy=out, **parts, **same)
    yield Case(winograd_weight_gradient.conv2d_batch_weight_gradient, "dw", x=x, dy=out, dw=w, **same)


NAMES = [case.name for case in cases()]


def test_the_table_has_every_factory():
    here = set(NAMES)
    helpers = {"conv.output_size", "conv.check", "conv_weight_gradient.weight_rows", "dense.packed_shape"}
    helpers |= {"winograd_conv.weights_shape", "conv_narrow.vectors", "lanes_pool.row_floats"}
    helpers |= {"gemm.packed_shape", "gemm.tile_rows", "gemm.shares_b"}
    for module in MODULES:
        stem = module.__name__.rpartition(".")[2]
        names = {
            f"{stem}.{name}"
            for name, f in vars(module).items()
            if type(f).__name__ == "cython_function_or_method" and name[0] != "_"
        }
        assert names - helpers == {name for name in here if name.startswith(stem + ".")}
    stems = {path.stem for path in Path(dlcore.__file__).parent.glob("kernels/*.pyi")}
    assert stems == {module.__name__.rpartition(".")[2] for module in [*MODULES, ex, locks, memory, pace, simd]}


def wrong(x, name, writes):
    """(exception, what is wrong, a wrong array) for one argument."""
    yield TypeError, "dtype", x.astype(np.float16 if x.dtype != np.float16 else F32)
    yield TypeError, "byte order", x.astype(x.dtype.newbyteorder()) if x.itemsize > 1 else x.astype(np.int8)
    if x.size > 1:
        yield TypeError, "contiguous", np.repeat(x, 2, axis=-1)[..., ::2]
    yield TypeError, "no array", x.tolist()
    yield TypeError, "no array", 3
    yield ValueError, "scalar", x.reshape(-1)[0].reshape(())
    yield ValueError, "rank", x[None]
    yield ValueError, "more rows", np.concatenate([x, x[:1]])
    yield ValueError, "longer rows", np.concatenate([x, x[..., :1]], axis=-1)
    if name in writes:
        fixed = x.copy()
        fixed.flags.writeable = False
        yield ValueError, "read-only", fixed


@pytest.mark.parametrize("i", range(len(NAMES)), ids=NAMES)
def test_refuses_wrong_buffers_by_name(i):
    case = list(cases())[i]
    for name, x in case.arrays.items():
        for error, what, bad in wrong(x, name, case.writes):
            if (case.name, name, what) in ALLOWED:
                continue
            with pytest.raises(error) as raised:
                case.bind(**{name: bad})
                pytest.fail(f"accepts {name}: {what}")
            names = rf"\b{name}\b" if error is TypeError or what == "read-only" else rf"\b({name}|{case.pattern})\b"
            assert re.search(names, str(raised.value)), f"{what}: {raised.value!r} does not name {name}"


# Where such an array is right all the same.
ALLOWED = {
    *(("elementwise.fill", "y", what) for what in ("rank", "more rows", "longer rows")),  # the only array
    *(("metrics.accumulate", "x", what) for what in ("more rows", "longer rows")),  # one value a sample
    *(("data." + f, name, "more rows") for f, name in (("gather", "y"), ("store", "x"))),
    ("elementwise.reduce_chunks", "parts", "more rows"),
    *(("norms.total", "parts", what) for what in ("more rows", "longer rows")),
    *(("norms.penalty_parts", "x", what) for what in ("rank", "more rows", "longer rows")),  # in as many blocks
    ("norms.penalty", "x", "rank"),
    *((name, "learning_rate", what) for name in NAMES for what in ("more rows", "longer rows")),  # a power of two
    *(("optimizers.clip_norm", "parts", what) for what in ("more rows", "longer rows")),
    ("norms.penalty", "x", "longer rows"),
    ("norms.orthogonal_parts", "x", "longer rows"),
    ("normalization.batch_moments", "x", "rank"),
    ("normalization.batch_coefficients", "parts", "more rows"),
    ("normalization.batch_gradient_reduce", "sums", "more rows"),
    ("elementwise.bias_gradient", "dy", "rank"),  # one sample then, in as many chunks
    ("dense.pack", "w", "rank"),  # any number of taps
    # the last panel of packed weights is zero beyond its columns, whose number it does not tell
    ("dense.pack", "w", "longer rows"),
    *(("gemm.pack_b", "b", what) for what in ("rank", "longer rows")),  # any number of matrices; likewise
    ("winograd_conv.transform_weights", "w", "longer rows"),
    *((name, "dx", "longer rows") for name in ("conv.conv2d_input_gradient", "dense.dense_input_gradient")),
    ("conv_narrow.merge", "w", "longer rows"),  # likewise
    # operands broadcast, in any number of dimensions
    *(("broadcast.binary", name, "scalar") for name in "ab"),
    *(("broadcast.select", name, "scalar") for name in "cab"),
    *((f"broadcast.{f}", name, "rank") for f in ("binary", "select") for name in "caby"),
    # a sum sees the size of what it gives, with ones in the place of axes or without
    *(("reduction." + f, "y", "rank") for f in ("reduce", "argmax", "batch_sum", "expand")),
    *(("reduction." + f, "x", "longer rows") for f in ("reduce", "batch_sum", "expand")),  # where the last axis goes
    # numbers do not tell how many there may be
    ("embedding.lookup", "table", "more rows"),
    ("embedding.gradient", "dtable", "more rows"),
    ("embedding.one_hot", "y", "longer rows"),
    *(("shape.copy", name, "longer rows") for name in "xy"),  # a region of them is meant
    # labels do not tell the number of classes
    *((name, "p", "longer rows") for name in NAMES if name.split(".sparse")[0] in ("losses", "metrics")),
}


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("i", range(len(NAMES)), ids=NAMES)
def test_overwrites_outputs_and_only_those(i):
    """Case.outputs fills the outputs with NaN first and compares the inputs afterwards."""
    for name, y in list(cases())[i].outputs().items():
        assert np.isfinite(y).all(), name


@pytest.mark.usefixtures("isa")
def test_empty_batch():
    for case in cases(n=0):
        step = case.bind()
        for threads in (1, 3):
            run(step, threads, step.grain or 2)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("grain", [1, 2, 3, 7])
@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_slab_tensors(grain, threads):
    """conv, relu, pool and dense through thread-local memory give the bits of the same chain through arrays."""
    n = 7
    x, w, b = uniform(n, 6, 5, 3), uniform(3, 3, 3, 9), uniform(9)
    shapes = dict(y=((n, 4, 3, 9), "f"), r=((n, 4, 3, 9), "f"), p=((n, 2, 1, 9), "f"), i=((n, 2, 1, 9), "B"))
    shapes |= dict(dp=((n, 2, 1, 9), "f"), dr=((n, 4, 3, 9), "f"))
    size = {"f": 4, "B": 1}
    pw = packed(w)

    def chain(t, out, dw):
        return [
            conv.conv2d_forward(x, pw, b, t["y"], (3, 3)),
            activations.forward(t["y"], t["r"], "relu"),
            pooling.max_pool2d_forward(t["r"], t["p"], t["i"], (2, 2), (2, 2)),
            softmax.forward(t["p"], t["dp"]),
            pooling.max_pool2d_gradient(t["dp"], t["i"], t["dr"], (2, 2), (2, 2)),
            activations.gradient(t["dr"], t["r"], t["y"], "relu"),
            conv_weight_gradient.conv2d_weight_gradient(x, t["y"], dw, grain),
            elementwise.add(t["y"], t["dr"], out),
        ]

    def outputs(t, slot_bytes):
        out, dw = blank(n, 4, 3, 9), blank(-(-n // grain), 3, 3, 3, 9)
        program = ex.Program([[(chain(t, out, dw), grain)], [([BALLAST], 8)]], slot_bytes=slot_bytes)
        program.run(threads=threads)
        return out, dw

    arrays = {name: blank(*sizes, dtype=dtype) for name, (sizes, dtype) in shapes.items()}
    slots, offset = {}, 0
    for name, (sizes, dtype) in shapes.items():
        offset += -(-grain * int(np.prod(sizes[1:])) * size[dtype] // 64) * 64
        slots[name] = slot_buffer(-offset, sizes, dtype)
    for a, b_ in zip(outputs(arrays, 0), outputs(slots, offset), strict=True):
        assert np.isfinite(a).all() and same_bits(a, b_)
    assert repr(slots["y"]) == "<Buffer float32[7, 4, 3, 9] of a slab>"


def test_slab_tensors_are_refused_where_the_whole_batch_is_needed():
    slab = slot_buffer(-4096, (4, 4), "f")
    x = uniform(4, 4)
    for bind in (
        lambda: gemm.gemm(slab, x, x, True),
        lambda: gemm.gemm(x, slab, x, True),
        lambda: elementwise.reduce_chunks(slab, x[0].copy()),
        lambda: optimizers.sgd(slot_buffer(-64, (4,), "f"), x[0], None, np.zeros(1)),
    ):
        with pytest.raises(ValueError, match=r"a \(4.* tensor of one slab was given where one of the whole batch"):
            bind()


@pytest.mark.parametrize("isa", simd.usable())
def test_guard_pages(isa):
    """Arrays that end, and then begin, at memory that must not be touched; channels 1 to 17 and 33."""
    folders = os.pathsep.join([str(Path(dlcore.__file__).parents[1]), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, __file__, isa], env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True
    )
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"died at {last} with status {done.returncode}: {done.stderr}"
    assert last == ["done"]


def guard_pages(isa):
    with simd.use(isa):
        for c in [*range(1, 18), 33]:
            for case in cases(n=2, c=c):
                expected = case.outputs()
                for at_end in (True, False):
                    lines_of(case.name, "channels", c, "end" if at_end else "begin")
                    got = case.outputs(functools.partial(guarded, at_end=at_end))
                    assert all(same_bits(got[name], expected[name]) for name in expected), case.name
    lines_of("done")


if __name__ == "__main__":
    import_module("dlcore")
    guard_pages(sys.argv[1])


def test_partial_sums_refuse_another_grain():
    dy, db = np.ones((6, 5), F32), np.empty((3, 5), F32)
    step = elementwise.bias_gradient(dy, db, 2)
    step.run()
    assert np.array_equal(db, np.full((3, 5), 2))
    with pytest.raises(ValueError, match="chunks of 2 tasks cannot run in chunks of 3"):
        step.run(grain=3)
