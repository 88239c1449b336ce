"""Scale images without aliasing: bicubic for mammograms, bilinear for masks and thumbnails.

The bicubic scaling multiplies by banded matrices, which is faster than torch's function and closer to the exact result.

One output row is a weighted sum of a few input rows. Sixteen neighbouring output rows need hardly more input rows than
one does, so the scaling is a chain of small dense matrix products, which processors compute fastest: first along the
columns, then, on the result, along the rows. ``torch.nn.functional.interpolate`` in double precision is the reference;
in single precision it also rounds the positions of the kernel, which changes noise by up to 5 of 65535.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARPNESS = -0.5
"""Parameter a of the cubic kernel (Keys 1981), as in Pillow's and torch's antialiased bicubic."""
SUPPORT = 2
"""Reach of the kernel in pixels of the coarser grid."""
ROWS = 16
"""Output rows of one matrix product: with fewer, overhead dominates; with more, multiplications by zero."""


@dataclass(frozen=True)
class Band:
    """One band of the scaling matrix: output rows ``rows`` are ``weights`` times input rows ``span``."""

    rows: slice
    span: slice
    weights: Tensor


def bilinear(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Scale pixels (h,w) float32 to ``shape`` bilinearly, pixel centres aligned, without aliasing.

    Returns ``pixels`` itself, no copy, if they already have that shape.
    """
    if pixels.shape == shape:
        return pixels
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    scaled = torch.nn.functional.interpolate(image, size=shape, mode="bilinear", antialias=True, align_corners=False)
    result: NDArray[np.float32] = scaled[0, 0].numpy()
    return result


def bicubic(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Scale like ``bilinear``, but with the cubic kernel: the result is sharper and may overshoot."""
    if pixels.shape == shape:
        return pixels
    image = torch.from_numpy(np.ascontiguousarray(pixels))
    (height, width), (rows, cols) = image.shape, shape
    tall = torch.empty(rows, width)
    for band in bands(height, rows):
        torch.mm(band.weights, image[band.span], out=tall[band.rows])
    scaled = torch.empty(rows, cols)
    for band in bands(width, cols):
        torch.mm(tall[:, band.span], band.weights.t(), out=scaled[:, band.rows])
    result: NDArray[np.float32] = scaled.numpy()
    return result


@functools.lru_cache(maxsize=64)
def bands(size: int, scaled: int) -> tuple[Band, ...]:
    """Compute the matrix that scales ``size`` pixels to ``scaled`` pixels, as bands."""
    first, beyond = _reached(size, scaled)
    made = []
    for row in range(0, scaled, ROWS):
        rows = slice(row, min(row + ROWS, scaled))
        span = slice(int(first[rows.start]), int(beyond[rows.stop - 1]))
        weights = kernel_weights(np.arange(rows.start, rows.stop), np.arange(span.start, span.stop), size, scaled)
        made.append(Band(rows, span, torch.from_numpy(weights.astype(np.float32))))
    return tuple(made)


def kernel_weights(
    outputs: NDArray[np.int64], inputs: NDArray[np.int64], size: int, scaled: int
) -> NDArray[np.float64]:
    """Compute the weight of each input pixel in each output pixel, float64 (outputs, inputs).

    ``inputs`` are indices below ``size``, ``outputs`` below ``scaled``. Where the kernel reaches beyond the border, the
    weights inside the image are normalised to a sum of 1.
    """
    step = max(size / scaled, 1.0)
    first, beyond = _reached(size, scaled)
    centers = (outputs + 0.5) * (size / scaled)
    distance = np.abs((inputs + 0.5 - centers[:, None]) / step)
    near = ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * SHARPNESS
    weights = np.where(distance < 1, near, np.where(distance < SUPPORT, far, 0))
    inside = (inputs >= first[outputs, None]) & (inputs < beyond[outputs, None])
    weights = np.where(inside, weights, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _reached(size: int, scaled: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each output pixel, the first input pixel that it uses and the one after the last."""
    centers = (np.arange(scaled) + 0.5) * (size / scaled)
    reach = SUPPORT * max(size / scaled, 1.0)
    first = np.maximum(np.floor(centers - reach + 0.5), 0)
    beyond = np.minimum(np.floor(centers + reach + 0.5), size)
    return first.astype(np.int64), beyond.astype(np.int64)
