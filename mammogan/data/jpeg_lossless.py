"""Whether a JPEG lossless stream (ITU-T T.81, process 14) is one that its pixels were compressed to.

Its decoder makes pixels of anything and never complains: of a damaged stream it has all of them before the stream ends,
or still lacks some by then. So the bits that the pixels take are counted, and compared with those that there are.
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
STRIP = 64  # rows, for the cache
UNCODED = 255  # bits, for a difference without a code: more than there are
SPARE = 4  # bytes of nothing but zeros or ones that an encoder may have left before a marker
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
OTHER_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
Words = NDArray[np.uint16]


@dataclass(frozen=True)
class Coding:
    """What the markers say of an image of one component; ``sizes``: bits of each difference, a pattern of 16 bits."""

    shape: tuple[int, int]
    precision: int
    predictor: int
    shift: int
    sizes: NDArray[np.uint8]
    interval: int
    """Rows between two restarts."""
    begin: int
    """Where in the stream the coded pixels begin."""


def is_read_wrongly(stream: bytes, stored: NDArray[Any], kept: int) -> bool:
    """Whether pixels (h,w), decoded from ``stream``, are not what it was made from. ``kept``: low bits of them that are
    as the decoder gave them.

    False too for what is no JPEG lossless stream, or one of a kind that mammograms do not come as.
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
    except (struct.error, LookupError, ValueError, ArithmeticError):  # a head that the decoder makes more of
        pass
    return None


def _segments(stream: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and the place after it, of each segment up to the first scan's head."""
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
    """Of each Huffman table of a segment: how many bits the code of a category is long."""
    tables, at = {}, 0
    while at < len(content):
        counts = np.frombuffer(content, np.uint8, 16, at + 1)
        categories = np.frombuffer(content, np.uint8, counts.sum(), at + 17)
        tables[content[at] & 15] = lengths = np.full(17, UNCODED, np.uint8)
        lengths[categories] = np.repeat(np.arange(1, 17), counts)
        at += 17 + len(categories)
    return tables


def _sizes(lengths: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bits that each difference takes: the code of its category, and as many more; but none more for 32768."""
    magnitude = np.abs(np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32))
    category = np.frexp(magnitude)[1]
    more = np.where(category == 16, 0, category)
    return np.minimum(lengths[category].astype(np.int32) + more, UNCODED).astype(np.uint8)


def _bits_of_rows(stored: NDArray[Any], coding: Coding) -> NDArray[np.int64]:
    """How many bits each row of pixels takes."""
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
"""T.81, table H.1; differences are modulo 65536, and so may these be."""
