"""Models in files, in text and in memory."""

from __future__ import annotations

import copy
import json
import os
import threading
from typing import Any

from dlcore import _objects
from dlcore._arguments import checked
from dlcore.models.network import Network

BOUND = ("_arena", "_bound_to", "_seen", "_placed", "_functions", "_shapes", "_lock", "_training", "_building",
         "_predictors", "_idle_functions", "_structure", "_laid_out", "_resume")  # fmt: skip


class Saved(Network):
    """What `Model` has to do with files and copies."""

    @checked
    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True, *, include_optimizer: bool = True) -> None:
        """Write architecture, weights and training to one safetensors file, which `load_model` reads. All of it or
        nothing; see `dlcore.saving.save_model`.

        Raises:
            ValueError: something in the model has no name that could be written.
            OSError: the file cannot be written, or is there and may not be overwritten.
        """
        from dlcore.saving import save_model

        save_model(self, filepath, overwrite, include_optimizer)  # type: ignore[arg-type]

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights to one file, "<...>.weights.safetensors". All of it or nothing.

        Raises:
            ValueError: another ending, or the model has no weights yet.
            OSError: the file cannot be written, or is there and may not be overwritten.
        """
        from dlcore.saving import save_weights

        save_weights(self, filepath, overwrite)  # type: ignore[arg-type]

    def load_weights(self, filepath: str | os.PathLike[str], skip_mismatch: bool = False) -> None:
        """Take the weights in a file: all of them or, if something does not fit, none. Predictions in other threads see
        all of the old weights, or all of the new ones.

        Args:
            skip_mismatch: leave layers that do not fit as they are, with a warning.

        Raises:
            ModelFileError: the file is damaged, or does not fit.
            OSError: it cannot be read.
        """
        from dlcore.saving import load_weights

        load_weights(self, filepath, skip_mismatch)  # type: ignore[arg-type]

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """A new model from what `get_config` gave, its weights initialised anew.

        Args:
            config: of `get_config`.
            custom_objects: classes and functions of the user by name.

        Raises:
            ValueError: an unknown name.
        """
        with _objects.custom_object_scope(custom_objects):
            if "calls" in config and cls.__name__ == "Model" and cls.__module__.startswith("dlcore."):
                from dlcore.models.functional import Functional

                return Functional.from_config(config)
            return super().from_config(config)

    def to_json(self, **options: Any) -> str:
        """The architecture as JSON, which `dlcore.models.model_from_json` reads; without weights.

        Args:
            options: of `json.dumps`.

        Raises:
            ValueError: something in the model has no name.
        """
        from dlcore.saving import serialize_layer

        return json.dumps(serialize_layer(self), **options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with self._lock.read():  # another thread may be training
            made = memo[id(self)] = type(self).__new__(type(self))
            made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
            return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._training.locked() and self._trainer != threading.get_ident():
            return super(Saved, copy.deepcopy(self)).__reduce_ex__(protocol)  # of one step, not of two
        return super().__reduce_ex__(protocol)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for name in BOUND:
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._renew()
        if self.history is not None:
            self.history.set_model(self)  # type: ignore[arg-type]
