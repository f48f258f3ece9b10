"""Initial weights, by the names and formulas of Keras 3. Same seed, same values on every machine.

Fans: a dense kernel (in, out) has fan_in = in and fan_out = out; a convolution kernel (kh, kw, in, out) multiplies
both by kh*kw.

https://keras.io/api/layers/initializers/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, prod, sqrt
from typing import Any

import numpy as np

from dlcore import _objects, _random
from dlcore._arguments import Checked, is_number


class Initializer(Checked):
    """Called with a shape, gives a float32 array. Subclasses with randomness take `seed`: a number gives the same
    values at each call, None draws new ones each time, from `utils.set_random_seed`'s stream or the system.

    https://keras.io/api/layers/initializers/
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define __call__(shape)")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor that make the same initializer."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        return cls(**config)

    def clone(self) -> Initializer:
        """The same once more."""
        return type(self).from_config(self.get_config())

    def _number(self, argument: str, value: Any) -> float:
        if not is_number(value) or not isfinite(value):
            raise ValueError(f"{type(self).__name__}: {argument} must be a number. Received: {argument}={value!r}")
        return float(value)

    def _shape(self, shape: Sequence[int], dtype: Any) -> tuple[int, ...]:
        if dtype not in (None, "float32", np.float32):
            raise ValueError(
                f"{type(self).__name__}: dtype must be 'float32', the one dtype of dlcore. Received: dtype={dtype!r}"
            )
        return tuple(int(size) for size in shape)


class Constant(Initializer):
    """`value` everywhere: a number, or an array that broadcasts to the shape.

    https://keras.io/api/layers/initializers/#constant-class

    Raises:
        ValueError: not numbers.
    """

    def __init__(self, value: Any = 0.0):
        try:
            self.value = self._number("value", value) if np.ndim(value) == 0 else np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"Constant: value must be a number or an array. Received: value={value!r}") from None

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.full(self._shape(shape, dtype), self.value, np.float32)

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Zeros(Initializer):
    """0 everywhere.

    https://keras.io/api/layers/initializers/#zeros-class
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.zeros(self._shape(shape, dtype), np.float32)


class Ones(Initializer):
    """1 everywhere.

    https://keras.io/api/layers/initializers/#ones-class
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.ones(self._shape(shape, dtype), np.float32)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    https://keras.io/api/layers/initializers/

    Raises:
        ValueError: called with a shape that is not of two sizes.
    """

    def __init__(self, gain: float = 1.0):
        self.gain = self._number("gain", gain)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape = self._shape(shape, dtype)
        if len(shape) != 2:
            raise ValueError(f"Identity: shape must be that of a matrix, (rows, columns). Received: shape={shape}")
        return (self.gain * np.eye(*shape)).astype(np.float32)


class _Random(Initializer):
    def __init__(self, seed: int | None = None):
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise ValueError(f"{type(self).__name__}: seed must be a whole number or None. Received: seed={seed!r}")
        self.seed = None if seed is None else int(seed)

    def _next(self) -> int:
        return _random.seeds.next() if self.seed is None else self.seed

    def _draw(
        self, shape: tuple[int, ...], draw: Callable[[int, int], np.ndarray], scale: float, shift: float
    ) -> np.ndarray:
        return (draw(self._next(), prod(shape)) * scale + shift).astype(np.float32).reshape(shape)


class RandomUniform(_Random):
    """Uniform in [minval, maxval).

    https://keras.io/api/layers/initializers/#randomuniform-class
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None):
        self.minval, self.maxval = self._number("minval", minval), self._number("maxval", maxval)
        if self.minval > self.maxval:
            raise ValueError(
                f"{type(self).__name__}: minval must not be above maxval. Received: minval={minval}, maxval={maxval}"
            )
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(self._shape(shape, dtype), _random.uniform, self.maxval - self.minval, self.minval)


class RandomNormal(_Random):
    """Normal with the given mean and standard deviation.

    https://keras.io/api/layers/initializers/#randomnormal-class
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        self.mean, self.stddev = self._number("mean", mean), self._number("stddev", stddev)
        if self.stddev < 0:
            raise ValueError(f"{type(self).__name__}: stddev must not be negative. Received: stddev={stddev}")
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(self._shape(shape, dtype), _random.normal, self.stddev, self.mean)


class TruncatedNormal(RandomNormal):
    """Normal, with values beyond two standard deviations drawn again.

    https://keras.io/api/layers/initializers/#truncatednormal-class
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return self._draw(self._shape(shape, dtype), _random.truncated_normal, self.stddev, self.mean)


class Orthogonal(_Random):
    """`gain` times a random matrix with orthonormal columns, or rows where those are fewer. A shape of more than two
    sizes is taken as a matrix of its last axis by all others.

    https://keras.io/api/layers/initializers/

    Source: Saxe et al., ICLR 2014 (arXiv 1312.6120).

    Raises:
        ValueError: called with a shape of fewer than two sizes.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None):
        self.gain = self._number("gain", gain)
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape = self._shape(shape, dtype)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: shape must have two sizes or more. Received: shape={shape}")
        rows, columns = prod(shape[:-1]), shape[-1]
        few, many = sorted((rows, columns))
        q = self.gain * _random.orthonormal(_random.normal(self._next(), few * many).reshape(few, many))
        return np.ascontiguousarray(q if rows < columns else q.T, np.float32).reshape(shape)


class VarianceScaling(_Random):
    """Variance `scale / fan`, fan being fan_in, fan_out or their mean (fan_avg).

    https://keras.io/api/layers/initializers/#variancescaling-class

    Args:
        scale: positive factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal", the same), "untruncated_normal" or "uniform".
        input_axes, output_axes: axes whose sizes make up fan_in and fan_out; both or none, by default those of the
            layers of Keras.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        if self._number("scale", scale) <= 0:
            raise ValueError(f"{type(self).__name__}: scale must be positive. Received: scale={scale}")
        given, distribution = distribution, str(distribution).lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        for name, value, received, allowed in (
            ("mode", mode, mode, ("fan_in", "fan_out", "fan_avg")),
            ("distribution", distribution, given, ("truncated_normal", "untruncated_normal", "uniform")),
        ):
            if value not in allowed:
                raise ValueError(
                    f"{type(self).__name__}: {name} must be one of {allowed}. Received: {name}={received!r}"
                )
        self.scale, self.mode, self.distribution = float(scale), mode, distribution
        super().__init__(seed)
        self.input_axes, self.output_axes = self._axes("input_axes", input_axes), self._axes("output_axes", output_axes)

    def _axes(self, argument: str, axes: Any) -> list[int] | None:
        if axes is None:
            return None
        if not isinstance(axes, (list, tuple)) or not all(isinstance(axis, (int, np.integer)) for axis in axes):
            raise ValueError(
                f"{type(self).__name__}: {argument} must be a list of whole numbers. Received: {argument}={axes!r}"
            )
        return [int(axis) for axis in axes]

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        shape = self._shape(shape, dtype)
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
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

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(*self.settings, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_Scaled):
    """Uniform with limit sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, AISTATS 2010).

    https://keras.io/api/layers/initializers/#glorotuniform-class
    """

    settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with deviation sqrt(2 / (fan_in + fan_out)) (Glorot & Bengio, AISTATS 2010).

    https://keras.io/api/layers/initializers/#glorotnormal-class
    """

    settings = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform with limit sqrt(6 / fan_in) (He et al., arXiv 1502.01852).

    https://keras.io/api/layers/initializers/#heuniform-class
    """

    settings = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with deviation sqrt(2 / fan_in) (He et al., arXiv 1502.01852).

    https://keras.io/api/layers/initializers/#henormal-class
    """

    settings = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform with limit sqrt(3 / fan_in) (LeCun et al., Efficient BackProp, 1998).

    https://keras.io/api/layers/initializers/#lecununiform-class
    """

    settings = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with deviation sqrt(1 / fan_in) (LeCun et al., Efficient BackProp, 1998).

    https://keras.io/api/layers/initializers/#lecunnormal-class
    """

    settings = (1.0, "fan_in", "truncated_normal")


def fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of this shape: products of the sizes of the given axes, or those of the layers."""
    if input_axes is not None and output_axes is not None:
        return prod(shape[axis] for axis in input_axes), prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive = prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


zeros, ones, constant, identity, orthogonal = Zeros, Ones, Constant, Identity, Orthogonal
random_uniform, random_normal, truncated_normal = RandomUniform, RandomNormal, TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal

_FAMILY = _objects.Family(
    "initializer",
    Initializer,
    {
        "zeros": Zeros, "ones": Ones, "constant": Constant, "identity": Identity, "orthogonal": Orthogonal,
        "random_uniform": RandomUniform, "random_normal": RandomNormal, "truncated_normal": TruncatedNormal,
        "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform, "glorot_normal": GlorotNormal,
        "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform, "lecun_normal": LecunNormal,
    },
    {
        "zero": Zeros, "one": Ones, "uniform": RandomUniform, "normal": RandomNormal, "IdentityInitializer": Identity,
        "OrthogonalInitializer": Orthogonal,
    },
)  # fmt: skip


class _Values:
    """An array as an initializer."""

    def __init__(self, array: np.ndarray | np.generic):
        self.array = array

    def __call__(self, shape: Sequence[int]) -> np.ndarray:
        if tuple(shape) != self.array.shape:
            raise ValueError(f"initializer: expected an array of shape {tuple(shape)}. Received: {self.array.shape}")
        return np.array(self.array, np.float32)


def get(identifier: Any) -> Callable[[Sequence[int]], np.ndarray]:
    """An initializer from its name, a config dict, an instance, a class, an array, or any function of a shape.

    Raises:
        ValueError: an unknown name, or nothing of these.
    """
    if isinstance(identifier, (np.ndarray, np.generic)):
        return _Values(identifier)
    return _FAMILY.get(identifier)  # type: ignore[no-any-return]


def serialize(initializer: Any) -> dict[str, Any] | str:
    """The config dict that `get` understands; a name for a function of the user.

    Raises:
        ValueError: neither of one of this module's classes, nor one of the user's that has a name.
    """
    return _FAMILY.serialize(initializer)  # type: ignore[no-any-return]


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Callable[[Sequence[int]], np.ndarray]:
    """The initializer that `serialize` described; custom_objects holds classes and functions of the user by name.

    Raises:
        ValueError: an unknown name.
    """
    with _objects.custom_object_scope(custom_objects):
        return get(config)
