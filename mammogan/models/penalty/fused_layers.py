"""The trunk layers that have fused kernels. Each equals the plain layer it replaces up to rounding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mammogan.models.penalty import kernels  # noqa: F401  (defines torch.ops.mammogan)
from mammogan.models.penalty.layers import Layer, Leak, PooledConv, ReluPool, W, Wants

own = torch.ops.mammogan


def fused_version(layer: Layer) -> Layer:
    """Return the layer with fused kernels that equals ``layer``, or ``layer`` itself if there is none."""
    match layer:
        case PooledConv(conv, ReluPool(2, True)) if (conv.place, conv.stride, conv.padding) == (0, (1, 1), (1, 1)):
            return FusedStem(conv, FusedPool(2, True))
        case PooledConv(conv, ReluPool(2, relu)):
            return PooledConv(conv, FusedPool(2, relu))
        case ReluPool(2, relu):
            return FusedPool(2, relu)
        case Leak(slope):
            return FusedLeak(slope)
    return layer


class FusedPool(ReluPool):
    """ReLU and 2x2 max pool: values and codes in one read of the input, with no int64 index in between."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        pooled, code = own.relu_pool(value, self.relu)
        return pooled, code

    def jvp(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        return own.gather(tangent, code)

    def vjp(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        return own.scatter(cotangent, code, *shape[2:])


class FusedLeak(Leak):
    """The linear part of a ReLU or leaky ReLU in one read, for both forms of its selection (output or bool)."""

    def jvp(self, tangent: Tensor, out: Tensor, w: W) -> Tensor:
        if tangent.stride() != out.stride() or not _is_dense(tangent) or tangent.dtype == torch.float64:
            return super().jvp(tangent, out, w)
        return own.leak(tangent, out, self.slope)


class FusedStem(PooledConv):
    """The first convolution (few channels, full size) fused with its ReLU and pool.

    As separate operations they would be limited by memory bandwidth.
    """

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        if not _fits(value, w):
            return super().forward(value, w)
        pooled, code = own.stem(value, *w)
        return pooled, code

    def jvp(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        return own.stem_jvp(tangent, w[0], code) if _fits(tangent, w) else super().jvp(tangent, code, w)

    def vjp(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        if not _fits(cotangent, w):
            return super().vjp(cotangent, code, shape, w)
        return own.stem_vjp(cotangent, w[0], code, *shape[2:])

    def gradients(self, g: Tensor, code: Tensor, value: Tensor | None, shape: torch.Size, w: W, wants: Wants) -> Any:
        if not _fits(g, w) or (value is None and (wants[1] or wants[2])):
            return super().gradients(g, code, value, shape, w, wants)
        at_value = self.vjp(g, code, shape, w) if wants[0] else None
        weight, bias = own.stem_gradient(g, value, code) if value is not None else (None, None)
        return at_value, weight if wants[1] else None, bias if wants[2] else None


def _fits(value: Tensor, w: W) -> bool:
    """Whether the kernel supports this convolution: 3x3, at most 3 input channels, in single or half precision."""
    return w[0].shape[1] <= 3 and tuple(w[0].shape[2:]) == (3, 3) and value.dtype != torch.float64


def _is_dense(value: Tensor) -> bool:
    return value.is_contiguous() or value.is_contiguous(memory_format=torch.channels_last)
