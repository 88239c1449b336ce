"""Lesions that were taken from one mammogram, and how one is put into another: docs/lesion_objective.md, Eq. L3.

A picture x is seen as 1 - t, t the light that its tissue lets through. A lesion multiplies t by exp(-growth), growth at
least 0: whatever is put on whatever, nothing becomes whiter than tissue can be. All of it is in cells, the squares of
pixels that its remover sees: nothing finer than these is taken from the source mammogram.
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
from mammogan.models.networks import AIR

Picture = NDArray[np.float32]
Place = tuple[int, int]
"""Row and column, in cells."""

REACH = 2.0
"""Lesion radii around the centre within which growth is taken over."""
WHITEST = 0.97
"""Tissue brighter than this cannot tell how much light it lets through."""


@dataclass(frozen=True)
class Lesion:
    """A lesion around its own centre."""

    growth: Picture
    """How much the tissue's transparency fell by it: -ln of a factor, at least 0. A square, odd cells a side."""
    surroundings: float
    """Mean of the source without its lesion, weighted around the centre, in [0,1]."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values; half precision is enough."""
        return {"growth": torch.from_numpy(self.growth).half(), "surroundings": self.surroundings}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Lesion:
        return cls(state["growth"].float().numpy(), state["surroundings"])


@dataclass(frozen=True)
class Scale:
    """How many pixels a cell is wide, and how many cells a lesion's radius."""

    cell: int
    radius: float

    def surroundings(self, cells: Picture) -> Picture:
        """Gaussian mean over about a lesion, of tissue alone; 0 in the air. Of means of cells (h,w), as the result."""
        tissue = (cells > AIR_CELL).astype(np.float32)
        weight = np.maximum(ndimage.gaussian_filter(tissue, self.radius), 1e-3)
        return np.asarray(ndimage.gaussian_filter(cells * tissue, self.radius) / weight * tissue)


def cut_out(cells: Picture, change: Picture, centre: Place, scale: Scale) -> Lesion:
    """The lesion that a remover's map ``change`` (h,w; below 0 where it darkens) takes from a picture.

    ``cells`` (h,w) are the picture's means in [0,1]. What it brightens is no part of a lesion.
    """
    cleaned = np.clip(cells + np.minimum(change, 0), 0, 1)
    before, after = 1 - np.minimum(cells, WHITEST), 1 - np.minimum(cleaned, WHITEST)
    growth = np.maximum(np.log(after / before), 0)
    square = _square(growth, centre, math.ceil(REACH * scale.radius) + 1)
    return Lesion(square * _soft_disc(square.shape[0], scale), float(scale.surroundings(cleaned)[centre]))


def put_in(picture: Picture, lesion: Lesion, place: Place, cell: int) -> Picture:
    """Eq. L3, 1 - x' = (1 - x) exp(-up(growth)): ``picture`` (H,W) in [0,1] with the lesion's middle cell at ``place``.

    Air stays as it is, and so does the noise of what the lesion lies on, less what a denser tissue dampens.
    """
    growth = enlarged(torch.from_numpy(lesion.growth)[None, None], cell)[0, 0].numpy()
    half = lesion.growth.shape[0] // 2
    top, left = ((at - half) * cell for at in place)
    rows, own_rows = _common(top, growth.shape[0], picture.shape[0])
    columns, own_columns = _common(left, growth.shape[1], picture.shape[1])
    x = picture[rows, columns]
    changed = picture.copy()
    changed[rows, columns] = np.where(x > AIR, x - (1 - x) * np.expm1(-growth[own_rows, own_columns]), x)
    return changed


def _soft_disc(side: int, scale: Scale) -> Picture:
    """1 within REACH radii of the middle of a square, falling to 0 over a cell."""
    line = np.arange(side, dtype=np.float32) - side // 2
    away = np.hypot(line[:, None], line)
    return np.clip(REACH * scale.radius - away + 0.5, 0, 1).astype(np.float32)


def _square(cells: Picture, centre: Place, half: int) -> Picture:
    """The square around ``centre``, 0 beyond the picture's borders."""
    side = 2 * half + 1
    square = np.zeros((side, side), np.float32)
    rows, own_rows = _common(centre[0] - half, side, cells.shape[0])
    columns, own_columns = _common(centre[1] - half, side, cells.shape[1])
    square[own_rows, own_columns] = cells[rows, columns]
    return square


def _common(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Of a stretch of ``length`` from ``start`` on: what lies within ``size``, and which part of it that is."""
    first, last = max(0, start), max(0, min(size, start + length))
    return slice(first, last), slice(first - start, last - start)
