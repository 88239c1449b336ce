"""Compressed pixels before they are decoded: which compression they are, and whether they are all there.

Decoders fill what is missing, and what they make of it looks like a breast.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from mammogan.data.grey import Unusable

JPEG_2000 = b"\xff\x4f\xff\x51"
STARTS = {JPEG_2000: JPEG2000TransferSyntaxes, b"\xff\xd8\xff\xf7": JPEGLSTransferSyntaxes}
"""How compressed pixels begin, and the transfer syntaxes that such a beginning may be declared as."""
ENDED = (JPEG_2000, b"\xff\xd8")
"""How those begin that have to end with END: JPEG 2000, High-Throughput or not; JPEG in all its kinds, JPEG-LS too."""
END = b"\xff\xd9"
"""It stands nowhere within coded pixels."""
PADDING = 16  # bytes after END that are no sign of damage, besides any number of zeros
HOLE = 2048
"""Zero bytes in a row that JPEG 2000 has no use for: the longest are the raw bits of one constant block, 512."""


def compressed(header: Dataset) -> bytes:
    """The one frame's compressed pixels, all its fragments; nothing where they are not compressed."""
    if not header["PixelData"].is_undefined_length:
        return b""
    content, at, items = header.PixelData, 0, []
    while at + 8 <= len(content) and content[at : at + 4] == b"\xfe\xff\x00\xe0":
        beyond = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        items.append(content[at + 8 : beyond])
        at = beyond
    return b"".join(items[1:])  # the first item is the table of offsets


def correct_syntax(header: Dataset, frame: bytes) -> bool:
    """Believe a stream that begins as another compression than is declared: decoders would show something else.
    Whether that was so."""
    for start, syntaxes in STARTS.items():
        if frame.startswith(start) and header.file_meta.get("TransferSyntaxUID") not in syntaxes:
            header.file_meta.TransferSyntaxUID = syntaxes[0]
            return True
    return False


def refuse_incomplete(frame: bytes) -> None:
    """Unusable for a stream without its end, and for one of JPEG 2000 in which a block was lost and is zero."""
    if frame.startswith(ENDED) and END not in frame.rstrip(b"\0")[-PADDING:]:
        raise Unusable("truncated", "the compressed pixels do not end with an end-of-image marker (FF D9)")
    if frame.startswith(JPEG_2000) and bytes(HOLE) in frame.rstrip(b"\0"):
        raise Unusable("decode_failed", f"{HOLE} or more zero bytes in a row within the compressed pixels")
