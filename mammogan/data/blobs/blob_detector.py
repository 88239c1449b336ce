"""Find the largest bright round spot (blob) of a mammogram by a difference of two Gaussians.

This simplest of readers knows nothing of cancer, but finds more than half of the demo's phantom lesions. It is used to
check whether there is a blob where one is expected.
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
"""Standard deviation of the narrow Gaussian; that of the wide one is twice as large."""
MARGIN_MM = 8.0
"""Blobs closer than this to the edge of the breast are ignored, because the skin would look like one."""
CELL_MM = 1.0
"""Finer pixels are first averaged to cells of up to this size, which is still fine enough for a Gaussian of 4 mm."""
DETECTOR_AIR = 0.01
"""Pixels up to this share of the full grey range are air to the detector, unless the breast encloses them. Which pixels
an attack leaves alone is decided by another limit, models.networks.AIR_PIXEL."""
QUANTILE = 0.8
"""A blob counts as found above this quantile of the largest responses in mammograms without cancer."""


@dataclass(frozen=True)
class Blob:
    """The largest response in one mammogram, in units of its pixel values, and its place in rows and columns."""

    response: float
    row: float
    column: float


def breast_of(pixels: NDArray[np.uint16]) -> Mask:
    """Return the mask of the breast, with all dark spots inside it, for a shard's mammogram, uint16 (H,W)."""
    return np.asarray(ndimage.binary_fill_holes(pixels > DETECTOR_AIR * 65535), dtype=bool)


def blob_map(pixels: NDArray[np.generic], breast: Mask, spacing_mm: float | Sequence[float]) -> Response:
    """Return the difference of Gaussians (4 and 8 mm, air left out) at least 8 mm inside the breast, -inf elsewhere.

    The result is float32 (H,W). ``spacing_mm`` is the size of a pixel in mm, one number or (y, x).
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
    """Return the largest response and its place; None if the breast is too small. Fine pixels are averaged first."""
    rows, columns = pooling(spacing_mm)
    sides = _sides(spacing_mm)
    coarse = (averaged(pixels, (rows, columns)), averaged(breast, (rows, columns)) >= 0.5)
    response = blob_map(*coarse, (sides[0] * rows, sides[1] * columns))
    row, column = np.unravel_index(int(response.argmax()), response.shape)
    if not np.isfinite(response[row, column]):
        return None
    last = pixels.shape[0] - 1, pixels.shape[1] - 1  # the last cell may extend past the border, and so may its middle
    place = min(row * rows + (rows - 1) / 2, last[0]), min(column * columns + (columns - 1) / 2, last[1])
    return Blob(float(response[row, column]), float(place[0]), float(place[1]))


def blob(pixels: NDArray[np.generic], breast: Mask, spacing_mm: float) -> float:
    """Return the largest response of a picture with a given breast mask; ValueError if the breast is too small."""
    found = largest_blob(pixels, breast, spacing_mm)
    if found is None:
        raise ValueError(f"expected a breast with a point {MARGIN_MM:g} mm inside, found none")
    return found.response


def blob_threshold(negatives: Iterable[float], quantile: float = QUANTILE) -> float | None:
    """Return the response above which a blob counts as found; None if ``negatives`` is empty.

    ``negatives`` are the largest responses of mammograms without cancer.
    """
    known = list(negatives)
    return float(np.quantile(known, quantile)) if known else None


def pooling(spacing_mm: float | Sequence[float]) -> tuple[int, int]:
    """Return how many pixels (y, x) are averaged into one cell."""
    height, width = (max(1, int(CELL_MM / side + 1e-6)) for side in _sides(spacing_mm))
    return height, width


def averaged(picture: NDArray[np.generic], cell: tuple[int, int]) -> NDArray[np.float32]:
    """Average a picture (H,W) over cells of ``cell`` pixels; the last row and column are repeated to fill the cells."""
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
