"""Binding a model to its data: the graph of losses, metrics, gradients and updates, and the totals it adds to."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from dlcore import ops, optimizers
from dlcore.graph.fuse import BACKWARD, INFERENCE, PATTERNS, fuse
from dlcore.graph.gradient import gradients
from dlcore.graph.program import Function
from dlcore.graph.recompute import recompute
from dlcore.kernels.data import Feed
from dlcore.layers.checks import shown
from dlcore.layers.trace import Trace, flat, tracing
from dlcore.metrics.base import Measured
from dlcore.models.advice import check_output
from dlcore.models.arena import WeightArena
from dlcore.models.objective import Target
from dlcore.ops.base import BATCH, Op, Tensor
from dlcore.ops.data import gather
from dlcore.ops.elementwise import mean_gradient

if TYPE_CHECKING:
    from dlcore.models.network import Network


class Bound:
    """A Function and the measures that it adds to, by their names in logs. Entering it sets them to nothing; until it
    is left it is `busy`."""

    def __init__(self, function: Function, measured: dict[str, Measured]):
        self.function, self.measured = function, measured
        self.busy = False

    def __enter__(self) -> None:
        self.busy = True
        for measured in self.measured.values():
            measured.reset()

    def __exit__(self, *error: object) -> None:
        self.busy = False

    def read(self) -> dict[str, Any]:
        return {name: measured.result() for name, measured in self.measured.items()}


def bind(
    model: Network,
    targets: Sequence[Target],
    dtypes: str,
    weights: Sequence[tuple[int, ...] | None],
    arena: WeightArena | None,
    optimizer: optimizers.Optimizer,
) -> Bound:
    """The Function that measures the model's outputs against targets, and trains it where there is an `arena`.

    Its feeds are "x0", "x1", ... for the inputs; for the outputs that have a loss or metrics "y0", ... and, where there
    are sample weights, "w0", ...
    """
    training = arena is not None
    x = model._gathered()
    with tracing(training) as trace:
        outputs = flat(model._called(model._packed(x), (), {}, training))
    feeds = {f"x{i}": Feed(d, prod(s.shape)) for i, (d, s) in enumerate(zip(dtypes, model.specs, strict=True))}
    parts: list[tuple[str, Tensor, float]] = []  # name, loss and its weight, of each output
    metrics: list[tuple[Any, ...]] = []
    for i, (target, p) in enumerate(zip(targets, outputs, strict=True)):
        if not target.measured:
            continue
        if p.shape == (BATCH,):  # as `target` has it
            p = ops.expand_dims(p, 1)
        shape, dtype = target.read
        y, weight = gather(f"y{i}", shape, dtype), None
        feeds[f"y{i}"] = Feed(dtype, prod(shape))
        if (each := weights[i]) is not None:
            weight = gather(f"w{i}", each, "f")
            feeds[f"w{i}"] = Feed("f", prod(each))
        if target.loss is not None:
            check_output(model.name, target, p)
            value = per_sample(target.loss.per_sample(y, p, weight), "loss")
            parts.append((target.name, value, target.weight))
        for name, metric, by_weight in target.metrics:
            metrics.append((name, metric, y, p, weight if by_weight else None))
    weighted = [value if factor == 1 else ops.rescale(value, factor) for _, value, factor in parts]
    loss = _sum(weighted + _penalties(model, trace), outputs[0])
    if loss is None:
        raise ValueError(f"{model.name}: compile needs a loss. Received: loss=None, and no layer adds one")
    measured = {"loss": Measured.mean(loss)}
    if len(parts) > 1:
        measured.update((f"{name}_loss", Measured.mean(part)) for name, part, _ in parts)
    for name, metric, *tensors in metrics:
        measured[name] = Measured.of(metric, *tensors)
    sinks: list[Op] = [sink for one in measured.values() for sink in one.sinks]
    read = [tensor for op in sinks for tensor in op.inputs] + [t for op in trace.updates for t in op.inputs]
    fuse(read, PATTERNS if training else INFERENCE)
    placed: dict[Tensor, Any] = {t: memory for one in measured.values() for t, memory in one.placed.items()}
    if arena is not None:
        sinks += trace.updates
        if arena.trainable:
            found = gradients(loss, mean_gradient(), arena.trainable, ops.add)
            optimizer.build(arena.layout(), arena.trainable_size)
            reached = {w: tensor for w, tensor in zip(arena.trainable, found, strict=True) if tensor is not None}
            fuse([*read, *reached.values()], BACKWARD)
            updates, memory = optimizer.update(reached)
            placed.update(memory)
            sinks += updates
            recompute(sinks)
    return Bound(Function(sinks, feeds, optimizer.clock if training else None, placed, training), measured)


def _penalties(model: Network, trace: Trace) -> list[Tensor]:
    """What layers and regularizers add to the loss: one value per sample, or one in all."""
    found = [w.regularizer(w) for w in model.trainable_weights if w.regularizer is not None]
    for penalty in [*found, *trace.losses]:
        if not isinstance(penalty, Tensor) or penalty.shape not in ((BATCH,), (1,)):
            raise ValueError(
                f"{model.name}: a penalty must have the shape (None,), one value per sample, or (1,). "
                f"Received: {shown(penalty.shape) if isinstance(penalty, Tensor) else repr(penalty)}"
            )
    return [*trace.losses, *found]


def _sum(parts: Sequence[Tensor], output: Tensor) -> Tensor | None:
    """The sum of values per sample and of values for all samples, as a tree: many small sums are not a long chain.
    `output` has the batch that none of the parts may have."""
    if not parts:
        return None
    by_sample, whole = ([t for t in parts if (t.shape == (BATCH,)) == own] for own in (True, False))
    for group in (by_sample, whole):
        while len(group) > 1:
            group[:] = [ops.add(*pair) if len(pair) == 2 else pair[0] for pair in _pairs(group)]
    if not by_sample:
        zeros = ops.less(output, output)  # for NaN, too
        return ops.add(ops.max(zeros) if zeros.ndim > 1 else zeros, whole[0])
    return ops.add(by_sample[0], whole[0]) if whole else by_sample[0]


def _pairs(group: list[Tensor]) -> list[list[Tensor]]:
    return [group[i : i + 2] for i in range(0, len(group), 2)]


def per_sample(x: Any, name: str) -> Tensor:
    """Refuse a loss or metric that does not give one value per sample."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor made by dlcore.ops. Received: {x!r}")
    if x.shape != (BATCH,):
        raise ValueError(f"{name}: expected one value per sample, shape (None,). Received: {shown(x.shape)}")
    return x
