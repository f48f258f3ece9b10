"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcore.layers.base import shown

if TYPE_CHECKING:
    from dlcore.models.network import Network


def summary(model: Network, line_length: int | None = None) -> str:
    """Layers with output shapes and numbers of parameters."""
    rows = [
        (
            f"{layer.name} ({type(layer).__name__})",
            shown(layer.output_shape) if layer.output_shape else "?",
            f"{layer.count_params():,}",
        )
        for layer in model.layers
    ]
    head = ("Layer (type)", "Output Shape", "Param #")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(3)]
    spare = (line_length or 0) - sum(widths) - 10
    if spare > 0:
        widths[0] += spare

    def line(cells: tuple[str, str, str], bar: str) -> str:
        a, b, c = cells[0].ljust(widths[0]), cells[1].ljust(widths[1]), cells[2].rjust(widths[2])
        return f"{bar} {a} {bar} {b} {bar} {c} {bar}"

    def rule(left: str, middle: str, right: str, dash: str) -> str:
        return left + middle.join(dash * (width + 2) for width in widths) + right

    body = f"\n{rule('├', '┼', '┤', '─')}\n".join(line(row, "│") for row in rows)
    total, trainable = model.count_params(), sum(w.value.size for w in model.trainable_weights)
    return "\n".join([
        f'Model: "{model.name}"', rule("┏", "┳", "┓", "━"), line(head, "┃"), rule("┡", "╇", "┩", "━"),
        *([body] if rows else []), rule("└", "┴", "┘", "─"), f" Total params: {total:,} ({size(total)})",
        f" Trainable params: {trainable:,} ({size(trainable)})",
        f" Non-trainable params: {total - trainable:,} ({size(total - trainable)})",
    ])  # fmt: skip


def size(params: int) -> str:
    """Bytes of float32 parameters, as Keras writes them."""
    amount = 4.0 * params
    for unit in ("B", "KB", "MB"):
        if amount < 1024:
            return f"{amount:.2f} {unit}"
        amount /= 1024
    return f"{amount:.2f} GB"
