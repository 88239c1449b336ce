"""Cut a lesion out of one mammogram and put it into another: docs/lesion_objective.md, Eq. L3.

A picture x is treated as 1 - t, where t is the fraction of light that its tissue transmits. A lesion multiplies t by
exp(-growth) with growth >= 0, so no combination of lesion and tissue becomes whiter than tissue can be. All lesions are
stored in cells, the squares of pixels that the remover sees: no finer detail is taken from the source mammogram.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.models.lesion import AIR_CELL, enlarged
from mammogan.models.networks import AIR_PIXEL

Picture = NDArray[np.float32]
Place = tuple[int, int]
"""Row and column, in cells."""

REACH = 2.0
"""Growth is copied up to this many lesion radii from the centre."""
WHITEST = 0.97
"""Brightness is capped here before growth is computed: brighter tissue does not show how much light it transmits."""


@dataclass(frozen=True)
class Lesion:
    """A lesion cut out around its centre."""

    growth: Picture
    """-ln of the factor by which the lesion reduces the tissue's transparency, at least 0.

    A square with an odd number of cells per side.
    """
    surroundings: float
    """Mean of the source mammogram without its lesion, weighted around the centre, in [0,1]."""

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values for a checkpoint; half precision is enough."""
        return {"growth": torch.from_numpy(self.growth).half(), "surroundings": self.surroundings}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Lesion:
        return cls(state["growth"].float().numpy(), state["surroundings"])


@dataclass(frozen=True)
class Scale:
    """Cell size in pixels, and lesion radius in cells."""

    cell: int
    radius: float

    def surroundings(self, cells: Picture) -> Picture:
        """Gaussian mean of the tissue over about a lesion's size, 0 in air. Takes and returns means of cells (h,w)."""
        tissue = (cells > AIR_CELL).astype(np.float32)
        weight = np.maximum(ndimage.gaussian_filter(tissue, self.radius), 1e-3)
        return np.asarray(ndimage.gaussian_filter(cells * tissue, self.radius) / weight * tissue)


def cut_out(cells: Picture, change: Picture, centre: Place, scale: Scale) -> Lesion:
    """Cut out the lesion that a remover's map ``change`` (h,w; below 0 where it darkens) takes from a picture.

    ``cells`` (h,w) are the picture's means in [0,1]. Places that the map brightens do not count as lesion.
    """
    cleaned = np.clip(cells + np.minimum(change, 0), 0, 1)
    before, after = 1 - np.minimum(cells, WHITEST), 1 - np.minimum(cleaned, WHITEST)
    growth = np.maximum(np.log(after / before), 0)
    square = _square(growth, centre, math.ceil(REACH * scale.radius) + 1)
    return Lesion(square * _soft_disc(square.shape[0], scale), float(scale.surroundings(cleaned)[centre]))


def put_in(picture: Picture, lesion: Lesion, place: Place, cell: int) -> Picture:
    """Put the lesion into ``picture`` (H,W) in [0,1] with its middle cell at ``place``.

    Eq. L3: 1 - x' = (1 - x) exp(-up(growth)). Air is unchanged. The noise of the tissue below the lesion stays too,
    damped as denser tissue damps it.
    """
    growth = enlarged(torch.from_numpy(lesion.growth)[None, None], cell)[0, 0].numpy()
    half = lesion.growth.shape[0] // 2
    top, left = ((at - half) * cell for at in place)
    rows, own_rows = _common(top, growth.shape[0], picture.shape[0])
    columns, own_columns = _common(left, growth.shape[1], picture.shape[1])
    x = picture[rows, columns]
    changed = picture.copy()
    changed[rows, columns] = np.where(x > AIR_PIXEL, x - (1 - x) * np.expm1(-growth[own_rows, own_columns]), x)
    return changed


def _soft_disc(side: int, scale: Scale) -> Picture:
    """A square mask: 1 within REACH radii of its middle, falling to 0 over one cell."""
    line = np.arange(side, dtype=np.float32) - side // 2
    away = np.hypot(line[:, None], line)
    return np.clip(REACH * scale.radius - away + 0.5, 0, 1).astype(np.float32)


def _square(cells: Picture, centre: Place, half: int) -> Picture:
    """Return the square around ``centre``, 0 beyond the picture's borders."""
    side = 2 * half + 1
    square = np.zeros((side, side), np.float32)
    rows, own_rows = _common(centre[0] - half, side, cells.shape[0])
    columns, own_columns = _common(centre[1] - half, side, cells.shape[1])
    square[own_rows, own_columns] = cells[rows, columns]
    return square


def _common(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Clip the range of ``length`` from ``start`` to [0, size); return it, and the same range relative to ``start``."""
    first, last = max(0, start), max(0, min(size, start + length))
    return slice(first, last), slice(first - start, last - start)
