"""Compare the checksums of a PNG file, because Pillow shows pixels of a damaged file without a word."""

from __future__ import annotations

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_png(encoded: bytes) -> None:
    """Raise ValueError unless every chunk of a PNG, up to its end, has the CRC that was written with it.

    Pillow compares them in no chunk of pixels, and stops before zlib's own checksum at the end of the pixels. Together
    the CRCs cover every byte of the pixels and that checksum, so inflating them a second time would find no more.
    """
    if not encoded.startswith(SIGNATURE):
        raise ValueError("expected a PNG, found another file")
    content, place, kind = memoryview(encoded), len(SIGNATURE), b""
    while kind != b"IEND":
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")  # of the content; its CRC follows
        kind = bytes(content[place + 4 : place + 8])
        if end + 4 > len(content):
            raise ValueError(f"the PNG is cut off at byte {len(content)}")
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise ValueError(f"the PNG's bytes {place} to {end + 4} do not fit their checksum (CRC)")
        place = end + 4
