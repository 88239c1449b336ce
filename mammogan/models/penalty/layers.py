"""The layers a trunk may contain, each with jvp and vjp of its linear part at the selections of a forward pass.

- forward: value -> (value, selection). The selection is what ReLUs and max pools decided.
- push: the jvp J, from a tangent of the input to one of the output.
- pull: the vjp J^T, from a cotangent of the output to one of the input.

``shape`` is always the input's, ``w`` is weight and bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_convolution_backward = torch.ops.aten.convolution_backward.default

W = tuple[Any, Any]
"""Weight and bias of a convolution in the precision of the pass; (None, None) for a layer without."""
Wants = tuple[bool, bool, bool]
"""Whether the gradients of input, weight and bias are wanted."""


class Layer:
    """The interface of a trunk's layers."""

    @property
    def number(self) -> int | None:
        """Index of the trunk's convolution that this layer contains, or None."""
        return None

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Any]:
        """Return the layer's value and the selection made for it."""
        raise NotImplementedError

    def jvp(self, tangent: Tensor, selected: Any, w: W) -> Tensor:
        """Apply the jvp J at a given selection: tangent of the input -> tangent of the output."""
        raise NotImplementedError

    def vjp(self, cotangent: Tensor, selected: Any, shape: torch.Size, w: W) -> Tensor:
        """Apply the vjp J^T at a given selection: cotangent of the output -> cotangent of the input (``shape``)."""
        raise NotImplementedError

    def compact(self, selected: Any) -> Any:
        """Return the selection in as little memory as possible, for when nothing else keeps its tensor."""
        return selected

    def replay(self, value: Tensor, selected: Any, w: W) -> Tensor:
        """Run ``forward`` with the selection of an earlier pass."""
        return self.jvp(value, selected, w)

    def gradients(self, g: Tensor, selected: Any, value: Tensor | None, shape: torch.Size, w: W, wants: Wants) -> Any:
        """Return gradients (input, weight, bias) of <g, forward(value)>; None for those not in ``wants``."""
        return (self.vjp(g, selected, shape, w) if wants[0] else None), None, None


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution number ``place`` of the trunk."""

    place: int
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def number(self) -> int:
        return self.place

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, None]:
        return F.conv2d(value, *w, self.stride, self.padding), None

    def jvp(self, tangent: Tensor, selected: None, w: W) -> Tensor:
        return F.conv2d(tangent, w[0], None, self.stride, self.padding)

    def replay(self, value: Tensor, selected: None, w: W) -> Tensor:
        return self.forward(value, w)[0]

    def vjp(self, cotangent: Tensor, selected: None, shape: torch.Size, w: W) -> Tensor:
        found: Tensor = self.gradients(cotangent, None, None, shape, w, (True, False, False))[0]
        return found

    def gradients(self, g: Tensor, selected: None, value: Tensor | None, shape: torch.Size, w: W, wants: Wants) -> Any:
        """Gradients of the convolution, the weight's by the convolution's own kernel.

        Double backward in autograd would compute the weight's gradient with another kernel.
        """
        if value is None:
            value = g.new_empty(1).expand(shape)  # never read
        fixed = ((1, 1), False, (0, 0), 1)  # dilation, transposed, output padding, groups
        at_value, at_weight, _ = _convolution_backward(
            g, value, w[0], None, self.stride, self.padding, *fixed, (wants[0], wants[1], False)
        )
        return at_value, at_weight, g.sum((0, 2, 3), dtype=_summable(g)) if wants[2] else None


@dataclass(frozen=True)
class Leak(Layer):
    """ReLU (slope 0) or leaky ReLU (slope above 0). The selection is where its output is positive."""

    slope: float

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        out = F.leaky_relu(value, self.slope) if self.slope else F.relu(value)
        return out, out

    def compact(self, out: Tensor) -> Tensor:
        return out > 0

    def jvp(self, tangent: Tensor, out: Tensor, w: W) -> Tensor:
        positive = out if out.dtype == torch.bool else out > 0
        return torch.where(positive, tangent, self.slope * tangent) if self.slope else tangent * positive

    def vjp(self, cotangent: Tensor, out: Tensor, shape: torch.Size, w: W) -> Tensor:
        return self.jvp(cotangent, out, w)


@dataclass(frozen=True)
class ReluPool(Layer):
    """Max pool over windows that do not overlap, after a ReLU if ``relu``.

    The selection (``code``) is one byte per pooled value: the winner's place in its window, counted row by row, or
    kernel * kernel where the ReLU's output is zero. ReLU and maximum commute, so the ReLU acts on the pooled values.
    """

    kernel: int
    relu: bool

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        k, width = self.kernel, value.shape[3]
        pooled, index = F.max_pool2d(value, k, return_indices=True)
        column = index.remainder(width).remainder_(k)
        code = index.div_(width, rounding_mode="floor").remainder_(k).mul_(k).add_(column).to(torch.uint8)
        if self.relu:
            code.masked_fill_(pooled <= 0, k * k)
            pooled = pooled.relu_()
        return pooled, code

    def jvp(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        out = torch.zeros_like(code, dtype=tangent.dtype)
        for place, window in self._windows(tangent, code):
            out.addcmul_(window, (code == place).to(tangent.dtype))
        return out

    def vjp(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        height, width = (s // self.kernel * self.kernel for s in shape[2:])
        whole = (height, width) == tuple(shape[2:])
        out = cotangent.new_empty(shape) if whole else cotangent.new_zeros(shape)
        for place, window in self._windows(out, code):
            torch.mul(cotangent, code == place, out=window)
        return out

    def _windows(self, value: Tensor, code: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield each place in a window, and a view of the values at that place in all windows."""
        k, (height, width) = self.kernel, code.shape[2:]
        for place in range(k * k):
            yield place, value[:, :, place // k : height * k : k, place % k : width * k : k]


@dataclass(frozen=True)
class PooledConv(Layer):
    """A convolution and the pool after it; the large tensor between them is never kept."""

    conv: Conv
    pool: ReluPool

    @property
    def number(self) -> int:
        return self.conv.place

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        return self.pool.forward(self.conv.forward(value, w)[0], w)

    def replay(self, value: Tensor, code: Tensor, w: W) -> Tensor:
        return self.pool.jvp(self.conv.forward(value, w)[0], code, w)

    def jvp(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        return self.pool.jvp(self.conv.jvp(tangent, None, w), code, w)

    def vjp(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        return self.conv.vjp(self._between(cotangent, code, shape, w), None, shape, w)

    def gradients(self, g: Tensor, code: Tensor, value: Tensor | None, shape: torch.Size, w: W, wants: Wants) -> Any:
        return self.conv.gradients(self._between(g, code, shape, w), None, value, shape, w, wants)

    def _between(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        """Return the cotangent of the convolution's output."""
        size = [
            (side + 2 * padding - reach) // stride + 1
            for side, padding, reach, stride in zip(
                shape[2:], self.conv.padding, w[0].shape[2:], self.conv.stride, strict=True
            )
        ]
        return self.pool.vjp(cotangent, code, torch.Size([*cotangent.shape[:2], *size]), w)


@dataclass(frozen=True)
class AveragePool(Layer):
    """Average pool without padding; it selects nothing."""

    kernel: tuple[int, int]
    stride: tuple[int, int]

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, None]:
        return self.jvp(value, None, w), None

    def jvp(self, tangent: Tensor, selected: None, w: W) -> Tensor:
        return F.avg_pool2d(tangent, self.kernel, self.stride)

    def vjp(self, cotangent: Tensor, selected: None, shape: torch.Size, w: W) -> Tensor:
        never_read = cotangent.new_empty(1).expand(shape)
        found: Tensor = torch.ops.aten.avg_pool2d_backward(
            cotangent.contiguous(), never_read, self.kernel, self.stride, (0, 0), False, True, None
        )
        return found


@dataclass(frozen=True)
class GlobalMax(Layer):
    """The largest value of each map: (N,C,H,W) -> (N,C). The selection is its index."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        return value.flatten(2).max(2)

    def jvp(self, tangent: Tensor, index: Tensor, w: W) -> Tensor:
        return tangent.flatten(2).gather(2, index[:, :, None]).squeeze(2)

    def vjp(self, cotangent: Tensor, index: Tensor, shape: torch.Size, w: W) -> Tensor:
        flat = cotangent.new_zeros(shape).flatten(2)
        return flat.scatter_(2, index[:, :, None], cotangent[:, :, None]).view(shape)


def _summable(value: Tensor) -> torch.dtype:
    """Return the dtype for long sums: float32 for half precision, else the value's own."""
    return torch.float32 if value.dtype in (torch.float16, torch.bfloat16) else value.dtype
