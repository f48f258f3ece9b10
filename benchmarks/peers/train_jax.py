"""JAX: one jitted training step, NHWC, donated buffers.

"window" pools with reduce_window, whose gradient (select_and_scatter) XLA's CPU compiler does badly; "reshape" pools
as a maximum over a reshaped array, the better spelling on CPUs. JAX takes its thread count from the CPU affinity.
"""

import os

CONFIGS = {
    "step reshape": {"pool": "reshape"},
    "step window": {"pool": "window"},
    "step reshape stock-malloc": {"pool": "reshape", "environment": {}},
}


def build(x, y, threads, pool):
    """Return (versions, jobs)."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    from jax import lax

    images, labels = jnp.asarray(x), jnp.asarray(y)
    keys = jax.random.split(jax.random.key(0), 2)
    params = {
        "k": jax.random.normal(keys[0], (3, 3, 1, 32)) * 0.08,
        "kb": jnp.zeros(32),
        "w": jax.random.normal(keys[1], (5408, 10)) * 0.02,
        "wb": jnp.zeros(10),
    }
    state = (params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.float32(0))

    def loss_of(p, xb, yb):
        h = lax.conv_general_dilated(xb, p["k"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        h = jax.nn.relu(h + p["kb"])
        if pool == "window":
            h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        else:
            h = h.reshape(-1, 13, 2, 13, 2, 32).max((2, 4))
        logits = h.reshape(-1, 5408) @ p["w"] + p["wb"]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), yb[:, None], 1).mean()

    def step(state, images, labels, index):
        params, m, v, t = state
        loss, g = jax.value_and_grad(loss_of)(params, images[index], labels[index])
        t = t + 1
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = jax.tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-7), params, m, v)
        return (params, m, v, t), loss

    step = jax.jit(step, donate_argnums=0)
    full = len(x) // 128
    key = jax.random.key(1)

    def run(steps):
        nonlocal state, key
        while steps > 0:
            key, now = jax.random.split(key)
            order = list(jax.random.permutation(now, len(x))[: full * 128].reshape(full, 128))
            for index in order[:steps]:
                state, loss = step(state, images, labels, index)
            steps -= full
        return float(loss)

    return {"jax": jax.__version__}, {"step": run}
