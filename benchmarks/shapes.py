"""Shapes of layers in real networks, for the bench_*.py; n is small where one layer is large."""

CONVOLUTIONS = {  # (n, ih, iw, ic), (kh, kw), oc, padding on every side
    "mnist 3x3 1-32": ((128, 28, 28, 1), (3, 3), 32, 0),
    "lenet 5x5 6-16": ((128, 14, 14, 6), (5, 5), 16, 0),
    "vgg 3x3 3-64": ((8, 32, 32, 3), (3, 3), 64, 1),
    "vgg 3x3 64-64": ((8, 32, 32, 64), (3, 3), 64, 1),
    "vgg 3x3 128-128": ((8, 16, 16, 128), (3, 3), 128, 1),
    "vgg 3x3 512-512": ((8, 4, 4, 512), (3, 3), 512, 1),
    "resnet 3x3 16-16": ((16, 32, 32, 16), (3, 3), 16, 1),
    "resnet 3x3 64-64": ((16, 8, 8, 64), (3, 3), 64, 1),
    "resnet 1x1 64-128": ((16, 16, 16, 64), (1, 1), 128, 0),
    "mobilenet 1x1 1024-1024": ((16, 3, 3, 1024), (1, 1), 1024, 0),
}
WEIGHT_GRADIENTS = {
    **CONVOLUTIONS,
    "lenet 5x5 1-6": ((128, 28, 28, 1), (5, 5), 6, 2),
    "resnet 3x3 64-64": ((96, 8, 8, 64), (3, 3), 64, 1),
    "mobilenet 1x1 128-128": ((24, 24, 24, 128), (1, 1), 128, 0),
    "mobilenet 1x1 512-512": ((96, 6, 6, 512), (1, 1), 512, 0),
    "mobilenet 1x1 1024-1024": ((96, 1, 1, 1024), (1, 1), 1024, 0),
    "resnet 3x3 512-512": ((48, 4, 4, 512), (3, 3), 512, 1),
}
DEPTHWISE = {  # (n, ih, iw, c), stride; 3x3, padding 1
    "mobilenet 112x112x32": ((1, 112, 112, 32), 1),
    "mobilenet 56x56x128 / 2": ((1, 56, 56, 128), 2),
    "mobilenet 14x14x512": ((8, 14, 14, 512), 1),
}
CONV_POOLS = {name: CONVOLUTIONS[name] for name in ("mnist 3x3 1-32", "lenet 5x5 6-16", "vgg 3x3 64-64")}
DENSE = {
    "mlp 784-512": (128, 784, 512),
    "mlp 512-256": (128, 512, 256),
    "vgg 8192-256": (128, 8192, 256),
}  # n, k, units
NARROW = {"mnist 5408-10": (128, 5408, 10), "mlp 256-10": (128, 256, 10), "one of 5408-10": (1, 5408, 10)}
MAPS = {"mnist 26x26x32": (32, 26, 26, 32), "vgg 32x32x64": (8, 32, 32, 64)}  # what pooling reads
CLASSES = {"10 classes": (128, 10), "1000 classes": (128, 1000)}
PARAMETERS = {"mnist": 54410, "vgg": 2360000}
IMAGES = {"mnist": (60000, 28, 28, 1), "cifar": (10000, 32, 32, 3)}

NORMALIZATIONS = {  # (n, h, w, c)
    "resnet20 32x32x16": (8, 32, 32, 16),
    "resnet20 16x16x32": (8, 16, 16, 32),
    "resnet20 8x8x64": (8, 8, 8, 64),
    "mobilenet 14x14x512": (4, 14, 14, 512),
    "vgg 112x112x128": (1, 112, 112, 128),
}
