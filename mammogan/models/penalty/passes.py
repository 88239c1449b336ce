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

from mammogan.models.penalty.layers import Layer
from mammogan.models.penalty.walk import Walk
from mammogan.models.penalty.way import FAST, Way

HEADROOM = 16.0
"""Largest magnitude that a cotangent is brought to before half precision pulls it back: its values stay in range."""


class Pass:
    """The value of a trunk, and what its linear part gives, at the selections of one forward pass."""

    def __init__(
        self,
        layers: Sequence[Layer],
        originals: Sequence[Tensor | None],
        value: Tensor,
        way: Way = FAST,
        replayed: Pass | None = None,
        together: int | None = None,
    ) -> None:
        self.walk = Walk(layers, originals, value, way, together)
        if replayed is not None:
            for part, earlier in zip(self.walk.parts, replayed.walk.parts, strict=True):
                part.selected = list(earlier.selected)
        self.output: Tensor = _Forward.apply(self.walk, value, *originals)

    @property
    def images_together(self) -> int:
        """How many go through at a time."""
        return self.walk.each

    def pull(self, cotangent: Tensor) -> Tensor:
        """J^T cotangent: the output's shape -> the input's, in at least float32."""
        pulled: Tensor = _Pull.apply(self.walk, cotangent, self.output)
        return pulled


class _Forward(torch.autograd.Function):
    """Value of the trunk in at least float32; backward is the one adjoint pass, for loss and curvature together."""

    @staticmethod
    def forward(ctx: Any, walk: Walk, value: Tensor, *originals: Tensor) -> Tensor:
        ctx.walk, ctx.wants_input, ctx.dtype = walk, value.requires_grad, value.dtype
        pieces = value.to(walk.weights.dtype).split(walk.each)
        output = torch.cat([part.forward(piece, walk.keeps) for part, piece in zip(walk.parts, pieces, strict=True)])
        _save(ctx, [part.inputs for part in walk.parts])
        return output.float() if walk.halves else output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        walk: Walk = ctx.walk
        found = walk.found()
        scale = _sizes(cotangent).max() / HEADROOM if walk.halves else 1.0
        pieces = (cotangent / scale).to(walk.weights.dtype).split(walk.each)
        _restore(ctx, [part.inputs for part in walk.parts])
        pulled = []
        for part, piece in zip(walk.parts, pieces, strict=True):
            if walk.recompute and walk.weights.any_trains:
                part.again(found.lowest)
            pulled.append(part.adjoint(piece, found, scale, ctx.wants_input))
        towards_input = torch.cat(pulled).to(ctx.dtype) * scale if ctx.wants_input else None
        return None, towards_input, *walk.finished()


class _Pull(torch.autograd.Function):
    """J^T; backward pushes a tangent through J and takes the weight gradients of <pulled, tangent> on the way.

    It leaves them to the backward of ``output``, which adds its own: two sets of them never live side by side. That
    ``output`` is an input here makes its backward come, and come later.

    Half precision sees cotangents and tangents of one size only, and the sizes come back in float32: the gradient may
    be small, and the penalty's tangent shrinks with the cube of its norm, below what a half can hold.
    """

    @staticmethod
    def forward(ctx: Any, walk: Walk, cotangent: Tensor, output: Tensor) -> Tensor:
        ctx.walk, ctx.dtype, ctx.output = walk, cotangent.dtype, (output.dtype, output.requires_grad)
        ctx.sizes = _sizes(cotangent) / HEADROOM if walk.halves else None
        start = (cotangent / _of_images(ctx.sizes, cotangent) if walk.halves else cotangent).to(walk.weights.dtype)
        pieces = zip(walk.parts, start.split(walk.each), strict=True)
        pulled = torch.cat([part.pull(piece, walk.keeps) for part, piece in pieces])
        _save(ctx, [part.cotangents for part in walk.parts], start if walk.recompute else None)
        return pulled.float() * _of_images(ctx.sizes, pulled) if walk.halves else pulled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> tuple[Any, ...]:
        walk: Walk = ctx.walk
        found = walk.found()
        scale: Tensor | float = 1.0
        if walk.halves:  # so that all images' products with what ``pull`` has kept are in one scale
            tangent = tangent * _of_images(ctx.sizes, tangent)
            scale = _sizes(tangent).max()
            tangent = tangent / scale
        start = _restore(ctx, [part.cotangents for part in walk.parts])
        starts = [None] * len(walk.parts) if start is None else start.split(walk.each)
        pushed = []
        for part, piece, one in zip(walk.parts, tangent.to(walk.weights.dtype).split(walk.each), starts, strict=True):
            if one is not None and walk.weights.any_trains:
                part.pull(one, keeps=True, until=found.lowest)
            pushed.append(part.push(piece, found, scale))
        along = torch.cat(pushed)
        if walk.halves:
            along = along.float() * _of_images(scale / ctx.sizes, along)
        dtype, follows = ctx.output
        nothing = along.new_zeros(along.shape, dtype=dtype) if follows else None
        return None, along.to(ctx.dtype), nothing


def _save(ctx: Any, kept: Sequence[dict[int, Tensor]], whole: Tensor | None = None) -> None:
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


def _of_images(sizes: Tensor, value: Tensor) -> Tensor:
    """One number an image (N,), to be multiplied with ``value`` (N, ...)."""
    return sizes.view(-1, *(1,) * (value.dim() - 1))


def _sizes(value: Tensor) -> Tensor:
    """Largest magnitude of each sample (N,) in float32, never zero. A norm's squares would leave float32's range."""
    return value.float().flatten(1).abs().amax(1).clamp_min(1e-30)
