"""Layers of real networks for compare_conv.py, as they are trained: name: Case."""

from typing import NamedTuple


class Case(NamedTuple):
    """A convolution in NHWC, with the same padding on all sides and no bias."""

    batch: int
    side: int
    ic: int
    oc: int
    size: int = 3
    stride: int = 1
    padding: int | None = None  # None: half the window
    dilation: int = 1
    groups: int = 1

    @property
    def pad(self):
        return self.dilation * (self.size // 2) if self.padding is None else self.padding

    @property
    def out(self):
        """Pixels of a side of the output."""
        return (self.side + 2 * self.pad - self.dilation * (self.size - 1) - 1) // self.stride + 1

    @property
    def flop(self):
        """Of each direction, by the definition of convolution."""
        return 2 * self.batch * self.out**2 * self.oc * self.size**2 * self.ic // self.groups


CASES = {
    "lenet conv1": Case(128, 28, 1, 6, 5),
    "lenet conv2": Case(128, 14, 6, 16, 5, padding=0),
    "vgg 3-64": Case(128, 32, 3, 64),
    "vgg 64-64": Case(64, 32, 64, 64),
    "vgg 64-128": Case(128, 16, 64, 128),
    "vgg 128-128": Case(128, 16, 128, 128),
    "resnet20 16-16": Case(128, 32, 16, 16),
    "resnet20 16-32 /2": Case(128, 32, 16, 32, stride=2),
    "resnet20 32-32": Case(128, 16, 32, 32),
    "resnet20 32-64 /2": Case(128, 16, 32, 64, stride=2),
    "resnet20 64-64": Case(128, 8, 64, 64),
    "resnet20 1x1 16-32 /2": Case(128, 32, 16, 32, 1, 2),
    "resnet50 7x7 3-64 /2": Case(16, 112, 3, 64, 7, 2),
    "resnet50 1x1 64-256": Case(16, 28, 64, 256, 1),
    "resnet50 1x1 256-64": Case(16, 28, 256, 64, 1),
    "resnet50 1x1 1024-256": Case(16, 14, 1024, 256, 1),
    "resnet50 256-256": Case(16, 14, 256, 256),
    "resnet50 512-512": Case(16, 7, 512, 512),
    "alexnet 11x11 3-64 /4": Case(16, 112, 3, 64, 11, 4, padding=2),
    "mobilenet dw 32": Case(16, 48, 32, 32, groups=32),
    "mobilenet dw 64 /2": Case(16, 48, 64, 64, stride=2, groups=64),
    "mobilenet dw 512": Case(16, 14, 512, 512, groups=512),
    "mobilenet dw 512 /2": Case(16, 14, 512, 512, stride=2, groups=512),
    "mobilenet 1x1 32-64": Case(16, 48, 32, 64, 1),
    "mobilenet 1x1 512-512": Case(16, 14, 512, 512, 1),
    "dilated 64-64": Case(16, 28, 64, 64, dilation=2),
    "grouped 128-128 in 4": Case(16, 28, 128, 128, groups=4),
}
DIRECTIONS = ["forward", "input gradient", "weight gradient"]
JOBS = {f"{name}: {direction}": (name, direction) for name in CASES for direction in DIRECTIONS}


def jobs(cell):
    """{job: run} from cell(case, direction), which gives a function of no arguments; what a layer needs is made when
    its first job runs, and let go when another layer's does."""
    held = {}

    def job(name, direction):
        def run(count):
            if name not in held:
                held.clear()
                held[name] = {}
            if direction not in held[name]:
                held[name][direction] = cell(CASES[name], direction)
            once = held[name][direction]
            for _ in range(count):
                once()
            return 0.0

        return run

    return {title: job(*which) for title, which in JOBS.items()}
