"""One DICOM file to canonical brightness, and on to shard pixels.

Order: decode, modality LUT, VOI, photometric sense, background, orientation, scale, clip and round, pad.
"""

from __future__ import annotations

import logging
import math
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

from mammogan.config import Resolution
from mammogan.data import grey
from mammogan.data.background import Breast, cleaned, with_dark_background, with_value
from mammogan.data.codestream import compressed, correct_syntax, refuse_incomplete
from mammogan.data.decoders import only_decoder
from mammogan.data.fit import Fit, fitted
from mammogan.data.flags import Flag, raised
from mammogan.data.grey import Grey, Unusable, Voi
from mammogan.data.header import MOST_PIXELS, SMALLEST_SIDE, read
from mammogan.data.jpeg_lossless import is_read_wrongly
from mammogan.data.orientation import Orientation, orient
from mammogan.data.placement import Placement, Region, apply_placement_to_mask, place_pixels

__all__ = ["Placement", "Reading", "Source", "Unusable", "Voi", "apply_placement_to_mask", "place", "read_mammogram"]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SYNTHETIC_DATA = 0x0008001C
PASSED_ON = (MemoryError, KeyboardInterrupt, SystemExit)
"""What is not a decoder's own failure. A panic of one that is written in Rust is no Exception either, yet one."""


@dataclass(frozen=True)
class Reading:
    """How brightness comes from a file."""

    voi: Voi = "header"
    """See grey.grey_curve."""
    voi_index: int = 0
    """Which of several LUTs or windows of a header."""
    clean_background: bool = False
    """Everything away from the breast, such as burnt-in labels, becomes background."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Reading:
        """How the original of a sample, by its JSON, was read."""
        voi = facts["voi"]
        return cls(voi["policy"], voi.get("asked_index", 0), facts.get("clean_background", False))


@dataclass(frozen=True)
class Source:
    """A mammogram at its own size. ``pixels`` float32 (h,w) in [0,top], canonical, bright tissue on dark.

    ``facts`` are what a sample's JSON may say of the file: no name, number, date, UID or path. ``fingerprint`` is of
    the stored pixels, equal for two files of one image, and private: who has the file can tell it again. ``breast`` is
    the region that the breast is in, None when it was not found.
    """

    pixels: NDArray[np.float32]
    flip_h: bool
    flip_v: bool
    facts: dict[str, Any]
    fingerprint: bytes
    breast: Region | None = None
    top: float = grey.TOP
    """Where the grey scale ends: the largest number that can be stored, where the stored numbers are kept."""


def read_mammogram(path: Path, laterality: str, view: str, reading: Reading = Reading()) -> Source:
    """Decode one file and bring it into the canonical orientation. Raises Unusable with a reason code."""
    flags: list[Flag] = []
    try:
        with _header_warnings(flags):
            header = read(path)
            stored = _decode(header, flags)
            source = _canonical(header, stored, laterality, view, reading, flags)
    except MemoryError as error:  # says nothing of the file: it may do when less is converted at a time
        raise Unusable("out_of_memory", repr(error)) from error
    source.facts["flags"] = sorted(set(flags))
    return source


def place(source: Source, resolution: Resolution, fit: Fit = "pad") -> tuple[NDArray[np.uint16], Placement]:
    """Scale and pad a mammogram to a shard image, uint16 (H,W). Unusable when rounding leaves one brightness, and where
    ``fit`` needs what is not known."""
    height, width = source.pixels.shape
    flips, spacing = (source.flip_h, source.flip_v), source.facts["source_spacing_mm"]
    placement = fitted(fit, (height, width), resolution, flips, spacing, source.breast)
    pixels = place_pixels(source.pixels, placement, source.top)
    if np.ptp(pixels) == 0:
        raise Unusable("blank", "one brightness everywhere once rounded to 16 bits")
    return pixels, placement


@contextmanager
def _header_warnings(flags: list[Flag]) -> Iterator[None]:
    """Turn pydicom's warnings, which quote the values of a header, into one flag."""
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


def _decode(header: Dataset, flags: list[Flag]) -> NDArray[Any]:
    """Stored pixels (h,w), all of them as they were compressed as far as that can be told."""
    stream = compressed(header)
    if correct_syntax(header, stream):
        flags.append("syntax_corrected")
    refuse_incomplete(stream)
    # pydicom would cut values to the declared bits, and so turn the brightest pixels of some scanners black.
    correct = header.get("PixelRepresentation") == 1 or _has_overlay_bits(header)
    try:
        stored = _decoded(header, correct)
    except PASSED_ON:
        raise
    except BaseException as error:  # decoders raise whatever the damaged stream leads them to
        raise Unusable("decode_failed", repr(error)) from error
    if stored.ndim != 2:
        raise Unusable("multiframe", f"shape {stored.shape}")
    if min(stored.shape) < SMALLEST_SIDE:
        raise Unusable("too_small", f"shape {stored.shape}")
    if stored.size > MOST_PIXELS:
        raise Unusable("too_large", f"shape {stored.shape}")
    if is_read_wrongly(stream, stored, int(header.BitsStored) if correct else 8 * stored.itemsize):
        raise Unusable("decode_failed", "the compressed pixels are longer or shorter than what they were decoded to")
    return stored


def _decoded(header: Dataset, correct: bool) -> NDArray[Any]:
    """By one decoder alone: what it refuses is damaged, and another may make noise of it."""
    decoder = only_decoder(header.file_meta.TransferSyntaxUID)
    header.pixel_array_options(decoding_plugin=decoder, correct_unused_bits=correct, view_only=not correct)
    return header.pixel_array


def _has_overlay_bits(header: Dataset) -> bool:
    """Overlays of old files sit in the pixels' unused bits."""
    return any(header.get((group, 0x0102)) and header[group, 0x0102].value for group in range(0x6000, 0x6020, 2))


def _canonical(
    header: Dataset, stored: NDArray[Any], laterality: str, view: str, reading: Reading, flags: list[Flag]
) -> Source:
    patterns = grey.stored_patterns(stored)
    padding = grey.padding(header)
    present = grey.stored_values(patterns, thorough=padding.size > 0)
    tones = grey.grey_curve(header, present, reading.voi, reading.voi_index)
    present[padding] = False
    shown = tones.curve[present]
    # Where only some values were looked for, a table that is no slope could show the others differently.
    if not shown.size or (np.ptp(shown) == 0 and (padding.size or np.ptp(tones.curve[patterns]) == 0)):
        raise Unusable("blank", "one brightness everywhere but for padding")
    # Padding can be bright and large: it must be dark before anything bright and large is taken for the breast. Not
    # darker than all else, or a background that is lifted would seem bright.
    breast, way = _look(header, patterns, with_value(tones.curve, padding, shown.min()), laterality, view)
    if breast.holds(padding, way):
        flags.append("padding_in_breast")
        padding = padding[:0]
        breast, way = _look(header, patterns, tones.curve, laterality, view)
    curve = with_dark_background(tones, padding, breast, way, flags)
    pixels = grey.brightness(curve, way.canonical(patterns))
    if reading.clean_background:
        pixels = cleaned(pixels, tones, curve, padding, breast, way, flags)
    if tones.top != grey.TOP:
        pixels *= tones.top / grey.TOP
    flags += tones.flags + way.flags + _doubts(header, laterality, view)
    if shown.size <= 256 and int(header.BitsStored) > 8:
        flags.append("eight_bit_content")
    height, width = stored.shape
    return Source(
        pixels=pixels,
        flip_h=way.flip_h,
        flip_v=way.flip_v,
        facts={**_facts(header, stored, tones, way), "clean_background": reading.clean_background},
        fingerprint=_fingerprint(stored),
        breast=breast.region((height, width), way),
        top=tones.top,
    )


def _look(
    header: Dataset, patterns: NDArray[np.uint16], curve: grey.Curve, laterality: str, view: str
) -> tuple[Breast, Orientation]:
    breast = Breast.find(patterns, curve)
    return breast, orient(breast.mask, _declared_orientation(header), laterality, view)


def _declared_orientation(header: Dataset) -> tuple[str, ...]:
    value = header.get("PatientOrientation") or ()
    return tuple(value.split("\\") if isinstance(value, str) else map(str, np.atleast_1d(value)))


def _doubts(header: Dataset, laterality: str, view: str) -> list[Flag]:
    """What is worth a look: a header that names another side or view than the table, which is believed, and one that
    says that text is burnt into the pixels, which may be a name.
    """
    side = header.get("ImageLaterality") or header.get("Laterality")
    position = header.get("ViewPosition")
    return raised(
        {
            "laterality_disagrees": side in ("L", "R") and side != laterality,
            "burned_in_annotation": header.get("BurnedInAnnotation") == "YES",
            "view_disagrees": position in ("CC", "MLO") and position != view,
        }
    )


def _facts(header: Dataset, stored: NDArray[Any], tones: Grey, way: Orientation) -> dict[str, Any]:
    return {
        "source_shape": list(stored.shape),
        "source_spacing_mm": _spacing(header),
        "photometric": "MONOCHROME1" if header.get("PhotometricInterpretation") == "MONOCHROME1" else "MONOCHROME2",
        "bits_stored": int(header.BitsStored),
        "voi": tones.voi,
        "flip_h": way.flip_h,
        "synthetic": SYNTHETIC_DATA in header and header[SYNTHETIC_DATA].value == "YES",
        "film": _is_film(header),
    }


def _is_film(header: Dataset) -> bool:
    """Digitised film comes as a secondary capture, or says so."""
    return header.get("SOPClassUID") == SECONDARY_CAPTURE or header.get("ConversionType") == "DF"


def _spacing(header: Dataset) -> list[float] | None:
    """Millimetres between pixels (y, x): at the detector if given, else as calibrated."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        try:
            spacing = [float(part) for part in header.get(keyword) or ()]
        except (TypeError, ValueError):
            continue
        if len(spacing) == 2 and all(math.isfinite(part) and part > 0 for part in spacing):
            return spacing
    return None


def _fingerprint(stored: NDArray[Any]) -> bytes:
    """128 bits of the decoded stored pixels and their shape, by XXH3, which is ten times as fast as sha256: it has to
    tell images apart, and no secret is kept by it. Files of either byte order give the same."""
    pixels = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    digest = xxhash.xxh3_128(f"{pixels.shape}{pixels.dtype.str}".encode())
    digest.update(pixels.data)
    return digest.digest()
