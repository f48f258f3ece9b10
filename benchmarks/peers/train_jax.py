"""JAX: one jitted training step, NHWC, donated buffers.

"window" pools with reduce_window, whose gradient (select_and_scatter) XLA's CPU compiler does badly; "reshape" pools
as a maximum over a reshaped array, the better spelling on CPUs. JAX takes its thread count from the CPU affinity.
"""

import os

import specs

CONFIGS = {
    "step reshape": {"pool": "reshape"},
    "step window": {"pool": "window"},
    "step reshape stock-malloc": {"pool": "reshape", "environment": {}},
}


def configs(model):
    """Those worth trying."""
    return list(CONFIGS) if specs.has(model, "maxpool") else ["step reshape"]


def build(x, y, threads, model, pool):
    """Return (versions, jobs, facts). JAX takes its thread count from the CPU affinity."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import net_jax

    images, labels = jnp.asarray(x), jnp.asarray(y)
    params, forward = net_jax.build(model, pool)
    state = (params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.float32(0))

    def loss_of(p, xb, yb):
        logits, moved = forward(p, xb, training=True)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), yb[:, None], 1).mean(), moved

    def step(state, images, labels, index):
        params, m, v, t = state
        (loss, moved), g = jax.value_and_grad(loss_of, has_aux=True)(params, images[index], labels[index])
        t = t + 1
        m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        # moving statistics have no gradient, and are those that the forward pass found
        params = jax.tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-7), moved, m, v)
        return (params, m, v, t), loss

    step = jax.jit(step, donate_argnums=0)
    full = len(x) // specs.BATCH
    key = jax.random.key(1)

    def run(steps):
        nonlocal state, key
        while steps > 0:
            key, now = jax.random.split(key)
            order = list(jax.random.permutation(now, len(x))[: full * specs.BATCH].reshape(full, specs.BATCH))
            for index in order[:steps]:
                state, loss = step(state, images, labels, index)
            steps -= full
        return float(loss)

    facts = {"parameters": specs.NETWORKS[model].parameters(), "losses": []}
    for _ in range(2):
        state, loss = step(state, images, labels, jnp.arange(specs.BATCH))
        facts["losses"].append(float(loss))
    return {"jax": jax.__version__}, {"step": run}, facts
