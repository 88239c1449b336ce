"""Flags mark what may deserve a look in a mammogram that is used; its JSON has them, and the conversion counts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Flag = Literal[
    "background_not_cleaned",
    "background_unknown",
    "bits_exceeded",
    "bits_removed",
    "breast_not_found",
    "bright_background",
    "burned_in_annotation",
    "detached",
    "eight_bit_content",
    "enlarged",
    "grey_scale_doubtful",
    "header_warnings",
    "high_bit_corrected",
    "hole_in_breast",
    "larger_than_field",
    "laterality_disagrees",
    "modality_lut_invalid",
    "orientation_disagrees",
    "padding_in_breast",
    "pixels_not_square",
    "rescale_invalid",
    "syntax_corrected",
    "upside_down",
    "view_disagrees",
    "voi_index_absent",
    "voi_lut_invalid",
    "voi_lut_range",
    "window_invalid",
]
FLAGS: tuple[Flag, ...] = get_args(Flag)
ORIENTATION: tuple[Flag, ...] = ("orientation_disagrees", "upside_down", "detached", "breast_not_found")
"""Flags that put the side of the chest wall or the vertical orientation in doubt."""
MEANING: dict[Flag, str] = {
    "background_not_cleaned": "the breast is not clearly distinct from its surroundings, which were left unchanged",
    "background_unknown": "no even and darkest part lies beside the breast, so the background was not made black",
    "bits_exceeded": "stored numbers beyond the declared bits, which were kept",
    "bits_removed": "an overlay, fill or a few pixels beyond the declared bits, which were removed",
    "breast_not_found": "no breast is distinct from the background; its side is that of the header, or of the table",
    "bright_background": "the background was in the brighter half of the scale, as in an inverted image",
    "burned_in_annotation": "according to the header, text is burnt into the pixels; it may show a name",
    "detached": "the breast touches neither side, or both; its side is that of the header, or of the table",
    "eight_bit_content": "at most 256 different values in more than 8 bits",
    "enlarged": "the original has fewer pixels than it takes up here",
    "grey_scale_doubtful": (
        "the breast is white, black or dark in large part, has little contrast or few grey values, values jump, or "
        "rows do not belong together"
    ),
    "header_warnings": "the header breaks the standard somewhere, and was read anyway",
    "high_bit_corrected": "HighBit is not that of a mammogram; the pixels show which bits were used",
    "hole_in_breast": "rectangles or strips within the breast have one value: pixels were lost, or hidden on purpose",
    "larger_than_field": "a larger field than --fit physical has room for; made to fit",
    "laterality_disagrees": "the header names the other side than the table; the table was used",
    "modality_lut_invalid": "a modality LUT that cannot be applied, which was left out",
    "orientation_disagrees": "the chest wall is on the other side than the header says; the pixels were used",
    "padding_in_breast": "declared padding values occur within the breast, so they were taken for brightness",
    "pixels_not_square": "pixels are higher or wider than the other way, which only --fit physical corrects",
    "rescale_invalid": "a rescale that cannot be applied, which was left out",
    "syntax_corrected": "compressed differently than declared; read by its actual compression",
    "upside_down": "upside down by the header, and turned",
    "view_disagrees": "the header names another view than the table; the table was used",
    "voi_index_absent": "fewer windows or LUTs than --voi-index requests; the first was taken",
    "voi_lut_invalid": "a VOI LUT that cannot be applied or shows one brightness, which was left out",
    "voi_lut_range": "the VOI LUT leaves the upper half of its range unused, so the image is dark",
    "window_invalid": "a window that cannot be applied or lies beside the stored numbers, which was left out",
}


def raised(conditions: Mapping[Flag, bool]) -> list[Flag]:
    """Return the flags whose value is True."""
    return [flag for flag, holds in conditions.items() if holds]
