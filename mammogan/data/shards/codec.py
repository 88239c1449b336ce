"""Encode and decode the pixels of a sample with one of two codecs; both are lossless and recognised by their bytes.

zstd: a .npy file compressed with Zstandard (RFC 8878), checksum included; read an order of magnitude faster than PNG.
png: 16-bit grey PNG, which every image program (after GNU tar) and Hugging Face's datasets open directly.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image

from mammogan.io.png_checksums import SIGNATURE, check_png
from mammogan.io.png_text import png_text

Codec = Literal["zstd", "png"]
CODECS: tuple[Codec, ...] = get_args(Codec)
MEMBER: dict[Codec, str] = {"zstd": "npy.zst", "png": "png"}
"""File extension of a sample's pixels in the tar: their name is the key, a dot and this."""
ZSTD_LEVEL = 1
"""Higher levels make mammograms less than 1% smaller, because what remains is noise."""
PNG_LEVEL = 1
"""Three to four times faster than zlib's default, and 7% larger."""
PNG_START, ZSTD_START = SIGNATURE, b"\x28\xb5\x2f\xfd"
SIXTEEN_BIT = ("I;16", "I;16B", "I")
NPY_HEADER = 128
"""Bytes read to find the .npy header; that of a two-dimensional array is not longer."""
MOST_BYTES = 1 << 30
"""Largest size of a decoded image, because a damaged frame may claim any size."""
REBUILD = "rebuild the shards with mammogan make-shards"


def codec_of(settings: Mapping[str, Any]) -> Codec:
    """Return the codec of shards with these settings; older shards, from before the choice, name none and have PNGs."""
    codec: Codec = settings.get("codec", "png")
    return codec


def encode(pixels: NDArray[np.uint16], codec: Codec, texts: Mapping[str, str] | None = None) -> bytes:
    """Encode uint16 (H,W) losslessly with ``codec``; the same pixels and texts always give the same bytes. ``texts``
    are text chunks of a PNG, by keyword.

    Raises ValueError for another dtype or number of dimensions.
    """
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        raise ValueError(f"expected uint16 (H,W), found {pixels.dtype} {pixels.shape}")
    return _encode_png(pixels, texts or {}) if codec == "png" else _encode_zstd(pixels)


def decode(encoded: bytes) -> NDArray[np.uint16]:
    """Decode the bytes of ``encode``, of either codec, to the exact pixels, uint16 (H,W), writable.

    Raises ValueError for anything that is not 16-bit, and for damaged bytes: the checksums of both codecs are
    compared.
    """
    if encoded.startswith((ZSTD_START, PNG_START)):
        try:
            return _decode_zstd(encoded) if encoded.startswith(ZSTD_START) else _decode_png(encoded)
        except (MemoryError, ValueError):
            raise
        except Exception as error:  # a damaged PNG makes its decoder raise many kinds of errors
            raise ValueError(str(error) or type(error).__name__) from error
    raise ValueError(f"expected {' or '.join(MEMBER.values())}, found neither; {REBUILD}")


def _encode_png(pixels: NDArray[np.uint16], texts: Mapping[str, str]) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=PNG_LEVEL, pnginfo=png_text(texts))
    return encoded.getvalue()


def _decode_png(encoded: bytes) -> NDArray[np.uint16]:
    check_png(encoded)
    image = Image.open(io.BytesIO(encoded))
    if image.mode not in SIXTEEN_BIT:  # 8 bits would lose grey levels without an error
        raise ValueError(f"expected a 16-bit grey PNG, found mode {image.mode}; {REBUILD}")
    return np.array(image, dtype=np.uint16)


def _encode_zstd(pixels: NDArray[np.uint16]) -> bytes:
    npy = io.BytesIO()
    np.save(npy, np.ascontiguousarray(pixels, "<u2"), allow_pickle=False)
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(npy.getbuffer())


def _decode_zstd(encoded: bytes) -> NDArray[np.uint16]:
    size = zstandard.frame_content_size(encoded)
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"a zstd frame of {size} bytes; {REBUILD}")
    # Decode into the memory that is returned: a copy to newly allocated memory takes three times as long as decoding.
    npy = np.empty(size, np.uint8)
    with zstandard.ZstdDecompressor().stream_reader(encoded) as frame:
        read = frame.readinto(npy.data)
        if read != size or frame.read(1):  # this last read makes the decoder compare the checksum
            raise ValueError(f"a zstd frame of {size} bytes holds {read}; run mammogan check-shards")
    return _pixels_of_npy(npy)


def _pixels_of_npy(npy: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return a view of the pixels after the .npy header. Raises ValueError unless they are uint16 (H,W)."""
    header = io.BytesIO(npy[:NPY_HEADER].tobytes())
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("expected npy version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(header)
    if dtype != np.uint16 or len(shape) != 2 or fortran:
        raise ValueError(f"expected uint16 (H,W) in the npy, found {dtype} {shape}; {REBUILD}")
    return npy[header.tell() :].view(np.uint16).reshape(shape)
