"""dlcore's convolutions as its graphs run them: the op, planned and bound. Packing or transforming the weights belongs
to each run, as the weights of a training step are new. "auto" is dlcore's own choice of algorithm; the others force
one. Tensors lie as in the arena of a program."""

CONFIGS = {
    "auto": {},
    "direct": {"forced": "direct", "environment": {"DLCORE_CONV": "direct"}},
    "winograd2x2": {"forced": "winograd2x2", "environment": {"DLCORE_CONV": "winograd2x2"}},
    "winograd4x2": {"forced": "winograd4x2", "environment": {"DLCORE_CONV": "winograd4x2"}},
}


def build(x, y, threads, forced=None):
    """Return (versions, jobs)."""
    import itertools
    from math import prod

    import conv_shapes
    import numpy as np

    import dlcore
    from dlcore import ops
    from dlcore.graph.fuse import fuse
    from dlcore.graph.gradient import gradients
    from dlcore.graph.plan import room
    from dlcore.graph.program import build as program
    from dlcore.kernels.executor import Clock
    from dlcore.kernels.memory import Arena
    from dlcore.ops import conv_algorithm as conv
    from dlcore.ops.base import BATCH, Tensor

    if forced and not hasattr(conv, "algorithm"):
        raise RuntimeError("this dlcore has one algorithm only")

    def cell(case, direction):
        rng = np.random.default_rng(0)
        x_of, y_of = (case.side, case.side, case.ic), (case.out, case.out, case.oc)
        x, dy = Tensor((BATCH, *x_of), name="x"), Tensor((BATCH, *y_of), name="dy")
        w = Tensor((case.size, case.size, case.ic // case.groups, case.oc), name="w")  # no Parameter: new at each run
        pads = ((case.pad, case.pad),) * 2
        out = ops.conv2d(x, w, (case.stride,) * 2, pads, (case.dilation,) * 2, case.groups)
        fuse([out])
        if direction != "forward":
            out = gradients(out, dy, [x if direction == "input gradient" else w], ops.add)[0]
        shapes = {t: tuple(case.batch if n is BATCH else n for n in t.shape) for t in (x, dy, w, out)}
        offsets = list(itertools.accumulate((room(4 * prod(shape)) for shape in shapes.values()), initial=0))
        arena = Arena(offsets.pop())
        np.frombuffer(arena, np.float32)[:] = rng.uniform(-1, 1, arena.nbytes // 4)
        placed = {t: arena.buffer(at, shapes[t], "f") for t, at in zip(shapes, offsets, strict=True)}
        bound = program([out.op], case.batch, Clock(), {}, placed)
        return lambda: bound.run(1, threads)

    return {"dlcore": dlcore.__version__}, conv_shapes.jobs(cell)
