"""Swaps Keras' classes for dlcore's in Keras' own test modules: a pytest plugin, `pytest -p swap --pyargs keras...`.

The test modules are imported as they stand. Each global name in them that means a class, function or module of Keras of
which dlcore has the namesake is bound to an adapter of that (see `adapters`). What stays Keras' is what the tests are
written with: `testing.TestCase`, `ops`, `backend`, `random`, `utils`.

A test is *unmodified* when nothing but these names was changed for it. It is *reduced* when it called `run_layer_test`
or `run_class_serialization_test`, which look into Keras' own machinery and have shorter namesakes here, or when an
error was of the right type but said it in other words. A test that never came to dlcore counts for nothing.
"""

import json
import os
import re
import sys
import types

import adapters
import keras
import numpy as np
import pytest
from keras.src import backend, testing

import dlcore

marks = {"dlcore": False, "reduced": set()}


def skip_if_backend(name, reason):
    return pytest.mark.skipif(backend.backend() == name, reason=reason)


# what some of the modules import from Keras' own conftest.py, which its wheel lacks
conftest = types.ModuleType("conftest")
conftest.skip_if_backend = skip_if_backend
sys.modules["conftest"] = conftest


def short(item):
    """layers/core/dense_test.py::DenseTest::test_dense, wherever Keras lies."""
    file = item.module.__name__.removeprefix("keras.src.").replace(".", "/")
    return "::".join([f"{file}.py", *item.nodeid.split("::")[1:]])


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """While a test module is imported, `from keras.src import layers` finds dlcore's: lists of cases name classes."""
    if not isinstance(collector, pytest.Module):
        yield
        return
    real = {name: getattr(keras.src, name) for name in adapters.ROOMS if "." not in name}
    for name, module in real.items():
        setattr(keras.src, name, adapters.instead_of(module))
    try:
        yield
    finally:
        for name, module in real.items():
            setattr(keras.src, name, module)


def pytest_collection_modifyitems(session, config, items):
    for module in dict.fromkeys(item.module for item in items):
        for name, value in list(vars(module).items()):
            if (other := adapters.instead_of(value)) is not None:
                setattr(module, name, other)


@pytest.fixture(autouse=True)
def _seen():
    marks["dlcore"], marks["reduced"] = False, set()
    adapters.touched = lambda: marks.update(dlcore=True)
    adapters.reduced = reduced
    dlcore.utils.set_random_seed(1337)
    np.random.seed(1337)  # noqa: NPY002 - the tests draw from it
    yield


def reduced(what):
    marks["reduced"].add(what)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.user_properties.append(("name", short(item)))
    if report.when == "call" or report.skipped:
        report.user_properties.append(("dlcore", marks["dlcore"]))
        report.user_properties.append(("reduced", sorted(marks["reduced"])))


results = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.skipped or report.failed:
        known = dict(report.user_properties)
        results[known["name"]] = {
            "outcome": report.outcome,
            "dlcore": known.get("dlcore", False),
            "reduced": known.get("reduced", []),
            "message": str(report.longrepr)[-1500:] if not report.passed else "",
        }


def pytest_sessionfinish(session):
    if path := os.environ.get("DLCORE_CONFORMANCE_REPORT"):
        with open(path, "w") as file:
            json.dump(results, file)


# -- reduced versions of what looks into Keras' own machinery


def run_class_serialization_test(self, instance, custom_objects=None):
    """get_config is JSON, and from_config makes the same of it."""
    reduced("run_class_serialization_test")
    config = instance.get_config()
    json.dumps(config, default=adapters.plain)
    revived = type(instance).from_config(config)
    self.assertEqual(json.dumps(config, default=adapters.plain, sort_keys=True),
                     json.dumps(revived.get_config(), default=adapters.plain, sort_keys=True))  # fmt: skip
    return revived


def run_layer_test(
    self,
    layer_cls,
    init_kwargs,
    input_shape=None,
    input_dtype=None,
    input_sparse=False,
    input_ragged=False,
    input_data=None,
    call_kwargs=None,
    expected_output_shape=None,
    expected_output_dtype=None,
    expected_output=None,
    expected_num_trainable_weights=None,
    expected_num_non_trainable_weights=None,
    expected_num_losses=None,
    custom_objects=None,
    run_training_check=True,
    **keras_only,
):
    """Shape, dtype, values, numbers of weights, config round trip, and one step of training."""
    reduced("run_layer_test")
    call_kwargs = call_kwargs or {}
    several = isinstance(input_shape, list) or (input_shape and isinstance(input_shape[0], (list, tuple)))
    if input_data is None and input_shape is not None:
        rng = np.random.default_rng(0)

        def data(shape):
            if "int" in str(input_dtype):
                return rng.integers(0, 2, shape).astype("int32")
            return rng.standard_normal(shape).astype("float32")

        input_data = [data(shape) for shape in input_shape] if several else data(input_shape)
    self.run_class_serialization_test(layer_cls(**init_kwargs), custom_objects)
    if input_data is None:
        return
    several = isinstance(input_data, (list, tuple))
    shapes = [np.shape(x) for x in input_data] if several else np.shape(input_data)

    built = layer_cls(**init_kwargs)
    built.build(shapes)
    called = layer_cls(**init_kwargs)
    output = called(input_data, **call_kwargs)
    for layer in (built, called):
        self.assertTrue(layer.built or not layer.weights)
        if expected_num_trainable_weights is not None:
            self.assertLen(layer.trainable_weights, expected_num_trainable_weights)
        if expected_num_non_trainable_weights is not None:
            self.assertLen(layer.non_trainable_weights, expected_num_non_trainable_weights)
    if expected_output_shape is not None:
        self.assertEqual(tuple(output.shape), tuple(expected_output_shape))
        self.assertEqual(tuple(layer_cls(**init_kwargs).compute_output_shape(shapes)), tuple(expected_output_shape))
    if expected_output_dtype is not None:
        self.assertDType(output, expected_output_dtype)
    if expected_output is not None:
        self.assertAllClose(output, expected_output)
    if expected_num_losses is not None:
        self.assertLen(called.losses, expected_num_losses)
    if run_training_check and not layer_cls.integer_inputs:
        adapters.train_step(layer_cls(**init_kwargs), input_data)


class _Raises:
    """assertRaisesRegex that lets an error speak in other words, and tells."""

    def __init__(self, case, types_, pattern):
        self.types, self.pattern, self.case = types_, pattern, case

    def __enter__(self):
        return self

    def __exit__(self, cls, error, traceback):
        if cls is None:
            raise self.case.failureException(f"{self.types} not raised")
        if not issubclass(cls, self.types):
            return False
        self.exception = error.with_traceback(None)
        if not re.search(self.pattern, str(error)):
            reduced("error in other words")
        return True


def assert_raises_regex(self, types_, pattern, *arguments, **keywords):
    context = _Raises(self, types_, pattern)
    if arguments:
        with context:
            arguments[0](*arguments[1:], **keywords)
    return context


testing.TestCase.run_class_serialization_test = run_class_serialization_test
testing.TestCase.run_layer_test = run_layer_test
testing.TestCase.assertRaisesRegex = assert_raises_regex
