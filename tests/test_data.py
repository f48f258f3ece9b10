"""The data side of fit: what users give becomes chunks that a Feed takes, in a known order, or a clear error."""

import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

from dlcore import utils
from dlcore.kernels.data import Feed
from dlcore.models import data as data_side
from dlcore.models.data import ArrayData, Chunk, Indexed, Iterables, Prefetcher, Spec, adapt, checks

SPEC = [Spec("pixels", (4, 3, 2))]
N = 10
X = np.arange(N * 24, dtype=np.float32).reshape(N, 4, 3, 2)
Y = np.arange(N, dtype=np.int32) % 3


def classes(y, argument):
    y = np.asarray(y)
    if y.ndim != 1 or (y.size and y.max() > 2):
        raise ValueError(f"{argument}: bad classes")
    return np.ascontiguousarray(y, np.int32)


def numbers(y, argument):
    return np.ascontiguousarray(y, np.float32)


class Target(NamedTuple):
    name: str
    check: Any
    classes: int | None = None
    ignored: int | None = None
    positions: tuple[int, ...] = ()

    def class_numbers(self, y):
        return (
            y.argmax(1) if y.ndim == 2 and y.shape[1] > 1 and not self.positions else y.reshape(len(y), *self.positions)
        )


TARGET = [Target("class", classes)]


def bound(x, y=None, w=None, *, specs=SPEC, targets=TARGET, check=False, **options):
    data = adapt(x, y, w, **{"batch_size": 4, "model": "net", **options})
    data.bind(specs, targets, check)
    return data


def rows(chunks, what=0):
    """The rows of an epoch, one array a step, as the programs gather them."""
    found = []
    for chunk in chunks:
        array = (chunk.x, chunk.y, chunk.w)[what][0]
        array = array if chunk.order is None else array[chunk.order]
        assert len(array) == chunk.rows
        found += [array[at : at + chunk.batch] for at in range(0, chunk.rows, chunk.batch)]
    return found


def epoch(data, number=0, seed=5, start=0, what=0):
    with contextlib.closing(data.epoch(number, seed, start)) as chunks:
        return rows(chunks, what)


def same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def feedable(data):
    """Every chunk goes into Feeds of the dtypes that `bind` told."""
    for chunk in data.epoch(0):
        for array, dtype in zip(chunk.x, data.dtypes, strict=True):
            Feed(dtype, int(np.prod(array.shape[1:]))).set(array, chunk.order)


# ---- arrays ----


def test_arrays_come_in_order_the_last_batch_smaller():
    data = bound(X, Y)
    assert (data.steps, data.samples, data.dtypes, data.weight_shapes) == (3, 10, ("f",), (None,))
    same(epoch(data), [X[:4], X[4:8], X[8:]])
    same(epoch(data, what=1), [Y[:4], Y[4:8], Y[8:]])
    (chunk,) = data.epoch(0)
    assert np.shares_memory(chunk.x[0], X)
    assert (chunk.rows, chunk.batch, chunk.steps, chunk.w) == (10, 4, 3, [None])


def test_a_shuffled_epoch_is_a_function_of_seed_and_number():
    data = bound(X, Y, shuffle=True)
    orders = [np.concatenate(epoch(data, e, seed, what=1)) for e, seed in ((0, 5), (1, 5), (0, 6), (0, 5))]
    same([orders[0]], [orders[3]])
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])
    seen = np.concatenate(epoch(data))
    np.testing.assert_array_equal(np.sort(seen[:, 0, 0, 0]), X[:, 0, 0, 0])
    same([np.concatenate(epoch(data, what=1))], [(seen[:, 0, 0, 0] / 24).astype(int) % 3])


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_goes_on_where_it_was_left(shuffle):
    data = bound(X, Y, shuffle=shuffle)
    for start in range(4):
        same(epoch(data, 2, start=start), epoch(data, 2)[start:])


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_of_an_epoch(steps):
    data = bound(X, Y, steps=steps)
    assert data.steps == steps
    stream = [b for e in range(6) for b in epoch(data, e)]
    passes = itertools.cycle([X[:4], X[4:8], X[8:]])
    same(stream, list(itertools.islice(passes, 6 * steps)))
    same(epoch(data, 2, start=1), epoch(data, 2)[1:])


def foreign(kind, tmp_path):
    readonly = X.copy()
    readonly.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.float32, offset=1).reshape(X.shape)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    mapped64 = np.memmap(tmp_path / "x64", np.float64, "w+", shape=X.shape)
    mapped64[:] = X
    return {
        "float64": X.astype(np.float64),
        "float16": X.astype(np.float16),
        "int64": X.astype(np.int64),
        "uint16": X.astype(np.uint16),
        "big-endian": X.astype(">f4"),
        "big-endian int": X.astype(">i2"),
        "reversed": X[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(X),
        "sliced": np.repeat(X, 2, axis=2)[:, :, ::2],
        "read-only": readonly,
        "unaligned": unaligned,
        "list": X.tolist(),
        "list of one": [X],
        "dict": {"pixels": X},
        "uint8": X.astype(np.uint8),
        "memmap": mapped,
        "memmap rows": mapped[:],
        "memmap float64": mapped64,
        "array of a memmap": np.asarray(mapped64),
    }[kind]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "kind",
    ["float64", "float16", "int64", "uint16", "big-endian", "big-endian int", "reversed", "Fortran", "sliced",
     "read-only", "unaligned", "list", "list of one", "dict", "uint8", "memmap", "memmap rows", "memmap float64",
     "array of a memmap"],
)  # fmt: skip
def test_whatever_the_array_the_values_are_right(kind, shuffle, tmp_path):
    x = foreign(kind, tmp_path)
    data = bound(x, Y, shuffle=shuffle)
    wanted = epoch(bound(X if kind != "uint8" else X.astype(np.uint8), Y, shuffle=shuffle))
    same(epoch(data), wanted)
    same(epoch(data, what=1), epoch(bound(X, Y, shuffle=shuffle), what=1))
    assert data.dtypes == ("B" if kind == "uint8" else "f",)
    feedable(data)
    if kind in ("memmap", "read-only", "memmap rows"):
        assert np.shares_memory(next(iter(data.epoch(0))).x[0], x)  # used where it lies


def test_bool_inputs():
    same(epoch(bound(X > 99, Y)), [b > 99 for b in (X[:4], X[4:8], X[8:])])


def test_a_mapped_file_of_other_numbers_is_not_read_whole(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    mapped[:] = X
    data = bound(mapped, Y)
    read = []
    inside = data.x[0].convert
    data.x[0].convert = lambda part, name: (read.append(len(part)), inside(part, name))[1]
    same(epoch(data), [X[:4], X[4:8], X[8:]])
    assert read == [4, 4, 2]
    front, back = data.split(0.3)
    same(epoch(back), [X[7:]])
    same(epoch(front, start=1), [X[4:7]])


def test_large_targets_in_a_mapped_file_are_converted_batch_by_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("dlcore.models.data.arrays.LARGE", 10)
    y = np.memmap(tmp_path / "y", np.float64, "w+", shape=(N, 2))
    y[:] = np.arange(2 * N).reshape(N, 2)
    seen = []

    def check(part, argument):
        seen.append(len(part))
        return numbers(part, argument)

    data = bound(X, y, targets=[Target("map", check)])
    same(epoch(data, what=1), [y[:4], y[4:8], y[8:]])
    assert seen == [1, 4, 4, 2]


def test_whole_numbers_for_an_input_that_reads_those():
    specs = [Spec("tokens", (2,), "i")]
    x = np.arange(8).reshape(4, 2)
    for given in (x, x.astype(np.int32), x.astype(np.float32), x.astype(np.uint8), x.tolist()):
        data = bound(given, Y[:4], specs=specs)
        assert data.dtypes == ("i",)
        same(epoch(data), [x])
        feedable(data)
    with pytest.raises(ValueError, match=r"x: expected whole numbers\. Received: 0\.5"):
        bound(np.full((4, 2), 0.5), Y[:4], specs=specs)
    with pytest.raises(ValueError, match=r"x: expected whole numbers within int32\. Received: 0 to 4294967296"):
        bound(np.array([[0, 2**32]]), Y[:1], specs=specs)
    with pytest.raises(ValueError, match=r"x: expected whole numbers\. Received: nan"):
        bound(np.full((4, 2), np.nan), Y[:4], specs=specs)


def test_several_inputs_and_outputs_by_place_and_by_name():
    specs, targets = [*SPEC, Spec("age", (1,))], [*TARGET, Target("score", numbers)]
    age, score = np.arange(N) * 1.5, np.arange(N) + 0.25
    for x in ([X, age], (X, age[:, None]), {"age": age, "pixels": X}):
        for y in ([Y, score], {"score": score, "class": Y}):
            data = bound(x, y, specs=specs, targets=targets, shuffle=True)
            (chunk,) = data.epoch(3, 1)
            assert [a.shape for a in chunk.x] == [X.shape, (N, 1)] and data.dtypes == ("f", "f")
            np.testing.assert_allclose(chunk.x[1][chunk.order][:, 0], chunk.y[1][chunk.order] * 1.5 - 0.375)
    for w, shapes in (
        (np.ones(N), [(), ()]),
        ([None, np.ones((N, 5))], [None, (5,)]),
        ({"class": np.ones((N, 1))}, [(), None]),
    ):
        assert list(bound(x, y, w, specs=specs, targets=targets).weight_shapes) == shapes


def test_without_targets_they_are_left_alone():
    data = bound(X, targets=[])
    (chunk,) = data.epoch(0)
    assert chunk.y == [] and chunk.w == []
    assert epoch(bound([(X[:4], "no numbers")].__iter__(), targets=[]))[0].shape == (4, 4, 3, 2)


def test_sample_shapes_for_a_model_without_one():
    assert adapt(X, Y).sample_shapes() == [(4, 3, 2)]
    assert adapt([X, Y[:, None]], Y).sample_shapes() == [(4, 3, 2), (1,)]
    assert adapt([[1, 2], [3, 4]]).sample_shapes() == [(2,)]
    assert adapt(iter([(X[:4], Y[:4])])).sample_shapes() == [(4, 3, 2)]
    assert adapt(PlainSamples()).sample_shapes() == [(4, 3, 2)]
    assert adapt(PlainBatches()).sample_shapes() == [(4, 3, 2)]
    for x in (np.zeros(3), iter([(np.zeros(3), np.zeros(3))])):
        with pytest.raises(ValueError, match=r"net: expected samples with the batch in front\. Received: shape"):
            adapt(x, model="net").sample_shapes()


def test_split_takes_the_last_samples():
    w = np.arange(N) + 1.0
    front, back = bound(X, Y, w, shuffle=True, steps=1).split(0.25)
    assert (front.samples, front.steps, back.samples, back.steps) == (7, 1, 3, 1)
    same(epoch(back), [X[7:]])
    same(epoch(back, what=2), [w[7:]])
    whole = bound(X, Y)
    assert whole.split(0.0) == (whole, None)
    with pytest.raises(ValueError, match=r"validation_split=0.01 of 10 samples leaves 9|both must be"):
        bound(X[:1], Y[:1]).split(0.5)
    with pytest.raises(ValueError, match=r"validation_split must be in \[0, 1\)\. Received: validation_split=1"):
        whole.split(1)


def test_class_weight():
    for y in (Y, Y[:, None], np.eye(3)[Y]):
        data = bound(X, y, targets=[Target("class", numbers)])
        data.weigh_classes({0: 2.0, np.int64(2): 0.5})
        np.testing.assert_array_equal(np.concatenate(epoch(data, what=2)), np.array([2, 1, 0.5] * 4, np.float32)[:N])
    data = bound(X, Y)
    data.weigh_classes("balanced")
    w = np.concatenate(epoch(data, what=2))
    np.testing.assert_allclose([w[c == Y].sum() for c in range(3)], N / 3, rtol=1e-6)
    stream = bound(PlainBatches())
    stream.weigh_classes({1: 3})
    same(epoch(stream, what=2), [np.where(y == 1, 3, 1) for y in (Y[:4], Y[4:8], Y[8:])])
    assert data.weight_shapes == stream.weight_shapes == ((),)
    maps = np.stack([Y, Y + 1], axis=1)
    data = bound(X, maps, targets=[Target("map", numbers, ignored=3, positions=(2,))])
    data.weigh_classes("balanced")
    w = np.concatenate(epoch(data, what=2))
    counts = np.bincount(maps.ravel())[:3]
    np.testing.assert_allclose(w, np.array([*counts.sum() / (3 * counts), 1.0], np.float32)[maps], rtol=1e-6)
    assert data.weight_shapes == ((2,),)


@pytest.mark.parametrize("wrong", [{}, {"a": 1}, {0: -1}, {0: True}, [1, 2], "fair", 3])
def test_class_weight_must_be_weights(wrong):
    with pytest.raises(ValueError, match="net: class_weight must be 'balanced' or a dict of class numbers"):
        bound(X, Y).weigh_classes(wrong)


def test_class_weight_refused():
    with pytest.raises(ValueError, match="class_weight and sample_weight cannot be given at the same time"):
        bound(X, Y, np.ones(N)).weigh_classes({0: 1})
    with pytest.raises(ValueError, match=r"class_weight is for models with one output\. Received: 2 outputs"):
        bound(X, [Y, Y], targets=TARGET * 2).weigh_classes({0: 1})
    with pytest.raises(ValueError, match="class_weight='balanced' needs all targets at hand"):
        bound(PlainBatches()).weigh_classes("balanced")


# ---- mistakes in arrays ----

TWO = [*SPEC, Spec("age", (1,))]
NAN, INF = X.copy(), X.astype(np.float64)
NAN[7, 1, 2, 0], INF[3, 0, 0, 1] = np.nan, -np.inf


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (None, {}, r"x: expected data\. Received: x=None"),
        (X[0], {}, r"x: net expects samples of shape \(4, 3, 2\).*Received: \(4, 3, 2\)\. That is one sample"),
        (np.moveaxis(X, -1, 1), {}, r"Received: \(10, 2, 4, 3\)\. That looks like channels first"),
        (X[:, :2], {}, r"x: net expects samples of shape \(4, 3, 2\), batch in front.*Received: \(10, 2, 3, 2\)$"),
        (X[:0], {}, r"x: expected at least one sample\. Received: shape \(0, 4, 3, 2\)"),
        (X.astype(complex), {}, r"x: expected an array of numbers\. Received: ndarray of dtype complex128"),
        (X.astype(str), {}, r"x: expected an array of numbers"),
        (np.ma.masked_greater(X, 5), {}, r"x: expected an array of numbers\. Received: MaskedArray"),
        ([[1, 2], [3]], {}, r"x: expected an array of numbers\. Received: list, but"),
        ([[[1, 2], [3]]], {}, r"x: expected an array of numbers\. Received: list, but"),
        (X, {"y": None}, r"y: expected targets\. Received: y=None"),
        (X, {"y": Y[:9]}, r"x and y must have the same number of samples\. Received: 10 and 9"),
        (X, {"y": Y[:9], "where": "validation_data: "}, r"validation_data: x and y must have the same number"),
        (X, {"w": np.ones(9)}, r"sample_weight: expected one weight for each of 10 samples\. Received: shape \(9,\)"),
        (X, {"w": "heavy"}, r"sample_weight: expected an array of numbers"),
        (X, {"w": {"clas": Y}}, r"sample_weight: net has the outputs \['class'\]\. Received: \['clas'\]"),
        (X, {"specs": TWO}, r"x: net has the inputs \['pixels', 'age'\]: expected a list of 2 arrays or a dict"),
        ([X], {"specs": TWO}, r"Received: 1 arrays"),
        ({"pixels": X, "agee": Y}, {"specs": TWO}, r"Received: \['pixels', 'agee'\]\. Did you mean 'age'\?"),
        ({"pixels": X}, {"specs": TWO}, r"x: net has the inputs \['pixels', 'age'\]\. Received: \['pixels'\]$"),
        ([X, Y[:5]], {"specs": TWO}, r"x\['pixels'\] and x\['age'\] must have the same number.*10 and 5"),
        (NAN, {"check": True}, r"x: sample 7 holds nan at \(1, 2, 0\)\. Clean the data"),
        (INF, {"check": True}, r"x: sample 3 holds -inf at \(0, 0, 1\)"),
        (X, {"check": True, "w": np.where(Y == 2, np.nan, 1)}, r"sample_weight: sample 2 holds nan"),
        (X, {"check": True, "targets": [Target("t", numbers)], "y": [*Y[1:], np.inf]}, r"y: sample 9 holds inf"),
    ],
)  # fmt: skip
def test_mistakes_in_arrays(x, options, message):
    with pytest.raises(ValueError, match=message):
        bound(x, **{"y": Y, **options})


def test_check_data_reads_a_mapped_file_in_parts(tmp_path, monkeypatch):
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    mapped[:] = NAN
    monkeypatch.setattr("dlcore.models.data.arrays.SLAB", 48)
    with pytest.raises(ValueError, match=r"x: sample 7 holds nan at \(1, 2, 0\)"):
        bound(mapped, Y, check=True)
    monkeypatch.setattr(checks, "SLAB", 48)
    with pytest.raises(ValueError, match=r"x: sample 7 holds nan at \(1, 2, 0\)"):
        bound(NAN, Y, check=True)


def test_what_is_no_data():
    for x in ("x.npy", 3, Iterables):
        with pytest.raises(TypeError, match=r"x: expected arrays or a dataset\. Received"):
            adapt(x)
    with pytest.raises(TypeError, match="Call it: a generator function is not yet a generator"):
        adapt(lambda: iter([]))
    with pytest.raises(ValueError, match=r"y: a list_iterator brings its own; leave y out\. Received: ndarray"):
        adapt(iter([]), Y)
    with pytest.raises(ValueError, match="validation_data: expected"):
        data_side.validation([1])
    assert data_side.validation((X, Y)) == (X, Y, None) and data_side.validation((1, 2, 3)) == (1, 2, 3)
    batches = PlainBatches()
    assert data_side.validation(batches) == (batches, None, None)


# ---- batches and samples by number ----


class PlainBatches:
    """Batches of four."""

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i > 2:
            raise IndexError(i)
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


class PlainSamples:
    """As PyTorch's datasets."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        if not 0 <= i < N:
            raise IndexError(i)
        return X[i], int(Y[i])


class Keras(utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.order, self.calls = np.arange(N), []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        rows = self.order[4 * i : 4 * i + 4]
        return X[rows], Y[rows], np.ones(len(rows))

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")
        self.order[:] = self.order[::-1].copy()


@pytest.mark.parametrize("make", [PlainBatches, PlainSamples, Keras])
def test_by_number(make):
    data = bound(make())
    assert isinstance(data, Indexed) and data.of_samples == (make is PlainSamples)
    assert (data.steps, data.samples) == (3, N if make is PlainSamples else None)
    same(epoch(data), [X[:4], X[4:8], X[8:]])
    feedable(data)
    shuffled = bound(make(), shuffle=True)
    first, second = epoch(shuffled, 0), epoch(shuffled, 1)
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    for found in (first, second):
        np.testing.assert_array_equal(np.sort(np.concatenate(found)[:, 0, 0, 0]), X[:, 0, 0, 0])
    same(epoch(bound(make(), shuffle=True), 1, start=2), epoch(bound(make(), shuffle=True), 1)[2:])


def test_hooks_of_a_dataset_run_between_epochs():
    source = Keras(workers=4, use_multiprocessing=True, max_queue_size=3)
    assert (source.workers, source.use_multiprocessing, source.max_queue_size) == (4, True, 3)
    data = bound(source)
    same(epoch(data, 0), [X[:4], X[4:8], X[8:]])  # on_epoch_end changes the order only when all were taken
    same(epoch(data, 1), [X[:5:-1], X[5:1:-1], X[1::-1]])
    assert source.calls == ["begin", "end"] * 2
    assert data.weight_shapes == ((),)


def test_a_dataset_without_end():
    class Endless(utils.PyDataset):
        num_batches = None

        def __getitem__(self, i):
            return np.full((2, 4, 3, 2), i), np.zeros(2, int)

    data = bound(Endless(), steps=3)
    assert [int(b[0, 0, 0, 0]) for e in range(3) for b in epoch(data, e)] == list(range(9))
    with pytest.raises(ValueError, match="net: an endless Endless needs steps_per_epoch"):
        bound(Endless())
    assert [int(x[0, 0, 0, 0]) for x, _ in itertools.islice(iter(Endless()), 3)] == [0, 1, 2]


def test_the_base_of_datasets():
    class Bare(utils.PyDataset):
        pass

    with pytest.raises(NotImplementedError, match="Bare must define __len__, or the property num_batches"):
        Bare().num_batches  # noqa: B018
    with pytest.raises(NotImplementedError, match="Bare must define __getitem__"):
        Bare()[0]
    assert utils.Sequence is utils.PyDataset
    assert len(list(Keras())) == 3


def test_samples_are_told_from_batches_by_their_rank():
    class One:
        def __init__(self, x, y):
            self.item = x, y

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return self.item

    for x, y, samples, shape in [
        (X[0], 1, True, (4, 3, 2)),
        (X[:3], Y[:3], False, (4, 3, 2)),
        (X[0, ..., 0], 1, True, (4, 3, 1)),
        (X[:3, ..., 0], Y[:3], False, (4, 3, 1)),
        (np.zeros(5), 1, True, (5,)),
        (np.zeros((5, 5)), Y[:5], False, (5,)),
        (np.float32(2), 1, True, (1,)),
        (np.zeros(3), Y[:3], False, (1,)),
    ]:
        data = bound(One(x, y), specs=[Spec("x", shape)])
        assert data.of_samples == samples, shape
        assert epoch(data)[0].shape[1:] == shape
    dicts = bound(One({"pixels": X[0], "age": 3.0}, 2), specs=TWO)
    (chunk,) = dicts.epoch(0)
    assert [a.shape for a in chunk.x] == [X[:4].shape, (4, 1)] and list(chunk.y[0]) == [2] * 4
    pairs = bound(One([X[0], np.ones(1)], 2), specs=TWO)
    assert [a.shape for a in next(iter(pairs.epoch(0))).x] == [X[:4].shape, (4, 1)]


# ---- iterables ----


def pairs(n=3):
    return [(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]) for i in range(n)]


class Again:
    """Can be iterated again and again."""

    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


def test_an_iterable_starts_again_an_iterator_does_not():
    data = bound(Again(pairs()))
    assert isinstance(data, Iterables) and data.steps is None
    for e in range(3):
        same(epoch(data, e), [X[:4], X[4:8], X[8:]])
    once = bound(iter(pairs()))
    same(epoch(once), [X[:4], X[4:8], X[8:]])  # what `bind` looked at is not lost
    with pytest.warns(UserWarning, match="net: the data ended after 0 steps of epoch 2. An iterator is read once"):
        assert epoch(once, 1) == []


def test_steps_of_iterables():
    def endless(log):
        for i in itertools.count():
            log.append(i)
            yield np.full((2, 4, 3, 2), i), np.zeros(2, int)

    log = []
    data = bound(endless(log), steps=3)
    assert data.steps == 3
    assert [int(b[0, 0, 0, 0]) for e in range(3) for b in epoch(data, e)] == list(range(9))
    assert log == list(range(9))  # and no further
    again = bound(Again(pairs()), steps=2)
    same([b for e in range(3) for b in epoch(again, e)], [X[:4], X[4:8], X[8:]] * 2)
    once = bound(iter(pairs()), steps=2)
    epoch(once)
    with pytest.warns(UserWarning, match="ended after 1 steps of epoch 2, which should have 2"):
        same(epoch(once, 1), [X[8:]])


def test_an_iterable_left_half_way_starts_again():
    data = bound(Again(pairs()))
    with contextlib.closing(data.epoch(0)) as chunks:
        next(chunks)
    same(epoch(data, 1), [X[:4], X[4:8], X[8:]])
    same(epoch(data, 2, start=1), [X[4:8], X[8:]])


def test_an_iterable_of_samples_is_stacked():
    for source in (Again(list(zip(X, Y, strict=True))), zip(X, Y, strict=True)):
        data = bound(source)
        assert data.of_samples
        same(epoch(data), [X[:4], X[4:8], X[8:]])
    data = bound(Again(list(zip(X, Y, strict=True))), steps=2)
    same([b for e in range(3) for b in epoch(data, e)], [X[:4], X[4:8], X[8:]] * 2)


def test_a_loader_with_a_length_and_lists():
    class Loader(Again):  # PyTorch's gives lists, and says its length
        def __len__(self):
            return 3

    data = bound(Loader([list(pair) for pair in pairs()]))
    assert data.steps == 3
    same(epoch(data), [X[:4], X[4:8], X[8:]])

    class NoLength(Loader):
        def __len__(self):
            raise TypeError("no length")

    assert bound(NoLength(pairs())).steps is None


class Tensor:
    """What is asked of PyTorch's tensors."""

    def __init__(self, array):
        self.array = array

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array)

    @property
    def shape(self):
        return self.array.shape

    def __len__(self):
        return len(self.array)

    @property
    def ndim(self):
        return self.array.ndim


def test_tensors():
    same(epoch(bound(Tensor(X), Tensor(Y))), [X[:4], X[4:8], X[8:]])
    same(epoch(bound([[Tensor(x), Tensor(y)] for x, y in pairs()].__iter__())), [X[:4], X[4:8], X[8:]])

    class Samples(PlainSamples):
        def __getitem__(self, i):
            return Tensor(X[i]), Tensor(Y[i])

    data = bound(Samples())
    assert data.of_samples
    same(epoch(data), [X[:4], X[4:8], X[8:]])


def test_a_batch_is_copied_when_its_memory_is_the_users():
    def reusing():
        x, y = np.empty((2, 4, 3, 2), np.float32), np.empty(2, np.int32)
        for i in range(6):
            x[:], y[:] = i, i % 3
            yield x, y

    with contextlib.closing(bound(reusing()).epoch(0)) as chunks:
        seen = []
        for chunk in chunks:
            time.sleep(0.005)  # the next ones are made meanwhile
            seen.append((float(chunk.x[0][0, 0, 0, 0]), int(chunk.y[0][0])))
    assert seen == [(i, i % 3) for i in range(6)]


def test_uint8_stays_uint8_and_floats_may_mix():
    data = bound(iter([(X[:4].astype(np.uint8), Y[:4]), (X[4:8].astype(np.uint8), Y[4:8])]))
    assert data.dtypes == ("B",)
    assert [b.dtype for b in epoch(data)] == [np.uint8] * 2
    mixed = bound(iter([(X[:4], Y[:4]), (X[4:8].astype(np.uint8), Y[4:8])]))
    assert [b.dtype for b in epoch(mixed)] == [np.float32] * 2
    with pytest.raises(ValueError, match=r"x of batch 1: expected uint8, as in the first batch\. Received: float64"):
        epoch(bound(iter([(X[:4].astype(np.uint8), Y[:4]), (X[4:8].astype(float), Y[4:8])])))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ((X[:4, :2], Y[:4]), r"x of batch 1: net expects samples of shape \(4, 3, 2\).*Received: \(4, 2, 3, 2\)"),
        ((np.moveaxis(X, -1, 1), Y), r"x of batch 1: .*channels first"),
        ((X[:0], Y[:0]), r"x of batch 1: expected at least one sample"),
        ((X[:4], Y[:3]), r"x of batch 1 and y of batch 1 must have the same number of samples\. Received: 4 and 3"),
        ((X[:4], Y[:4] + 9), r"y of batch 1: bad classes"),
        ((X[:4],), r"batch 1: expected \(x, y\), but there is no y"),
        (X[:4], r"batch 1: expected \(x, y\), but there is no y"),
        ((X[:4], Y[:4], None, 1), r"batch 1: expected x, \(x, y\) or \(x, y, sample_weight\)\. Received: 4 parts"),
        ((X[:4], Y[:4], np.ones(4)), r"sample_weight of batch 1: expected weights as in the first batch"),
        ((X[:4], Y[:4], np.ones(3)), r"sample_weight of batch 1: expected one weight for each of 4 samples"),
        (("a", Y[:1]), r"x of batch 1: expected an array of numbers"),
        ((NAN[4:], Y[4:]), r"x of batch 1: sample 3 holds nan at \(1, 2, 0\)"),
    ],
)
def test_mistakes_in_batches(second, message):
    data = bound(iter([*pairs(1), second]), check=True, where="validation_data: ")
    with contextlib.closing(data.epoch(0)) as chunks:
        next(chunks)
        with pytest.raises(ValueError, match=f"^validation_data: {message}"):
            next(chunks)


def test_mistakes_in_the_first_batch_are_found_before_training():
    with pytest.raises(ValueError, match=r"x of batch 0: net expects samples of shape"):
        bound(iter([(X[:4, :2], Y[:4])]))
    for empty in (iter([]), Again([]), np.zeros((0, 1)).__iter__()):
        with pytest.raises(ValueError, match=r"x: expected at least one batch\. Received"):
            bound(empty)
    with pytest.raises(ValueError, match=r"x of batch 2: samples must have one shape"):
        epoch(bound(zip([*X[:9], X[9][:2]], Y, strict=True)))

    class Empty(PlainBatches):
        def __len__(self):
            return 0

    with pytest.raises(ValueError, match=r"x: expected at least one batch\. Received: a Empty of length 0"):
        bound(Empty())


# ---- the background thread ----


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "dlcore-prefetch"]


def gone(seconds=5.0):
    end = time.monotonic() + seconds
    while workers() and time.monotonic() < end:
        time.sleep(0.005)
    return not workers()


def test_the_order_is_kept_and_the_thread_ends():
    for _ in range(50):
        assert list(Prefetcher(iter(range(20)))) == list(range(20))
        assert workers() == []


def test_it_works_ahead_but_not_far():
    made = []

    def source():
        for i in range(100):
            made.append(i)
            yield i

    ahead = Prefetcher(source(), depth=2)
    assert made == []  # nothing before the first is asked for
    assert next(ahead) == 0
    end = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.02)
    assert made == [0, 1, 2, 3]  # two wait, one more is in hand
    ahead.close()
    assert workers() == [] and list(ahead) == []


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("k", [0, 1, 5])
def test_errors_come_after_the_items_before_them(k, error):
    def source():
        yield from range(k)
        raise error

    ahead, seen = Prefetcher(source()), []
    with pytest.raises(type(error)) as caught:
        for item in ahead:
            seen.append(item)
    assert seen == list(range(k)) and caught.value is error and workers() == []
    assert list(ahead) == []


def test_an_error_of_the_users_generator_reaches_the_caller_as_it_is():
    def failing():
        yield X[:4], Y[:4]
        yield X[:4], Y[:4]
        raise OSError("the disk is gone")

    data = bound(failing())
    with contextlib.closing(data.epoch(0)) as chunks:
        assert isinstance(next(chunks), Chunk)
        next(chunks)
        with pytest.raises(OSError, match="the disk is gone"):
            next(chunks)
    assert workers() == []


def test_stopping_early_ends_the_thread():
    for make in (PlainBatches, PlainSamples, lambda: Again(pairs())):
        with contextlib.closing(bound(make()).epoch(0)) as chunks:
            next(chunks)
        assert workers() == []


def test_ctrl_c_while_the_thread_starts(monkeypatch):
    begin, read = threading.Thread.start, []

    def start(thread):  # as if the signal came first
        monkeypatch.undo()
        threading.Timer(0.1, begin, [thread]).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)
    ahead = Prefetcher(map(read.append, itertools.count()))
    with pytest.raises(KeyboardInterrupt):
        next(ahead)
    ahead.close()
    time.sleep(0.2)
    assert gone() and read == []


def test_garbage_takes_its_thread_along():
    ahead = Prefetcher(itertools.count())
    next(ahead)
    assert len(workers()) == 1
    del ahead
    gc.collect()
    assert gone()
    chunks = bound(PlainBatches()).epoch(0)
    next(chunks)
    del chunks
    gc.collect()
    assert gone()


def test_a_source_that_hangs_does_not_hang_the_caller(monkeypatch):
    monkeypatch.setattr("dlcore.models.data.prefetch.PATIENCE", 0.05)
    let_go = threading.Event()

    def source():
        yield 1
        let_go.wait(20)

    ahead = Prefetcher(source())
    assert next(ahead) == 1
    start = time.monotonic()
    ahead.close()
    assert time.monotonic() - start < 2
    let_go.set()
    assert gone()


def test_a_lost_thread_is_noticed(monkeypatch):
    monkeypatch.setattr("dlcore.models.data.prefetch.PATIENCE", 0.01)
    monkeypatch.setattr("dlcore.models.data.prefetch._work", lambda source, shared: None)
    with pytest.raises(RuntimeError, match="the thread that prepares batches is gone"):
        next(Prefetcher(iter([1])))


def test_ctrl_c_while_a_batch_is_in_the_making():
    def slow():
        yield X[:4], Y[:4]
        time.sleep(0.3)
        yield X[:4], Y[:4]

    with contextlib.closing(bound(slow()).epoch(0)) as chunks:
        next(chunks)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            next(chunks)
        assert time.monotonic() - start < 2
    assert gone()


def test_a_process_ends_though_a_thread_waits(tmp_path):
    code = (
        "import itertools, threading, time\n"
        "from dlcore.models.data import Prefetcher\n"
        "ahead = Prefetcher(itertools.count()); next(ahead)\n"
        "def hang():\n"
        "    yield 1\n"
        "    time.sleep(100)\n"
        "hanging = Prefetcher(hang()); next(hanging)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_data_that_needs_it_has_a_thread():
    chunks = bound(X, Y).epoch(0)
    next(chunks)
    assert workers() == [] and isinstance(bound(X, Y), ArrayData)


def test_nothing_is_said_about_good_data():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (PlainBatches(), PlainSamples(), Keras(), Again(pairs())):
            epoch(bound(source))
