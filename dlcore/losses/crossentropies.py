"""The cross-entropies as classes: their arguments, and what their targets are. The formulas are in `functions`."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore import ops
from dlcore.losses import functions
from dlcore.losses.base import MEAN, LossFunctionWrapper, number, whole
from dlcore.ops import Tensor


class _Crossentropy(LossFunctionWrapper):
    """What the cross-entropies have in common: their arguments are attributes, too."""

    def __init__(self, fn: Any, reduction: str | None, name: str, dtype: str | None, **arguments: Any):
        arguments["from_logits"] = bool(arguments["from_logits"])
        arguments["axis"] = whole(name, "axis", arguments["axis"])
        if "label_smoothing" in arguments:
            arguments["label_smoothing"] = number(name, "label_smoothing", arguments["label_smoothing"], 0, 1)
        if "gamma" in arguments:
            arguments["gamma"] = number(name, "gamma", arguments["gamma"], 0)
        super().__init__(fn, reduction, name, dtype, **arguments)
        for key, value in arguments.items():
            setattr(self, key, value)


class BinaryCrossentropy(_Crossentropy):
    """-(y log p + (1 - y) log(1 - p)), the mean over `axis`.

    https://keras.io/api/losses/probabilistic_losses/#binarycrossentropy-class

    Args:
        from_logits: True when predictions are logits. Probabilities are clipped to [1e-7, 1 - 1e-7]; behind a sigmoid
            the loss is computed from its logits.
        label_smoothing: in [0, 1]; draws targets towards a half.
        axis: the mean is over this axis.
    """

    between = (0, 1)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(
            functions.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class BinaryFocalCrossentropy(_Crossentropy):
    """Binary cross-entropy times (1 - q)^gamma, q being the probability of the truth; the mean over `axis`.

    https://keras.io/api/losses/probabilistic_losses/#binaryfocalcrossentropy-class, https://arxiv.org/abs/1708.02002

    Args:
        apply_class_balancing: also times alpha where the target is 1 and 1 - alpha where it is 0.
        alpha: in [0, 1].
        gamma: at least 0; at 0 nothing is focused.
        from_logits: True when predictions are logits.
        label_smoothing: in [0, 1]; draws targets towards a half.
        axis: the mean is over this axis.
    """

    between = (0, 1)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(
            functions.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=bool(apply_class_balancing),
            alpha=number(name, "alpha", alpha, 0, 1),
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(_Crossentropy):
    """-sum y log p over `axis`; targets are one-hot, or any distribution, of the predictions' shape.

    https://keras.io/api/losses/probabilistic_losses/#categoricalcrossentropy-class

    Args:
        from_logits: True when predictions are logits. Probabilities are normalised, then clipped to [1e-7, 1 - 1e-7];
            those of a softmax in front are never formed: the loss is computed from its logits.
        label_smoothing: in [0, 1]; draws targets towards 1 / classes.
        axis: of the classes.
    """

    between = (0, 1)
    categorical = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(
            functions.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(_Crossentropy):
    """-sum alpha (1 - p)^gamma y log p over `axis`; targets are one-hot.

    https://keras.io/api/losses/probabilistic_losses/#categoricalfocalcrossentropy-class,
    https://arxiv.org/abs/1708.02002

    Args:
        alpha: a number, or one for each class.
        gamma: at least 0; at 0 nothing is focused.
        from_logits: True when predictions are logits.
        label_smoothing: in [0, 1]; draws targets towards 1 / classes.
        axis: of the classes.
    """

    between = (0, 1)
    categorical = True

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ):
        many = isinstance(alpha, (list, tuple, np.ndarray))
        super().__init__(
            functions.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=[number(name, "alpha", one, 0) for one in alpha] if many else number(name, "alpha", alpha, 0),
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(_Crossentropy):
    """-log of the probability of the true class; targets are class numbers (batch, ...), or (batch, ..., 1).

    https://keras.io/api/losses/probabilistic_losses/#sparsecategoricalcrossentropy-class

    Args:
        from_logits: True when predictions are logits. Probabilities are normalised, then clipped to [1e-7, 1 - 1e-7];
            those of a softmax in front are never formed: the loss is computed from its logits.
        ignore_class: positions of this class do not count, such as -1 or 255 for the unlabelled; the mean is over the
            others.
        axis: of the classes, in the predictions.
    """

    sparse = True
    ignore_class: int | None

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ):
        super().__init__(
            functions.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=None if ignore_class is None else whole(name, "ignore_class", ignore_class),
            axis=axis,
        )
        self.class_axis = self.arguments["axis"]

    def ignored(self) -> int | None:
        return self.ignore_class

    def valid(self, y_true: Any) -> Any:
        if self.ignore_class is None:
            return None
        if isinstance(y_true, Tensor):
            return ops.not_equal(ops.cast(y_true, "float32"), float(self.ignore_class))
        return (y_true != self.ignore_class).astype(np.float32)
