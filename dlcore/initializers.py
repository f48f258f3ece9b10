"""Initial weights, by the names and formulas of Keras 3. Same seed, same values on every machine.

Fans: a dense kernel (in, out) has fan_in = in and fan_out = out; a convolution kernel (kh, kw, in, out) multiplies
both by kh*kw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from dlcore import _random


class Initializer:
    """Called with a shape, gives a float32 array. Subclasses with randomness take `seed` (None: a new one each
    time)."""

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define __call__(shape)")

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)


class Constant(Initializer):
    """`value` everywhere."""

    def __init__(self, value: float = 0.0):
        self.value = value

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return np.full(tuple(shape), self.value, np.float32)


class Zeros(Initializer):
    """0 everywhere."""

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return np.zeros(tuple(shape), np.float32)


class Ones(Initializer):
    """1 everywhere."""

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return np.ones(tuple(shape), np.float32)


class _Random(Initializer):
    seed: int | None

    def _draw(
        self, shape: Sequence[int], draw: Callable[[int, int], np.ndarray], scale: float, shift: float
    ) -> np.ndarray:
        seed = _random.seeds.next() if self.seed is None else self.seed
        return (draw(seed, prod(shape)) * scale + shift).astype(np.float32).reshape(tuple(shape))


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return self._draw(shape, _random.uniform, self.maxval - self.minval, self.minval)


class RandomNormal(_Random):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return self._draw(shape, _random.normal, self.stddev, self.mean)


class TruncatedNormal(RandomNormal):
    """Normal, with values beyond two standard deviations drawn again."""

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        return self._draw(shape, _random.truncated_normal, self.stddev, self.mean)


class VarianceScaling(_Random):
    """Variance `scale / fan`, fan being fan_in, fan_out or their mean (fan_avg).

    Args:
        scale: positive factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
    """

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None
    ):
        if scale <= 0:
            raise ValueError(f"{type(self).__name__}: scale must be positive. Received: scale={scale}")
        for name, value, allowed in (
            ("mode", mode, ("fan_in", "fan_out", "fan_avg")),
            ("distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform")),
        ):
            if value not in allowed:
                raise ValueError(f"{type(self).__name__}: {name} must be one of {allowed}. Received: {name}={value!r}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            limit = sqrt(3.0) * deviation
            return self._draw(shape, _random.uniform, 2 * limit, -limit)
        if self.distribution == "untruncated_normal":
            return self._draw(shape, _random.normal, deviation, 0.0)
        # 0.8796... is the standard deviation of a standard normal cut at two
        return self._draw(shape, _random.truncated_normal, deviation / 0.87962566103423978, 0.0)


class _Scaled(VarianceScaling):
    settings: tuple[float, str, str]

    def __init__(self, seed: int | None = None):
        super().__init__(*self.settings, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Scaled):
    """Uniform with limit sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, AISTATS 2010)."""

    settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with deviation sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio, AISTATS 2010)."""

    settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform with limit sqrt(6 / fan_in) (He et al., arXiv 1502.01852)."""

    settings = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with deviation sqrt(2 / fan_in) (He et al., arXiv 1502.01852)."""

    settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform with limit sqrt(3 / fan_in) (LeCun et al., Efficient BackProp, 1998)."""

    settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with deviation sqrt(1 / fan_in) (LeCun et al., Efficient BackProp, 1998)."""

    settings = (1.0, "fan_in", "truncated_normal")


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of this shape."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive = prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


_BY_NAME: dict[str, type[Initializer]] = {
    "zeros": Zeros, "ones": Ones, "constant": Constant, "random_uniform": RandomUniform, "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal, "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal, "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
}  # fmt: skip


def get(identifier: Any) -> Callable[[Sequence[int]], np.ndarray]:
    """An initializer from its name, a config dict, an instance, a class, or any function of a shape.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(identifier, dict):
        identifier, config = identifier["class_name"], identifier["config"]
        return get(_class(identifier).from_config(config))
    if isinstance(identifier, str):
        return _class(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        function: Callable[[Sequence[int]], np.ndarray] = identifier
        return function
    raise ValueError(f"initializer: expected a name, an Initializer or a function. Received: {identifier!r}")


def _class(name: str) -> type[Initializer]:
    for key, cls in _BY_NAME.items():
        if name in (key, cls.__name__):
            return cls
    raise ValueError(f"initializer: expected one of {sorted(_BY_NAME)}. Received: {name!r}")


def serialize(initializer: Any) -> dict[str, Any]:
    """The config dict that `get` understands.

    Raises:
        ValueError: not one of this module's classes.
    """
    if type(initializer) not in _BY_NAME.values():
        raise ValueError(f"initializer: {initializer!r} cannot be saved: it is not one of {sorted(_BY_NAME)}")
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
