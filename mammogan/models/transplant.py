"""Lesions that were taken from one mammogram, and how one is put into another: docs/lesion_objective.md, Eq. L3.

A picture x is seen as 1 - t, t the light that its tissue lets through. A lesion multiplies t by exp(-growth), growth at
least 0: whatever is put on whatever, nothing becomes whiter than tissue can be. What is finer than the growth map, the
lesion's rim and spicules, comes as texture: the difference between the source and its own local mean.
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
TEXTURE_REACH = 1.4
"""Lesion radii within which the texture is."""
WHITEST = 0.97
"""Tissue brighter than this cannot tell how much light it lets through."""


@dataclass(frozen=True)
class Lesion:
    """A lesion around its own centre: squares of an odd side, (n,n) float32."""

    growth: Picture
    """How much the tissue's transparency fell by it: -ln of a factor, at least 0."""
    texture: Picture
    """Source minus its local mean; 0 outside the breast."""
    known: NDArray[np.bool_]
    """Where the source has tissue."""
    centre: Place
    """Row and column in the source picture."""
    surroundings: float
    """Local mean of the source without its lesion, at the centre, in [0,1]."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, half as large where half precision is enough."""
        return {
            "growth": torch.from_numpy(self.growth).half(),
            "texture": torch.from_numpy(self.texture).half(),
            "known": torch.from_numpy(self.known),
            "centre": list(self.centre),
            "surroundings": self.surroundings,
        }

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Lesion:
        growth, texture = (state[name].float().numpy() for name in ("growth", "texture"))
        return cls(growth, texture, state["known"].numpy(), tuple(state["centre"]), state["surroundings"])


@dataclass(frozen=True)
class Scale:
    """Lengths in pixels: of a lesion's radius, and of the cells that its growth was drawn in."""

    radius: float
    cell: int

    @property
    def half(self) -> int:
        """Half the side of a lesion's square, without its middle."""
        return round(REACH * self.radius) + self.cell

    def local_mean(self, picture: Picture) -> Picture:
        """Gaussian mean over about a cell, of tissue alone; 0 in the air."""
        return _mean_of_tissue(picture, self.cell / 2)

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
    tissue = picture > AIR
    texture = np.where(tissue, picture - scale.local_mean(picture), 0)
    around = float(scale.surroundings(cleaned)[centre])
    squares = [_square(part, centre, scale.half) for part in (growth, texture, tissue)]
    soft = scale.disc(REACH, scale.cell)
    known = squares[2].astype(bool)
    return Lesion((squares[0] * soft).astype(np.float32), squares[1].astype(np.float32), known, centre, around)


def put_in(picture: Picture, lesion: Lesion, place: Place, scale: Scale) -> Picture:
    """Eq. L3: ``picture`` (h,w) in [0,1] with the lesion's centre at ``place``. Air stays as it is.

    1 - x' = (1 - mean(x)) exp(-growth) - sqrt(v) texture - sqrt(1-v) (x - mean(x)), v the soft disc of the texture:
    the weights' squares add up to 1, so that noise keeps its variance across the rim.
    """
    half = scale.half
    mean = scale.local_mean(picture)
    rows, columns, own = _overlap(picture.shape, place, half)
    x, m, tissue = picture[rows, columns], mean[rows, columns], picture[rows, columns] > AIR
    v = scale.disc(TEXTURE_REACH, scale.cell)[own] * lesion.known[own] * (lesion.texture[own] != 0)
    v = ndimage.gaussian_filter(v.astype(np.float32), 1) * (lesion.known[own] & tissue)
    low = 1 - (1 - m) * np.exp(-lesion.growth[own])
    grown = low + np.sqrt(v) * lesion.texture[own] + np.sqrt(1 - v) * (x - m)
    changed = picture.copy()
    changed[rows, columns] = np.where(tissue, np.clip(grown, AIR, 1), x)
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
