"""Hold the pixels of a region as runs: first pixel and length of each stretch, pixels counted row by row from 0."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = tuple[tuple[int, int], ...]
Mask = NDArray[np.bool_]


def runs_of_mask(mask: Mask) -> Runs:
    """Return the runs of a mask (h,w)."""
    outside = np.zeros(1, np.int8)
    ends = np.flatnonzero(np.diff(mask.ravel().view(np.int8), prepend=outside, append=outside))
    return _pairs(ends[0::2], ends[1::2] - ends[0::2])


def runs_of_box(xmin: float, ymin: float, xmax: float, ymax: float, shape: tuple[int, int]) -> Runs:
    """Return the runs of a box in a frame of ``shape`` (h,w); at least one pixel."""
    top, bottom = (min(max(round(end), 0), shape[0] - 1) for end in (ymin, ymax))
    left, right = (min(max(round(end), 0), shape[1] - 1) for end in (xmin, xmax))
    starts = np.arange(top, bottom + 1) * shape[1] + left
    return _pairs(starts, np.full(len(starts), right - left + 1))


def runs_of_outline(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> Runs:
    """Return the runs of what an outline (x, y) encloses, itself included; of one point, the pixel that it is in."""
    from PIL import Image, ImageDraw

    height, width = shape
    pixels = [(min(max(round(x), 0), width - 1), min(max(round(y), 0), height - 1)) for x, y in points]
    (left, right), (top, bottom) = ((min(values), max(values)) for values in zip(*pixels, strict=True))
    # Drawn in its own rectangle, because films are large; one more column ends each run within its row.
    drawn = Image.new("L", (right - left + 2, bottom - top + 1))
    at = [(x - left, y - top) for x, y in pixels]
    if len(at) > 2:
        ImageDraw.Draw(drawn).polygon(at, fill=1, outline=1)
    else:
        ImageDraw.Draw(drawn).line([*at, at[0]], fill=1)
    mask = np.asarray(drawn) > 0
    mask[:, -1] = False
    runs, wide = runs_of_mask(mask), mask.shape[1]
    return tuple(((top + start // wide) * width + left + start % wide, length) for start, length in runs)


def mask_of(runs: Iterable[tuple[int, int]], shape: tuple[int, int]) -> Mask:
    """Return the mask (h,w) of runs that may overlap."""
    flat = np.zeros(shape[0] * shape[1], bool)
    for start, length in runs:
        flat[start : start + length] = True
    return flat.reshape(shape)


def middle_of(runs: Runs, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the mean row and column of the pixels."""
    starts, lengths = np.array(runs, float).T
    columns = starts % shape[1] + (lengths - 1) / 2
    return float(np.average(starts // shape[1], weights=lengths)), float(np.average(columns, weights=lengths))


def to_text(runs: Runs) -> str:
    """Write runs as numbers with spaces between: start, length, start, length and so on."""
    return " ".join(map(str, itertools.chain.from_iterable(runs)))


def from_text(text: str, shape: tuple[int, int]) -> Runs:
    """Read what ``to_text`` wrote. Raise ValueError unless all runs lie in a frame of ``shape``."""
    numbers = [int(word) for word in text.split()]
    runs = tuple(zip(numbers[0::2], numbers[1::2], strict=True))
    if not runs or any(start < 0 or length < 1 or start + length > shape[0] * shape[1] for start, length in runs):
        raise ValueError("runs that do not lie in the frame")
    return runs


def _pairs(starts: NDArray[Any], lengths: NDArray[Any]) -> Runs:
    return tuple(zip(starts.tolist(), lengths.tolist(), strict=True))
