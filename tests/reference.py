"""Every op of dlcore in float64 NumPy, written for reading.

This file is the slow twin that kernels are tested against; test_reference.py checks it against finite differences,
hand values and published vectors. Inputs are cast to float64. Each gradient stands under its forward function and is
named <op>_gradient. Images are (n, h, w, c), convolution weights (kh, kw, ic / groups, oc), dense weights (in, out).
Pairs are (height, width); padding is ((top, bottom), (left, right)). NaN goes in, NaN comes out.
"""

import numpy as np

# Keras clips probabilities to [1e-7, 1 - 1e-7]. The bounds are the float32 numbers that a float32 engine has for these:
# 1 - HIGH is 1.19e-7, so log(1 - HIGH) would differ by 1 % with the float64 bound.
LOW, HIGH = float(np.float32(1e-7)), float(np.float32(1 - 1e-7))
NO_PADDING = ((0, 0), (0, 0))


def f64(x):
    return np.asarray(x, dtype=np.float64)


# ---------------------------------------------------------------------------------------------------------------------
# Dense


def dense(x, w, b=None):
    """y = x @ w + b.  x (..., in), w (in, out), b (out,) -> y (..., out)"""
    y = f64(x) @ f64(w)
    return y if b is None else y + f64(b)


def dense_input_gradient(dy, w):
    """dx = dy @ w.T.  dy (..., out), w (in, out) -> dx (..., in)"""
    return f64(dy) @ f64(w).T


def _rows(x):
    """All axes but the last flattened.  x (..., c) -> (rows, c)"""
    return f64(x).reshape(int(np.prod(np.shape(x)[:-1])), np.shape(x)[-1])


def dense_weight_gradient(x, dy):
    """dw = x.T @ dy, leading axes flattened.  x (..., in), dy (..., out) -> dw (in, out)"""
    return _rows(x).T @ _rows(dy)


def bias_gradient(dy):
    """db = sum of dy over all axes but the last.  dy (..., c) -> db (c,)"""
    return _rows(dy).sum(axis=0)


def matmul(a, b):
    """c = a @ b.  a (..., m, k), b (..., k, n) -> c (..., m, n)"""
    return f64(a) @ f64(b)


# ---------------------------------------------------------------------------------------------------------------------
# Windows: the shape rules that convolution and pooling share


def same_padding(size, kernel, stride, dilation=1):
    """before + after = max((ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)

    One axis, "same" as in Keras: an odd total has its extra one at the end -> (before, after)
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def out_size(size, kernel, stride=1, padding=(0, 0), dilation=1):
    """out = (size + before + after - ((kernel - 1) * dilation + 1)) // stride + 1.  One axis"""
    span = (kernel - 1) * dilation + 1
    padded = size + sum(padding)
    if padded < span:
        raise ValueError(f"a window that spans {span} does not fit into {padded}")
    return (padded - span) // stride + 1


def _taps(kernel, out, strides, dilation):
    """Yield ky, kx, rows, cols: tap (ky, kx) of all (oh, ow) windows is padded[:, rows, cols]."""
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            top, left = ky * dilation[0], kx * dilation[1]
            rows = slice(top, top + (out[0] - 1) * strides[0] + 1, strides[0])
            cols = slice(left, left + (out[1] - 1) * strides[1] + 1, strides[1])
            yield ky, kx, rows, cols


def _pad(x, padding):
    return np.pad(f64(x), ((0, 0), padding[0], padding[1], (0, 0)))


def _crop(x, padding, ih, iw):
    top, left = padding[0][0], padding[1][0]
    return x[:, top : top + ih, left : left + iw]


# ---------------------------------------------------------------------------------------------------------------------
# Convolution


def conv2d(x, w, b=None, strides=(1, 1), padding=NO_PADDING, dilation=(1, 1), groups=1):
    """y[n, oy, ox, o] = b[o] + sum over ky, kx, i of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] w[ky, kx, i, o]

    x (n, ih, iw, ic), w (kh, kw, ic / groups, oc), b (oc,) -> y (n, oh, ow, oc).  x is zero outside the image.
    Group g joins the g-th block of ic / groups inputs to the g-th block of oc / groups outputs.
    """
    x, w = f64(x), f64(w)
    (n, ih, iw, ic), (kh, kw, icg, oc) = x.shape, w.shape
    if ic != icg * groups or oc % groups:
        raise ValueError(f"conv2d: x {x.shape} and w {w.shape} do not fit {groups} groups")
    ocg = oc // groups
    oh = out_size(ih, kh, strides[0], padding[0], dilation[0])
    ow = out_size(iw, kw, strides[1], padding[1], dilation[1])
    padded = _pad(x, padding)
    y = np.zeros((n, oh, ow, oc))
    for ky, kx, rows, cols in _taps((kh, kw), (oh, ow), strides, dilation):
        for g in range(groups):
            i, o = slice(g * icg, (g + 1) * icg), slice(g * ocg, (g + 1) * ocg)
            y[..., o] += padded[:, rows, cols, i] @ w[ky, kx, :, o]
    return y if b is None else y + f64(b)


def conv2d_input_gradient(dy, w, x_shape, strides=(1, 1), padding=NO_PADDING, dilation=(1, 1), groups=1):
    """dx[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] += dy[n, oy, ox, o] w[ky, kx, i, o]

    dy (n, oh, ow, oc), w (kh, kw, ic / groups, oc) -> dx (n, ih, iw, ic).  What falls on padding is dropped.
    """
    dy, w = f64(dy), f64(w)
    kh, kw, icg, oc = w.shape
    ocg = oc // groups
    dpadded = _pad(np.zeros(x_shape), padding)
    for ky, kx, rows, cols in _taps((kh, kw), dy.shape[1:3], strides, dilation):
        for g in range(groups):
            i, o = slice(g * icg, (g + 1) * icg), slice(g * ocg, (g + 1) * ocg)
            dpadded[:, rows, cols, i] += dy[..., o] @ w[ky, kx, :, o].T
    return _crop(dpadded, padding, *x_shape[1:3])


def conv2d_weight_gradient(x, dy, w_shape, strides=(1, 1), padding=NO_PADDING, dilation=(1, 1), groups=1):
    """dw[ky, kx, i, o] = sum over n, oy, ox of x[n, oy*sh + ky*dh - top, ox*sw + kx*dw - left, i] dy[n, oy, ox, o]

    x (n, ih, iw, ic), dy (n, oh, ow, oc) -> dw (kh, kw, ic / groups, oc)
    """
    dy, padded = f64(dy), _pad(x, padding)
    kh, kw, icg, oc = w_shape
    ocg = oc // groups
    dw = np.zeros(w_shape)
    for ky, kx, rows, cols in _taps((kh, kw), dy.shape[1:3], strides, dilation):
        for g in range(groups):
            i, o = slice(g * icg, (g + 1) * icg), slice(g * ocg, (g + 1) * ocg)
            dw[ky, kx, :, o] = dense_weight_gradient(padded[:, rows, cols, i], dy[..., o])
    return dw


# ---------------------------------------------------------------------------------------------------------------------
# Pooling


def _windows(x_shape, pool, strides, padding):
    """Yield oy, ox and the (tap, iy, ix) inside the image of that window; tap = ky*kw + kx, in rising order."""
    ih, iw = x_shape[1:3]
    for oy in range(out_size(ih, pool[0], strides[0], padding[0])):
        for ox in range(out_size(iw, pool[1], strides[1], padding[1])):
            inside = []
            for ky in range(pool[0]):
                for kx in range(pool[1]):
                    iy, ix = oy * strides[0] + ky - padding[0][0], ox * strides[1] + kx - padding[1][0]
                    if 0 <= iy < ih and 0 <= ix < iw:
                        inside.append((ky * pool[1] + kx, iy, ix))
            if not inside:
                raise ValueError(f"pooling window ({oy}, {ox}) holds only padding")
            yield oy, ox, inside


def _pooled_shape(x_shape, pool, strides, padding):
    n, ih, iw, c = x_shape
    return n, out_size(ih, pool[0], strides[0], padding[0]), out_size(iw, pool[1], strides[1], padding[1]), c


def max_pool2d(x, pool, strides, padding=NO_PADDING):
    """y[n, oy, ox, c] = max over the window at (oy*sh - top, ox*sw - left) of x; index = its position ky*kw + kx

    x (n, ih, iw, c) -> y (n, oh, ow, c), index (n, oh, ow, c) uint8, or float32 where a window has more than 256
    positions.  The first maximum wins, padding never does, not even over -inf.  A window with NaN gives NaN and the
    index of its first NaN.
    """
    x = f64(x)
    y = np.empty(_pooled_shape(x.shape, pool, strides, padding))
    index = np.empty(y.shape, dtype=np.uint8 if pool[0] * pool[1] <= 256 else np.float32)
    for oy, ox, inside in _windows(x.shape, pool, strides, padding):
        tap, iy, ix = inside[0]
        best, which = x[:, iy, ix], tap
        for tap, iy, ix in inside[1:]:
            value = x[:, iy, ix]
            better = (value > best) | (np.isnan(value) & ~np.isnan(best))
            best, which = np.where(better, value, best), np.where(better, tap, which)
        y[:, oy, ox], index[:, oy, ox] = best, which
    return y, index


def max_pool2d_gradient(dy, index, x_shape, pool, strides, padding=NO_PADDING):
    """dx[n, the input that index names, c] += dy[n, oy, ox, c]; overlapping windows add up.

    dy (n, oh, ow, c), index (n, oh, ow, c) -> dx (n, ih, iw, c)
    """
    dy, dx = f64(dy), np.zeros(x_shape)
    for oy, ox, inside in _windows(x_shape, pool, strides, padding):
        for tap, iy, ix in inside:
            dx[:, iy, ix] += np.where(index[:, oy, ox] == tap, dy[:, oy, ox], 0.0)
    return dx


def avg_pool2d(x, pool, strides, padding=NO_PADDING):
    """y[n, oy, ox, c] = mean over the window at (oy*sh - top, ox*sw - left) of x, padding left out of sum and count

    x (n, ih, iw, c) -> y (n, oh, ow, c)
    """
    x = f64(x)
    y = np.zeros(_pooled_shape(x.shape, pool, strides, padding))
    for oy, ox, inside in _windows(x.shape, pool, strides, padding):
        for _, iy, ix in inside:
            y[:, oy, ox] += x[:, iy, ix] / len(inside)
    return y


def avg_pool2d_gradient(dy, x_shape, pool, strides, padding=NO_PADDING):
    """dx[n, iy, ix, c] += dy[n, oy, ox, c] / count, for every window that holds (iy, ix); count leaves padding out

    dy (n, oh, ow, c) -> dx (n, ih, iw, c)
    """
    dy, dx = f64(dy), np.zeros(x_shape)
    for oy, ox, inside in _windows(x_shape, pool, strides, padding):
        for _, iy, ix in inside:
            dx[:, iy, ix] += dy[:, oy, ox] / len(inside)
    return dx


# ---------------------------------------------------------------------------------------------------------------------
# Normalisation.  `axes` are those that share a mean; gamma and beta broadcast against x


def moments(x, axes):
    """mean and variance over `axes`, kept with size 1; the variance divides by the number of values"""
    x = f64(x)
    mean = x.mean(axis=axes, keepdims=True)
    return mean, ((x - mean) ** 2).mean(axis=axes, keepdims=True)


def normalize(x, axes, gamma=1.0, beta=0.0, epsilon=1e-3):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta"""
    mean, variance = moments(x, axes)
    return (f64(x) - mean) / np.sqrt(variance + epsilon) * gamma + beta


def normalize_gradient(dy, x, axes, gamma=1.0, epsilon=1e-3):
    """dx = (g - mean g - xhat * mean of g * xhat) / sqrt(variance + epsilon), with g = dy * gamma; and dy * xhat, which
    sums up to dgamma"""
    variance = moments(x, axes)[1]
    xhat, g = normalize(x, axes, epsilon=epsilon), f64(dy) * gamma
    part = g.mean(axis=axes, keepdims=True) + xhat * (g * xhat).mean(axis=axes, keepdims=True)
    return (g - part) / np.sqrt(variance + epsilon), f64(dy) * xhat


# ---------------------------------------------------------------------------------------------------------------------
# Activations; gradients are expressed from the output y


def relu(x):
    """y = max(x, 0), and NaN for NaN.  Any shape"""
    return np.maximum(f64(x), 0.0)  # np.maximum propagates NaN


def relu_gradient(dy, y):
    """dx = 0 where y <= 0, else dy; so dy passes where y is NaN.  Any shape"""
    return np.where(f64(y) <= 0.0, 0.0, f64(dy))


def relu6(x):
    """y = min(max(x, 0), 6), and NaN for NaN.  Any shape"""
    return np.minimum(relu(x), 6.0)


def relu6_gradient(dy, y):
    """dx = 0 where y <= 0 or y >= 6, else dy; so dy passes where y is NaN.  Any shape"""
    return np.where(f64(y) >= 6.0, 0.0, relu_gradient(dy, y))


def sigmoid(x):
    """y = 1 / (1 + exp(-x)).  Any shape"""
    x = f64(x)
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def sigmoid_gradient(dy, y):
    """dx = dy * y * (1 - y).  Any shape"""
    y = f64(y)
    return f64(dy) * y * (1.0 - y)


def tanh(x):
    """y = tanh(x).  Any shape"""
    return np.tanh(f64(x))


def tanh_gradient(dy, y):
    """dx = dy * (1 - y^2).  Any shape"""
    return f64(dy) * (1.0 - f64(y) ** 2)


def softmax(x):
    """y = exp(x - max x) / sum exp(x - max x), over the last axis.  x (..., c) -> y (..., c)"""
    x = f64(x)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_gradient(dy, y):
    """dx = y * (dy - sum(dy * y)), over the last axis.  dy, y (..., c) -> dx (..., c)"""
    dy, y = f64(dy), f64(y)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


# ---------------------------------------------------------------------------------------------------------------------
# Losses, one value per sample.  Targets come first: labels (...) integers, y (..., c).  Predictions are probabilities
# p (..., c), logits (..., c) or z (..., c).  dloss (...) is the gradient from above; gradients are (..., c).


def _clip(p):
    return np.clip(p, LOW, HIGH)


def _clipped(p):
    """True strictly outside [LOW, HIGH], where the gradient is zero.  False for NaN."""
    return (p < LOW) | (p > HIGH)


def _one_hot(labels, classes):
    return (np.asarray(labels)[..., None] == np.arange(classes)).astype(np.float64)


def _pick(x, labels):
    """x[..., labels[...]].  x (..., c), labels (...) -> (...)"""
    return np.take_along_axis(x, np.asarray(labels)[..., None], axis=-1)[..., 0]


def _log_softmax(logits):
    shifted = f64(logits) - f64(logits).max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def sparse_categorical_crossentropy(labels, p):
    """loss = -log clip(p[label] / sum p), the sum over the last axis.  labels (...), p (..., c) -> loss (...)

    As the backends of Keras 3 compute it from probabilities: normalised first, then clipped.
    """
    p = f64(p)
    return -np.log(_clip(_pick(p / p.sum(axis=-1, keepdims=True), labels)))


def sparse_categorical_crossentropy_gradient(dloss, labels, p):
    """dp = dloss * (1 / sum p - onehot(label) / p[label]), or 0 where p[label] / sum p is clipped.  -> dp (..., c)"""
    p = f64(p)
    q = _pick(p / p.sum(axis=-1, keepdims=True), labels)[..., None]
    dq = np.where(_clipped(q), 0.0, -f64(dloss)[..., None] / _clip(q))
    return dq * (_one_hot(labels, p.shape[-1]) - q) / p.sum(axis=-1, keepdims=True)


def categorical_crossentropy(y, p):
    """loss = -sum y * log clip(p / sum p), over the last axis.  y, p (..., c) -> loss (...)"""
    p = f64(p)
    q = p / p.sum(axis=-1, keepdims=True)
    return -(f64(y) * np.log(_clip(q))).sum(axis=-1)


def categorical_crossentropy_gradient(dloss, y, p):
    """dp = (dq - sum(dq * q)) / sum p, with q = p / sum p and dq = -dloss * y / q, or 0 where q is clipped

    dloss (...), y, p (..., c) -> dp (..., c)
    """
    p = f64(p)
    total = p.sum(axis=-1, keepdims=True)
    q = p / total
    dq = np.where(_clipped(q), 0.0, -f64(dloss)[..., None] * f64(y) / _clip(q))
    return (dq - (dq * q).sum(axis=-1, keepdims=True)) / total


def softmax_cross_entropy(labels, logits):
    """loss = -log softmax(logits)[label].  labels (...), logits (..., c) -> loss (...)"""
    return -_pick(_log_softmax(logits), labels)


def softmax_cross_entropy_gradient(dloss, labels, logits):
    """dlogits = dloss * (softmax(logits) - onehot(label)).  -> dlogits (..., c)"""
    return f64(dloss)[..., None] * (softmax(logits) - _one_hot(labels, np.shape(logits)[-1]))


def softmax_cross_entropy_dense(y, logits):
    """loss = -sum y * log softmax(logits), over the last axis.  y, logits (..., c) -> loss (...)"""
    return -(f64(y) * _log_softmax(logits)).sum(axis=-1)


def softmax_cross_entropy_dense_gradient(dloss, y, logits):
    """dlogits = dloss * (softmax(logits) * sum(y) - y).  -> dlogits (..., c)"""
    y = f64(y)
    return f64(dloss)[..., None] * (softmax(logits) * y.sum(axis=-1, keepdims=True) - y)


def binary_crossentropy(y, p):
    """loss = -mean of y * log clip(p) + (1 - y) * log(1 - clip(p)), over the last axis.  y, p (..., c) -> loss (...)"""
    y, p = f64(y), _clip(f64(p))
    return -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)).mean(axis=-1)


def binary_crossentropy_gradient(dloss, y, p):
    """dp = dloss / c * ((1 - y) / (1 - p) - y / p), zero where the clip is active.  -> dp (..., c)"""
    y, p = f64(y), f64(p)
    slope = (1.0 - y) / (1.0 - _clip(p)) - y / _clip(p)
    return np.where(_clipped(p), 0.0, f64(dloss)[..., None] * slope / p.shape[-1])


def binary_crossentropy_logits(y, z):
    """loss = mean of max(z, 0) - z * y + log(1 + exp(-|z|)), over the last axis.  y, z (..., c) -> loss (...)"""
    y, z = f64(y), f64(z)
    return (np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))).mean(axis=-1)


def binary_crossentropy_logits_gradient(dloss, y, z):
    """dz = dloss / c * (sigmoid(z) - y).  -> dz (..., c)"""
    return f64(dloss)[..., None] * (sigmoid(z) - f64(y)) / np.shape(z)[-1]


def mean_squared_error(y, p):
    """loss = mean of (p - y)^2, over the last axis.  y, p (..., c) -> loss (...)"""
    return ((f64(p) - f64(y)) ** 2).mean(axis=-1)


def mean_squared_error_gradient(dloss, y, p):
    """dp = dloss * 2 / c * (p - y).  -> dp (..., c)"""
    return f64(dloss)[..., None] * 2.0 * (f64(p) - f64(y)) / np.shape(p)[-1]


# ---------------------------------------------------------------------------------------------------------------------
# Metrics, one value per sample


def sparse_categorical_accuracy(labels, p):
    """1 where the first maximum of p is at label, else 0.  labels (...), p (..., c) -> (...)"""
    return f64(f64(p).argmax(axis=-1) == np.asarray(labels))


def categorical_accuracy(y, p):
    """1 where the first maxima of p and y agree, else 0.  y, p (..., c) -> (...)"""
    return sparse_categorical_accuracy(f64(y).argmax(axis=-1), p)


def sparse_top_k_categorical_accuracy(labels, p, k=5):
    """1 where p[label] is finite and fewer than k entries beat it.  labels (...), p (..., c) -> (...)"""
    p, labels = f64(p), np.asarray(labels)
    inside = (labels >= 0) & (labels < p.shape[-1])
    chosen = _pick(p, np.where(inside, labels, 0))
    return f64(inside & np.isfinite(chosen) & ((~(p <= chosen[..., None])).sum(axis=-1) < k))


def top_k_categorical_accuracy(y, p, k=5):
    """The same for the label argmax y.  y, p (..., c) -> (...)"""
    return sparse_top_k_categorical_accuracy(f64(y).argmax(axis=-1), p, k)


def threshold_counts(y, p, weight, thresholds, top_k=None):
    """Weights by truth and by how many thresholds are less than p.  y, p (n, c), weight (n, c) -> (c, 2, t + 1)"""
    y, p, total = f64(y), f64(p), np.zeros((np.shape(p)[1], 2, len(thresholds) + 1))
    order = np.argsort(-p, axis=1, kind="stable")
    for i, j in np.ndindex(p.shape):
        less = int((f64(thresholds) < p[i, j]).sum())
        if top_k is not None and j not in order[i, :top_k]:
            less = 0
        total[j, int(y[i, j] != 0), less] += weight[i, j]
    return total


def confusion(y, p, weight, classes):
    """Weights by class and predicted class, both within 0..classes-1.  y, p, weight (n,) -> (classes, classes)"""
    total = np.zeros((classes, classes))
    for i, j, w in zip(np.trunc(y), np.trunc(p), weight, strict=True):
        if 0 <= i < classes and 0 <= j < classes:
            total[int(i), int(j)] += w
    return total


def binary_accuracy(y, p, threshold=0.5):
    """mean of y == (p > threshold), over the last axis.  y, p (..., c) -> (...)"""
    return f64(f64(y) == (f64(p) > threshold)).mean(axis=-1)


# ---------------------------------------------------------------------------------------------------------------------
# Optimizers, as Keras 3; new arrays are returned


def sgd(w, g, velocity, lr, momentum=0.0, nesterov=False):
    """v = momentum * v - lr * g;  w += v, or with nesterov w += momentum * v - lr * g.  Any shape -> w, v"""
    w, g = f64(w), f64(g)
    v = momentum * f64(velocity) - lr * g
    return (w + momentum * v - lr * g if nesterov else w + v), v


def adam(w, g, m, v, step, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    """m += (g - m) * (1 - b1);  v += (g^2 - v) * (1 - b2);  w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)

    Any shape; step t counts from 1 -> w, m, v.  Epsilon is added to the uncorrected root ("epsilon hat" of Kingma and
    Ba 2015, section 2).
    """
    w, g, m, v = f64(w), f64(g), f64(m), f64(v)
    m = m + (g - m) * (1.0 - beta1)
    v = v + (g * g - v) * (1.0 - beta2)
    alpha = lr * np.sqrt(1.0 - beta2**step) / (1.0 - beta1**step)
    return w - alpha * m / (np.sqrt(v) + epsilon), m, v


def amsgrad(w, g, m, v, h, step, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    """Adam with h = max(h, v) in the place of v -> w, m, v, h."""
    _, m, v = adam(w, g, m, v, step, lr, beta1, beta2, epsilon)
    h = np.maximum(f64(h), v)
    return f64(w) - lr * np.sqrt(1 - beta2**step) / (1 - beta1**step) * m / (np.sqrt(h) + epsilon), m, v, h


def nadam(w, g, m, v, step, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    """Dozat 2016 with the schedule u_t = b1 (1 - 0.96^t / 2) -> w, m, v."""
    _, m, v = adam(w, g, m, v, step, lr, beta1, beta2, epsilon)
    u = beta1 * (1 - 0.5 * 0.96 ** np.arange(1, step + 2))
    whole = np.prod(u[:-1])
    m_hat = u[-1] * m / (1 - whole * u[-1]) + (1 - u[-2]) * f64(g) / (1 - whole)
    return f64(w) - lr * m_hat / (np.sqrt(v / (1 - beta2**step)) + epsilon), m, v


def adamax(w, g, m, u, step, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
    """Kingma and Ba 2015, section 7.1 -> w, m, u."""
    m, u = f64(m) + (f64(g) - m) * (1 - beta1), np.maximum(beta2 * f64(u), np.abs(f64(g)))
    return f64(w) - lr / (1 - beta1**step) * m / (u + epsilon), m, u


def rmsprop(w, g, v, m, mean, lr, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    """v = rho v + (1-rho) g^2; m = momentum m + lr g / sqrt(v (- mean^2) + eps); w -= m -> w, v, m, mean."""
    g, mean = f64(g), rho * f64(mean) + (1 - rho) * f64(g)
    v = rho * f64(v) + (1 - rho) * g * g
    m = momentum * f64(m) + lr * g / np.sqrt(v - mean * mean * centered + epsilon)
    return f64(w) - m, v, m, mean


def adagrad(w, g, s, lr, epsilon=1e-7):
    """s += g^2; w -= lr g / sqrt(s + eps) -> w, s."""
    s = f64(s) + f64(g) ** 2
    return f64(w) - lr * f64(g) / np.sqrt(s + epsilon), s


def adadelta(w, g, s, d, lr, rho=0.95, epsilon=1e-7):
    """s and d are decaying means of the squares of g and of the step -> w, s, d."""
    s = rho * f64(s) + (1 - rho) * f64(g) ** 2
    step = np.sqrt(f64(d) + epsilon) * f64(g) / np.sqrt(s + epsilon)
    return f64(w) - lr * step, s, rho * f64(d) + (1 - rho) * step**2


def lion(w, g, m, lr, beta1=0.9, beta2=0.99):
    """w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g -> w, m."""
    g, m = f64(g), f64(m)
    return f64(w) - lr * np.sign(beta1 * m + (1 - beta1) * g), beta2 * m + (1 - beta2) * g


# ---------------------------------------------------------------------------------------------------------------------
# Random numbers

MASK32 = 0xFFFFFFFF


def philox4x32(counter, key):
    """Philox4x32-10: ten rounds of two 32x32 -> 64 bit products, key bumped after each (Salmon et al., SC 2011)

    counter: four and key: two uint32 words, each a number or an array, broadcast together -> (4, ...) uint32
    """
    c0, c1, c2, c3 = (np.asarray(c, dtype=np.uint64) for c in counter)
    k0, k1 = (np.asarray(k, dtype=np.uint64) for k in key)
    low, half = np.uint64(MASK32), np.uint64(32)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3)).astype(np.uint32)


def dropout_mask(shape, rate, seed, layer, step):
    """mask[e] = word e % 4 of philox4x32((e // 4 low, e // 4 high, layer, step low), (seed low, seed high)) >= limit

    e is the flat index over the whole batch; low and high are the 32-bit halves; limit = floor(rate * 2^32), in double;
    0 <= rate < 1 -> bool array of this shape, True is kept
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"dropout_mask: rate must be in [0, 1), got {rate}")
    size = int(np.prod(shape))
    block = np.arange(-(-size // 4), dtype=np.uint64)
    counter = block & np.uint64(MASK32), block >> np.uint64(32), layer & MASK32, step & MASK32
    words = philox4x32(counter, (seed & MASK32, seed >> 32 & MASK32))
    return (words.T.reshape(-1)[:size] >= np.uint32(int(float(rate) * 2**32))).reshape(shape)


def dropout(x, rate, seed, layer, step):
    """y = x / (1 - rate) where the mask keeps x, else 0, even for NaN.  Any shape"""
    return np.where(dropout_mask(np.shape(x), rate, seed, layer, step), f64(x) / (1.0 - rate), 0.0)


def dropout_gradient(dy, rate, seed, layer, step):
    """dx = dy * mask / (1 - rate), the same mask again.  Any shape"""
    return dropout(dy, rate, seed, layer, step)


def masked(x, noise_shape, rate, seed, layer, step, scale, shift=0.0, low=0.0):
    """y = x * scale + shift where the mask of noise_shape, broadcast to x, keeps x, else low"""
    return np.where(dropout_mask(noise_shape, rate, seed, layer, step), f64(x) * scale + shift, low)


def normal_numbers(shape, seed, layer, step):
    """Standard normal numbers (Box & Muller): a word pair (v, w) of philox4x32 gives r cos a and r sin a with
    r = sqrt(-2 log((v / 2 + 1/2) / 2^31)), v / 2 rounded down, and a = 2 pi w / 2^32 with the low 8 bits of w dropped

    Element e takes the first pair of block e // 4 for e % 4 = 0 (cosine) and 1 (sine), the second for 2 and 3.
    """
    size = int(np.prod(shape))
    block = np.arange(-(-size // 4), dtype=np.uint64)
    counter = block & np.uint64(MASK32), block >> np.uint64(32), layer & MASK32, step & MASK32
    pairs = philox4x32(counter, (seed & MASK32, seed >> 32 & MASK32)).T.reshape(-1, 2)
    r = np.sqrt(-2 * np.log(((pairs[:, 0] >> np.uint64(1)).astype(np.float64) + 0.5) / 2.0**31))
    a = 2 * np.pi * ((pairs[:, 1] >> np.uint64(8)).astype(np.float64) / 2.0**24)
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=1).reshape(-1)[:size].reshape(shape)


def gaussian(x, stddev, seed, layer, step, multiply=False):
    """y = x + stddev * z, or x * (1 + stddev * z).  Any shape"""
    z = stddev * normal_numbers(np.shape(x), seed, layer, step)
    return f64(x) * (1 + z) if multiply else f64(x) + z


# ---------------------------------------------------------------------------------------------------------------------
# Augmentation


def sample_numbers(n, seed, step):
    """(n, 4) uniform numbers in [0, 1): the words of philox4x32((sample, 0, 0, step), seed) / 2^32"""
    sample = np.arange(n, dtype=np.uint64)
    words = philox4x32((sample & np.uint64(MASK32), sample >> np.uint64(32), 0, step & MASK32),
                       (seed & MASK32, seed >> 32 & MASK32))  # fmt: skip
    return words.T.astype(np.float64) / 2.0**32


def affine_matrix(kind, p, q, ih, iw):
    """2x3 matrix from an output pixel (x, y, 1) to the point (x, y) of the input: p along the height, q the width"""
    cy, cx = (ih - 1) / 2, (iw - 1) / 2
    linear, centre = np.eye(2), np.array([cx, cy])
    if kind == "flip":
        linear = np.diag([-1.0 if q else 1.0, -1.0 if p else 1.0])
    elif kind == "rotate":
        linear = np.array(
            [[np.cos(2 * np.pi * p), -np.sin(2 * np.pi * p)], [np.sin(2 * np.pi * p), np.cos(2 * np.pi * p)]]
        )
    elif kind == "zoom":
        linear = np.diag([1 + q, 1 + p])
    shift = centre - linear @ centre
    if kind == "translate":
        shift = np.array([-q * iw, -p * ih])
    elif kind == "crop":
        shift = np.array([q, p])
    return np.column_stack([linear, shift])


def affine(x, m, size, fill_mode="constant", interpolation="nearest", fill_value=0.0):
    """y[oy, ox] = x at m (ox, oy, 1), for one image x (h, w, c) -> (*size, c)"""
    x = f64(x)
    modes = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
    border = 3 * max(x.shape[:2])
    pad = dict(constant_values=fill_value) if fill_mode == "constant" else dict(mode=modes[fill_mode])
    wide = np.pad(x, ((border, border), (border, border), (0, 0)), **pad)
    y = np.empty((*size, x.shape[2]))
    for oy in range(size[0]):
        for ox in range(size[1]):
            u, v = m @ [ox, oy, 1] + border
            if interpolation == "nearest":
                y[oy, ox] = wide[int(np.floor(v + 0.5)), int(np.floor(u + 0.5))]
                continue
            v0, u0 = int(np.floor(v)), int(np.floor(u))
            top = wide[v0, u0] * (1 - (u - u0)) + wide[v0, u0 + 1] * (u - u0)
            low = wide[v0 + 1, u0] * (1 - (u - u0)) + wide[v0 + 1, u0 + 1] * (u - u0)
            y[oy, ox] = top * (1 - (v - v0)) + low * (v - v0)
    return y


def adjust(x, factor, shift, value_range):
    """y = clip((x - mean) * factor + mean + shift), mean of each channel of each image.  x (n, h, w, c)"""
    x = f64(x)
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.clip((x - mean) * factor + mean + shift, *value_range)


# ---------------------------------------------------------------------------------------------------------------------
# Data


def gather(data, index, scale=1.0):
    """y[i] = data[index[i]] * scale.  data (rows, ...) of any dtype, index (n,) -> y (n, ...)"""
    return f64(np.asarray(data)[index]) * scale


# -- penalties and projections


def penalty(x, l1, l2):
    """l1 sum |x| + l2 sum x^2 of each sample."""
    x = np.float64(x).reshape(len(x), -1)
    return l1 * np.abs(x).sum(1) + l2 * (x * x).sum(1)


def penalty_gradient(dy, x, l1, l2):
    x = np.float64(x)
    return np.float64(dy).reshape(-1, *[1] * (x.ndim - 1)) * (l1 * np.sign(x) + 2 * l2 * x)


def orthogonal(x, factor, rows):
    """factor times the mean of |n_i . n_j| over pairs of rows."""
    x = np.float64(x) if rows else np.float64(x).T
    if len(x) == 1:
        return 0.0
    n = x / np.linalg.norm(x, axis=1, keepdims=True)
    products = np.abs(n @ n.T)
    return factor * (products.sum() - np.trace(products)) / (len(x) * (len(x) - 1))


def project(x, axes, low, high, rate):
    """x scaled towards norms in [low, high] along the axes."""
    x = np.float64(x)
    norm = np.sqrt((x * x).sum(axes, keepdims=True)) if axes else np.abs(x)
    return x * (rate * np.clip(norm, low, high) + (1 - rate) * norm) / (1e-7 + norm)


# ---------------------------------------------------------------------------------------------------------------------
# Tables, and images of another size


def embedding_gradient(dy, ids, v):
    """dtable[k] = sum of dy where ids = k.  dy (..., d), ids (...) -> (v, d)"""
    dtable = np.zeros((v, np.shape(dy)[-1]))
    np.add.at(dtable, np.asarray(ids, int).ravel(), _rows(dy))
    return dtable


def _matrix(taps, size):
    """(index, weight), each (out, taps), as a matrix (out, size)."""
    index, weight = taps
    matrix = np.zeros((len(index), size))
    for t in range(index.shape[1]):
        matrix[np.arange(len(index)), index[:, t].astype(int)] += f64(weight)[:, t]
    return matrix


def resample(x, rows, cols):
    """y = rows @ x @ cols.T in the plane.  x (n, ih, iw, c), (index, weight) of each axis -> (n, oh, ow, c)"""
    return np.einsum("ai,bj,nijc->nabc", _matrix(rows, x.shape[1]), _matrix(cols, x.shape[2]), f64(x))


def resample_gradient(dy, x_shape, rows, cols):
    """dx = rows.T @ dy @ cols in the plane.  dy (n, oh, ow, c) -> (n, ih, iw, c)"""
    return np.einsum("ai,bj,nabc->nijc", _matrix(rows, x_shape[1]), _matrix(cols, x_shape[2]), f64(dy))
