"""Recognise the white frame of a collimator that no header declares, so that it is not taken for the breast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEARLY_ALL = 0.9
"""Share of a row or column of the frame that must have its value; the rest may be a label."""
LARGEST = 0.9
"""A frame that covers more of the image leaves no field: the image itself is white."""


def white_frame(sample: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the rows and columns at the borders of an image in which nearly everything is its one brightest value.

    ``sample`` has one pixel for each block of the overview, not a mean, and is linear in the stored values. What the
    frame leaves free is a rectangle; a breast, also a white one, never reaches along a whole side with straight edges.
    """
    white = sample == sample.max(initial=0)
    rows = _field(white.mean(axis=1))
    cols = _field(white[rows].mean(axis=0))
    frame = np.ones(sample.shape, bool)
    # The block at the inner edge is in part white.
    frame[_smaller(rows, len(white)), _smaller(cols, white.shape[1])] = False
    return frame if frame.mean() <= LARGEST else np.zeros(sample.shape, bool)


def _field(white: NDArray[np.float64]) -> slice:
    """Return the lines that the frame leaves free, by the share of each line that is ``white``."""
    inside = np.flatnonzero(white < NEARLY_ALL)
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)


def _smaller(field: slice, side: int) -> slice:
    """Return the field without one line at each end that does not lie at the border of the image."""
    return slice(field.start + (field.start > 0), field.stop - (field.stop < side))
