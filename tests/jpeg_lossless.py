"""JPEG lossless streams (ITU-T T.81, process 14) of any size, which no package of the tests can write."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

LENGTHS = (2, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
"""Bits of the code for a difference of 0, 1, 2, .. 16 bits: the standard's example, carried on."""


def jpeg_lossless(
    stored: NDArray[np.uint16], bits: int, predictor: int = 1, rows_a_restart: int = 0, padding: int = 1
) -> bytes:
    """``stored`` (h,w) as a stream, with a restart marker after so many rows, if any; ``padding`` is the bit that fills
    an interval's last byte."""
    height, width = stored.shape
    parts = [b"\xff\xd8", _segment(0xC3, struct.pack(">BHHB3s", bits, height, width, 1, b"\1\x11\0"))]
    parts.append(_segment(0xC4, bytes([0, *map(LENGTHS.count, range(1, 17)), *range(17)])))
    if rows_a_restart:
        parts.append(_segment(0xDD, struct.pack(">H", rows_a_restart * width)))
    parts.append(_segment(0xDA, bytes([1, 1, 0, predictor, 0, 0])))
    step = rows_a_restart or height
    for number, row in enumerate(range(0, height, step)):
        parts.append(bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b"")
        parts.append(_coded(_differences(stored[row : row + step].astype(np.int64), bits, predictor), padding))
    return b"".join([*parts, b"\xff\xd9"])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _differences(values: NDArray[np.int64], bits: int, predictor: int) -> NDArray[np.int64]:
    predicted = np.empty_like(values)
    left, above, corner = values[1:, :-1], values[:-1, 1:], values[:-1, :-1]
    predicted[1:, 1:] = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + (above - corner) // 2,
        6: above + (left - corner) // 2,
        7: (left + above) // 2,
    }[predictor]
    predicted[0, 1:], predicted[1:, 0], predicted[0, 0] = values[0, :-1], values[:-1, 0], 1 << (bits - 1)
    return (values - predicted + 32767) % 65536 - 32767


def _coded(differences: NDArray[np.int64], padding: int) -> bytes:
    codes, code = [], 0
    for length, following in zip(LENGTHS, (*LENGTHS[1:], 16), strict=True):
        codes.append(code)
        code = (code + 1) << (following - length)
    category = np.frexp(np.abs(differences.ravel()))[1]
    more = np.where(category == 16, 0, category)  # 32768 needs no bits beside its code
    extra = (differences.ravel() - (differences.ravel() < 0)) & ((1 << more) - 1)
    words, sizes = np.array(codes)[category] << more | extra, np.array(LENGTHS)[category] + more
    place = sizes[:, None] - 1 - np.arange(sizes.max())
    stream = (words[:, None] >> np.maximum(place, 0) & 1)[place >= 0].astype(np.uint8)
    whole = np.concatenate([stream, np.full(-len(stream) % 8, padding, np.uint8)])
    return np.packbits(whole).tobytes().replace(b"\xff", b"\xff\0")
