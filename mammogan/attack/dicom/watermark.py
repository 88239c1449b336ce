"""Burn a mark into the pixels outside the breast: it survives every viewer and every de-identification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mammogan.data.dicom.orientation import breast_mask, enclosed, overview

Pixels = NDArray[np.uint16]

WORDS = "SYNTHETIC - NOT FOR CLINICAL USE"
LAYOUTS = (WORDS, "SYNTHETIC\nNOT FOR CLINICAL USE", "SYNTHETIC\nNOT FOR\nCLINICAL USE", "SYNTHETIC")
"""The words in several layouts, from wide to narrow. The last is used only if no other leaves the breast free."""
LARGEST, SMALLEST = 1 / 50, 1 / 110
"""Largest and smallest size of the letters, as a share of the image's height."""
LEGIBLE = 8
"""Smallest letter size, in pixels, that can be read."""
SURROUND = 4
"""Number of overview blocks by which the breast mask is widened, to keep the mark away from the skin."""
WHITE = 65535


@dataclass(frozen=True)
class Mark:
    """Position of the mark: rows and columns of a black box with white letters in it, bool (rows, columns)."""

    top: int
    left: int
    letters: NDArray[np.bool_]
    over_breast: bool
    """True if no corner was free; covering part of the breast is better than no mark."""

    @property
    def box(self) -> tuple[slice, slice]:
        height, width = self.letters.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def blocks(self, block: int) -> tuple[slice, slice]:
        """Return the box in the coordinates of an overview whose blocks have ``block`` pixels a side."""
        rows, columns = (slice(part.start // block, -(-part.stop // block)) for part in self.box)
        return rows, columns

    def burn(self, pixels: Pixels) -> Pixels:
        """Return a copy of ``pixels`` (h,w) with the mark."""
        marked = pixels.copy()
        marked[self.box] = np.where(self.letters, WHITE, 0)
        return marked

    def to_json(self) -> dict[str, object]:
        height, width = self.letters.shape
        return {"rows": [self.top, self.top + height], "columns": [self.left, self.left + width]} | (
            {"over_breast": True} if self.over_breast else {}
        )


def find_mark(shown: Pixels, chest_wall_right: bool) -> Mark:
    """Choose the mark for a real mammogram (h,w) as stored: the largest letters that leave its breast free, in the
    corner farthest from the breast."""
    small, block = overview(shown.astype(np.float32))
    breast = ndimage.binary_dilation(enclosed(breast_mask(small), chest_wall_right), iterations=SURROUND)
    away = ndimage.distance_transform_edt(~breast) if breast.any() else np.full(breast.shape, np.inf)
    corners: list[Mark] = []
    for letters in _sizes(shown.shape):
        corners = [Mark(top, left, letters, False) for top, left in _corners(shown.shape, letters.shape)]
        clear = [away[mark.blocks(block)].min(initial=np.inf) for mark in corners]
        if max(clear) > 0:
            return corners[int(np.argmax(clear))]
    if not corners:
        raise ValueError(f"a picture of {shown.shape} is too small for a mark")
    covered = [breast[mark.blocks(block)].mean() for mark in corners]
    return replace(corners[int(np.argmin(covered))], over_breast=True)


def _sizes(shape: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """Yield the words in all layouts and sizes that fit into the image, the largest first."""
    largest, smallest = (max(LEGIBLE, round(shape[0] * part)) for part in (LARGEST, SMALLEST))
    sizes = sorted({max(smallest, round(largest * 0.9**step)) for step in range(9)}, reverse=True)
    for words in (LAYOUTS[:-1], LAYOUTS[-1:]):
        for size in sizes:
            for text in words:
                letters = _drawn(text, size)
                if letters.shape[0] <= shape[0] and letters.shape[1] <= shape[1]:
                    yield letters


def _drawn(text: str, size: int) -> NDArray[np.bool_]:
    font = ImageFont.load_default(size)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font)
    edge = max(2, size // 3)
    canvas = Image.new("L", (int(right - left) + 2 * edge, int(bottom - top) + 2 * edge))
    ImageDraw.Draw(canvas).multiline_text((edge - left, edge - top), text, fill=255, font=font)
    drawn: NDArray[np.bool_] = np.array(canvas) > 127
    return drawn


def _corners(shape: tuple[int, ...], box: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return row and column of a box in each corner, the lower corners first."""
    down, right = shape[0] - box[0], shape[1] - box[1]
    return [(down, right), (down, 0), (0, right), (0, 0)]
