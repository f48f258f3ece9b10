"""A network of specs.py in JAX: a function of weights and images, NHWC."""

import jax
import jax.numpy as jnp
from jax import lax
from specs import NETWORKS

ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "relu6": jax.nn.relu6, "tanh": jnp.tanh}


def pooled(x, layer, how):
    """By reduce_window, whose gradient XLA's CPU compiler does badly, or over a reshaped array, better on CPUs."""
    size, largest = layer.size, layer.kind == "maxpool"
    if how == "reshape":
        n, h, w, c = x.shape
        x = x.reshape(n, h // size, size, w // size, size, c)
        return x.max((2, 4)) if largest else x.mean((2, 4))
    window = (1, size, size, 1)
    if largest:
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
    return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / size**2


def apply(layers, weights, x, training, pool):
    """Logits; `weights` is an iterator over each layer's. In training, moving statistics are replaced in place."""
    for layer in layers:
        if layer.kind == "residual":
            y, more = apply(layer.inner, weights, x, training, pool), layer.units - x.shape[-1]
            if layer.stride > 1:
                x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (more // 2, more // 2)))
            x = y + x
        elif layer.kind in ("conv", "depthwise"):
            kernel, *bias = next(weights)
            groups = 1 if layer.kind == "conv" else x.shape[-1]
            x = lax.conv_general_dilated(
                x,
                kernel if groups == 1 else kernel.transpose(0, 1, 3, 2),
                (layer.stride,) * 2,
                layer.padding.upper(),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=groups,
            )
            x = x + bias[0] if bias else x
        elif layer.kind == "dense":
            kernel, bias = next(weights)
            x = x @ kernel + bias
        elif layer.kind == "norm":
            own = next(weights)
            gamma, beta, mean, variance = own
            if training:
                mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
                own[2], own[3] = (0.99 * old + 0.01 * new for old, new in ((own[2], mean), (own[3], variance)))
            x = (x - mean) * (gamma * lax.rsqrt(variance + 1e-3)) + beta
        elif layer.kind in ("maxpool", "avgpool"):
            x = pooled(x, layer, pool)
        elif layer.kind == "gap":
            x = x.mean((1, 2))
        elif layer.kind == "flatten":
            x = x.reshape(len(x), -1)
        x = ACTIVATIONS[layer.activation](x)
    return x


def build(name, pool):
    """(weights that all frameworks begin with, function of weights, images and training: logits, new weights)"""
    network = NETWORKS[name]

    def forward(weights, x, training):
        weights = [list(arrays) for arrays in weights]
        return apply(network.layers, iter(weights), x, training, pool), weights

    return [[jnp.asarray(array) for array in arrays] for arrays in network.weights()], forward
