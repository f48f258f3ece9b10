"""Models: Sequential, and loading one from a file."""

from dlcore.models.model import Model
from dlcore.models.sequential import Sequential
from dlcore.saving import load_model

__all__ = ["Model", "Sequential", "load_model"]
