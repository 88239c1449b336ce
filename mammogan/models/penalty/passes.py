"""One pass of a batch through a trunk, as functions that autograd can differentiate twice.

At fixed selections (signs, winners of the pools) a chain of convolutions, ReLUs and pools is affine, with a linear
part J. ``Pass.output`` is its value; ``Pass.pull`` applies J^T to a cotangent of the output. Both are ordinary
differentiable functions of the weights and of that cotangent, so the loss may hold both and needs one backward.

Against automatic differentiation twice over: no weight gradients of frozen layers and nothing at all below the lowest
trained one, weight gradients by the convolution's own kernel, a byte a pooled value instead of an int64 index,
cotangents kept at pooled size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mammogan.models.penalty.kernels import available
from mammogan.models.penalty.layers import Layer
from mammogan.models.penalty.own_layers import instead_of
from mammogan.models.penalty.part import Gradients, Part, Weights
from mammogan.models.penalty.way import FAST, Way

PIXELS_AT_A_TIME = 1 << 17
"""On CPU a batch goes through in parts of about this many pixels: what only lives for a moment then stays small."""
HEADROOM = 16.0
"""Largest magnitude that a cotangent is brought to before half precision pulls it back: its values stay in range."""


class Pass:
    """What one forward pass over a trunk selected and kept, for the parts of a batch that go through one by one."""

    def __init__(
        self,
        layers: Sequence[Layer],
        originals: Sequence[Tensor | None],
        value: Tensor,
        way: Way = FAST,
        replayed: Pass | None = None,
    ) -> None:
        self.weights = Weights(originals, _precision(value))
        self.recompute = way.recompute
        self.each = _images_at_a_time(value, way)
        self.layers = [instead_of(layer) for layer in layers] if _takes_kernels(value, way) else layers
        self.parts = [Part(self.layers, self.weights) for _ in value.split(self.each)]
        if replayed is not None:
            for part, earlier in zip(self.parts, replayed.parts, strict=True):
                part.selected = list(earlier.selected)
        self.found: Gradients | None = None
        """What the backward of ``pull`` leaves to that of ``output``."""
        self.output: Tensor = _Forward.apply(self, value, *originals)

    def pull(self, cotangent: Tensor) -> Tensor:
        """J^T cotangent: (N, outputs) -> the input's shape, in at least float32. Call it once a pass."""
        pulled: Tensor = _Pull.apply(self, cotangent, self.output)
        return pulled

    @property
    def halves(self) -> bool:
        return self.weights.dtype in (torch.float16, torch.bfloat16)


class _Forward(torch.autograd.Function):
    """Value of the trunk in at least float32; backward is the one adjoint pass, for loss and curvature together."""

    @staticmethod
    def forward(ctx: Any, run: Pass, value: Tensor, *originals: Tensor) -> Tensor:
        ctx.run, ctx.wants_input, ctx.dtype = run, value.requires_grad, value.dtype
        pieces = value.to(run.weights.dtype).split(run.each)
        keeps = run.weights.any_trains and not run.recompute
        output = torch.cat([part.forward(piece, keeps) for part, piece in zip(run.parts, pieces, strict=True)])
        _save(ctx, [part.inputs for part in run.parts], value if run.recompute else None)
        return output.float() if run.halves else output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        found, run.found = run.found or Gradients(run.weights, run.layers), None
        scale = _sizes(cotangent).max() / HEADROOM if run.halves else 1.0
        pieces = (cotangent / scale).to(run.weights.dtype).split(run.each)
        value = _restore(ctx, [part.inputs for part in run.parts])
        values = [None] * len(pieces) if value is None else value.split(run.each)
        pulled = []
        for part, piece, one in zip(run.parts, pieces, values, strict=True):
            if one is not None and run.weights.any_trains:
                part.forward(one.to(run.weights.dtype), keeps=True)
            pulled.append(part.adjoint(piece, found, scale, ctx.wants_input))
        towards_input = torch.cat(pulled).to(ctx.dtype) * scale if ctx.wants_input else None
        return None, towards_input, *found.sums


class _Pull(torch.autograd.Function):
    """J^T; backward pushes a tangent through J and takes the weight gradients of <pulled, tangent> on the way.

    It leaves them to the backward of ``output``, which adds its own: two sets of them never live side by side. That
    ``output`` is an input here makes its backward come, and come later.

    Half precision sees cotangents and tangents of one size only, and the sizes come back in float32: the gradient may
    be small, and the penalty's tangent shrinks with the cube of its norm, below what a half can hold.
    """

    @staticmethod
    def forward(ctx: Any, run: Pass, cotangent: Tensor, output: Tensor) -> Tensor:
        ctx.run, ctx.dtype, ctx.output = run, cotangent.dtype, (output.dtype, output.requires_grad)
        ctx.sizes = _sizes(cotangent) / HEADROOM if run.halves else None
        start = (cotangent / ctx.sizes.view(-1, 1) if run.halves else cotangent).to(run.weights.dtype)
        keeps = run.weights.any_trains and not run.recompute
        pieces = zip(run.parts, start.split(run.each), strict=True)
        pulled = torch.cat([part.pull(piece, keeps) for part, piece in pieces])
        _save(ctx, [part.cotangents for part in run.parts], start if run.recompute else None)
        return pulled.float() * ctx.sizes.view(-1, 1, 1, 1) if run.halves else pulled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        run.found = Gradients(run.weights, run.layers)
        scale: Tensor | float = 1.0
        if run.halves:  # so that all images' products with what ``pull`` has kept are in one scale
            tangent = tangent * ctx.sizes.view(-1, 1, 1, 1)
            scale = _sizes(tangent).max()
            tangent = tangent / scale
        start = _restore(ctx, [part.cotangents for part in run.parts])
        starts = [None] * len(run.parts) if start is None else start.split(run.each)
        pushed = []
        for part, piece, one in zip(run.parts, tangent.to(run.weights.dtype).split(run.each), starts, strict=True):
            if one is not None and run.weights.any_trains:
                part.pull(one, keeps=True)
            pushed.append(part.push(piece, run.found, scale))
        along = torch.cat(pushed)
        if run.halves:
            along = along.float() * (scale / ctx.sizes).view(-1, 1)
        dtype, follows = ctx.output
        nothing = along.new_zeros(along.shape, dtype=dtype) if follows else None
        return None, along.to(ctx.dtype), nothing


def _save(ctx: Any, kept: Sequence[dict[int, Tensor]], whole: Tensor | None) -> None:
    """Hand what the parts keep to autograd, which lets go of it after the backward pass."""
    ctx.keys = [list(one) for one in kept]
    ctx.save_for_backward(whole, *(tensor for one in kept for tensor in one.values()))
    for one in kept:
        one.clear()


def _restore(ctx: Any, kept: Sequence[dict[int, Tensor]]) -> Tensor | None:
    whole, *tensors = ctx.saved_tensors
    for one, keys in zip(kept, ctx.keys, strict=True):
        one.update(zip(keys, tensors[: len(keys)], strict=True))
        del tensors[: len(keys)]
    return whole


def _takes_kernels(value: Tensor, way: Way) -> bool:
    """On CUDA where triton is; on meta tensors to count what happens there."""
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


def _sizes(value: Tensor) -> Tensor:
    """Largest magnitude of each sample (N,) in float32, never zero. A norm's squares would leave float32's range."""
    return value.float().flatten(1).abs().amax(1).clamp_min(1e-30)
