"""dlcore: `predict`, and calling the model."""

CONFIGS = {"predict": {"call": False}, "model(x)": {"call": True}}


def build(x, y, threads, call):
    """Return (versions, jobs). The thread count comes from OMP_NUM_THREADS, which the parent has set."""
    import latency
    import network

    import dlcore

    model = network.mnist_cnn()
    one, many = x[:1].copy(), x[:1024].copy()
    predict = model if call else model.predict
    return {"dlcore": dlcore.__version__}, latency.jobs(lambda: predict(one), lambda: predict(many))
