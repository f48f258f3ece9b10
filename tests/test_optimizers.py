"""Optimizers as a model uses them and by hand: sequences of steps, spellings, and what may change between steps."""

import warnings

import numpy as np
import pytest
import reference as ref
from harness import uniform

import dlcore
from dlcore import Sequential, layers, optimizers
from dlcore.callbacks import Callback
from dlcore.ops import Parameter
from dlcore.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop, schedules

OPTIMIZERS = [
    SGD, Adam, lambda: SGD(0.1), lambda: SGD(0.1, momentum=0.9), lambda: SGD(0.1, momentum=0.9, nesterov=True),
    lambda: SGD(0.1, 0.0, True), lambda: Adam(0.01), lambda: Adam(0.02, beta_1=0.5, beta_2=0.75, epsilon=1e-3),
]  # fmt: skip


def linear(optimizer, features=3, units=2, start=None):
    """p = x w, trained on the mean squared error."""
    model = Sequential([layers.Input((features,)), layers.Dense(units, use_bias=False)])
    model.compile(optimizer, "mse")
    model.set_weights([uniform(features, units) if start is None else start])
    return model


def slow(optimizer, w, gradient, steps):
    """The weights after each step, by the reference."""
    state, found = [np.zeros_like(w)] * 2, []
    config = optimizer.get_config()
    for t in range(1, steps + 1):
        g = gradient(w)
        if isinstance(optimizer, SGD):
            w, state[0] = ref.sgd(w, g, state[0], config["learning_rate"], config["momentum"], config["nesterov"])
        else:
            w, *state = ref.adam(w, g, *state, t, config["learning_rate"], config["beta_1"], config["beta_2"],
                                 config["epsilon"])  # fmt: skip
        found.append(w)
    return found


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_five_steps_against_the_reference(make):
    optimizer, x, y = make(), uniform(6, 3, seed=1), uniform(6, 2, seed=2)
    model = linear(optimizer)
    gradient = lambda w: ref.dense_weight_gradient(x, 2 * (x @ w - y) / y.size)  # noqa: E731
    expected = slow(optimizer, np.float64(model.get_weights()[0]), gradient, 5)
    for t, w in enumerate(expected, 1):
        model.train_on_batch(x, y)
        assert optimizer.iterations == t
        np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-5, atol=1e-6)
    assert abs(expected[4] - expected[3]).max() > 1e-4  # there was something to compare


HAND = [  # optimizer, weights after each step on w^2 from 1, where the gradient is 2 w
    (lambda: SGD(0.1), [0.8, 0.64, 0.512]),
    (lambda: SGD(0.1, momentum=0.5), [0.8, 0.54, 0.302]),  # v: -0.2, -0.26, -0.238
    (lambda: SGD(0.1, momentum=0.5, nesterov=True), [0.7, 0.44, 0.248]),  # v: -0.2, -0.24, -0.208
    (lambda: Adam(0.1), [0.9, 0.800412, 0.701586]),  # m: 0.2, 0.36, 0.484082; v: 0.004, 0.007236, 0.009791
]


@pytest.mark.parametrize("make, expected", HAND)
def test_steps_computed_by_hand(make, expected):
    model = linear(make(), 1, 1, [[1.0]])
    got = []
    for _ in expected:
        model.train_on_batch([[1.0]], [[0.0]])
        got.append(float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_the_old_spelling_of_the_learning_rate(cls):
    with pytest.warns(DeprecationWarning, match="lr is called learning_rate now") as caught:
        optimizer = cls(lr=0.25)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert optimizer.learning_rate == optimizer.lr == 0.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.lr = 0.125  # reading and setting it warn of nothing
        assert optimizer.learning_rate == 0.125
    with pytest.raises(TypeError, match=f"{cls.__name__}: learning_rate and its old spelling lr were both given"):
        cls(0.1, lr=0.1)
    with pytest.raises(TypeError, match="both given"):
        cls(learning_rate=0.1, lr=0.1)


def test_defaults_are_those_of_keras():
    common = {"weight_decay": None, "clipnorm": None, "global_clipnorm": None, "clipvalue": None, "use_ema": False,
              "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
              "gradient_accumulation_steps": None}  # fmt: skip
    betas = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    own = {
        SGD: {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
        Adam: {**betas, "amsgrad": False},
        AdamW: {**betas, "amsgrad": False, "weight_decay": 0.004},
        Nadam: betas,
        Adamax: betas,
        Adagrad: {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
        Adadelta: {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
        RMSprop: {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
        Lion: {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99},
    }
    for cls, config in own.items():
        assert cls().get_config() == {"name": cls.__name__.lower(), **common, **config}


def test_the_learning_rate_may_change_at_any_time():
    rates = [0.1, 0.0, 0.5]

    class Schedule(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = rates[epoch]

    model, seen = linear(SGD(9.0), 1, 1, [[1.0]]), []
    for epoch in range(3):
        model.fit([[1.0]], [[0.0]], epochs=epoch + 1, initial_epoch=epoch, verbose=0, callbacks=[Schedule()])
        seen.append(float(model.get_weights()[0][0, 0]))
    np.testing.assert_allclose(seen, [0.8, 0.8, 0.0], atol=1e-7)
    model.optimizer.learning_rate = np.float32(0.25)
    assert model.optimizer.learning_rate == 0.25


def test_iterations_count_the_last_batch_too_and_go_on():
    model = linear(Adam())
    x, y = uniform(10, 3), uniform(10, 2)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert model.optimizer.iterations == 6
    model.evaluate(x, y, verbose=0)
    model.predict(x)
    assert model.optimizer.iterations == 6
    model.train_on_batch(x, y)
    assert model.optimizer.iterations == 7
    model.compile("adam", "mse")
    assert model.optimizer.iterations == 0


def test_training_in_pieces_is_training_at_once():
    x, y, results = uniform(12, 3), uniform(12, 2), []
    for pieces in ([3], [1, 2, 3]):
        model = linear(Adam(0.1))
        for last, epochs in zip([0, *pieces], pieces, strict=False):
            model.fit(x, y, batch_size=4, epochs=epochs, initial_epoch=last, shuffle=False, verbose=0)
            model.predict(x)
        results.append(model.get_weights()[0])
    np.testing.assert_array_equal(*results)


BAD = [
    (SGD, dict(learning_rate=-0.1), "sgd: learning_rate must be a number of at least 0. Received: learning_rate=-0.1"),
    (Adam, dict(learning_rate="fast"), "adam: learning_rate must be .* Received: learning_rate='fast'"),
    (Adam, dict(learning_rate=float("nan")), "learning_rate must be .* Received: learning_rate=nan"),
    (Adam, dict(learning_rate=True), "learning_rate must be"),
    (SGD, dict(momentum=1.5), r"sgd: momentum must be in \[0, 1\]. Received: momentum=1.5"),
    (Adam, dict(beta_1=1), r"adam: beta_1 must be in \[0, 1\). Received: beta_1=1"),
    (Adam, dict(beta_2=-0.1), r"adam: beta_2 must be in \[0, 1\). Received: beta_2=-0.1"),
    (Adam, dict(epsilon=-1, name="mine"), "mine: epsilon must be a number of at least 0. Received: epsilon=-1"),
]


@pytest.mark.parametrize("cls, arguments, message", BAD)
def test_refuses_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


def test_refuses_a_learning_rate_later_and_keeps_the_old():
    optimizer = Adam(0.5)
    with pytest.raises(ValueError, match="learning_rate must be"):
        optimizer.learning_rate = None
    assert optimizer.learning_rate == 0.5


@pytest.mark.parametrize("identifier, cls", [("sgd", SGD), ("SGD", SGD), ("adam", Adam), ("Adam", Adam), (Adam, Adam)])
def test_names(identifier, cls):
    assert type(optimizers.get(identifier)) is cls


def test_configurations():
    for make in OPTIMIZERS:
        optimizer = make()
        again = optimizers.get(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    with pytest.raises(ValueError, match=r"optimizer: expected one of .* or an Optimizer. Received: 'adem'"):
        optimizers.get("adem")


# -- by hand

BY_REFERENCE = [  # optimizer, reference, number of its states, whether it wants the step's number, options
    (lambda **k: SGD(0.1, **k), "sgd", 1, False, {}),
    (lambda **k: SGD(0.1, 0.9, **k), "sgd", 1, False, dict(momentum=0.9)),
    (lambda **k: SGD(0.1, 0.9, True, **k), "sgd", 1, False, dict(momentum=0.9, nesterov=True)),
    (lambda **k: Adam(0.1, **k), "adam", 2, True, {}),
    (lambda **k: Adam(0.1, amsgrad=True, **k), "amsgrad", 3, True, {}),
    (lambda **k: Nadam(0.1, **k), "nadam", 2, True, {}),
    (lambda **k: Adamax(0.1, **k), "adamax", 2, True, {}),
    (lambda **k: Adagrad(0.1, 0.0, **k), "adagrad", 1, False, {}),
    (lambda **k: Adadelta(0.1, **k), "adadelta", 2, False, {}),
    (lambda **k: RMSprop(0.1, **k), "rmsprop", 3, False, {}),
    (lambda **k: RMSprop(0.1, momentum=0.5, **k), "rmsprop", 3, False, dict(momentum=0.5)),
    (
        lambda **k: RMSprop(0.1, centered=True, epsilon=1e-3, **k),
        "rmsprop",
        3,
        False,
        dict(centered=True, epsilon=1e-3),
    ),
    (lambda **k: Lion(0.1, **k), "lion", 1, False, {}),
]
COMMON = [
    {},
    dict(weight_decay=0.1),
    dict(clipvalue=0.25),
    dict(clipnorm=0.5),
    dict(global_clipnorm=0.5),
    dict(loss_scale_factor=4.0, clipnorm=0.5),
    dict(gradient_accumulation_steps=2, global_clipnorm=0.5, weight_decay=0.1),
    dict(use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    dict(use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=3),
]


def parameters(*shapes):
    return [Parameter(s, uniform(*s, seed=i), f"dense/{'kernel' if i == 0 else 'bias'}") for i, s in enumerate(shapes)]


@pytest.mark.parametrize("make, reference, states, stepped, options", BY_REFERENCE)
@pytest.mark.parametrize("common", COMMON, ids=str)
def test_ten_steps_by_hand(make, reference, states, stepped, options, common):
    """`apply_gradients` on two weights against float64."""
    optimizer, shapes, rate = make(**common), [(13, 7), (7,)], 0.1
    weights = parameters(*shapes)
    expected = [np.float64(w.value) for w in weights]
    state = [[np.zeros(s)] * states for s in shapes]
    total, mean, updates = [np.zeros(s) for s in shapes], list(expected), 0
    every = common.get("gradient_accumulation_steps", 1)
    for step in range(10):
        gradients = [uniform(*s, seed=[step, i]) * 2 for i, s in enumerate(shapes)]
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        total = [t + g / common.get("loss_scale_factor", 1) / every for t, g in zip(total, gradients, strict=True)]
        now = step // every
        if (step + 1) % every == 0:
            norms = [np.sqrt((t * t).sum()) for t in total]
            if limit := common.get("clipnorm"):
                total = [t * limit / max(limit, norm) for t, norm in zip(total, norms, strict=True)]
            if limit := common.get("global_clipnorm"):
                total = [t * limit / max(limit, np.linalg.norm(norms)) for t in total]
            if limit := common.get("clipvalue"):
                total = [np.clip(t, -limit, limit) for t in total]
            updates += 1
            for i in (0, 1):
                expected[i] = expected[i] - expected[i] * common.get("weight_decay", 0) * rate
                given = (updates, rate) if stepped else (rate,)
                expected[i], *state[i] = getattr(ref, reference)(expected[i], total[i], *state[i], *given, **options)
            total = [np.zeros(s) for s in shapes]
        if common.get("use_ema"):
            mean = [0.5 * m + 0.5 * w if now else w for m, w in zip(mean, expected, strict=True)]
            if common.get("ema_overwrite_frequency") and (now + 1) % 2 == 0:
                expected = list(mean)
        for got, wanted in zip(weights, expected, strict=True):
            np.testing.assert_allclose(got.value, wanted, rtol=2e-5, atol=5e-6)
    assert optimizer.iterations == 10 // every
    optimizer.finalize_variable_values()
    for got, wanted in zip(weights, mean if common.get("use_ema") else expected, strict=True):
        np.testing.assert_allclose(got.value, wanted, rtol=2e-5, atol=5e-6)


def test_weights_without_decay():
    for exclude in (dict(var_names=["bias"]), dict(var_list=None)):
        optimizer, (kernel, bias) = AdamW(0.1, weight_decay=0.5), parameters((3, 2), (2,))
        exclude = dict(var_list=[bias]) if "var_list" in exclude else exclude
        optimizer.exclude_from_weight_decay(**exclude)
        before = kernel.numpy(), bias.numpy()
        optimizer.apply([np.zeros((3, 2)), np.zeros(2)], [kernel, bias])
        np.testing.assert_allclose(kernel.value, before[0] * 0.95, rtol=1e-6)
        np.testing.assert_array_equal(bias.value, before[1])
        with pytest.raises(ValueError, match="adamw: exclude_from_weight_decay must be called before training"):
            optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_a_state_brings_another_optimizer_to_the_same_place():
    make = lambda: Adam(0.1, amsgrad=True, use_ema=True, gradient_accumulation_steps=2)  # noqa: E731
    first, weights = make(), parameters((5, 3), (3,))
    step = lambda optimizer, t: optimizer.apply([uniform(5, 3, seed=t), uniform(3, seed=t)], weights)  # noqa: E731
    for t in range(3):
        step(first, t)
    state, values = first.state(), [w.numpy() for w in weights]
    assert set(state) == {"iterations", "learning_rate", *(f"dense/{w}/{s}" for w in ("kernel", "bias") for s in (
        "momentum", "velocity", "velocity_hat", "average", "gradient_accumulator"))}  # fmt: skip
    step(first, 3)
    expected = [w.numpy() for w in weights]
    for late in (False, True):  # before and after it is built
        second = make()
        if not late:
            second.load_state(state)
        second.build(weights)
        if late:
            second.load_state(state)
        for w, value in zip(weights, values, strict=True):
            w.assign(value)
        step(second, 3)
        for w, value in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(w.value, value)
        assert second.iterations == 2 and len(second.variables) == 10
    with pytest.raises(ValueError, match="adam: the state has no 'dense/kernel/velocity'"):
        second.load_state({"iterations": 1, "dense/kernel/momentum": np.zeros((5, 3))})
    with pytest.raises(ValueError, match=r"adam: expected 'dense/bias/average' of shape \(3,\). Received: \(4,\)"):
        second.load_state({**state, "dense/bias/average": np.zeros(4)})


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("common", COMMON[1:], ids=str)
def test_models_train_as_by_hand(common, threads):
    """Many steps in one run, with what the planner lets run together, are the same as steps one by one."""
    results = []
    x, y = uniform(40, 30, seed=1), uniform(40, 4, seed=2)
    for at_once in (True, False):
        model = Sequential([layers.Input((30,)), layers.Dense(70, activation="tanh"), layers.Dense(4)])
        model.compile(Adam(schedules.ExponentialDecay(0.1, 3, 0.5), **common), "mse")
        model.set_weights([uniform(30, 70), np.zeros(70), uniform(70, 4), np.zeros(4)])
        with dlcore.threads(threads):
            if at_once:
                model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
            else:
                for i in range(0, 40, 4):
                    model.train_on_batch(x[i : i + 4], y[i : i + 4])
                model.optimizer.finalize_variable_values()
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


# -- learning rates


def test_a_schedule_is_asked_for_every_step():
    asked = []

    def rate(step):
        asked.append(step)
        return 0.5 / (1 + step)

    optimizer, (w,) = SGD(rate), parameters((2,))
    start, expected = w.numpy(), 0.0
    for step in range(3):
        assert optimizer.learning_rate == 0.5 / (1 + step)
        expected += 0.5 / (1 + step)
        optimizer.apply([np.ones(2)], [w])
    np.testing.assert_allclose(w.value, start - expected, rtol=1e-6)
    assert optimizer.prepare(5) == 5 and asked[-5:] == [3, 4, 5, 6, 7] and optimizer.prepare(5000) == 1024
    optimizer.learning_rate = 0.25  # a function may be replaced
    assert optimizer.learning_rate == 0.25 and optimizer.prepare(5000) == 5000
    assert SGD(lambda: 0.125).learning_rate == 0.125
    optimizer = SGD(schedules.ExponentialDecay(0.1, 10, 0.5))
    with pytest.raises(TypeError, match="sgd: the learning rate follows a ExponentialDecay and cannot be set"):
        optimizer.learning_rate = 0.1
    with pytest.raises(ValueError, match=r"sgd: learning_rate must be .* Received: learning_rate=-1.0"):
        SGD(lambda step: -1.0).prepare(1)


def test_schedules_in_configurations():
    optimizer = Adam(schedules.CosineDecay(0.1, 10, warmup_target=0.5, warmup_steps=2), clipnorm=1.0)
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config() and again.learning_rate == 0.1
    assert type(optimizers.deserialize(optimizers.serialize(AdamW()))) is AdamW
    with pytest.raises(ValueError, match="cannot be saved: its learning rate is"):
        optimizers.serialize(SGD(lambda step: 0.1))


BAD_COMMON = [
    (dict(weight_decay=-1), "weight_decay must be a number of at least 0. Received: weight_decay=-1"),
    (dict(clipnorm="big"), "clipnorm must be a number of at least 0. Received: clipnorm='big'"),
    (dict(clipnorm=1.0, clipvalue=1.0), "only one of clipnorm, clipvalue and global_clipnorm may be given"),
    (dict(ema_momentum=1.5), r"ema_momentum must be in \[0, 1\]. Received: ema_momentum=1.5"),
    (dict(ema_overwrite_frequency=0), "ema_overwrite_frequency must be a whole number of at least 1, or None"),
    (dict(gradient_accumulation_steps=1), "gradient_accumulation_steps must be a whole number of at least 2, or None"),
]


@pytest.mark.parametrize("arguments, message", BAD_COMMON)
def test_refuses_common_arguments(arguments, message):
    with pytest.raises(ValueError, match="sgd: " + message):
        SGD(0.1, **arguments)


def test_refuses_unknown_arguments():
    with pytest.raises(TypeError, match=r"Adam has no argument 'clip_norm'. Did you mean 'clipnorm'\?"):
        Adam(clip_norm=1.0)
    with pytest.raises(
        TypeError, match=r"SGD has no argument 'qqq'\. It has \['clipnorm', 'clipvalue', 'ema_momentum',"
    ):
        SGD(qqq=1)
    with pytest.raises(ValueError, match="adamw: weight_decay must be a number"):
        AdamW(weight_decay=None)
    with pytest.raises(ValueError, match=r"lion: beta_1 must be above 0. Received: beta_1=0"):
        Lion(beta_1=0)
    with pytest.warns(UserWarning, match="SGD: decay is ignored") as caught:
        SGD(0.1, decay=0.5)
    assert caught[0].filename == __file__


def test_refuses_gradients():
    optimizer, (a, b) = SGD(), parameters((3,), (2,))
    with pytest.raises(ValueError, match="sgd: apply needs trainable_variables"):
        optimizer.apply([np.zeros(3)])
    optimizer.apply([])
    optimizer.build([a])
    with pytest.raises(ValueError, match=r"sgd: expected 1 gradients. Received: 2"):
        optimizer.apply([np.zeros(3), np.zeros(3)])
    with pytest.raises(ValueError, match=r"sgd: .*dense/bias.* is unknown: the optimizer was built for other weights"):
        optimizer.apply([np.zeros(2)], [b])
    with pytest.raises(ValueError, match="sgd: no gradient was given for any weight"):
        optimizer.apply([None])
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(3,\) for dense/kernel. Received: \(4,\)"):
        optimizer.apply([np.zeros(4)])
    optimizer = SGD()
    with pytest.warns(UserWarning, match=r"sgd: there are no gradients for \['dense/bias'\]"):
        optimizer.apply([np.ones(3), None], [a, b])


def test_scale_loss():
    assert optimizers.SGD(loss_scale_factor=1024.0).scale_loss(1.0) == 1024.0
    assert optimizers.SGD().scale_loss(1.5) == 1.5
