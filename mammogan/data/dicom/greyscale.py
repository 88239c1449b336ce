"""Convert stored pixel values to brightness: modality LUT, VOI window and photometric interpretation in one curve.

Stored values have at most 16 bits, so everything that the header requests fits in one table of 65536 brightnesses,
computed once per image in double precision. The order is the standard's (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2): modality,
then VOI, then photometric interpretation. Inverting earlier, or by the image's maximum, would show another image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.lut import LutInvalid, read_lut
from mammogan.data.dicom.unusable import Unusable

TOP = 65535.0
PATTERNS = 1 << 16
HUGE = 1e12
"""Largest valid slope or intercept of a rescale; beyond it, rounding hides the differences of stored values. Slopes
below its inverse are not valid either."""
STEP = 1 / 256
"""A transform that leaves less of the scale than this to the complete image shows nothing."""
SPARSE = 16
"""A quick search for stored values reads every 16th row."""
COMMON = 1024
"""More different values than this show that an image has more than 8 bits; the quick search is then enough."""
STRIP = 64
"""Rows that are converted together, so that they stay in the processor's cache."""
Voi = Literal["header", "linear_bits", "none"]
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class GreyCurve:
    """The grey curve of an image: ``curve[stored value as 16-bit pattern]`` is a brightness in [0, 65535].

    ``voi`` describes how the curve was made. ``plain``: the curve without VOI transform, all bits linearly.
    ``top``: the number that a sample stores for the brightness 65535.
    """

    curve: Curve
    plain: Curve
    voi: dict[str, Any]
    top: float = TOP
    flags: list[Flag] = field(default_factory=list)

    @property
    def is_for_display(self) -> bool:
        """Whether the curve shows the image as its maker intended, instead of the full range of stored numbers."""
        return self.voi.get("policy") == "header"


def grey_curve(
    header: Dataset, present: NDArray[np.bool_], padding: NDArray[np.intp], policy: Voi, index: int = 0
) -> GreyCurve:
    """Compute the curve that ``header`` and ``policy`` request.

    ``present`` (65536) marks the stored values that occur, as 16-bit patterns; of them, ``padding`` is no
    brightness and needs no bits. The policies are:
    "header": the VOI LUT number ``index`` of the header, counted from 0; without LUTs the window with that number;
    without windows, all stored bits linearly. If the header has too few LUTs or windows, the first one is used, and a
    flag reports it.
    "linear_bits": all stored bits linearly.
    "none": no modality LUT and no rescale either; the stored numbers are kept, signed ones shifted so that the lowest
    is 0, so that 12 bits end at 4095.
    """
    flags: list[Flag] = []
    shown = present.copy()
    shown[padding] = False
    stored, bits = _stored_values(header, shown if shown.any() else present, flags)
    inside = _within(stored, bits, _is_signed(header))
    values = stored.astype(np.float64) if policy == "none" else _modality(header, stored, shown, flags)
    low, high = float(values[inside].min()), float(values[inside].max())
    plain = np.clip(_linear(values, low, high), 0, 1)
    contrast = _contrast(plain, shown)
    chosen = _voi(header, values, (low, high), bits, index, shown, contrast, flags) if policy == "header" else None
    unit, voi = chosen or (plain, {"kind": "bits"})
    choice = {"policy": policy, **({"asked_index": index} if index else {})}
    inverted = (
        header.get("PhotometricInterpretation") == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"
    )
    curve, plain = (TOP - scale if inverted else scale for scale in (np.clip(unit, 0, 1) * TOP, plain * TOP))
    top = min(high - low, TOP) if policy == "none" else TOP
    return GreyCurve(curve, plain, {**choice, **voi}, top, flags)


def stored_patterns(stored: NDArray[Any]) -> NDArray[np.uint16]:
    """Convert stored pixels of 8 or 16 bits, signed or unsigned, to 16-bit patterns, which index a curve."""
    if stored.dtype.itemsize > 2:
        raise Unusable("bits_unsupported", f"{stored.dtype}")
    return stored.astype(np.int16 if stored.dtype.kind == "i" else np.uint16, copy=False).view(np.uint16)


def stored_values(patterns: NDArray[np.uint16], thorough: bool) -> NDArray[np.bool_]:
    """Mark which of the 65536 patterns occur. The darkest and the brightest stored value are always among them.

    Unless ``thorough``, only every 16th row is read when that already gives more than COMMON patterns; the others then
    change nothing.
    """
    present = np.zeros(PATTERNS, bool)
    present[[patterns.min(), highest := patterns.max()]] = True
    if highest >= PATTERNS // 2:  # lower patterns mean the same number signed and unsigned
        signed = patterns.view(np.int16)
        present[[int(end) & (PATTERNS - 1) for end in (signed.min(), signed.max())]] = True
    present[patterns[::SPARSE]] = True
    if thorough or np.count_nonzero(present) <= COMMON:
        present[patterns] = True
    return present


def brightness(curve: Curve, patterns: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the brightness that ``curve`` gives each stored value (h,w), row by row in memory.

    STRIP rows are converted at a time, for the cache.
    """
    table, shown = curve.astype(np.float32), np.empty(patterns.shape, np.float32)
    for row in range(0, len(shown), STRIP):
        table.take(patterns[row : row + STRIP], out=shown[row : row + STRIP], mode="clip")
    return shown


def anchored(curve: Curve, background: int) -> Curve:
    """Stretch ``curve`` so that the stored value ``background`` gets brightness 0 and the maximum stays."""
    foot = curve[background]
    return np.clip((curve - foot) * (TOP / (TOP - foot)), 0, TOP) if foot < TOP else curve


def padding(header: Dataset) -> NDArray[np.intp]:
    """Return the 16-bit patterns that the header declares as padding outside the imaged field."""
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.empty(0, np.intp)
    last = header.get("PixelPaddingRangeLimit")
    last = last if isinstance(last, int) else first
    return np.arange(min(first, last), max(first, last) + 1) & (PATTERNS - 1)


def shown_padding(header: Dataset, padding: NDArray[np.intp], curve: Curve) -> NDArray[np.intp]:
    """Return the patterns of ``padding`` that would not be dark if they were brightness, and could be: those within the
    declared bits."""
    numbers = np.where(padding >= PATTERNS // 2, padding - PATTERNS, padding) if _is_signed(header) else padding
    return padding[_within(numbers, int(header.BitsStored), _is_signed(header)) & (curve[padding] > TOP / 8)]


def _is_signed(header: Dataset) -> bool:
    return header.get("PixelRepresentation", 0) == 1


def _stored_values(header: Dataset, present: NDArray[np.bool_], flags: list[Flag]) -> tuple[NDArray[np.int64], int]:
    """Return the number that each 16-bit pattern means, and the bits in use: more than declared if values need more."""
    patterns = np.arange(PATTERNS)
    stored = np.where(patterns >= PATTERNS // 2, patterns - PATTERNS, patterns) if _is_signed(header) else patterns
    bits = int(header.BitsStored)
    while bits < 16 and not _within(stored[present], bits, _is_signed(header)).all():
        bits += 1
    if bits > int(header.BitsStored):
        flags.append("bits_exceeded")
    return stored, bits


def _within(stored: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.bool_]:
    low = -(1 << (bits - 1)) if signed else 0
    return (stored >= low) & (stored < low + (1 << bits))


def _contrast(unit: NDArray[np.float64], shown: NDArray[np.bool_]) -> float:
    """Return the share of the scale that the stored values marked in ``shown`` take up."""
    return float(np.ptp(np.clip(unit[shown], 0, 1))) if shown.any() else 0.0


def _modality(
    header: Dataset, stored: NDArray[np.int64], shown: NDArray[np.bool_], flags: list[Flag]
) -> NDArray[np.float64]:
    """Apply the modality LUT; without a valid one, the rescale; without either, return the stored values."""
    plain = stored.astype(np.float64)
    if header.get("ModalityLUTSequence"):
        try:
            values = read_lut(header, "ModalityLUTSequence").look_up(plain)
            if not shown.any() or np.ptp(values[shown]) or not np.ptp(plain[shown]):
                return values
        except LutInvalid:
            pass
        flags.append("modality_lut_invalid")
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if max(abs(slope or 0), abs(intercept or 0)) > HUGE or (slope is not None and abs(slope) < 1 / HUGE):
        flags.append("rescale_invalid")
        return plain
    return plain * (slope or 1.0) + (intercept or 0.0)


def _voi(
    header: Dataset,
    values: NDArray[np.float64],
    span: tuple[float, float],
    bits: int,
    index: int,
    shown: NDArray[np.bool_],
    contrast: float,
    flags: list[Flag],
) -> tuple[NDArray[np.float64], dict[str, Any]] | None:
    """Apply the header's VOI transform; None when it has none that is valid.

    A transform that shows less than a STEP of the scale, and less than the ``contrast`` of the stored values, lies
    beside the data, and is not valid. Returns the brightness, about [0, 1] before clipping, and a description.
    """

    def shows(unit: NDArray[np.float64]) -> bool:
        left = _contrast(unit, shown)
        return left >= STEP or left >= contrast

    if header.get("VOILUTSequence"):
        chosen = _chosen(index, _values(header, "VOILUTSequence"), flags)
        try:
            lut = read_lut(header, "VOILUTSequence", chosen)
            unit = lut.look_up(values) / lut.top
            if shows(unit):
                if lut.table.max() < lut.top / 2:  # often a 12-bit table that is declared as 16-bit
                    flags.append("voi_lut_range")
                return unit, {"kind": "lut", "index": chosen}
        except LutInvalid:
            pass
        flags.append("voi_lut_invalid")
    chosen = _chosen(index, min(_values(header, "WindowCenter"), _values(header, "WindowWidth")), flags)
    center, width = _number(header, "WindowCenter", chosen), _number(header, "WindowWidth", chosen)
    if center is None or width is None:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").strip() or "LINEAR"
    voi = {"kind": "window", "function": function, "center": center, "width": width, "index": chosen}
    if function not in WINDOWS or width < (1 if function == "LINEAR" else 1e-9):
        flags.append("window_invalid")
        return None
    if bits == 8 and _covers(center, width, span):
        # As in published work: a sigmoid would only flatten an image that was already prepared for display.
        return _linear(values, *span), {"kind": "skipped_8bit", "center": center, "width": width}
    unit = WINDOWS[function](values, center, width)
    if not shows(unit):
        flags.append("window_invalid")
        return None
    return unit, voi


def _covers(center: float, width: float, span: tuple[float, float]) -> bool:
    return center - width / 2 <= span[0] and center + width / 2 >= span[1]


def _linear(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return (values - low) / max(high - low, 1e-9)


def window_linear(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """Apply a LINEAR window (PS3.3 C.11.2.1.2.1): its ends lie half a step inside the width; width 1 is a step."""
    if width == 1:
        return (values > center - 0.5).astype(float)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def window_linear_exact(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """Apply a LINEAR_EXACT window (PS3.3 C.11.2.1.3.2)."""
    return (values - center) / width + 0.5


def window_sigmoid(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """Apply a SIGMOID window (PS3.3 C.11.2.1.3.1)."""
    return 1 / (1 + np.exp(-4 * (values - center) / width))


WINDOWS = {"LINEAR": window_linear, "LINEAR_EXACT": window_linear_exact, "SIGMOID": window_sigmoid}


def _chosen(index: int, count: int, flags: list[Flag]) -> int:
    """Return ``index`` if there are that many, else 0, the first, with a flag."""
    if 0 < count <= index:
        flags.append("voi_index_absent")
    return index if index < count else 0


def _values(header: Dataset, keyword: str) -> int:
    """Count the values of an attribute, whatever type a damaged header gives it."""
    value = header.get(keyword)
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else int(value is not None)


def _number(header: Dataset, keyword: str, chosen: int = 0) -> float | None:
    """Read one value of a decimal attribute; None when it is absent, empty or not a finite number."""
    try:
        value = header.get(keyword)
        number = float(value if isinstance(value, str | int | float) else value[chosen])
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None
