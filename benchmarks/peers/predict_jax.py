"""JAX: one jitted function, NHWC; pooling by reduce_window ("window") or as a maximum over a reshaped array."""

import os

CONFIGS = {"jit window": {"pool": "window"}, "jit reshape": {"pool": "reshape"}}


def build(x, y, threads, pool):
    """Return (versions, jobs). JAX takes its thread count from the CPU affinity."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import latency
    from jax import lax

    keys = jax.random.split(jax.random.key(0), 2)
    k, w = jax.random.normal(keys[0], (3, 3, 1, 32)) * 0.08, jax.random.normal(keys[1], (5408, 10)) * 0.02
    kb, wb = jnp.zeros(32), jnp.zeros(10)

    @jax.jit
    def predict(images):
        h = lax.conv_general_dilated(images, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        h = jax.nn.relu(h + kb)
        if pool == "window":
            h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        else:
            h = h.reshape(-1, 13, 2, 13, 2, 32).max((2, 4))
        return jax.nn.softmax(h.reshape(-1, 5408) @ w + wb)

    def caller(n):
        images = jnp.asarray(x[:n])
        return lambda: predict(images).block_until_ready()

    return {"jax": jax.__version__}, latency.jobs(caller(1), caller(1024))
