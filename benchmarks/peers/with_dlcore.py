"""dlcore through its public API: one `fit` a turn, and a call of `train_on_batch` a step."""

CONFIGS = {"fit": {"per_call": False}, "train_on_batch": {"per_call": True}}


def build(x, y, threads, per_call):
    """Return (versions, run). The thread count comes from OMP_NUM_THREADS, which the parent has set."""
    import numpy as np

    import dlcore
    from dlcore import layers, models, optimizers

    model = models.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    if per_call and not hasattr(model, "train_on_batch"):
        raise AttributeError("this dlcore has no train_on_batch")
    full, random = len(x) // 128, np.random.default_rng(0)

    def by_fit(steps):
        while steps > 0:
            n = min(steps, full) * 128
            loss = model.fit(x[:n], y[:n], epochs=1, batch_size=128, shuffle=True, verbose=0).history["loss"][-1]
            steps -= full
        return loss

    def by_call(steps):
        while steps > 0:
            order = random.permutation(len(x))
            for i in range(min(steps, full)):
                index = order[i * 128 : i * 128 + 128]
                loss = model.train_on_batch(x[index], y[index])
            steps -= full
        return loss[0] if isinstance(loss, (list, tuple)) else loss

    return {"dlcore": getattr(dlcore, "__version__", "?")}, by_call if per_call else by_fit
