"""A network of specs.py in ONNX, as exporters write it: NCHW, batch normalization folded into the convolution before
it, weights as constant initialisers."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from specs import NETWORKS


class Writer:
    """Collects nodes and initialisers; a layer's output is named after the last node."""

    def __init__(self, weights):
        self.weights, self.nodes, self.constants, self.order = iter(weights), [], [], None

    def constant(self, array, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), f"w{len(self.constants)}"))
        return self.constants[-1].name

    def node(self, kind, *inputs, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [f"t{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def convolution(self, layer, x, shape, norm):
        kernel, *bias = next(self.weights)
        bias = bias[0] if bias else np.zeros(layer.output(shape)[-1], np.float32)
        kernel = kernel.transpose(3, 2, 0, 1) if layer.kind == "conv" else kernel.transpose(2, 3, 0, 1)
        if norm:
            gamma, beta, mean, variance = next(self.weights)
            scale = gamma / np.sqrt(variance + 1e-3)
            kernel, bias = kernel * scale[:, None, None, None], (bias - mean) * scale + beta
        whole = [layer.size - (layer.stride if side % layer.stride == 0 else side % layer.stride) for side in shape[:2]]
        whole = [max(0, side) if layer.padding == "same" else 0 for side in whole]
        pads = [side // 2 for side in whole] + [side - side // 2 for side in whole]
        return self.node(
            *("Conv", x, self.constant(kernel), self.constant(bias)),
            kernel_shape=[layer.size] * 2,
            strides=[layer.stride] * 2,
            pads=pads,
            group=shape[-1] if layer.kind == "depthwise" else 1,
        )

    def layers(self, layers, x, shape):
        for number, layer in enumerate(layers):
            out, window = layer.output(shape), {"kernel_shape": [layer.size] * 2, "strides": [layer.size] * 2}
            if layer.kind in ("conv", "depthwise"):
                x = self.convolution(layer, x, shape, number + 1 < len(layers) and layers[number + 1].kind == "norm")
            elif layer.kind == "dense":
                kernel, bias = next(self.weights)
                if self.order:  # rows of the first dense layer in the order of NCHW
                    kernel = kernel.reshape(*self.order, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                    self.order = None
                x = self.node("Gemm", x, self.constant(kernel), self.constant(bias))
            elif layer.kind in ("maxpool", "avgpool"):
                x = self.node("MaxPool" if layer.kind == "maxpool" else "AveragePool", x, **window)
            elif layer.kind == "gap":
                x = self.node("Flatten", self.node("GlobalAveragePool", x), axis=1)
            elif layer.kind == "flatten":
                x, self.order = self.node("Flatten", x, axis=1), shape
            elif layer.kind == "residual":
                y = self.layers(layer.inner, x, shape)
                if layer.stride > 1:
                    more, ends = (out[-1] - shape[-1]) // 2, np.iinfo(np.int64).max
                    numbers = [[0, 0], [ends, ends], [2, 3], [2, 2]]
                    x = self.node("Slice", x, *(self.constant(n, np.int64) for n in numbers))
                    x = self.node("Pad", x, self.constant([0, more, 0, 0, 0, more, 0, 0], np.int64))
                x = self.node("Add", y, x)
            if layer.activation == "relu6":
                x = self.node("Clip", x, self.constant(0), self.constant(6))
            elif layer.activation != "linear":
                x = self.node(layer.activation.capitalize(), x)
            shape = out
        return x


def model_bytes(name):
    """The network, softmax included, from images "x" (n, c, h, w)."""
    network = NETWORKS[name]
    writer = Writer(network.weights())
    y = writer.node("Softmax", writer.layers(network.layers, "x", network.shape), axis=1)
    shape = [network.shape[-1], *network.shape[:-1]]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])]
    outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", 10])]
    graph = helper.make_graph(writer.nodes, name, inputs, outputs, writer.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
