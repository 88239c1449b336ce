"""Forward, vjp and jvp passes of some images of a batch through a trunk, and the weight gradients they produce."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mammogan.models.penalty.layers import Layer, W

Scale = Tensor | float


class Weights:
    """Weights and biases of a trunk's convolutions in the precision of a pass, and which of them are trained."""

    def __init__(self, originals: Sequence[Tensor | None], dtype: torch.dtype) -> None:
        self.originals, self.dtype = list(originals), dtype
        self.cast = [None if w is None else w.detach().to(dtype) for w in originals]
        grad = torch.is_grad_enabled()
        self.trains = [w is not None and w.requires_grad and grad for w in originals]
        self.any_trains = any(self.trains)
        self._versions = [None if w is None else w._version for w in originals]

    def check_unchanged(self) -> None:
        """Raise RuntimeError if a weight was changed in place after the forward pass.

        The gradients would belong to other weights.
        """
        if self._versions != [None if w is None else w._version for w in self.originals]:
            raise RuntimeError("a weight of the trunk was changed in place between the forward and the backward pass")

    def of(self, layer: Layer) -> W:
        """Return weight and bias of a layer; (None, None) for a layer without."""
        return (None, None) if layer.number is None else (self.cast[2 * layer.number], self.cast[2 * layer.number + 1])

    def trained(self, layer: Layer) -> tuple[bool, bool]:
        """Return whether the layer's weight, and its bias, are trained."""
        if layer.number is None:
            return False, False
        return self.trains[2 * layer.number], self.trains[2 * layer.number + 1]


class Gradients:
    """Sums of weight gradients over the parts of a batch, in the weights' own precision."""

    def __init__(self, weights: Weights, layers: Sequence[Layer]) -> None:
        self.weights = weights
        self.sums: list[Tensor | None] = [None] * len(weights.originals)
        self.lowest = next((i for i, layer in enumerate(layers) if any(weights.trained(layer))), len(layers))
        """Lowest layer with a weight or bias to train; the number of layers when all are frozen."""

    def add(self, layer: Layer, weight: Tensor | None, bias: Tensor | None, scale: Scale) -> None:
        """Add ``scale`` times the gradients found at one layer, so half-precision gradients regain their true size."""
        if layer.number is None:
            return
        for n, gradient in ((2 * layer.number, weight), (2 * layer.number + 1, bias)):
            if gradient is not None:
                original: Any = self.weights.originals[n]
                gradient, earlier = gradient.to(original.dtype), self.sums[n]
                if isinstance(scale, Tensor):
                    gradient.mul_(scale)
                self.sums[n] = gradient if earlier is None else earlier.add_(gradient)


class Chunk:
    """Some images of a batch, their selections, and the tensors kept for weight gradients.

    ``selected``, once known, is never decided again: later forward passes use the same selections.
    """

    def __init__(self, layers: Sequence[Layer], weights: Weights) -> None:
        self.layers, self.weights = layers, weights
        self.shapes: list[torch.Size] = []
        self.selected: list[Any] = []
        self.inputs: dict[int, Tensor] = {}
        self.cotangents: dict[int, Tensor] = {}

    def forward(self, value: Tensor, keeps: bool) -> Tensor:
        """Return the value of the last layer, and keep inputs of convolutions.

        With ``keeps`` it keeps the inputs of all convolutions whose weights are trained, else only that of the lowest
        one, from which ``again`` can start.
        """
        replays = len(self.selected) == len(self.layers)
        for i, layer in enumerate(self.layers):
            self.shapes.append(value.shape)
            if self._keeps_input(i) and (keeps or not self.inputs):
                self.inputs[i] = value
            if replays:
                value = layer.replay(value, self.selected[i], self.weights.of(layer))
            else:
                value, selected = layer.forward(value, self.weights.of(layer))
                self.selected.append(selected if keeps and self._keeps_input(i + 1) else layer.compact(selected))
        return value

    def again(self, lowest: int) -> None:
        """Recompute the inputs of the trained convolutions, starting from the kept input of layer ``lowest``."""
        value = self.inputs[lowest]
        for i in range(lowest, len(self.layers)):
            if self._keeps_input(i):
                self.inputs[i] = value
            value = self.layers[i].replay(value, self.selected[i], self.weights.of(self.layers[i]))

    def vjp(self, cotangent: Tensor, keeps: bool, until: int = -1) -> Tensor:
        """Apply the vjp J^T, down to the output of layer ``until`` (-1: to the input).

        With ``keeps`` it keeps, for ``jvp``, the cotangents of the outputs of trained layers.
        """
        for i in reversed(range(max(until, 0), len(self.layers))):
            layer = self.layers[i]
            if keeps and self.weights.trained(layer)[0]:
                self.cotangents[i] = cotangent
            if i > until:
                cotangent = layer.vjp(cotangent, self.selected[i], self.shapes[i], self.weights.of(layer))
        return cotangent

    def jvp(self, tangent: Tensor, found: Gradients, scale: Scale) -> Tensor:
        """Apply the jvp: return J tangent, and add ``scale`` times the weight gradients of <pull's result, tangent>."""
        for i, layer in enumerate(self.layers):
            if self.weights.trained(layer)[0]:
                g = self.cotangents.pop(i)
                found.add(layer, self._gradients(i, g, tangent, (False, True, False))[1], None, scale)
            tangent = layer.jvp(tangent, self.selected[i], self.weights.of(layer))
        return tangent

    def gradients(self, cotangent: Tensor, found: Gradients, scale: Scale, wants_input: bool) -> Tensor:
        """Add ``scale`` times the weight gradients of <cotangent, value>; return the input's cotangent if wanted."""
        until = 0 if wants_input else found.lowest
        g = cotangent
        for i in reversed(range(until, len(self.layers))):
            layer = self.layers[i]
            trained = self.weights.trained(layer)
            value = self.inputs.pop(i) if trained[0] else None
            g, weight, bias = self._gradients(i, g, value, (wants_input or i > until, *trained))
            found.add(layer, weight, bias, scale)
        return g

    def _keeps_input(self, i: int) -> bool:
        return i < len(self.layers) and self.weights.trained(self.layers[i])[0]

    def _gradients(self, i: int, g: Tensor, value: Tensor | None, wants: tuple[bool, bool, bool]) -> Any:
        layer = self.layers[i]
        return layer.gradients(g, self.selected[i], value, self.shapes[i], self.weights.of(layer), wants)
