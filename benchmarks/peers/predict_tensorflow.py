"""Keras on TensorFlow: a tf.function with a fixed input shape, `model(x)`, and `predict` (for many images, in batches
of 1024). "xla" compiles the tf.function; "onednn0" and "onednn1" set TF_ENABLE_ONEDNN_OPTS."""

import os

CONFIGS = {
    f"{path} onednn{onednn}": {"path": path, "onednn": onednn}
    for path, onednn in [("function", 1), ("function", 0), ("xla", 1), ("model(x)", 1), ("predict", 1)]
}


def build(x, y, threads, model, path, onednn):
    """Return (versions, jobs, facts)."""
    os.environ |= {
        "TF_ENABLE_ONEDNN_OPTS": str(onednn),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }
    import keras
    import latency
    import net_keras
    import specs
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    net = net_keras.build(keras, model, softmax=True)

    def caller(n):
        images = x[:n].copy()
        if path == "predict":
            return lambda: net.predict(images, batch_size=1024, verbose=0)
        tensor = tf.constant(images)
        if path == "model(x)":
            return lambda: net(tensor, training=False).numpy()
        signature = [tf.TensorSpec(images.shape, tf.float32)]
        function = tf.function(lambda t: net(t, training=False), signature, jit_compile=path == "xla")
        function = function.get_concrete_function()
        return lambda: function(tensor).numpy()

    one = caller(1)
    facts = {"parameters": net_keras.parameters(net), "probabilities": one()[0].tolist()}
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    return versions, latency.jobs(one, caller(specs.NETWORKS[model].many)), facts
