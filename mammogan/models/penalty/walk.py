"""A batch on its way through a trunk, in parts, and where its two backward passes meet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mammogan.models.penalty.kernels import available
from mammogan.models.penalty.layers import Layer
from mammogan.models.penalty.own_layers import instead_of
from mammogan.models.penalty.part import Gradients, Part, Weights
from mammogan.models.penalty.way import Way

PIXELS_AT_A_TIME = 1 << 17
"""On CPU a batch goes through in parts of about this many pixels: what only lives for a moment then stays small."""


class Walk:
    """What the backward passes need of a forward pass. It holds no tensor with a graph, so nothing outlives its use."""

    def __init__(
        self,
        layers: Sequence[Layer],
        originals: Sequence[Tensor | None],
        value: Tensor,
        way: Way,
        together: int | None = None,
    ) -> None:
        self.weights = Weights(originals, _precision(value))
        self.layers = [instead_of(layer) for layer in layers] if _takes_kernels(value, way) else list(layers)
        self.recompute = way.recompute
        self.each = together or _images_at_a_time(value, way)
        self.parts = [Part(self.layers, self.weights) for _ in value.split(self.each)]
        self._found: tuple[int, Gradients] | None = None

    @property
    def halves(self) -> bool:
        return self.weights.dtype in (torch.float16, torch.bfloat16)

    @property
    def keeps(self) -> bool:
        return self.weights.any_trains and not self.recompute

    def found(self) -> Gradients:
        """The weight gradients that one backward pass of the whole loss has found so far."""
        task = torch._C._current_graph_task_id()
        if self._found is None or self._found[0] != task:
            self.weights.check_unchanged()
            self._found = task, Gradients(self.weights, self.layers)
        return self._found[1]

    def finished(self) -> list[Tensor | None]:
        """Those gradients, at the end of that backward pass."""
        gradients, self._found = self.found(), None
        return gradients.sums


def _takes_kernels(value: Tensor, way: Way) -> bool:
    """On CUDA where they run; on meta tensors to count what happens there."""
    return way.kernels and ((value.is_cuda and available()) or value.is_meta)


def _precision(value: Tensor) -> torch.dtype:
    """Autocast's, where it is on; a meta tensor's device knows none."""
    kind = value.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return value.dtype


def _images_at_a_time(value: Tensor, way: Way) -> int:
    if way.recompute:
        return 1
    pixels = value.shape[-2] * value.shape[-1]
    return max(1, PIXELS_AT_A_TIME // pixels) if value.device.type == "cpu" else len(value)
