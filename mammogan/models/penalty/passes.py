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

from mammogan.models.penalty import kernels
from mammogan.models.penalty.layers import Layer
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
        kind = value.device.type
        half = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
        self.weights = Weights(originals, half)
        self.recompute = way.recompute
        self.each = _images_at_a_time(value, way)
        self.layers = [kernels.instead_of(layer) for layer in layers] if way.kernels and value.is_cuda and kernels.available() else layers
        self.parts = [Part(self.layers, self.weights) for _ in value.split(self.each)]
        if replayed is not None:
            for part, earlier in zip(self.parts, replayed.parts, strict=True):
                part.selected = list(earlier.selected)
        self.found = Gradients(self.weights, self.layers)
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
        if run.recompute:
            ctx.save_for_backward(value)
        pieces = value.to(run.weights.dtype).split(run.each)
        keeps = run.weights.any_trains and not run.recompute
        output = torch.cat([part.forward(piece, keeps) for part, piece in zip(run.parts, pieces, strict=True)])
        return output.float() if run.halves else output

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        scale = _sizes(cotangent).max() / HEADROOM if run.halves else 1.0
        pieces = (cotangent / scale).to(run.weights.dtype).split(run.each)
        values = ctx.saved_tensors[0].split(run.each) if run.recompute else [None] * len(pieces)
        pulled = []
        for part, piece, value in zip(run.parts, pieces, values, strict=True):
            if value is not None and run.weights.any_trains:
                part.forward(value.to(run.weights.dtype), keeps=True)
            pulled.append(part.adjoint(piece, run.found, scale, ctx.wants_input))
        towards_input = torch.cat(pulled).to(ctx.dtype) * scale if ctx.wants_input else None
        return None, towards_input, *run.found.sums


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
        start = cotangent / ctx.sizes.view(-1, 1) if run.halves else cotangent
        start = start.to(run.weights.dtype)
        if run.recompute:
            ctx.save_for_backward(start)
        keeps = run.weights.any_trains and not run.recompute
        pieces = zip(run.parts, start.split(run.each), strict=True)
        pulled = torch.cat([part.pull(piece, keeps) for part, piece in pieces])
        return pulled.float() * ctx.sizes.view(-1, 1, 1, 1) if run.halves else pulled

    @staticmethod
    def backward(ctx: Any, tangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        shares: Sequence[Tensor | None] = [None] * len(run.parts)
        largest: Tensor | float = 1.0
        if run.halves:
            sizes = _sizes(tangent)
            factors = sizes * ctx.sizes
            largest = factors.max()
            shares = (factors / largest).view(-1, 1, 1, 1).to(run.weights.dtype).split(run.each)
            tangent = tangent / sizes.view(-1, 1, 1, 1)
        starts = ctx.saved_tensors[0].split(run.each) if run.recompute else [None] * len(run.parts)
        pushed = []
        pieces = tangent.to(run.weights.dtype).split(run.each)
        for part, piece, share, start in zip(run.parts, pieces, shares, starts, strict=True):
            if start is not None and run.weights.any_trains:
                part.pull(start, keeps=True)
            pushed.append(part.push(piece, run.found, share, largest))
        along = torch.cat(pushed)
        if run.halves:
            along = along.float() * sizes.view(-1, 1)
        dtype, follows = ctx.output
        nothing = along.new_zeros(along.shape, dtype=dtype) if follows else None
        return None, along.to(ctx.dtype), nothing


def _images_at_a_time(value: Tensor, way: Way) -> int:
    if way.recompute:
        return 1
    pixels = value.shape[-2] * value.shape[-1]
    return max(1, PIXELS_AT_A_TIME // pixels) if value.device.type == "cpu" else len(value)


def _sizes(value: Tensor) -> Tensor:
    """Largest magnitude of each sample (N,) in float32, never zero. A norm's squares would leave float32's range."""
    return value.float().flatten(1).abs().amax(1).clamp_min(1e-30)
