"""Decide what the bits of a stored pixel beyond the declared ones are: brightness, an overlay, or fill.

Headers are wrong about this in every direction. Scanners declare fewer bits than they use; anonymisers remove the
declaration of an overlay and leave the overlay in the pixels; other programs fill unused bits with ones. So the pixels
decide. Brightness changes little from pixel to pixel, an overlay jumps by at least the declared range, and fill is the
same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.greyscale import SPARSE, padding, stored_patterns
from mammogan.data.dicom.kind import PLAIN
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import number

LOOKED_AT = 2_000_000
"""About as many pairs of neighbouring pixels are compared."""
FEWEST = 16
"""Fewer pixels with bits beyond the declared ones, such as defects of a detector, decide nothing. They are kept if one
bit more holds them, else white, since for their sake all other pixels would become dark."""
FEW = 0.2
"""Largest share of an image that text, lines and outlines of an overlay cover."""
CLEARLY = 4
"""One reading of the bits must be this many times smoother than the other to be taken."""
BETTER = 2
"""A bit that the header calls an overlay is believed to be one if the image without it is this many times smoother."""
SHARP = 1 / 16
"""Neighbours of tissue differ by less than this share of the declared range."""
AROUND = 1 / 8
"""What an overlay covers is as bright as what it does not, within this share of the declared range."""
RARELY, CLOSE = 1 / 200, 1 / 100
"""A filled outline of a breast has fewer pairs than RARELY that agree better with the bits, and the declared bits
outside end where those inside begin, within CLOSE of the declared range. The skin may be steeper there than SHARP."""
MANY_VALUES, MANY_PAIRS = 8, 1 / 200
"""More values than this on both sides, and more than this share of all neighbours, show a wrong sign; the border of a
label or of a film does not reach both."""
UNCOMPRESSED_WORDS = (*PLAIN, RLELossless)
"""Transfer syntaxes that store complete words, so that HighBit says where in them the pixel is."""
Stored = NDArray[Any]


@dataclass(frozen=True)
class Jumps:
    """Pairs of neighbours that differ in the bits beyond the declared ones, and the pixels that have such bits.

    ``kept``, ``cut``: median difference of a pair with all bits, and with the declared ones alone. ``above``: median of
    how much brighter the pixel that has more of the other bits is by its declared bits. ``share``: share of the image
    with bits beyond. ``gap``: those bits do not continue the declared ones, as those of brighter pixels do.
    ``filled``: they have one value, and stand where a threshold divides the image without them: a filled outline.
    """

    kept: float
    cut: float
    above: float
    share: float
    gap: bool
    filled: bool

    def are_overlay(self, declared_range: int) -> bool:
        """Return whether the bits are drawn over an image that is complete without them."""
        if self.cut * CLEARLY > self.kept:
            return False
        alike = abs(self.above) <= AROUND * declared_range
        return self.filled or (alike and (self.share <= FEW or self.gap or self.cut <= SHARP * declared_range))

    def are_brightness(self) -> bool:
        """Return whether neighbours agree better with the bits than without, or the bits are much of the image."""
        return self.kept <= self.cut or (self.share > FEW and not self.gap)

    def are_as_declared(self) -> bool:
        """Return whether bits that the header calls an overlay can be one: neighbours agree better without them."""
        return self.kept > BETTER * self.cut

    def are_surely_brightness(self) -> bool:
        """Return whether only the reading with all bits is smooth."""
        return self.kept * CLEARLY <= self.cut


def settle_bits(stored: Stored, header: Dataset, flags: list[Flag]) -> Stored:
    """Return stored pixels (h,w) without the bits that are no brightness; signed ones with their sign.

    Declared padding stays as it is. Raises Unusable with ``bits_contradict`` when the pixels fit no reading of the
    header.
    """
    bits, padded = number(header, "BitsStored"), padding(header)
    stored = _at_low_end(stored, header, bits, flags)
    real = ~np.isin(stored_patterns(stored), padded) if padded.size else np.broadcast_to(np.True_, stored.shape)
    settled = _without_declared_overlays(stored, header, real)
    if not _are_beyond(settled, real, bits):
        settled = _without_planes_within(settled, real, flags)
        _refuse_wrong_sign(settled, real, min(bits, 8 * stored.itemsize))
        return settled
    cut = declared_bits(settled, bits)
    if stored.dtype.kind == "i":
        settled = settled if _jumps(settled, cut, real, bits).are_surely_brightness() else cut
    else:
        # A window whose middle is beyond the declared bits needs the others.
        settled = _without_overlay_and_fill(settled, real, bits, (_window_center(header) or 0) >= 1 << bits, flags)
    return np.where(real, settled, stored)


def declared_bits(stored: Stored, bits: int) -> Stored:
    """Return the value of the lowest ``bits`` bits of each pixel; of signed pixels the highest of them is the sign."""
    unused = max(0, 8 * stored.itemsize - bits)
    return (stored << unused) >> unused if bits else stored


def _are_beyond(stored: Stored, real: NDArray[np.bool_], bits: int) -> bool:
    """Return whether pixels that are no padding need more than ``bits``."""
    if bits >= 8 * stored.itemsize or (stored.dtype.kind == "u" and not int(stored.max()) >> bits):
        return False
    return bool(np.any((stored != declared_bits(stored, bits)) & real))


def declared_overlays(header: Dataset) -> list[int]:
    """Return the bits of the pixels that the header calls overlays, as in old files, the highest first."""
    declared = (header.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2))
    return sorted({at.value for at in declared if at and isinstance(at.value, int) and 0 < at.value < 16}, reverse=True)


def _without_declared_overlays(stored: Stored, header: Dataset, real: NDArray[np.bool_]) -> Stored:
    """Return the pixels without the bits that the header calls overlays; those that it calls so wrongly are kept."""
    for plane in declared_overlays(header):
        cut = declared_bits(stored, plane) if stored.dtype.kind == "i" else stored & ~np.array(1 << plane, stored.dtype)
        if _jumps(stored, cut, real, plane).are_as_declared():
            stored = np.where(real, cut, stored)
    return stored


def _at_low_end(stored: Stored, header: Dataset, bits: int, flags: list[Flag]) -> Stored:
    """Return the pixels shifted down when, by HighBit, they are not in the lowest bits, and the pixels agree.

    They agree when the bits below are empty. When these are used too, either they are an overlay, or more bits are
    stored than declared; the window shows which, because it fits one of the two ranges.
    """
    shift = number(header, "HighBit", bits - 1) - (bits - 1)
    if not shift or header.file_meta.get("TransferSyntaxUID") not in UNCOMPRESSED_WORDS:
        return stored
    flags.append("high_bit_corrected")
    if not 0 < shift <= 8 * stored.itemsize - bits:
        return stored
    below, center = stored & ((1 << shift) - 1), _window_center(header)
    for_fewer = center is not None and center < 1 << bits and not np.array_equal(stored, declared_bits(stored, bits))
    return stored >> shift if for_fewer or np.all(below == below[0, 0]) else stored


def _refuse_wrong_sign(stored: Stored, real: NDArray[np.bool_], bits: int) -> None:
    """Raise Unusable if neighbours whose highest bits differ are close together only as numbers of the other sign."""
    high = np.signbit(stored) if stored.dtype.kind == "i" else stored >= np.array(1 << (bits - 1), stored.dtype)
    step, steps, compared = max(1, 4 * stored.size // LOOKED_AT), [], 0
    for axis in (0, 1):
        lines = (slice(None, None, step), slice(None)) if axis else (slice(None), slice(None, None, step))
        first, second = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        differ = high[lines][first] != high[lines][second]
        at = np.nonzero(differ & real[lines][first] & real[lines][second])
        steps.append(np.stack([stored[lines][first][at], stored[lines][second][at]]).astype(np.int32))
        compared += differ.size
    pairs = np.concatenate(steps, axis=1)
    far = np.abs(pairs[0] - pairs[1])
    if far.size < max(FEWEST, MANY_PAIRS * compared):
        return
    wraps = np.median(far) >= CLEARLY * ((1 << bits) - np.median(far))
    if wraps and min(np.unique(pairs.min(axis=0)).size, np.unique(pairs.max(axis=0)).size) > MANY_VALUES:
        raise Unusable("bits_contradict", "stored numbers that are smooth only with the other PixelRepresentation")


def _without_overlay_and_fill(
    stored: Stored, real: NDArray[np.bool_], bits: int, window_reaches: bool, flags: list[Flag]
) -> Stored:
    white = np.array((1 << bits) - 1, stored.dtype)
    beyond = stored[real] & ~white
    fill = 0 if window_reaches or not beyond.size else int(np.bitwise_and.reduce(beyond))
    rest = stored & ~np.array(fill, stored.dtype)
    cut = rest & white
    left = rest[real & (rest != cut)]
    if fill and not left.size:
        flags.append("bits_removed")
        return cut
    if window_reaches or np.ptp(cut[real]) == 0:  # without the bits there is no image
        return _without_planes_above(stored, real, bits, flags)
    rounded = bool(np.all(left == int(white) + 1))  # white as one too many, in otherwise declared bits
    if left.size < FEWEST:
        if not left.size or (int(left.max()) <= 2 * int(white) + 1 and not rounded):
            return stored
        flags.append("bits_removed")
        return np.minimum(rest, white)
    sparer = _without_planes_above(rest, real, bits, flags)
    if np.array_equal(sparer, cut):
        return cut
    jumps = _jumps(sparer, cut, real, bits)
    drawn_white = jumps.share <= FEW and bool(np.all(left & white == white))
    if jumps.are_overlay(int(white) + 1) or drawn_white:
        flags.append("bits_removed")
        return cut
    if rounded:
        flags.append("bits_removed")
        return np.where(real, np.minimum(rest, white), rest)
    if jumps.are_brightness():
        return stored if sparer is rest else sparer
    raise Unusable("bits_contradict", f"bits beyond the {bits} declared ones that are neither brightness nor overlay")


def _without_planes_above(stored: Stored, real: NDArray[np.bool_], bits: int, flags: list[Flag]) -> Stored:
    """Return pixels that use more than the declared ``bits`` without an overlay in the bits above the used ones."""
    for used in range(8 * stored.itemsize - 1, bits, -1):
        cut = stored & np.array((1 << used) - 1, stored.dtype)
        if np.array_equal(cut, stored):
            continue
        jumps = _jumps(stored, cut, real, used)
        if jumps.kept and jumps.are_overlay(1 << used):
            flags.append("bits_removed")
            stored = cut
    return stored


def _without_planes_within(stored: Stored, real: NDArray[np.bool_], flags: list[Flag]) -> Stored:
    """Return unsigned pixels without overlays in their highest bits, for which a program declared more bits.

    Through an overlay the tissue's texture is seen; a label or a clip of one value has none, and is kept.
    """
    while stored.dtype.kind == "u" and (top := int(stored.max()).bit_length() - 1) > 0:
        cut = stored & np.array((1 << top) - 1, stored.dtype)
        if not _may_be_drawn(stored[::SPARSE].astype(np.int32), cut[::SPARSE].astype(np.int32)):
            return stored
        jumps, under = _jumps(stored, cut, real, top), cut[real & (stored != cut)]
        smooth = jumps.are_overlay(1 << top) and jumps.cut <= SHARP * int(cut.max())
        if not smooth or np.unique(under).size <= MANY_VALUES:
            return stored
        flags.append("bits_removed")
        stored = np.where(real, cut, stored)
    return stored


def _may_be_drawn(rows: NDArray[np.int32], cut: NDArray[np.int32]) -> bool:
    """Return whether, in some ``rows``, neighbours that differ in the bits that were ``cut`` agree better without."""
    drawn = rows != cut
    at = drawn[:, 1:] != drawn[:, :-1]
    kept, without = (np.abs(np.diff(image, axis=1)[at]) for image in (rows, cut))
    return kept.size >= FEWEST and bool(np.median(without) * CLEARLY <= np.median(kept))


def _jumps(stored: Stored, cut: Stored, real: NDArray[np.bool_], bits: int) -> Jumps:
    code = (stored.astype(np.int32) - cut) >> bits
    pairs = [_pairs(axis, code, stored, cut, real) for axis in (0, 1)]
    kept, set_at, beside = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    above = set_at - beside
    without = np.abs(above)
    codes = np.unique(code[real & (code != 0)])
    planes = int(np.bitwise_or.reduce(codes)) if codes.size else 0
    gap = not planes & 1 or codes.size < planes.bit_count()
    share = int(np.count_nonzero(code[real])) / max(1, int(np.count_nonzero(real)))
    if not kept.size:  # nothing to compare: the bits are everywhere, or nowhere beside padding
        return Jumps(0, 0, 0, share, gap, False)
    filled = codes.size == 1 and np.mean(kept < without) <= RARELY and _meet(set_at, beside, CLOSE * (1 << bits))
    return Jumps(float(np.median(kept)), float(np.median(without)), float(np.median(above)), share, gap, bool(filled))


def _meet(one: NDArray[np.int32], other: NDArray[np.int32], distance: float) -> bool:
    """Return whether the lower numbers end where the higher ones begin, up to ``distance``."""
    lower, higher = (one, other) if np.median(one) < np.median(other) else (other, one)
    return bool(abs(np.percentile(higher, 1) - np.percentile(lower, 99)) <= distance)


def _pairs(
    axis: int, code: NDArray[np.int32], stored: Stored, cut: Stored, real: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], ...]:
    """Return, for the pairs along ``axis`` that differ in ``code``: their difference, the declared bits of the pixel
    with more of the other bits, and those of its neighbour."""
    step = max(1, stored.size // LOOKED_AT)
    lines = (slice(None, None, step), slice(None)) if axis else (slice(None), slice(None, None, step))
    first, second = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
    high, low = code[lines][first], code[lines][second]
    at = np.nonzero((high != low) & real[lines][first] & real[lines][second])
    difference = stored[lines][first][at].astype(np.int32) - stored[lines][second][at]
    before, after = (cut[lines][part][at].astype(np.int32) for part in (first, second))
    higher = high[at] > low[at]
    return np.abs(difference), np.where(higher, before, after), np.where(higher, after, before)


def _window_center(header: Dataset) -> float | None:
    """Return the middle of the first window; None when there is none that is a number."""
    try:
        return float(np.atleast_1d(header.get("WindowCenter"))[0])
    except (TypeError, ValueError, IndexError):
        return None
