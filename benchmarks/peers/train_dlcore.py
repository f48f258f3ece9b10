"""dlcore through its public API: one `fit` a turn, and a call of `train_on_batch` a step."""

CONFIGS = {"fit": {"per_call": False}, "train_on_batch": {"per_call": True}}


def build(x, y, threads, model, per_call):
    """Return (versions, jobs, facts). The thread count comes from OMP_NUM_THREADS, which the parent has set."""
    import network
    import numpy as np

    import dlcore

    net, first = network.compared(model), slice(network.BATCH)
    losses = [net.train_on_batch(x[first], y[first]) for _ in range(2)]
    facts = {"parameters": sum(weight.value.size for weight in net.trainable_weights), "losses": losses}
    full, random = len(x) // 128, np.random.default_rng(0)

    def by_fit(steps):
        while steps > 0:
            n = min(steps, full) * 128
            loss = net.fit(x[:n], y[:n], epochs=1, batch_size=128, shuffle=True, verbose=0).history["loss"][-1]
            steps -= full
        return loss

    def by_call(steps):
        while steps > 0:
            order = random.permutation(len(x))
            for i in range(min(steps, full)):
                index = order[i * 128 : i * 128 + 128]
                loss = net.train_on_batch(x[index], y[index])
            steps -= full
        return loss

    return {"dlcore": dlcore.__version__}, {"step": by_call if per_call else by_fit}, facts
