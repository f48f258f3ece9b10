"""Fusion: a short table of rewrites, each of which makes one op of several.

A pattern looks at one op and its readers, rewrites what it can and says whether it did. `tests/test_fuse.py` runs every
pattern against its unfused twin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlcore.graph.graph import consumers, take_output, topological
from dlcore.ops.activations import Activation, ActivationGradient
from dlcore.ops.base import Op, Parameter, Tensor
from dlcore.ops.conv import Conv2D, Conv2DTranspose
from dlcore.ops.conv_narrow import LanesConv2D, MergedConv2D, merged_pixels, suits_lanes
from dlcore.ops.conv_pool import ConvPool2D, fits
from dlcore.ops.copies import joined
from dlcore.ops.data import Gather
from dlcore.ops.dense import Dense, Pack
from dlcore.ops.depthwise import DepthwiseConv2D
from dlcore.ops.elementwise import Add, BiasAdd, MeanGradient, Rescale
from dlcore.ops.lanes_pool import LanesPool2D, averages
from dlcore.ops.losses import Loss
from dlcore.ops.narrow import Narrow, Transpose
from dlcore.ops.normalization import (
    ACTIVATIONS,
    FoldBias,
    FoldKernel,
    GradientAndSums,
    GradientSums,
    InputGradient,
    MovingCoefficients,
    Normalize,
)
from dlcore.ops.pooling import AveragePool2D, MaxPool2D
from dlcore.ops.shape import Copy, Pad, Reshape
from dlcore.ops.softmax import Softmax, SoftmaxCrossentropy, SoftmaxCrossentropyGradient
from dlcore.ops.winograd_conv import TransformWeights

Readers = dict[Tensor, list[Op]]
EPILOGUES = (Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, Narrow)  # add a bias and apply an activation at the end
ACTIVE = (*EPILOGUES, Normalize, Add)  # apply an activation at the end


def _only_reader(op: Op, readers: Readers) -> Op | None:
    found = readers.get(op.output, [])
    return found[0] if len(found) == 1 else None


def padding(op: Op, readers: Readers) -> bool:
    """zeros around an image, then conv: it pads by itself."""
    reader = _only_reader(op, readers)
    if not (
        isinstance(op, Pad)
        and op.border
        and isinstance(reader, (Conv2D, DepthwiseConv2D))
        and reader.inputs[0] is op.output
    ):
        return False
    pairs = zip(op.border, reader.geometry["padding"], strict=True)
    both = tuple((zeros[0] + own[0], zeros[1] + own[1]) for zeros, own in pairs)
    reader.geometry = {**reader.geometry, "padding": both}
    reader.inputs[0] = op.inputs[0]
    return True


def copies(op: Op, readers: Readers) -> bool:
    """a copy of a copy, as when channels are padded where only pixels can be: what comes out is copied at once."""
    reader = _only_reader(op, readers)
    together = joined(op, reader) if isinstance(op, Copy) and isinstance(reader, Copy) else None
    if reader is None or together is None:
        return False
    take_output(together, reader.output)
    return True


def bias(op: Op, readers: Readers) -> bool:
    """conv or dense, then a bias: the bias goes into the epilogue of the tile."""
    reader = _only_reader(op, readers)
    if not (
        isinstance(op, EPILOGUES)
        and len(op.inputs) == 2
        and op.activation == "linear"
        and isinstance(reader, BiasAdd)
        and reader.inputs[0] is op.output
    ):
        return False
    op.inputs.append(reader.inputs[1])
    take_output(op, reader.output)
    return True


def normalization(op: Op, readers: Readers) -> bool:
    """conv (depthwise, too) or dense, then batch normalisation by moving statistics: both are linear, so that kernel
    and bias, made once, do the work of both. Not for training: the gradients are those of the folded kernel."""
    reader = _only_reader(op, readers)
    if not (
        isinstance(op, (Conv2D, Dense, DepthwiseConv2D, Narrow))
        and op.activation == "linear"
        and isinstance(reader, Normalize)
        and reader.inputs[0] is op.output
        and isinstance(reader.inputs[1].op, MovingCoefficients)
    ):
        return False
    packing, coefficients = op.inputs[1].op, reader.inputs[1]
    if isinstance(packing, (Pack, TransformWeights, Transpose)):
        op.inputs[1] = packing.of(FoldKernel(packing.inputs[0], coefficients).output)
    elif isinstance(op.inputs[1], Parameter) and (
        isinstance(op, DepthwiseConv2D) or (isinstance(op, Dense) and op.lying)
    ):
        op.inputs[1] = FoldKernel(op.inputs[1], coefficients).output
    else:
        return False
    op.inputs[2:] = [FoldBias(coefficients, op.inputs[2] if len(op.inputs) > 2 else None).output]
    take_output(op, reader.output)
    return True


def activation(op: Op, readers: Readers) -> bool:
    """conv, dense, batch normalisation or a sum, then an activation: it is applied before anything is stored. A reshape
    may stand between them, as in convolutions over one axis."""
    last, reader = op, _only_reader(op, readers)
    if isinstance(reader, Reshape):
        last, reader = reader, _only_reader(reader, readers)
    if not (isinstance(op, ACTIVE) and op.activation == "linear" and isinstance(reader, Activation)):
        return False
    if isinstance(op, Normalize) and reader.kind not in ACTIVATIONS:
        return False
    op.activation = reader.kind
    take_output(last, reader.output)
    return True


def residual(op: Op, readers: Readers) -> bool:
    """batch normalisation or conv, then the sum with another tensor: one pass."""
    reader = _only_reader(op, readers)
    if not (
        (isinstance(op, Normalize) or (type(op) is Conv2D and merged_pixels(op) == 1))
        and op.activation == "linear"
        and not op.adds
        and isinstance(reader, Add)
        and reader.activation == "linear"
    ):
        return False
    op.inputs.append(reader.inputs[1 if reader.inputs[0] is op.output else 0])
    op.adds = True
    take_output(op, reader.output)
    return True


def reshapes(op: Op, readers: Readers) -> bool:
    """a reshape, then one that undoes it, as between layers over one axis: whoever reads the second reads what the
    first one does."""
    if not (isinstance(op, Reshape) and isinstance(op.inputs[0].op, Reshape)):
        return False
    source, found = op.inputs[0].op.inputs[0], readers.get(op.output, [])
    if source.shape != op.output.shape or not found or _OUTSIDE in found:
        return False
    for reader in found:
        reader.inputs = [source if tensor is op.output else tensor for tensor in reader.inputs]
    return True


def conv_pool(op: Op, readers: Readers) -> bool:
    """conv (with bias and ReLU), then max pooling: the pixels of a window are compared before anything is stored."""
    reader = _only_reader(op, readers)
    if not (isinstance(op, Conv2D) and isinstance(reader, MaxPool2D) and fits(op, reader)):
        return False
    fused = ConvPool2D(op, reader)
    for number, tensor in enumerate(list(reader.outputs)):
        take_output(fused, tensor, number)
    return True


def few_channels(op: Op, readers: Readers) -> bool:
    """conv with fewer output channels than a vector has lanes: pixels go there, or some neighbours of a row become one
    pixel."""
    packing = op.inputs[1].op if type(op) is Conv2D else None
    if not (isinstance(op, Conv2D) and not op.adds and isinstance(packing, Pack)):
        return False
    if suits_lanes(op):
        take_output(LanesConv2D(op, packing.inputs[0]), op.output)
        return True
    if (pixels := merged_pixels(op)) == 1:
        return False
    fused = MergedConv2D(op, packing.inputs[0], pixels)
    take_output(Reshape(fused.output, op.output.shape), op.output)
    return True


def lanes_pool(op: Op, readers: Readers) -> bool:
    """conv with pixels in the lanes, then average pooling: the pixels stay there until they are averaged."""
    reader = _only_reader(op, readers)
    if not (isinstance(op, LanesConv2D) and isinstance(reader, AveragePool2D) and averages(reader)):
        return False
    take_output(LanesPool2D(op, reader), reader.output)
    return True


def softmax_crossentropy(op: Op, readers: Readers) -> bool:
    """softmax, then categorical cross-entropy: no log of a probability, and p - y as the gradient."""
    if not isinstance(op, Softmax):
        return False
    for reader in readers.get(op.output, []):
        if (
            isinstance(reader, Loss)
            and reader.inputs[1] is op.output
            and reader.name in ("categorical_crossentropy", "sparse_categorical_crossentropy")
        ):
            positions = len(reader.output.shape) > 1
            fused = SoftmaxCrossentropy(reader.inputs[0], op.inputs[0], positions, **reader.options)
            take_output(fused, reader.output, 0)
            take_output(fused, op.output, 1)  # whoever reads the probabilities still does
            return True
    return False


def sigmoid_crossentropy(op: Op, readers: Readers) -> bool:
    """sigmoid, then binary cross-entropy: computed from the logits, so that it never overflows."""
    if not (isinstance(op, Activation) and op.kind == "sigmoid"):
        return False
    for reader in readers.get(op.output, []):
        if isinstance(reader, Loss) and reader.name == "binary_crossentropy" and reader.inputs[1] is op.output:
            reader.name, reader.inputs[1] = "binary_crossentropy_logits", op.inputs[0]
            return True
    return False


def gather_scale(op: Op, readers: Readers) -> bool:
    """gather, then a factor: uint8 images become scaled floats as they are gathered."""
    reader = _only_reader(op, readers)
    if not (isinstance(op, Gather) and isinstance(reader, Rescale) and reader.offset == 0 and op.output.dtype == "f"):
        return False
    op.scale *= reader.scale
    take_output(op, reader.output)
    return True


def crossentropy_gradient(op: Op, readers: Readers) -> bool:
    """softmax with cross-entropy, and its gradient where the loss is the mean over the batch: what arrives is then
    the same for every sample, and one pass does it."""
    if not (isinstance(op, SoftmaxCrossentropyGradient) and isinstance(op.inputs[0].op, MeanGradient)):
        return False
    forward = op.inputs[2].op
    if not (isinstance(forward, SoftmaxCrossentropy) and len(forward.outputs) == 2 and op.options == forward.options):
        return False
    forward.outputs.append(op.output)
    take_output(forward, op.output, 2)
    return True


def scattered_sum(op: Op, readers: Readers) -> bool:
    """the sum of two gradients, one of which is a copy among zeros, as that of a slice is: added where it belongs."""
    if not (isinstance(op, Add) and op.activation == "linear"):
        return False
    for tensor, other in zip(op.inputs, op.inputs[::-1], strict=True):
        copy = tensor.op
        if isinstance(copy, Copy) and len(copy.inputs) == len(readers[tensor]) == 1 and copy.value == 0:
            copy.inputs.append(other)
            copy.accumulate, copy.in_place = True, 1
            take_output(copy, op.output)
            return True
    return False


def gradient_sum(op: Op, readers: Readers) -> bool:
    """the sum of two gradients, then that of an activation."""
    reader = _only_reader(op, readers)
    if not (
        isinstance(op, Add)
        and op.activation == "linear"
        and isinstance(reader, ActivationGradient)
        and len(reader.inputs) == 2
        and reader.inputs[0] is op.output
    ):
        return False
    dy, more = op.inputs
    reader.inputs = [dy, reader.inputs[1], more]
    return True


def gradient_and_sums(op: Op, readers: Readers) -> bool:
    """the gradient of an activation, or the sum of two, then the sums that a batch normalisation needs of it: one pass.
    Of a sum that goes through an activation there, only that is kept."""
    found = readers.get(op.output, []) if op.outputs else []
    sums = next((reader for reader in found if isinstance(reader, GradientSums)), None)
    if sums is None or sums.inputs[0] is not op.output:
        return False
    if isinstance(op, ActivationGradient):
        if op.kind not in ACTIVATIONS or sums.activation != "linear":
            return False
        dy, y, *more = op.inputs
        fused = GradientAndSums(sums, dy, more[0] if more else None, y, op.kind)
    elif isinstance(op, Add) and op.activation == "linear":
        last = [reader for reader in found if isinstance(reader, InputGradient) and reader.inputs[:3] == sums.inputs]
        if sums.activation != "linear":
            if len(last) + 1 != len(found):
                return False
            for reader in last:
                reader.activation = "linear"
        fused = GradientAndSums(sums, op.inputs[0], op.inputs[1], None, sums.activation)
    else:
        return False
    take_output(fused, op.output, 0)
    take_output(fused, sums.output, 1)
    return True


# Losses come first: what they leave may still go into an epilogue.
PATTERNS: list[Callable[[Op, Readers], bool]] = [
    softmax_crossentropy,
    sigmoid_crossentropy,
    padding,
    copies,
    bias,
    residual,
    activation,
    reshapes,
    conv_pool,
    few_channels,
    lanes_pool,
    gather_scale,
]

# for a graph that will have no gradients
INFERENCE = [pattern for one in PATTERNS for pattern in ([one, normalization] if one is bias else [one])]

# for a graph that has its gradients
BACKWARD: list[Callable[[Op, Readers], bool]] = [crossentropy_gradient, scattered_sum, gradient_sum, gradient_and_sums]


def fuse(targets: Sequence[Tensor], patterns: Sequence[Callable[[Op, Readers], bool]] = tuple(PATTERNS)) -> None:
    """Apply the patterns, in their order, wherever they match in the graph of `targets`, which stay valid."""
    for pattern in patterns:
        while _apply_once(pattern, targets):
            pass


def _apply_once(pattern: Callable[[Op, Readers], bool], targets: Sequence[Tensor]) -> bool:
    ops = topological([tensor.op for tensor in targets if tensor.op is not None])
    readers = consumers(ops)
    for tensor in targets:  # the world outside reads a target
        readers.setdefault(tensor, []).append(_OUTSIDE)
    return any(pattern(op, readers) for op in ops)  # stops at the first rewrite, after which the readers are stale


def merge_packs(sinks: Sequence[Op]) -> None:
    """One packed copy for all ops that read the same weights the same way."""
    known: dict[object, Tensor] = {}
    for op in topological(sinks):
        for i, tensor in enumerate(op.inputs):
            if isinstance(tensor.op, Pack):
                key: object = (tensor.op.inputs[0], tensor.op.transpose, tensor.op.groups, tensor.op.joined)
            elif isinstance(tensor.op, TransformWeights):
                key = (tensor.op.inputs[0], tensor.op.transpose, "winograd", tensor.op.form)
            elif isinstance(tensor.op, Transpose):
                key = tensor.op.inputs[0]
            else:
                continue
            op.inputs[i] = known.setdefault(key, tensor)


_OUTSIDE = Op([])
