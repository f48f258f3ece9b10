"""dlcore: `predict`, and calling the model."""

CONFIGS = {"predict": {"call": False}, "model(x)": {"call": True}}


def build(x, y, threads, model, call):
    """Return (versions, jobs, facts). The thread count comes from OMP_NUM_THREADS, which the parent has set."""
    import latency
    import network
    import numpy as np
    import specs

    import dlcore

    net = network.compared(model)
    one, many = x[:1].copy(), x[: specs.NETWORKS[model].many].copy()
    predict = net if call else net.predict
    facts = {"parameters": sum(weight.value.size for weight in net.trainable_weights)}
    facts["probabilities"] = np.asarray(predict(one))[0].tolist()
    return {"dlcore": dlcore.__version__}, latency.jobs(lambda: predict(one), lambda: predict(many)), facts
