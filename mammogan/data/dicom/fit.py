"""Decide which part of a mammogram goes into a shard image, and how large; of the four modes, pad is the study's.

| pad | the complete mammogram, as large as fits, aspect ratio kept; the rest of the shard image is black |
| physical | the complete mammogram, at one pixel size in mm for all detectors; the largest one fills the shard image |
| stretch | the complete mammogram fills the shard image; circles become ellipses where the aspect ratios differ |
| crop | only the part with the breast, as large as fits, aspect ratio kept; small breasts are enlarged |
"""

from __future__ import annotations

from typing import Literal

from mammogan.data.dicom.flags import Flag, raised
from mammogan.data.dicom.header_facts import are_square
from mammogan.data.dicom.placement import Placement, Region
from mammogan.data.dicom.unusable import Unusable
from mammogan.workspace import Resolution

Fit = Literal["pad", "physical", "stretch", "crop"]
FIELD_MM = (286.72, 232.96)
"""Height and width in mm of the study's larger detector: 4096 x 3328 pixels of 0.07 mm (24 x 29 cm)."""
ENLARGED = 1.01
"""An image counts as enlarged above this scale; a smaller excess comes from rounding."""
PIXEL_MM = (0.02, 0.5)
"""Smallest and largest plausible size of a stored pixel: detectors have 0.05 to 0.1 mm, film scans 0.04 to 0.2 mm."""


def fitted(
    fit: Fit,
    source_shape: tuple[int, int],
    resolution: Resolution,
    flips: tuple[bool, bool],
    spacing_mm: list[float] | None,
    breast: Region | None,
) -> Placement:
    """Compute where a stored frame goes in the shard image.

    ``source_shape`` is (h,w); ``spacing_mm`` (y, x) is the pixel size; ``flips`` are (h, v); ``breast`` is the region
    that was found in the canonical frame. physical raises Unusable: ``no_spacing`` when the pixel size is unknown,
    ``spacing_implausible`` when it cannot be that of a mammogram. A field larger than FIELD_MM is scaled down to fit,
    not cut, see ``size_flags``. crop without a breast is the same as pad.
    """
    if fit == "stretch":
        return Placement.laid(source_shape, resolution, (resolution.height, resolution.width), *flips)
    if fit == "physical":
        whole = Placement.fit(source_shape, resolution, *flips)
        content = _physical(source_shape, resolution, spacing_mm)
        return whole if _exceeds(content, resolution) else Placement.laid(source_shape, resolution, content, *flips)
    return Placement.fit(source_shape, resolution, *flips, breast if fit == "crop" else None)


def size_flags(fit: Fit, placement: Placement, resolution: Resolution, spacing_mm: list[float] | None) -> list[Flag]:
    """Return the flags about size: enlarged, larger_than_field and pixels_not_square.

    enlarged: a pixel of the original covers more than one of the shard image. larger_than_field: the field is larger
    than FIELD_MM, so that physical made the image smaller than its true size. pixels_not_square: the image is squeezed,
    as with every other fit than physical.
    """
    larger = fit == "physical" and _exceeds(_physical(placement.source_shape, resolution, spacing_mm), resolution)
    squeezed = fit != "physical" and spacing_mm is not None and not are_square(spacing_mm)
    return raised(
        {
            "larger_than_field": larger,
            "enlarged": max(placement.scale) > ENLARGED,
            "pixels_not_square": squeezed,
        }
    )


def _physical(shape: tuple[int, int], resolution: Resolution, spacing_mm: list[float] | None) -> tuple[int, int]:
    """Return the frame's size (h,w) in shard pixels when FIELD_MM fills the shard image."""
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
