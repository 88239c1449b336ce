"""How much of a mammogram goes into a shard image, and at which size: four ways, of which one is the study's.

| pad | all of it, as large as fits, ratio kept; the rest of the shard image is black |
| physical | all of it at one size of pixel for every detector, as if each lay on the largest one's field |
| stretch | all of it over all of the shard image; circles become ellipses where the ratios differ |
| crop | the part with the breast, as large as fits, ratio kept; small breasts are enlarged |
"""

from __future__ import annotations

from typing import Literal

from mammogan.config import Resolution
from mammogan.data.flags import Flag, raised
from mammogan.data.grey import Unusable
from mammogan.data.placement import Placement, Region

Fit = Literal["pad", "physical", "stretch", "crop"]
FIELD_MM = (286.72, 232.96)
"""The field of the study's larger detector, 4096 x 3328 pixels of 0.07 mm (24 x 29 cm): height, width."""
ENLARGED = 1.01
"""Times its size; less comes of rounding."""
PIXEL_MM = (0.02, 0.5)
"""Plausible sizes of a stored pixel: detectors have 0.05 to 0.1 mm, scans of film 0.04 to 0.2 mm."""


def fitted(
    fit: Fit,
    source_shape: tuple[int, int],
    resolution: Resolution,
    flips: tuple[bool, bool],
    spacing_mm: list[float] | None,
    breast: Region | None,
) -> Placement:
    """Where a frame (h,w) of pixels of ``spacing_mm`` (y, x), with the ``breast`` found in it, goes; flips are (h, v).

    physical raises Unusable ``no_spacing`` where nothing says how large a pixel is, and ``spacing_implausible`` where
    what does cannot be true of a mammogram. A field larger than FIELD_MM is
    made to fit rather than cut, see ``size_flags``. crop without a breast is pad.
    """
    if fit == "stretch":
        return Placement.laid(source_shape, resolution, (resolution.height, resolution.width), *flips)
    if fit == "physical":
        whole = Placement.fit(source_shape, resolution, *flips)
        content = _physical(source_shape, resolution, spacing_mm)
        return whole if _exceeds(content, resolution) else Placement.laid(source_shape, resolution, content, *flips)
    return Placement.fit(source_shape, resolution, *flips, breast if fit == "crop" else None)


def size_flags(fit: Fit, placement: Placement, resolution: Resolution, spacing_mm: list[float] | None) -> list[Flag]:
    """enlarged where a pixel of the original takes up more than one; larger_than_field where its field is larger than
    FIELD_MM, so that physical made it smaller than its detector's size says."""
    larger = fit == "physical" and _exceeds(_physical(placement.source_shape, resolution, spacing_mm), resolution)
    return raised({"larger_than_field": larger, "enlarged": max(placement.scale) > ENLARGED})


def _physical(shape: tuple[int, int], resolution: Resolution, spacing_mm: list[float] | None) -> tuple[int, int]:
    """Size of the frame where FIELD_MM fills the shard image."""
    if spacing_mm is None:
        raise Unusable("no_spacing", "--fit physical needs ImagerPixelSpacing or PixelSpacing")
    least, most = PIXEL_MM
    if not all(least <= mm <= most for mm in spacing_mm):
        raise Unusable("spacing_implausible", f"pixels of {spacing_mm} mm, expected {least} to {most} mm")
    pixel_mm = max(FIELD_MM[0] / resolution.height, FIELD_MM[1] / resolution.width)
    height, width = (round(side * mm / pixel_mm) for side, mm in zip(shape, spacing_mm, strict=True))
    return height, width


def _exceeds(content: tuple[int, int], resolution: Resolution) -> bool:
    return content[0] > resolution.height or content[1] > resolution.width
