"""Lesions that were taken from one mammogram, and how one is put into another: docs/lesion_objective.md, Eq. L3.

A picture x is seen as 1 - t, t the light that its tissue lets through. A lesion multiplies t by exp(-growth), growth at
least 0: whatever is put on whatever, nothing becomes whiter than tissue can be. No pixel of the source is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.models.networks import AIR

Picture = NDArray[np.float32]
Place = tuple[int, int]

REACH = 2.0
"""Lesion radii around the centre within which growth is taken over."""
WHITEST = 0.97
"""Tissue brighter than this cannot tell how much light it lets through."""


@dataclass(frozen=True)
class Lesion:
    """A lesion around its own centre: squares of an odd side, (n,n) float32."""

    growth: Picture
    """How much the tissue's transparency fell by it: -ln of a factor, at least 0."""
    surroundings: float
    """Local mean of the source without its lesion, at the centre, in [0,1]."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values; half precision is enough."""
        return {"growth": torch.from_numpy(self.growth).half(), "surroundings": self.surroundings}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Lesion:
        return cls(state["growth"].float().numpy(), state["surroundings"])


@dataclass(frozen=True)
class Scale:
    """Lengths in pixels: of a lesion's radius, and of the cells that its growth was drawn in."""

    radius: float
    cell: int

    @property
    def half(self) -> int:
        """Half the side of a lesion's square, without its middle."""
        return round(REACH * self.radius) + self.cell

    def surroundings(self, picture: Picture) -> Picture:
        """Gaussian mean over about a lesion, of tissue alone; 0 in the air."""
        return _mean_of_tissue(picture, self.radius)

    def disc(self, reach: float, softness: float) -> Picture:
        """1 within ``reach`` radii of the middle of a lesion's square, falling to 0 over ``softness`` pixels."""
        line = np.arange(-self.half, self.half + 1, dtype=np.float32)
        away = np.hypot(line[:, None], line)
        return np.clip((reach * self.radius - away) / softness + 0.5, 0, 1).astype(np.float32)


def cut_out(picture: Picture, change: Picture, centre: Place, scale: Scale) -> Lesion:
    """The lesion that a remover's ``change`` (h,w; below 0 where it darkens) takes from ``picture`` (h,w) in [0,1]."""
    cleaned = np.clip(picture + np.minimum(change, 0), 0, 1)
    before, after = 1 - np.minimum(picture, WHITEST), 1 - np.minimum(cleaned, WHITEST)
    growth = np.maximum(np.log(after / before), 0)
    square = _square(growth, centre, scale.half) * scale.disc(REACH, scale.cell)
    return Lesion(square.astype(np.float32), float(scale.surroundings(cleaned)[centre]))


def put_in(picture: Picture, lesion: Lesion, place: Place) -> Picture:
    """Eq. L3, 1 - x' = (1 - x) exp(-growth): ``picture`` (h,w) in [0,1] with the lesion's centre at ``place``.

    Air stays as it is, and so does the noise of what the lesion lies on, less what a denser tissue dampens.
    """
    rows, columns, own = _overlap(picture.shape, place, lesion.growth.shape[0] // 2)
    x = picture[rows, columns]
    changed = picture.copy()
    changed[rows, columns] = np.where(x > AIR, 1 - (1 - x) * np.exp(-lesion.growth[own]), x)
    return changed


def _mean_of_tissue(picture: Picture, sigma: float) -> Picture:
    tissue = (picture > AIR).astype(np.float32)
    weight = ndimage.gaussian_filter(tissue, sigma)
    return np.asarray(ndimage.gaussian_filter(picture * tissue, sigma) / np.maximum(weight, 1e-3) * tissue)


def _square(picture: NDArray[Any], centre: Place, half: int) -> NDArray[Any]:
    """The square around ``centre``, 0 beyond the picture's borders."""
    square = np.zeros((2 * half + 1, 2 * half + 1), picture.dtype)
    rows, columns, own = _overlap(picture.shape, centre, half)
    square[own] = picture[rows, columns]
    return square


def _overlap(shape: tuple[int, ...], centre: Place, half: int) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of a picture that a square around ``centre`` covers, and the part of the square in them."""
    (top, bottom), (left, right) = (
        (max(0, at - half), min(side, at + half + 1)) for at, side in zip(centre, shape, strict=True)
    )
    own = tuple(
        slice(low - at + half, high - at + half)
        for (low, high), at in zip(((top, bottom), (left, right)), centre, strict=True)
    )
    return slice(top, bottom), slice(left, right), own  # type: ignore[return-value]
