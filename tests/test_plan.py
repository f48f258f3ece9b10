"""The plan: no two tensors of one time share memory, ops come after what they read."""

import numpy as np
import pytest
from graphs import Constant, differentiate, gathers, names, run
from harness import uniform
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore import ops
from dlcore.graph.fuse import fuse
from dlcore.graph.graph import consumers, topological
from dlcore.graph.plan import ITEMSIZE, pack_intervals, plan, room
from dlcore.graph.program import build
from dlcore.kernels.data import Feed
from dlcore.models.arena import WeightArena
from dlcore.ops.base import BATCH_WIDE, Parameter, Tensor
from dlcore.ops.data import Store
from dlcore.ops.metrics import Accumulate
from dlcore.optimizers import SGD, Adam

span = st.tuples(st.integers(0, 12), st.integers(0, 6), st.integers(1, 9)).map(lambda s: (s[0], s[0] + s[1], 64 * s[2]))


@given(st.lists(span, max_size=25))
def test_intervals_of_one_time_do_not_overlap(spans):
    offsets, total = pack_intervals(spans)
    for i, (birth, death, size) in enumerate(spans):
        assert 0 <= offsets[i] <= total - size and offsets[i] % 64 == 0
        for j, (other_birth, other_death, other_size) in enumerate(spans[:i]):
            if birth <= other_death and other_birth <= death:
                assert offsets[i] + size <= offsets[j] or offsets[j] + other_size <= offsets[i]
    peak = max((sum(s for b, d, s in spans if b <= t <= d) for t in range(20)), default=0)
    assert peak <= total <= sum(size for *_, size in spans)


def test_intervals_that_follow_each_other_share_room():
    assert pack_intervals([(i, i, 64) for i in range(9)]) == ([0] * 9, 64)
    assert pack_intervals([(0, 9, 64), (1, 2, 128), (3, 4, 128)])[1] == 192


# ---------------------------------------------------------------------------------------------------------------------
# Random graphs: what the plan says, and what a program of it computes

WIDTH = 5
WEIGHTS = [Parameter((WIDTH, WIDTH), uniform(WIDTH, WIDTH, seed=i), f"w{i}") for i in range(2)]
BIG = Parameter((WIDTH, 30000), uniform(WIDTH, 30000, seed=5), "wide")  # more than a slab's share: a stage of its own
NARROW = Parameter((30000, WIDTH), uniform(30000, WIDTH, seed=6) / 100, "narrow")
BIAS = Parameter((WIDTH,), uniform(WIDTH, seed=3), "b")

MOVES = {  # name: (ops on a tensor, the same in NumPy)
    "relu": (ops.relu, lambda x: np.maximum(x, 0)),
    "tanh": (ops.tanh, np.tanh),
    "scale": (lambda x: ops.rescale(x, -0.5, 0.1), lambda x: -0.5 * x + 0.1),
    "bias": (lambda x: ops.bias_add(x, BIAS), lambda x: x + BIAS.value),
    "dense": (lambda x: ops.dense(x, WEIGHTS[0]), lambda x: x @ WEIGHTS[0].value),
    "wide": (lambda x: ops.dense(ops.dense(x, BIG), NARROW), lambda x: x @ BIG.value @ NARROW.value),
    "shape": (lambda x: flat(ops.relu(ops.reshape(x, (None, WIDTH, 1)))), lambda x: np.maximum(x, 0)),
    "softmax": (ops.softmax, lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
    "view": (lambda x: ops.reshape(x, (None, 1, WIDTH)), lambda x: x[:, None]),
}
move = st.tuples(st.sampled_from([*MOVES, "add", "add"]), st.integers(0, 99), st.integers(0, 99))


def flat(x):
    return ops.reshape(x, (None, WIDTH)) if x.ndim == 3 else x


def graph_of(moves, x):
    """Tensors, and their values, of a graph in which each op reads what some earlier ones gave."""
    tensors, values = gathers(x=x), [np.float64(x)]
    for name, i, j in moves:
        i, j = i % len(tensors), j % len(tensors)
        a, u = flat(tensors[i]), values[i].reshape(-1, WIDTH)
        if name == "add":
            tensors.append(ops.add(a, flat(tensors[j])))
            values.append(u + values[j].reshape(-1, WIDTH))
        else:
            tensors.append(MOVES[name][0](a))
            values.append(MOVES[name][1](u))
    return tensors, values


def check(p, op_list):
    """Dependencies, commits, and that no op overwrites what somebody still reads."""
    when, order, led = {}, [], {}
    for stage_number, stage in enumerate(p.stages):
        for group in stage:
            for op in group.ops:
                if op.prepares and stage_number > 0:
                    assert p.level[op] == 0 and op.inputs[0] in {o.updates for o in group.ops}
                    continue
                assert p.level[op] == stage_number
                when[op] = len(order)
                order.append(op)
                led[op] = group.ops[0]
    assert set(order) == {op for op in op_list if not op.alias}
    assert p.wide == {op for op in op_list if op.axis == BATCH_WIDE} | set(p.splits)
    assert p.prologue == any(op.prepares and p.level[op] == 0 for op in op_list)
    for op in op_list:
        assert not op.commits or p.level[op] == p.commit == len(p.stages) - 1
        for tensor in op.inputs:
            if tensor.op is not None:
                apart = (op in p.wide or tensor.op in p.wide) and not (op.alias or tensor.op.alias)
                apart = apart and not (op.updates and led[op] is tensor.op)
                assert p.level[tensor.op] + apart <= p.level[op]
                assert op.alias or tensor.op.alias or when[tensor.op] < when[op]
    readers = consumers(op_list)
    live = {}  # root: where it lies, from the op that makes it to its last reader
    for op in op_list:
        for tensor in op.outputs:
            root = p.roots[tensor]
            users = [o for o in [op, *readers.get(tensor, [])] if o in when]
            if root not in p.places or not users:  # placed by the caller, or a name that only other names read
                continue
            place = p.places[root]
            # slabs of one stage are depth-first, so time there is op order; a whole batch lives for whole stages
            times = [when[o] if place.slot else p.level[o] for o in users]
            rows = p.grains[p.level[op]] if place.slot else p.shape(tensor, p.level[op])[0]
            size = rows * int(np.prod(tensor.shape[1:], dtype=np.int64)) * ITEMSIZE[tensor.dtype]
            known = live.get(root, (place, min(times), max(times), size))
            live[root] = place, min(known[1], *times), max(known[2], *times), max(known[3], size)
    for op in op_list:  # in place of an input that nobody else reads later, or beside it
        for tensor in op.outputs:
            for source in op.inputs:
                if p.roots[tensor] is p.roots.get(source, source) and not op.alias:
                    others = [o for o in readers[source] if o is not op and not o.alias]
                    assert all(p.level[o] < p.level[op] for o in others) and readers[source].count(op) == 1
    spans = list(live.values())
    for i, (place, birth, death, size) in enumerate(spans):
        low, high = (-p.slot_bytes, 0) if place.slot else (0, p.arena_bytes)
        assert low <= place.offset and place.offset + size <= high
        for other, other_birth, other_death, other_size in spans[:i]:
            if place.slot == other.slot and birth <= other_death and other_birth <= death:
                assert place.offset + size <= other.offset or other.offset + other_size <= place.offset


@settings(max_examples=60, deadline=None)
@given(st.lists(move, min_size=1, max_size=14), st.integers(1, 23), st.integers(1, 3))
def test_random_graphs(moves, batch, threads):
    x = uniform(batch, WIDTH)
    tensors, values = graph_of(moves, x)
    wanted = [-1, len(moves) // 2 + 1]
    stores = [Store(tensors[i], f"out{i}") for i in wanted]
    check(plan(stores, batch), topological(stores))
    for got, i in zip(run([tensors[i] for i in wanted], {"x": x}, threads), wanted, strict=True):
        np.testing.assert_allclose(got, values[i], rtol=1e-4, atol=1e-5 * (1 + np.abs(values[i]).max()))


@settings(max_examples=30, deadline=None)
@given(st.lists(move, min_size=1, max_size=8), st.integers(1, 13))
def test_random_graphs_with_gradients_and_totals(moves, batch):
    x = uniform(batch, WIDTH)
    (a, t), total = gathers(x=x, t=x), Tensor((2,), "d")
    y = ops.dense(a, WEIGHTS[1])
    for name, _, _ in moves:
        y = flat(ops.add(y, y) if name == "add" else MOVES[name][0](flat(y)))
    loss = ops.mean_squared_error(t, y)
    gradient = differentiate(loss, [WEIGHTS[1]])[0]
    sinks = [Accumulate(loss, total), gradient.op]
    p = plan(sinks, batch, {total: None, gradient: None})
    check(p, topological(sinks))
    assert [type(op) for group in p.stages[-1] for op in group.ops] == [Accumulate]


def network(batch):
    """A deep convolutional network without parameters in the way: (sink, bytes of all its tensors of one sample)."""
    (x,) = gathers(x=uniform(1, 16, 16, 8))
    kernel = Parameter((3, 3, 8, 8), uniform(3, 3, 8, 8), "kernel")
    for _ in range(12):
        x = ops.relu(ops.conv2d(x, kernel, padding=((1, 1), (1, 1))))
    return Store(x, "y"), 4 * 16 * 16 * 8


def test_prediction_keeps_two_layers_at_a_time():
    sink, layer = network(64)
    p = plan([sink], 64)
    assert p.slot_bytes == 2 * room(layer * max(p.grains))
    assert len(p.stages) == 2  # packing, then all layers, slab by slab
    assert p.arena_bytes < 12 * 4 * 9 * 8 * 64  # packed weights, no activations
    assert plan([sink], 64 * 100).arena_bytes == p.arena_bytes  # whatever the batch


def test_training_keeps_activations_for_the_whole_batch():
    sink, layer = network(8)
    loss = ops.mean_squared_error(Constant(flat16(sink.inputs[0]), 0.0).output, flat16(sink.inputs[0]))
    kernel = next(op for op in topological([loss.op]) if type(op).__name__ == "Conv2D").w
    gradient = differentiate(loss, [kernel])[0]
    small, large = (plan([gradient.op], n, {gradient: None}) for n in (8, 64))
    assert small.arena_bytes + small.slot_bytes > 12 * layer  # of a sample, all activations
    assert large.arena_bytes <= 8 * small.arena_bytes
    assert names([gradient]).count("WinogradWeightGradient") == 12


def flat16(x):
    return ops.reshape(x, (None, 16 * 16 * 8))


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 16, 128, 1000])
def test_slabs_depend_on_shapes_only_and_feed_four_threads(batch):
    p = plan([network(batch)[0]], batch)
    assert all(1 <= grain <= max(1, -(-batch // 4)) for grain in p.grains)
    assert p.grains == plan([network(batch)[0]], batch).grains


@pytest.mark.parametrize("size, channels, grain", [(4, 8, 8), (3, 512, 16), (24, 64, 3), (48, 32, 1)])
def test_slabs_are_small_where_maps_are_large_and_large_where_weights_are(size, channels, grain):
    """8 samples divide the batch; 9 MB of weights are read for 16 samples at a time; of maps of 147 KB, L2 holds both
    that the op touches for three samples, of 295 KB for one."""
    (x,) = gathers(x=uniform(1, size, size, channels))
    w = Parameter((3, 3, channels, channels), np.zeros((3, 3, channels, channels)), "w")
    assert plan([Store(ops.conv2d(x, w, padding=((1, 1), (1, 1))), "y")], 128).grains[-1] == grain


def large_layers(batch):
    """Convolutions with and without pooling, and their gradients: (sinks, tensors, feeds)."""
    images = uniform(batch, 24, 20, 16)
    (x,) = gathers(x=images)
    w = [Parameter(shape, uniform(*shape) / 9, f"w{i}") for i, shape in enumerate([(3, 3, 16, 40), (3, 3, 40, 24)])]
    h = ops.max_pool2d(ops.relu(ops.conv2d(x, w[0])), (2, 2), (2, 2))
    h = ops.conv2d(
        ops.relu(ops.conv2d(h, w[1], padding=((1, 1), (1, 1)))), Parameter((1, 1, 24, 3), uniform(1, 1, 24, 3), "v")
    )
    fuse([h])
    loss = ops.mean_squared_error(Constant(flat3(h), 0.0).output, flat3(h))
    return [h, *differentiate(loss, w)], {"x": images}


def flat3(x):
    return ops.reshape(x, (None, 11 * 9 * 3))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5])
def test_batches_too_small_to_feed_threads_split_the_samples_of_large_layers(batch):
    tensors, feeds = large_layers(batch)
    sinks = [Store(tensors[0], "y"), *(t.op for t in tensors[1:])]
    p = plan(sinks, batch, dict.fromkeys(tensors[1:]))
    check(p, topological(sinks))
    expected = {("ConvPool2D", 4), ("Conv2D", 2), ("Conv2DInputGradient", 2)} if batch < 4 else set()
    assert {(type(op).__name__, n) for op, n in p.splits.items()} == expected
    first = run(tensors, feeds)
    for threads in (2, 4):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(run(tensors, feeds, threads), first, strict=True))
    unsplit = run(tensors, {"x": np.concatenate([feeds["x"]] * 5)})
    np.testing.assert_array_equal(unsplit[0][:batch], first[0])


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_small_maps_are_split_by_channels_and_depthwise_convolutions_by_rows(batch):
    images = uniform(batch, 8, 8, 128)
    (x,) = gathers(x=images)
    w = [Parameter(shape, uniform(*shape) / 9, f"w{i}") for i, shape in enumerate([(3, 3, 128, 128), (3, 3, 128, 1)])]
    padding = ((1, 1), (1, 1))
    y = ops.relu(ops.add(ops.conv2d(x, w[0], padding=padding), x))
    y = ops.conv2d(ops.relu(ops.depthwise_conv2d(y, w[1], padding=padding)), w[0])
    fuse([y])
    p = plan([Store(y, "y")], batch)
    split = {"Conv2D", "DepthwiseConv2D"} if batch < 4 else set()
    assert {type(op).__name__ for op in p.splits} == split and "Add" not in {type(op).__name__ for op in p.level}
    first = run([y], {"x": images})[0]
    for threads in (2, 4):
        np.testing.assert_array_equal(run([y], {"x": images}, threads)[0], first)
    whole = run([y], {"x": np.concatenate([images] * 5)})[0]
    np.testing.assert_array_equal(whole[:batch], first)


def test_an_empty_graph_has_an_empty_plan():
    p = plan([], 4)
    assert (p.stages, p.arena_bytes, p.slot_bytes) == ([], 0, 0)


# ---------------------------------------------------------------------------------------------------------------------
# Updates with their gradients, and weights that are prepared again

IMAGES, LABELS = uniform(23, 9, 8, 1), np.arange(23, dtype=np.int32) % 10


def training(optimizer, units, plain):
    """conv, pool, a frozen layer and two dense ones: (sinks, placed, weights). `plain` puts an op between a gradient
    and its update, so that none can follow the other block by block."""
    x, y = gathers(x=IMAGES, y=LABELS)
    shapes = [(3, 3, 1, 7), (7,), (300, units), (units,), (units, 10)]
    weights = [Parameter(shape, uniform(*shape, seed=i), f"w{i}") for i, shape in enumerate(shapes)]
    frozen = Parameter((63, 300), uniform(63, 300, seed=9) / 8, "frozen")
    h = ops.max_pool2d(ops.relu(ops.bias_add(ops.conv2d(x, weights[0]), weights[1])), (2, 2), (2, 2))
    h = ops.dense(ops.reshape(h, (None, 63)), frozen)
    z = ops.dense(ops.tanh(ops.bias_add(ops.dense(h, weights[2]), weights[3])), weights[4])
    loss = ops.sparse_categorical_crossentropy(y, ops.softmax(z))
    fuse([loss])
    found = differentiate(loss, weights)
    if plain:
        found = [ops.rescale(gradient, 1.0) for gradient in found]
    arena = WeightArena(weights, [])
    optimizer.build(arena.layout(), arena.trainable_size)
    updates, placed = optimizer.update(dict(zip(weights, found, strict=True)))
    total = Tensor((2,), "d")
    placed[total] = np.zeros(2)
    return [Accumulate(loss, total), *updates], placed, weights


def trained(optimizer, units, plain, threads, runs=(3, 1, 2)):
    sinks, placed, weights = training(optimizer, units, plain)
    feeds = {"x": Feed("f", IMAGES[0].size), "y": Feed("i", 1)}
    feeds["x"].set(IMAGES)
    feeds["y"].set(LABELS)
    program = build(sinks, 4, optimizer.clock, feeds, placed, training=True)
    for steps in runs:
        program.cursor.cursor = 0
        program.run(steps, threads)
        weights[2].assign(weights[2].value * 0.5)  # between runs, anybody may change weights
    return [*(w.value.copy() for w in weights), *(slot.copy() for slot in optimizer.slots.values())]


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.01)])
@pytest.mark.parametrize("units", [10, 32, 40])
def test_updates_block_by_block_have_the_bits_of_their_unfused_twin(optimizer, units):
    expected = trained(optimizer(), units, True, 1)
    assert all(np.isfinite(value).all() for value in expected)
    for threads in (1, 2, 3):
        got = trained(optimizer(), units, False, threads)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))


def kinds(p):
    return [[[type(op).__name__ for op in group.ops] for group in stage] for stage in p.stages]


def test_the_step_of_a_small_network_has_two_barriers():
    """The first stage is the prologue, the second all slabs, the third all updates with what goes with them."""
    x, y = gathers(x=uniform(8, 28, 28, 1), y=LABELS[:8])
    shapes = [(3, 3, 1, 32), (32,), (5408, 10), (10,)]
    weights = [Parameter(shape, uniform(*shape), f"w{i}") for i, shape in enumerate(shapes)]
    h = ops.max_pool2d(ops.relu(ops.bias_add(ops.conv2d(x, weights[0]), weights[1])), (2, 2), (2, 2))
    p = ops.softmax(ops.bias_add(ops.dense(ops.reshape(h, (None, 5408)), weights[2]), weights[3]))
    loss, accuracy = ops.sparse_categorical_crossentropy(y, p), ops.sparse_categorical_accuracy(y, p)
    fuse([loss, accuracy])
    optimizer, arena = Adam(), WeightArena(weights, [])
    optimizer.build(arena.layout(), arena.trainable_size)
    updates, placed = optimizer.update(dict(zip(weights, differentiate(loss, weights), strict=True)))
    totals = [Tensor((2,), "d") for _ in range(2)]
    sinks = [Accumulate(loss, totals[0]), Accumulate(accuracy, totals[1]), *updates]
    step = plan(sinks, 128, placed | dict.fromkeys(totals))
    assert (len(step.stages), step.prologue, step.commit) == (3, 1, 2)
    assert sorted(kinds(step)[0]) == [["Pack"], ["Transpose"]]
    assert sorted(kinds(step)[2]) == [
        ["Accumulate"], ["Accumulate"], ["NarrowWeightGradient", "Update", "Transpose"],
        ["ReduceChunks", "Update"], ["ReduceChunks", "Update"], ["ReduceChunks", "Update", "Pack"],
    ]  # fmt: skip


def updates_of(weights, gradient_of):
    optimizer, arena = SGD(), WeightArena(weights, [])
    optimizer.build(arena.layout(), arena.trainable_size)
    return optimizer.update({w: gradient_of(w) for w in weights})


def test_gradients_that_others_read_too_stay_apart():
    """As a norm over all gradients would; and gradients that read weights, which other updates change meanwhile."""
    (x,) = gathers(x=uniform(8, 300))
    w = Parameter((300, 10), uniform(300, 10), "w")
    loss = mse10(ops.dense(x, w))
    (gradient,) = differentiate(loss, [w])
    updates, placed = updates_of([w], lambda _: gradient)
    norm = Accumulate(ops.rescale(gradient, 2.0), Tensor((2,), "d"))
    apart = plan([*updates, norm], 8, placed | {norm.total: None})
    assert ["NarrowWeightGradient"] in kinds(apart)[-3] and ["Update", "Transpose"] in kinds(apart)[-1]
    assert ["NarrowWeightGradient", "Update", "Transpose"] in kinds(plan(updates, 8, placed))[-1]
    gradient.op.inputs[0] = Parameter((8, 300), uniform(8, 300), "reads a weight")
    assert ["NarrowWeightGradient"] in kinds(plan(updates, 8, placed))[-2]


def mse10(x):
    return ops.mean_squared_error(Constant(x, 0.5).output, x)


def test_weights_that_nobody_can_prepare_in_time_are_prepared_at_each_step():
    """Panels of a large kernel do not follow from blocks of its gradient."""
    (x,) = gathers(x=uniform(8, 300))
    w = Parameter((300, 64), uniform(300, 64), "w")
    (gradient,) = differentiate(mse10(ops.dense(x, w)), [w])
    updates, placed = updates_of([w], lambda _: gradient)
    p = plan(updates, 8, placed)
    assert p.prologue == 0 and kinds(p)[0] == [["Pack"]] and kinds(p)[-1] == [["DenseWeightGradient", "Update"]]


@pytest.mark.parametrize("order", [1, -1])
def test_nothing_lies_in_place_of_what_another_name_still_shows(order):
    """x is read in an earlier stage by one normalisation and, reshaped, in a later one by another."""
    values = uniform(40, 8)

    def normalized(fed):
        (i,) = gathers(x=fed)
        x = ops.tanh(i)
        z = ops.batch_normalization(ops.batch_normalization(x).y).y
        return z, ops.batch_normalization(ops.reshape(x, (None, 2, 4))).y

    together = run(list(normalized(values))[::order], {"x": values})[::order]
    for i in range(2):
        alone = run([normalized(values)[i]], {"x": values})
        np.testing.assert_array_equal(together[i], alone[0] if isinstance(alone, list | tuple) else alone)
