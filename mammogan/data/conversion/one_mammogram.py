"""Read one DICOM file like the conversion does, without a cohort or shards: for notebooks and first experiments."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mammogan.data.cohort.quoting import quoted
from mammogan.data.dicom.header_facts import laterality_of
from mammogan.data.dicom.kind import read
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.read import place
from mammogan.data.dicom.read import read_mammogram as read_source
from mammogan.data.dicom.reasons import REASONS, explained
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

    Returns uint16 (1,1,H,W) in [0,65535]. Raises UserError, with the reason, where the file cannot be used. Neither an
    error nor a warning quotes the header, which may name a person.
    """
    size = resolution if isinstance(resolution, Resolution) else Resolution.parse(resolution)
    try:
        side, projection = _side_and_view(Path(path), laterality, view)
        pixels, _ = place(read_source(Path(path), side, projection), size)
    except UserError:
        raise
    except Unusable as reason:
        raise UserError(f"expected a mammogram in {path}, found: {_meaning(reason)}") from None
    except Exception as error:  # a header can be wrong in unforeseen ways; the original error may quote it
        kind = type(error).__name__
        raise UserError(f"expected a mammogram in {path}, found: {REASONS['unexpected']} ({kind}); damaged?") from None
    return torch.from_numpy(pixels)[None, None]


def _side_and_view(path: Path, laterality: str, view: str) -> tuple[str, str]:
    """Return the laterality and the view: those that are given, else those of the file."""
    with quiet_pydicom():
        header = read(path)
        side = laterality or laterality_of(header)
        projection = view or str(header.get("ViewPosition") or "")
    if side in ("L", "R") and projection in ("CC", "MLO"):
        return side, projection
    raise UserError(
        f"{path}: expected laterality L or R and view CC or MLO, found {_found(side)} and {_found(projection)}; give "
        "them: read_mammogram(path, laterality='L', view='CC')"
    )


def _found(value: str) -> str:
    return quoted(value) if value else "nothing"


def _meaning(reason: Unusable) -> str:
    if isinstance(reason.__cause__, FileNotFoundError):
        return "no file; check the path"
    return explained(reason.code)
