"""Read one DICOM file like the conversion does, without a cohort or shards: for notebooks and first experiments."""

from __future__ import annotations

from pathlib import Path

import pydicom
import torch
from torch import Tensor

from mammogan.data.conversion.report import MEANING
from mammogan.data.dicom.read import place
from mammogan.data.dicom.read import read_mammogram as read_source
from mammogan.data.dicom.unusable import Unusable
from mammogan.errors import UserError
from mammogan.workspace import Resolution


def read_mammogram(
    path: str | Path, resolution: str | Resolution = "low", laterality: str = "", view: str = ""
) -> Tensor:
    """Read a DICOM file as a batch of one mammogram, ready for a classifier or a generator.

    The pixels are those that a shard would have: chest wall at the left, bright tissue on black, scaled and padded to
    ``resolution`` ("high", "low" or "HEIGHTxWIDTH"). ``laterality`` (L or R) and ``view`` (CC or MLO) are taken from
    the file where they are not given.

    Returns uint16 (1,1,H,W) in [0,65535]. Raises UserError where the file cannot be used, with the reason.
    """
    size = resolution if isinstance(resolution, Resolution) else Resolution.parse(resolution)
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        side = laterality or str(header.get("ImageLaterality") or header.get("Laterality") or "")
        projection = view or str(header.get("ViewPosition") or "")
        if side not in ("L", "R") or projection not in ("CC", "MLO"):
            raise UserError(
                f"expected laterality L or R and view CC or MLO, found {side or 'nothing'!r} and "
                f"{projection or 'nothing'!r} in the file; give them: read_mammogram(path, laterality='L', view='CC')"
            )
        pixels, _ = place(read_source(Path(path), side, projection), size)
    except Unusable as reason:
        raise UserError(f"the file cannot be used: {MEANING.get(reason.code, reason.code)}") from None
    return torch.from_numpy(pixels)[None, None]
