"""Layers with kernels of our own, for CUDA. Each equals the plain layer that it stands for to rounding.

Triton rather than CUDA C++: nothing is compiled at install time, no compiler is needed on the cluster, and its
interpreter runs the very kernels on a CPU, which is how they are tested.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mammogan.models.penalty.layers import Conv, Layer, Leak, PooledConv, ReluPool, W

TILE = 4096
"""Values of a tile of the elementwise kernels."""
STEM_PIXELS = 64


@cache
def available() -> bool:
    """Whether triton is installed; it comes with torch's CUDA builds."""
    return importlib.util.find_spec("triton") is not None


def instead_of(layer: Layer) -> Layer:
    """``layer``, or the one of our own that equals it."""
    match layer:
        case PooledConv(conv, ReluPool(2, True)) if (conv.place, conv.stride, conv.padding) == (0, (1, 1), (1, 1)):
            return StemWithKernels(conv, PoolWithKernels(2, True))
        case PooledConv(conv, ReluPool(2, relu)):
            return PooledConv(conv, PoolWithKernels(2, relu))
        case ReluPool(2, relu):
            return PoolWithKernels(2, relu)
        case Leak(slope):
            return LeakWithKernels(slope)
    return layer


class PoolWithKernels(ReluPool):
    """ReLU and 2x2 max pool: values and codes in one reading, and no int64 in between."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        n, c, height, width = value.shape
        pooled = _like(value, (n, c, height // 2, width // 2))
        code = torch.empty_like(pooled, dtype=torch.uint8)
        _over_windows("relu_pool", value, pooled, (value, pooled, code), RELU=self.relu)
        return pooled, code

    def push(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        out = torch.empty_like(code, dtype=tangent.dtype)
        _over_windows("gather", tangent, out, (tangent, code, out))
        return out

    def pull(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        odd = shape[2] % 2 or shape[3] % 2
        out = _like(code, shape, cotangent.dtype).zero_() if odd else _like(code, shape, cotangent.dtype)
        _over_windows("scatter", out, code, (_laid_as(cotangent, code), code, out))
        return out


class LeakWithKernels(Leak):
    """ReLU or leaky ReLU and its selection in one reading."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        from mammogan.models.penalty import triton_kernels

        if not _is_dense(value):
            return super().forward(value, w)
        out, positive = torch.empty_like(value), torch.empty_like(value, dtype=torch.bool)
        total = value.numel()
        triton_kernels.leak[(-(-total // TILE),)](value, out, positive.view(torch.uint8), total, self.slope, P=TILE)
        return out, positive


class StemWithKernels(PooledConv):
    """The first convolution, of few channels at full size, with its ReLU and pool: bound by memory if done apart."""

    def forward(self, value: Tensor, w: W) -> tuple[Tensor, Tensor]:
        if not self._fits(value, w):
            return super().forward(value, w)
        out = self._pooled_like(value, w)
        code = torch.empty_like(out, dtype=torch.uint8)
        bias = w[0].new_zeros(len(w[0])) if w[1] is None else w[1]
        self._run(value, w[0], bias, code, out, chooses=True)
        return out, code

    def push(self, tangent: Tensor, code: Tensor, w: W) -> Tensor:
        if not self._fits(tangent, w):
            return super().push(tangent, code, w)
        out = torch.empty_like(code, dtype=tangent.dtype)
        self._run(tangent, w[0], w[0], code, out, chooses=False)
        return out

    def pull(self, cotangent: Tensor, code: Tensor, shape: torch.Size, w: W) -> Tensor:
        if not self._fits(cotangent, w):
            return super().pull(cotangent, code, shape, w)
        from mammogan.models.penalty import triton_kernels

        out = _like(code, shape, cotangent.dtype)
        blocks = [-(-side // 2) for side in shape[2:]]
        total, channels = shape[0] * blocks[0] * blocks[1], code.shape[1]
        triton_kernels.stem_pull[(-(-total // STEM_PIXELS),)](
            _laid_as(cotangent, code), code, w[0].contiguous(), out, total, *blocks, *code.shape[2:], *shape[2:],
            channels, *code.stride(), *out.stride(),
            EXACT=cotangent.dtype == torch.float32, INS=shape[1], P=STEM_PIXELS, B=_block(channels),
        )  # fmt: skip
        return out

    def _fits(self, value: Tensor, w: W) -> bool:
        """Whether the convolution is the kernel's: 3x3, at most 3 channels in, in single or half precision."""
        return tuple(w[0].shape[1:]) in {(n, 3, 3) for n in (1, 2, 3)} and value.dtype != torch.float64

    def _pooled_like(self, value: Tensor, w: W) -> Tensor:
        return _like(value, (len(value), len(w[0]), value.shape[2] // 2, value.shape[3] // 2))

    def _run(self, value: Tensor, weight: Tensor, bias: Tensor, code: Tensor, out: Tensor, chooses: bool) -> None:
        from mammogan.models.penalty import triton_kernels

        n, channels, height, width = out.shape
        total, block, ins = n * height * width, _block(channels), weight.shape[1]
        triton_kernels.stem[(-(-total // STEM_PIXELS), -(-channels // block))](
            value, weight.contiguous(), bias, code, out, total, height, width, *value.shape[2:], channels,
            *value.stride(), *out.stride(), CHOOSES=chooses, EXACT=value.dtype == torch.float32,
            INS=ins, K=32 if ins > 1 else 16, P=STEM_PIXELS, B=block,
        )  # fmt: skip


def _over_windows(name: str, full: Tensor, pooled: Tensor, tensors: tuple[Tensor, ...], **constants: Any) -> None:
    """Run a kernel over all windows of ``full``, tiles of some pixels by some channels."""
    from mammogan.models.penalty import triton_kernels

    n, channels, height, width = pooled.shape
    total, block = n * height * width, _block(channels)
    pixels = TILE // 4 // block
    grid = (-(-total // pixels), -(-channels // block))
    sizes = (total, height, width, channels, *full.stride(), *pooled.stride())
    getattr(triton_kernels, name)[grid](*tensors, *sizes, **constants, P=pixels, B=block)


def _block(channels: int) -> int:
    """Channels of a tile: a power of 2 from 16 to 64."""
    return min(64, max(16, 1 << (channels - 1).bit_length()))


def _like(model: Tensor, shape: tuple[int, ...] | torch.Size, dtype: torch.dtype | None = None) -> Tensor:
    """An empty tensor of ``shape`` laid out as ``model`` is."""
    last = model.is_contiguous(memory_format=torch.channels_last) and not model.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(tuple(shape), dtype=dtype or model.dtype, device=model.device, memory_format=layout)


def _laid_as(value: Tensor, model: Tensor) -> Tensor:
    """``value`` with the strides of ``model``: the kernels take one set of strides for both."""
    return value if value.stride() == model.stride() else torch.empty_like(model, dtype=value.dtype).copy_(value)


def _is_dense(value: Tensor) -> bool:
    return value.is_contiguous() or value.is_contiguous(memory_format=torch.channels_last)
