"""Recognise an image whose air is bright and whose breast is dark, as under the wrong PhotometricInterpretation.

Its largest bright region is the air, which would be taken for a breast on the other side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.data.dicom.orientation import filled_share, seen_right, touched, within_margins

NEAR_TOP, NEAR_BOTTOM = 1 / 20, 1 / 20
"""Shares of the range from the darkest to the brightest pixel within which a block counts as one of either."""
LEAST_AIR, LEAST_BREAST = 0.1, 0.05
"""Smallest shares of the image that are taken for air and for a breast."""
EVEN, NOISE = 0.8, 1 / 60
"""Share of the bright region that lies within NOISE of its median, as a share of the range: air is even."""
FAR_SIDE = 0.6
"""Share of the side away from the chest wall that is air."""
DARK_EVEN = 0.5
"""If more of the dark part than this is as dark as its darkest, it is air, and what is bright is a collimator, a label
or tissue that the detector could not resolve."""
ROUND = 0.93
"""A breast fills at most this share of the rectangle around it; what a collimator leaves free fills all of it."""


RIM = 2
"""Width, in blocks, of the part of a breast beside padding in which its thinnest tissue is."""
BRIGHTEST = 90
"""Percentile of the brightness deep in the breast that thin tissue exceeds where the image is inverted."""


def is_padding_bright_air(sample: NDArray[np.float32], padded: NDArray[np.bool_]) -> bool:
    """Return whether the ``padded`` blocks are the bright air of an inverted image, as ``is_air_bright`` has it.

    White padding around an honest image looks like that too. But beside it the tissue is thin and dark, while in an
    inverted image the thinnest tissue is the brightest.
    """
    if not is_air_bright(sample):
        return False
    inner = within_margins(sample.shape)
    breast = _largest(ndimage.binary_fill_holes(~padded[inner]))
    depth = ndimage.distance_transform_edt(np.pad(breast, 1, mode="edge"))[1:-1, 1:-1]
    rim, core = sample[inner][breast & (depth <= RIM)], sample[inner][depth > depth.max() / 2]
    return bool(rim.size and np.median(rim) >= np.percentile(core, BRIGHTEST))


def is_air_bright(sample: NDArray[np.float32]) -> bool:
    """Return whether the bright part of an image is air, and the dark part a breast.

    ``sample`` has one pixel for each block of the overview, linear in the stored values, so that no window has made
    tissue as even as air. All of this must hold: the brightest part is large, even, and reaches along one side; the
    rest touches the opposite side, has a round outline, and is not even itself.
    """
    small = ndimage.median_filter(sample, 3)  # without the detector's noise
    inner = small[within_margins(small.shape)]
    bottom, top = np.percentile(inner, (1, 99))
    span = top - bottom
    air = _largest(inner >= top - NEAR_TOP * span)
    if span <= 0 or air.mean() < LEAST_AIR or _share_near_median(inner[air], NOISE * span) < EVEN:
        return False
    dark = _largest(ndimage.binary_fill_holes(~air))
    if dark.mean() < LEAST_BREAST or np.mean(inner[dark] <= bottom + NEAR_BOTTOM * span) > DARK_EVEN:
        return False
    mask = np.zeros(small.shape, bool)
    mask[within_margins(small.shape)] = dark
    wall_right = seen_right(mask)
    if wall_right is None or filled_share(dark) > ROUND:
        return False
    mask[within_margins(small.shape)] = air
    left, right = touched(mask)
    return (left if wall_right else right) >= FAR_SIDE


def _largest(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    regions, count = ndimage.label(marked)
    if not count:
        return marked
    largest: NDArray[np.bool_] = regions == 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    return largest


def _share_near_median(values: NDArray[np.float32], distance: float) -> float:
    return float(np.mean(np.abs(values - np.median(values)) <= distance))
