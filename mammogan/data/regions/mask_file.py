"""Read the mask of a lesion: an image, DICOM or PNG, of two values, of which the brighter one is the lesion."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.data.dicom.decoding.decode import decode
from mammogan.data.dicom.kind import read
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import MOST_PIXELS
from mammogan.data.regions.lesion_region import Refused
from mammogan.data.regions.runs import runs_of_mask, to_text
from mammogan.io.png_checksums import check_png

MOST_COVERED = 0.5
"""Largest share of a film that a lesion is believed to take."""


@dataclass(frozen=True)
class MaskFile:
    """What is in a file. A picture with more than two values is no mask, which is no fault: archives have both."""

    shape: tuple[int, int] = (0, 0)
    runs: str = ""
    is_picture: bool = False
    refused: str = ""
    detail: str = ""


def read_mask(path: Path) -> MaskFile:
    """Read one file, whatever is in it; it never raises, because it runs in many processes."""
    try:
        with quiet_pydicom():
            pixels = _png(path) if path.suffix.lower() == ".png" else decode(read(path), [])
        return _mask_in(pixels)
    except Unusable as error:
        if error.code == "too_small":  # a picture cut out around a small lesion
            return MaskFile(is_picture=True)
        return MaskFile(refused="unreadable", detail=f"{error.code} {error.detail}")
    except Refused as error:
        return MaskFile(refused=error.code, detail=error.detail)
    except Exception as error:  # a damaged file can raise anything
        return MaskFile(refused="unreadable", detail=repr(error))


def _png(path: Path) -> NDArray[Any]:
    from PIL import Image

    content = path.read_bytes()
    check_png(content)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        if image.width * image.height > MOST_PIXELS:
            raise Refused("too_large", f"{image.height} x {image.width} pixels")
        pixels = np.array(image)
    if pixels.ndim != 2:
        raise Refused("malformed", f"expected one grey value a pixel, found shape {pixels.shape}")
    return pixels


def _mask_in(pixels: NDArray[Any]) -> MaskFile:
    shape = pixels.shape[0], pixels.shape[1]
    lowest, highest = pixels.min(), pixels.max()
    lesion = pixels == highest
    if lowest == highest:
        return MaskFile(shape, refused="no_outline", detail="one value everywhere")
    if not (lesion | (pixels == lowest)).all():
        return MaskFile(shape, is_picture=True)
    if lesion.mean() > MOST_COVERED:
        return MaskFile(shape, refused="malformed", detail=f"{100 * lesion.mean():.0f}% of the film is in the mask")
    return MaskFile(shape, to_text(runs_of_mask(lesion)))
