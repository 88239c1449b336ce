"""Compressed streams that no package of the tests can write: JPEG lossless, JPEG of 12 bits, High-Throughput JPEG 2000.

Written once from ``pattern`` by imagecodecs 2026.3.6, with libjpeg-turbo and OpenJPH inside, which decode nothing here:

    jpeg8_encode(pattern(12), lossless=True, predictor=p, bitspersample=12)    jpeg-lossless-1, -4 and -7
    jpeg8_encode(pattern(12), level=95, bitspersample=12)                      jpeg-lossy-12
    htj2k_encode(pattern(16), reversible=True, tlm=True)                       htj2k-lossless, of progression RPCL
    htj2k_encode(pattern(16), reversible=False)                                htj2k-lossy
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def pattern(bits: int) -> NDArray[np.uint16]:
    """64x64 values up to the largest of ``bits``, in the shape of a left breast on 0; the same on any machine."""
    row, col = np.mgrid[:64, :64]
    inside = (row - 32) ** 2 * 9 + col**2 * 4 < 90 * 90
    values = (row * 5 + col * 9 + row * col // 8 + (row ^ col) % 5) % 256 * 15 + 270
    return np.asarray(np.where(inside, values << (bits - 12), 0), np.uint16)


def stream(name: str) -> bytes:
    return (Path(__file__).parent / f"{name}.bin").read_bytes()
