"""Optimizer: slots, and the ops that update parameters."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from dlcore.kernels.executor import Program
from dlcore.ops.base import Op, Parameter, Tensor, values
from dlcore.ops.norms import constrain
from dlcore.ops.optimizers import ClipNorm, Squares, Update
from dlcore.optimizers.settings import RATES, Settings


class Optimizer(Settings):
    """Base: a learning rate, the number of steps done, and one flat array per slot. A subclass names a kernel and the
    slots that it keeps per parameter.

    https://keras.io/api/optimizers/

    Args:
        learning_rate: number of at least 0, LearningRateSchedule, or function of the number of steps done before.
        weight_decay: if given, w -= w * weight_decay * learning rate at each step, before it.
        clipnorm: the largest norm of the gradient of each weight.
        clipvalue: the largest magnitude of its elements.
        global_clipnorm: the largest norm of all gradients together. Only one of the three may be given.
        use_ema: keep the moving average of each weight: average = ema_momentum * average + (1 - ema_momentum) * w. At
            the end of `fit` it takes the place of the weight.
        ema_momentum: default 0.99.
        ema_overwrite_frequency: replace the weights by their averages every so many steps, too.
        loss_scale_factor: what the loss was multiplied by; `apply` divides the gradients by it.
        gradient_accumulation_steps: if given, at least 2: update once in so many steps, with the mean of the gradients.
        name: default is the class's name in lower case.
        lr: old spelling of learning_rate, obeyed.

    Raises:
        TypeError: both `lr` and `learning_rate`, or an unknown argument.
        ValueError: a wrong value.
    """

    kernel: str
    slots_of: Mapping[str, str] = {}  # names of slots, and of the kernel's arguments that they are given as
    starts: Mapping[str, float] = {}  # first values of slots, where not 0

    def __init__(self, learning_rate: Any, *common: Any, **options: Any):
        super().__init__(learning_rate, *common, **options)
        self.slots: dict[str, np.ndarray] = {}
        self._layout: dict[Parameter, slice] = {}
        self._pending: Mapping[str, Any] | None = None
        self._undecayed: set[Parameter] = set()
        self._undecayed_names: re.Pattern[str] | None = None
        self._by_hand: tuple[Any, Program, list[np.ndarray]] | None = None

    # -- copies

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_by_hand": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)  # a pickle may be mapped read-only
        self.slots, self._rates = {name: np.array(slot) for name, slot in self.slots.items()}, np.array(self._rates)

    # -- slots

    def _slot_names(self) -> list[str]:
        own = [name for name in self.slots_of if self._uses(name)]
        return own + ["average"] * self.use_ema + ["gradient_accumulator"] * bool(self.gradient_accumulation_steps)

    def _uses(self, slot: str) -> bool:
        """Whether the optimizer, as it is set, has this slot."""
        return True

    @property
    def built(self) -> bool:
        """Whether the slots exist."""
        return bool(self._layout)

    def build(self, layout: Mapping[Parameter, slice] | Sequence[Parameter], size: int | None = None) -> None:
        """Make the slots for a flat arena of `size` numbers in which each parameter has its place, or for a list of
        parameters. A parameter that had slots before keeps their values, wherever it lies now.

        Raises:
            ValueError: it trains another model.
        """
        if not isinstance(layout, Mapping):
            ends = np.cumsum([0, *(prod(p.shape) for p in layout)]).tolist()
            layout, size = {p: slice(a, b) for p, a, b in zip(layout, ends, ends[1:], strict=False)}, ends[-1]
        if layout == self._layout:
            return
        if self._layout and not self._layout.keys() & layout.keys():
            raise ValueError(f"{self.name}: this optimizer already trains another model. Make a new one for this model")
        for name in self._slot_names():
            fresh = np.full(size or 0, self.starts.get(name, 0.0), np.float32)
            for parameter, place in layout.items():
                if name == "average":  # of a weight that has no gradients, too
                    fresh[place] = parameter.value.reshape(-1)
                if parameter in self._layout:
                    fresh[place] = self.slots[name][self._layout[parameter]]
            self.slots[name] = fresh
        self._layout, self._by_hand = dict(layout), None
        if self._pending is not None:
            self.load_state(self._pending)

    def slot(self, name: str, parameter: Parameter) -> np.ndarray:
        """The array, in the shape of the parameter, that holds its slot `name`."""
        return self.slots[name][self._layout[parameter]].reshape(parameter.shape)

    @property
    def variables(self) -> list[np.ndarray]:
        """All slots, parameter by parameter."""
        return [self.slot(name, parameter) for parameter in self._layout for name in self.slots]

    def count_params(self) -> int:
        """Numbers in all slots, in the number of steps and, where it does not follow from that, the learning rate."""
        return sum(array.size for array in self.variables) + 1 + (self._schedule is None)

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that training changes, by name: "iterations" (steps done), "learning_rate" where it is a
        number, and "<parameter>/<slot>" for each slot.

        Raises:
            ValueError: two parameters have one name.
        """
        found: dict[str, np.ndarray] = {"iterations": np.array([self.clock.step], np.int64)}
        if self._schedule is None:
            found["learning_rate"] = self._rates[:1].copy()
        for parameter in self._layout:
            for name in self.slots:
                key = f"{parameter.name}/{name}"
                if key in found:
                    raise ValueError(f"{self.name}: two weights are called {parameter.name!r}; name their layers apart")
                found[key] = self.slot(name, parameter).copy()
        return found

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave, at once or, before the optimizer is built, when it is.

        Raises:
            ValueError: a slot is missing or has another shape; nothing is changed then.
        """
        wanted = {f"{p.name}/{name}": self.slot(name, p) for p in self._layout for name in self.slots}
        for key, array in wanted.items():
            if key not in state:
                raise ValueError(f"{self.name}: the state has no {key!r}")
            if np.shape(state[key]) != array.shape:
                raise ValueError(
                    f"{self.name}: expected {key!r} of shape {array.shape}. Received: {np.shape(state[key])}"
                )
        for key, array in wanted.items():
            array[...] = state[key]
        self.clock.step = int(np.ravel(state["iterations"])[0])
        if self._schedule is None and "learning_rate" in state:
            self._rates[:] = float(np.ravel(state["learning_rate"])[0])
        self._pending = None if self._layout else dict(state)

    # -- weight decay and averages

    def exclude_from_weight_decay(
        self, var_list: Iterable[Parameter] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Let the weight decay leave parameters alone. To be called before training.

        Args:
            var_list: parameters.
            var_names: patterns found in the names of parameters, as "bias" in "dense/bias"; the layer's name does not
                count.

        Raises:
            ValueError: the optimizer is built.
        """
        if self._layout:
            raise ValueError(f"{self.name}: exclude_from_weight_decay must be called before training")
        self._undecayed = set(var_list or [])
        self._undecayed_names = re.compile("|".join(sorted(set(var_names)))) if var_names else None

    def _decays(self, parameter: Parameter) -> bool:
        pattern, name = self._undecayed_names, parameter.name.rpartition("/")[2]
        return parameter not in self._undecayed and not (pattern and pattern.search(name))

    def finalize_variable_values(self, var_list: Iterable[Parameter] | None = None) -> None:
        """With use_ema, replace parameters (default: all) by their averages: to be called when training ends."""
        if self.use_ema and self.clock.step:
            for parameter in self._layout if var_list is None else var_list:
                parameter.assign(self.slot("average", parameter))

    # -- updating

    def options(self) -> dict[str, Any]:
        """The kernel's own arguments."""
        return {}

    def update(
        self, gradients: Mapping[Parameter, Tensor], scale: float = 1.0
    ) -> tuple[list[Op], dict[Tensor, np.ndarray]]:
        """The ops that apply gradients, times `scale`, to their parameters, and the memory of their own tensors."""
        rate = Tensor((RATES,), "d", name="learning_rate")
        placed: dict[Tensor, np.ndarray] = {rate: self._rates}
        slots: dict[Parameter, dict[str, Tensor]] = {}
        for parameter in gradients:
            slots[parameter] = {name: Tensor(parameter.shape, name=name) for name in self.slots}
            placed.update({tensor: self.slot(name, parameter) for name, tensor in slots[parameter].items()})
        scales = self._clip(gradients, slots, placed, scale)
        updates: list[Op] = []
        for parameter, gradient in gradients.items():
            given = {argument: slots[parameter].get(name) for name, argument in self.slots_of.items()}
            more: dict[str, Any] = {"factor": scale} if scale != 1 else {}
            if self.clipvalue:
                more["clip"] = self.clipvalue
            if self.weight_decay and self._decays(parameter):
                more["weight_decay"] = self.weight_decay
            if self.gradient_accumulation_steps:
                given["acc"], more["every"] = slots[parameter]["gradient_accumulator"], self.gradient_accumulation_steps
            if self.use_ema:
                given["average"], more["ema_momentum"] = slots[parameter]["average"], self.ema_momentum
                more["overwrite"] = self.ema_overwrite_frequency or 0
            options = {**self.options(), **more}
            updates.append(Update(self.kernel, parameter, gradient, given, rate, scales.get(parameter), **options))
            constraint = getattr(parameter, "constraint", None)
            if constraint is not None and (op := constrain(parameter, constraint)) is not None:
                updates.append(op)
        return updates, placed

    def _clip(
        self,
        gradients: Mapping[Parameter, Tensor],
        slots: Mapping[Parameter, Mapping[str, Tensor]],
        placed: dict[Tensor, np.ndarray],
        scale: float,
    ) -> dict[Parameter, Tensor]:
        """The factors that clip norms, by parameter."""
        if not self.clipnorm and not self.global_clipnorm:
            return {}
        squares = {p: Squares(g, slots[p].get("gradient_accumulator")).output for p, g in gradients.items()}
        factor = scale / (self.gradient_accumulation_steps or 1)
        if self.clipnorm:
            return {p: ClipNorm([s], s, self.clipnorm, factor, False).output for p, s in squares.items()}
        everything = Tensor((sum(s.shape[0] for s in squares.values()),), "d", name="squares")
        placed[everything] = np.zeros(everything.shape)
        start = 0
        for s in squares.values():
            placed[s] = placed[everything][start : start + s.shape[0]]
            start += s.shape[0]
        norm = ClipNorm(list(squares.values()), everything, self.global_clipnorm or 0.0, factor, True).output
        return dict.fromkeys(squares, norm)

    def scale_loss(self, loss: Any) -> Any:
        """`loss` times loss_scale_factor, whose gradients by hand `apply` divides by it."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Parameter]]) -> int:
        """One step by hand from pairs of a gradient, an array, and its parameter. Returns the number of steps done.

        Raises: as `apply`.
        """
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [parameter for _, parameter in pairs])
        return self.iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Parameter] | None = None) -> None:
        """One step by hand.

        Args:
            grads: an array for each parameter; parameters with None stay as they are.
            trainable_variables: the parameters; default all that the optimizer was built for.

        Raises:
            ValueError: unknown parameters, no gradient at all, or shapes that do not fit.
        """
        if len(grads) == 0:
            return
        if trainable_variables is None and not self._layout:
            raise ValueError(f"{self.name}: apply needs trainable_variables, since the optimizer is not built yet")
        parameters = list(self._layout if trainable_variables is None else trainable_variables)
        if len(parameters) != len(grads):
            raise ValueError(f"{self.name}: expected {len(parameters)} gradients. Received: {len(grads)}")
        if not self._layout:
            self.build(parameters)
        for parameter in parameters:
            if parameter not in self._layout:
                raise ValueError(f"{self.name}: {parameter!r} is unknown: the optimizer was built for other weights")
        arrays = {p: np.asarray(g, np.float32) for p, g in zip(parameters, grads, strict=True) if g is not None}
        if not arrays:
            raise ValueError(f"{self.name}: no gradient was given for any weight")
        if len(arrays) < len(parameters):
            missing = [p.name for p in parameters if p not in arrays]
            warnings.warn(f"{self.name}: there are no gradients for {missing}", stacklevel=2)
        for parameter, array in arrays.items():
            if array.shape != parameter.shape:
                raise ValueError(
                    f"{self.name}: expected a gradient of shape {parameter.shape} for {parameter.name}. "
                    f"Received: {array.shape}"
                )
        program, memory = self._program(list(arrays))
        for place, array in zip(memory, arrays.values(), strict=True):
            place[...] = array
        self.prepare(1)
        program.run()
        values.note()

    def _program(self, parameters: list[Parameter]) -> tuple[Program, list[np.ndarray]]:
        """The program of `apply`, and where it looks for gradients."""
        from dlcore.graph.program import build

        key = [(parameter, parameter.value) for parameter in parameters]
        known = self._by_hand
        if (
            known is not None
            and len(known[0]) == len(key)
            and all(p is q and v is w for (p, v), (q, w) in zip(known[0], key, strict=True))
        ):
            return known[1], known[2]
        memory = [np.empty(parameter.shape, np.float32) for parameter in parameters]
        tensors = {parameter: Tensor(parameter.shape, name="gradient") for parameter in parameters}
        updates, own = self.update(tensors, 1 / (self.loss_scale_factor or 1))
        placed: dict[Tensor, Any] = dict(own)
        placed.update(zip(tensors.values(), memory, strict=True))
        program = build(updates, 1, self.clock, {}, placed, training=True)
        self._by_hand = key, program, memory
        return program, memory
