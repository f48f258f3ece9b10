"""Whole networks: parameters counted as published, training, predicting, saving, threads, slopes, frozen parts."""

import networks
import numpy as np
import pytest
from harness import same_bits, uniform
from networks import SMALL

import dlcore
from dlcore import Model, Sequential, layers, utils
from dlcore.optimizers import SGD, Adam

SPARSE = "sparse_categorical_crossentropy"


def samples(name, count=48, seed=0):
    """Inputs, and classes that follow from them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count).astype(np.int32)
    if name == "text_cnn":
        x = rng.integers(0, 40, (count, 17)).astype(np.int32)
        x[np.arange(count), y] = y
        return x, y
    x = rng.normal(0, 0.5, (count, *SMALL[name]["shape"])).astype(np.float32)
    return x + np.linspace(-1, 1, 4, dtype=np.float32)[y].reshape(-1, *[1] * (x.ndim - 1)), y


def small(name, optimizer=None, seed=1, **arguments):
    utils.set_random_seed(seed)
    model = getattr(networks, name)(dlcore, **SMALL[name], **arguments)
    model.compile(optimizer or Adam(0.003), SPARSE, metrics=["accuracy"])
    return model


def bits(arrays):
    return b"".join(array.tobytes() for array in arrays)


# ---------------------------------------------------------------------------------------------------------------------
# Building

COUNTS = [  # parameters in all, and trainable; as the source has them
    ("mlp", {}, 669_706, 669_706),  # Keras' MNIST example
    ("lenet5", {}, 61_706, 61_706),
    ("vgg16", {}, 14_714_688, 14_714_688),  # keras.applications.VGG16(include_top=False)
    ("inception", {}, 562_618, 562_618),  # Keras with the same function, as well as those below
    ("mobilenet", {}, 3_228_864, 3_206_976),  # keras.applications.MobileNet(include_top=False)
    ("mobilenet", dict(classes=1000), 4_253_864, 4_231_976),  # with it
    ("mobilenet", dict(alpha=0.25), 218_544, 213_072),
    ("resnet20", {}, 271_098, 269_722),  # the paper's 0.27 million
    ("resnet20", dict(shortcut="projection", bias=True), 274_442, 273_066),  # Keras' example for CIFAR-10
    ("text_cnn", {}, 350_751, 350_751),  # Keras' example for IMDB
    ("siamese", {}, 857, 857),
    ("two_by_two", {}, 396, 396),
]


@pytest.mark.parametrize("name, arguments, parameters, trainable", COUNTS)
def test_parameters_are_as_many_as_published(name, arguments, parameters, trainable):
    model = getattr(networks, name)(dlcore, **arguments)
    assert model.count_params() == parameters
    assert sum(w.value.size for w in model.trainable_weights) == trainable


def test_blocks_of_googlenet_are_of_the_published_size():
    """Its table 1 says 159K and 380K weights; these are 159.5 and 379 times 1024, without biases."""
    for channels, filters, kilo in ((192, (64, 96, 128, 16, 32, 32), 159), (256, (128, 128, 192, 32, 96, 64), 380)):
        inputs = dlcore.Input((8, 8, channels))
        model = Model(inputs, networks.inception_block(dlcore, inputs, *filters))
        kernels = sum(w.value.size for w in model.weights if w.value.ndim == 4)
        assert kernels / 1024 == pytest.approx(kilo, abs=1)
        assert model.output_shape == (None, 8, 8, sum(filters[i] for i in (0, 2, 4, 5)))


def test_twenty_layers_of_resnet():
    for blocks, depth in ((3, 20), (5, 32)):
        model = networks.resnet20(dlcore, blocks=blocks)
        assert sum(isinstance(layer, (layers.Conv2D, layers.Dense)) for layer in model.layers) == depth
        shapes = [layer.output_shape for layer in model.layers if isinstance(layer, layers.Add)]
        assert shapes == [(None, 32 // k, 32 // k, 16 * k) for k in (1, 2, 4) for _ in range(blocks)]


def test_shortcut_of_zeros():
    """Every second pixel, with channels of zeros on both sides."""
    inputs = dlcore.Input((6, 8, 4))
    x = layers.Permute((1, 3, 2))(layers.MaxPooling2D(1, strides=2)(inputs))
    model = Model(inputs, layers.Permute((1, 3, 2))(layers.ZeroPadding2D(((0, 0), (2, 2)))(x)))
    x = uniform(3, 6, 8, 4)
    assert same_bits(model.predict(x), np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2))))


# ---------------------------------------------------------------------------------------------------------------------
# Training and using


@pytest.mark.parametrize("name", SMALL)
def test_training_lowers_the_loss(name):
    model, (x, y) = small(name, Adam(0.01 if name == "text_cnn" else 0.003)), samples(name)
    history = model.fit(x, y, batch_size=16, epochs=12, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < 0.8 * history["loss"][0] and history["accuracy"][-1] > history["accuracy"][0]


@pytest.mark.parametrize("name", SMALL)
def test_predicting_in_batches_is_predicting_at_once(name):
    model, (x, y) = small(name), samples(name, 23)
    model.fit(x, y, batch_size=8, verbose=0)
    whole = model.predict(x)
    assert whole.shape == (23, 4) and np.allclose(whole.sum(1), 1, atol=1e-6)
    for batch in (1, 5, 16):
        assert same_bits(model.predict(x, batch_size=batch), whole)
    assert same_bits(np.concatenate([model.predict(x[i : i + 1]) for i in range(23)]), whole)
    assert same_bits(np.asarray(model(x)), whole)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0, batch_size=7), rel=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_weights_do_not_depend_on_threads(name):
    x, y = samples(name, 45)
    found = set()
    for threads in (1, 2, 3):
        with dlcore.threads(threads):
            model = small(name)
            history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history  # 16, 16, 13
            found.add(bits([*model.get_weights(), model.predict(x)]) + repr(history).encode())
    assert len(found) == 1


@pytest.mark.parametrize("name", SMALL)
def test_a_saved_network_goes_on_as_it_would_have(name, tmp_path):
    model, (x, y) = small(name), samples(name)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "network.safetensors")
    again = dlcore.models.load_model(tmp_path / "network.safetensors")
    assert same_bits(again.predict(x), model.predict(x))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", SMALL)
def test_a_network_from_its_configuration(name):
    model, (x, _) = small(name), samples(name)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config() and same_bits(again.predict(x), model.predict(x))


@pytest.mark.parametrize("name", SMALL)
def test_slope_of_the_loss_along_each_weight(name):
    """d loss / d h of w + h g / |g| is |g|, by central differences. With tanh the only corners are those of pooling,
    which a small enough step avoids; a larger one has the smaller rounding."""
    with dlcore.threads(1):  # as there is little to do in each of many steps
        check_slopes(small(name, SGD(1.0), activation="tanh"), *samples(name, 16))


def check_slopes(model, x, y):
    before = model.get_weights()
    model.train_on_batch(x, y)
    slopes = [a.astype(np.float64) - b for a, b in zip(before, model.get_weights(), strict=True)]
    model.compile(SGD(0.0), SPARSE)  # which gives the loss as training computes it, and changes nothing

    def step(i, h):
        """The loss, and how far the weight really moved."""
        moved = [np.array(w) for w in before]
        moved[i] += (h * slopes[i] / norm).astype(np.float32)
        model.set_weights(moved)
        return model.train_on_batch(x, y), np.vdot(moved[i].astype(np.float64) - before[i], slopes[i]) / norm

    best = {}
    for i, weight in enumerate(model.weights):
        if not weight.trainable:
            continue
        norm = np.linalg.norm(slopes[i])
        assert norm > 1e-3, weight.name
        errors = []
        for change in (1e-3, 3e-4, 1e-4):  # of the loss
            (up, right), (down, left) = (step(i, sign * min(change / norm, 0.02)) for sign in (1, -1))
            errors.append(abs((up - down) / (right - left) / norm - 1))
        best[weight.name] = min(errors)
    assert max(best.values()) < 5e-3 and np.median(list(best.values())) < 1e-4, best


# ---------------------------------------------------------------------------------------------------------------------
# Frozen parts


def test_tuning_the_head_of_a_frozen_network():
    """The rest stays as it is, moving statistics too; and gives what predicting gives."""
    base, (x, y) = small("resnet20"), samples("resnet20")
    base.fit(x, y, verbose=0)
    body = Model(base.inputs, base.layers[-2].output, name="body")
    body.trainable = False
    before, features = body.get_weights(), body.predict(x)
    inputs = dlcore.Input((12, 12, 3))
    head = layers.Dense(4, activation="softmax")
    model = Model(inputs, head(body(inputs)))
    model.compile(SGD(0.1), SPARSE)
    assert model.trainable_weights == head.weights and len(model.non_trainable_weights) == len(body.weights)
    alone = Sequential([dlcore.Input(features.shape[1:]), layers.Dense(4, activation="softmax")])
    alone.set_weights(head.get_weights())
    alone.compile(SGD(0.1), SPARSE)
    together, apart = (m.fit(data, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
                       for m, data in ((model, x), (alone, features)))  # fmt: skip
    assert bits(body.get_weights()) == bits(before) and together[-1] < together[0]
    np.testing.assert_allclose(together, apart, rtol=1e-5)
    for a, b in zip(head.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    body.trainable = True
    model.compile(SGD(0.01), SPARSE)
    model.fit(x, y, verbose=0)
    assert not any(same_bits(a, b) for a, b in zip(body.get_weights(), before, strict=True))


@pytest.mark.parametrize("name", ["mobilenet", "resnet20"])
def test_frozen_normalization_uses_its_moving_statistics(name):
    model, (x, y) = small(name, SGD(0.05)), samples(name)
    model.fit(x, y, verbose=0)
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    model.compile(SGD(0.05), SPARSE)
    before = [bits(layer.get_weights()) for layer in norms]
    expected = model.evaluate(x, y, verbose=0)
    assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-5)
    assert [bits(layer.get_weights()) for layer in norms] == before
    assert model.evaluate(x, y, verbose=0) < expected


def test_a_frozen_layer_in_the_middle_lets_slopes_through():
    model, (x, y) = small("inception"), samples("inception")
    frozen = model.layers[3:9]
    for layer in frozen:
        layer.trainable = False
    model.compile(Adam(0.003), SPARSE)
    before = [layer.get_weights() for layer in model.layers]
    model.fit(x, y, verbose=0)
    for layer, old in zip(model.layers, before, strict=True):
        same = [same_bits(a, b) for a, b in zip(layer.get_weights(), old, strict=True)]
        assert all(same) if layer in frozen else not any(same), layer.name


# ---------------------------------------------------------------------------------------------------------------------
# Shared layers, several inputs and outputs


def test_siamese():
    utils.set_random_seed(3)
    model = networks.siamese(dlcore)
    encoder = model.get_layer("encoder")
    assert len(model.weights) == len(encoder.weights) + 2 and model.input_names == ["a", "b"]
    a, b = uniform(40, 12, 12, 1), uniform(40, 12, 12, 1, seed=1)
    b[::2] = a[::2]
    y = (np.arange(40) % 2 == 0).astype(np.float32)
    assert same_bits(model.predict([a, b]), model.predict([b, a])) and model.predict([a, a]).std() == 0
    assert same_bits(model.predict({"b": b, "a": a}), model.predict([a, b]))
    model.compile(Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit([a, b], y, batch_size=8, epochs=15, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0] and history["accuracy"][-1] > 0.9
    distance = np.square(encoder.predict(a) - encoder.predict(b))
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model.predict([a, b]), 1 / (1 + np.exp(-distance @ kernel - bias)), rtol=1e-4, atol=1e-6)


def test_the_slopes_of_shared_weights_add_up():
    """Twice the same image: those of one with twice the slope; far images: the sum of both."""

    def made(shared):
        utils.set_random_seed(4)
        dense = [layers.Dense(3, name="one"), layers.Dense(3, name="two")]
        a, b = dlcore.Input((5,)), dlcore.Input((5,))
        y = layers.Add()([layers.Activation("tanh")(dense[0](a)), dense[0 if shared else 1](b)])
        model = Model([a, b], layers.Dense(1, kernel_initializer="ones")(y))
        model.compile(SGD(0.1), "mse")
        return model, dense

    a, b, y = uniform(9, 5), uniform(9, 5, seed=1), uniform(9, 1)
    (once, (shared, _)), (twice, (one, two)) = made(True), made(False)
    start = shared.get_weights()
    one.set_weights(start)
    two.set_weights(start)
    assert once.train_on_batch([a, b], y) == twice.train_on_batch([a, b], y)
    for w, first, second, old in zip(*(d.get_weights() for d in (shared, one, two)), start, strict=True):
        np.testing.assert_allclose(w - old, (first - old) + (second - old), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_and_outputs(named):
    utils.set_random_seed(5)
    model = networks.two_by_two(dlcore)
    x = {"image": uniform(30, 10, 9, 2), "row": uniform(30, 5)}
    y = {"kind": np.arange(30) % 3, "size": x["row"].sum(1, keepdims=True)}
    loss, weights, metrics = {"kind": SPARSE, "size": "mse"}, {"kind": 1.0, "size": 0.25}, {"kind": "accuracy"}
    if not named:
        x, y = list(x.values()), list(y.values())
        loss, weights, metrics = list(loss.values()), list(weights.values()), [["accuracy"], []]
    model.compile(Adam(0.01), loss, loss_weights=weights, metrics=metrics)
    history = model.fit(x, y, batch_size=7, epochs=20, verbose=0).history
    assert set(history) == {"loss", "kind_loss", "size_loss", "kind_accuracy"}
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    kind, size = model.predict(x)
    target = list(y.values()) if named else y
    expected = [-np.log(kind[np.arange(30), target[0]]).mean(), np.square(size - target[1]).mean()]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(expected[0] + 0.25 * expected[1], rel=1e-5)
    assert logs["kind_accuracy"] == pytest.approx((kind.argmax(1) == target[0]).mean())
    slopes = {}
    for only in (0, 1):  # a weight of 0 leaves the other output's head alone
        model.compile(SGD(0.1), list(loss.values()) if named else loss, loss_weights=[1.0 - only, float(only)])
        before = [layer.get_weights() for layer in (model.get_layer("kind"), model.get_layer("size"))]
        model.train_on_batch(x, y)
        after = [layer.get_weights() for layer in (model.get_layer("kind"), model.get_layer("size"))]
        slopes[only] = [bits(a) != bits(b) for a, b in zip(before, after, strict=True)]
    assert slopes == {0: [True, False], 1: [False, True]}


def test_a_model_within_a_model_within_a_model():
    utils.set_random_seed(6)
    inner = Sequential([dlcore.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.BatchNormalization()], name="inner")
    a = dlcore.Input((8, 8, 2))
    middle = Model(a, layers.GlobalAveragePooling2D()(layers.ReLU()(inner(a))), name="middle")
    model = Sequential([dlcore.Input((8, 8, 2)), middle, layers.Dense(3, activation="softmax")])
    flat = Sequential([dlcore.Input((8, 8, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(), layers.ReLU(),
                       layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")])  # fmt: skip
    flat.set_weights(model.get_weights())
    x, y = uniform(20, 8, 8, 2), np.arange(20) % 3
    for m in (model, flat):
        m.compile(Adam(0.01), SPARSE)
        m.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    assert bits(model.get_weights()) == bits(flat.get_weights()) and same_bits(model.predict(x), flat.predict(x))
    assert same_bits(middle.predict(x), Model(flat.inputs, flat.layers[-2].output).predict(x))
