"""Convert one DICOM file to canonical brightness, and that to shard pixels.

Order: decode, modality LUT, VOI, photometric interpretation, background, orientation, scale, clip and round, pad.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammogan.data.dicom import greyscale
from mammogan.data.dicom.background import Breast, replace_background, with_dark_background, with_value
from mammogan.data.dicom.bright_air import is_padding_bright_air
from mammogan.data.dicom.decoding.decode import decode
from mammogan.data.dicom.fit import Fit, fitted
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.grey_check import check_grey_scale, covers_tissue
from mammogan.data.dicom.greyscale import Voi
from mammogan.data.dicom.header_facts import declared_orientation, doubts, facts_of
from mammogan.data.dicom.kind import read
from mammogan.data.dicom.lost_pixels import check_lost_pixels
from mammogan.data.dicom.orientation import OVERVIEW, Orientation, orient
from mammogan.data.dicom.placement import Placement, Region, apply_placement_to_mask, place_pixels
from mammogan.data.dicom.stored_bits import settle_bits
from mammogan.data.dicom.unusable import Unusable
from mammogan.workspace import Resolution

__all__ = ["Placement", "Reading", "Source", "Unusable", "Voi", "apply_placement_to_mask", "place", "read_mammogram"]


@dataclass(frozen=True)
class Reading:
    """The settings for computing brightness from a file."""

    voi: Voi = "header"
    """Policy of the grey curve, see greyscale.grey_curve."""
    voi_index: int = 0
    """Number of the LUT or window to use, counted from 0, when a header has several."""
    clean_background: bool = False
    """Replace everything away from the breast, such as burnt-in labels, by background."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Reading:
        """Return the settings with which a sample's original was read, from the facts of its JSON."""
        voi = facts["voi"]
        return cls(voi["policy"], voi.get("asked_index", 0), facts.get("clean_background", False))


@dataclass(frozen=True)
class Source:
    """A mammogram at its own size: ``pixels`` float32 (h,w) in [0,top], canonical, bright tissue on dark background.

    ``facts``: what a sample's JSON may contain about the file; no name, number, date, UID or path.
    ``fingerprint``: hash of the stored pixels, equal for two files of one image. It is private, because anyone who has
    the file can recognise it.
    ``breast``: the region that contains the breast, None when it was not found.
    """

    pixels: NDArray[np.float32]
    flip_h: bool
    flip_v: bool
    facts: dict[str, Any]
    fingerprint: bytes
    breast: Region | None = None
    top: float = greyscale.TOP
    """End of the grey scale: 65535, or the largest number that can be stored if the stored numbers are kept."""
    header_patient: str = ""
    """PatientID of the header; private."""


def read_mammogram(path: Path, laterality: str, view: str, reading: Reading = Reading()) -> Source:
    """Decode one file and bring it into the canonical orientation. Raises Unusable with a reason code.

    ``laterality`` (L or R) and ``view`` (CC or MLO) come from the table; a header that disagrees only raises a flag.
    """
    flags: list[Flag] = []
    try:
        with _header_warnings(flags):
            header = read(path)
            stored = settle_bits(decode(header, flags), header, flags)
            source = _canonical(header, stored, laterality, view, reading, flags)
    except MemoryError as error:  # not the file's fault: it may work when fewer files are converted at a time
        raise Unusable("out_of_memory", repr(error)) from error
    source.facts["flags"] = sorted(set(flags))
    return source


def place(source: Source, resolution: Resolution, fit: Fit = "pad") -> tuple[NDArray[np.uint16], Placement]:
    """Scale and pad a mammogram to a shard image, uint16 (H,W).

    Raises Unusable when only one brightness remains after rounding, and when ``fit`` needs a pixel size that is unknown
    or implausible.
    """
    height, width = source.pixels.shape
    flips, spacing = (source.flip_h, source.flip_v), source.facts["source_spacing_mm"]
    placement = fitted(fit, (height, width), resolution, flips, spacing, source.breast)
    pixels = place_pixels(source.pixels, placement, source.top)
    if np.ptp(pixels) == 0:
        raise Unusable("blank", "one brightness everywhere once rounded to 16 bits")
    return pixels, placement


@contextmanager
def _header_warnings(flags: list[Flag]) -> Iterator[None]:
    """Replace pydicom's warnings, which quote values of the header, by one flag."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.setLevel(level)
    if any("pydicom" in warning.filename for warning in caught):
        flags.append("header_warnings")


def _canonical(
    header: Dataset, stored: NDArray[Any], laterality: str, view: str, reading: Reading, flags: list[Flag]
) -> Source:
    patterns = greyscale.stored_patterns(stored)
    padding = greyscale.padding(header)
    present = greyscale.stored_values(patterns, thorough=padding.size > 0)
    tones = greyscale.grey_curve(header, present, padding, reading.voi, reading.voi_index)
    if padding.size > 1 and covers_tissue(padding, tones.plain, patterns, -(-max(patterns.shape) // OVERVIEW)):
        flags.append("padding_in_breast")
        padding = padding[:0]
        tones = greyscale.grey_curve(header, present, padding, reading.voi, reading.voi_index)
    if padding.size and _pads_inverted_image(patterns, padding, tones.plain):
        padding = padding[:0]  # its air is left as bright as other air of an inverted image
    occurring = present.copy()
    present[padding] = False
    shown = tones.curve[present]
    # If only some stored values were searched for, a LUT could still give the others another brightness.
    if not shown.size or (np.ptp(shown) == 0 and (padding.size or np.ptp(tones.curve[patterns]) == 0)):
        raise Unusable("blank", "one brightness everywhere except padding")
    # Padding can be bright and large, so it must be dark before the largest bright region is taken for the breast. But
    # not darker than everything else, or a lifted background would look bright beside it.
    curve, plain = (with_value(one, padding, one[present].min()) for one in (tones.curve, tones.plain))
    breast, orientation = _look(header, patterns, curve, plain, laterality, view)
    if breast.holds(padding, orientation) or breast.encloses(
        greyscale.shown_padding(header, padding, tones.curve), patterns, orientation
    ):
        flags.append("padding_in_breast")
        padding = padding[:0]
        tones = greyscale.grey_curve(header, occurring, padding, reading.voi, reading.voi_index)
        breast, orientation = _look(header, patterns, tones.curve, tones.plain, laterality, view)
    curve = with_dark_background(tones, padding, breast, orientation, flags)
    if tones.is_for_display:  # first, since compressed white looks like blocks of lost pixels
        doubtful = check_grey_scale(curve, breast.bright(tones.plain), patterns, padding, breast)
        flags += doubtful if "voi_lut_range" not in tones.flags else []
    flags += check_lost_pixels(
        patterns, breast.bright(tones.plain), greyscale.padding(header), breast.block, orientation
    )
    pixels = greyscale.brightness(curve, orientation.canonical(patterns))
    if reading.clean_background:
        pixels = replace_background(pixels, tones, curve, padding, breast, orientation, flags)
    if tones.top != greyscale.TOP:
        pixels *= tones.top / greyscale.TOP
    flags += tones.flags + orientation.flags + doubts(header, laterality, view)
    if shown.size <= 256 and int(header.BitsStored) > 8:
        flags.append("eight_bit_content")
    height, width = stored.shape
    return Source(
        pixels=pixels,
        flip_h=orientation.flip_h,
        flip_v=orientation.flip_v,
        facts={
            **facts_of(header, stored.shape, tones.voi, orientation.flip_h),
            "clean_background": reading.clean_background,
        },
        fingerprint=_fingerprint(stored),
        breast=breast.region((height, width), orientation),
        top=tones.top,
        header_patient=_patient(header),
    )


def _pads_inverted_image(patterns: NDArray[np.uint16], padding: NDArray[np.intp], plain: greyscale.Curve) -> bool:
    block = -(-max(patterns.shape) // OVERVIEW)
    sample = patterns[::block, ::block]
    return is_padding_bright_air(plain[sample].astype(np.float32), np.isin(sample, padding))


def _look(
    header: Dataset,
    patterns: NDArray[np.uint16],
    curve: greyscale.Curve,
    plain: greyscale.Curve,
    laterality: str,
    view: str,
) -> tuple[Breast, Orientation]:
    breast = Breast.find(patterns, curve, plain)
    return breast, orient(breast.mask, declared_orientation(header), laterality, view)


def _patient(header: Dataset) -> str:
    """Return PatientID without interpreting its characters, about which some headers lie; empty if it is missing."""
    element = header.get_item("PatientID")
    value = element.value if element is not None else None
    return value.decode("utf-8", "replace").strip("\0 ") if isinstance(value, bytes) else str(value or "").strip()


def _fingerprint(stored: NDArray[Any]) -> bytes:
    """Hash the stored pixels, their shape and dtype to 128 bits; both byte orders give the same hash.

    XXH3 is ten times as fast as sha256. It only has to distinguish images; it protects no secret.
    """
    pixels = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    digest = xxhash.xxh3_128(f"{pixels.shape}{pixels.dtype.str}".encode())
    digest.update(pixels.data)
    return digest.digest()
