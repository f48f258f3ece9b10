"""JAX: one jitted function, NHWC; pooling by reduce_window ("window") or as a maximum over a reshaped array."""

import os

import specs

CONFIGS = {"jit window": {"pool": "window"}, "jit reshape": {"pool": "reshape"}}


def configs(model):
    """Those worth trying."""
    return list(CONFIGS) if specs.has(model, "maxpool") or specs.has(model, "avgpool") else ["jit reshape"]


def build(x, y, threads, model, pool):
    """Return (versions, jobs, facts). JAX takes its thread count from the CPU affinity."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import latency
    import net_jax

    weights, forward = net_jax.build(model, pool)
    predict = jax.jit(lambda images: jax.nn.softmax(forward(weights, images, training=False)[0]))

    def caller(n):
        images = jnp.asarray(x[:n])
        return lambda: predict(images).block_until_ready()

    one, network = caller(1), specs.NETWORKS[model]
    facts = {"parameters": network.parameters(), "probabilities": one()[0].tolist()}
    return {"jax": jax.__version__}, latency.jobs(one, caller(network.many)), facts
