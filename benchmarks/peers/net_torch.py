"""A network of specs.py in PyTorch, as its users write it; see `Network.mirrored` for the padding of strides."""

import numpy as np
import torch
from specs import NETWORKS, walk
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"relu": lambda: nn.ReLU(inplace=True), "relu6": lambda: nn.ReLU6(inplace=True), "tanh": nn.Tanh}


class Residual(nn.Module):
    def __init__(self, inner, channels):
        super().__init__()
        self.inner, self.channels = inner, channels

    def forward(self, x):
        y = self.inner(x)
        if self.channels:  # the shortcut that halves the image; mirrored, every second pixel begins with the second
            x = F.pad(x[:, :, 1::2, 1::2], (0, 0, 0, 0, self.channels, self.channels))
        return y.add_(x)


class MaximumPool(nn.Module):
    """Max pooling by 2 as the maximum of four strided slices."""

    def forward(self, x):
        rows = torch.maximum(x[:, :, 0::2], x[:, :, 1::2])
        return torch.maximum(rows[..., 0::2], rows[..., 1::2])


class Flatten(nn.Module):
    """With nhwc in memory order, as in Keras, so that it copies nothing."""

    def __init__(self, nhwc):
        super().__init__()
        self.nhwc = nhwc

    def forward(self, x):
        return (x.permute(0, 2, 3, 1) if self.nhwc else x).flatten(1)


def modules(layers, shape, nhwc, maximum):
    made = []
    for layer in layers:
        out, padding = layer.output(shape), layer.size // 2 if layer.padding == "same" else 0
        if layer.kind in ("conv", "depthwise"):
            groups = shape[-1] if layer.kind == "depthwise" else 1
            made.append(
                nn.Conv2d(shape[-1], out[-1], layer.size, layer.stride, padding, groups=groups, bias=layer.bias)
            )
        elif layer.kind == "dense":
            made.append(nn.Linear(shape[0], layer.units))
        elif layer.kind == "norm":
            made.append(nn.BatchNorm2d(shape[-1], eps=1e-3, momentum=0.01))  # Keras' numbers
        elif layer.kind == "maxpool":
            made.append(MaximumPool() if maximum else nn.MaxPool2d(layer.size))
        elif layer.kind == "avgpool":
            made.append(nn.AvgPool2d(layer.size))
        elif layer.kind == "gap":
            made += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif layer.kind == "flatten":
            made.append(Flatten(nhwc))
        elif layer.kind == "residual":
            inner = modules(layer.inner, shape, nhwc, maximum)
            made.append(Residual(inner, (out[-1] - shape[-1]) // 2 if layer.stride > 1 else 0))
        if layer.activation != "linear":
            made.append(ACTIVATIONS[layer.activation]())
        shape = out
    return nn.Sequential(*made)


def build(name, nhwc=False, maximum=False):
    """The module, which gives logits, with the weights that all frameworks begin with."""
    network = NETWORKS[name]
    model = modules(network.layers, network.shape, nhwc, maximum)
    holders = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d))]
    shapes = [(layer.kind, shape) for layer, shape, _ in walk(network.layers, network.shape)]
    flat = next((shape for kind, shape in shapes if kind == "flatten"), None)
    with torch.no_grad():
        for module, arrays in zip(holders, network.weights(), strict=True):
            if isinstance(module, nn.BatchNorm2d):
                targets = module.weight, module.bias, module.running_mean, module.running_var
            else:
                targets = [target for target in (module.weight, module.bias) if target is not None]
                kernel = arrays[0]
                if isinstance(module, nn.Conv2d):
                    kernel = kernel[::-1, ::-1] if network.mirrored else kernel
                    kernel = kernel.transpose(2, 3, 0, 1) if module.groups > 1 else kernel.transpose(3, 2, 0, 1)
                elif flat:  # the first dense layer reads the image in another order
                    kernel = kernel if nhwc else kernel.reshape(*flat, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
                    kernel, flat = kernel.T, None
                else:
                    kernel = kernel.T
                arrays = [kernel, *arrays[1:]]
            for target, array in zip(targets, arrays, strict=True):
                target.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return model.to(memory_format=torch.channels_last) if nhwc else model


def images(x, name, nhwc):
    """The rows of x for `build`'s network."""
    if NETWORKS[name].mirrored:
        x = x[:, ::-1, ::-1]
    x = torch.from_numpy(np.ascontiguousarray(x))
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last if nhwc else torch.contiguous_format)
    return x


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())
