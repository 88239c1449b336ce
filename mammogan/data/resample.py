"""Antialiased scaling: bicubic for mammograms, bilinear for masks and thumbnails.

Bicubic is products with banded matrices, faster than torch's own and closer to the exact result.

One output row is a weighted sum of a few input rows. Sixteen neighbouring output rows together need hardly more of
them than one does, so that the whole is a chain of small dense products, which processors are best at: first along the
columns, then, of what is left, along the rows. ``torch.nn.functional.interpolate`` in double precision is the
reference; in single precision it rounds the places of the kernel too, which moves noise by up to 5 of 65535.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARPNESS = -0.5
"""Of the cubic kernel (Keys 1981), as in Pillow's and torch's antialiased bicubic."""
SUPPORT = 2
"""Pixels of the coarser grid as far as the kernel reaches."""
ROWS = 16
"""Output rows of one product; with fewer, overhead prevails, with more, zeros."""


@dataclass(frozen=True)
class Band:
    """Output rows ``rows`` are ``weights`` times input rows ``span``."""

    rows: slice
    span: slice
    weights: Tensor


def bilinear(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Pixels (h,w) float32 at another size, pixel centres aligned, shrunk without aliasing; at their own, they."""
    if pixels.shape == shape:
        return pixels
    image = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    scaled = torch.nn.functional.interpolate(image, size=shape, mode="bilinear", antialias=True, align_corners=False)
    result: NDArray[np.float32] = scaled[0, 0].numpy()
    return result


def bicubic(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """As ``bilinear``, by the cubic kernel: sharper, and it may overshoot."""
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
    """The matrix that scales ``size`` pixels to ``scaled``, in bands."""
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
    """How much each of ``inputs``, of ``size``, counts in each of ``outputs``, of ``scaled``: (outputs, inputs).

    At a border, where the kernel reaches out of the image, what lies inside is weighted to a sum of 1.
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
    """First input, and the one beyond the last, that each output is made of."""
    centers = (np.arange(scaled) + 0.5) * (size / scaled)
    reach = SUPPORT * max(size / scaled, 1.0)
    first = np.maximum(np.floor(centers - reach + 0.5), 0)
    beyond = np.minimum(np.floor(centers + reach + 0.5), size)
    return first.astype(np.int64), beyond.astype(np.int64)
