"""Fused CUDA kernels as torch operations, ``torch.ops.mammogan.*``.

They are in Triton rather than CUDA C++: nothing is compiled at install time, the cluster needs no compiler for them,
and Triton's interpreter runs the same kernels on a CPU, which is how they are tested. ``code`` is as in
``layers.ReluPool``.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

TILE = 4096
"""Values per tile of the elementwise kernels."""
WINDOWS = 1024
"""Pooled values per tile of the kernels over pooling windows."""
STEM_PIXELS = 64
STEM_PROGRAMS = 1024
_log = logging.getLogger(__name__)
_library = torch.library.Library("mammogan", "DEF")


@cache
def available() -> bool:
    """Return whether the kernels run on the current GPU.

    Triton comes with torch's CUDA builds, but at first use it needs a C compiler and Python's headers for the small
    program that launches a kernel.
    """
    if importlib.util.find_spec("triton") is None:
        return False
    ones = torch.ones(1, 1, 2, 2, device="cuda")
    try:
        return bool(relu_pool(ones, True)[0].item() == 1)
    except Exception as error:  # a wrong compiler or driver can raise anything
        _log.warning("the fused kernels do not run here, torch's are used instead: %s", error)
        return False


def _operation(schema: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function a torch operation. On meta tensors it allocates its results and does nothing else."""
    name = _library.define(schema)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in ("CUDA", "CPU", "Meta"):
            _library.impl(name, function, key)
        return function

    return register


@_operation("relu_pool(Tensor value, bool relu) -> (Tensor, Tensor)")
def relu_pool(value: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """2x2 max pool of (N,C,H,W), after a ReLU if ``relu``: returns pooled values and code."""
    n, c, height, width = value.shape
    pooled = _empty_like(value, (n, c, height // 2, width // 2))
    code = torch.empty_like(pooled, dtype=torch.uint8)
    _over_windows("relu_pool", value, pooled, (value, pooled, code), RELU=relu)
    return pooled, code


@_operation("gather(Tensor tangent, Tensor code) -> Tensor")
def gather(tangent: Tensor, code: Tensor) -> Tensor:
    """Return the values of (N,C,H,W) at the winners of ``code``."""
    out = torch.empty_like(code, dtype=tangent.dtype)
    _over_windows("gather", tangent, out, (tangent, code, out))
    return out


@_operation("scatter(Tensor cotangent, Tensor code, int height, int width) -> Tensor")
def scatter(cotangent: Tensor, code: Tensor, height: int, width: int) -> Tensor:
    """Put pooled values at their winners' places in (N,C,height,width), zero elsewhere."""
    out = _empty_like(code, (*code.shape[:2], height, width), cotangent.dtype)
    if height % 2 or width % 2:
        out.zero_()
    _over_windows("scatter", out, code, (_with_layout_of(cotangent, code), code, out))
    return out


@_operation("leak(Tensor tangent, Tensor out, float slope) -> Tensor")
def leak(tangent: Tensor, out: Tensor, slope: float) -> Tensor:
    """Return ``tangent`` where ``out`` is positive or true, else ``slope`` times it; both dense, with equal strides."""
    tangents = torch.empty_like(tangent)
    if not tangent.is_meta:
        total, chosen = tangent.numel(), out.view(torch.uint8) if out.dtype == torch.bool else out
        _launch("leak", (-(-total // TILE),), tangent, chosen, tangents, total, slope, P=TILE)
    return tangents


@_operation("stem(Tensor value, Tensor weight, Tensor? bias) -> (Tensor, Tensor)")
def stem(value: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """3x3 convolution of at most 3 input channels, ReLU and 2x2 max pool in one: returns pooled values and code."""
    # The layout for the next convolution; the image's own is ambiguous, since it had one channel.
    pooled = _empty_like(weight, (len(value), len(weight), value.shape[2] // 2, value.shape[3] // 2))
    code = torch.empty_like(pooled, dtype=torch.uint8)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    _run_stem(value, weight, bias, code, pooled, chooses=True)
    return pooled, code


@_operation("stem_jvp(Tensor tangent, Tensor weight, Tensor code) -> Tensor")
def stem_jvp(tangent: Tensor, weight: Tensor, code: Tensor) -> Tensor:
    """Apply the linear part (jvp) of ``stem`` at the selections ``code``."""
    out = torch.empty_like(code, dtype=tangent.dtype)
    _run_stem(tangent, weight, weight, code, out, chooses=False)
    return out


@_operation("stem_vjp(Tensor cotangent, Tensor weight, Tensor code, int height, int width) -> Tensor")
def stem_vjp(cotangent: Tensor, weight: Tensor, code: Tensor, height: int, width: int) -> Tensor:
    """Apply the vjp of ``stem`` at the selections ``code``: -> (N, input channels, height, width)."""
    out = _empty_like(code, (len(code), weight.shape[1], height, width), cotangent.dtype)
    if code.is_meta:
        return out
    blocks, channels = (-(-height // 2), -(-width // 2)), code.shape[1]
    total, block = len(code) * blocks[0] * blocks[1], _block(channels)
    tensors = (_with_layout_of(cotangent, code), code, weight.contiguous(), out)
    sizes = (total, *blocks, *code.shape[2:], height, width, channels, *code.stride(), *out.stride())
    constants = {"INS": weight.shape[1], "BLOCKS": -(-channels // block), **_stem_constants(cotangent, block)}
    _launch("stem_vjp", (-(-total // STEM_PIXELS),), *tensors, *sizes, **constants)
    return out


@_operation("stem_gradient(Tensor cotangent, Tensor value, Tensor code) -> (Tensor, Tensor)")
def stem_gradient(cotangent: Tensor, value: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of <cotangent, stem(value)>: of the weight (channels,ins,3,3) and of the bias, in float32."""
    n, channels, height, width = code.shape
    ins, total, block = value.shape[1], n * height * width, _block(channels)
    tiles = -(-total // STEM_PIXELS)
    steps = -(-tiles // STEM_PROGRAMS)
    programs, k = -(-tiles // steps), _stem_columns(ins)
    partial = torch.empty(programs, channels, k, device=code.device)
    if not code.is_meta:
        tensors = (_with_layout_of(cotangent, code), value, code, partial)
        sizes = (total, height, width, *value.shape[2:], channels, *code.stride(), *value.stride())
        # In single precision some GPUs have shared memory for one stage only.
        stages = {"num_stages": 1} if value.dtype == torch.float32 else {}
        constants: dict[str, Any] = {"INS": ins, "K": k, "STEPS": steps, **_stem_constants(value, block), **stages}
        _launch("stem_gradient", (programs, -(-channels // block)), *tensors, *sizes, **constants)
    sums = partial.sum(0)
    return sums[:, : 9 * ins].reshape(channels, ins, 3, 3), sums[:, 9 * ins].clone()


def _run_stem(value: Tensor, weight: Tensor, bias: Tensor, code: Tensor, out: Tensor, chooses: bool) -> None:
    if out.is_meta:
        return
    n, channels, height, width = out.shape
    total, block, ins = n * height * width, _block(channels), weight.shape[1]
    tensors = (value, weight.contiguous(), bias, code, out)
    sizes = (total, height, width, *value.shape[2:], channels, *value.stride(), *out.stride())
    constants = {"CHOOSES": chooses, "INS": ins, "K": _stem_columns(ins), **_stem_constants(value, block)}
    _launch("stem", (-(-total // STEM_PIXELS), -(-channels // block)), *tensors, *sizes, **constants)


def _stem_columns(ins: int) -> int:
    """Number of columns for the 9 ins weights of an output channel and its bias, rounded up to a power of 2."""
    return 32 if ins > 1 else 16


def _stem_constants(value: Tensor, block: int) -> dict[str, Any]:
    return {"EXACT": value.dtype == torch.float32, "P": STEM_PIXELS, "B": block}


def _over_windows(name: str, full: Tensor, pooled: Tensor, tensors: tuple[Tensor, ...], **constants: Any) -> None:
    """Run a kernel over all pooling windows of ``full``, in tiles of some pixels by some channels."""
    if full.is_meta:
        return
    n, channels, height, width = pooled.shape
    total, block = n * height * width, _block(channels)
    pixels = WINDOWS // block
    grid = (-(-total // pixels), -(-channels // block))
    sizes = (total, height, width, channels, *full.stride(), *pooled.stride())
    _launch(name, grid, *tensors, *sizes, **constants, P=pixels, B=block)


def _launch(name: str, grid: tuple[int, ...], first: Tensor, *rest: Any, **constants: Any) -> None:
    """Run a kernel on the device of ``first``; triton alone would use the current device."""
    from mammogan.models.penalty import triton_kernels  # triton is only needed where a kernel runs

    with torch.cuda.device_of(first):
        getattr(triton_kernels, name)[grid](first, *rest, **constants)


def _block(channels: int) -> int:
    """Return the channels per tile: a power of 2 from 16 to 64."""
    return min(64, max(16, 1 << (channels - 1).bit_length()))


def _empty_like(model: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    """Allocate an empty tensor of ``shape`` with the memory layout of ``model``."""
    last = model.is_contiguous(memory_format=torch.channels_last) and not model.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty(shape, dtype=dtype or model.dtype, device=model.device, memory_format=layout)


def _with_layout_of(value: Tensor, model: Tensor) -> Tensor:
    """Return ``value`` with the strides of ``model``: the kernels take one set of strides for both."""
    return value if value.stride() == model.stride() else torch.empty_like(model, dtype=value.dtype).copy_(value)
