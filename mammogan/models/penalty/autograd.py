"""One pass of a batch through a trunk, as functions that autograd can differentiate twice.

With fixed selections (signs of ReLUs, winners of pools) a chain of convolutions, ReLUs and pools is affine; J is its
linear part. ``Pass.output`` is the chain's value. ``Pass.pull`` is the vjp: it applies J^T to a cotangent of the
output. Both are ordinary differentiable functions of the weights, and the vjp also of its cotangent, so a loss may
contain both and needs one backward.

Compared with applying automatic differentiation twice: frozen layers get no weight gradients, nothing is computed below
the lowest trained layer, weight gradients come from the convolution's own kernel, a pooled value needs one byte instead
of an int64 index, and cotangents are kept at pooled size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mammogan.models.penalty.batch_pass import BatchPass
from mammogan.models.penalty.layers import Layer
from mammogan.models.penalty.options import FAST, PenaltyMethod

HEADROOM = 16.0
"""Before a vjp in half precision, a cotangent is scaled to this largest magnitude, so its values stay in range."""


class Pass:
    """The value of a trunk for one batch, and the vjp of its linear part at the selections of that forward pass.

    ``replayed`` is an earlier pass whose selections are reused; ``together`` is the number of images processed at a
    time.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        originals: Sequence[Tensor | None],
        value: Tensor,
        options: PenaltyMethod = FAST,
        replayed: Pass | None = None,
        together: int | None = None,
    ) -> None:
        self.batch_pass = BatchPass(layers, originals, value, options, together)
        if replayed is not None:
            for part, earlier in zip(self.batch_pass.parts, replayed.batch_pass.parts, strict=True):
                part.selected = list(earlier.selected)
        self.output: Tensor = _Forward.apply(self.batch_pass, value, *originals)

    @property
    def images_together(self) -> int:
        """How many images are processed at a time."""
        return self.batch_pass.each

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Apply the vjp J^T to a cotangent: the output's shape -> the input's shape, in at least float32."""
        at_input: Tensor = _Vjp.apply(self.batch_pass, cotangent, self.output)
        return at_input


class _Forward(torch.autograd.Function):
    """The trunk's value in at least float32. Its backward is one vjp pass for loss and curvature together."""

    @staticmethod
    def forward(ctx: Any, batch_pass: BatchPass, value: Tensor, *originals: Tensor) -> Tensor:
        ctx.batch_pass, ctx.wants_input, ctx.dtype = batch_pass, value.requires_grad, value.dtype
        pieces = value.to(batch_pass.weights.dtype).split(batch_pass.each)
        output = torch.cat(
            [part.forward(piece, batch_pass.keeps) for part, piece in zip(batch_pass.parts, pieces, strict=True)]
        )
        _save(ctx, [part.inputs for part in batch_pass.parts])
        return output.float() if batch_pass.halves else output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        batch_pass: BatchPass = ctx.batch_pass
        found = batch_pass.found()
        scale = _sizes(cotangent).max() / HEADROOM if batch_pass.halves else 1.0
        pieces = (cotangent / scale).to(batch_pass.weights.dtype).split(batch_pass.each)
        _restore(ctx, [part.inputs for part in batch_pass.parts])
        gradients = []
        for part, piece in zip(batch_pass.parts, pieces, strict=True):
            if batch_pass.recompute and batch_pass.weights.any_trains:
                part.again(found.lowest)
            gradients.append(part.gradients(piece, found, scale, ctx.wants_input))
        input_gradient = torch.cat(gradients).to(ctx.dtype) * scale if ctx.wants_input else None
        return None, input_gradient, *batch_pass.finished()


class _Vjp(torch.autograd.Function):
    """The vjp J^T. Its backward is a jvp with J that also computes the weight gradients of <J^T cotangent, tangent>.

    These weight gradients are handed to the backward of ``output``, which adds its own: two sets never exist at the
    same time. ``output`` is an input here only so that its backward runs, and runs later.

    Half precision only sees cotangents and tangents scaled to one size; their true sizes are restored in float32. The
    gradient may be small, and the penalty's tangent shrinks with the cube of its norm, below what half precision can
    represent.
    """

    @staticmethod
    def forward(ctx: Any, batch_pass: BatchPass, cotangent: Tensor, output: Tensor) -> Tensor:
        ctx.batch_pass, ctx.dtype, ctx.output = batch_pass, cotangent.dtype, (output.dtype, output.requires_grad)
        ctx.sizes = _sizes(cotangent) / HEADROOM if batch_pass.halves else None
        start = (cotangent / _of_images(ctx.sizes, cotangent) if batch_pass.halves else cotangent).to(
            batch_pass.weights.dtype
        )
        pieces = zip(batch_pass.parts, start.split(batch_pass.each), strict=True)
        at_input = torch.cat([part.vjp(piece, batch_pass.keeps) for part, piece in pieces])
        _save(ctx, [part.cotangents for part in batch_pass.parts], start if batch_pass.recompute else None)
        return at_input.float() * _of_images(ctx.sizes, at_input) if batch_pass.halves else at_input

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, tangent: Tensor) -> tuple[Any, ...]:
        batch_pass: BatchPass = ctx.batch_pass
        found = batch_pass.found()
        scale: Tensor | float = 1.0
        if batch_pass.halves:  # products with the cotangents kept by ``vjp`` then have one scale for all images
            tangent = tangent * _of_images(ctx.sizes, tangent)
            scale = _sizes(tangent).max()
            tangent = tangent / scale
        start = _restore(ctx, [part.cotangents for part in batch_pass.parts])
        starts = [None] * len(batch_pass.parts) if start is None else start.split(batch_pass.each)
        tangents = []
        for part, piece, one in zip(
            batch_pass.parts, tangent.to(batch_pass.weights.dtype).split(batch_pass.each), starts, strict=True
        ):
            if one is not None and batch_pass.weights.any_trains:
                part.vjp(one, keeps=True, until=found.lowest)
            tangents.append(part.jvp(piece, found, scale))
        along = torch.cat(tangents)
        if batch_pass.halves:
            along = along.float() * _of_images(scale / ctx.sizes, along)
        dtype, follows = ctx.output
        nothing = along.new_zeros(along.shape, dtype=dtype) if follows else None
        return None, along.to(ctx.dtype), nothing


def _save(ctx: Any, kept: Sequence[dict[int, Tensor]], whole: Tensor | None = None) -> None:
    """Hand over the tensors of all parts to autograd, which frees them after the backward pass."""
    ctx.keys = [list(one) for one in kept]
    ctx.save_for_backward(whole, *(tensor for one in kept for tensor in one.values()))
    for one in kept:
        one.clear()


def _restore(ctx: Any, kept: Sequence[dict[int, Tensor]]) -> Tensor | None:
    """Give the tensors saved by ``_save`` back to the parts; return ``whole``."""
    whole, *tensors = ctx.saved_tensors
    for one, keys in zip(kept, ctx.keys, strict=True):
        one.update(zip(keys, tensors[: len(keys)], strict=True))
        del tensors[: len(keys)]
    return whole


def _of_images(sizes: Tensor, value: Tensor) -> Tensor:
    """Reshape one number per image (N,) so that it can be multiplied with ``value`` (N, ...)."""
    return sizes.view(-1, *(1,) * (value.dim() - 1))


def _sizes(value: Tensor) -> Tensor:
    """Return the largest magnitude of each sample (N,) in float32, never zero.

    It is not the norm, because squares would leave float32's range.
    """
    return value.float().flatten(1).abs().amax(1).clamp_min(1e-30)
