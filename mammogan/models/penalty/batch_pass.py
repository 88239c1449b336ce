"""A batch on its pass through a trunk, split into parts, and the sums of its weight gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mammogan.models.penalty.chunk import Chunk, Gradients, Weights
from mammogan.models.penalty.fused_layers import fused_version
from mammogan.models.penalty.kernels import available
from mammogan.models.penalty.layers import Layer
from mammogan.models.penalty.options import PenaltyMethod

PIXELS_AT_A_TIME = 1 << 17
"""On CPU a batch is processed in parts of about this many pixels, which keeps short-lived tensors small."""


class BatchPass:
    """Everything the backward passes need from a forward pass.

    It holds no tensor with a graph, so no graph outlives its use.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        originals: Sequence[Tensor | None],
        value: Tensor,
        options: PenaltyMethod,
        together: int | None = None,
    ) -> None:
        self.weights = Weights(originals, _precision(value))
        self.layers = [fused_version(layer) for layer in layers] if _takes_kernels(value, options) else list(layers)
        self.recompute = options.recompute
        self.each = together or _images_at_a_time(value, options)
        self.parts = [Chunk(self.layers, self.weights) for _ in value.split(self.each)]
        self._found: tuple[int, Gradients] | None = None

    @property
    def halves(self) -> bool:
        """Whether the pass runs in half precision."""
        return self.weights.dtype in (torch.float16, torch.bfloat16)

    @property
    def keeps(self) -> bool:
        """Whether passes keep all tensors that weight gradients need, instead of recomputing them."""
        return self.weights.any_trains and not self.recompute

    def found(self) -> Gradients:
        """Return the weight gradients found so far by the current backward pass of the total loss.

        A new backward pass starts with empty sums. Raises RuntimeError when a weight was changed since the forward
        pass.
        """
        task = torch._C._current_graph_task_id()
        if self._found is None or self._found[0] != task:
            self.weights.check_unchanged()
            self._found = task, Gradients(self.weights, self.layers)
        return self._found[1]

    def finished(self) -> list[Tensor | None]:
        """Return the weight gradients at the end of a backward pass, and forget them."""
        gradients, self._found = self.found(), None
        return gradients.sums


def _takes_kernels(value: Tensor, options: PenaltyMethod) -> bool:
    """Whether to use the fused kernels: on CUDA where they run, and on meta tensors, to count what happens there."""
    return options.kernels and ((value.is_cuda and available()) or value.is_meta)


def _precision(value: Tensor) -> torch.dtype:
    """Return autocast's dtype where autocast is on, else the dtype of ``value``. Meta tensors have no autocast."""
    kind = value.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return value.dtype


def _images_at_a_time(value: Tensor, options: PenaltyMethod) -> int:
    if options.recompute:
        return 1
    pixels = value.shape[-2] * value.shape[-1]
    return max(1, PIXELS_AT_A_TIME // pixels) if value.device.type == "cpu" else len(value)
