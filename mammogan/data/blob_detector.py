"""The one-line reader: the largest round brightening of a mammogram, by a difference of two Gaussians.

It knows nothing of cancer, yet sees more than half of the demo's phantom lesions: it tells whether there is a blob
where one is said to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Response = NDArray[np.float32]

BLOB_MM = 4.0
"""Standard deviation of the narrow Gaussian; the wide one has twice that."""
MARGIN_MM = 8.0
"""Nearer than this to the breast's edge nothing is looked for: the skin is no blob."""
CELL_MM = 1.0
"""Finer pixels are averaged to cells of up to this size first, at which a Gaussian of 4 mm loses nothing."""
AIR = 0.01
"""Of the full range: darker pixels are air where the breast does not enclose them."""
QUANTILE = 0.8
"""Of the largest responses in mammograms without cancer: what is above is called a blob that stands out."""


@dataclass(frozen=True)
class Blob:
    """The largest response of one mammogram, in its pixels' own unit, and where it is, in its rows and columns."""

    response: float
    row: float
    column: float


def breast_of(pixels: NDArray[np.uint16]) -> Mask:
    """Which pixels of a shard's mammogram, uint16 (H,W), are breast, with whatever dark spots it encloses."""
    return np.asarray(ndimage.binary_fill_holes(pixels > AIR * 65535), dtype=bool)


def blob_map(pixels: NDArray[np.generic], breast: Mask, spacing_mm: float | Sequence[float]) -> Response:
    """Difference of Gaussians (4 and 8 mm, air left out) at least 8 mm inside the breast, -inf elsewhere.

    Float32 (H,W). ``spacing_mm`` is mm a pixel, one number or (y, x).
    """
    sides = _sides(spacing_mm)
    weight, values = breast.astype(np.float32), pixels.astype(np.float32)
    near, far = (
        ndimage.gaussian_filter(values, sigma) / (ndimage.gaussian_filter(weight, sigma) + 1e-3)
        for sigma in ([BLOB_MM / side for side in sides], [2 * BLOB_MM / side for side in sides])
    )
    steps = max(1, round(MARGIN_MM / math.sqrt(sides[0] * sides[1])))
    inside = ndimage.binary_erosion(breast, iterations=steps, border_value=1)
    return np.where(inside, near - far, np.float32(-np.inf)).astype(np.float32)


def largest_blob(pixels: NDArray[np.generic], breast: Mask, spacing_mm: float | Sequence[float]) -> Blob | None:
    """The largest response and its place; None where the breast is too small to hold one. Fine pixels are averaged."""
    rows, columns = pooling(spacing_mm)
    sides = _sides(spacing_mm)
    coarse = (averaged(pixels, (rows, columns)), averaged(breast, (rows, columns)) >= 0.5)
    response = blob_map(*coarse, (sides[0] * rows, sides[1] * columns))
    row, column = np.unravel_index(int(response.argmax()), response.shape)
    if not np.isfinite(response[row, column]):
        return None
    last = pixels.shape[0] - 1, pixels.shape[1] - 1  # the middle of a cell that reaches beyond may lie beyond
    place = min(row * rows + (rows - 1) / 2, last[0]), min(column * columns + (columns - 1) / 2, last[1])
    return Blob(float(response[row, column]), float(place[0]), float(place[1]))


def blob(pixels: NDArray[np.generic], breast: Mask, spacing_mm: float) -> float:
    """The largest response of a picture whose breast is known; ValueError where that is too small for one."""
    found = largest_blob(pixels, breast, spacing_mm)
    if found is None:
        raise ValueError(f"expected a breast with a point {MARGIN_MM:g} mm inside, found none")
    return found.response


def blob_threshold(negatives: Iterable[float], quantile: float = QUANTILE) -> float | None:
    """The response above which a blob counts as found, from the largest ones of mammograms without cancer."""
    known = list(negatives)
    return float(np.quantile(known, quantile)) if known else None


def pooling(spacing_mm: float | Sequence[float]) -> tuple[int, int]:
    """How many pixels (y, x) go into a cell."""
    height, width = (max(1, int(CELL_MM / side + 1e-6)) for side in _sides(spacing_mm))
    return height, width


def averaged(picture: NDArray[np.generic], cell: tuple[int, int]) -> NDArray[np.float32]:
    """(H,W) as the means of cells of ``cell`` pixels; the last row and column go on where a cell reaches beyond."""
    if cell == (1, 1):
        return picture.astype(np.float32)
    beyond = [(0, -side % size) for side, size in zip(picture.shape, cell, strict=True)]
    whole = np.pad(picture.astype(np.float32), beyond, mode="edge")
    height, width = (side // size for side, size in zip(whole.shape, cell, strict=True))
    return np.asarray(whole.reshape(height, cell[0], width, cell[1]).mean((1, 3)))


def _sides(spacing_mm: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(spacing_mm, int | float):
        return float(spacing_mm), float(spacing_mm)
    height, width = spacing_mm
    return float(height), float(width)
