"""Keras on TensorFlow: `fit` over an in-memory tf.data pipeline, and a hand-written tf.function training step.

"spe" is fit with steps_per_execution=32, Keras' own way to leave Python less often. "step" calls a tf.function once a
step with a slice of a permutation; "raw" is "step" with TensorFlow's one-kernel ResourceApplyAdam in place of Keras'
Adam, which is many small ops. Each with XLA on ("xla") or off ("graph"); "auto" is Keras' own choice of that.
"onednn0" and "onednn1" set TF_ENABLE_ONEDNN_OPTS. Intra-op threads are --threads, inter-op 1 or, in "inter2", 2.
"""

import os

CONFIGS = {
    f"{path} {jit} onednn{onednn}": {"path": path, "jit": jit, "onednn": onednn}
    for path, jit in [
        ("step", "graph"),
        ("raw", "graph"),
        ("fit", "graph"),
        ("spe", "graph"),
        ("fit", "auto"),
        ("step", "xla"),
        ("raw", "xla"),
    ]
    for onednn in ((1, 0) if jit == "graph" else (1,))
}
CONFIGS |= {f"{path} graph onednn1 inter2": CONFIGS[f"{path} graph onednn1"] | {"inter": 2} for path in ("step", "raw")}
CONFIGS["step graph onednn1 stock-malloc"] = CONFIGS["step graph onednn1"] | {"environment": {}}


def configs(model):
    """Those worth trying: what leads for one network by a little does so for others."""
    return list(CONFIGS) if model == "headline" else ["raw graph onednn1", "raw graph onednn0", "raw xla onednn1"]


def build(x, y, threads, model, path, jit, onednn, inter=1):
    """Return (versions, jobs, facts). The loss takes logits, TensorFlow's best case: it fuses softmax and
    cross-entropy."""
    os.environ |= {
        "TF_ENABLE_ONEDNN_OPTS": str(onednn),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }
    import keras
    import net_keras
    import specs
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    keras.utils.set_random_seed(0)
    net = net_keras.build(keras, model, softmax=False)
    optimizer = keras.optimizers.Adam(1e-3)
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    full, facts = len(x) // specs.BATCH, {"parameters": net_keras.parameters(net)}
    if path in ("fit", "spe"):
        net.compile(
            optimizer,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile={"auto": "auto", "graph": False, "xla": True}[jit],
            steps_per_execution=32 if path == "spe" else 1,
        )
        images, labels = tf.constant(x), tf.constant(y)
        batches = tf.data.Dataset.range(len(x)).shuffle(len(x)).repeat().batch(specs.BATCH, drop_remainder=True)
        batches = batches.map(lambda i: (tf.gather(images, i), tf.gather(labels, i))).prefetch(2)

        def run(steps):
            return net.fit(batches, steps_per_epoch=steps, verbose=0).history["loss"][-1]

        return versions, {"step": run}, facts

    images, labels = tf.constant(x), tf.constant(y)
    weights = [v.value for v in net.trainable_variables]
    slots = [(tf.Variable(tf.zeros_like(w)), tf.Variable(tf.zeros_like(w))) for w in weights]
    count = tf.Variable(0.0)
    optimizer.build(net.trainable_variables)

    def apply_raw(gradients):
        count.assign_add(1.0)
        for w, (m, v), g in zip(weights, slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=w.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=0.9**count,
                beta2_power=0.999**count,
                lr=1e-3,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=g,
            )

    @tf.function(jit_compile=jit == "xla")
    def step(index):
        xb, yb = tf.gather(images, index), tf.gather(labels, index)
        with tf.GradientTape() as tape:
            logits = net(xb, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(yb, logits))
        gradients = tape.gradient(loss, weights)
        if path == "raw":
            apply_raw(gradients)
        else:
            optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
        return loss

    def run(steps):
        while steps > 0:
            order = tf.split(tf.random.shuffle(tf.range(len(x)))[: full * specs.BATCH], full)
            for index in order[:steps]:
                loss = step(index)
            steps -= full
        return float(loss)

    facts["losses"] = [float(step(tf.range(specs.BATCH))) for _ in range(2)]
    return versions, {"step": run}, facts
