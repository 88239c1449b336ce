"""Kernels of our own as torch operations, ``torch.ops.mammogan.*``, for CUDA.

Triton rather than CUDA C++: nothing is compiled at install time, no compiler is needed on the cluster, and its
interpreter runs the very kernels on a CPU, which is how they are tested. ``code`` is as in ``layers.ReluPool``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

TILE = 4096
"""Values of a tile of the elementwise kernels."""
WINDOWS = 1024
"""Pooled values of a tile of the kernels over windows."""
STEM_PIXELS = 64
STEM_PROGRAMS = 1024
_library = torch.library.Library("mammogan", "DEF")


@cache
def available() -> bool:
    """Whether triton is installed; it comes with torch's CUDA builds."""
    return importlib.util.find_spec("triton") is not None


def _operation(schema: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function a torch operation. On meta tensors it allocates and does nothing else."""
    name = _library.define(schema)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in ("CUDA", "CPU", "Meta"):
            _library.impl(name, function, key)
        return function

    return register


@_operation("relu_pool(Tensor value, bool relu) -> (Tensor, Tensor)")
def relu_pool(value: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """2x2 max pool, after a ReLU or not, of (N,C,H,W): pooled values and code."""
    n, c, height, width = value.shape
    pooled = _like(value, (n, c, height // 2, width // 2))
    code = torch.empty_like(pooled, dtype=torch.uint8)
    _over_windows("relu_pool", value, pooled, (value, pooled, code), RELU=relu)
    return pooled, code


@_operation("gather(Tensor tangent, Tensor code) -> Tensor")
def gather(tangent: Tensor, code: Tensor) -> Tensor:
    """The values (N,C,H,W) at the winners of ``code``."""
    out = torch.empty_like(code, dtype=tangent.dtype)
    _over_windows("gather", tangent, out, (tangent, code, out))
    return out


@_operation("scatter(Tensor cotangent, Tensor code, int height, int width) -> Tensor")
def scatter(cotangent: Tensor, code: Tensor, height: int, width: int) -> Tensor:
    """Pooled values at their winners' places in (N,C,height,width), zero elsewhere."""
    out = _like(code, (*code.shape[:2], height, width), cotangent.dtype)
    if height % 2 or width % 2:
        out.zero_()
    _over_windows("scatter", out, code, (_laid_as(cotangent, code), code, out))
    return out


@_operation("leak(Tensor tangent, Tensor out, float slope) -> Tensor")
def leak(tangent: Tensor, out: Tensor, slope: float) -> Tensor:
    """``tangent`` where ``out`` is positive or true, ``slope`` times it elsewhere; both dense and of equal strides."""
    pushed = torch.empty_like(tangent)
    if not tangent.is_meta:
        total, chosen = tangent.numel(), out.view(torch.uint8) if out.dtype == torch.bool else out
        _kernel("leak")[(-(-total // TILE),)](tangent, chosen, pushed, total, slope, P=TILE)
    return pushed


@_operation("stem(Tensor value, Tensor weight, Tensor? bias) -> (Tensor, Tensor)")
def stem(value: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """3x3 convolution of at most 3 channels, ReLU and 2x2 max pool as one: pooled values and code."""
    pooled = _like(value, (len(value), len(weight), value.shape[2] // 2, value.shape[3] // 2))
    code = torch.empty_like(pooled, dtype=torch.uint8)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    _run_stem(value, weight, bias, code, pooled, chooses=True)
    return pooled, code


@_operation("stem_push(Tensor tangent, Tensor weight, Tensor code) -> Tensor")
def stem_push(tangent: Tensor, weight: Tensor, code: Tensor) -> Tensor:
    """The linear part of ``stem`` at the selections ``code``."""
    out = torch.empty_like(code, dtype=tangent.dtype)
    _run_stem(tangent, weight, weight, code, out, chooses=False)
    return out


@_operation("stem_pull(Tensor cotangent, Tensor weight, Tensor code, int height, int width) -> Tensor")
def stem_pull(cotangent: Tensor, weight: Tensor, code: Tensor, height: int, width: int) -> Tensor:
    """The adjoint of ``stem_push``, (N,channels in,height,width)."""
    out = _like(code, (len(code), weight.shape[1], height, width), cotangent.dtype)
    if not code.is_meta:
        blocks, channels = (-(-height // 2), -(-width // 2)), code.shape[1]
        total = len(code) * blocks[0] * blocks[1]
        _kernel("stem_pull")[(-(-total // STEM_PIXELS),)](
            _laid_as(cotangent, code), code, weight.contiguous(), out, total, *blocks, *code.shape[2:], height, width,
            channels, *code.stride(), *out.stride(), EXACT=cotangent.dtype == torch.float32, INS=weight.shape[1],
            P=STEM_PIXELS, B=_block(channels), BLOCKS=-(-channels // _block(channels)),
        )  # fmt: skip
    return out


@_operation("stem_gradient(Tensor cotangent, Tensor value, Tensor code) -> (Tensor, Tensor)")
def stem_gradient(cotangent: Tensor, value: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of <cotangent, stem(value)>: of the weight (channels,ins,3,3) and of the bias, in float32."""
    n, channels, height, width = code.shape
    ins = value.shape[1]
    total, block, k = n * height * width, _block(channels), 32 if ins > 1 else 16
    tiles = -(-total // STEM_PIXELS)
    steps = max(1, -(-tiles // STEM_PROGRAMS))
    programs = -(-tiles // steps)
    partial = torch.empty(programs, channels, k, device=code.device)
    if not code.is_meta:
        _kernel("stem_gradient")[(programs, -(-channels // block))](
            _laid_as(cotangent, code), value, code, partial, total, height, width, *value.shape[2:], channels,
            *code.stride(), *value.stride(), EXACT=value.dtype == torch.float32, INS=ins, K=k, STEPS=steps,
            P=STEM_PIXELS, B=block,
        )  # fmt: skip
    sums = partial.sum(0)
    return sums[:, : 9 * ins].reshape(channels, ins, 3, 3), sums[:, 9 * ins].clone()


def _run_stem(value: Tensor, weight: Tensor, bias: Tensor, code: Tensor, out: Tensor, chooses: bool) -> None:
    if out.is_meta:
        return
    n, channels, height, width = out.shape
    total, block, ins = n * height * width, _block(channels), weight.shape[1]
    _kernel("stem")[(-(-total // STEM_PIXELS), -(-channels // block))](
        value, weight.contiguous(), bias, code, out, total, height, width, *value.shape[2:], channels,
        *value.stride(), *out.stride(), CHOOSES=chooses, EXACT=value.dtype == torch.float32,
        INS=ins, K=32 if ins > 1 else 16, P=STEM_PIXELS, B=block,
    )  # fmt: skip


def _over_windows(name: str, full: Tensor, pooled: Tensor, tensors: tuple[Tensor, ...], **constants: Any) -> None:
    """Run a kernel over all windows of ``full``, tiles of some pixels by some channels."""
    if full.is_meta:
        return
    n, channels, height, width = pooled.shape
    total, block = n * height * width, _block(channels)
    pixels = WINDOWS // block
    grid = (-(-total // pixels), -(-channels // block))
    sizes = (total, height, width, channels, *full.stride(), *pooled.stride())
    _kernel(name)[grid](*tensors, *sizes, **constants, P=pixels, B=block)


def _kernel(name: str) -> Any:
    from mammogan.models.penalty import triton_kernels  # only where a kernel runs need triton be there

    return getattr(triton_kernels, name)


def _block(channels: int) -> int:
    """Channels of a tile: a power of 2 from 16 to 64."""
    return min(64, max(16, 1 << (channels - 1).bit_length()))


def _like(model: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    """An empty tensor of ``shape`` laid out as ``model`` is."""
    last = model.is_contiguous(memory_format=torch.channels_last) and not model.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=dtype or model.dtype, device=model.device, memory_format=layout)


def _laid_as(value: Tensor, model: Tensor) -> Tensor:
    """``value`` with the strides of ``model``: the kernels take one set of strides for both."""
    return value if value.stride() == model.stride() else torch.empty_like(model, dtype=value.dtype).copy_(value)
