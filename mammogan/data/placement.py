"""Where a stored DICOM frame lies in a shard image: flips, one scale, padding; and the way back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from mammogan.config import Resolution


@dataclass(frozen=True)
class Placement:
    """Map between the stored frame (h,w) and a shard image (H,W).

    The frame is flipped into the canonical orientation, scaled to ``content_shape`` and laid at ``offset`` (row, col);
    the rest is zero. Coordinates are pixel centres: row 0 is the centre of the first row.
    """

    source_shape: tuple[int, int]
    shape: tuple[int, int]
    content_shape: tuple[int, int]
    offset: tuple[int, int]
    flip_h: bool
    flip_v: bool

    @classmethod
    def fit(cls, source_shape: tuple[int, int], resolution: Resolution, flip_h: bool, flip_v: bool) -> Placement:
        """The largest size that keeps the ratio; columns padded away from the chest wall, rows at both ends."""
        height, width = source_shape
        scale = min(resolution.height / height, resolution.width / width)
        content = (
            min(resolution.height, max(1, round(height * scale))),
            min(resolution.width, max(1, round(width * scale))),
        )
        offset = ((resolution.height - content[0]) // 2, 0)
        return cls(source_shape, (resolution.height, resolution.width), content, offset, flip_h, flip_v)

    @property
    def scale(self) -> tuple[float, float]:
        """Shard pixels per stored pixel (y, x); the two differ by the rounding of the content's size only."""
        return self.content_shape[0] / self.source_shape[0], self.content_shape[1] / self.source_shape[1]

    def to_source(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shard coordinates -> stored-frame coordinates, in fractions of a pixel."""
        (scale_y, scale_x), (height, width) = self.scale, self.source_shape
        row = (np.asarray(rows, float) - self.offset[0] + 0.5) / scale_y - 0.5
        col = (np.asarray(cols, float) - self.offset[1] + 0.5) / scale_x - 0.5
        return (height - 1 - row if self.flip_v else row), (width - 1 - col if self.flip_h else col)

    def from_source(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Stored-frame coordinates -> shard coordinates, in fractions of a pixel."""
        (scale_y, scale_x), (height, width) = self.scale, self.source_shape
        row, col = np.asarray(rows, float), np.asarray(cols, float)
        row, col = (height - 1 - row if self.flip_v else row), (width - 1 - col if self.flip_h else col)
        return (row + 0.5) * scale_y - 0.5 + self.offset[0], (col + 0.5) * scale_x - 0.5 + self.offset[1]

    def canonical(self, frame: NDArray[Any]) -> NDArray[Any]:
        """A view of a stored frame (h,w) in the canonical orientation."""
        return frame[:: -1 if self.flip_v else 1, :: -1 if self.flip_h else 1]

    def to_json(self) -> dict[str, Any]:
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Placement:
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


def place_pixels(canonical: NDArray[np.float32], placement: Placement) -> NDArray[np.uint16]:
    """Canonical float pixels (h,w) in [0,65535] -> uint16 (H,W).

    Antialiased bicubic in float; clipped, because it overshoots, before the one rounding (half to even).
    """
    content = resize(canonical, placement.content_shape)
    placed = np.zeros(placement.shape, np.uint16)
    placed[_content(placement)] = np.rint(np.clip(content, 0, 65535)).astype(np.uint16)
    return placed


def apply_placement_to_mask(mask: NDArray[Any], placement: Placement) -> NDArray[np.bool_]:
    """Stored-frame mask (h,w), nonzero inside -> boolean mask (H,W) of the shard image.

    A pixel belongs to it when at least half of it is covered; a mask too small for that keeps its best covered pixel.
    """
    if mask.shape != placement.source_shape:
        raise ValueError(f"mask is {mask.shape}, expected the stored frame's {placement.source_shape}")
    covered = resize(placement.canonical(mask != 0).astype(np.float32), placement.content_shape, mode="bilinear")
    placed = np.zeros(placement.shape, bool)
    if mask.any():
        placed[_content(placement)] = covered >= min(0.5, covered.max())
    return placed


PASSES = 6
"""Of correction: what is missing of a smooth change after so many is below a hundredth of it."""
REACH = 2
"""Shard pixels as far as a bicubic change spreads."""


def content(image: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """A view of a shard image (H,W) without its padding, ``content_shape``, still canonical."""
    return image[_content(placement)]


def add_at_source(
    canonical: NDArray[np.float32], change: NDArray[np.float32], placement: Placement
) -> NDArray[np.float32]:
    """Canonical pixels (h,w) in [0,65535] with a shard image's ``change`` (H,W) put back on them, in [0,65535].

    The change is scaled bicubically and then corrected until scaling the result down gives it again, as far as its
    pixels and the range allow. Pixels farther than REACH from any change stay exactly what they are.
    """
    wanted = content(change, placement)
    region = _reached(wanted != 0, placement)
    added = np.zeros_like(canonical)
    for _ in range(1 + PASSES):
        missing = wanted - resize(added, placement.content_shape)
        added += np.where(region, resize(missing, placement.source_shape), 0)
        added = np.clip(canonical + added, 0, 65535) - canonical
    return canonical + added


def _reached(changed: NDArray[np.bool_], placement: Placement) -> NDArray[np.bool_]:
    """Canonical pixels (h,w) within REACH of a changed pixel of the content."""
    near = ndimage.binary_dilation(changed, np.ones((2 * REACH + 1, 2 * REACH + 1), bool))
    rows, cols = (
        np.minimum(((np.arange(side) + 0.5) * scale).astype(int), most - 1)
        for side, scale, most in zip(placement.source_shape, placement.scale, placement.content_shape, strict=True)
    )
    reached: NDArray[np.bool_] = near[np.ix_(rows, cols)]
    return reached


def _content(placement: Placement) -> tuple[slice, slice]:
    (top, left), (height, width) = placement.offset, placement.content_shape
    return slice(top, top + height), slice(left, left + width)


def resize(pixels: NDArray[np.float32], shape: tuple[int, int], mode: str = "bicubic") -> NDArray[np.float32]:
    """Antialiased resize of float pixels (h,w), pixel centres aligned; unchanged when the size is the same."""
    if pixels.shape == shape:
        return pixels
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    resized = torch.nn.functional.interpolate(tensor, size=shape, mode=mode, antialias=True, align_corners=False)
    result: NDArray[np.float32] = resized[0, 0].numpy()
    return result
