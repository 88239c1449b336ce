"""From a shard image back to the stored frame: the inverse of ``Placement.from_source``, written on its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mammogan.data.dicom.placement import Placement


def to_source(
    placement: Placement, rows: ArrayLike, cols: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert shard coordinates to stored-frame coordinates, float64, in fractions of a pixel."""
    (scale_y, scale_x), (height, width), (top, left) = placement.scale, placement.source_shape, placement.corner
    row = (np.asarray(rows, float) - placement.offset[0] + 0.5) / scale_y - 0.5 + top
    col = (np.asarray(cols, float) - placement.offset[1] + 0.5) / scale_x - 0.5 + left
    return (height - 1 - row if placement.flip_v else row), (width - 1 - col if placement.flip_h else col)
