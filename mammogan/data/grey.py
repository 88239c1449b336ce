"""Stored pixel values to brightness: modality LUT, VOI window, photometric sense; as one curve over all values.

A stored value is at most 16 bits, so whatever the header asks for is a table of 65536 brightnesses, worked out in
double precision once for an image. The order is the standard's (PS3.3 C.11.1, C.11.2, C.7.6.3.1.2): modality, then VOI,
then photometric interpretation. Inverting earlier, or by the image's maximum, would show another image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammogan.data.flags import Flag

TOP = 65535.0
PATTERNS = 1 << 16
HUGE = 1e12  # of a rescale; beyond it differences of stored values drown in rounding
SPARSE = 16  # rows of which one is looked at
COMMON = 1024  # values that are enough to tell that an image has more than 8 bits
STRIP = 64  # rows
Voi = Literal["header", "linear_bits", "none"]
Curve = NDArray[np.float64]


class Unusable(Exception):
    """A file that cannot become a mammogram. ``code`` may be published; ``detail`` may hold what the file says."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


class LutInvalid(Exception):
    """A look-up table of a header that is none."""


@dataclass(frozen=True)
class Grey:
    """``curve[stored value as 16 bits]`` is a brightness in [0, 65535]; ``voi`` says how it came about.

    ``top``: what a sample stores for the brightness 65535.
    """

    curve: Curve
    voi: dict[str, Any]
    top: float = TOP
    flags: list[Flag] = field(default_factory=list)

    @property
    def is_for_display(self) -> bool:
        """Whether it shows what the file's maker meant to be seen, rather than numbers that nothing is cut off from."""
        return self.voi.get("policy") == "header"


def grey_curve(header: Dataset, present: NDArray[np.bool_], policy: Voi, index: int = 0) -> Grey:
    """The curve that ``header`` asks for.

    ``present`` (65536) marks the stored values that occur, as 16-bit patterns. policy "header": the VOI LUT, else the
    window, that is ``index``-th in the header, counted from 0, else all stored bits linearly. policy "linear_bits": all
    stored bits linearly. policy "none": neither modality LUT nor rescale either, the stored numbers to be kept as they
    are, signed ones from the lowest on, so that 12 bits end at 4095. Where the header has fewer LUTs or windows than
    ``index``, its first one is taken, and a flag says so.
    """
    flags: list[Flag] = []
    stored, bits = _stored_values(header, present, flags)
    inside = _within(stored, bits, _is_signed(header))
    values = stored.astype(np.float64) if policy == "none" else _modality(header, stored, flags)
    low, high = float(values[inside].min()), float(values[inside].max())
    chosen = _voi(header, values, (low, high), bits, index, flags) if policy == "header" else None
    unit, voi = chosen or (_linear(values, low, high), {"kind": "bits"})
    asked = {"policy": policy, **({"asked_index": index} if index else {})}
    inverted = (
        header.get("PhotometricInterpretation") == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"
    )
    curve = np.clip(unit, 0, 1) * TOP
    top = min(high - low, TOP) if policy == "none" else TOP
    return Grey(TOP - curve if inverted else curve, {**asked, **voi}, top, flags)


def stored_patterns(stored: NDArray[Any]) -> NDArray[np.uint16]:
    """Stored pixels of 8 or 16 bits, signed or not, as indices of a curve."""
    if stored.dtype.itemsize > 2:
        raise Unusable("bits_unsupported", f"{stored.dtype}")
    return stored.astype(np.int16 if stored.dtype.kind == "i" else np.uint16, copy=False).view(np.uint16)


def stored_values(patterns: NDArray[np.uint16], thorough: bool) -> NDArray[np.bool_]:
    """Which of the 65536 patterns occur, with the darkest and brightest stored value in any case.

    Not ``thorough``: in every 16th row alone, if that is more than COMMON of them; the others then change nothing.
    """
    present = np.zeros(PATTERNS, bool)
    present[[patterns.min(), highest := patterns.max()]] = True
    if highest >= PATTERNS // 2:  # else they mean the same with a sign
        signed = patterns.view(np.int16)
        present[[int(end) & (PATTERNS - 1) for end in (signed.min(), signed.max())]] = True
    present[patterns[::SPARSE]] = True
    if thorough or np.count_nonzero(present) <= COMMON:
        present[patterns] = True
    return present


def brightness(curve: Curve, patterns: NDArray[np.uint16]) -> NDArray[np.float32]:
    """What ``curve`` shows for each stored value (h,w), in the memory order of rows, some at a time for the cache."""
    table, shown = curve.astype(np.float32), np.empty(patterns.shape, np.float32)
    for row in range(0, len(shown), STRIP):
        table.take(patterns[row : row + STRIP], out=shown[row : row + STRIP], mode="clip")
    return shown


def anchored(curve: Curve, background: int) -> Curve:
    """Map the brightness of the stored value ``background`` to 0 and keep the top, as if nothing had lifted it."""
    foot = curve[background]
    return np.clip((curve - foot) * (TOP / (TOP - foot)), 0, TOP) if foot < TOP else curve


def padding(header: Dataset) -> NDArray[np.intp]:
    """16-bit patterns that the header declares to be padding, outside the imaged field."""
    first = header.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.empty(0, np.intp)
    last = header.get("PixelPaddingRangeLimit")
    last = last if isinstance(last, int) else first
    return np.arange(min(first, last), max(first, last) + 1) & (PATTERNS - 1)


def _is_signed(header: Dataset) -> bool:
    return header.get("PixelRepresentation", 0) == 1


def _stored_values(header: Dataset, present: NDArray[np.bool_], flags: list[Flag]) -> tuple[NDArray[np.int64], int]:
    """The number that each 16-bit pattern means, and the bits in use: more than declared when values exceed them."""
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


def _modality(header: Dataset, stored: NDArray[np.int64], flags: list[Flag]) -> NDArray[np.float64]:
    """Modality LUT, else rescale, else the values themselves."""
    if header.get("ModalityLUTSequence"):
        try:
            return _lut(header, "ModalityLUTSequence").look_up(stored.astype(float))
        except LutInvalid as error:
            raise Unusable("damaged_header", str(error)) from error
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    if max(abs(slope or 0), abs(intercept or 0)) > HUGE:
        flags.append("rescale_invalid")
        return stored.astype(np.float64)
    return stored.astype(np.float64) * (slope or 1.0) + (intercept or 0.0)


def _voi(
    header: Dataset, values: NDArray[np.float64], span: tuple[float, float], bits: int, index: int, flags: list[Flag]
) -> tuple[NDArray[np.float64], dict[str, Any]] | None:
    """The header's VOI transform as brightness in about [0, 1] with its description; None when there is none."""
    if header.get("VOILUTSequence"):
        try:
            chosen = _chosen(index, _values(header, "VOILUTSequence"), flags)
            lut = _lut(header, "VOILUTSequence", chosen)
            if lut.table.max() < lut.top / 2:  # often 12 bits that are declared as 16
                flags.append("voi_lut_range")
            return lut.look_up(values) / lut.top, {"kind": "lut", "index": chosen}
        except LutInvalid:
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
        # Published work leaves such a window out; a sigmoid would only flatten what was already prepared for display.
        return _linear(values, *span), {"kind": "skipped_8bit", "center": center, "width": width}
    return WINDOWS[function](values, center, width), voi


def _covers(center: float, width: float, span: tuple[float, float]) -> bool:
    return center - width / 2 <= span[0] and center + width / 2 >= span[1]


def _linear(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return (values - low) / max(high - low, 1e-9)


def window_linear(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1: the window's ends are half a step inside its width; a width of 1 is a step."""
    if width == 1:
        return (values > center - 0.5).astype(float)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def window_linear_exact(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.3.2."""
    return (values - center) / width + 0.5


def window_sigmoid(values: NDArray[np.float64], center: float, width: float) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + np.exp(-4 * (values - center) / width))


WINDOWS = {"LINEAR": window_linear, "LINEAR_EXACT": window_linear_exact, "SIGMOID": window_sigmoid}


@dataclass(frozen=True)
class Lut:
    """A look-up table (PS3.3 C.11.1.1) for values from ``first`` on, and the largest output that it declares."""

    table: NDArray[np.float64]
    first: int
    top: float

    def look_up(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        index = np.clip(np.rint(values) - self.first, 0, len(self.table) - 1).astype(np.intp)
        found: NDArray[np.float64] = self.table[index]
        return found


def _lut(header: Dataset, keyword: str, chosen: int = 0) -> Lut:
    """One LUT of a sequence. LutInvalid if it is none."""
    try:
        item = header[keyword].value[chosen]
        entries, first, bits = (int(part) for part in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            words = ">u2" if header.original_encoding[1] is False else "<u2"
            data = np.frombuffer(data, words if len(data) >= 2 * (entries or PATTERNS) else np.uint8)
        table = np.asarray(data, float)[: entries or PATTERNS]
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise LutInvalid(repr(error)) from error
    if not table.size or not 1 <= bits <= 16:
        raise LutInvalid(f"{table.size} entries of {bits} bits")
    return Lut(table, first, float((1 << bits) - 1))


def _chosen(index: int, count: int, flags: list[Flag]) -> int:
    """``index`` where there are as many; else the first."""
    if 0 < count <= index:
        flags.append("voi_index_absent")
    return index if index < count else 0


def _values(header: Dataset, keyword: str) -> int:
    """How many values an attribute has, of whatever kind a damaged header makes it."""
    value = header.get(keyword)
    return len(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else int(value is not None)


def _number(header: Dataset, keyword: str, chosen: int = 0) -> float | None:
    """One value of a decimal attribute; None when it is absent, empty or no finite number."""
    try:
        value = header.get(keyword)
        number = float(value if isinstance(value, str | int | float) else value[chosen])
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None
