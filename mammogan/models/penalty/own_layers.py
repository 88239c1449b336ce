"""The layers of a trunk that have kernels of our own. Each equals the plain layer that it stands for to rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mammogan.models.penalty import kernels  # noqa: F401  (defines torch.ops.mammogan)
from mammogan.models.penalty.layers import Layer, Leak, PooledConv, ReluPool, W, Wants

own = torch.ops.mammogan


def instead_of(layer: Layer) -> Layer:
    """``layer``, or the one of our own that equals it."""
    match layer:
        case PooledConv(conv, ReluPool(2, True)) if (conv.place, conv.stride, conv.padding) == (0, (1, 1), (1, 1)):
            return OwnStem(conv, OwnPool(2, True))
        case PooledConv(conv, ReluPool(2, relu)):
            return PooledConv(conv, OwnPool(2, relu))
        case ReluPool(2, relu):
            return OwnPool(2, relu)
        case Leak(slope):
            return OwnLeak(slope)
    return layer


class OwnPool(ReluPool):
    """ReLU and 2x2 max pool: values and codes in one reading, and no int64 in between."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        pooled, code = own.relu_pool(value, self.relu)
        return pooled, code

    def push(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        return own.gather(tangent, code)

    def pull(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        return own.scatter(cotangent, code, *shape[2:])


class OwnLeak(Leak):
    """The linear part of a ReLU or leaky ReLU in one reading, whatever its selection is kept as."""

    def push(self, tangent: Tensor, out: Tensor, w: W) -> Tensor:
        if tangent.stride() != out.stride() or not _is_dense(tangent) or tangent.dtype == torch.float64:
            return super().push(tangent, out, w)
        return own.leak(tangent, out, self.slope)


class OwnStem(PooledConv):
    """The first convolution, of few channels at full size, with its ReLU and pool: bound by memory if done apart."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        if not _fits(value, w):
            return super().forward(value, w)
        pooled, code = own.stem(value, *w)
        return pooled, code

    def push(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        return own.stem_push(tangent, w[0], code) if _fits(tangent, w) else super().push(tangent, code, w)

    def pull(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        if not _fits(cotangent, w):
            return super().pull(cotangent, code, shape, w)
        return own.stem_pull(cotangent, w[0], code, *shape[2:])

    def adjoint(self, g: Tensor, code: Tensor, value: Tensor | None, shape: torch.Size, w: W, wants: Wants) -> Any:
        if not _fits(g, w) or (value is None and (wants[1] or wants[2])):
            return super().adjoint(g, code, value, shape, w, wants)
        at_value = self.pull(g, code, shape, w) if wants[0] else None
        weight, bias = own.stem_gradient(g, value, code) if value is not None else (None, None)
        return at_value, weight if wants[1] else None, bias if wants[2] else None


def _fits(value: Tensor, w: W) -> bool:
    """Whether the convolution is the kernel's: 3x3, at most 3 channels in, in single or half precision."""
    return w[0].shape[1] <= 3 and tuple(w[0].shape[2:]) == (3, 3) and value.dtype != torch.float64


def _is_dense(value: Tensor) -> bool:
    return value.is_contiguous() or value.is_contiguous(memory_format=torch.channels_last)
