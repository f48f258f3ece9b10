"""Initial weights: bounds and variance by fan, the same numbers for the same seed for ever, and names."""

import hashlib
import json

import numpy as np
import pytest

from dlcore import Sequential, _random, initializers, layers, utils

GOLDEN = {  # first of six numbers of shape (2, 3) for seed 42: they never change
    "random_uniform": 0.03201982, "random_normal": 0.03157531, "truncated_normal": 0.03157531,
    "variance_scaling": 0.50765043, "glorot_uniform": 0.70151901, "glorot_normal": 0.45405635, "he_uniform": 1.10919893,
    "he_normal": 0.71792614, "lecun_uniform": 0.78432208, "lecun_normal": 0.50765043,
    "orthogonal": 0.37569165,
}  # fmt: skip
BITS = {  # of all 18000 numbers of shape (3, 5, 40, 30) for seed 42, so on every machine and with every NumPy
    "random_uniform": "00c664570edb2962", "random_normal": "e0779ff6bb3e280e", "truncated_normal": "00ca4ce890508597",
    "glorot_uniform": "78efb40114fff927", "glorot_normal": "4524291147ed1898", "he_normal": "57d551305c268a6c",
    "orthogonal": "d3cb28f40f0797ab",
}  # fmt: skip
SCALED = {  # variance of a weight from fan in i and fan out o
    "glorot_uniform": lambda i, o: 2 / (i + o), "glorot_normal": lambda i, o: 2 / (i + o),
    "he_uniform": lambda i, o: 2 / i, "he_normal": lambda i, o: 2 / i, "lecun_uniform": lambda i, o: 1 / i,
    "lecun_normal": lambda i, o: 1 / i,
}  # fmt: skip
SHAPES = [((300, 100), 300, 100), ((3, 5, 40, 60), 600, 900), ((1, 1, 100, 200), 100, 200)]


def make(name, seed=42):
    return initializers.get({"class_name": name, "config": {"seed": seed}})


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
    values = make(name)((2, 3))
    assert values.shape == (2, 3) and values.dtype == np.float32
    assert values[0, 0] == pytest.approx(GOLDEN[name], rel=1e-6)
    np.testing.assert_array_equal(values, make(name)((2, 3)))
    assert abs(values - make(name, 43)((2, 3))).min() > 0


@pytest.mark.parametrize("name", BITS)
def test_golden_bits(name):
    values = make(name)((3, 5, 40, 30)).astype("<f4")
    assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == BITS[name]


def test_logarithm_and_cosine_of_basic_operations():
    u = np.concatenate([_random.uniform(3, 100_000), [0, 0.125, 0.25, 0.5, 0.625, 0.75, 1 - 2.0**-53]])
    np.testing.assert_allclose(_random._log(1 - u), np.log1p(-u), rtol=1e-15)
    np.testing.assert_allclose(_random._cosine(u), np.cos(2 * np.pi * u), atol=1e-15)
    assert _random._log(np.array([2.0**-53]))[0] == pytest.approx(-53 * np.log(2), rel=1e-15)


@pytest.mark.parametrize("shape", [(7, 7), (30, 8), (8, 30), (3, 3, 5, 16), (1, 1, 3, 40), (1, 9), (9, 1), (300, 300)])
def test_orthogonal(shape):
    q = np.float64(initializers.Orthogonal(gain=1.5, seed=5)(shape)).reshape(-1, shape[-1]) / 1.5
    if len(q) < q.shape[1]:
        q = q.T
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-6)
    # that of the QR decomposition with a positive diagonal of R
    few, many = sorted((int(np.prod(shape[:-1])), shape[-1]))
    a, r = np.linalg.qr(_random.normal(5, few * many).reshape(few, many).T)
    np.testing.assert_allclose(q, a * np.sign(np.diag(r)), atol=1e-6)


@pytest.mark.parametrize("shape, fan_in, fan_out", SHAPES)
@pytest.mark.parametrize("name", SCALED)
def test_variance_follows_the_fans(name, shape, fan_in, fan_out):
    values, variance = np.float64(make(name)(shape)), SCALED[name](fan_in, fan_out)
    assert values.var() == pytest.approx(variance, rel=0.03)
    assert abs(values.mean()) < 4 * np.sqrt(variance / values.size)
    if "uniform" in name:
        limit = np.sqrt(3 * variance)
        assert 0.999 * limit < abs(values).max() <= limit
    else:  # cut at two deviations of the normal before it is scaled
        limit = 2 * np.sqrt(variance) / 0.87962566103423978
        assert 0.99 * limit < abs(values).max() <= limit * (1 + 1e-6)


def test_fans_of_vectors_and_scalars():
    assert initializers.fans((2, 3, 5, 7), [0, 1], [2]) == (6, 5)
    deep = initializers.HeNormal(seed=1, input_axes=[0, 2], output_axes=[1])
    assert deep((20, 50, 30)).var() == pytest.approx(2 / 600, rel=0.03)
    assert [initializers.fans(shape) for shape in [(), (7,), (2, 3), (5, 2, 3)]] == [(1, 1), (7, 7), (2, 3), (10, 15)]


def test_uniform_and_normal():
    values = initializers.RandomUniform(-1, 3, seed=1)((100, 100))
    assert -1 <= values.min() < -0.99 and 2.99 < values.max() < 3
    values = initializers.RandomNormal(2, 0.5, seed=1)((300, 300))
    assert values.mean() == pytest.approx(2, abs=0.01) and values.std() == pytest.approx(0.5, rel=0.01)
    assert np.abs(values - 2).max() > 1.5
    values = initializers.TruncatedNormal(2, 0.5, seed=1)((300, 300))
    assert 0.99 < np.abs(values - 2).max() <= 1


def test_constants():
    np.testing.assert_array_equal(initializers.get("zeros")((2, 2)), np.zeros((2, 2)))
    np.testing.assert_array_equal(initializers.get("ones")((3,)), np.ones(3))
    np.testing.assert_array_equal(initializers.Constant(0.5)((2,)), [0.5, 0.5])
    np.testing.assert_array_equal(initializers.Constant([1, 2, 3])((2, 3)), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(initializers.Identity(2)((2, 3)), [[2, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(initializers.get(np.eye(2))((2, 2)), np.eye(2))
    assert initializers.get("constant")((1, 2), dtype="float32").dtype == np.float32


def test_without_a_seed_each_call_draws_anew_from_the_global_seed():
    drawn = []
    for _ in range(2):
        utils.set_random_seed(11)
        initializer = initializers.GlorotUniform()
        drawn.append([initializer((2, 3)), initializer((2, 3))])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert abs(drawn[0][0] - drawn[0][1]).min() > 0


@pytest.mark.parametrize("name", [*GOLDEN, "zeros", "ones", "constant", "identity"])
def test_names_and_configurations(name):
    initializer = initializers.get(name)
    config = json.loads(json.dumps(initializers.serialize(initializer)))
    again = initializers.get(config)
    assert type(again) is type(initializer) is type(initializers.get(type(initializer).__name__))
    assert initializers.serialize(again) == initializers.serialize(initializer.clone()) == config
    assert getattr(initializers, name) is type(initializer) and type(initializers.get(type(initializer))) is type(again)
    if name in GOLDEN:
        np.testing.assert_array_equal(initializers.get(initializers.serialize(make(name)))((2, 2)), make(name)((2, 2)))


def test_other_names_of_keras():
    for name, cls in [("zero", "Zeros"), ("one", "Ones"), ("uniform", "RandomUniform"), ("normal", "RandomNormal"),
                      ("IdentityInitializer", "Identity"), ("OrthogonalInitializer", "Orthogonal")]:  # fmt: skip
        assert type(initializers.get(name)).__name__ == cls
    assert initializers.VarianceScaling(distribution="normal").distribution == "truncated_normal"
    config = initializers.serialize(initializers.Constant([1, 2]))
    np.testing.assert_array_equal(initializers.get(json.loads(json.dumps(config)))((2,)), [1, 2])


def test_a_function_of_the_shape():
    layer = layers.Dense(2, kernel_initializer=lambda shape: np.arange(6).reshape(shape), bias_initializer="ones")
    Sequential([layers.Input((3,)), layer])
    np.testing.assert_array_equal(layer.get_weights()[0], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(layer.get_weights()[1], [1, 1])
    with pytest.raises(ValueError, match=r"initializer: .* cannot be saved"):
        initializers.serialize(lambda shape: None)


@pytest.mark.parametrize("bad, message", [
    (lambda: initializers.get("xavier"), "initializer: expected one of .*'glorot_uniform'.* Received: 'xavier'"),
    (lambda: initializers.get(3), "initializer: expected a name, an Initializer or a function. Received: 3"),
    (lambda: initializers.VarianceScaling(scale=0), "scale must be positive. Received: scale=0"),
    (lambda: initializers.VarianceScaling(mode="fan"), "mode must be one of .* Received: mode='fan'"),
    (lambda: initializers.VarianceScaling(scale="1"), "VarianceScaling: scale must be a number. Received: scale='1'"),
    (lambda: initializers.VarianceScaling(distribution="gamma"), "distribution must be one of .*='gamma'"),
    (lambda: initializers.HeNormal(input_axes=3), "HeNormal: input_axes must be a list of .* Received: input_axes=3"),
    (lambda: initializers.HeNormal(seed=1.5), "HeNormal: seed must be a whole number or None. Received: seed=1.5"),
    (lambda: initializers.RandomUniform(1, 0), "minval must not be above maxval. Received: minval=1, maxval=0"),
    (lambda: initializers.RandomUniform("a"), "RandomUniform: minval must be a number. Received: minval='a'"),
    (lambda: initializers.RandomNormal(0, -1), "RandomNormal: stddev must not be negative. Received: stddev=-1"),
    (lambda: initializers.Constant("a"), "Constant: value must be a number or an array. Received: value='a'"),
    (lambda: initializers.Identity()((3,)), r"Identity: shape must be that of a matrix.* Received: shape=\(3,\)"),
    (lambda: initializers.Orthogonal()((3,)), r"Orthogonal: shape must have two sizes .* Received: shape=\(3,\)"),
    (lambda: initializers.Zeros()((3,), "float64"), "Zeros: dtype must be 'float32'.* Received: dtype='float64'"),
    (lambda: initializers.get({"config": {}}), "initializer: expected a dict with class_name and config. Received:"),
    (lambda: initializers.get(np.ones(2))((3,)), r"initializer: expected an array of shape \(3,\). Received: \(2,\)"),
])  # fmt: skip
def test_refuses(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()
