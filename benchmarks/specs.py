"""The networks that whole models are compared on, each written once in words that every peer's builder reads.

dlcore's own are those of its tests (tests/networks.py) and of its example (network.py): that both are the same network
is seen whenever a comparison runs, since all frameworks begin with the same weights and must then predict the same
probabilities and reach the same losses (compare.py).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layer:
    """One layer, NHWC; "same" pads as Keras does, after the image where one side must have more.

    Attributes:
        kind: "conv", "depthwise", "dense", "norm" (batch normalization), "maxpool", "avgpool", "gap" (global average),
            "flatten", or "residual": `inner` and a shortcut around it, added. The shortcut is x itself or, where
            `stride` is 2, every second pixel with channels of zeros on both sides (He et al. 2015, option A).
        units: output channels, of "residual" as well.
        size: of a window.
        activation: what comes after: "linear", "relu", "relu6" or "tanh".
    """

    kind: str
    units: int = 0
    size: int = 1
    stride: int = 1
    padding: str = "same"
    bias: bool = True
    activation: str = "linear"
    inner: tuple = ()

    def output(self, shape):
        """The shape of one sample's output."""
        if self.kind == "norm":
            return shape
        if self.kind == "gap":
            return shape[-1:]
        if self.kind == "flatten":
            return (int(np.prod(shape)),)
        if self.kind == "dense":
            return (self.units,)
        stride = self.size if self.kind.endswith("pool") else self.stride
        used = self.size if self.padding == "valid" or self.kind.endswith("pool") else stride
        return (*((side - used) // stride + 1 for side in shape[:2]), self.units or shape[2])

    def weights(self, shape):
        """Shapes of the weights in Keras' order and layout."""
        if self.kind == "norm":
            return [shape[-1:]] * 4  # gamma, beta, moving mean, moving variance
        kernel = {
            "conv": (self.size, self.size, shape[-1], self.units),
            "depthwise": (self.size, self.size, shape[-1], 1),
            "dense": (shape[-1], self.units),
        }.get(self.kind)
        if kernel is None:
            return []
        return [kernel, (self.units or shape[-1],)] if self.bias else [kernel]


@dataclass(frozen=True)
class Network:
    """What is trained: on batches of 128, to ten classes; prediction adds the softmax.

    Attributes:
        title: for people.
        shape: of an image, or of a row.
        images: of random data, where no data set has this shape.
        many: images of one large prediction.
    """

    title: str
    shape: tuple
    layers: tuple
    images: int = 2048
    many: int = 128

    @property
    def mirrored(self):
        """Whether some convolution steps over pixels. With an even number of them, Keras' "same" pads at the end, and
        the symmetric padding of PyTorch has an effect at the beginning only: it is the same network on mirrored images
        with mirrored kernels, at no price."""
        return any(layer.stride > 1 for layer, _, _ in walk(self.layers, self.shape))

    def weights(self, seed=0):
        """First weights, a list for each layer that has some, in the order of `walk`: Keras' layout and order."""
        rng, found = np.random.default_rng(seed), []
        for layer, shape, _ in walk(self.layers, self.shape):
            shapes = layer.weights(shape)
            if layer.kind == "norm":
                gamma, variance = rng.uniform(0.25, 0.75, shapes[0]), rng.uniform(0.5, 1.5, shapes[0])
                arrays = [gamma, *rng.normal(0, 0.1, (2, *shapes[0])), variance]
            else:
                fan_in = layer.size**2 * (1 if layer.kind == "depthwise" else shape[-1])
                arrays = [rng.normal(0, (2 / fan_in) ** 0.5 if len(s) > 1 else 0.1, s) for s in shapes]
            if arrays:
                found.append([array.astype(np.float32) for array in arrays])
        return found

    def parameters(self):
        """Their number, moving statistics left out."""
        return sum(
            int(np.prod(shape))
            for layer, shape_in, _ in walk(self.layers, self.shape)
            for shape in layer.weights(shape_in)[: 2 if layer.kind == "norm" else None]
        )

    def multiply_adds(self, training):
        """Of one image, by the definition of convolution: once for the outputs, once for the gradient of the weights
        and once for that of the input, which the first layer has not. Padding counts as pixels."""
        total, first = 0, True
        for layer, shape, out in walk(self.layers, self.shape):
            kernels = [s for s in layer.weights(shape) if len(s) > 1]
            for kernel in kernels:
                pixels = int(np.prod(out[:2])) if len(out) == 3 else 1
                total += int(np.prod(kernel)) * pixels * ((2 if first else 3) if training else 1)
                first = False
        return total


def walk(layers, shape):
    """(layer, shape of its input, shape of its output) of each layer; what is inside of another comes before it."""
    for layer in layers:
        if layer.kind == "residual":
            yield from walk(layer.inner, shape)
        out = layer.output(shape)
        yield layer, shape, out
        shape = out


def conv(units, size=3, **rest):
    return Layer("conv", units, size, **rest)


def dense(units, activation="linear"):
    return Layer("dense", units, activation=activation)


FLATTEN, GAP, MAXPOOL, AVGPOOL = Layer("flatten"), Layer("gap"), Layer("maxpool", size=2), Layer("avgpool", size=2)
BATCH = 128


def lenet5():
    tanh = {"activation": "tanh"}
    maps = [conv(6, 5, **tanh), AVGPOOL, conv(16, 5, padding="valid", **tanh), AVGPOOL]
    return (*maps, FLATTEN, dense(120, "tanh"), dense(84, "tanh"), dense(10))


def resnet20():
    layers = [conv(16, bias=False), Layer("norm", activation="relu")]
    for units in (16, 32, 64):
        for block in range(3):
            stride = 2 if units > 16 and block == 0 else 1
            inner = (
                conv(units, stride=stride, bias=False),
                Layer("norm", activation="relu"),
                conv(units, bias=False),
                Layer("norm"),
            )
            layers.append(Layer("residual", units, stride=stride, activation="relu", inner=inner))
    return (*layers, GAP, dense(10))


def mobilenet():
    norm = Layer("norm", activation="relu6")
    layers, units = [conv(32, stride=2, bias=False), norm], 32
    for number, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)):
        units *= 2 if number == 0 or stride == 2 else 1
        layers += [Layer("depthwise", size=3, stride=stride, bias=False), norm, conv(units, 1, bias=False), norm]
    return (*layers, GAP, dense(10))


def vgg():
    relu = {"activation": "relu"}
    blocks = [conv(64, **relu), conv(64, **relu), MAXPOOL, conv(128, **relu), conv(128, **relu), MAXPOOL]
    return (*blocks, FLATTEN, dense(256, "relu"), dense(10))


NETWORKS = {
    "headline": Network(
        "Keras' MNIST CNN",
        (28, 28, 1),
        (conv(32, padding="valid", activation="relu"), MAXPOOL, FLATTEN, dense(10)),
        many=1024,
    ),
    "lenet5": Network("LeNet-5", (28, 28, 1), lenet5(), many=1024),
    "vgg": Network("VGG-like, 32x32", (32, 32, 3), vgg()),
    "resnet20": Network("ResNet-20, 32x32", (32, 32, 3), resnet20()),
    "mobilenet": Network("MobileNet, 32x32", (32, 32, 3), mobilenet()),
    "mobilenet96": Network("MobileNet, 96x96", (96, 96, 3), mobilenet(), images=512),
    "mlp": Network("MLP 784-512-512-10", (784,), (dense(512, "relu"), dense(512, "relu"), dense(10)), many=1024),
}


def has(name, kind):
    """Whether the network has a layer of this kind."""
    network = NETWORKS[name]
    return any(layer.kind == kind for layer, _, _ in walk(network.layers, network.shape))
