"""Training that two libraries do alike: the same networks, first weights, batches and optimizers, for 200 steps.

As a program it is Keras' side: `python trajectories.py START RESULT [PRECISION [NETWORK...]]`, run by
test_trajectories.py with the Python that has Keras. It reads the first weights from START and writes, for each network
and optimizer, the losses of all steps and the last weights to RESULT. With the precision "float64" it tells what both
libraries would find if nothing were rounded; with "corners" it trains the networks as they are, with ReLU and max
pooling, and writes all weights of every step.
"""

import sys

import networks
import numpy as np

STEPS, BATCH, SAMPLES = 200, 16, 48
NETWORKS = list(networks.SMALL)
SMOOTH = {  # how each is without corners
    "mlp": dict(activation="gelu"), "lenet5": dict(activation="tanh"),
    "vgg16": dict(activation="elu", pooling="Average"), "inception": dict(activation="elu", pooling="Average"),
    "mobilenet": dict(activation="softplus"), "resnet20": dict(activation="silu"),
    "text_cnn": dict(activation="tanh", pooling="Average"),
}  # fmt: skip
OPTIMIZERS = {  # name: class, arguments
    "SGD": ("SGD", dict(learning_rate=0.05)),
    "momentum": ("SGD", dict(learning_rate=0.01, momentum=0.9)),
    "nesterov": ("SGD", dict(learning_rate=0.01, momentum=0.9, nesterov=True)),
    "RMSprop": ("RMSprop", dict(learning_rate=0.0005)),
    "Adagrad": ("Adagrad", dict(learning_rate=0.01)),
    "Adadelta": ("Adadelta", dict(learning_rate=0.5)),
    "Adam": ("Adam", dict(learning_rate=0.001)),
    "amsgrad": ("Adam", dict(learning_rate=0.001, amsgrad=True)),
    "AdamW": ("AdamW", dict(learning_rate=0.001, weight_decay=0.05)),
    "Adamax": ("Adamax", dict(learning_rate=0.001)),
    "Nadam": ("Nadam", dict(learning_rate=0.001)),
    "Lion": ("Lion", dict(learning_rate=0.0001)),
}
# Lion takes the sign of a sum, which rounding turns where it is near 0: the deeper the network, the more often. With
# the rate above, Keras in single precision is 5e-4 away from Keras in double, and dlcore 2e-4 from the former.
# The others make the embedding, which begins near 0, learn within so few steps.
RATES = {
    ("resnet20", "Lion"): 0.00003, ("text_cnn", "SGD"): 0.5, ("text_cnn", "momentum"): 0.1,
    ("text_cnn", "nesterov"): 0.1, ("text_cnn", "Adagrad"): 0.1, ("text_cnn", "Lion"): 0.0005,
}  # fmt: skip


def batches(name):
    """(x, y) for each step. The classes follow from x in part only, so that the loss stays well above 0."""
    rng = np.random.default_rng(NETWORKS.index(name))
    y = rng.integers(0, 4, SAMPLES).astype(np.int32)
    arguments = networks.SMALL[name]
    if name == "text_cnn":
        x = rng.integers(0, arguments["words"], (SAMPLES, arguments["length"])).astype(np.int32)
    else:
        x = rng.normal(0, 1, (SAMPLES, *arguments["shape"])).astype(np.float32)
        x += 0.1 * np.linspace(-1, 1, 4, dtype=np.float32)[y].reshape(-1, *[1] * (x.ndim - 1))
    order = [rng.permutation(SAMPLES)[:BATCH] for _ in range(STEPS)]
    return [(x[i], y[i]) for i in order]


def build(keras, name, smooth=True):
    return getattr(networks, name)(keras, **networks.SMALL[name], **(SMOOTH[name] if smooth else {}))


def optimizer_of(keras, name, network):
    cls, arguments = OPTIMIZERS[name]
    arguments = {**arguments, "learning_rate": RATES.get((network, name), arguments["learning_rate"])}
    return getattr(keras.optimizers, cls)(**arguments)


class KerasNetwork:
    """A network of Keras whose slopes are compiled once for all optimizers."""

    def __init__(self, keras, jax, name, start, smooth):
        self.jax, self.model = jax, build(keras, name, smooth)
        self.model.set_weights(start)
        loss_of = keras.losses.SparseCategoricalCrossentropy()

        def loss(weights, others, x, y):
            p, others = self.model.stateless_call(weights, others, x, training=True)
            return loss_of(y, p), others

        self.slopes = jax.jit(jax.value_and_grad(loss, has_aux=True))
        floatx = keras.config.floatx()
        self.batches = [(x if x.dtype == np.int32 else x.astype(floatx), y) for x, y in batches(name)]

    def train(self, optimizer):
        """(loss, weights before the step) for each step; once more at the end, with no loss."""
        trainable, rest = self.model.trainable_variables, self.model.non_trainable_variables
        optimizer.build(trainable)
        apply = self.jax.jit(optimizer.stateless_apply)
        weights, others, state = ([v.value for v in group] for group in (trainable, rest, optimizer.variables))
        for x, y in self.batches:
            before = weights, others
            (value, others), found = self.slopes(weights, others, x, y)
            weights, state = apply(state, found, weights)
            yield float(value), before
        yield None, (weights, others)

    def ordered(self, weights, others):
        """Arrays in the order of the model's weights."""
        trainable, rest = self.model.trainable_variables, self.model.non_trainable_variables
        values = {id(v): np.asarray(value) for v, value in zip(trainable + rest, weights + others, strict=True)}
        return [values[id(v)] for v in self.model.weights]


def main(start, result, precision="float32", *names):
    import jax
    import keras

    if precision == "float64":
        jax.config.update("jax_enable_x64", True)
        keras.config.set_floatx(precision)
    given, found = np.load(start), {}
    for name in names or NETWORKS:
        first = [given[f"{name}/{i}"] for i in range(sum(key.startswith(f"{name}/") for key in given))]
        network = KerasNetwork(keras, jax, name, first, smooth=precision != "corners")
        for kind in ["SGD"] if precision == "corners" else OPTIMIZERS:
            *steps, (_, last) = network.train(optimizer_of(keras, kind, name))
            key = f"{name}/{kind}"
            found[f"{key}/loss"] = np.array([loss for loss, _ in steps])
            if precision == "corners":
                path = [network.ordered(*weights) for weights in [*(weights for _, weights in steps), last]]
                found[f"{key}/path"] = np.array([flat(weights) for weights in path])
            else:
                found.update({f"{key}/{i}": w for i, w in enumerate(network.ordered(*last))})
    np.savez(result, **found)


def flat(weights):
    return np.concatenate([w.ravel() for w in weights])


if __name__ == "__main__":
    main(*sys.argv[1:])
