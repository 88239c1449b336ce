"""Detect damaged JPEG lossless streams (ITU-T T.81, process 14) by the length that their decoded pixels would need.

The decoder turns any bytes into pixels and never reports an error. On a damaged stream it has all pixels before the
stream ends, or too few when it ends. So the bits that coding the pixels takes are counted and compared with the stream.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOF3, DHT, SOS, DRI = 0xC3, 0xC4, 0xDA, 0xDD
STRIP = 64
"""Rows that are counted together, so that they stay in the processor's cache."""
UNCODED = 255
"""Number of bits used for a difference that has no code: more than any real code, so the lengths will differ."""
SPARE = 4
"""An encoder may leave up to 4 bytes of only zeros or only ones (0xFF) before a marker."""
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
OTHER_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
Words = NDArray[np.uint16]


@dataclass(frozen=True)
class Coding:
    """The coding of an image of one component, as its markers declare it.

    ``sizes`` (65536): number of bits that code each difference of two pixels, a 16-bit pattern.
    """

    shape: tuple[int, int]
    precision: int
    predictor: int
    shift: int
    sizes: NDArray[np.uint8]
    interval: int
    """Rows between two restart markers."""
    begin: int
    """Position in the stream at which the coded pixels begin."""


def is_read_wrongly(stream: bytes, stored: NDArray[Any], kept: int) -> bool:
    """Return whether the pixels (h,w) decoded from ``stream`` differ from those it was made from.

    ``kept``: how many low bits of the pixels are unchanged since decoding. Also False for other streams, and for kinds
    of JPEG lossless that mammograms do not use.
    """
    coding = _coding(stream)
    if coding is None or coding.precision > kept:
        return False
    if coding.shape != stored.shape:
        return True
    end = OTHER_MARKER.search(stream, coding.begin)
    intervals = RESTART.split(stream[coding.begin : end.start() if end else len(stream)])
    bits = np.add.reduceat(_bits_of_rows(stored, coding), range(0, len(stored), coding.interval))
    return len(bits) != len(intervals) or not all(map(_is_as_long, intervals, bits.tolist()))


def _is_as_long(coded: bytes, bits: int) -> bool:
    content = coded.replace(b"\xff\x00", b"\xff")
    taken = -(-bits // 8)
    rest = content[taken:]
    return taken <= len(content) and len(rest) <= SPARE and set(rest) in (set(), {0}, {255})


def _coding(stream: bytes) -> Coding | None:
    lengths: dict[int, NDArray[np.uint8]] = {}
    precision = height = width = components = interval = 0
    try:
        for marker, content, beyond in _segments(stream):
            if marker == SOF3:
                precision, height, width, components = struct.unpack_from(">BHHB", content)
            elif marker == DHT:
                lengths |= _code_lengths(content)
            elif marker == DRI:
                (interval,) = struct.unpack(">H", content)
            elif marker == SOS:
                parts, table, predictor, shift = struct.unpack(">BxBBxB", content)
                one_scan = height and (parts, components) == (1, 1) and not interval % width
                if not one_scan or predictor not in PREDICTORS or not shift < precision <= 16:
                    return None
                rows, sizes = interval // width or height, _sizes(lengths[table >> 4])
                return Coding((height, width), precision, predictor, shift, sizes, rows, beyond)
    except (struct.error, LookupError, ValueError, ArithmeticError):  # the decoder may still understand this header
        pass
    return None


def _segments(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, content and end position of each segment, up to the header of the first scan."""
    at = 2
    while stream[at : at + 1] == b"\xff":
        marker, length = struct.unpack_from(">BH", stream, at + 1)
        if marker == 0xFF:
            at += 1
            continue
        beyond = at + 2 + length
        yield marker, stream[at + 4 : beyond], beyond
        at = beyond


def _code_lengths(content: bytes) -> dict[int, NDArray[np.uint8]]:
    """Return, for each Huffman table of a segment, the length in bits of each category's code."""
    tables, at = {}, 0
    while at < len(content):
        counts = np.frombuffer(content, np.uint8, 16, at + 1)
        categories = np.frombuffer(content, np.uint8, counts.sum(), at + 17)
        tables[content[at] & 15] = lengths = np.full(17, UNCODED, np.uint8)
        lengths[categories] = np.repeat(np.arange(1, 17), counts)
        at += 17 + len(categories)
    return tables


def _sizes(lengths: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the bits that each difference takes.

    These are the code of its category and as many further bits as the category's number; for 32768, only the code.
    """
    magnitude = np.abs(np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32))
    category = np.frexp(magnitude)[1]
    more = np.where(category == 16, 0, category)
    return np.minimum(lengths[category].astype(np.int32) + more, UNCODED).astype(np.uint8)


def _bits_of_rows(stored: NDArray[Any], coding: Coding) -> NDArray[np.int64]:
    """Count the bits that each row of pixels takes."""
    words = stored.astype(np.int16 if stored.dtype.kind == "i" else np.uint16, copy=False).view(np.uint16)
    coded, shift = np.uint16((1 << coding.precision) - 1), np.uint16(coding.shift)
    bits = np.empty(len(words), np.int64)
    for top in range(0, len(words), STRIP):
        strip = (words[max(0, top - 1) : top + STRIP] & coded) >> shift
        values = strip[1 if top else 0 :]
        predicted = np.empty_like(values)
        begun = slice(-top % coding.interval, None, coding.interval)
        followed = len(values) - len(strip[:-1])  # 1 where there is no row above the first
        predicted[followed:, 0] = strip[:-1, 0]
        predicted[followed:, 1:] = PREDICTORS[coding.predictor](values[followed:, :-1], strip[:-1, 1:], strip[:-1, :-1])
        predicted[begun, 1:], predicted[begun, 0] = values[begun, :-1], 1 << (coding.precision - coding.shift - 1)
        bits[top : top + STRIP] = coding.sizes.take(values - predicted).sum(axis=1, dtype=np.int64)
    return bits


def _wide(values: Words) -> NDArray[np.int32]:
    return values.astype(np.int32)


PREDICTORS: dict[int, Callable[[Words, Words, Words], NDArray[Any]]] = {
    1: lambda left, above, corner: left,
    2: lambda left, above, corner: above,
    3: lambda left, above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((_wide(above) - corner) >> 1),
    6: lambda left, above, corner: above + ((_wide(left) - corner) >> 1),
    7: lambda left, above, corner: (_wide(left) + above) >> 1,
}
"""The predictors of T.81, table H.1. Differences are taken modulo 65536, so predictions may wrap around too."""
