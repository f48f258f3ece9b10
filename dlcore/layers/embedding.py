"""Vectors for whole numbers."""

from __future__ import annotations

from typing import Any

from dlcore import ops
from dlcore.layers.base import Layer
from dlcore.layers.checks import only, positive
from dlcore.ops.base import Tensor


class Embedding(Layer):
    """y = embeddings[x]: (batch, ...) of whole numbers -> (batch, ..., output_dim).

    https://keras.io/api/layers/core_layers/embedding/

    A number outside 0 to input_dim - 1 gives NaN.

    Args:
        input_dim: how many numbers there are.
        output_dim: features of each.
        embeddings_initializer: default "uniform", in [-0.05, 0.05].
        embeddings_regularizer, embeddings_constraint: of the table, default None.
        mask_zero: False, since dlcore has no masks.
        weights: None, or the table to begin with.
        lora_rank, lora_alpha, quantization_config: None.
        input_length: not used, as in Keras.

    Weights: embeddings (input_dim, output_dim).

    Raises:
        ValueError: an argument does not fit.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        *,
        input_length: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_dim = positive(input_dim, self.name, "input_dim")
        self.output_dim = positive(output_dim, self.name, "output_dim")
        self._keep(
            embeddings_initializer=embeddings_initializer, embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
        )  # fmt: skip
        only(lora_rank, (None,), self.name, "lora_rank")
        only(lora_alpha, (None,), self.name, "lora_alpha")
        only(quantization_config, (None,), self.name, "quantization_config")
        if mask_zero:
            raise ValueError(
                f"{self.name}: mask_zero must be False: dlcore has no masks (give padded steps a weight of zero in the "
                f"loss instead). Received: mask_zero={mask_zero!r}"
            )
        if weights is not None:
            self.build(())
            self.built = True
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.embeddings = self._weight("embeddings", (self.input_dim, self.output_dim))

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.embedding(self.embeddings, x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "input_dim": self.input_dim, "output_dim": self.output_dim,
            "mask_zero": False,
        }  # fmt: skip
