"""Optional libraries: one clear error when one is missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, extra: str) -> Any:
    """The module, or an ImportError that says which extra of the distribution brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is needed for this and is not installed. It comes with the extra {extra!r}: "
            f"pip install '.[{extra}]' in a checkout, or 'dlcore-engine[{extra}]'"
        ) from error
