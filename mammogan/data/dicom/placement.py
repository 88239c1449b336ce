"""Map a stored DICOM frame to a shard image (flips, region, scale, padding), and a shard image back to the frame."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from mammogan.data.dicom.greyscale import TOP
from mammogan.data.dicom.resample import bicubic, bilinear
from mammogan.workspace import Resolution

Region = tuple[int, int, int, int]
"""A rectangle of a canonical frame: first row, end row, first column, end column; the ends are excluded."""


@dataclass(frozen=True)
class Placement:
    """The map between a stored frame (h,w) and a shard image (H,W).

    The frame is flipped into the canonical orientation; its ``region`` (None: the complete frame) is scaled to
    ``content_shape`` and placed at ``offset`` (row, col); the rest is zero. Coordinates are pixel centres: row 0 is the
    centre of the first row.
    """

    source_shape: tuple[int, int]
    shape: tuple[int, int]
    content_shape: tuple[int, int]
    offset: tuple[int, int]
    flip_h: bool
    flip_v: bool
    region: Region | None = None

    @classmethod
    def fit(
        cls,
        source_shape: tuple[int, int],
        resolution: Resolution,
        flip_h: bool,
        flip_v: bool,
        region: Region | None = None,
    ) -> Placement:
        """Choose the largest size that keeps the aspect ratio.

        Columns are padded on the side away from the chest wall, rows at both ends.
        """
        top, bottom, left, right = region or _whole(source_shape)
        scale = min(resolution.height / (bottom - top), resolution.width / (right - left))
        content = round((bottom - top) * scale), round((right - left) * scale)
        return cls.laid(source_shape, resolution, content, flip_h, flip_v, region)

    @classmethod
    def laid(
        cls,
        source_shape: tuple[int, int],
        resolution: Resolution,
        content: tuple[int, int],
        flip_h: bool,
        flip_v: bool,
        region: Region | None = None,
    ) -> Placement:
        """Place the region at the size ``content``, limited to at least one pixel and at most the shard image."""
        height, width = min(resolution.height, max(1, content[0])), min(resolution.width, max(1, content[1]))
        offset = ((resolution.height - height) // 2, 0)
        shape = resolution.height, resolution.width
        return cls(source_shape, shape, (height, width), offset, flip_h, flip_v, region)

    @property
    def scale(self) -> tuple[float, float]:
        """Shard pixels per stored pixel (y, x): equal, up to the rounding of the size, if the aspect ratio is kept."""
        top, bottom, left, right = self.region or _whole(self.source_shape)
        return self.content_shape[0] / (bottom - top), self.content_shape[1] / (right - left)

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of the region in the canonical frame."""
        top, _, left, _ = self.region or _whole(self.source_shape)
        return top, left

    def from_source(self, rows: ArrayLike, cols: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert stored-frame coordinates to shard coordinates, float64, in fractions of a pixel."""
        (scale_y, scale_x), (height, width), (top, left) = self.scale, self.source_shape, self.corner
        row, col = np.asarray(rows, float), np.asarray(cols, float)
        row, col = (height - 1 - row if self.flip_v else row), (width - 1 - col if self.flip_h else col)
        return (row - top + 0.5) * scale_y - 0.5 + self.offset[0], (col - left + 0.5) * scale_x - 0.5 + self.offset[1]

    def canonical(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a stored frame (h,w) in the canonical orientation."""
        return frame[:: -1 if self.flip_v else 1, :: -1 if self.flip_h else 1]

    def used(self, canonical: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the region of a canonical frame (h,w)."""
        top, bottom, left, right = self.region or _whole(self.source_shape)
        return canonical[top:bottom, left:right]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON; ``region`` is left out when the complete frame is used."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Placement:
        """Rebuild a placement from the values of ``to_json``."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**plain)


def place_pixels(canonical: NDArray[np.float32], placement: Placement, top: float = TOP) -> NDArray[np.uint16]:
    """Scale and pad canonical float pixels (h,w) in [0,top] to a shard image, uint16 (H,W) in [0,top].

    The scaling is antialiased bicubic in float32. It overshoots, so the result is clipped, then rounded once (half to
    even).
    """
    used = placement.used(canonical)
    scaled = bicubic(used, placement.content_shape)
    scaled = np.clip(scaled, 0, top, out=None if scaled is used else scaled)
    placed = np.zeros(placement.shape, np.uint16)
    content(placed, placement)[...] = np.rint(scaled, out=scaled)
    return placed


def apply_placement_to_mask(mask: NDArray[Any], placement: Placement) -> NDArray[np.bool_]:
    """Scale a mask of the stored frame (h,w), nonzero inside, to a boolean mask (H,W) of the shard image.

    A pixel is inside when at least half of it is covered; a mask too small for that keeps its best covered pixels.
    Raises ValueError for a mask of another shape than the stored frame.
    """
    if mask.shape != placement.source_shape:
        raise ValueError(f"mask is {mask.shape}, expected the stored frame's {placement.source_shape}")
    used = placement.used(placement.canonical(mask != 0))
    covered = bilinear(used.astype(np.float32), placement.content_shape)
    placed = np.zeros(placement.shape, bool)
    if used.any():
        content(placed, placement)[...] = covered >= min(0.5, covered.max())
    return placed


PASSES = 6
"""Number of corrections, after which less than a hundredth of a smooth change is missing."""
REACH = 2
"""Distance, in shard pixels, over which bicubic scaling spreads a change."""


def content(image: NDArray[Any], placement: Placement) -> NDArray[Any]:
    """Return a view of a shard image (H,W) without its padding, of shape ``content_shape``, canonical."""
    (top, left), (height, width) = placement.offset, placement.content_shape
    return image[top : top + height, left : left + width]


def add_change_to_source(
    canonical: NDArray[np.float32],
    change: NDArray[np.float32],
    placement: Placement,
    top: float = TOP,
    free: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Add a shard image's ``change`` (H,W) to canonical pixels (h,w) in [0,top]; the result stays in [0,top].

    The change is scaled bicubically, then corrected so that scaling the result down gives the change again, as far as
    its pixels and the range allow. Pixels farther than REACH from any change keep their exact values, and so do pixels
    outside ``free`` (h,w); None: every pixel is free.
    """
    wanted, used = content(change, placement), placement.used(canonical)
    region = _reached(wanted != 0, used.shape)
    if free is not None:
        region &= placement.used(free)
    added = np.zeros_like(used)
    for _ in range(1 + PASSES):
        missing = wanted - bicubic(added, placement.content_shape)
        added += np.where(region, bicubic(missing, used.shape), 0)
        added = np.clip(used + added, 0, top) - used
    changed = canonical.copy()
    placement.used(changed)[...] = used + added
    return changed


def _reached(changed: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark the pixels of the region, of ``shape``, within REACH of a changed pixel of the content."""
    near = ndimage.binary_dilation(changed, np.ones((2 * REACH + 1, 2 * REACH + 1), bool))
    rows, cols = (
        np.minimum(((np.arange(side) + 0.5) * most / side).astype(int), most - 1)
        for side, most in zip(shape, changed.shape, strict=True)
    )
    reached: NDArray[np.bool_] = near[np.ix_(rows, cols)]
    return reached


def _whole(shape: tuple[int, int]) -> Region:
    return 0, shape[0], 0, shape[1]
