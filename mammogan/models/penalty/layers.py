"""The layers a trunk may consist of, each with its linear part applied both ways at the selections of a forward pass.

forward: value -> (value, what was selected). pull: J^T, from the cotangent of the output to that of the input. push: J,
from a tangent of the input to that of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_convolution_backward = torch.ops.aten.convolution_backward.default


@dataclass(frozen=True)
class Conv:
    """A convolution; its weight and bias are numbers ``number`` of the trunk's."""

    number: int
    stride: tuple[int, int]
    padding: tuple[int, int]

    def forward(self, value: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(value, weight, bias, self.stride, self.padding)

    def push(self, tangent: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(tangent, weight, None, self.stride, self.padding)

    def pull(self, cotangent: Tensor, shape: torch.Size, weight: Tensor) -> Tensor:
        """``shape`` is the input's."""
        never_read = cotangent.new_empty(1).expand(shape)
        return self._backward(cotangent, never_read, weight, (True, False, False))[0]

    def weight_gradient(self, cotangent: Tensor, value: Tensor, weight: Tensor) -> Tensor:
        """Gradient of <cotangent, conv(value)> with respect to the weight, by the convolution's own kernel."""
        return self._backward(cotangent, value, weight, (False, True, False))[1]

    def _backward(self, cotangent: Tensor, value: Tensor, weight: Tensor, mask: tuple[bool, bool, bool]) -> Any:
        fixed = ((1, 1), False, (0, 0), 1)  # dilation, transposed, output padding, groups
        return _convolution_backward(cotangent, value, weight, None, self.stride, self.padding, *fixed, mask)


@dataclass(frozen=True)
class Leak:
    """ReLU (slope 0) or leaky ReLU. The selection is where the value was positive."""

    slope: float

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        positive = value > 0
        return self.push(value, positive), positive

    def push(self, tangent: Tensor, positive: Tensor) -> Tensor:
        return tangent * positive if self.slope == 0 else torch.where(positive, tangent, self.slope * tangent)

    def pull(self, cotangent: Tensor, positive: Tensor, shape: torch.Size) -> Tensor:
        return self.push(cotangent, positive)


@dataclass(frozen=True)
class ReluPool:
    """Max pool over windows without overlap, after a ReLU or not.

    The selection is a byte a pooled value: the winner's place in its window, row by row, or the number of places where
    the ReLU lets nothing through. ReLU and maximum commute, so the ReLU acts on the pooled values.
    """

    kernel: int
    relu: bool

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        k, width = self.kernel, value.shape[3]
        pooled, index = F.max_pool2d(value, k, return_indices=True)
        code = (index // width % k * k + index % width % k).to(torch.uint8)
        if self.relu:
            code.masked_fill_(pooled <= 0, k * k)
            pooled = pooled.relu_()
        return pooled, code

    def push(self, tangent: Tensor, code: Tensor) -> Tensor:
        out = torch.zeros_like(code, dtype=tangent.dtype)
        for place, window in self._windows(tangent, code):
            out += window * (code == place)
        return out

    def pull(self, cotangent: Tensor, code: Tensor, shape: torch.Size) -> Tensor:
        height, width = (s // self.kernel * self.kernel for s in shape[2:])
        whole = (height, width) == tuple(shape[2:])
        out = cotangent.new_empty(shape) if whole else cotangent.new_zeros(shape)
        for place, window in self._windows(out, code):
            torch.mul(cotangent, code == place, out=window)
        return out

    def _windows(self, value: Tensor, code: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Place and the values at that place of every window."""
        k, (height, width) = self.kernel, code.shape[2:]
        for place in range(k * k):
            yield place, value[:, :, place // k : height * k : k, place % k : width * k : k]


@dataclass(frozen=True)
class AveragePool:
    """Average pool without padding; nothing is selected."""

    kernel: tuple[int, int]
    stride: tuple[int, int]

    def forward(self, value: Tensor) -> tuple[Tensor, None]:
        return self.push(value, None), None

    def push(self, tangent: Tensor, selected: None) -> Tensor:
        return F.avg_pool2d(tangent, self.kernel, self.stride)

    def pull(self, cotangent: Tensor, selected: None, shape: torch.Size) -> Tensor:
        never_read = cotangent.new_empty(1).expand(shape)
        return torch.ops.aten.avg_pool2d_backward(
            cotangent.contiguous(), never_read, self.kernel, self.stride, (0, 0), False, True, None
        )


@dataclass(frozen=True)
class GlobalMax:
    """(N,C,H,W) -> (N,C): the largest value of each map. The selection is its index."""

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        return value.flatten(2).max(2)

    def push(self, tangent: Tensor, index: Tensor) -> Tensor:
        return tangent.flatten(2).gather(2, index[:, :, None]).squeeze(2)

    def pull(self, cotangent: Tensor, index: Tensor, shape: torch.Size) -> Tensor:
        flat = cotangent.new_zeros(shape).flatten(2)
        return flat.scatter_(2, index[:, :, None], cotangent[:, :, None]).view(shape)
