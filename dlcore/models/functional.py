"""Functional: a model that is a graph of layer calls, from its inputs to its outputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from dlcore.graph.graph import clone
from dlcore.layers.base import Layer
from dlcore.layers.checks import shown
from dlcore.layers.shape import Input, InputLayer
from dlcore.layers.trace import Call, flat, mapped
from dlcore.models.data import Spec
from dlcore.models.model import Model
from dlcore.models.structure import Node, Source, Structure
from dlcore.ops.base import Op, Tensor


class Ref:
    """Stands for a tensor in the arguments of a recorded call."""

    def __init__(self, number: int):
        self.number = number


class OpCall:
    """An op between layers, applied to other tensors by copying it."""

    def __init__(self, op: Op):
        self.op = clone(
            op, [tensor if tensor.op is None else Tensor(tensor.shape, tensor.dtype) for tensor in op.inputs]
        )
        self.name = getattr(op, "kind", type(op).__name__).lower()
        self.kind = "".join(part.capitalize() for part in self.name.split("_")) if hasattr(op, "kind") else (
            type(op).__name__)  # fmt: skip

    def __call__(self, x: Sequence[Tensor], training: bool = False) -> list[Tensor]:
        return clone(self.op, list(x)).outputs


class Link:
    """A call of a layer, or of an op, with numbers in the place of tensors."""

    def __init__(self, layer: Any, arguments: Any, outputs: Any):
        self.layer, self.arguments, self.outputs = layer, arguments, outputs


class Functional(Model):
    """A model from symbolic tensors to symbolic tensors; `Model(inputs, outputs)` makes one.

    https://keras.io/api/models/model/

    Args:
        inputs: a tensor, or a list or dict of tensors, most often made by `Input`.
        outputs: likewise; what layers made of the inputs. The model gives them in this structure, a list of one as the
            one itself.
        name: default "functional".

    Raises:
        ValueError: an output does not follow from the inputs, or two layers have one name.
        TypeError: something else than tensors.
    """

    def __init__(
        self, inputs: Any, outputs: Any = None, *, name: str | None = None, trainable: bool = True, **kwargs: Any
    ):
        super().__init__(name=name, trainable=trainable, **kwargs)
        for what, given, made in (("inputs", inputs, "Input makes"), ("outputs", outputs, "layers give")):
            if not flat(given, True) or not all(isinstance(t, Tensor) for t in flat(given, True)):
                raise TypeError(
                    f"{self.name}: {what} must be symbolic tensors, as {made} them. Received: {what}={given!r:.200}"
                )
        self._record(inputs, outputs)
        self.built = True
        self.output_shape = mapped(lambda t: t.shape, outputs)

    def _record(self, inputs: Any, outputs: Any) -> None:
        """Keep the calls between inputs and outputs, each after those that it needs."""
        numbers: dict[Tensor, Ref] = {t: Ref(i) for i, t in enumerate(flat(inputs))}
        if len(numbers) < len(flat(inputs)):
            raise ValueError(f"{self.name}: a tensor was given twice in inputs")
        calls = self._between(numbers, outputs)

        def ref(tensor: Tensor) -> Ref | Tensor:
            return tensor if tensor.op is None and tensor not in numbers else numbers[tensor]

        self._links: list[Link] = []
        for call in calls:
            made = flat(call.outputs) if isinstance(call, Call) else call.outputs
            for tensor in made:
                numbers.setdefault(tensor, Ref(len(numbers)))
            if isinstance(call, Call):
                self._links.append(Link(call.layer, mapped(ref, call.arguments), mapped(ref, call.outputs)))
            else:
                arguments: Any = ([ref(tensor) for tensor in call.inputs], (), {})
                self._links.append(Link(OpCall(call), arguments, [ref(tensor) for tensor in call.outputs]))
        self._inputs, self._outputs = mapped(ref, inputs), mapped(ref, outputs)
        self._specs = [self._spec(tensor, i) for i, tensor in enumerate(flat(inputs))]
        self._input_layers: list[Layer] = [
            t.call.layer if t.call is not None and isinstance(t.call.layer, InputLayer) else
            InputLayer(spec.shape, name=spec.name, dtype="int32" if spec.dtype == "i" else None)
            for t, spec in zip(flat(inputs), self._specs, strict=True)
        ]  # fmt: skip
        self._operations = self._ordered()
        self._layers = [layer for layer in self._operations if isinstance(layer, Layer)]
        self.output_names = [t.call.layer.name if t.call else f"output_{i}" for i, t in enumerate(flat(outputs))]
        seen: dict[str, Layer] = {}
        for layer in self._layers:
            if seen.setdefault(layer.name, layer) is not layer:
                raise ValueError(f"{self.name}: layer names must differ. Received a second {layer.name!r}")
        self._last_call = Call(self, (inputs, (), {}), outputs, own=False)  # other layers made them

    def _spec(self, tensor: Tensor, i: int) -> Spec:
        name = tensor.name or (tensor.call.layer.name if tensor.call is not None else f"input_{i}")
        return Spec(name, tuple(tensor.shape[1:]), tensor.dtype)

    def _between(self, inputs: Any, outputs: Any) -> list[Call | Op]:
        order: list[Call | Op] = []
        seen: set[Call | Op] = set()
        stack: list[tuple[Any, bool]] = [(t, False) for t in reversed(flat(outputs))]
        while stack:  # no recursion: a deep network must not meet Python's limit
            item, ready = stack.pop()
            if ready:
                order.append(item)
                continue
            if item in inputs or (item.op is None and item.call is None):
                if item not in inputs and item in flat(outputs):
                    raise ValueError(f"{self.name}: the output {item!r} does not follow from the inputs")
                continue
            maker = item.call or item.op
            if maker in seen:
                continue
            if not (sources := flat(maker.arguments) if isinstance(maker, Call) else maker.inputs):
                raise ValueError(
                    f"{self.name}: the outputs also depend on {item.name or item!r}, which is not among the inputs"
                )
            seen.add(maker)
            stack.append((maker, True))
            stack.extend((t, False) for t in reversed(sources) if isinstance(t, Tensor))
        return order

    def _ordered(self) -> list[Any]:
        """Layers, and ops between them, by their distance from the outputs, the farthest first, as Keras lists them and
        their weights."""
        depth: dict[int, int] = {ref.number: 0 for ref in flat(self._outputs)}
        depths: dict[Any, int] = {}
        for link in reversed(self._links):
            here = max(depth.get(ref.number, 0) for ref in flat(link.outputs))
            here = depths[link.layer] = max(depths.get(link.layer, 0), here)
            for ref in _refs(link.arguments):
                depth[ref.number] = max(depth.get(ref.number, 0), here + 1)
        sources = {ref.number: layer for layer, ref in zip(self._input_layers, flat(self._inputs), strict=True)}
        depths.update((layer, depth.get(number, 0)) for number, layer in sources.items())
        found = dict.fromkeys(layer for number, layer in sources.items() if number not in depth)  # nobody reads them
        for link in self._links:
            found.update(dict.fromkeys(sources[ref.number] for ref in _refs(link.arguments) if ref.number in sources))
            found[link.layer] = None
        found.update(dict.fromkeys(self._input_layers))
        return sorted(found, key=lambda layer: -depths[layer])

    def structure(self) -> Structure:
        nodes: dict[Any, Node] = {}
        taken = {layer.name for layer in self._layers}
        for layer in self._operations:
            if isinstance(layer, Layer):
                nodes[layer] = Node.of(layer)
            else:
                name = next(n for n in _numbered(layer.name) if n not in taken)
                taken.add(name)
                nodes[layer] = Node(None, name, layer.kind, [tensor.shape for tensor in layer.op.outputs])
        inputs = [nodes[layer] for layer in self._input_layers]
        made = {ref.number: Source(node, 0, 0) for node, ref in zip(inputs, flat(self._inputs), strict=True)}
        chain, previous = len(inputs) == 1, inputs[0]
        for link in self._links:
            node, reads = nodes[link.layer], [made[ref.number] for ref in _refs(link.arguments)]
            chain = chain and not node.calls and len(reads) == 1 and reads[0].node is previous
            previous = node
            made.update((ref.number, Source(node, len(node.calls), i)) for i, ref in enumerate(flat(link.outputs)))
            node.calls.append(reads)
        return Structure(list(nodes.values()), inputs, [made[ref.number] for ref in flat(self._outputs)], chain)

    @property
    def layers(self) -> list[Layer]:
        return list(self._layers)

    def _inner(self) -> list[Layer]:
        return self.layers

    def _notes_changes(self) -> bool:
        return all(layer._notes_changes() for layer in self._layers)

    @property
    def specs(self) -> list[Spec]:
        return self._specs

    def _packed(self, tensors: Sequence[Tensor]) -> Any:
        return mapped(lambda ref: tensors[ref.number], self._inputs, leaf=True)

    def call(self, x: Any, training: bool = False) -> Any:
        tensors = self._unpacked(x)
        for tensor, spec in zip(tensors, self._specs, strict=True):
            if tuple(tensor.shape[1:]) != spec.shape:
                raise ValueError(
                    f"{self.name}: expected an input {spec.name!r} of shape {shown((None, *spec.shape))}. "
                    f"Received: {shown(tensor.shape)}"
                )
        values = {ref.number: tensor for ref, tensor in zip(flat(self._inputs), tensors, strict=True)}

        def value(part: Any) -> Any:
            return values[part.number] if isinstance(part, Ref) else part

        for link in self._links:
            first, args, kwargs = mapped(value, link.arguments, leaf=True)
            y = link.layer(first, *args, **{"training": training, **kwargs})
            values.update(zip((ref.number for ref in flat(link.outputs)), flat(y), strict=True))
        outputs = mapped(value, self._outputs, leaf=True)
        return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs

    def _unpacked(self, x: Any) -> list[Tensor]:
        if isinstance(x, dict) and not isinstance(self._inputs, dict):
            missing = [spec.name for spec in self._specs if spec.name not in x]
            if missing:
                raise ValueError(f"{self.name}: expected inputs {[s.name for s in self._specs]}. Missing: {missing}")
            x = [x[spec.name] for spec in self._specs]
        tensors = flat([x[key] for key in self._inputs] if isinstance(x, dict) else x)
        if len(tensors) != len(self._specs):
            raise ValueError(
                f"{self.name}: expected {len(self._specs)} inputs, {self.input_names}. Received: {len(tensors)}"
            )
        return tensors

    # -- as a description

    def get_config(self) -> dict[str, Any]:
        """Everything but the weights.

        Raises:
            ValueError: an op stands between the layers, or a layer was called with something that JSON does not have.
        """
        from dlcore.saving import serialize_layer

        layers = [layer for layer in self._layers if layer not in self._input_layers]
        number = {layer: i for i, layer in enumerate(layers)}
        calls = []
        for link in self._links:
            if isinstance(link.layer, OpCall):
                raise ValueError(
                    f"{self.name}: the op {link.layer.name} between its layers has no name in a file. Compute it in a "
                    "layer of your own to save or clone the model"
                )
            calls.append({
                "layer": number[link.layer], "arguments": self._encoded(link.arguments, link.layer.name),
                "outputs": self._encoded(link.outputs, link.layer.name),
            })  # fmt: skip
        return {
            "name": self.name,
            "trainable": self.trainable,
            "input_specs": [{"name": s.name, "shape": list(s.shape), "dtype": s.dtype} for s in self._specs],
            "inputs": self._encoded(self._inputs, self.name),
            "layers": [serialize_layer(layer) for layer in layers],
            "calls": calls,
            "outputs": self._encoded(self._outputs, self.name),
        }

    def _encoded(self, part: Any, layer: str) -> Any:
        if isinstance(part, Ref):
            return {"tensor": part.number}
        if isinstance(part, (list, tuple)):
            return [self._encoded(value, layer) for value in part]
        if isinstance(part, dict):
            return {"dict": {key: self._encoded(value, layer) for key, value in part.items()}}
        if part is None or isinstance(part, (bool, int, float, str)):
            return part
        raise ValueError(f"{layer}: it was called with {part!r:.100}, which has no form in a file")

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Functional:
        """A new model like the one that `get_config` described, its weights initialised anew.

        Args:
            config: of `get_config`.
            custom_objects: classes and functions of the user by name.

        Raises:
            ValueError: an unknown layer, or calls that do not fit together.
        """
        from dlcore.saving import deserialize_layer

        values: dict[int, Tensor] = {}
        refs = flat(_decoded(config["inputs"]))
        for ref, spec in zip(refs, config["input_specs"], strict=True):
            dtype = "int32" if spec["dtype"] == "i" else None
            values[ref.number] = Input(spec["shape"], name=spec["name"], dtype=dtype)
        layers = [deserialize_layer(layer, custom_objects) for layer in config["layers"]]

        def value(part: Any) -> Any:
            if not isinstance(part, Ref):
                return part
            if part.number not in values:
                raise ValueError(f"tensor {part.number} is used before it is made")
            return values[part.number]

        for call in config["calls"]:
            layer = layers[call["layer"]]
            first, args, kwargs = mapped(value, _decoded(call["arguments"]), leaf=True)
            y = layer(first, *args, **kwargs)
            values.update(zip((ref.number for ref in flat(_decoded(call["outputs"]))), flat(y), strict=True))
        inputs, outputs = (mapped(value, _decoded(config[key]), leaf=True) for key in ("inputs", "outputs"))
        return cls(inputs, outputs, name=config.get("name"), trainable=config.get("trainable", True))


def _refs(arguments: Any) -> list[Ref]:
    return [part for part in flat(arguments) if isinstance(part, Ref)]


def _numbered(name: str) -> Iterator[str]:
    """name, name_1, name_2, ..."""
    return itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))


def _decoded(part: Any) -> Any:
    if isinstance(part, list):
        return [_decoded(value) for value in part]
    if isinstance(part, dict):
        if "tensor" in part:
            return Ref(int(part["tensor"]))
        return {key: _decoded(value) for key, value in part["dict"].items()}
    return part
